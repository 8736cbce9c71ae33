"""The files of a run, read without torch; what is missing is noted, and not an error."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demucs.errors import ConfigError, DemucsError
from demucs.evaluation.results.results import Results
from demucs.experiment.record import CHECKPOINT, RUN, RunRecord
from demucs.experiment.run import ARGV, CONFIG, HISTORY, HYDRA_CONFIG, RunFiles, read_json
from demucs.release.names import DEFAULT_FOLDER, SUFFIX, folder_name, model_files, name_of
from demucs.report.lenient import finite, plain_dict, read_config

EVALUATION = "evaluation.json"
RESULT = "result.json"
AUDIO = "audio"
KEPT = Path("demucs_results")  # of the repository: results of runs, each in a folder
SHOWN = 20  # names in a message


@dataclass(kw_only=True)
class Run:
    """One run, as far as its files are here.

    Attributes:
        name: as it was asked for; the last part of it, if it is a folder.
        folder: of the experiment or of its results.
        release: its file.
        info: what the release says (`demucs.release.ReleaseInfo`, as plain JSON).
        config: resolved; empty if it is not known.
        overrides: as they were typed.
        record: `run.json`.
        kept: `result.json`, of a run that was kept with `tools.archive`; empty without.
        history: metrics of each epoch.
        results: of the evaluation; values that are not finite numbers are None.
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
    kept: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    results: Results | None = None
    recordings: list[Path] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def provenance(self) -> Mapping[str, Any]:
        provenance = (self.info or {}).get("provenance")
        return provenance if isinstance(provenance, Mapping) else {}

    @property
    def is_shown(self) -> bool:
        """Whether there is anything to draw, to tabulate or to hear."""
        return bool(self.history or self.results or self.info or self.recordings)


