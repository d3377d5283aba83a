"""python -m bench report: saved runs to a page that needs nothing else."""

import html
import json
import os
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import __main__ as bench_main
from bench.report import charts, rows, verdict
from bench.runs import files
from tests import browser
from tests.runs import SIZES, case, epoch, measured, saved, training, whole_run

FIGURES = (
    *("epoch-time", "time-to-target", "accuracy-1", "accuracy-2"),
    *("steps-to-target", "memory"),
)
TRENDS = ("step-trend-16", "epoch-trend-16")
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def make(tmp_path, capsys):
    """Save runs by name, report on them, and give the exit code, the page and what was printed."""

    def make(runs, *options):
        files = [tmp_path / name for name in runs]
        for file, run in zip(files, runs.values(), strict=True):
            file.parent.mkdir(exist_ok=True)
            if run:
                file.write_text(run if isinstance(run, str) else json.dumps(run))
        page = tmp_path / "report.html"
        code = bench_main.main(["report", *map(str, files), "-o", str(page), *map(str, options)])
        return code, page, "".join(capsys.readouterr())

    return make


def test_a_page_has_the_tables_sentences_and_machine_of_its_run(make):
    """Medians read as in the suite's summary."""
    code, page, output = make({"one.json": whole_run()})
    text = page.read_text()

    assert (code, output) == (0, f"wrote {page}\n")
    for number in ("975 ms", "61,538", "256.0 MB", "2 of 2 seeds", "3.01 s to 3.01 s"):
        assert f"<td>{number}</td>" in text
    assert "batch size 256 trained fastest to test accuracy 0.95" in text
    assert "An Abacus 9000" in text
    assert "16 GB" in text
    assert len(text) < 5_000_000


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A page in a browser whose file name and engine name are an attack."""
    folder = tmp_path_factory.mktemp("shown")
    run, page = folder / "<img src=x onerror=alert(2)>.json", folder / "report.html"
    everything = whole_run()
    everything["benchmarks"] += whole_run(engine=HOSTILE)["benchmarks"][: 2 * len(SIZES)]
    run.write_text(json.dumps(everything))
    assert bench_main.main(["report", str(run), "-o", str(page)]) == 0
    return browser.show(page)


def marks(document, figure):
    """The text that a screen reader reads for each point of a figure."""
    drawn = document.partition(f'<div id="{figure}"')[2].partition("</figure>")[0]
    labels = re.findall(r'aria-label="([^"]*)"[^>]*aria-roledescription="point"', drawn)
    return [html.unescape(label) for label in labels]


@browser.needs_browser
def test_a_browser_draws_every_figure_without_a_complaint(shown):
    """A screen reader gets the numbers of the file, and no script or fetch is refused."""
    document, console = shown
    drawn = {figure: marks(document, figure) for figure in FIGURES}
    label = "batch size (samples per step): 16; seconds per epoch: 0.975; engine: eager; batch size"

    assert console == []
    assert any(mark.startswith(label) for mark in drawn["epoch-time"])
    assert {figure: len(found) for figure, found in drawn.items()} == {
        "epoch-time": 6,
        "time-to-target": 7,  # five medians, and two seeds that missed
        "accuracy-1": 9,
        "accuracy-2": 9,
        "steps-to-target": 7,
        "memory": 6,
    }


@browser.needs_browser
@pytest.mark.parametrize(
    "lone", [epoch(64), training(64, 1.0, reached=False)], ids=["epoch", "miss"]
)
def test_a_single_case_is_enough(make, lone):
    """A page is made even where no law can be fitted and no median exists."""
    _, page, _ = make({"one.json": saved(lone)})
    document, console = browser.show(page)

    assert console == []
    assert sum(len(marks(document, figure)) for figure in FIGURES) == 2


@browser.needs_browser
def test_a_script_that_is_not_the_pages_own_does_not_run(make):
    """The content security policy stops a script that got into the page."""
    _, page, _ = make({"one.json": saved(epoch(64))})
    owned = '<img src=x onerror="document.title = 1"><script>document.title = "owned"</script>'
    before, end, after = page.read_text().rpartition("</body>")
    page.write_text(before + owned + end + after)

    document, console = browser.show(page)

    assert "<title>Batch size and training time</title>" in document
    assert sum("Content Security Policy" in line for line in console) >= 2
    assert len(marks(document, "epoch-time")) == 1


@browser.needs_browser
def test_names_in_a_file_are_shown_as_text(shown):
    """Markup in a name is escaped in a table and in a legend."""
    document, _ = shown

    assert "<img" not in document.partition("<script>")[0]
    assert "<td>&lt;img src=x onerror=alert(2)&gt;.json, 2026-01-01 00:00</td>" in document
    assert f"<td>{html.escape(HOSTILE)}</td>" in document
    assert f">{html.escape(HOSTILE)}</text>" in document


@browser.needs_browser
def test_a_page_is_dark_where_its_reader_wants_it_dark(make):
    """It is light otherwise, and the text of figures has the colour of the page's text."""
    _, page, _ = make({"one.json": saved(epoch(1), epoch(16))})
    dark, light = (browser.photograph(page, scheme=scheme) for scheme in ("dark", "light"))

    assert np.median(dark) < 50
    assert np.median(light) > 200
    assert (dark > 200).sum() > 1000
    assert (light < 50).sum() > 1000


