"""Options of an evaluation, given as KEY=VALUE, and the songs that they name."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from demucs.errors import ConfigError, DatasetError
from demucs.release import ReleaseInfo

KEYS = {
    "dset.musdb": "data set: a folder with test/NAME/SOURCE.wav or test/NAME.stem.mp4",
    "test.shifts": "random delays to average over (0: none)",
    "test.overlap": "share of a chunk that the next one covers again",
    "test.split": "true: separate chunk by chunk; false: whole tracks at once",
    "test.workers": "processes that score while the model separates",
    "test.sdr": "true: SDR, ISR, SIR and SAR too; false: nSDR only",
    "test.save": "true: write the separated stems beside the results",
}


@dataclass(kw_only=True)
class Settings:
    """`test.KEY` and `dset.musdb`, with the defaults of training."""

    musdb: str | None = None
    shifts: int = 1
    overlap: float = 0.25
    split: bool = True
    workers: int = 2
    sdr: bool = True
    save: bool = False


def read_settings(overrides: Sequence[str], config: dict[str, Any]) -> Settings:
    """Settings from KEY=VALUE arguments, over what the run was trained with.

    Args:
        overrides: such as `test.shifts=2`.
        config: the release's own; `test.shifts`, `test.overlap` and `test.split` are taken from it.

    Raises:
        ConfigError: no KEY=VALUE, an unknown key, or a value of another type.
    """
    settings = Settings()
    trained = config.get("test") or {}
    for name in ("shifts", "overlap", "split"):
        if trained.get(name) is not None:
            setattr(settings, name, type(getattr(settings, name))(trained[name]))
    kinds = {field.name: field.type for field in fields(Settings)}
    for override in overrides:
        key, equals, value = override.lstrip("+").partition("=")
        if not equals or key not in KEYS:
            known = "\n".join(f"  {name}=…  {text}" for name, text in KEYS.items())
            raise ConfigError(f"{override!r} is no setting of this tool. There are:\n{known}")
        name = key.split(".", 1)[1]
        setattr(settings, name, _parse(override, value, kinds[name]))
    return settings


def find_root(settings: Settings, musdb: str | None, release: ReleaseInfo) -> Path:
    """The data set: `--musdb`, else `dset.musdb=`, $DEMUCS_MUSDB, or what the model learnt from.

    Raises:
        DatasetError: none of them is given, or the folder does not exist.
    """
    dset = release.config.get("dset") or {}
    candidates = {
        "--musdb": musdb,
        "dset.musdb": settings.musdb,
        "DEMUCS_MUSDB": os.environ.get("DEMUCS_MUSDB"),
        "the model's own configuration": dset.get(
            "musdb" if dset.get("use_musdb", True) else "wav"
        ),
    }
    remedy = "Give the data set with --musdb PATH, dset.musdb=PATH or DEMUCS_MUSDB=PATH."
    for source, value in candidates.items():
        if value:
            root = Path(str(value)).expanduser()
            if not root.is_dir():
                raise DatasetError(f"There is no folder {root} (from {source}). {remedy}")
            return root
    raise DatasetError(f"No data set to evaluate on. {remedy}")


def _parse(override: str, value: str, kind: Any) -> Any:
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if value.lower() in words:
            return words[value.lower()]
        raise ConfigError(f"{override}: give true or false.")
    if kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise ConfigError(f"{override}: give {what}.") from None
    return value
