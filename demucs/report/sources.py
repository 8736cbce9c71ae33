"""What a run left on the disk, read without torch; what is missing is noted, not an error."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from demucs.errors import ConfigError, DemucsError
from demucs.evaluation.results import Results, TrackResult
from demucs.experiments import RunRecord
from demucs.release.names import DEFAULT_FOLDER, SUFFIX, folder_name, model_files, name_of

HISTORY = "history.json"
EVALUATION = "evaluation.json"
AUDIO = "audio"
SHOWN = 20  # names in a message
PARTS = ("history", "results", "release", "config")


@dataclass(kw_only=True)
class Run:
    """What is known of one run.

    Attributes:
        name: as it was asked for; the last part of it, if it is a folder.
        folder: of the experiment or of its results.
        release: its file.
        info: what the release says (`demucs.release.ReleaseInfo`, as plain JSON).
        config: resolved; empty if it is not known.
        overrides: as they were typed.
        record: `run.json`.
        history: metrics of each epoch.
        results: of the evaluation; values that are no finite numbers are None.
        recordings: folders with separated audio.
        missing: by part (`history`, `results`, `release`, `config`), why it is not there.
        notes: what else is wrong.
    """

    name: str
    folder: Path | None = None
    release: Path | None = None
    info: dict[str, Any] | None = None
    config: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    record: RunRecord | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    results: Results | None = None
    recordings: list[Path] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def provenance(self) -> Mapping[str, Any]:
        found = (self.info or {}).get("provenance")
        return found if isinstance(found, Mapping) else {}


def find_run(
    name: str, *, outputs: Path, repo: Path | None = None, evaluation: Path | None = None
) -> Run:
    """Finds a run by its signature, by the name of its release, or by a folder.

    Args:
        name: `SIG`, or the path of a folder such as `demucs_results/demo_c4a125af`.
        outputs: holds `xps/SIG`.
        repo: folder of releases; `release_models` if not given.
        evaluation: its results; by default those in the folder, or `REPO/evaluation_NAME.json`.

    Raises:
        ConfigError: there is nothing of that name; says what there is.
    """
    repo = Path(DEFAULT_FOLDER) if repo is None else repo
    as_folder = Path(name).expanduser()
    is_place = os.sep in name or (as_folder.is_dir() and not (outputs / "xps" / name).is_dir())
    folder = as_folder if is_place else outputs / "xps" / name
    if is_place and not folder.is_dir():
        raise ConfigError(f"there is no folder {name}. {_present(outputs, repo)}")
    run = Run(
        name=folder.resolve().name if is_place else name, folder=folder if folder.is_dir() else None
    )
    _read_folder(run)
    places = [evaluation] if evaluation else [
        *([run.folder / EVALUATION] if run.folder else []),
        repo / f"evaluation_{folder_name(run.name)}.json",
    ]  # fmt: skip
    _read_results(run, places, asked=evaluation is not None)
    model = run.results.model if run.results else {}
    signature = str(model.get("signature") or run.name) if is_place else run.name
    _read_release(run, signature, repo)
    if not (run.history or run.results or run.info or run.recordings):
        what = f"{folder} holds" if run.folder else "there is"
        reasons = "".join(f" {text}." for text in run.notes)
        raise ConfigError(
            f"{what} nothing to report of {name!r}: no history, no evaluation, no release and no "
            f"audio.{reasons} {_present(outputs, repo)}"
        )
    for place in (folder, repo):  # a whole path says more about a machine than about a run
        run.notes = [note.replace(f"{place}{os.sep}", "") for note in run.notes]
    return run


def _present(outputs: Path, repo: Path) -> str:
    """What one could have asked for."""
    try:
        runs = sorted(one.name for one in (outputs / "xps").iterdir() if one.is_dir())
    except OSError:
        runs = []
    releases = sorted({name_of(file) for file in model_files(repo)})
    said = []
    for what, where, names in (("experiments", outputs / "xps", runs), ("models", repo, releases)):
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        said.append(f"{what} in {where}: {', '.join(names[:SHOWN]) or 'none'}{more}")
    return (
        f"There are {'; '.join(said)}. Give one of these, or a folder with {HISTORY}, "
        f"{EVALUATION} or {AUDIO}/; other places with --outputs and --repo."
    )


def _read_folder(run: Run) -> None:
    folder = run.folder
    if folder is None:
        run.missing["history"] = "there is no experiment of this name here, only its release"
        run.missing["config"] = "no configuration was found"
        return
    run.record = RunRecord.read(folder)
    history = read_json(folder / HISTORY, list, run.notes)
    if history is not None and not all(isinstance(epoch, dict) for epoch in history):
        run.notes.append(f"{HISTORY} cannot be read: its entries are no epochs")
        history = None
    run.history = history or []
    if not run.history:
        there = (folder / HISTORY).exists()
        run.missing["history"] = (
            f"its {HISTORY} has no epoch" if there else f"its folder has no {HISTORY}"
        )
    words = read_json(folder / ".argv.json", list, run.notes)
    run.overrides = [str(word) for word in words or []]
    for path in (folder / ".hydra" / "config.yaml", folder / "config.yaml"):
        if path.exists() and not run.config:
            run.config = _read_config(path, run.notes)
    if not run.config:
        run.missing["config"] = "its folder has no config.yaml that can be read"
    run.recordings = _recordings(folder / AUDIO)


def _recordings(folder: Path) -> list[Path]:
    """The folder, if it holds a mixture, and those in it that do."""
    try:
        places = [folder, *sorted(one for one in folder.iterdir() if one.is_dir())]
    except OSError:
        return []
    return [one for one in places if next(one.glob("mixture.*"), None) is not None]


def _read_release(run: Run, signature: str, repo: Path) -> None:
    path = repo / f"{signature}{SUFFIX}"
    if path.is_file():
        try:
            run.info, run.release = _release_info(path), path
        except DemucsError as error:
            run.notes.append(f"its release cannot be read: {error}")
        else:
            run.config = run.config or _plain_dict(run.info.get("config"))
            if run.config:
                run.missing.pop("config", None)
            return
    run.missing["release"] = (
        f"there is no release {signature}{SUFFIX} in {repo.name}: make it with "
        f"python3 -m tools.export {signature}"
    )


def _release_info(path: Path) -> dict[str, Any]:
    from demucs.release import read_release_info

    content: dict[str, Any] = json.loads(read_release_info(path).to_json())
    return content


def _read_results(run: Run, candidates: Sequence[Path], *, asked: bool) -> None:
    for path in candidates:
        if not path.exists() and not asked:
            continue
        try:
            run.results = finite(Results.load(path), run.notes)
            return
        except ConfigError as error:
            if asked:
                raise
            run.notes.append(str(error))
    run.missing["results"] = (
        f"no evaluation was found: make it with python3 -m tools.test_pretrained -n {run.name}"
    )


def finite(results: Results, notes: list[str]) -> Results:
    """Results in which NaN and infinities are None, and a note of how many there were."""
    count = 0
    tracks: dict[str, TrackResult] = {}
    for name, track in results.tracks.items():
        parts: dict[str, Any] = {}
        for kind in ("values", "baseline"):
            parts[kind] = {}
            for metric, row in getattr(track, kind).items():
                parts[kind][metric] = {stem: number(value) for stem, value in row.items()}
                count += sum(value is not None and number(value) is None for value in row.values())
        tracks[name] = replace(track, **parts)
    if count:
        notes.append(
            f"{count} values of the evaluation are NaN or infinite: they are left out of means, "
            "medians and tables"
        )
    return replace(results, tracks=tracks)


def number(value: Any) -> float | None:
    """A finite number, or None."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None


def read_json(path: Path, kind: type[Any], notes: list[str]) -> Any:
    """The content of a file; None where there is none or it is broken, which is noted."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        notes.append(f"{path.name} cannot be read: {error}")
        return None
    if not isinstance(found, kind):
        notes.append(f"{path.name} cannot be read: it holds no {kind.__name__}")
        return None
    return found


def _read_config(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        return _plain_dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        notes.append(f"{path.name} cannot be read: {reason}")
        return {}


def _plain_dict(found: Any) -> dict[str, Any]:
    return dict(found) if isinstance(found, Mapping) else {}
