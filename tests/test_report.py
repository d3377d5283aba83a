"""python -m bench report: saved runs to a page that needs nothing else."""

import html
import json
import os
import re

import numpy as np
import pytest

from bench import __main__ as bench_main
from bench.runs import files
from tests import browser
from tests.runs import case, saved, traced, training

SIZES = (1, 16, 256)
FIGURES = ("epoch-time", "time-to-target", "accuracy", "steps-to-target", "memory")
HOSTILE = "<script>alert(1)</script>"


def step(batch_size, **info):
    """A step of 100 us and 10 us a sample."""
    return case("step", batch_size, 1e-4 + 1e-5 * batch_size, **info)


def epoch(batch_size, **info):
    """The epoch of such steps."""
    peak = {"peak_memory_bytes": 1_000_000 * batch_size}
    return case("epoch", batch_size, 60_000 / batch_size * 1e-4 + 0.6, **(peak | info))


def whole_run(*, engine="eager"):
    """Something for every figure: a fixed rate that misses at 256, and one that grows."""
    return saved(
        *(step(size, engine=engine) for size in SIZES),
        *(epoch(size, engine=engine) for size in SIZES),
        *(traced(size, 3.0 + size / 100, seed=seed, reached=size < 256)
          for size in SIZES for seed in (0, 1)),
        *(traced(size, 1 + 20 / size + seed / 10, seed=seed, lr_rule="noise-limited")
          for size in SIZES for seed in (0, 1)),
    )  # fmt: skip


@pytest.fixture
def make(tmp_path, capsys):
    """Save runs by name, report on them, and give the exit code, the page and what was printed."""

    def make(runs, *options):
        files = [tmp_path / name for name in runs]
        for file, run in zip(files, runs.values(), strict=True):
            file.parent.mkdir(exist_ok=True)
            file.write_text(run if isinstance(run, str) else json.dumps(run))
        page = tmp_path / "report.html"
        code = bench_main.main(["report", *map(str, files), "-o", str(page), *map(str, options)])
        return code, page, "".join(capsys.readouterr())

    return make


