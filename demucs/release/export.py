"""Export of training runs: releases of their best weights, and bags of several, all or none."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from demucs.errors import ConfigError, ReleaseError
from demucs.files import atomic_paths
from demucs.nn import build_empty
from demucs.release.bag import Bag
from demucs.release.bagfile import BagFile, bag_text, read_bag
from demucs.release.from_checkpoint import BestModel, find_checkpoint, read_best
from demucs.release.info import DEFAULT_LICENCE, ReleaseInfo
from demucs.release.names import BAG_SUFFIX, SUFFIX, is_valid_name, model_files, name_of
from demucs.release.package import read_release, save_release, weights_sha256
from demucs.release.provenance import file_sha256, provenance_of

logger = logging.getLogger(__name__)

VOLATILE = ("date", "versions", "checkpoint_sha256")  # differ between exports of one best state


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A release that belongs at `path`; `missing` if it has to be written there."""

    path: Path
    state: dict[str, Tensor]
    info: ReleaseInfo
    missing: bool


def prepare(
    signature: str,
    out: Path,
    dora_dir: Path,
    *,
    name: str | None = None,
    epoch: int | None = None,
    half: bool = False,
    licence: str = DEFAULT_LICENCE,
    force: bool = False,
) -> Prepared:
    """The release of a run, read and checked, and whether it has to be written.

    Raises:
        ConfigError: a name that cannot be a file's name.
        ReleaseError: another release has this name, and `force` is not set.
        ModelNotFoundError, CheckpointError: see `demucs.release.from_checkpoint`.
    """
    name = name or (signature if epoch is None else f"{signature}_{epoch}")
    source = find_checkpoint(signature, dora_dir, epoch)
    if not is_valid_name(name):
        raise ConfigError(f"--name {name!r}: give a plain name, without folders, such as my-model.")
    state, info = release_of(signature, read_best(source), half=half, licence=licence)
    path = out / f"{name}{SUFFIX}"
    missing = force or not path.exists() or not _same_release(path, info)
    if path.exists() and missing and not force:
        raise ReleaseError(
            f"{path} is there already and is not the same release: give --force to replace it, "
            "or another --name or --out."
        )
    return Prepared(path=path, state=state, info=info, missing=missing)


def release_of(
    signature: str, best: BestModel, *, half: bool = False, licence: str = DEFAULT_LICENCE
) -> tuple[dict[str, Tensor], ReleaseInfo]:
    """Weights and description of a release of the best model of run `signature`.

    Raises:
        ReleaseError: the weights are not finite, or do not fit half precision.
    """
    state = _precision(best.state, half, best.path)
    provenance = provenance_of(best.checkpoint, file_sha256(best.path))
    provenance["precision"] = "float16" if half else "float32"
    if half and "quantised" in provenance:
        logger.warning("--half rounds the quantised weights once more: leave it out to keep them")
    provenance["weights_sha256"] = weights_sha256(state)
    info = ReleaseInfo(
        signature=str(best.checkpoint.get("signature") or signature),
        spec=best.spec,
        config=dict(best.checkpoint["config"]),
        provenance=provenance,
        licence=licence,
    )
    return state, info


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


def _same_release(path: Path, info: ReleaseInfo) -> bool:
    """Whether `path` is a good release with the content of `info`, exported at another time."""
    try:
        state, present = read_release(path)
    except ReleaseError:
        return False

    def lasting(release: ReleaseInfo) -> ReleaseInfo:
        kept = {key: v for key, v in release.provenance.items() if key not in VOLATILE}
        return replace(release, provenance=kept)

    same_weights = weights_sha256(state) == info.provenance["weights_sha256"]
    return same_weights and lasting(present).to_json() == lasting(info).to_json()


def check_names(bag: str, models: Sequence[str], out: Path) -> None:
    """Checks the names of a bag and its models, before any run is read.

    Raises:
        ConfigError: a name that cannot be a file's.
        ReleaseError: a single model has the bag's name, or a model is a bag.
    """
    if not is_valid_name(bag):
        raise ConfigError(f"--bag {bag!r}: give a plain name, without folders, such as my-bag.")
    files = model_files(out)
    singles = [model for model in files if name_of(model) == bag and model.suffix != BAG_SUFFIX]
    if singles or bag in models:
        raise ReleaseError(
            f"--bag {bag}: a single model has this name ({singles[0] if singles else 'a SIG'}), "
            "and would be taken instead of the bag: give another name."
        )
    bags = [model for model in models if out / f"{model}{BAG_SUFFIX}" in files]
    if bags:
        raise ReleaseError(f"{bags[0]} is a bag in {out}, and cannot be in another one: give runs")


def write_bag(
    bag: str, content: BagFile, out: Path, releases: Sequence[Prepared], *, force: bool
) -> list[Path]:
    """Writes the bag's file and its releases, unless they exist already.

    Args:
        bag: its name.
        content: names of the releases, weights and segment.
        out: the folder.
        releases: one for each name.
        force: replace another bag of this name.

    Returns:
        The files that were written.

    Raises:
        ReleaseError: models or weights that do not go together, or another bag has this name.
        OSError: the folder cannot be written, or the disk is full; then nothing was.
    """
    networks = {release.path.stem: build_empty(release.info.spec) for release in releases}
    chosen = [networks[name] for name in content.models]
    made = Bag(chosen, content.weights, content.segment, content.models)
    if content.weights is not None:
        content = replace(content, weights=made.weights)  # each with a number for each stem
    path = out / f"{bag}{BAG_SUFFIX}"
    missing = force or not _same_bag(path, content)
    if path.exists() and missing and not force:
        raise ReleaseError(
            f"{path} is there already and is not the same bag: give --force to replace it, or "
            "another --bag or --out."
        )
    new = [release for release in releases if release.missing]
    targets = [*(release.path for release in new), *([path] if missing else [])]
    if not targets:
        return []
    with atomic_paths(targets) as temporary:
        for release, temporary_path in zip(new, temporary, strict=False):
            save_release(temporary_path, release.state, release.info)
        if missing:
            temporary[-1].write_text(bag_text(content), encoding="utf-8")
    return targets


def _same_bag(path: Path, content: BagFile) -> bool:
    try:
        return path.exists() and read_bag(path) == content
    except ReleaseError:  # broken
        return False


def parse_weights(rows: Sequence[str] | None) -> list[list[float]] | None:
    """The rows of `--weights`, each as `1,0,0.5,1`.

    Raises:
        ConfigError: a weight is not a number.
    """
    if rows is None:
        return None
    try:
        return [[float(number) for number in row.split(",")] for row in rows]
    except ValueError:
        raise ConfigError(
            f"--weights {' '.join(rows)}: give a row for each SIG, each with a number for each "
            "stem and commas between them, such as 1,0,0.5,1"
        ) from None
