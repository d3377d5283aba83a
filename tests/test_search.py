"""python -m bench sweet-spot --search, as its users call it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__ as bench_main
from mnist_mlp.engines.eager import Eager
from mnist_mlp.engines.engine import UnavailableError
from tests import idx

ROOT = Path(__file__).parent.parent


def main(words):
    """Run the command."""
    return bench_main.main(["sweet-spot", "--search", *words])


@pytest.fixture
def data_root(tmp_path):
    """A small random data set."""
    idx.write_dataset(tmp_path / "RandomMNIST" / "raw", train=100, test=50)
    (tmp_path / "RandomMNIST").rename(tmp_path / "KMNIST")
    return f"--data-root={tmp_path}"


def test_a_search_prints_runs_tables_and_the_answer(data_root, capsys):
    """A target that guessing reaches makes it short."""
    code = bench_main.main(
        [
            "sweet-spot",
            "--search",
            data_root,
            "--engines=eager",
            "--target-accuracy=0.01",
            "--time-limit=60",
        ]
    )

    output = capsys.readouterr().out
    assert code == 0
    assert output.startswith("KMNIST, eager engine, cpu, ")
    for rule in ("tuned", "fixed"):
        assert f"{rule}, batch size 8, seed 0: reached " in output
        assert any(line.strip() == f"{rule} learning rate" for line in output.splitlines())
    assert output.count("is fastest: ") == 2
    assert "Over all, the " in output
    assert "With 5 seeds that had no part in choosing it, batch size " in output
    assert "more to run" not in output


def test_a_search_keeps_to_its_budget(data_root, capsys):
    """A run that misses the target ends with the last of its epochs."""
    words = ["--max-epochs=2", "--lr-rules=fixed", "--seeds=0"]
    code = main([data_root, *words, "--target-accuracy=0.9"])

    output = capsys.readouterr().out
    assert code == 0
    assert "threads: to test accuracy 0.9 in at most 2 epochs" in output
    assert "fixed, batch size 8, seed 0: stopped after 2 epochs, at " in output
    assert "26 steps" in output


def test_a_target_out_of_reach_is_said_in_a_sentence(data_root, capsys):
    """For labels that mean nothing, 0.9 is."""
    code = bench_main.main(
        [
            "sweet-spot",
            "--search",
            data_root,
            "--engines=eager",
            "--target-accuracy=0.9",
            "--lr-rules=linear",
        ]
    )

    output = capsys.readouterr().out
    assert code == 0
    assert "No batch size reached test accuracy 0.9: " in output
    assert "is fastest" not in output
    assert "best" not in output


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--time-limit=1e-9"], 1, "no run ended within 1e-09 s: allow more with --time-limit"),
        (["--data-root=nowhere"], 1, "error: nowhere holds no folder NAME/raw"),
        (["--lr-rules=cubic"], 2, "'cubic' is no learning rate rule: choose from fixed, linear"),
        (["--seeds=0,0"], 2, "'0,0' names a value twice"),
        (["--time-limit=0"], 2, "'0' is not a number above 0"),
        (["--max-epochs=0"], 2, "'0' is not a whole number from 1"),
        (["--engines=eager,native"], 2, "error: --search takes one engine and draws no figure"),
    ],
    ids=[
        "no_time",
        "no_data",
        "no_rule",
        "seed_twice",
        "no_limit",
        "no_epochs",
        "two",
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(data_root, capsys, words, code, sentence):
    """With the command line's exit code, or 1."""
    try:
        ended = main([data_root, "--engines=eager", *words])
    except SystemExit as refused:
        ended = refused.code

    assert ended == code
    assert sentence in capsys.readouterr().err


def test_without_a_compiler_the_command_says_so(data_root, capsys, monkeypatch):
    """And falls back to nothing slower."""

    def fail(*_):
        raise UnavailableError("no working compiler here")

    monkeypatch.setattr(Eager, "prepare", fail)

    assert main([data_root, "--engines=eager"]) == 1
    assert capsys.readouterr().err == "error: no working compiler here\n"


def test_ctrl_c_prints_what_is_there(tmp_path):
    """Exit code 130, no traceback."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=2_000, test=500)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "bench", "sweet-spot", "--search"),
            *(f"--data-root={tmp_path}", "--engines=eager", "--threads=1"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.stdout.readline()

    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "No batch size reached test accuracy 0.95: " in output
    assert ", and ended with more to run for fixed and tuned." in output
    assert errors.endswith("interrupted\n")
    assert "Traceback" not in errors