def test_tables_sentences_and_machine_are_the_files(make):
    """Medians read as the suite prints them elsewhere."""
    code, page, said = make({"one.json": whole_run()})
    text = page.read_text()

    assert (code, said) == (0, f"wrote {page}\n")
    for number in ("975 ms", "61,538", "256.0 MB", "2 of 2 seeds", "3.01 s to 3.01 s"):
        assert f"<td>{number}</td>" in text
    assert "batch size 256 reached test accuracy 0.95 first" in text
    assert "An Abacus 9000" in text
    assert len(text) < 5_000_000


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A page whose file and engine are named by an enemy, in a browser."""
    folder = tmp_path_factory.mktemp("shown")
    run, page = folder / "<img src=x onerror=alert(2)>.json", folder / "report.html"
    everything = whole_run()
    everything["benchmarks"] += whole_run(engine=HOSTILE)["benchmarks"][: 2 * len(SIZES)]
    run.write_text(json.dumps(everything))
    assert bench_main.main(["report", str(run), "-o", str(page)]) == 0
    return browser.show(page)


def marks(document, figure, kind="point"):
    """What the marks of a figure say of themselves to a screen reader."""
    drawn = document.partition(f'<div id="{figure}"')[2].partition("</figure>")[0]
    labels = re.findall(rf'aria-label="([^"]*)"[^>]*aria-roledescription="{kind}"', drawn)
    return [html.unescape(label) for label in labels]


@browser.needs_browser
def test_a_browser_draws_every_figure_and_has_nothing_to_complain_of(shown):
    """Not of a script, and not of something it was kept from fetching."""
    drawn = {figure: len(marks(shown.document, figure)) for figure in FIGURES}

    assert shown.console == []
    assert drawn == {
        "epoch-time": 6,
        "time-to-target": 7,  # five medians, and two seeds that missed
        "accuracy": 18,
        "steps-to-target": 7,
        "memory": 6,
    }


@browser.needs_browser
@pytest.mark.parametrize(
    "lone", [epoch(64), training(64, 1.0, reached=False)], ids=["epoch", "miss"]
)
def test_a_single_case_is_enough(make, lone):
    """Where no law can be fitted, and no median be drawn."""
    _, page, _ = make({"one.json": saved(lone)})
    shown = browser.show(page)

    assert shown.console == []
    assert sum(len(marks(shown.document, figure)) for figure in FIGURES) == 2


@browser.needs_browser
def test_a_drawn_mark_stands_at_the_files_numbers(shown):
    """Where a screen reader finds it."""
    label = (
        "batch size (samples a step): 16; seconds an epoch: 0.975; engine: eager; batch size: 16;"
    )

    assert any(mark.startswith(label) for mark in marks(shown.document, "epoch-time"))


@browser.needs_browser
def test_a_script_that_is_not_the_pages_own_does_not_run(make):
    """Even if one got into it."""
    _, page, _ = make({"one.json": saved(epoch(64))})
    owned = '<img src=x onerror="document.title = 1"><script>document.title = "owned"</script>'
    before, end, after = page.read_text().rpartition("</body>")
    page.write_text(before + owned + end + after)

    shown = browser.show(page)

    assert "<title>Batch size and training time</title>" in shown.document
    assert sum("Content Security Policy" in line for line in shown.console) >= 2
    assert len(marks(shown.document, "epoch-time")) == 1


@browser.needs_browser
def test_names_in_a_file_are_shown_as_text(shown):
    """In a sentence, in a table and in a legend."""
    assert "<img" not in shown.document.partition("<script>")[0]
    assert "<h3>&lt;img src=x onerror=alert(2)&gt;.json</h3>" in shown.document
    assert f"<td>{html.escape(HOSTILE)}</td>" in shown.document
    assert f">{html.escape(HOSTILE)}</text>" in shown.document


@browser.needs_browser
def test_a_page_is_dark_where_its_reader_wants_it_dark(make):
    """And light where not; the figures are written in its ink either way."""
    _, page, _ = make({"one.json": saved(epoch(1), epoch(16))})
    dark, light = (
        browser.photograph(page, scheme=scheme) for scheme in (browser.DARK, browser.LIGHT)
    )

    assert np.median(dark) < 50
    assert np.median(light) > 200
    assert (dark > 200).sum() > 1000
    assert (light < 50).sum() > 1000


def test_a_figure_without_cases_is_left_out_and_says_what_makes_them(make):
    """A run of epochs alone trains to no target."""
    _, page, _ = make({"one.json": saved(epoch(1), epoch(16))})
    text = page.read_text()

    assert [f'<div id="{name}">' in text for name in FIGURES] == [True, False, False, False, True]
    assert text.count("bench/test_convergence.py</code> makes them") == 3
    assert "Nothing was trained to a target" in text


def test_runs_whose_files_share_a_name_are_told_apart_by_their_folders(make):
    """Others are named by their files alone, and a run given twice is one."""
    run = saved(epoch(1), epoch(16))
    _, page, _ = make({"a/run.json": run, "b/run.json": run, "c.json": run, "b/../c.json": run})

    names = re.findall("<h3>(.*)</h3>", page.read_text())
    assert names == [f"{page.parent}/a/run.json", f"{page.parent}/b/run.json", "c.json"]


def test_pictures_are_the_figures_on_white(make, tmp_path):
    """Those that were drawn, by name."""
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
        ("[]", "is no run that pytest-benchmark saved"),
        ({"benchmarks": []}, "is no run that pytest-benchmark saved"),
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
    """And nothing is written."""
    code, page, said = make({"run.json": run})

    assert code == 1
    assert re.fullmatch(rf"error: .*run\.json .*{re.escape(words)}.*\n", said)
    assert not page.exists()


def test_a_missing_file_is_refused_in_a_sentence(tmp_path, capsys):
    """The newest run isn't taken for it."""
    code = bench_main.main(
        ["report", str(tmp_path / "none.json"), "-o", str(tmp_path / "report.html")]
    )

    assert code == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/none.json cannot be read: No such file or directory\n"
    )


@pytest.mark.parametrize("option", ["-o", "--png"])
def test_what_cannot_be_written_is_told_and_leaves_nothing(make, tmp_path, option):
    """A picture that has no place leaves no page, either."""
    where = tmp_path / "one.json" / "there"
    code, page, said = make({"one.json": saved(epoch(1), epoch(16))}, option, where)

    assert code == 1
    assert said == (
        f"error: {where} cannot be written: its folder is a file; the file does not exist\n"
    )
    assert not page.exists()
    assert [file.name for file in tmp_path.iterdir()] == ["one.json"]


def test_without_a_file_the_newest_saved_run_is_taken(tmp_path, monkeypatch):
    """From pytest-benchmark's storage, where pytest was started."""
    monkeypatch.chdir(tmp_path)
    folder = files.STORAGE / "Linux-CPython-3.11-64bit"
    folder.mkdir(parents=True)
    for name in ("0002_new.json", "0001_old.json"):
        (folder / name).write_text(json.dumps(saved(epoch(16))))
    os_time = (folder / "0002_new.json").stat().st_mtime

    os.utime(folder / "0001_old.json", (os_time - 60, os_time - 60))

    assert files.newest() == folder / "0002_new.json"


def test_without_a_file_and_without_a_saved_run_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    """In a sentence."""
    monkeypatch.chdir(tmp_path)

    assert bench_main.main(["report"]) == 1
    assert "`pytest --benchmark-only --benchmark-autosave`" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
