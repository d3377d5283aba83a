"""python -m mnist_mlp, as its users call it."""

import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mnist_mlp import checkpoint
from mnist_mlp.command import main
from tests import idx


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder, with a small random data set in data/."""
    idx.write_dataset(tmp_path / "data" / "FashionMNIST" / "raw", train=100, test=50)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_epoch_is_printed_and_a_resumed_run_prints_the_rest(folder, capsys):
    """Losses, accuracy and seconds an epoch; resumed in a new process, the same network."""
    start = ["--data-root", "data", "--batch-size", "7", "--engine", "loader"]
    name = "FashionMNIST-loader-7-0.1-0.last.pt"
    assert main([*start, "--epochs", "3"]) == 0
    whole = capsys.readouterr().out
    assert main([*start, "--epochs", "1", "--checkpoints", "part"]) == 0

    resume = ["--data-root", "data", "--resume", f"part/{name}", "--checkpoints", "part"]
    command = [sys.executable, "-m", "mnist_mlp", *resume, "--epochs", "3"]
    rest = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout

    line = re.compile(
        r"epoch +(\d)  train loss (\d\.\d{4})  test loss (\d\.\d{4})  "
        r"test accuracy (0\.\d{4})  \d+\.\d\d s"
    )
    ended, resumed = (checkpoint.load(folder / place / name) for place in ("checkpoints", "part"))
    assert "FashionMNIST, loader engine, batch size 7, learning rate 0.1, seed 0" in whole
    assert [found[0] for found in line.findall(whole)] == ["1", "2", "3"]
    assert line.findall(rest) == line.findall(whole)[1:]
    assert all(torch.equal(resumed.network[name], ended.network[name]) for name in ended.network)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--batch-size", "0"], "'0' is not a whole number from 1 to 2147483647"),
        (["--batch-size", "2.5"], "'2.5' is not a whole number from 1"),
        (["--batch-size", "9223372036854775808"], "'9223372036854775808' is not a whole number"),
        (["--threads", "1000000"], "1000000 threads on"),
        (["--device", "meta"], "'meta' is not available here"),
        (["--lr", "nan"], "'nan' is not a number above 0"),
        (["--seed", "-1"], "'-1' is not a whole number from 0"),
        (["--device", "abacus"], "'abacus' is not available here"),
        (["--engine", "warp"], "invalid choice: 'warp'"),
        (["--data-root", "nowhere"], "nowhere holds no folder NAME/raw"),
        (["--resume", "nowhere.pt"], "cannot read the checkpoint nowhere.pt: No such file"),
    ],
    ids=lambda value: "-".join(value).strip("-") if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_refused_in_a_sentence(folder, capsys, words, sentence):
    """Before any work: no checkpoint is written."""
    try:
        code = main(["--data-root", "data", *words])
    except SystemExit as refused:
        code = refused.code

    assert code != 0
    assert sentence in capsys.readouterr().err
    assert not (folder / "checkpoints").exists()


@pytest.mark.usefixtures("folder")
def test_a_resumed_run_refuses_other_settings_and_a_finished_one(capsys):
    """Silently training something else would be worse than stopping."""
    data = ["--data-root", "data"]
    resume = [*data, "--resume", "checkpoints/FashionMNIST-eager-50-0.1-0.last.pt"]
    assert main([*data, "--batch-size", "50", "--epochs", "2"]) == 0

    assert main([*resume, "--batch-size", "10", "--epochs", "3"]) == 1
    assert "was trained with --batch-size 50, not 10" in capsys.readouterr().err
    assert main([*resume, "--epochs", "2"]) == 1
    assert "has 2 epochs already: ask for more with --epochs" in capsys.readouterr().err


def test_a_run_of_an_earlier_version_resumes_unless_it_was_trained_as_none_is_now(folder, capsys):
    """Its settings name what offers no choice any more."""
    data = ["--data-root", "data"]
    assert main([*data, "--batch-size", "50", "--epochs", "1"]) == 0
    name = "FashionMNIST-eager-50-0.1-0.last.pt"
    kept = checkpoint.load(folder / "checkpoints" / name)
    old = {**kept.settings, "precision": "float32"}
    refused = {"precision": "bfloat16", "average_every": 4, "engine": "parallel"}

    for number, (key, value) in enumerate(refused.items()):
        file = folder / f"{number}.pt"
        checkpoint.save(replace(kept, settings={**old, key: value}), file)
        assert main([*data, "--resume", str(file), "--checkpoints", "new"]) == 1
        assert f"{file} was trained with {key} {value}, and this" in capsys.readouterr().err
        assert not (folder / "new").exists()

    checkpoint.save(replace(kept, settings=old), folder / "old.pt")
    assert main([*data, "--resume", "old.pt", "--epochs", "2", "--checkpoints", "new"]) == 0
    resumed = checkpoint.load(folder / "new" / name)
    assert (resumed.epoch, resumed.settings) == (2, kept.settings)


@pytest.mark.usefixtures("folder")
def test_a_learning_rate_too_high_ends_the_run_with_step_and_rate(capsys):
    """Exit code 1 and a sentence."""
    code = main(["--data-root", "data", "--batch-size", "10", "--lr", "3e38"])

    sentence = (
        r"error: the loss of step \d+ is not finite at learning rate 3e\+38: try a lower one\n"
    )
    assert re.fullmatch(sentence, capsys.readouterr().err)
    assert code == 1


@pytest.mark.usefixtures("folder")
def test_a_run_whose_only_step_breaks_the_network_is_not_kept(capsys):
    """The loss before that step is finite; the test loss after it is not."""
    code = main(["--data-root", "data", "--batch-size", "100", "--lr", "3e38", "--epochs", "1"])

    assert "the test loss after step 1 is not finite" in capsys.readouterr().err
    assert code == 1
    assert not list(Path("checkpoints").glob("*"))


def test_ctrl_c_ends_the_run_quietly_and_keeps_its_checkpoints(tmp_path, cache_dir):
    """Exit code 130, no traceback, and the last whole epoch can be resumed."""
    command = [sys.executable, "-m", "mnist_mlp", "--cache-dir", str(cache_dir)]
    process = subprocess.Popen(
        [*command, "--batch-size", "4096", "--epochs", "1000000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    last = tmp_path / "checkpoints" / "MNIST-eager-4096-0.1-0.last.pt"
    deadline = time.monotonic() + 100
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)

    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert checkpoint.load(last).epoch >= 1
    assert not list(last.parent.glob(".*"))


def test_help_explains_itself(capsys):
    """Every option has a line of its own."""
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])

    explained = capsys.readouterr().out
    for option in re.findall(r"--[a-z-]+", explained.partition("Train")[0]):
        assert re.search(rf"{option} .*\n? +\w", explained)
