"""A page as a real browser shows it: Chromium, without a window."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")
COMMAND = next(filter(None, map(shutil.which, NAMES)), None)
needs_browser = pytest.mark.skipif(COMMAND is None, reason=f"none of {', '.join(NAMES)} is here")


def show(page: Path) -> tuple[str, list[str]]:
    """Open a page and let its scripts run; return the document and the console's messages."""
    done = _chromium(page, "--dump-dom", "--enable-logging=stderr")
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE:" in line]


def photograph(page: Path, *, scheme: str) -> np.ndarray:
    """Brightness of a page's pixels in a color scheme, (height, width), 0 to 255."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.png"
        setting = f"preferredColorScheme={('dark', 'light').index(scheme)}"
        _chromium(page, f"--screenshot={file}", f"--blink-settings={setting}")
        return brightness(file)


def brightness(picture: Path) -> np.ndarray:
    """Brightness of a picture's pixels, (height, width), 0 to 255."""
    return np.asarray(Image.open(picture).convert("L"))


def _chromium(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        return subprocess.run(
            [
                *(COMMAND, "--headless", "--no-sandbox", "--disable-gpu"),
                *("--virtual-time-budget=10000", f"--user-data-dir={profile}"),
                *options,
                page.resolve().as_uri(),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
