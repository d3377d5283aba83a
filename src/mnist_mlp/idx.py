"""Files of unsigned bytes in IDX, the format that MNIST is published in (LeCun et al. 1998).

torchvision also reads IDX, but importing it takes as long as importing torch, and processes that
train on resident tensors do not need it.
"""

import math
from pathlib import Path

import torch
from torch import Tensor

UNSIGNED_BYTES = b"\x00\x00\x08"  # the first bytes; the number of dimensions follows
LENGTH_BYTES = 4  # bytes of a dimension's length, the most significant byte first


def read(path: Path) -> Tensor:
    """Return the file's bytes as a uint8 tensor of its dimensions.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is not in this format, or is cut off.

    """
    content = bytearray(path.read_bytes())
    if len(content) <= len(UNSIGNED_BYTES) or not content.startswith(UNSIGNED_BYTES):
        raise ValueError(f"{path.name} does not begin like an IDX file of unsigned bytes")
    dimensions, begin = content[len(UNSIGNED_BYTES)], len(UNSIGNED_BYTES) + 1
    first = begin + LENGTH_BYTES * dimensions
    if len(content) < first:
        raise ValueError(f"{path.name} is cut off before its data")
    lengths = [
        int.from_bytes(content[at : at + LENGTH_BYTES]) for at in range(begin, first, LENGTH_BYTES)
    ]
    size, expected = len(content) - first, math.prod(lengths)
    if size != expected:
        raise ValueError(f"{path.name} holds {size} bytes of data where it announces {expected}")
    if not expected:
        return torch.empty(lengths, dtype=torch.uint8)
    return torch.frombuffer(content, dtype=torch.uint8, offset=first).view(lengths)
