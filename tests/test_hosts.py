"""Real hosts: training over a network, and a link that goes down."""

import time

import pytest
import torch

from mnist_mlp import checkpoint
from mnist_mlp.command import main as train
from tests import hosts

pytestmark = [pytest.mark.hosts, pytest.mark.skipif(bool(hosts.missing()), reason=hosts.missing())]
NAME = "MNIST-ddp-1024-0.1-0.last.pt"


@pytest.mark.parametrize("count", [2, 4])
def test_hosts_train_as_one_process_does(count, tmp_path):
    """Hosts get one process's parameters, up to rounding, and only the first prints epochs."""
    words = ["mnist_mlp", "--batch-size=1024", "--epochs=1", "--threads=1", "--checkpoints"]
    with hosts.joined(count) as several:
        running = [
            host.torchrun(count, [*words, str(tmp_path / host.name)], cwd=hosts.ROOT)
            for host in several
        ]
        printed = [process.communicate(timeout=120)[0] for process in running]

    assert [process.returncode for process in running] == [0] * count, "\n".join(printed)
    assert [text.count("epoch   1") for text in printed] == [1] + [0] * (count - 1)
    alone = [*words[1:-1], "--engine=ddp", f"--checkpoints={tmp_path}"]
    assert train(alone) == 0
    theirs, ours = (checkpoint.load(tmp_path / part / NAME) for part in (several[0].name, ""))
    torch.testing.assert_close(theirs.network, ours.network, rtol=1e-4, atol=1e-6)


def test_a_link_that_goes_down_ends_all_workers(tmp_path):
    """After a link goes down, each worker ends within 15 s with one line that says why."""
    words = ["mnist_mlp", "--batch-size=1024", "--epochs=1000", f"--checkpoints={tmp_path}"]
    with hosts.joined(2) as several:
        running = [host.torchrun(2, words, cwd=hosts.ROOT) for host in several]
        for line in running[0].stdout:
            if line.startswith("epoch   1"):
                break
        several[1].cut()
        started = time.monotonic()
        printed = [process.communicate(timeout=60)[0] for process in running]
        seconds = time.monotonic() - started

    errors = [[line for line in text.splitlines() if line.startswith("error")] for text in printed]
    assert [len(lines) for lines in errors] == [1, 1], printed
    assert "rank 1" in errors[0][0]
    assert all(process.returncode for process in running)
    assert seconds < 15
