"""python -m mnist_mlp, as its users run it."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mnist_mlp import arguments, checkpoint, memory
from mnist_mlp.command import main
from tests import idx


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder, with a small random data set in data/."""
    idx.write_dataset(tmp_path / "data" / "FashionMNIST" / "raw", train=100, test=50)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_epoch_is_printed_and_a_resumed_run_prints_the_rest(folder, capsys):
    """A resumed run prints the remaining epochs and ends with the same network."""
    start = ["--data-root", "data", "--batch-size", "7", "--engine", "loader"]
    name = "FashionMNIST-loader-7-0.1-0.last.pt"
    assert main([*start, "--epochs", "3"]) == 0
    whole = capsys.readouterr().out
    assert main([*start, "--epochs", "1", "--checkpoints", "part"]) == 0

    capsys.readouterr()
    resume = ["--data-root", "data", "--resume", f"part/{name}", "--checkpoints", "part"]
    assert main([*resume, "--epochs", "3"]) == 0
    rest = capsys.readouterr().out

    line = re.compile(
        r"epoch +(\d)  train loss (\d\.\d{4})  test loss (\d\.\d{4})  "
        r"test accuracy (0\.\d{4})  \d+\.\d\d s"
    )
    ended, resumed = (checkpoint.load(folder / place / name) for place in ("checkpoints", "part"))
    assert "FashionMNIST, loader engine, batch size 7, learning rate 0.1, seed 0" in whole
    assert [epoch[0] for epoch in line.findall(whole)] == ["1", "2", "3"]
    assert line.findall(rest) == line.findall(whole)[1:]
    assert all(torch.equal(resumed.network[name], ended.network[name]) for name in ended.network)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--batch-size", "0"], "'0' is not a whole number from 1 to 2147483647"),
        (["--batch-size", "2.5"], "'2.5' is not a whole number from 1"),
        (["--batch-size", "9223372036854775808"], "'9223372036854775808' is not a whole number"),
        (["--threads", "3"], "3 threads on 2 usable cores: ask for 2 or fewer"),
        (["--device", "meta"], "'meta' is not available here"),
        (["--lr", "nan"], "'nan' is not a number above 0"),
        (["--seed", "-1"], "'-1' is not a whole number from 0"),
        (["--engine", "warp"], "invalid choice: 'warp'"),
        (["--data-root", "nowhere"], "nowhere holds no folder NAME/raw"),
        (["--resume", "nowhere.pt"], "cannot read the checkpoint nowhere.pt: No such file"),
    ],
    ids=lambda value: "-".join(value).strip("-") if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_refused_in_a_sentence(folder, monkeypatch, capsys, words, sentence):
    """The error comes before any work: no checkpoint is written. Two cores are usable here."""
    monkeypatch.setattr(memory, "usable_cores", lambda: 2)
    try:
        code = main(["--data-root", "data", *words])
    except SystemExit as refused:
        code = refused.code

    assert code != 0
    assert sentence in capsys.readouterr().err
    assert not (folder / "checkpoints").exists()


@pytest.mark.usefixtures("folder")
def test_a_resumed_run_refuses_other_settings_and_a_finished_one(capsys):
    """A run that would silently train something else, or nothing, ends with an error."""
    data = ["--data-root", "data"]
    resume = [*data, "--resume", "checkpoints/FashionMNIST-eager-50-0.1-0.last.pt"]
    assert main([*data, "--batch-size", "50", "--epochs", "2"]) == 0

    assert main([*resume, "--batch-size", "10", "--epochs", "3"]) == 1
    assert "was trained with --batch-size 50, not 10" in capsys.readouterr().err
    assert main([*resume, "--epochs", "2"]) == 1
    assert "has 2 epochs already: ask for more with --epochs" in capsys.readouterr().err


def test_a_run_of_an_earlier_version_resumes_unless_this_version_cannot_train_so(folder, capsys):
    """Old settings are dropped where nothing else is left now, and refused by name otherwise."""
    data = ["--data-root", "data"]
    assert main([*data, "--batch-size", "50", "--epochs", "1"]) == 0
    name = "FashionMNIST-eager-50-0.1-0.last.pt"
    kept = checkpoint.load(folder / "checkpoints" / name)
    old = {**kept.settings, "precision": "float32"}
    refused = {
        "precision": ("bfloat16", "was trained with precision bfloat16, and this version has only"),
        "average_every": (4, "was trained with average_every 4, and this version has only 1"),
        "engine": ("parallel", "'parallel' is not an engine: choose from loader, eager"),
    }

    for key, (value, sentence) in refused.items():
        checkpoint.save(replace(kept, settings={**old, key: value}), folder / "refused.pt")
        assert main([*data, "--resume", "refused.pt", "--checkpoints", "new"]) == 1
        assert sentence in capsys.readouterr().err
        assert not (folder / "new").exists()

    checkpoint.save(replace(kept, settings=old), folder / "old.pt")
    assert main([*data, "--resume", "old.pt", "--epochs", "2", "--checkpoints", "new"]) == 0
    resumed = checkpoint.load(folder / "new" / name)
    assert (resumed.epoch, resumed.settings) == (2, kept.settings)


@pytest.mark.usefixtures("folder")
def test_a_training_that_breaks_down_ends_with_step_and_rate_and_keeps_nothing(capsys):
    """A loss may be infinite in a step, or only in the test after the last step."""
    words = ["--data-root", "data", "--lr", "3e38"]

    assert main([*words, "--batch-size", "10"]) == 1
    sentence = (
        r"error: the loss of step \d+ is not finite at learning rate 3e\+38: try a lower one\n"
    )
    assert re.fullmatch(sentence, capsys.readouterr().err)
    assert main([*words, "--batch-size", "100", "--epochs", "1"]) == 1
    assert "the test loss after step 1 is not finite" in capsys.readouterr().err
    assert not list(Path("checkpoints").glob("*"))


def test_ctrl_c_ends_the_run_quietly_and_keeps_its_checkpoints(tmp_path, cache_dir):
    """After Ctrl-C, the exit code is 130, and the last whole epoch can be resumed."""
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


def test_help_explains_each_option(capsys):
    """Every option of the help has a line of its own."""
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])

    explained = capsys.readouterr().out
    for option in arguments.TRAINER:
        assert re.search(rf"{option} .*\n? +\w", explained)


def test_commands_are_parsed_without_torch():
    """--help imports no torch, which takes seconds, and prints nothing in torchrun's rank 1."""
    program = """
import sys
import bench.__main__, mnist_mlp.engines
from mnist_mlp import command
try:
    command.main(["--help"])
except SystemExit:
    sys.exit("torch" in sys.modules)
"""
    launched = {"TORCHELASTIC_RUN_ID": "none", "RANK": "1"}

    for environment in ({}, launched):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        assert bool(done.stdout) == (not environment)
