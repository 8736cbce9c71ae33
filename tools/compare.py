"""Compares two evaluations song by song: `python3 -m tools.compare A.json B.json`.

Prints for each metric and stem the difference B - A, its 95 % interval and Wilcoxon's p-value.

    python3 -m tools.compare A_42.json A_43.json A_44.json B_42.json B_43.json B_44.json

Three or more are grouped by their training configuration without its seed: each group is one row,
mean ± standard deviation over its seeds, and differences of groups say whether they are within it.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from demucs.console import WIDTH, number, table
from demucs.errors import ConfigError
from demucs.evaluation.metrics.definitions import VALUES, title
from demucs.evaluation.results.comparison import Difference, compare, doubts
from demucs.evaluation.results.published_rows import kind_of, published_text
from demucs.evaluation.results.results import Results
from demucs.evaluation.results.seed_table import seed_table, seed_text, without_recipe
from demucs.evaluation.results.seeds import UNKNOWN, check_distinct, group_runs, recorded_recipe
from demucs.files import atomic_path
from demucs.process.command import run_command
from demucs.process.tool import make_parser, reports_errors

EXPLAINED = """\
A, B: means over the songs that have a value in both. B - A: mean of the differences song by song;
95 %: of 2000 bootstrap samples of the songs; median: of the differences; B better: share of songs.
p: Wilcoxon's signed-rank test, two-sided, for each row by itself; a dash where fewer than six songs
differ. Among many rows some p below 0.05 come by chance: divide 0.05 by the number you look at."""


def run(args: argparse.Namespace) -> int:
    """Compares two, song by song, prints and writes; returns the exit code."""
    first, second = Results.load(args.first), Results.load(args.second)
    differences = compare(first, second)
    shown = [
        difference
        for difference in differences
        if not args.metrics or difference.metric in args.metrics
    ]
    if not shown:
        raise ConfigError(
            f"--metrics {' '.join(args.metrics)}: not measured in both; these are: "
            + ", ".join(dict.fromkeys(difference.metric for difference in differences))
        )
    names = [
        f"{letter} ({results.model.get('name', 'model')})"
        for letter, results in zip("AB", (first, second), strict=True)
    ]
    print(f"{names[0]}: {args.first}\n{names[1]}: {args.second}\n")
    print(_table(shown), EXPLAINED, sep="\n\n")
    print("\n" + textwrap.fill(_seeds_of(first, second), WIDTH))
    if args.published:
        for name, results in zip(names, (first, second), strict=True):
            column = results.aggregates().get("sdr_med")
            if column is not None:
                kind = kind_of(results.model)
                print("\n" + published_text(name, column, results.sources, kind))
    for text in doubts(first, second, names):
        print(f"WARNING: {text}", file=sys.stderr)
    if args.out:
        content = {
            "a": {"file": args.first.name, "model": first.model, "data": first.data},
            "b": {"file": args.second.name, "model": second.model, "data": second.data},
            "explained": " ".join(EXPLAINED.split()),
            "warnings": doubts(first, second, names),
            "differences": [asdict(difference) for difference in shown],
        }
        _write(args.out, content)
    return 0


def _seeds_of(first: Results, second: Results) -> str:
    """What the seeds of two runs say of the difference; the songs' interval knows nothing of it."""
    (recipe, seed), (other, other_seed) = recorded_recipe(first), recorded_recipe(second)
    if recipe is not None and recipe == other:
        return (
            f"A and B are the same configuration with the seeds {seed} and {other_seed}: a "
            "difference between them is what the seed alone makes."
        )
    return f"One run each: {UNKNOWN}."


def run_seeds(args: argparse.Namespace) -> int:
    """Groups three or more by their configuration without its seed; returns the exit code."""
    files = [args.first, args.second, *args.more]
    if args.published:
        raise ConfigError(
            f"--published with {len(files)} evaluations: published rows stand beside one or two; "
            "give two, or --published to tools.test_pretrained"
        )
    results = [Results.load(file) for file in files]
    names = [str(file) for file in files]
    check_distinct(results, names)
    content = seed_table(group_runs([recorded_recipe(one) for one in results]), results)
    metrics = [metric["metric"] for metric in content["metrics"]]
    if args.metrics:
        content["metrics"] = [
            m for m in content["metrics"] if m["metric"].removesuffix("_med") in args.metrics
        ]
    if not content["metrics"]:
        asked = f"--metrics {' '.join(args.metrics)}: " if args.metrics else ""
        raise ConfigError(f"{asked}not measured in all; these are: {', '.join(metrics) or 'none'}")
    print(seed_text(content))
    warnings = without_recipe(results, names)
    for one, name in zip(results[1:], names[1:], strict=True):
        warnings += [w for w in doubts(results[0], one, (names[0], name)) if w not in warnings]
    for text in warnings:
        print(f"WARNING: {text}", file=sys.stderr)
    if args.out:
        _write(args.out, content | {"files": [file.name for file in files], "warnings": warnings})
    return 0


def _write(path: Path, content: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(f"written: {path}")


def _table(differences: Sequence[Difference]) -> str:
    header = ["metric", "stem", "songs", "A", "B", "B - A", "95 %", "median", "B better", "p"]
    rows = []
    for difference in differences:
        low_high = (
            "–"
            if difference.interval is None
            else f"{difference.interval[0]:+.2f} … {difference.interval[1]:+.2f}"
        )
        rows.append(
            [
                title(difference.metric),
                difference.stem,
                str(difference.songs),
                number(difference.first),
                number(difference.second),
                "–" if difference.mean is None else f"{difference.mean:+.2f}",
                low_high,
                "–" if difference.median is None else f"{difference.median:+.2f}",
                "–" if difference.better is None else f"{difference.better:.0%}",
                "–" if difference.p_value is None else f"{difference.p_value:.2g}",
            ]
        )
    return table(header, rows, numbers=True)


@reports_errors()
def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(
        "tools.compare",
        "Compare two evaluations of the same songs, as tools.test_pretrained writes, or more of "
        "them, grouped by seed.",
        epilog=EXPLAINED,
    )
    add = parser.add_argument
    add("first", type=Path, metavar="A", help="results (JSON)")
    add("second", type=Path, metavar="B", help="results (JSON) of other weights or settings")
    add("more", nargs="*", type=Path, metavar="C", help="more: then all are grouped by their "
        "configuration without the seed, mean ± s.d. over seeds")  # fmt: skip
    add("--metrics", nargs="+", choices=VALUES, metavar="NAME",
        help=f"only these, of {', '.join(VALUES)}")  # fmt: skip
    add("--published", action="store_true", help="print rows of published models too")
    add("--out", type=Path, metavar="FILE", help="write the differences as JSON too")
    args = parser.parse_args(argv)
    return run_seeds(args) if args.more else run(args)


if __name__ == "__main__":
    run_command(main)
