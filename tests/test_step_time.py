"""Seconds per step, measured in fresh processes."""

import os
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
import torch

from bench.measure import processes, step_time
from bench.measure.step_time import Setting, Subject
from bench.measure.turns import Draw
from mnist_mlp.errors import UserError
from mnist_mlp.task_source import Source
from tests import idx, suite

SUBJECTS = [Subject(engine="eager", batch_size=size) for size in (1, 16, 500)]


@pytest.fixture
def setting(tmp_path):
    """A small data set, on one thread, in short turns."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=300, test=10)
    return Setting(threads=1, source=Source(data_root=tmp_path), turn_seconds=0.001)


def test_every_process_times_every_subject(setting):
    """A control takes its own turns; a batch larger than the training set is the whole set."""
    messages = []
    subjects = [*SUBJECTS, Subject(engine="eager", batch_size=16, copy=1)]

    timed = step_time.measure(subjects, setting, seconds=0.1, processes=2, tell=messages.append)

    assert set(timed) == set(subjects)
    for turns in timed.values():
        assert len(turns) == 2
        assert len(turns[0]) >= step_time.VISITS
        assert all(seconds > 0 for of_process in turns for seconds in of_process)
    assert min(timed[SUBJECTS[2]][0]) > min(timed[SUBJECTS[0]][0])
    assert messages[0] == "starting processes"


def test_all_sizes_can_take_the_form_of_one(setting):
    """If all sizes take one form, a comparison of sizes is not one of forms."""
    subjects = [Subject(engine="native", batch_size=size) for size in (1, 2)]
    process = step_time.MeasuringProcess(subjects, replace(setting, form_of=64), 0)
    process.load()
    process.prepare({})

    forms = set()
    for size in (1, 2):
        process.engines["native"].run(process.split, torch.arange(size), size)
        forms.add((process.engines["native"].form, process.engines["native"].form_threads))
    assert set(process.visit(1)) == set(subjects)
    assert len(forms) == 1


def test_the_error_of_a_process_comes_back_as_it_is(setting):
    """The caller gets the exception that the process raised."""
    with pytest.raises((ValueError, UserError), match="not an engine"):
        step_time.measure(
            [Subject(engine="nothing", batch_size=1)], setting, seconds=0.1, processes=2
        )


def test_a_process_that_dies_is_named():
    """The error for a process that dies says whether memory ran out."""
    message = "memory (ran|did not run) out"
    with pytest.raises(UserError, match=message), processes.fresh(1, os._exit) as made:
        made[0].submit(os.getpid).result()


def test_all_sizes_of_an_engine_train_one_network(setting):
    """All sizes share a network, since a second network would lie elsewhere in memory."""
    subjects = [*SUBJECTS, Subject(engine="eager", batch_size=16, copy=1)]
    process = step_time.MeasuringProcess(subjects, setting, 0)
    process.load()
    process.prepare({})

    (engine,) = process.engines.values()
    before = [parameter.clone() for parameter in engine.parameters]
    assert set(process.visit(1)) == set(subjects)
    assert not any(map(torch.equal, engine.parameters, before))


def test_each_item_takes_a_turn_per_round_in_an_order_drawn_anew():
    """A seed fixes the order, each round has every item, and every order is drawn."""
    orders = [list(Draw(seed).rounds("abc", 50)) for seed in (0, 0, 1)]

    assert orders[0] == orders[1] != orders[2]
    rounds = [[item for number, item in orders[0] if number == each] for each in range(1, 51)]
    assert all(sorted(items) == ["a", "b", "c"] for items in rounds)
    assert len({tuple(items) for items in rounds}) == 6
    assert Draw().turns("ab", {"a": 1.0, "b": 2.0}.get, 3) == {"a": [1.0] * 3, "b": [2.0] * 3}


MEASURES = """
import time
from bench.measure.processes import fresh

if __name__ == "__main__":
    with fresh(2, int) as pools:
        [pool.submit(int).result() for pool in pools]
        print("measuring", flush=True)
        time.sleep(600)
"""


def test_processes_end_with_the_one_that_was_killed(tmp_path):
    """Measuring processes end with a killed parent, and do not wait for work for ever."""
    script = tmp_path / "measures.py"
    script.write_text(MEASURES)
    parent = psutil.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": f"{suite.ROOT / 'src'}:{suite.ROOT}"},
    )
    parent.stdout.readline()
    started = parent.children(recursive=True)

    parent.kill()
    parent.communicate()
    _, alive = psutil.wait_procs(started, timeout=30)

    assert len(started) >= 3
    assert not alive
