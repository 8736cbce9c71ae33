"""Code in the pages of the documentation."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> Iterator[tuple[str, str]]:
    """Blocks of code of a page: the title and the text."""
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        indent, found, title, text = match.groups()
        if found == language:
            yield title.strip(), "\n".join(line.removeprefix(indent) for line in text.splitlines())
