import os

import pytest
import torch

from bench.measure import provenance
from mnist_mlp import device, memory


def test_every_device_here_holds_tensors():
    """The CPU comes first, GPUs follow, and each device can hold a tensor."""
    here = device.available()

    assert here[0] == "cpu"
    assert [device.is_gpu(name) for name in here] == [False, *[True] * (len(here) - 1)]
    for name in here:
        assert torch.ones(1, device=name).sum() == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_there_is_nothing_to_wait_for_or_to_name():
    """The description of the machine has no GPU."""
    device.use("cpu")
    device.wait()

    assert "gpu" not in provenance.describe()


@pytest.mark.parametrize(
    ("version", "files", "cores"),
    [
        (2, {"cpu.max": "250000 100000"}, 2),
        (2, {"cpu.max": "50000 100000"}, 1),
        (2, {"cpu.max": "max 100000"}, 6),
        (1, {"cpu.cfs_quota_us": "300000", "cpu.cfs_period_us": "100000"}, 3),
        (1, {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, 6),
        (2, {}, 6),
    ],
)
def test_usable_cores_are_limited_by_affinity_and_by_control_groups(
    tmp_path, monkeypatch, version, files, cores
):
    """A quota counts in whole cores, at least one; here the affinity has six."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(memory, "cgroups", lambda _: [(version, tmp_path)])
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    assert memory.usable_cores() == cores


def test_a_gpu_without_a_number_is_the_current_one():
    """`use("cuda")` works, although torch makes no GPU current without its number."""
    device.use("cuda")
    device.use("cpu")
