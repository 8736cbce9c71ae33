"""A bag of several runs: their releases and `NAME.yaml`, in one folder, all of them or none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from demucs.errors import ConfigError, ReleaseError
from demucs.files import atomic_paths
from demucs.nn import build_empty
from demucs.release import ReleaseInfo, save_release
from demucs.release.bag import Bag
from demucs.release.bagfile import BagFile, bag_text, read_bag
from demucs.release.names import BAG_SUFFIX, is_valid_name, model_files, name_of


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A release that belongs at `path`; `missing` if it has to be written there."""

    path: Path
    state: dict[str, Tensor]
    info: ReleaseInfo
    missing: bool


def check_names(bag: str, models: Sequence[str], out: Path) -> None:
    """Looks at the names of a bag and its models, before any run is read.

    Raises:
        ConfigError: a name that cannot be a file's.
        ReleaseError: a single model has the bag's name, or a model is a bag.
    """
    if not is_valid_name(bag):
        raise ConfigError(f"--bag {bag!r}: give a plain name, without folders, such as my-bag.")
    files = model_files(out)
    singles = [one for one in files if name_of(one) == bag and one.suffix != BAG_SUFFIX]
    if singles or bag in models:
        raise ReleaseError(
            f"--bag {bag}: a single model has this name ({singles[0] if singles else 'a SIG'}), "
            "and would be taken instead of the bag: give another name."
        )
    bags = [one for one in models if out / f"{one}{BAG_SUFFIX}" in files]
    if bags:
        raise ReleaseError(f"{bags[0]} is a bag in {out}, and cannot be in another one: give runs")


def write_bag(
    bag: str, content: BagFile, out: Path, releases: Sequence[Prepared], *, force: bool
) -> list[Path]:
    """Writes the bag's file and its releases, as far as they are not there.

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
    networks = {one.path.stem: build_empty(one.info.spec) for one in releases}
    chosen = [networks[name] for name in content.models]
    made = Bag(chosen, content.weights, content.segment, content.models)
    if content.weights is not None:
        content = replace(content, weights=made.weights)  # each with a number for each stem
    path = out / f"{bag}{BAG_SUFFIX}"
    missing = force or not _same(path, content)
    if path.exists() and missing and not force:
        raise ReleaseError(
            f"{path} is there already and is not the same bag: give --force to replace it, or "
            "another --bag or --out."
        )
    new = [one for one in releases if one.missing]
    targets = [*(one.path for one in new), *([path] if missing else [])]
    if not targets:
        return []
    with atomic_paths(targets) as temporary:
        for one, place in zip(new, temporary, strict=False):
            save_release(place, one.state, one.info)
        if missing:
            temporary[-1].write_text(bag_text(content), encoding="utf-8")
    return targets


def _same(path: Path, content: BagFile) -> bool:
    try:
        return path.exists() and read_bag(path) == content
    except ReleaseError:  # broken
        return False


def parse_weights(rows: Sequence[str] | None) -> list[list[float]] | None:
    """The rows of `--weights`, each as `1,0,0.5,1`.

    Raises:
        ConfigError: something that is no number.
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
