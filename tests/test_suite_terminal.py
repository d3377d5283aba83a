"""What pytest --benchmark-only shows on a terminal."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from tests import idx

ROOT = Path(__file__).parent.parent


def test_on_a_terminal_one_live_line_shows_case_and_count(tmp_path):
    """And what the case says of itself."""
    idx.write_dataset(tmp_path / "KMNIST" / "raw", train=600, test=200)
    main, terminal = pty.openpty()
    words = "--batch-sizes=8", "--engines=eager", "--lr-rules=fixed", "--seeds=0", "--max-epochs=1"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pytest",
            "--benchmark-only",
            f"--data-root={tmp_path}",
            *words,
            "bench/test_convergence.py",
        ],
        cwd=ROOT,
        stdout=terminal,
        stderr=terminal,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "150", "PYTEST_ADDOPTS": ""},
    )
    os.close(terminal)
    shown = b""
    while chunk := read_terminal(main):
        shown += chunk
    text = shown.decode()

    assert process.wait() == 0
    assert "0/1" in text
    assert re.search(r"test_convergence\[\S+\]: epoch 1\.00 of 1, test accuracy 0\.\d+", text)


def read_terminal(descriptor):
    """The next bytes, none at the end."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""
