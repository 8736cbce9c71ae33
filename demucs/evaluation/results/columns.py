"""Aligned columns of text."""

from collections.abc import Sequence

WIDTH = 88


def aligned(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, rule_before_last: bool = False
) -> str:
    """A table; the first column to the left, the others to the right."""
    widths = [max(len(row[index]) for row in [header, *rows]) for index in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join([first, *others]).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [line(header), rule, *map(line, rows)]
    if rule_before_last:
        lines.insert(-1, rule)
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Two decimals, a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"