def test_a_figure_without_cases_is_left_out_and_says_what_makes_them(make):
    """A run of epochs alone trains to no target."""
    _, page, _ = make({"one.json": saved(epoch(1), epoch(16))})
    text = page.read_text()

    drawn = [name for name in FIGURES if f'<div id="{name}">' in text]
    assert drawn == ["epoch-time", "memory"]
    assert text.count("bench/test_convergence.py</code> makes them") == 3
    assert "Nothing was trained to a target" in text


def test_runs_whose_files_share_a_name_are_told_apart_by_their_folders(make):
    """Other runs are named by their files alone, and a file that is given twice is read once."""
    run = saved(epoch(1), epoch(16))
    _, page, _ = make({"a/run.json": run, "b/run.json": run, "c.json": run, "b/../c.json": run})

    (cell,) = re.findall("<td>(.*json.*)</td>", page.read_text())
    names = [name.partition(",")[0] for name in cell.split("; ")]
    assert names == [f"{page.parent}/a/run.json", f"{page.parent}/b/run.json", "c.json"]


def test_pictures_are_the_figures_on_white(make, tmp_path):
    """Each figure with data becomes a file of its name."""
    code, _, _ = make({"one.json": whole_run()}, "--png", tmp_path / "pictures")
    pictures = {file.stem: file for file in (tmp_path / "pictures").iterdir()}

    assert code == 0
    assert set(pictures) == set(FIGURES)
    for file in pictures.values():
        assert browser.brightness(file)[0, 0] == 255


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        (None, "cannot be read: No such file or directory"),
        ("[]", "is not a run that pytest-benchmark saved"),
        (saved(case("peers", 16)), "holds no step, epoch or training to a target"),
        (saved(epoch(16, engine=None)), "holds a case that this suite did not save: test_epoch["),
        (saved(epoch(16, engine=[1])), "has engine [1]: input should be a valid string"),
        (saved(case("epoch", None)), "test_epoch[engine=eager-batch_size=None] has no batch_size"),
        (saved(case("epoch", 16, -1)), "has seconds -1: input should be greater than"),
        (saved({"name": "test_epoch"}), "a case has no name, no stats with a median or no extra"),
        (saved(training(16, 1.0, trace=[[1]])), "has trace 0 1 [1]: field required"),
    ],
)
def test_a_file_that_is_no_run_is_refused_in_a_sentence(make, run, words):
    """A refused file leaves no page."""
    code, page, output = make({"run.json": run})

    assert code == 1
    assert re.fullmatch(rf"error: .*run\.json .*{re.escape(words)}.*\n", output)
    assert not page.exists()


@pytest.mark.parametrize("option", ["-o", "--png"])
def test_a_place_that_cannot_be_written_to_is_an_error_and_leaves_nothing(make, tmp_path, option):
    """If a picture cannot be written, the page is not written either."""
    where = tmp_path / "one.json" / "there"
    code, page, output = make({"one.json": saved(epoch(1), epoch(16))}, option, where)

    assert code == 1
    assert output == (
        f"error: {where} cannot be written: its folder is a file; the file does not exist\n"
    )
    assert not page.exists()
    assert [file.name for file in tmp_path.iterdir()] == ["one.json"]


def test_without_a_file_the_newest_saved_run_is_taken(tmp_path, monkeypatch, capsys):
    """Without a saved run in pytest-benchmark's storage an error says how to save one."""
    monkeypatch.chdir(tmp_path)
    assert bench_main.main(["report"]) == 1
    assert "`pytest --benchmark-only --benchmark-autosave`" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())

    newest, oldest = (files.STORAGE / "Linux-CPython-3.11-64bit" / name for name in "ab")
    for seconds, file in enumerate((oldest, newest)):
        file.mkdir(parents=True)
        (file / "run.json").touch()
        os.utime(file / "run.json", (seconds, seconds))

    assert files.newest() == newest / "run.json"


def figures_of(cases):
    """The figures by name."""
    return {figure.name: figure for figure in charts.figures(cases)}


def test_a_seed_that_missed_is_hollow_at_the_time_it_spent():
    """The median counts it as slower than every seed that reached the target."""
    cases = measured(
        *(training(16, 3.0), training(16, 4.0, seed=1), training(16, 2.0, seed=2, reached=False)),
        *(training(64, 5.0, reached=False), training(64, 3.0, seed=1)),
    )
    figures = figures_of(cases)
    figure = figures["time-to-target"]
    (hollow,) = (
        layer
        for layer in figure.chart.to_dict()["layer"]
        if layer["mark"] == {"type": "point", "filled": False}
    )

    medians = [
        (row["batch size"], row["seconds"], row["median"], row["over seeds"], row["reached by"])
        for row in figure.rows
    ]
    assert medians == [
        (16, 4.0, "4 s", "2 s to 4 s", "2 of 3 seeds"),
        (64, None, "not reached", "3 s to 5 s", "1 of 2 seeds"),
    ]
    assert [(row["least"], row["most"]) for row in figure.rows] == [(2.0, 4.0), (3.0, 5.0)]
    assert [row["seconds"] for row in hollow["data"]["values"]] == [2.0, 5.0]
    assert figures["accuracy"].chart is None, "no training has a trace"


