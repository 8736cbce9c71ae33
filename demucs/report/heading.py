"""The head of the page: what each run is, and where its configuration differs from the default."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import demucs
from demucs.report.run_files import Run

# What says where and how a run worked, and nothing of what it computed.
LEFT_OUT = ("dora", "slurm", "hydra", "misc")


def facts(run: Run) -> list[tuple[str, str]]:
    """The metadata of a run, as pairs of a title and a text, in the order of reading."""
    lines = [
        ("title", _kept(run, "title")),
        ("command", _kept(run, "command")),
        ("overrides", _overrides(run)),
        ("network", _network(run)),
        ("trained", _trained(run)),
        ("trained on", _environment(run)),
        ("best state", _best(run)),
        ("training data", _data(run)),
        ("test set seen", str(run.provenance.get("test_set_seen") or "")),
        ("trained with", _versions(run.provenance.get("versions"))),
        ("exported", _date(run.provenance.get("date"))),
        ("licence of the weights", str((run.info or {}).get("licence") or "")),
        ("evaluated", _evaluated(run)),
        ("evaluated with", _versions(run.results.versions if run.results else None)),
        ("weights", _weights(run)),
    ]
    return [(title, text) for title, text in lines if text]


def differences(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Keys of a configuration whose value is not the default: key, value, default.

    Of a path the last part is told: the rest says more about a machine than about a run.
    """
    if not config:
        return []
    default = _flat(_defaults())
    lines = []
    for key, value in sorted(_flat(config).items()):
        usual = default.get(key)
        if key.partition(".")[0] in LEFT_OUT or _same(value, usual) or key == "dset.metadata":
            continue
        lines.append(
            (key, _without_place(_text(value)), _text(usual) if key in default else "no such key")
        )
    return lines


@cache
def _defaults() -> dict[str, Any]:
    """`conf/config.yaml` with the groups that it names; empty where it is not installed."""
    folder = Path(demucs.__file__).parents[1] / "conf"
    try:
        content = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        for entry in content.pop("defaults", []):
            for group, name in entry.items() if isinstance(entry, dict) else ():
                path = folder / group / f"{name}.yaml"
                if path.exists():
                    _merge(content, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, AttributeError, yaml.YAMLError):
        return {}
    return dict(content)


def _merge(onto: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(onto.get(key), dict):
            _merge(onto[key], value)
        else:
            onto[key] = value


def _flat(config: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{start}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def _same(value: Any, other: Any) -> bool:
    """YAML 1.1 takes 2e-3 for text, so numbers are compared as numbers."""
    try:
        return bool(value == other or (type(value) is not bool and float(value) == float(other)))
    except (TypeError, ValueError):
        return False


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _overrides(run: Run) -> str:
    words = run.overrides or (run.record.name.split() if run.record else [])
    split = [word.partition("=") for word in words]
    return " ".join(f"{key}{equals}{_without_place(value)}" for key, equals, value in split)


def _without_place(value: str) -> str:
    """The last part of a whole path, and other values as they are."""
    return Path(value).name if value.startswith(("/", "~")) else value


def _network(run: Run) -> str:
    spec = (run.info or {}).get("spec") or {}
    name = spec.get("name") or run.config.get("model") or ""
    block = run.config.get(str(name))
    channels = block.get("channels") if isinstance(block, Mapping) else None
    return f"{name}, {channels} channels" if name and channels else str(name)


def _trained(run: Run) -> str:
    counts = run.kept.get("epochs")
    kept: Mapping[str, Any] = counts if isinstance(counts, Mapping) else {}
    epochs = len(run.history) or run.provenance.get("epochs") or kept.get("done")
    if not epochs:
        return ""
    record = run.record
    goal = record.epochs if record else kept.get("asked") or run.config.get("epochs")
    state = record.state if record else run.kept.get("state")
    began = _date(record.started) if record else ""
    ended = "" if record else _date(run.kept.get("ended"))
    processes = record.processes if record else run.kept.get("processes")
    parts = [
        f"{epochs} epochs" + (f" of {goal}" if goal and goal != epochs else ""),
        f"{processes} processes" if isinstance(processes, int) and processes > 1 else "",
        began,
        f"ended {ended}" if ended else "",
        str(state) if state and state != "finished" else "",
    ]
    return ", ".join(part for part in parts if part)


def _kept(run: Run, key: str) -> str:
    """A text of `result.json`, without whole paths; empty if it is not a text."""
    value = run.kept.get(key)
    if not isinstance(value, str) or value == run.name:
        return ""
    return " ".join(_without_place(word) for word in value.split())


def _environment(run: Run) -> str:
    """The machine and the versions, as the run or the one who kept it noted them."""
    environment = run.record.environment if run.record and run.record.environment else None
    environment = environment or run.kept.get("environment")
    if not isinstance(environment, Mapping):
        return ""
    devices, memory = environment.get("devices"), environment.get("memory_gib")
    parts = [
        ", ".join(map(str, devices)) if isinstance(devices, list) else "",
        str(environment.get("processor") or ""),
        f"{environment['cores']} cores" if environment.get("cores") else "",
        f"{memory} GiB" if memory else "",
        str(environment.get("platform") or ""),
        _versions(environment.get("versions")),
        f"commit {str(environment['commit'])[:12]}" if environment.get("commit") else "",
    ]
    noted = run.kept.get("environment_noted")
    text = ", ".join(part for part in parts if part)
    return f"{text} (noted {noted})" if text and noted else text


def _best(run: Run) -> str:
    best = run.provenance.get("best") or {}
    if best.get("metric") is not None:
        return f"epoch {best.get('epoch')}, valid {best.get('name')} {best['metric']:.4g}"
    valid = run.history[-1].get("valid") if run.history else None
    value = valid.get("best") if isinstance(valid, Mapping) else None
    test = run.config.get("test")
    metric = test.get("metric", "metric") if isinstance(test, Mapping) else "metric"
    return f"valid {metric} {value:.4g}" if isinstance(value, int | float) else ""


def _data(run: Run) -> str:
    data = run.provenance.get("data")
    if not isinstance(data, Mapping):
        return ""
    names = [str(data[key]) for key in ("musdb", "wav", "wav2") if data.get(key)]
    songs = len(data.get("songs") or ())
    return ", ".join([*names, *([f"{songs} songs"] if songs else [])])


def _versions(versions: Any) -> str:
    if not isinstance(versions, Mapping):
        return ""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _date(text: Any) -> str:
    """To the minute, UTC."""
    text = str(text or "")
    return f"{text[:10]} {text[11:16]} UTC" if len(text) >= 16 else text


def _evaluated(run: Run) -> str:
    if run.results is None:
        return ""
    data, settings = run.results.data, run.results.settings
    name = data.get("name") or settings.get("data_set") or "a data set that is not named"
    split = data.get("split") or settings.get("data_split") or "test"
    how = ", ".join(
        f"{key} {_text(settings[key])}"
        for key in ("shifts", "overlap", "split", "backend", "device")
        if key in settings
    )
    whole = "" if run.results.complete else ", not complete"
    date = _date(run.results.date)
    parts = [f"{len(run.results.tracks)} {split} songs of {name}{whole}", date, how]
    return "; ".join(part for part in parts if part)


def _weights(run: Run) -> str:
    model = run.results.model if run.results else {}
    digest = model.get("weights_sha256")
    return f"sha256 {str(digest)[:16]}…" if digest else ""
