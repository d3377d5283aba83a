"""The instrument of seconds a step, in processes of its own."""

import os

import pytest

from bench.measure import processes, step_time
from bench.measure.processes import ProcessError
from bench.measure.step_time import Setting, Subject
from tests import idx

SUBJECTS = [Subject(engine="eager", batch_size=size) for size in (1, 16, 500)]


@pytest.fixture
def setting(tmp_path):
    """A small data set, on one thread."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=300, test=10)
    return Setting(threads=1, data_root=tmp_path)


def test_every_process_times_every_subject(setting):
    """A control takes turns of its own; a batch beyond the training set is the whole of it."""
    told = []
    subjects = [*SUBJECTS, Subject(engine="eager", batch_size=16, copy=1)]

    found = step_time.measure(
        subjects, setting, seconds=0.1, processes=2, turn_seconds=0.002, tell=told.append
    )

    assert set(found) == set(subjects)
    for turns in found.values():
        assert len(turns) == 2
        assert len(turns[0]) >= step_time.VISITS
        assert all(seconds > 0 for of_process in turns for seconds in of_process)
    assert min(found[SUBJECTS[2]][0]) > min(found[SUBJECTS[0]][0])
    assert told[0] == "starting processes"


def test_all_sizes_can_take_the_form_of_one(setting):
    """So that a size is held against another one, and not a form against another form."""
    subjects = [Subject(engine="native", batch_size=size) for size in (1, 2)]

    found = step_time.measure(
        subjects,
        Setting(threads=1, data_root=setting.data_root, form_of=64),
        seconds=0.05,
        processes=2,
        turn_seconds=0.001,
    )

    assert set(found) == set(subjects)


def test_what_a_process_cannot_do_is_said_as_it_would_be_here(setting):
    """Its error comes back as it is."""
    with pytest.raises(ValueError, match="no engine"):
        step_time.measure(
            [Subject(engine="nothing", batch_size=1)], setting, seconds=0.1, processes=2
        )


def test_a_process_that_dies_is_named():
    """As it does where memory runs out."""
    with pytest.raises(ProcessError, match="memory ran out"), processes.fresh(1, os._exit) as made:
        made[0].submit(os.getpid).result()
