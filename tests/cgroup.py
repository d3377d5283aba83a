"""Memory control groups, which root can make: they limit the memory of processes."""

import os
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
LEAVING_SECONDS = 20  # longest wait for the end of the command's own processes
JOIN = (
    "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)


def run(megabytes, *words, **options):
    """Run this Python in a group with that much memory; skip the test if none can be made."""
    version, root = (1, V1) if (V1 / "memory.limit_in_bytes").exists() else (2, V2)
    group = root / f"mnist-mlp-{uuid.uuid4().hex[:8]}"
    try:
        group.mkdir()
        limit = group / ("memory.limit_in_bytes" if version == 1 else "memory.max")
        limit.write_text(str(megabytes * 1_000_000))
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        pytest.skip(f"no memory control group can be made here: {error}")
    try:
        return subprocess.run(
            [sys.executable, "-c", JOIN, group / "cgroup.procs", sys.executable, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            **options,
        )
    finally:
        until = time.monotonic() + LEAVING_SECONDS
        while (group / "cgroup.procs").read_text() and time.monotonic() < until:
            time.sleep(0.05)
        group.rmdir()
