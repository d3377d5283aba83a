import errno
import os
from dataclasses import replace

import pytest
import torch

from mnist_mlp import checkpoint
from mnist_mlp.checkpoint import Checkpoint, CheckpointError
from mnist_mlp.model import MLP


@pytest.fixture
def state():
    """A run's state after three epochs."""
    return Checkpoint(
        settings={"engine": "eager", "batch_size": 64, "learning_rate": 0.1, "seed": 0},
        network=MLP(seed=0).state_dict(),
        generator=torch.Generator().manual_seed(5).get_state(),
        epoch=3,
        test_loss=0.5,
        best_test_loss=0.25,
    )


def test_a_round_trip_loses_nothing(tmp_path, state):
    """Tensors bit for bit, and plain values."""
    checkpoint.save(state, tmp_path / "new" / "file.pt")
    loaded = checkpoint.load(tmp_path / "new" / "file.pt")

    assert loaded.settings == state.settings
    assert (loaded.epoch, loaded.test_loss, loaded.best_test_loss) == (3, 0.5, 0.25)
    assert torch.equal(loaded.generator, state.generator)
    assert loaded.network.keys() == state.network.keys()
    assert all(torch.equal(loaded.network[name], state.network[name]) for name in state.network)


def test_anybody_can_load_the_network_with_torch_alone(tmp_path, state):
    """weights_only=True suffices."""
    checkpoint.save(state, tmp_path / "file.pt")

    network = torch.load(tmp_path / "file.pt", weights_only=True)["network"]

    MLP(seed=1).load_state_dict(network)


@pytest.mark.parametrize("writes", [0, 1], ids="{} files fit".format)
def test_a_full_disk_leaves_best_and_last_as_they_were(tmp_path, state, monkeypatch, writes):
    """The best is never newer than the last; no temporary file stays."""
    best, last = tmp_path / "best.pt", tmp_path / "last.pt"
    checkpoint.save(state, best, last)
    before = best.read_bytes()
    write, written = os.write, []

    def fill_the_disk(descriptor, content):
        if len(written) == writes:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(content)
        return write(descriptor, content)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fill_the_disk)
        with pytest.raises(CheckpointError, match=r"checkpoint .*\.pt cannot be written: the d"):
            checkpoint.save(replace(state, epoch=4), best, last)

    assert best.read_bytes() == last.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [best, last]


@pytest.mark.parametrize(
    "content", [b"", b"no checkpoint", None], ids=["empty", "nonsense", "missing"]
)
def test_what_is_no_checkpoint_is_refused_by_name(tmp_path, content):
    """One sentence that names the file."""
    path = tmp_path / "file.pt"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(CheckpointError, match=r"file\.pt"):
        checkpoint.load(path)


def test_a_truncated_checkpoint_is_refused(tmp_path, state):
    """As a killed copy would leave it."""
    path = tmp_path / "file.pt"
    checkpoint.save(state, path)
    path.write_bytes(path.read_bytes()[:-1000])

    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        checkpoint.load(path)


def test_somebody_elses_checkpoint_is_refused(tmp_path):
    """A state_dict alone doesn't say where its run was."""
    torch.save(MLP(seed=0).state_dict(), tmp_path / "file.pt")

    with pytest.raises(CheckpointError, match="no checkpoint of a training run"):
        checkpoint.load(tmp_path / "file.pt")
