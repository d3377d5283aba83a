"""Several workers train one network as one process does, and a failure names its cause."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from functools import partial
from threading import Thread

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributed import HashStore, PrefixStore

from bench.measure import crew as crews
from bench.runs import files
from mnist_mlp import checkpoint
from mnist_mlp.batches import share
from mnist_mlp.errors import UserError
from mnist_mlp.evaluation import evaluate
from mnist_mlp.training import NotFiniteError, epoch
from mnist_mlp.workers import first_cause, group
from mnist_mlp.workers.first_cause import LostError, Register, ToldToEndError
from tests import idx, own_task
from tests import suite as in_process
from tests.strategies import (
    INPUTS,
    generator,
    new_data,
    new_engine,
    new_regression,
    without_dropout,
)

MOST_WORKERS = 3
SOON = timedelta(seconds=20)


@pytest.fixture(scope="module")
def crew():
    """Workers for all tests of this file; one that hangs is a failure."""
    with crews.started(MOST_WORKERS, patience_seconds=25) as started:
        yield started


def trained(new_task, samples, batch_size, seed):
    """Train for an epoch; return the mean loss, the parameters and the evaluation."""
    task = new_task(samples, 1, seed=seed)
    engine = new_engine("ddp", task, seed=seed)
    loss = epoch(engine, task.train, batch_size, generator=generator(seed))
    evaluation = evaluate(engine, task.train)
    parameters = [each.numpy().copy() for each in engine.network.state_dict().values()]
    return loss, parameters, (evaluation.loss, evaluation.score)


@given(samples=st.integers(0, 1000), workers=st.integers(1, 70))
def test_every_sample_of_a_batch_is_in_one_of_its_equal_shares(samples, workers):
    """No sample is lost or repeated, and shares differ by at most one sample."""
    parts = [range(samples)[share(samples, worker, workers)] for worker in range(workers)]
    sizes = [len(part) for part in parts]

    assert [sample for part in parts for sample in part] == list(range(samples))
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("batch_size", [1, 7, 256, 60000])
@pytest.mark.parametrize(
    "new_task",
    [new_data, partial(new_regression, network=without_dropout)],
    ids=["question", "regression"],
)
def test_several_workers_take_the_steps_of_one(crew, new_task, batch_size):
    """Several workers get one process's loss, parameters and evaluation, up to rounding."""
    samples = 30 if batch_size == 1 else 600
    loss, parameters, evaluation = trained(new_task, samples, batch_size, 3)

    for workers in (2, 3):
        crew.regroup(workers)
        answers = crew.ask(trained, new_task, samples, batch_size, 3)

        for their_loss, theirs, their_evaluation in answers:
            assert their_loss == pytest.approx(loss, rel=1e-5)
            torch.testing.assert_close(theirs, parameters, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(theirs, answers[0][1], rtol=0, atol=0)
            assert their_evaluation == pytest.approx(evaluation, rel=1e-5)


def normalized():
    """A network that keeps means of its inputs beside its parameters."""
    return nn.Sequential(nn.BatchNorm1d(INPUTS), nn.Linear(INPUTS, 2))


def test_workers_agree_on_what_a_network_keeps_beside_parameters(crew):
    """Workers hold equal running means, although each has normalized its own part of a batch."""
    crew.regroup(2)

    (_, first, _), (_, second, _) = crew.ask(
        trained, partial(new_regression, network=normalized), 600, 256, 3
    )

    torch.testing.assert_close(first, second, rtol=0, atol=0)


def fails():
    """Raise in the second worker, so that the first one loses it."""
    if group.rank() == 1:
        raise ValueError("that won't do")
    raise LostError("closed by peer")


def test_a_worker_that_raises_is_named(crew):
    """The error names the rank that raised, and the crew goes on."""
    crew.regroup(2)

    with pytest.raises(UserError, match="rank 1 failed: ValueError: that won't do"):
        crew.ask(fails)

    assert crew.ask(group.size) == [2, 2]


def at_once(function):
    """Call the function with the ranks of two workers at the same time."""
    threads = [Thread(target=function, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_first_claim_is_the_cause_and_is_printed_once(monkeypatch):
    """A worker that has lost another waits for its claim, and then prints nothing.

    An error of another kind than ours is printed with its type: its text may be one word.
    """
    monkeypatch.setattr(first_cause, "GRACE_SECONDS", 0.3)
    store = HashStore()
    failed, lost, other = (Register(store, rank=rank, size=3) for rank in range(3))

    assert failed.cause(KeyError("x")) == "rank 0: KeyError: 'x'"
    assert lost.cause(LostError("closed by peer")) is None
    assert other.cause(NotFiniteError("no number")) is None
    alone = Register(HashStore(), rank=2, size=3)
    assert alone.cause(NotFiniteError("no number")) == "rank 2: no number"


def test_a_worker_that_neither_lives_nor_claims_is_the_cause(monkeypatch):
    """A worker whose process has ended without a claim is named as the cause."""
    monkeypatch.setattr(first_cause, "GRACE_SECONDS", 0.3)
    store = HashStore()
    lost, _ = (Register(store, rank=rank, size=2) for rank in range(2))
    with subprocess.Popen(["true"]) as gone:
        pass
    store.set("process/1", store.get("process/0").decode().replace(str(os.getpid()), str(gone.pid)))

    sentence = lost.cause(LostError("closed by peer"))

    assert sentence == "rank 1 died: it was killed, or it crashed"


def test_workers_that_all_live_were_told_to_end(monkeypatch):
    """If all workers live, one of them says that they were told to end."""
    monkeypatch.setattr(first_cause, "GRACE_SECONDS", 0.5)
    store, sentences = HashStore(), []
    registers = [Register(store, rank=rank, size=2) for rank in range(2)]

    at_once(lambda rank: sentences.append(registers[rank].cause(ToldToEndError("told to end"))))

    assert sorted(sentences, key=str) == [None, "the workers were told to end"]


def test_a_start_has_a_store_for_itself():
    """Workers do not see what the workers of an earlier start wrote."""
    store, sizes = HashStore(), []

    def start(rank):
        own = PrefixStore(first_cause.fresh_name(store, rank=rank, size=2, patience=SOON), store)
        own.add("workers", 1)
        own.set(f"from {rank}", "")
        own.wait([f"from {1 - rank}"], SOON)
        sizes.append(own.add("workers", 0))

    for _ in range(2):
        at_once(start)

    assert sizes == [2, 2, 2, 2]


def torchrun(*words, options=()):
    """Start a training of two workers under torchrun; its output goes to its `stdout`."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", *options),
            *("--nproc-per-node=2", "-m", "mnist_mlp", *words),
        ],
        cwd=in_process.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_a_killed_worker_is_named_and_a_restart_goes_on(tmp_path):
    """The run ends with the parameters of an uninterrupted run, bit for bit."""
    words = ["--batch-size=8192", "--epochs=3", "--checkpoints"]
    with torchrun(*words, str(tmp_path / "killed"), options=["--max-restarts=1"]) as training:
        lines = []
        for line in training.stdout:
            lines.append(line)
            if line.startswith("epoch   1") and "killed" not in lines:
                lines.append("killed")
                worker = next(
                    child
                    for child in psutil.Process(training.pid).children()
                    if child.environ().get("RANK") == "1"
                )
                worker.kill()
    printed = [line for line in lines if line.startswith(("error", "epoch"))]
    assert training.returncode == 0, "".join(lines)
    errors = [line for line in printed if line.startswith("error")]
    assert errors == ["error: rank 1 died: it was killed, or it crashed\n"]

    with torchrun(*words, str(tmp_path / "whole")) as undisturbed:
        whole = undisturbed.stdout.read()
    assert undisturbed.returncode == 0, whole
    assert whole.count("epoch   3") == 1

    names = {file.name for file in (tmp_path / "killed").iterdir()}
    assert names == {file.name for file in (tmp_path / "whole").iterdir()}
    ended, expected = (
        checkpoint.load(tmp_path / folder / "MNIST-ddp-8192-0.1-0.last.pt")
        for folder in ("killed", "whole")
    )
    assert ended.epoch == expected.epoch == 3
    torch.testing.assert_close(ended.network, expected.network, rtol=0, atol=0)


def test_torchrun_trains_a_task_of_the_users_own(tmp_path):
    """Under torchrun, a task is trained by the engine that shares batches."""
    words = f"--task={own_task.__file__}", "--epochs=1", f"--checkpoints={tmp_path}"
    with torchrun(*words) as training:
        printed = training.stdout.read()

    assert training.returncode == 0, printed
    assert "mine, ddp engine, batch size 8, learning rate 0.01, seed 0" in printed
    assert printed.count("epoch   1") == 1


def test_what_several_workers_cannot_do_is_said_once(tmp_path):
    """An engine for one process is refused once, before any training."""
    with torchrun("--engine=native", f"--checkpoints={tmp_path}") as training:
        printed = training.stdout.read()

    errors = [line for line in printed.splitlines() if line.startswith("error")]
    assert training.returncode == 1
    assert len(errors) == 1
    assert "the native engine trains in one process, and torchrun started 2" in errors[0]
    assert list(tmp_path.iterdir()) == []


def test_the_suite_times_workers_by_the_slowest(tmp_path):
    """Steps, epochs and exchanges of one worker and of two are saved as any other case."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=600, test=200)
    file = tmp_path / "run.json"

    ended = in_process.run(
        "bench/test_workers.py",
        *("--workers=2", "--engines=ddp", "--batch-sizes=64", f"--data-root={tmp_path}"),
        *(f"--benchmark-json={file}", f"--benchmark-storage={tmp_path.as_uri()}"),
    )

    assert ended.code == 0, ended.output
    cases = {case.name: case for case in files.read(file).cases}
    step = cases["test_workers_step[engine=ddp-group=2x1-batch_size=64]"]
    assert (step.workers, step.threads) == (2, 1)
    assert step.seconds < 1
    assert len(cases) == 2 + 2 + 3


def test_a_worker_that_is_stopped_is_named_and_nothing_is_left():
    """A crew names a worker that does not answer in time, and ends every process."""
    with crews.started(2, patience_seconds=20) as few:
        few.patience_seconds = 1
        processes = few.ask(os.getpid)
        os.kill(processes[1], signal.SIGSTOP)

        with pytest.raises(UserError, match="rank 1 did not answer for 1 s: it is stuck"):
            few.ask(group.rank)

    deadline = time.monotonic() + SOON.total_seconds()
    while any(map(psutil.pid_exists, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, processes))
