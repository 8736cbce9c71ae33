"""Renders the page: one HTML file with its style, its scripts and its data inside."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demucs.console import clock
from demucs.errors import MissingToolError
from demucs.evaluation.metrics.definitions import DEFINITIONS
from demucs.report.curves import curves
from demucs.report.heading import differences, facts
from demucs.report.output_folder import MARK
from demucs.report.run_files import Run, letter
from demucs.report.score_tables import glance, summary
from demucs.report.seed_rows import seed_rows
from demucs.report.song_table import songs_table

HERE = Path(__file__).with_name("page")
SCRIPTS = ("common.js", "curves.js", "glance.js", "songs.js", "player.js")


def render(
    runs: Sequence[Run],
    players: Sequence[dict[str, Any]],
    problems: Sequence[str],
    title: str | None,
    metric: str | None,
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
    environment.filters["clock"] = lambda seconds: clock(int(seconds))
    style = (HERE / "style.css").read_text(encoding="utf-8")
    scripts = "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    panels, songs, shown = curves(runs), songs_table(runs, metric), glance(runs)
    players = [_named(player, runs) for player in players]
    data = {
        "runs": [letter(index) for index in range(len(runs))],
        "names": [run.name for run in runs],
        "glance": shown,
        "curves": panels,
        "songs": songs,
        "players": players,
    }
    text = environment.get_template("index.html").render(
        title=title or " · ".join(run.name for run in runs),
        mark=MARK,
        policy=_policy(style, scripts),
        style=style,
        scripts=scripts,
        data=embedded(data),
        runs=[_shown(index, run) for index, run in enumerate(runs)],
        summary=summary(runs),
        seeds=seed_rows(runs),
        glance=shown,
        curves=panels,
        songs=songs,
        players=players,
        problems=problems,
        nsdr=DEFINITIONS["nsdr"].replace("; mean over tracks", ""),
    )
    return _unicode(text)


def _named(player: dict[str, Any], runs: Sequence[Run]) -> dict[str, Any]:
    """The player with a `label`, which names its run if there are several."""
    run = player["run"]
    of = f" of {letter(run)}, {runs[run].name}" if len(runs) > 1 and run is not None else ""
    return player | {"label": f"{player['name']}{of}"}


def _shown(index: int, run: Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "letter": letter(index),
        "facts": facts(run),
        "differences": differences(run.config),
        "missing": run.missing,
        "notes": run.notes,
    }


def embedded(data: Any) -> str:
    """JSON that is safe inside a `<script>` element, whatever it holds.

    Raises:
        ValueError: a number that JSON does not have.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return _unicode(text)


def _unicode(text: str) -> str:
    """Without lone surrogates, which stand for bytes of file names that are not UTF-8."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def shown_number(value: float | None, digits: int = 2) -> str:
    """A number with a true minus; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def _policy(style: str, scripts: str) -> str:
    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src 'self' file:; "
        f"media-src 'self' file:; style-src 'sha256-{digest(style)}'; "
        f"script-src 'sha256-{digest(scripts)}'"
    )