def letter(index: int) -> str:
    """The letter of a run, by its number: A, B, ..."""
    return chr(ord("A") + index % 26) + (str(index // 26) if index >= 26 else "")


def find_run(
    name: str,
    *,
    outputs: Path,
    repo: Path | None = None,
    evaluation: Path | None = None,
    light: bool = False,
) -> Run:
    """Finds a run by its signature, by the name of its release, or by a folder.

    A run of which every file is missing or broken is one, too: `missing` and `notes` say why.

    Args:
        name: `SIG`, or the path of a folder such as `demucs_results/demo_c4a125af`.
        outputs: holds `xps/SIG`.
        repo: folder of releases; `release_models` if not given.
        evaluation: its results; by default those in the folder, or `REPO/evaluation_NAME.json`.
        light: leave its release unread where its folder is here; reading one loads torch.

    Raises:
        ConfigError: there is nothing of that name, or a folder that has no file of a run; says
            what there is.
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
    broken = _read_results(run, places, asked=evaluation is not None)
    model = run.results.model if run.results else {}
    noted = model.get("signature") or run.kept.get("signature")
    signature = str(noted or run.name) if is_place else run.name
    if not (light and run.folder is not None):
        _read_release(run, signature, repo)
    _note_missing(run, signature, outputs, repo, broken)
    if not run.is_shown and is_place and not _is_run(folder):
        raise ConfigError(f"the folder {as_folder} has no file of a run. {_present(outputs, repo)}")
    if not run.is_shown and run.folder is None and not (run.notes or broken):
        hint = f"; do you mean {KEPT / name}?" if (KEPT / name).is_dir() else ""
        raise ConfigError(
            f"there is no experiment and no release {name!r}{hint or '.'} {_present(outputs, repo)}"
        )
    for place in (folder, repo):  # a whole path says more about a machine than about a run
        run.notes = [note.replace(f"{place}{os.sep}", "") for note in run.notes]
    return run


def _is_run(folder: Path) -> bool:
    """Whether a folder has any of the files that runs leave, broken or not."""
    files = (HISTORY, EVALUATION, RESULT, RUN, ARGV, HYDRA_CONFIG, CONFIG, CHECKPOINT)
    return any((folder / name).exists() for name in files)


def _present(outputs: Path, repo: Path) -> str:
    """The runs that exist, for a message."""
    places = (
        ("experiments", outputs / "xps", _folders(outputs / "xps")),
        ("models", repo, sorted({name_of(file) for file in model_files(repo)})),
        ("results", KEPT, _folders(KEPT)),
    )
    lists = []
    for kind, where, names in places:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        lists.append(f"{kind} in {where}: {', '.join(names[:SHOWN]) or 'none'}{more}")
    return (
        f"There are {'; '.join(lists)}. Give one of these, or a folder with {HISTORY}, "
        f"{EVALUATION} or {AUDIO}/; other places with --outputs and --repo."
    )


def _folders(place: Path) -> list[str]:
    try:
        return sorted(path.name for path in place.iterdir() if path.is_dir())
    except OSError:
        return []


def _read_folder(run: Run) -> None:
    folder = run.folder
    if folder is None:
        run.missing["history"] = "there is no experiment of this name here, only its release"
        run.missing["config"] = "no configuration was found"
        return
    files = RunFiles.read(folder)
    run.record, run.history = files.record, files.history
    run.kept = read_json(folder / RESULT, dict, run.notes) or {}
    typed = run.kept.get("overrides")
    run.overrides = files.overrides or (list(map(str, typed)) if isinstance(typed, list) else [])
    about_history = [text for text in files.problems if text.startswith(HISTORY)]
    if not all(isinstance(epoch, dict) for epoch in run.history):
        about_history.append(f"{HISTORY} cannot be read: its entries are not epochs")
        run.history = []
    run.notes += [text for text in files.problems if text not in about_history]
    if not run.history:
        is_there = (folder / HISTORY).exists()
        empty = f"its {HISTORY} has no epoch" if is_there else f"its folder has no {HISTORY}"
        run.missing["history"] = about_history[0] if about_history else empty
    for path in (folder / HYDRA_CONFIG, folder / CONFIG):
        if path.exists() and not run.config:
            run.config = read_config(path, run.notes)
    if not run.config:
        run.missing["config"] = "its folder has no config.yaml that can be read"
    run.recordings = _recordings(folder / AUDIO)


def _recordings(folder: Path) -> list[Path]:
    """The folder, if it holds a mixture, and those in it that do."""
    try:
        places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    except OSError:
        return []
    return [path for path in places if next(path.glob("mixture.*"), None) is not None]


def _read_release(run: Run, signature: str, repo: Path) -> None:
    path = repo / f"{signature}{SUFFIX}"
    if not path.is_file():
        return
    try:
        run.info, run.release = _release_info(path), path
    except DemucsError as error:
        run.notes.append(f"its release cannot be read: {error}")
        run.missing["release"] = f"{path.name} cannot be read"
    else:
        run.config = run.config or plain_dict(run.info.get("config"))
        if run.config:
            run.missing.pop("config", None)


def _release_info(path: Path) -> dict[str, Any]:
    from demucs.release import read_release_info

    content: dict[str, Any] = json.loads(read_release_info(path).to_json())
    return content


def _read_results(run: Run, candidates: Sequence[Path], *, asked: bool) -> str:
    """Reads the first evaluation that can be read; returns why others could not."""
    broken = []
    for path in candidates:
        if not path.exists() and not asked:
            continue
        try:
            run.results = finite(Results.load(path), run.notes)
            break
        except ConfigError as error:
            if asked:
                raise
            broken.append(f"{path.name} cannot be read: {error.__cause__ or error}")
    if run.results and broken:
        run.notes += broken
    return "; ".join(broken)


def _note_missing(run: Run, signature: str, outputs: Path, repo: Path, broken: str) -> None:
    """Why there is no release and no evaluation, with a remedy where one can work."""
    experiment = outputs / "xps" / signature
    trained = (experiment / CHECKPOINT).exists()
    option = "" if repo == Path(DEFAULT_FOLDER) else f" --repo {repo}"
    export = f"python3 -m tools.export {signature}"
    evaluate = f"python3 -m tools.test_pretrained{option} -n {signature}"
    if run.release is None and "release" not in run.missing:
        if trained:
            remedy = f": make it with {export}"
        elif experiment.is_dir():
            remedy = ", and the experiment has saved no checkpoint to make it of"
        else:
            remedy = ": weights are not kept with results; give the folder that has it with --repo"
        run.missing["release"] = f"there is no release {signature}{SUFFIX} in {repo.name}{remedy}"
    if run.results is None:
        remedy = ""
        if run.release is not None:
            remedy = f": make it with {evaluate}"
        elif trained:
            remedy = f": make it with {export}, then {evaluate}"
        run.missing["results"] = f"{broken or 'there is no evaluation.json of it'}{remedy}"
