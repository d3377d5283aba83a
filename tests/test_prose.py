"""Comments, messages and pages are written in plain sentences."""

import re
import subprocess
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A comment that begins so continues the sentence of the name before it.
CONTINUES = re.compile(
    r"#\s*(of|in|at|for|that|which|where|with|by|from|to|as|so|and|but|beside|until|than|if|when|what"
    r"|because|since|or|per|on|after|before|whose|not|unless|while|though|without|within|also|too)\b"
)
DIALECT = {
    '"a" for "per"': r"\b(seconds|bytes|steps|updates|seeds|samples|rounds|threads) an? "
    r"(step|epoch|size|sample|seed|second|case|pair|round|worker|process)\b",
    "a courtroom": r"\b(guilty|convict\w*|acquit\w*|restless)\b",
    "German shapes": r"\b(held against|in the median|at the most|as a whole of|no replicates)\b",
}


def tracked(*patterns):
    """The files that git tracks."""
    try:
        command = ["git", "ls-files", *patterns]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.splitlines() if (ROOT / name).exists()]


def test_no_comment_continues_the_sentence_of_a_name():
    """A comment behind code stands by itself."""
    found = []
    for file in tracked("*.py"):
        with file.open() as lines:
            tokens = list(tokenize.generate_tokens(lines.readline))
        found += [
            f"{file.relative_to(ROOT)}:{token.start[0]}: {token.string}"
            for token in tokens
            if token.type == tokenize.COMMENT and CONTINUES.match(token.string)
            if token.line[: token.start[1]].strip()
        ]

    assert not found


@pytest.mark.parametrize("habit", DIALECT)
def test_the_dialect_is_gone(habit):
    """Messages, comments and pages use the field's plain words."""
    files = [file for file in tracked("*.py", "*.md") if file != Path(__file__)]
    found = [
        f"{file.relative_to(ROOT)}: {match[0]}"
        for file in files
        for match in re.finditer(DIALECT[habit], file.read_text())
    ]

    assert not found


def test_pages_are_short_and_their_lines_fit_a_screen():
    """The docs have at most 10,000 words, and no line of a page has more than 120 characters."""
    docs = tracked("docs/*.md")
    pages = [*docs, *tracked("*.md")]
    long_lines = [
        f"{page.relative_to(ROOT)}:{number}"
        for page in pages
        for number, line in enumerate(page.read_text().splitlines(), 1)
        if len(line) > 120
    ]

    assert sum(len(page.read_text().split()) for page in docs) <= 10_000
    assert not long_lines
