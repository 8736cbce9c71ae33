"""Rows as a text table that fits a terminal."""

from collections.abc import Sequence

GAP = "  "
SHORTEST = 16  # characters that a column is shortened to at most


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, give: Sequence[int]
) -> str:
    """Left-aligned columns under their titles.

    Args:
        head: titles.
        rows: cells, one for each title.
        width: of the terminal in characters; None: as wide as need be.
        give: columns to shorten where the width does not do, by number, the first one first.
    """
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    if width is not None:
        over = sum(widths) + len(GAP) * (len(widths) - 1) - width
        for column in give:
            less = max(0, min(over, widths[column] - SHORTEST))
            widths[column] -= less
            over -= less
    lines = []
    for row in (head, *rows):
        cells = [_cut(cell, size).ljust(size) for cell, size in zip(row, widths, strict=True)]
        lines.append(GAP.join(cells).rstrip())
    return "\n".join(lines)


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"


def without_common(names: Sequence[str]) -> tuple[list[str], str]:
    """Names of overrides without those that all have, and these.

    >>> without_common(["epochs=3 seed=1", "epochs=3 seed=2"])
    (['seed=1', 'seed=2'], 'epochs=3')
    """
    split = [_overrides(name) for name in names]
    if len(split) < 2:
        return list(names), ""
    common = [word for word in split[0] if all(word in words for words in split)]
    left = [" ".join(word for word in words if word not in common) for words in split]
    return left, " ".join(common)


def _overrides(name: str) -> list[str]:
    """The words of a name, lists with their spaces being one."""
    words: list[str] = []
    depth = 0
    for word in name.split():
        if depth > 0:
            words[-1] += f" {word}"
        else:
            words.append(word)
        depth += sum(word.count(c) for c in "[{(") - sum(word.count(c) for c in "]})")
    return words


def duration(seconds: float) -> str:
    """Seconds in the two largest units, as `3 d 4 h`.

    >>> duration(59), duration(7200), duration(100_000)
    ('59 s', '2 h 0 min', '1 d 4 h')
    """
    left = max(0, round(seconds))
    if left < 60:
        return f"{left} s"
    minutes = round(left / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(round(left / 3600), 24)
    return f"{days} d {hours} h"
