"""The workers that train one network together, as torchrun starts them.

They exchange sums through torch.distributed: gloo between CPUs, NCCL between GPUs. A process that
torchrun did not start is a group of one, for which nothing here takes time. A function that needs
another worker raises LostError if that worker is gone.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from mnist_mlp import device, memory
from mnist_mlp.workers import PATIENCE, is_launched
from mnist_mlp.workers.first_cause import LostError, Register, fresh_name

START_PATIENCE = timedelta(seconds=120)  # time to import torch and to load the data

T = TypeVar("T")


def size() -> int:
    """Return how many workers there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return this worker's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def own_device(name: str) -> str:
    """Return the device of this worker: of several GPUs on a host, each takes its own."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if is_launched() and name == "cuda" else name


def own_threads() -> int:
    """Return this worker's part of the usable cores; torchrun would give it a single thread."""
    return max(1, memory.usable_cores() // int(os.environ["LOCAL_WORLD_SIZE"]))


def launch() -> str:
    """Return a name of this group's torchrun: its restarts keep the name, other groups differ."""
    if not is_launched():
        return ""
    return f"{os.environ['TORCHELASTIC_RUN_ID']}/{os.getppid()}/{_started(os.getppid())}"


def _started(process: int) -> str:
    """Return when a process started, in ticks from the boot; empty without /proc."""
    try:
        after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2]
    except OSError:
        return ""
    return after_name.split()[19]


@contextmanager
def joined(device_name: str) -> Iterator[Register]:
    """Take part in the group while the body of the `with` runs."""
    store, rank, size = next(rendezvous("env://", timeout=START_PATIENCE))
    name = fresh_name(store, rank=rank, size=size, patience=START_PATIENCE)
    store = PrefixStore(name, store)
    register = Register(store, rank=rank, size=size)
    with grouped(PrefixStore("group", store), rank=rank, size=size, device_name=device_name):
        yield register


@contextmanager
def grouped(store: Store, *, rank: int, size: int, device_name: str = "cpu") -> Iterator[None]:
    """Exchange with the workers that meet in this store while the body of the `with` runs."""
    with exchanging():
        dist.init_process_group(
            "nccl" if device.is_gpu(device_name) else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=PATIENCE,
        )
    try:
        yield
    finally:
        dist.destroy_process_group()  # other workers stop waiting for this worker


def wait_for_all() -> None:
    """Wait for workers that take longer to start, or to load the data."""
    if size() > 1 and dist.get_backend() == "gloo":
        with exchanging():
            dist.monitored_barrier(timeout=START_PATIENCE)


@contextmanager
def exchanging() -> Iterator[None]:
    """Turn the RuntimeError that torch raises for a failed exchange into a LostError."""
    try:
        yield
    except RuntimeError as error:
        raise LostError(str(error)) from error


def add_up(tensor: Tensor) -> Tensor:
    """Add up the workers' tensors, in place in each of them."""
    if size() > 1:
        with exchanging():
            dist.all_reduce(tensor)
    return tensor


def copy_first(tensor: Tensor) -> None:
    """Copy the first worker's tensor into the tensors of the other workers."""
    if size() > 1:
        with exchanging():
            dist.broadcast(tensor, src=0)


def from_first(make: Callable[[], T]) -> T:
    """Let the first worker call `make`, and return its result in all workers."""
    if size() == 1:
        return make()
    results = [make() if rank() == 0 else None]
    place = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
    with exchanging():
        dist.broadcast_object_list(results, device=place)
    return results[0]  # type: ignore[return-value]
