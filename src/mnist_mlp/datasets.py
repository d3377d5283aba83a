"""The question's task, on MNIST or on a data set in its layout."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from mnist_mlp import cache, idx, memory
from mnist_mlp.data import CLASSES, PIXELS, Split
from mnist_mlp.errors import UserError
from mnist_mlp.model import MLP, sgd
from mnist_mlp.task import Task

MNIST = "MNIST"
KNOWN_DATASETS = (MNIST, "FashionMNIST", "KMNIST")
PARTS = ("train", "t10k")  # prefixes of the training files' and test files' names
BYTES_PER_PIXEL = 5  # 1 in the loader engine's dataset, 4 as float32


def load(
    *, data_root: Path | None = None, cache_dir: Path | None = None, device: str = "cpu"
) -> Task:
    """Load the question's task with the embedded MNIST, or with the data set in `data_root`.

    Args:
        data_root: a folder that holds MNIST/raw, FashionMNIST/raw or KMNIST/raw, or the folder
            MNIST, FashionMNIST or KMNIST itself, with the four IDX files unpacked.
        cache_dir: where to unpack the embedded archives; by default `cache.default_folder()`.
        device: where the tensors live.

    Raises:
        UserError: `data_root` holds no such files, several such folders, or damaged files; or the
            cache folder cannot be used.
        NotEnoughMemoryError: the data does not fit in memory.

    """
    if data_root is None:
        name, root = MNIST, cache.unpacked(cache_dir or cache.default_folder())
    else:
        name, root = _find_dataset(data_root)
    _require_memory(name, root)
    train, test = (_read(name, root, part, device) for part in PARTS)
    return question(name, train, test)


def question(name: str, train: Split, test: Split) -> Task:
    """Return the question's task on these samples: network, loss, optimizer and target."""
    return Task(
        name=name,
        network=MLP,
        train=train,
        test=test,
        loss=cross_entropy,
        optimizer=sgd,
        target=0.95,
        learning_rate=0.1,
        batch_size=1,
    )


def _require_memory(name: str, root: Path) -> None:
    """Refuse files whose pixels, as bytes and as floats, need more memory than is free."""
    pixels = sum(file.stat().st_size for file in (root / name / "raw").glob("*-ubyte"))
    memory.require(
        BYTES_PER_PIXEL * pixels, f"loading {name} from {root}", instead="close other programs"
    )


def _read(name: str, root: Path, part: str, device: str) -> Split:
    raw = root / name / "raw"
    try:
        pixels = idx.read(raw / f"{part}-images-idx3-ubyte")
        labels = idx.read(raw / f"{part}-labels-idx1-ubyte")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {name} in {root}: {error}") from error
    if pixels.shape[1:] != (28, 28) or len(pixels) == 0:
        raise UserError(
            f"{raw} holds images of shape {tuple(pixels.shape)}: one or more images of 28x28 bytes "
            "are needed"
        )
    if labels.shape != pixels.shape[:1] or labels.max() >= CLASSES:
        raise UserError(f"{raw} needs one label from 0 to 9 for each image")
    new_dataset = partial(_torchvision_dataset, name, root, part)
    return resident(pixels, labels, new_dataset, device=device)


def resident(
    pixels: Tensor, labels: Tensor, new_dataset: Callable[[], Dataset[Any]], *, device: str = "cpu"
) -> Split:
    """Return a split of pixels, (N, 28, 28) uint8, scaled as by ToTensor, and labels, (N,).

    `new_dataset` makes the dataset that serves the same samples one at a time.
    """
    images = pixels.reshape(-1, PIXELS).to(torch.float32).div_(255)  # (N, 784)
    return Split(
        inputs=images.to(device), targets=labels.long().to(device), new_dataset=new_dataset
    )


def _torchvision_dataset(name: str, root: Path, part: str) -> Dataset[Any]:
    from torchvision import datasets, transforms  # noqa: PLC0415 - takes as long as importing torch

    kind = getattr(datasets, name)
    try:
        dataset: Dataset[Any] = kind(root, train=part == PARTS[0], transform=transforms.ToTensor())
    except Exception as error:  # a changed file can raise any error in torchvision
        raise UserError(f"cannot read {name} in {root} any more: {error}") from error
    return dataset


def _find_dataset(data_root: Path) -> tuple[str, Path]:
    for name in KNOWN_DATASETS:
        if data_root.resolve().name == name and (data_root / "raw").is_dir():
            return name, data_root.resolve().parent
    names = [name for name in KNOWN_DATASETS if (data_root / name / "raw").is_dir()]
    if len(names) == 1:
        return names[0], data_root.resolve()
    if names:
        raise UserError(
            f"{data_root} holds several data sets, {', '.join(names)}: name the folder of only one"
        )
    raise UserError(
        f"{data_root} holds no folder NAME/raw, where NAME is one of {', '.join(KNOWN_DATASETS)}: "
        "name a folder in torchvision's layout that holds the four IDX files, unpacked"
    )
