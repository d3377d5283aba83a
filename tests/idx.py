"""Writes small data sets as IDX files, in torchvision's layout."""

import struct

from tests.strategies import new_split


def write(file, tensor):
    """Write a uint8 tensor as an IDX file."""
    header = struct.pack(">BBBB", 0, 0, 8, tensor.dim()) + struct.pack(
        f">{tensor.dim()}I", *tensor.shape
    )
    file.write_bytes(header + tensor.numpy().tobytes())


def write_dataset(raw, *, train=600, test=200):
    """Fill a `raw` folder with random images and labels."""
    raw.mkdir(parents=True)
    for prefix, samples, seed in (("train", train, 1), ("t10k", test, 2)):
        dataset = new_split(samples, seed=seed).dataset
        write(raw / f"{prefix}-images-idx3-ubyte", dataset.data)
        write(raw / f"{prefix}-labels-idx1-ubyte", dataset.targets.byte())
