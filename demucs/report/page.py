"""Renders the page: one HTML file with its style, its scripts and its data inside."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demucs.errors import MissingToolError
from demucs.evaluation.names import DEFINITIONS
from demucs.report.curves import curves
from demucs.report.facts import differences, facts
from demucs.report.place import MARK
from demucs.report.songs import songs_table
from demucs.report.sources import Run
from demucs.report.summary import summary

HERE = Path(__file__).with_name("page")
SCRIPTS = ("common.js", "curves.js", "songs.js", "player.js")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def render(
    runs: Sequence[Run],
    players: Sequence[dict[str, Any]],
    problems: Sequence[str],
    title: str | None,
    metric: str,
) -> str:
    """The text of `index.html`.

    Everything from files is escaped by the template, and in the data by `embedded`. The policy in
    the page allows this style and these scripts by their hashes, files beside the page, and nothing
    else: what slipped through could neither run nor load anything.

    Raises:
        MissingToolError: Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingToolError(
            "The report needs Jinja2: pip install jinja2, or pip install -e '.[plots]'"
        ) from error
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["number"] = shown_number
    environment.filters["clock"] = clock
    style = (HERE / "style.css").read_text(encoding="utf-8")
    scripts = "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    panels, songs = curves(runs), songs_table(runs, metric)
    data = {
        "runs": [_letter(index) for index in range(len(runs))],
        "names": [run.name for run in runs],
        "curves": panels,
        "songs": songs,
        "players": list(players),
    }
    return environment.get_template("index.html").render(
        title=title or " · ".join(run.name for run in runs),
        mark=MARK,
        policy=_policy(style, scripts),
        style=style,
        scripts=scripts,
        data=embedded(data),
        runs=[_shown(index, run) for index, run in enumerate(runs)],
        summary=summary(runs),
        curves=panels,
        songs=songs,
        players=players,
        problems=problems,
        nsdr=DEFINITIONS["nsdr"].replace("; mean over tracks", ""),
    )


def _letter(index: int) -> str:
    return LETTERS[index % 26] + (str(index // 26) if index >= 26 else "")


def _shown(index: int, run: Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "letter": _letter(index),
        "facts": facts(run),
        "differences": differences(run.config),
        "missing": run.missing,
        "notes": run.notes,
    }


def embedded(data: Any) -> str:
    """JSON that can stand inside a `<script>` element, whatever it holds.

    Raises:
        ValueError: a number that JSON does not have.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return "".join(one if not 0xD800 <= ord(one) < 0xE000 else "\\ufffd" for one in text)


def shown_number(value: float | None, digits: int = 2) -> str:
    """With a true minus; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def clock(seconds: float) -> str:
    """`1:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _policy(style: str, scripts: str) -> str:
    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src 'self' file:; "
        f"media-src 'self' file:; style-src 'sha256-{digest(style)}'; "
        f"script-src 'sha256-{digest(scripts)}'"
    )
