"""Describes the machine in saved runs, in addition to pytest-benchmark's own fields."""

import re
from importlib.metadata import version

import psutil
import torch


def describe() -> dict[str, str | int]:
    """Return the versions and settings that decide how fast torch is, and the memory in bytes."""
    build = torch.__config__.show()
    blas = re.search(r"BLAS_INFO=(\w+)", build)
    description: dict[str, str | int] = {
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "blas": blas.group(1) if blas else "unknown",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "logical_cores": psutil.cpu_count() or 0,
        "physical_memory_bytes": psutil.virtual_memory().total,
    }
    if torch.cuda.is_initialized():
        description["gpu"] = torch.cuda.get_device_name()
    return description
