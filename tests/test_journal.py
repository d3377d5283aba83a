"""An interrupted run keeps what it has measured, and can be resumed."""

import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest
from pytest_benchmark.session import BenchmarkSession

from bench import __main__ as bench_main
from bench.runs import files, journal, json_lines
from bench.units import counted
from tests import idx
from tests import suite as in_process

CASES = ("bench/test_step.py", "--engines=eager", "--batch-sizes=1,2,3,4")
NUMBER = 4  # cases of a whole run
LATER = 1  # cases that a cut journal lacks
LONG = (*CASES[:2], "--batch-sizes=1,2,3,4,5,6,7,8")  # a run that lasts until it is ended


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Options of every run: 60 random images, a storage of its own, one thread."""
    folder = tmp_path_factory.mktemp("journal")
    idx.write_dataset(folder / "KMNIST" / "raw", train=60, test=20)
    storage = folder / "storage"
    return f"--data-root={folder}", f"--benchmark-storage={storage.as_uri()}", "--threads=1"


@pytest.fixture
def suite(own, tmp_path, monkeypatch):
    """Run the suite on small data, in this process and a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: in_process.run(*own, *words)


@pytest.fixture(scope="module")
def whole(own, tmp_path_factory):
    """An undisturbed run, saved, and its journal's text."""
    folder = tmp_path_factory.mktemp("whole")
    saved, kept = folder / "saved.json", folder / "kept.jsonl"
    done = in_process.run(*own, *CASES, f"--benchmark-json={saved}", f"--journal={kept}")
    assert done.code == 0, done.output
    return json.loads(saved.read_text()), kept.read_text()


@pytest.fixture
def cut(whole, tmp_path):
    """The journal of a run that was killed before its last cases."""
    file = tmp_path / "cut.jsonl"
    file.write_text("".join(whole[1].splitlines(keepends=True)[:-LATER]))
    return file


def recovered(file):
    """Return the run that `bench recover` makes of a journal."""
    out = file.with_suffix(".json")
    assert bench_main.main(["recover", str(file), "-o", str(out)]) == 0
    files.read(out)  # the report reads it so
    return json.loads(out.read_text())


def shape(case):
    """Names and fields of a case, without what differs from run to run."""
    return case["fullname"], case.keys(), case["stats"].keys(), case["extra_info"].keys()


def test_a_journal_holds_what_the_run_saved(whole, tmp_path):
    """A recovered run equals the saved run, field by field."""
    (tmp_path / "kept.jsonl").write_text(whole[1])
    run = recovered(tmp_path / "kept.jsonl")

    assert run["benchmarks"] == whole[0]["benchmarks"]
    assert run.keys() == whole[0].keys()
    varying = {"cpu": None}  # holds the clock frequency
    assert run["machine_info"] | varying == whole[0]["machine_info"] | varying


def test_a_run_goes_on_where_it_was_cut_off(whole, cut, suite, tmp_path):
    """The cases that the journal holds are not measured again; the saved run has all of them."""
    done = suite(*CASES, f"--resume={cut}", f"--benchmark-json={tmp_path / 'again.json'}")

    assert done.code == 0, done.output
    assert f"taken from {cut}: {NUMBER - LATER} cases" in done.output
    assert "incomplete" not in done.output
    assert f"{LATER} passed, {NUMBER - LATER} deselected" in done.output
    again = json.loads((tmp_path / "again.json").read_text())["benchmarks"]
    assert [shape(case) for case in again] == [shape(case) for case in whole[0]["benchmarks"]]
    assert again[: NUMBER - LATER] == whole[0]["benchmarks"][: NUMBER - LATER]
    assert recovered(cut)["benchmarks"] == again


def test_a_run_that_has_all_its_cases_is_saved(whole, suite, tmp_path):
    """A resumed run with nothing left to measure ends well, and saves its cases."""
    (tmp_path / "kept.jsonl").write_text(whole[1])
    done = suite(*CASES, "--resume=kept.jsonl", "--benchmark-json=again.json")

    assert done.code == 0, done.output
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["benchmarks"] == whole[0]["benchmarks"]


def test_a_torn_line_is_dropped_and_reported(cut, suite, capsys):
    """A line that a killed process left unfinished is dropped, and the output says so."""
    with cut.open("a") as end:
        end.write('{"name": "test_st')

    bench_main.main(["recover", str(cut), "-o", str(cut.with_suffix(".json"))])
    assert "3 cases; an incomplete last line is left out" in capsys.readouterr().out
    done = suite(*CASES, f"--resume={cut}")
    assert ": 3 cases" in done.output
    assert "an incomplete last line is dropped" in done.output
    assert len(journal.read(cut).lines) == NUMBER


def test_a_case_that_failed_is_measured_again(cut, suite):
    """A failed case is not recovered, and a resumed run measures it."""
    lines = cut.read_text().splitlines()
    lines[-1] = lines[-1].replace('"outcome":"passed"', '"outcome":"failed"')
    cut.write_text("\n".join(lines) + "\n")

    assert len(recovered(cut)["benchmarks"]) == NUMBER - LATER
    done = suite(*CASES, f"--resume={cut}")
    assert ": 2 cases" in done.output
    assert len(journal.read(cut).lines) == NUMBER


def changed(file, edit):
    """Edit the first line of a journal."""
    first, *others = file.read_text().splitlines()
    header = json.loads(first)
    edit(header)
    file.write_text("\n".join([json.dumps(header), *others]) + "\n")


