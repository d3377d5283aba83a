"""python -m bench sweet-spot, as its users call it: steps that are known, seconds measured here."""

import functools
import re

import pytest

from bench import __main__ as bench_main
from bench.best import sweet_spot
from bench.best.reference import Reference
from tests import idx, study

TARGET = 0.05  # for labels that mean nothing, guessing reaches it at the first evaluation


@pytest.fixture
def words(tmp_path, monkeypatch):
    """Options for a small random data set, and a study of it that says 20 steps at the least."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=300, test=200)
    found = study.findings(data="KMNIST", target=TARGET, scale=0.02)
    monkeypatch.setattr(Reference, "shipped", lambda: found)
    short = functools.partial(sweet_spot.predict, seconds=0.2, processes=2)
    monkeypatch.setattr(sweet_spot, "predict", short)
    return [f"--data-root={tmp_path}", f"--target-accuracy={TARGET}", "--threads=1"]


def main(*words):
    """Run the command."""
    return bench_main.main(["sweet-spot", *words])


def flat(text):
    """Without line breaks."""
    return re.sub(r"\s+", " ", text)


def test_it_predicts_trains_and_draws(words, tmp_path, capsys):
    """A table and sentences for each engine, and a figure of both."""
    figure = tmp_path / "figure.png"

    code = main(*words, "--engines=eager,native", f"--figure={figure}")

    output = capsys.readouterr().out
    assert code == 0
    assert output.startswith("KMNIST, cpu, 1 threads: to test accuracy 0.05")
    assert "Steps are those of a study of KMNIST, 2026-01-02, commit 0123456; " in output
    for engine in ("eager", "native"):
        assert f"is predicted to train fastest with the {engine} engine: " in output
    assert output.count("in 95 % of the draws.") == 2
    assert output.count("What usual choices would take: ") == 2
    assert flat(output).count("with 5 seeds that had no part in this: ") == 2
    assert len(re.findall(r"│ +best │", output)) == 2
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        (["--lr=0.2"], 2, "error: --lr is for the race of whole trainings: add --search"),
        (["--max-epochs=3"], 2, "error: --max-epochs is for the race of whole trainings"),
        (["--target-accuracy=0.5"], 1, "accuracy 0.5 are not known, only those to 0.05: choose"),
        (["--figure=figure.doc"], 2, "'figure.doc' is no figure: name a file that ends in .png"),
        (["--data-root=nowhere"], 1, "error: nowhere holds no folder NAME/raw"),
    ],
    ids=["rate", "epochs", "target", "figure", "data"],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(words, capsys, more, code, sentence):
    """Before anything is measured."""
    try:
        ended = main(*words, *more)
    except SystemExit as exit_:  # argparse's own refusals
        ended = exit_.code

    assert ended == code
    assert sentence in capsys.readouterr().err


def test_other_data_than_the_studys_is_for_the_search(words, monkeypatch, capsys):
    """Its steps are not known."""
    monkeypatch.setattr(Reference, "shipped", lambda: study.findings(target=TARGET))

    assert main(*words) == 1
    assert "known for MNIST, not for KMNIST: race whole trainings with --search" in (
        capsys.readouterr().err
    )
