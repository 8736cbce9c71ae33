"""Evaluates a release: `python3 -m tools.test_pretrained --repo ./release_models -n SIG`.

Separates the test tracks of a data set, prints a table with the definitions of its numbers, and
writes everything to a JSON file. Settings can be given as KEY=VALUE, as in training.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from demucs.errors import ConfigError, DatasetError, DemucsError
from demucs.release import DEFAULT_FOLDER, ReleaseInfo

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


def run(args: argparse.Namespace) -> int:
    """Evaluates, prints and writes; returns the exit code."""
    from demucs.data import find_tracks
    from demucs.evaluation import Results, evaluate
    from demucs.nn.allocator import tune_allocator
    from demucs.pretrained import get_model

    tune_allocator()
    model: Any = get_model(args.name, args.repo)
    settings = read_settings(args.overrides, model.release.config)
    if args.no_sdr:
        settings.sdr = False
    root = find_root(settings, args.musdb, model.release)
    bad: list[str] = []
    found = find_tracks(
        root,
        args.split,
        sources=model.sources,
        samplerate=model.samplerate,
        channels=model.audio_channels,
        metadata=None,
        on_bad=bad.append,
    )
    for problem in bad:
        print(f"error: left out: {problem}", file=sys.stderr)
    if not found:
        raise DatasetError(f"{root}: no {args.split} track is left to evaluate on.")
    tracks = select(found, args.tracks, args.max_tracks)
    out = args.out or default_out(args, subset=len(tracks) < len(found))
    print(f"{args.name} on {len(tracks)} {args.split} tracks of {root}", file=sys.stderr)

    def describe(results: Results) -> None:
        results.settings.update(
            data_set=root.absolute().name, data_split=args.split, tracks_in_split=len(found)
        )
        results.save(out)

    results = evaluate(
        model,
        tracks,
        metrics=("nsdr", "sdr") if settings.sdr else ("nsdr",),
        shifts=settings.shifts,
        overlap=settings.overlap,
        split=settings.split,
        device=args.device or _best_device(),
        workers=settings.workers,
        save_dir=out.with_suffix("") if settings.save else None,
        model_name=args.name,
        backend=args.backend,
        on_track=describe,
    )
    describe(results)
    print(results.table())
    for note in results.notes():
        print(f"note: {note}")
    if settings.save:
        print(f"separated stems: {out.with_suffix('')}")
    print(f"results: {out}")
    failed = results.failed()
    for name, reason in failed.items():
        print(f"error: {name}: {reason}", file=sys.stderr)
    return 1 if failed or bad else 0


def select(found: Sequence[Any], names: Sequence[str] | None, at_most: int | None) -> list[Any]:
    """The tracks that are asked for.

    Raises:
        DatasetError: a name that is not there.
        ConfigError: a number below one.
    """
    there = {track.name: track for track in found}
    missing = [name for name in names or [] if name not in there]
    if missing:
        raise DatasetError(
            f"--tracks: there is no track {missing[0]!r}; there are: {', '.join(sorted(there))}"
        )
    if at_most is not None and at_most < 1:
        raise ConfigError(f"--max-tracks {at_most}: give at least 1.")
    chosen = [there[name] for name in dict.fromkeys(names)] if names else list(found)
    return chosen[:at_most]


def default_out(args: argparse.Namespace, *, subset: bool) -> Path:
    """`REPO/evaluation_NAME.json`; other splits and parts of them get names of their own."""
    marks = [args.split] * (args.split != "test") + ["subset"] * subset
    return Path(args.repo) / ("_".join(["evaluation", args.name, *marks]) + ".json")


def parse_options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it, or a setting, is wrong."""
    args = _parse_words(argv)
    try:
        read_settings(args.overrides, {})
    except ConfigError as error:
        _parser().error(str(error))
    return args


def _parse_words(argv: Sequence[str] | None) -> argparse.Namespace:
    args = _parser().parse_intermixed_args(argv)
    # `--tracks A B test.shifts=2`: what is a setting is no track.
    settings = [word for word in args.tracks or [] if word.partition("=")[0] in KEYS]
    args.overrides += settings
    args.tracks = [word for word in args.tracks or [] if word not in settings] or None
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = _parse_words(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        return run(args)
    except (DemucsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the tracks done so far are in the results file", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    keys = "\n".join(f"  {name:<14}{text}" for name, text in KEYS.items())
    parser = argparse.ArgumentParser(
        prog="python3 -m tools.test_pretrained",
        description="Evaluate a release on a test set.",
        epilog=f"settings, as KEY=VALUE:\n{keys}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("-n", "--name", required=True, help="name of the release")
    add("--repo", default=DEFAULT_FOLDER, help=f"its folder (default: {DEFAULT_FOLDER})")
    add("--musdb", metavar="PATH", help="data set (default: $DEMUCS_MUSDB, then the model's own)")
    add("--split", choices=["test", "valid"], default="test")
    add("--tracks", nargs="+", metavar="NAME", help="only these tracks")
    add("--max-tracks", type=int, metavar="N", help="only the first N tracks")
    add("--out", type=Path, metavar="FILE",
        help="results (default: REPO/evaluation_NAME.json)")  # fmt: skip
    add("-d", "--device", help="cpu, cuda, … (default: cuda if there is one)")
    add("--no-sdr", action="store_true", help="nSDR only: seconds instead of minutes a track")
    add("--backend", choices=["own", "museval"], default="own",
        help="of SDR, ISR, SIR and SAR; same numbers (default: %(default)s)")  # fmt: skip
    add("overrides", nargs="*", metavar="KEY=VALUE")
    return parser


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


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    sys.exit(main())
