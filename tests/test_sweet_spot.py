"""python -m bench sweet-spot as its users run it: known steps, or trainings of their task."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import __main__ as bench_main
from bench.best import figure, known_command, search_command
from bench.best.reference import Reference
from bench.laws.laws import Estimate
from mnist_mlp.engines.eager import Eager
from mnist_mlp.engines.engine import UnavailableError
from tests import study

TARGET = 0.05  # guessing reaches it, at the first evaluation
TASK = """
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from mnist_mlp.task import Task

def samples(count, seed):
    inputs = torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))
    return inputs, (inputs[:, 0] > 0).long()

task = Task(
    name="signs",
    network=lambda: nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 2)),
    train=samples(600, 0),
    test=samples(200, 1),
    loss=cross_entropy,
    optimizer=lambda parameters, rate: torch.optim.Adam(parameters, lr=rate),
    target=0.9,
    learning_rate=0.002,
    batch_size=8,
)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Time steps for 0.2 s, in two processes."""
    for command in (known_command, search_command):
        monkeypatch.setattr(command, "SECONDS", 0.2)
        monkeypatch.setattr(command, "PROCESSES", 2)


@pytest.fixture
def known(monkeypatch):
    """Run the command with known steps to a target that guessing reaches."""
    monkeypatch.setattr(Reference, "shipped", lambda: study.findings(target=TARGET, scale=0.02))
    return lambda *words: main(f"--target-accuracy={TARGET}", "--threads=1", *words)


@pytest.fixture
def own(tmp_path):
    """Run the command on a task of a user's own; its batch normalisation needs two samples."""
    file = tmp_path / "signs.py"
    file.write_text(TASK)
    runs = f"--runs={tmp_path / 'runs.jsonl'}"
    return lambda *words: main(f"--task={file}", "--threads=1", runs, *words)


def main(*words):
    """Run the command in this process, and return its exit code."""
    return bench_main.main(["sweet-spot", *words])


def flat(text):
    """Return a text without line breaks."""
    return re.sub(r"\s+", " ", text)


def trainings(folder):
    """Return the trainings that the file of runs holds."""
    return (folder / "runs.jsonl").read_text().splitlines()[1:]


def test_known_steps_are_multiplied_checked_and_drawn(known, tmp_path, capsys):
    """Each engine has a table and sentences; the figure and the file are of both engines."""
    figure, file = tmp_path / "figure.png", tmp_path / "answer.json"

    code = known("--engines=eager,native", f"--figure={figure}", f"--json={file}")

    output = flat(capsys.readouterr().out)
    assert code == 0
    assert output.startswith("MNIST, cpu, 1 thread: to test accuracy 0.05")
    assert "of a study of MNIST, 2026-01-02, commit 0123456, 6 seeds per size; " in output
    for engine in ("eager", "native"):
        assert f"is predicted to train fastest with the {engine} engine: " in output
    assert output.count("Usual batch sizes, in times of the best: ") == 2
    assert output.count("with 5 seeds that had no part in the choice: median ") == 2
    assert figure.read_bytes().startswith(b"\x89PNG")
    answers = json.loads(file.read_text())["answers"]
    assert {each["best_batch_size"] for each in answers.values()} <= set(study.SIZES)


def test_trainings_find_the_best_size_of_a_task_and_are_never_repeated(own, tmp_path, capsys):
    """A size that cannot train is left out by name; trainings of another target are refused."""
    figure, file = tmp_path / "figure.svg", tmp_path / "answer.json"
    code = own("--seeds=2", f"--figure={figure}", f"--json={file}")
    output = flat(capsys.readouterr().out)
    made = trainings(tmp_path)

    again = own("--seeds=2")
    other = own("--target-accuracy=0.8")

    assert (code, again, other) == (0, 0, 1)
    assert output.startswith("signs, eager engine, cpu, 1 thread: to test accuracy 0.9 in at most")
    answer = output.partition("trains fastest to a test accuracy of 0.9, in ")
    best, rate = re.search(r"Batch size (\d+) at rate (\S+) $", answer[0]).groups()
    assert re.match(r"\S+ \S+\. The median of 5 more trainings will probably", answer[2])
    assert "our batch size 8 at rate 0.002 " in output
    assert "Batch size 1 is left out: signs cannot be trained at batch size 1: " in output
    later = capsys.readouterr()
    assert f"{len(made)} trainings so far in " in flat(later.out)
    assert "runs.jsonl holds trainings with another target, 0.9, not 0.8: " in later.err
    kept = [json.dumps(json.loads(line)["trial"]) for line in trainings(tmp_path)]
    assert len(set(kept)) == len(kept)
    assert "<svg" in figure.read_text()
    saved = json.loads(file.read_text())
    assert saved["answers"]["eager"]["best_batch_size"] == int(best)
    # The saved answer can be the known steps of another run.
    reference = Reference.model_validate(saved)
    assert f"{reference.rates(0.9)[int(best)]:.3g}" == rate
    assert {len(seeds) for seeds in reference.bounds(0.9).values()} == {2}