@pytest.mark.parametrize(
    ("edit", "more", "words"),
    [
        (
            lambda header: header["code"].update({"mnist_mlp/engines/eager.py": "0"}),
            (),
            "differs in the code of mnist_mlp/engines/eager.py: start",
        ),
        (
            lambda header: header["machine_info"].update(logical_cores=99),
            (),
            "differs in the machine's logical_cores: 99 then, ",
        ),
        (lambda _: None, ("--lr=0.3",), "differs in options lr: 0.1 then, 0.3 now"),
        (
            lambda _: None,
            ("-k", "not 1"),
            "test_step[engine=eager-batch_size=1], which this run does not collect",
        ),
        (lambda header: header.pop("code"), (), "is not a journal of a run: name a file"),
    ],
    ids=["engine", "machine", "option", "cases", "another file"],
)
def test_a_run_that_would_differ_is_refused_by_name(cut, suite, edit, more, words):
    """A resumed run that would differ runs no case, and leaves the journal as it is."""
    changed(cut, edit)
    before = cut.read_bytes()
    done = suite(*CASES, f"--resume={cut}", *more)

    assert done.code == 4
    assert words in done.output.replace("\n", " ")
    assert "passed" not in done.output
    assert cut.read_bytes() == before


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--resume=taken.jsonl", "taken.jsonl is not a journal"),
        ("--journal=taken.jsonl", "taken.jsonl exists: name another file"),
    ],
)
def test_a_file_that_is_no_journal_is_refused_and_not_written_over(suite, tmp_path, option, words):
    """A file that is not a journal may hold somebody's notes, and stays as it is."""
    (tmp_path / "taken.jsonl").write_text("notes\n")
    done = suite(*CASES, option)

    assert done.code == 4
    assert words in done.output
    assert (tmp_path / "taken.jsonl").read_text() == "notes\n"


def own_journal(folder, number, seconds):
    """Write an unnamed journal, of a case that took so long; larger numbers are newer."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"2026-01-01T00-00-{number:02}-1.jsonl"
    file.write_text(f'{{}}\n{{"stats": {{"total": {seconds}}}}}\n')
    os.utime(file, (number, number))
    return file


def test_old_journals_of_long_runs_are_kept(suite, tmp_path):
    """The ten newest stay, five of long runs, and files that a process writes or a user named."""
    folder = tmp_path / "storage" / "journals"
    long = own_journal(folder, 1, 600)
    written = json_lines.Writer(own_journal(folder, 2, 1))
    short = [own_journal(folder, number, number) for number in range(3, 20)]
    (folder / "named.jsonl").write_text("notes\n")
    os.utime(folder / "named.jsonl", (0, 0))

    storage = f"--benchmark-storage={(tmp_path / 'storage').as_uri()}"
    done = suite(*CASES[:2], "--batch-sizes=1", storage)

    assert done.code == 0
    kept = set(folder.iterdir())
    assert {long, written.file, folder / "named.jsonl", *short[-9:], *short[-13:-9]} < kept
    assert kept.isdisjoint(short[:-13])
    assert len(kept) == 10 + 5 + 2
    written.close()


def test_a_journal_that_another_process_writes_is_not_resumed(cut, suite):
    """A journal that another process writes is refused, and stays as it is."""
    writer, before = json_lines.Writer(cut), cut.read_bytes()

    done = suite(*CASES, f"--resume={cut}")

    assert done.code == 4
    assert f"{cut} is being written by another process: wait for its end" in done.output
    assert cut.read_bytes() == before
    writer.close()


def test_a_run_goes_on_without_a_journal_that_cannot_be_written(suite, tmp_path):
    """A run whose journal cannot be written warns once, and ends well."""
    (tmp_path / "storage").write_text("in the way\n")
    done = suite(*CASES, f"--benchmark-storage={(tmp_path / 'storage').as_uri()}")

    assert done.code == 0
    assert done.output.count("the journal cannot be written") == 1


def test_a_run_that_cannot_be_saved_says_how_to_recover_it(suite, monkeypatch):
    """A run that cannot be saved fails, says how to recover it, and prints the summary."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(BenchmarkSession, "save_json", full)
    done = suite(*CASES, "--benchmark-json=run.json", "--journal=kept.jsonl")

    assert done.code == 1
    assert "eager engine: KMNIST" in done.output
    assert "No space left on device; save the run elsewhere with `python -m bench recover kept" in (
        done.output
    )
    assert "Traceback" not in done.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("times", [1, pytest.param(50, marks=pytest.mark.slow)])
def test_a_run_that_is_ended_keeps_the_cases_that_have_ended(own, tmp_path, number, times):
    """A run may be ended at any moment: by a cancelled job, by Ctrl-C, or by SIGKILL."""
    draw = random.Random(int(number))
    for time_ in range(times):
        kept, saved = tmp_path / f"{time_}.jsonl", tmp_path / f"{time_}.json"
        run = subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", *in_process.arguments(*own, *LONG)),
                *(f"--journal={kept}", f"--benchmark-json={saved}"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
        )
        with run:
            begun = 0
            for line in run.stdout:
                begun = max(begun, *map(int, re.findall(r"^\[ *(\d+)/8 ", line)), 0)
                if begun == 3:
                    break
            time.sleep(draw.uniform(0, 0.2))
            run.send_signal(number)
            output = run.stdout.read()
        begun = max([begun, *map(int, re.findall(r"^\[ *(\d+)/8 ", output, re.MULTILINE))])

        names = [case["fullname"] for case in recovered(kept)["benchmarks"]]
        expected = [f"bench/test_step.py::test_step[engine=eager-batch_size={n}]" for n in range(9)]
        assert names in (expected[1:begun], expected[1 : begun + 1]), output
        if number != signal.SIGKILL:
            saved_names = [case["fullname"] for case in json.loads(saved.read_text())["benchmarks"]]
            assert saved_names == names, output
            if len(names) < 8:
                assert run.returncode == 2
                assert (
                    f"{counted(len(names), 'case')} kept in {kept}, {8 - len(names)} left" in output
                )
