"""Results as text for a terminal."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

TITLES = {
    "mixture nsdr": "mixture nSDR",
    "nsdr": "nSDR",
    "sdr": "SDR",
    "isr": "ISR",
    "sir": "SIR",
    "sar": "SAR",
}
HIDDEN = ("isr_med", "sir_med", "sar_med")  # in the JSON; the table stays 80 wide
WIDTH = 88


def format_table(sources: Sequence[str], columns: Mapping[str, Mapping[str, Any]]) -> str:
    """Rows of stems and their mean, one column a metric, in dB with two decimals."""
    shown = {name: column for name, column in columns.items() if name not in HIDDEN}
    header = ["stem", *(TITLES.get(name, name) for name in shown)]
    rows = [
        [stem, *(_number(column["stems"].get(stem)) for column in shown.values())]
        for stem in sources
    ]
    rows.append(["mean", *(_number(column["mean"]) for column in shown.values())])
    widths = [max(len(row[index]) for row in [header, *rows]) for index in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join([first, *others]).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line(header), rule, *map(line, rows[:-1]), rule, line(rows[-1])])


def definitions_text(columns: Sequence[str], definitions: Mapping[str, str]) -> str:
    """The definitions of the columns shown, one paragraph each."""
    lines = []
    for name in [*columns, "mean"]:
        if name in HIDDEN:
            continue
        text = definitions["baseline" if name.startswith("mixture") else name]
        title = TITLES.get(name, name)
        lines += textwrap.wrap(f"{title}: {text}.", WIDTH, subsequent_indent="  ")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
