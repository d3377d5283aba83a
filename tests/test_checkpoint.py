import errno
import os
from dataclasses import replace

import pytest
import torch

from mnist_mlp import checkpoint, trainer
from mnist_mlp.checkpoint import Checkpoint, Keeper
from mnist_mlp.errors import UserError
from mnist_mlp.model import MLP
from mnist_mlp.task import seeded


@pytest.fixture
def state():
    """A run's state after three epochs."""
    return Checkpoint(
        settings={"engine": "eager", "batch_size": 64, "learning_rate": 0.1, "seed": 0},
        network=seeded(MLP, seed=0).state_dict(),
        generator=torch.Generator().manual_seed(5).get_state(),
        epoch=3,
        test_loss=0.5,
        best_test_loss=0.25,
    )


def test_a_round_trip_loses_nothing(tmp_path, state):
    """Saved tensors are equal bit for bit, and torch loads them without code of ours."""
    file = tmp_path / "new" / "file.pt"
    checkpoint.save(state, file)
    loaded = checkpoint.load(file)

    assert loaded.settings == state.settings
    assert (loaded.epoch, loaded.test_loss, loaded.best_test_loss) == (3, 0.5, 0.25)
    assert torch.equal(loaded.generator, state.generator)
    assert loaded.network.keys() == state.network.keys()
    assert all(torch.equal(loaded.network[name], state.network[name]) for name in state.network)
    seeded(MLP, seed=1).load_state_dict(torch.load(file, weights_only=True)["network"])


@pytest.mark.parametrize("writes", [0, 1], ids="{} files fit".format)
def test_a_full_disk_leaves_best_and_last_as_they_were(tmp_path, state, monkeypatch, writes):
    """A disk that fills up changes neither checkpoint and leaves no temporary file."""
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
        with pytest.raises(UserError, match=r"\.pt cannot be written: the disk is full; its old"):
            checkpoint.save(replace(state, epoch=4), best, last)

    assert best.read_bytes() == last.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [best, last]


def test_only_this_launchs_own_checkpoint_is_continued_after_a_restart(tmp_path, state):
    """After a restart, only this launch's file is continued, and a damaged file is an error."""
    last = tmp_path / "last.pt"
    keeper = Keeper(settings=state.settings, best=last, last=last, launch="this one")

    assert trainer.after_restart(keeper) is None
    checkpoint.save(replace(state, launch="another"), last)
    assert trainer.after_restart(keeper) is None
    checkpoint.save(replace(state, launch="this one"), last)
    assert trainer.after_restart(keeper).epoch == 3
    last.write_bytes(last.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"last\.pt is damaged .* remove it, or name another fold"):
        trainer.after_restart(keeper)


def test_what_is_no_checkpoint_is_refused_by_name(tmp_path, state):
    """The error names a file that is missing, empty, nonsense, cut off, or only a state_dict."""
    file = tmp_path / "file.pt"
    checkpoint.save(state, file)
    cut_off = file.read_bytes()[:-1000]
    file.unlink()

    with pytest.raises(UserError, match=r"cannot read the checkpoint .*file\.pt: No such file"):
        checkpoint.load(file)
    for content in (b"", b"no checkpoint", cut_off):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"file\.pt is damaged or not a checkpoint: name a f"):
            checkpoint.load(file)
    torch.save(state.network, file)
    with pytest.raises(UserError, match=r"file\.pt is not a checkpoint of a training run"):
        checkpoint.load(file)
