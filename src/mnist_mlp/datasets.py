"""MNIST, or a data set in its layout, read by torchvision.

The training code does not import this module, because importing torchvision takes longer than
importing torch.
"""

from pathlib import Path

import torch
from torchvision.datasets import KMNIST, MNIST, FashionMNIST
from torchvision.transforms import ToTensor

from mnist_mlp import cache, memory
from mnist_mlp.data import CLASSES, PIXELS, Data, Split
from mnist_mlp.memory import NotEnoughMemoryError

KNOWN_DATASETS = (MNIST, FashionMNIST, KMNIST)
BYTES_OF_PIXEL = 5  # as the file's byte, which the loader engine reads, and as float32


class DataError(Exception):
    """A data folder that cannot be trained on."""


def load(
    *, data_root: Path | None = None, cache_dir: Path | None = None, device: str = "cpu"
) -> Data:
    """Load the embedded MNIST, or what `data_root` holds in torchvision's layout.

    Args:
        data_root: a folder that holds one of MNIST/raw, FashionMNIST/raw and KMNIST/raw, or one of
            those three itself, with the four IDX files unpacked.
        cache_dir: where to unpack the embedded archives; by default `cache.default_folder()`.
        device: where the tensors live.

    Raises:
        DataError: `data_root` holds no such files, several such folders, or damaged files; or
            memory does not suffice for them.
        CacheError: the cache folder cannot be used.

    """
    if data_root is None:
        kind, root = MNIST, cache.unpacked(cache_dir or cache.default_folder())
    else:
        kind, root = _find_dataset(data_root)
    _require_memory(kind, root)
    try:
        train, test = (kind(root, train=train, transform=ToTensor()) for train in (True, False))
    except Exception as error:  # torchvision's readers raise whatever the damage causes
        raise DataError(f"cannot read {kind.__name__} in {root}: {error}") from error
    return Data(
        name=kind.__name__, train=resident(train, device=device), test=resident(test, device=device)
    )


def _require_memory(kind: type[MNIST], root: Path) -> None:
    """Refuse files whose pixels, as bytes and as floats, need more memory than is free."""
    raw = (root / kind.__name__ / "raw").glob("*-ubyte")
    pixels = sum(file.stat().st_size for file in raw)
    try:
        memory.require(
            BYTES_OF_PIXEL * pixels,
            f"loading {kind.__name__} from {root}",
            instead="close other programs",
        )
    except NotEnoughMemoryError as error:
        raise DataError(str(error)) from error


def resident(dataset: MNIST, *, device: str = "cpu") -> Split:
    """Put a torchvision dataset's samples in memory, scaled as ToTensor scales them.

    Raises:
        DataError: no samples, images that aren't 28x28 bytes, or labels that aren't 0 to 9.

    """
    pixels, labels = dataset.data, dataset.targets
    if len(pixels) == 0 or pixels.shape[1:] != (28, 28) or pixels.dtype != torch.uint8:
        raise DataError(
            f"{dataset.raw_folder} holds {tuple(pixels.shape)} {pixels.dtype} images: one or more "
            "images of 28x28 bytes are needed"
        )
    if labels.shape != pixels.shape[:1] or labels.min() < 0 or labels.max() >= CLASSES:
        raise DataError(f"{dataset.raw_folder} needs one label from 0 to 9 for each image")
    images = pixels.reshape(-1, PIXELS).to(torch.float32).div_(255)  # (N, 784)
    return Split(images=images.to(device), labels=labels.to(device), dataset=dataset)


def _find_dataset(data_root: Path) -> tuple[type[MNIST], Path]:
    for kind in KNOWN_DATASETS:
        if data_root.resolve().name == kind.__name__ and (data_root / "raw").is_dir():
            return kind, data_root.resolve().parent
    found = [kind for kind in KNOWN_DATASETS if (data_root / kind.__name__ / "raw").is_dir()]
    if len(found) == 1:
        return found[0], data_root
    if found:
        names = ", ".join(kind.__name__ for kind in found)
        raise DataError(
            f"{data_root} holds several data sets, {names}: name the folder of one of them"
        )
    names = ", ".join(kind.__name__ for kind in KNOWN_DATASETS)
    raise DataError(
        f"{data_root} holds no folder NAME/raw, where NAME is one of {names}: name a folder "
        "in torchvision's layout that holds the four IDX files, unpacked"
    )
