"""python -m bench sweet-spot as its users call it: known steps times seconds, or a race."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__ as bench_main
from bench.best import sweet_spot_command
from bench.best.reference import Reference
from mnist_mlp.engines.eager import Eager
from mnist_mlp.engines.engine import UnavailableError
from tests import idx, study

TARGET = 0.05  # for labels that mean nothing, guessing reaches it at the first evaluation


@pytest.fixture
def main(tmp_path, monkeypatch):
    """Run the command on a small random data set, with a study of it that says 20 steps or more."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=300, test=200)
    known = study.findings(data="KMNIST", target=TARGET, scale=0.02)
    monkeypatch.setattr(Reference, "shipped", lambda: known)
    monkeypatch.setattr(sweet_spot_command, "SECONDS", 0.2)
    monkeypatch.setattr(sweet_spot_command, "PROCESSES", 2)
    fixed = f"--data-root={tmp_path}", f"--target-accuracy={TARGET}", "--threads=1"
    return lambda *words: bench_main.main(["sweet-spot", "--engines=eager", *fixed, *words])


def flat(text):
    """Without line breaks."""
    return re.sub(r"\s+", " ", text)


def test_it_predicts_trains_and_draws(main, tmp_path, capsys):
    """A table and sentences for each engine, and a figure of both."""
    figure = tmp_path / "figure.png"

    code = main("--engines=eager,native", f"--figure={figure}")

    output = flat(capsys.readouterr().out)
    assert code == 0
    assert output.startswith("KMNIST, cpu, 1 threads: to test accuracy 0.05")
    assert "of a study of KMNIST, 2026-01-02, commit 0123456, 6 seeds per size; " in output
    for engine in ("eager", "native"):
        assert f"is predicted to train fastest with the {engine} engine: " in output
    assert output.count("What usual choices take, in times of the best: ") == 2
    assert output.count("with 5 seeds that had no part in the choice: median ") == 2
    assert output.count(" best ") >= 2
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_race_prints_its_runs_and_confirms_the_fastest(main, capsys):
    """A target that guessing reaches makes it short."""
    code = main("--search", "--target-accuracy=0.01", "--time-limit=60")

    output = capsys.readouterr().out
    assert code == 0
    assert output.startswith("KMNIST, eager engine, cpu, ")
    for rule in ("tuned", "fixed"):
        assert f"{rule} rate, batch size 16, seed 0: reached " in output
    assert "with 5 seeds that had no part in the choice: 5 reached the target" in flat(output)
    assert "time was up" not in output


def test_a_run_of_a_race_ends_with_the_last_of_its_epochs(main, capsys):
    """For labels that mean nothing, 0.9 is out of reach."""
    words = ["--max-epochs=2", "--lr-rules=fixed", "--seeds=0", "--target-accuracy=0.9"]
    code = main("--search", *words)

    output = capsys.readouterr().out
    assert code == 0
    assert "threads: to test accuracy 0.9 in at most 2 epochs" in output
    assert "fixed rate, batch size 4, seed 0: not reached, at " in output
    assert "150 steps" in output
    assert "that had no part in the choice" not in flat(output)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--lr=0.2"], 2, "error: --lr is for the race of whole trainings: add --search"),
        (["--max-epochs=3"], 2, "error: --max-epochs is for the race of whole trainings"),
        (["--target-accuracy=0.5"], 1, "accuracy 0.5 are not known, only those to 0.05: choose"),
        (["--figure=figure.doc"], 2, "'figure.doc' is no figure: name a file that ends in .png"),
        (["--data-root=nowhere"], 1, "error: nowhere holds no folder NAME/raw"),
        (["--search", "--data-root=nowhere"], 1, "error: nowhere holds no folder NAME/raw"),
        (["--search", "--time-limit=1e-9"], 1, "no run ended within 1e-09 s: allow more with"),
        (["--lr-rules=cubic"], 2, "'cubic' is no learning rate rule: choose from fixed, linear"),
        (["--seeds=0,0"], 2, "'0,0' names a value twice"),
        (["--time-limit=0"], 2, "'0' is not a number above 0"),
        (["--max-epochs=0"], 2, "'0' is not a whole number from 1"),
        (["--search", "--engines=eager,native"], 2, "--search takes one engine and draws no fig"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(main, capsys, words, code, sentence):
    """Before anything is measured; the exit code is that of the command line, or 1."""
    try:
        ended = main(*words)
    except SystemExit as exit_:  # argparse's own refusals
        ended = exit_.code

    assert ended == code
    assert sentence in capsys.readouterr().err


def test_other_data_than_the_studys_is_for_the_search(main, monkeypatch, capsys):
    """Its steps are not known."""
    monkeypatch.setattr(Reference, "shipped", lambda: study.findings(target=TARGET))

    assert main() == 1
    assert "known for MNIST, not for KMNIST: race whole trainings with --search" in (
        capsys.readouterr().err
    )


def test_without_a_compiler_the_command_says_so(main, capsys, monkeypatch):
    """And falls back to nothing slower."""

    def fail(*_):
        raise UnavailableError("no working compiler here")

    monkeypatch.setattr(Eager, "prepare", fail)

    assert main("--search") == 1
    assert capsys.readouterr().err == "error: no working compiler here\n"


def test_ctrl_c_prints_what_is_there(tmp_path):
    """Exit code 130, no traceback."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=2_000, test=500)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "bench", "sweet-spot", "--search"),
            *(f"--data-root={tmp_path}", "--engines=eager", "--threads=1"),
        ],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.stdout.readline()

    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "test accuracy 0.95" in output  # the answer, from what there is
    assert errors.endswith("interrupted\n")
    assert "Traceback" not in errors