@given(st.sets(st.integers(1, 60_000), min_size=1))
def test_a_colour_is_left_for_every_batch_size_that_is_traced(batch_sizes):
    """The smallest and the largest are among them."""
    chosen = rows.spread_out(batch_sizes)

    assert chosen == sorted(set(chosen) & batch_sizes)
    assert {chosen[0], chosen[-1]} == {min(batch_sizes), max(batch_sizes)}
    assert len(chosen) == min(len(batch_sizes), rows.TRACED_BATCH_SIZES)


def days(*factors):
    """Runs by name, one per day and commit; all times of a run are multiplied by its factor."""
    runs = {}
    for day, factor in enumerate(factors, 1):
        cases = [case("step", 16, 0.001 * factor), case("epoch", 16, 4.0 * factor, engine="native")]
        for timed in cases:
            median = timed["stats"]["median"]
            timed["stats"] |= {"q1": 0.99 * median, "q3": 1.01 * median, "rounds": 5}
        trainings = [training(16, factor * (3 + seed / 10), seed=seed) for seed in range(3)]
        run = saved(*cases, *trainings, when=f"2026-01-0{day}T10:00:00")
        runs[f"{day}.json"] = run | {"commit_info": {"id": f"{day}" * 40, "dirty": day == 1}}
    return runs


@browser.needs_browser
def test_three_runs_make_a_trend_by_date_and_commit(make):
    """A browser draws a point for each run, and labels it by date and commit."""
    _, page, _ = make(days(1.0, 1.005, 1.5))
    document, console = browser.show(page)

    assert console == []
    assert [len(marks(document, figure)) for figure in TRENDS] == [3, 3]
    for label in ("01-01 1111111+", "01-03 3333333"):
        assert f">{label}</text>" in document


def test_runs_are_compared_newest_first_and_real_moves_marked(make):
    """A time is marked where its spread does not overlap the spread of the next older run."""
    _, page, _ = make(days(1.0, 1.005, 1.5))
    text = page.read_text()

    assert "<td>1.5 ms (+49 %)</td><td>1 ms</td><td>1 ms</td>" in text
    assert "<td>6 s (+49 %)</td><td>4.02 s</td><td>4 s</td>" in text
    assert "<td>4.65 s at 16 (+49 %)</td><td>3.12 s at 16</td><td>3.1 s at 16</td>" in text
    assert text.index("2026-01-03 10:00 3333333") < text.index("2026-01-01 10:00 1111111+")
    assert text.count("49 %)") == 3


def test_two_runs_make_no_trend(make):
    """Two runs are compared in tables alone."""
    _, page, _ = make(days(1.0, 1.5))

    assert "(+50 %)" in page.read_text()
    assert not any(f'<div id="{name}">' in page.read_text() for name in TRENDS)


def row_of(*trainings):
    """The row of the verdict for one run of trainings."""
    (row,) = verdict.verdict(measured(*trainings))
    return row


def test_the_verdict_names_the_best_batch_size_its_rivals_and_the_cost_of_common_ones():
    """The cost at 32 is interpolated between 16 and 64 on a logarithmic scale."""
    seconds = {16: (1.0, 1.2, 1.4), 64: (4.0, 4.8, 5.0), 256: (2.4, 2.4, 2.4), 4: (1.3, 1.5, 1.6)}
    row = row_of(
        *(
            training(size, time, seed=seed)
            for size, times in seconds.items()
            for seed, time in enumerate(times)
        )
    )

    assert row["best batch size"] == "16"
    assert row["time to target"] == "1.2 s"
    assert row["over seeds"] == "1 s to 1.4 s"
    assert row["too close to call"] == "4"
    assert (row["at 32"], row["at 256"]) == ("about 2.0 times", "2.0 times")


def test_the_verdict_of_trainings_that_all_missed_names_the_closest():
    """No batch size is the best where none reached the target."""
    row = row_of(
        *(training(16, 2.0, reached=False), training(64, 3.0, reached=False, test_score=0.94))
    )

    assert row["best batch size"] == "none"
    assert row["time to target"] == "not reached (0.940 at 64)"
    assert (row["engine"], row["learning rate"], row["at 32"]) == ("eager", "fixed", "")


def test_runs_of_different_machines_or_targets_are_not_compared(make):
    """A time that moved because the machine or the target changed has no percentage."""
    old, new, other = days(1.0, 2.0, 4.0).values()
    new["machine_info"]["torch"] = "9.9"
    for timed in other["benchmarks"]:
        timed["extra_info"]["threads"] = 1
    _, page, _ = make({"old.json": old, "new.json": new, "other.json": other})

    assert not re.search(r"\(.\d+ %\)</td>", page.read_text())