def test_batch_sizes_that_are_asked_for_are_all_trained(own, capsys):
    """Each batch size is trained, as in a study; rates by a rule take three trainings each."""
    code = own("--batch-sizes=4,64,1000", "--rates=sqrt", "--seeds=2")

    output = flat(capsys.readouterr().out)
    assert code == 0
    for size, rate in ((4, "0.00141"), (64, "0.00566"), (600, "0.0173")):
        assert re.search(rf"batch size {size}: [\w, ]+ at rate {rate} \(3 trainings\)", output)


def test_an_unreachable_target_gives_the_score_of_each_size(own, capsys):
    """If no size reaches the target, the answer gives each size's score and its time."""
    code = own("--target-accuracy=1", "--max-epochs=1", "--rates=fixed", "--seeds=2")

    output = flat(capsys.readouterr().out)
    assert code == 0
    assert "No batch size reached a test accuracy of 1 in 1 epoch. " in output
    assert re.search(r"not reached: 0\.\d+ after \S+ m?s", output)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--engines=eager,native", "--rates=tuned"], 2, "find the steps to the target with one"),
        (["--figure=figure.doc"], 2, "'figure.doc' is not a figure: name a file that ends in .png"),
        (["--data-root=nowhere"], 1, "error: nowhere holds no folder NAME/raw"),
        (["--task=nowhere:task"], 1, "cannot be loaded: ModuleNotFoundError"),
        (["--rates=cubic"], 2, "'cubic' is not a way to choose rates: choose from tuned, fixed"),
        (["--seeds=1"], 2, "'1' is not a whole number of at least 2"),
        (["--time-limit=0"], 2, "'0' is not a number above 0"),
        (["--max-epochs=0"], 2, "'0' is not a whole number from 1"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(known, capsys, words, code, sentence):
    """Senseless options are an error before any measurement; the code is argparse's 2, or 1."""
    try:
        ended = known(*words)
    except SystemExit as exit_:  # argparse's own refusals
        ended = exit_.code

    assert ended == code
    assert sentence in capsys.readouterr().err


def test_without_a_compiler_the_command_says_so(known, capsys, monkeypatch):
    """A command whose engine cannot compile ends with an error, and tries no slower engine."""

    def fail(*_):
        raise UnavailableError("no working compiler here")

    monkeypatch.setattr(Eager, "prepare", fail)

    assert known("--engines=eager") == 1
    assert capsys.readouterr().err == "error: no working compiler here\n"


def test_ctrl_c_keeps_the_trainings_that_have_ended(tmp_path):
    """After Ctrl-C, the exit code is 130, and the file holds the trainings that have ended."""
    (tmp_path / "signs.py").write_text(TASK)
    runs = tmp_path / "runs.jsonl"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "bench", "sweet-spot", f"--task={tmp_path / 'signs.py'}"),
            *("--threads=1", f"--runs={runs}", "--target-accuracy=1", "--max-epochs=500"),
        ],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not (runs.exists() and len(trainings(tmp_path)) > 1):
        time.sleep(0.1)

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert errors.endswith("interrupted\n")
    assert "Traceback" not in errors
    assert len(trainings(tmp_path)) > 1


def test_a_figure_of_times_that_cannot_be_told_is_drawn_without_curves(tmp_path):
    """A busy machine must not end a search in a traceback."""
    file, vague = tmp_path / "figure.svg", Estimate(value=0.01, low=1e-4, high=1.0)

    for curves in ({"eager": {16: vague, 32: vague}}, {}):
        figure.draw(file, "engine", curves, goal="test accuracy 0.9")

    assert file.read_text().startswith("<svg")
