"""What a study found, as it is kept and told."""

import io
import json
import re

import pytest
from rich.console import Console

from bench import __main__ as bench_main
from bench.printing import show
from bench.study import check, reference, trial, words
from bench.study.ledger import LedgerError
from bench.study.reference import Reference
from bench.study.trial import Setting, Task
from tests.study import TARGET, findings, rate_at


def told(found):
    """All tables and sentences, as text."""
    console = Console(file=io.StringIO(), width=100)
    show(words.report(found), console)
    return console.file.getvalue()


def test_what_is_kept_is_what_was_found():
    """A line for each group of runs."""
    found = findings()

    text = reference.as_text(found)

    assert Reference.parse(text, "a.json") == found
    assert len(text.splitlines()) == len(found.fresh) + 4


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"study": {}, "tuned": {}, "fresh": [1]}'])
def test_a_file_that_is_no_summary_is_refused(text):
    """By its name."""
    with pytest.raises(LedgerError, match=r"a\.json is no summary of a study"):
        Reference.parse(text, "a.json")


def test_the_laws_of_steps_and_of_rates_are_told():
    """With their intervals, their misfits, and how they predict a size that was left out."""
    text = told(findings())

    smallest, critical = re.search(r"S_min ([\d,.e+]+) .*, B_crit ([\d.]+) \(", text).groups()
    assert float(smallest.replace(",", "")) == pytest.approx(1000, rel=0.05)
    assert float(critical) == pytest.approx(20, rel=0.1)
    assert "The seeds' spread explains its misfits" in text
    assert re.search(r"A size predicted from the others is off by \d% in the median, \d% at", text)
    assert "lr_max 2 (2 to 2), B_noise 20 (20 to 20)" in text


def test_a_target_that_was_not_reached_has_a_bound():
    """That of the run that went on for the longest."""
    text = told(findings())

    assert re.search(r"> 3,\d\d\d │$", text, re.MULTILINE)  # at the fixed rate


def test_runs_are_found_by_set_and_rate():
    """A seed that did not try the target is not there."""
    found = findings()
    few = found.fresh[0].model_copy(update={"bounds": {TARGET: [(90, 100)], 0.9: [(1, 2)] * 6}})

    runs = found.model_copy(update={"fresh": [few]}).runs(TARGET, judged_on="validation")

    assert runs == {1: {100: (90, 100)}}


def test_the_study_of_the_package_is_whole():
    """Each target has a tuned rate inside its grid, and twenty fresh seeds, at each size."""
    found = Reference.shipped()

    assert json.loads(reference.as_text(found))["study"]["dirty"] is False
    assert set(found.tuned) == {0.9, 0.93, 0.95, 0.97}
    for target, tuned in found.tuned.items():
        assert [one.batch_size for one in tuned] == [2**power for power in range(11)]
        assert all(one.is_interior for one in tuned)
        for judge in ("validation", "test"):
            runs = found.runs(target, judged_on=judge)
            assert [len(runs[one.batch_size]) for one in tuned] == [20] * 11


@pytest.fixture(scope="module")
def steps_here(mnist):
    """Of a run of the study, on this machine."""
    setting = Setting(judged_on="test", batch_size=64, learning_rate=rate_at(64), seed=100)
    task = Task(setting=setting, targets=(TARGET,), most_steps=5000)
    return trial.train(task, mnist).steps_to(TARGET)


@pytest.mark.parametrize(("factor", "agrees"), [(1, True), (1.03, True), (1.1, False)])
def test_a_run_of_the_study_is_checked_on_this_machine(mnist, steps_here, factor, agrees):
    """It agrees if it takes the same steps, up to one evaluation."""
    found = findings()
    there = round(steps_here * factor)
    groups = [
        each.model_copy(update={"bounds": {TARGET: [(1, there)] * 6}})
        if (each.batch_size, each.learning_rate) == (64, rate_at(64))
        else each
        for each in found.fresh
    ]

    (checked,) = check.check(found.model_copy(update={"fresh": groups}), mnist, batch_sizes=[64])

    assert checked.steps_here == steps_here
    assert checked.agrees == agrees
    assert ("train differently" in words.checked(checked)) != agrees


def test_a_summary_of_no_study_is_refused(tmp_path, capsys):
    """The package's own is there already."""
    assert bench_main.main(["steps", f"--summary={tmp_path / 'summary.json'}"]) == 2
    assert "error: --summary is of a study that is made: name its FILE" in capsys.readouterr().err
