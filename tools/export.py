"""Makes a release of a training run: `python3 -m tools.export SIG`, or a bag of several.

    python3 -m tools.export SIG SIG --bag NAME --weights 1,0,0.5,1 0,1,0.5,1

Reads the best state of the run's checkpoint, which carries its own model specification and
configuration: no data set, no GPU and no configuration files are needed.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import Tensor

from demucs.errors import (
    CheckpointError,
    ConfigError,
    DemucsError,
    ModelNotFoundError,
    ReleaseError,
)
from demucs.experiments import outputs_folder, with_checkpoint
from demucs.nn import ModelSpec, build_model
from demucs.release import (
    DEFAULT_FOLDER,
    DEFAULT_LICENCE,
    SUFFIX,
    ReleaseInfo,
    file_sha256,
    is_valid_name,
    provenance_of,
    read_release,
    save_release,
    weights_sha256,
)
from demucs.release.bagfile import BagFile
from demucs.release.checkpoint import NAME, newest_checkpoint_file
from tools._export_bag import Prepared, check_names, parse_weights, write_bag

logger = logging.getLogger(__name__)

VOLATILE = ("date", "versions", "checkpoint_sha256")  # differ between exports of one best state


def find_checkpoint(signature: str, dora_dir: Path) -> Path:
    """The checkpoint of run `signature`.

    Raises:
        ModelNotFoundError: there is no such run, or it has saved nothing yet.
    """
    folder = dora_dir / "xps"
    path = folder / signature / NAME
    if is_valid_name(signature) and path.is_file():
        return path
    there = with_checkpoint(folder)
    if is_valid_name(signature) and (folder / signature).is_dir():
        problem = f"The run {signature} has no {NAME} in {folder / signature} yet."
    else:
        problem = f"There is no training run {signature!r} in {folder.absolute()}."
    near = get_close_matches(signature, there, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    runs = f"Runs with a checkpoint: {', '.join(there[:20])}." if there else "No run has one."
    raise ModelNotFoundError(
        f"{problem}{hint} {runs} Give another folder with --dora_dir, or train first."
    )


def release_of(
    signature: str, checkpoint_path: Path, *, half: bool = False, licence: str = DEFAULT_LICENCE
) -> tuple[dict[str, Tensor], ReleaseInfo]:
    """The best state of a checkpoint and its description, checked to fit each other.

    Raises:
        CheckpointError: the file is corrupted, or no epoch has been validated yet.
        ReleaseError: the weights are not finite, or do not fit half precision.
    """
    found = newest_checkpoint_file(checkpoint_path.parent)
    assert found is not None
    checkpoint_path, checkpoint = found
    best = checkpoint.get("best") or {}
    if not best.get("state"):
        raise CheckpointError(
            f"{checkpoint_path} has no best state: train at least one epoch with validation first."
        )
    state = _precision(best["state"], half, checkpoint_path)
    spec = ModelSpec.from_dict(checkpoint["spec"])
    try:
        build_model(spec).load_state_dict(state)
    except (ConfigError, RuntimeError) as error:
        raise CheckpointError(
            f"{checkpoint_path}: its best state does not fit its model: {error}"
        ) from error
    provenance = provenance_of(checkpoint, file_sha256(checkpoint_path))
    provenance["precision"] = "float16" if half else "float32"
    if half and "quantised" in provenance:
        logger.warning("--half rounds the quantised weights once more: leave it out to keep them")
    provenance["weights_sha256"] = weights_sha256(state)
    info = ReleaseInfo(
        signature=str(checkpoint.get("signature") or signature),
        spec=spec,
        config=dict(checkpoint["config"]),
        provenance=provenance,
        licence=licence,
    )
    return state, info


def prepare(
    signature: str,
    out: Path,
    dora_dir: Path,
    *,
    name: str | None = None,
    half: bool = False,
    licence: str = DEFAULT_LICENCE,
    force: bool = False,
) -> Prepared:
    """The release of a run, read and checked, and whether it has to be written.

    Raises:
        ConfigError: a name that cannot be a file's name.
        ReleaseError: another release has this name, and `force` is not set.
        ModelNotFoundError, CheckpointError: see `find_checkpoint` and `release_of`.
    """
    name = name or signature
    source = find_checkpoint(signature, dora_dir)
    if not is_valid_name(name):
        raise ConfigError(f"--name {name!r}: give a plain name, without folders, such as my-model.")
    state, info = release_of(signature, source, half=half, licence=licence)
    path = out / f"{name}{SUFFIX}"
    missing = force or not path.exists() or not _same(path, info)
    if path.exists() and missing and not force:
        raise ReleaseError(
            f"{path} is there already and is not the same release: give --force to replace it, "
            "or another --name or --out."
        )
    return Prepared(path=path, state=state, info=info, missing=missing)


def export_bag(args: argparse.Namespace) -> int:
    """Writes the releases of several runs and a bag of them; returns the exit code."""
    content = BagFile(
        models=args.signatures, weights=parse_weights(args.weights), segment=args.segment
    )
    check_names(args.bag, args.signatures, args.out)
    releases = [
        prepare(
            one, args.out, args.dora_dir, half=args.half, licence=args.licence, force=args.force
        )
        for one in dict.fromkeys(args.signatures)
    ]
    written = write_bag(args.bag, content, args.out, releases, force=args.force)
    for path in (*(one.path for one in releases), args.out / f"{args.bag}.yaml"):
        print(f"{'wrote' if path in written else 'unchanged'}: {path}")
    print(f"separate with it: demucs --repo {args.out} -n {args.bag} FILE")
    print(f"evaluate it with: python3 -m tools.test_pretrained --repo {args.out} -n {args.bag}")
    return 0


def parse_options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; ends the program with a message if it is wrong."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.bag is None:
        if len(args.signatures) > 1:
            parser.error("several SIG make a bag: give its name with --bag NAME")
        for flag in ("weights", "segment"):
            if getattr(args, flag) is not None:
                parser.error(f"--{flag} is of a bag: give its name with --bag NAME")
    elif args.name is not None:
        parser.error("--name is of a single release: in a bag, each has the name of its run")
    if args.segment is not None and not 0 < args.segment < float("inf"):
        parser.error(f"--segment {args.segment:g}: give a number of seconds above 0")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_options(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    try:
        return export_bag(args) if args.bag is not None else export_one(args)
    except (DemucsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def export_one(args: argparse.Namespace) -> int:
    """Writes the release of a run; returns the exit code."""
    release = prepare(
        args.signatures[0],
        args.out,
        args.dora_dir,
        name=args.name,
        half=args.half,
        licence=args.licence,
        force=args.force,
    )
    path, info = release.path, release.info
    if release.missing:
        save_release(path, release.state, info)
    best = info.provenance["best"]
    print(f"{'wrote' if release.missing else 'unchanged'}: {path}")
    print(f"  size:       {path.stat().st_size / 2**20:.1f} MiB ({info.provenance['precision']})")
    print(f"  best epoch: {best['epoch']} of {info.provenance['epochs']}")
    print(f"  metric:     {best['name']} = {best['metric']}")
    if quantised := info.provenance.get("quantised"):
        print(f"  quantised:  {', '.join(f'{key} {value}' for key, value in quantised.items())}")
    print(f"  sha256:     {file_sha256(path)}")
    print(f"  weights:    {info.provenance['weights_sha256']}")
    print(f"  licence:    {info.licence}")
    print(f"evaluate it with: python3 -m tools.test_pretrained --repo {args.out} -n {path.stem}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tools.export",
        description="Make a release of a training run, or a bag of several.",
    )
    parser.add_argument(
        "signatures",
        nargs="+",
        metavar="SIG",
        help="the run's signature (dora info); of a bag, several",
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path(DEFAULT_FOLDER), help="folder (default: %(default)s)"
    )
    parser.add_argument(
        "--dora_dir",
        type=Path,
        default=outputs_folder(),
        help="where the runs are (default: $DEMUCS_OUTPUTS or ./outputs)",
    )
    parser.add_argument("--half", action="store_true", help="store float16: half the size")
    parser.add_argument("--name", help="name of the release (default: SIG)")
    parser.add_argument("--licence", default=DEFAULT_LICENCE, help="licence of the weights")
    parser.add_argument("--force", action="store_true", help="replace another release, or bag")
    parser.add_argument(
        "--bag", metavar="NAME", help="write the releases and a bag of them, NAME.yaml, beside them"
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        metavar="ROW",
        help="of the bag: for each SIG a row with a number for each stem, such as 1,0,0.5,1, or "
        "one number for all (default: all alike)",
    )
    parser.add_argument(
        "--segment",
        type=float,
        metavar="SECONDS",
        help="of the bag: length of a chunk, instead of the models' own",
    )
    return parser


def _precision(state: Mapping[str, Any], half: bool, path: Path) -> dict[str, Tensor]:
    stored: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise ReleaseError(
                f"{path}: the weights {name} hold NaN or infinity, so the run has diverged: "
                "train again from an earlier state."
            )
        stored[name] = tensor.half() if half and tensor.is_floating_point() else tensor
        if not stored[name].isfinite().all():
            raise ReleaseError(
                f"{path}: the weights {name} are too large for float16: export without --half."
            )
    return stored


def _same(path: Path, info: ReleaseInfo) -> bool:
    """Whether `path` is a good release with the content of `info`, exported at another time."""
    try:
        state, there = read_release(path)
    except ReleaseError:
        return False

    def lasting(release: ReleaseInfo) -> ReleaseInfo:
        kept = {key: v for key, v in release.provenance.items() if key not in VOLATILE}
        return replace(release, provenance=kept)

    same_weights = weights_sha256(state) == info.provenance["weights_sha256"]
    return same_weights and lasting(there).to_json() == lasting(info).to_json()


if __name__ == "__main__":
    sys.exit(main())
