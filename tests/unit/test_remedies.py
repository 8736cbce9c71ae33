"""No message tells a user to delete what may have taken hours."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADVICE = re.compile(
    r"(^|[;:,.(] ?|\bor |\band |\bto )(please )?(delete|remove|erase|rm|clear)\b|--clear\b", re.I
)
FILES = sorted(
    path
    for folder in ("demucs", "tools", "graphing_scripts", "studies")
    for path in (ROOT / folder).rglob("*.py")
)


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """The text of everything that is raised, printed or logged, in one piece."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and _tells(node.func)):
            for part in ast.walk(node):
                if isinstance(part, ast.JoinedStr):
                    yield part.lineno, "".join(_text(value) for value in part.values)
                elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.lineno, part.value


def _text(value: ast.expr) -> str:
    return str(value.value) if isinstance(value, ast.Constant) else "X"


def _tells(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("print", "warning", "info", "error", "replace") or name.endswith("Error")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_message_advises_to_delete(path: Path) -> None:
    for line, text in messages(path):
        assert not ADVICE.search(text), f"{path.name}:{line}: {text}"


@pytest.mark.parametrize(
    "text",
    ["it is broken: delete them, or use another", "remove the folder, and collect again",
     "train from the start with `dora run --clear`", "give --prune to remove them"],
)  # fmt: skip
def test_such_advice_would_be_found(text: str) -> None:
    assert ADVICE.search(text)
