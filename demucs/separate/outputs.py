"""Names of the stem files: made from a pattern, inside one folder, never those of an input."""

import os
import string
from collections.abc import Iterable, Sequence
from pathlib import Path

from demucs.errors import AudioError, ConfigError

DEFAULT_PATTERN = "{track}/{stem}.{ext}"
FIELDS = ("track", "trackext", "stem", "ext")
SUFFIXES = (".wav", ".flac", ".mp3")


def check_pattern(pattern: str, extension: str) -> None:
    """Tries a `--filename` pattern.

    Raises:
        ConfigError: it cannot be filled in, leaves the folder, or has no audio suffix.
    """
    fields = ", ".join(f"{{{name}}}" for name in FIELDS)
    try:
        for _, name, form, conversion in string.Formatter().parse(pattern):
            if name is not None and name not in FIELDS:
                raise ConfigError(f"{pattern!r} uses other names than {fields}: {{{name}}}")
            if form or conversion:
                raise ConfigError(
                    f"{pattern!r} has {{{name}}} with ! or :, which names do not take: "
                    f"write {{{name}}} alone"
                )
        filled = pattern.format(track="track", trackext="wav", stem="stem", ext=extension)
    except (ValueError, LookupError) as error:
        raise ConfigError(f"{pattern!r} is not a pattern of {fields}: {error}") from None
    if not _is_inside(filled):
        raise ConfigError(f"{pattern!r} leads out of the output folder: leave out leading / and ..")
    if Path(filled).suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{pattern!r} must end in .{{ext}}, or in {', '.join(SUFFIXES)}")


class OutputNames:
    """Names the files of each track, and refuses to write one file twice or over an input.

    Args:
        folder: every file lies in it.
        pattern: checked by `check_pattern`.
        extension: the value of `{ext}`.
        inputs: files never to be written over.
    """

    def __init__(self, folder: Path, pattern: str, extension: str, inputs: Sequence[Path]) -> None:
        self.folder, self.pattern, self.extension = folder, pattern, extension
        self._inputs = {os.path.realpath(path) for path in inputs if "\0" not in str(path)}
        self._files = {file for path in inputs if (file := identity(path)) is not None}
        self._taken: dict[str, Path] = {}

    def reserve(self, path: Path, flag: str) -> None:
        """Reserves `path` for the output of `flag`, so that no stem is written there.

        Raises:
            AudioError: it is an input.
        """
        real = os.path.realpath(path)
        if real in self._inputs or identity(path) in self._files:
            raise AudioError(f"not writing {flag} {path}, which is one of the input files.")
        self._taken[real] = Path(flag)

    def of(self, track: Path, stems: Iterable[str], below: Path = Path()) -> dict[str, Path]:
        """Stem → file, for all `stems` of `track`, in the sub-folder `below`.

        Raises:
            AudioError: a name leads out of the folder, is an input's, is invalid or taken.
        """
        if "\0" in str(track):
            raise AudioError(f"{track} cannot be read: no file has such a name. Check the name.")
        names: dict[str, Path] = {}
        for stem in stems:
            name = filled(self.pattern, track, stem, self.extension)
            path = self.folder / below / name
            if not _is_inside(name):
                raise AudioError(
                    f"{track}: not writing {path}, which is outside the output folder "
                    f"{self.folder}: rename the track or give another --filename."
                )
            real = os.path.realpath(path)
            if real in self._inputs or identity(path) in self._files:
                raise AudioError(
                    f"{track}: not writing {path}, which is one of the input files: "
                    "give another --filename or --out."
                )
            if real in self._taken or path in names.values():
                other = self._taken.get(real, track)
                raise AudioError(
                    f"{track}: not writing {path} twice (it is also of "
                    f"{other}): use {{stem}}, {{track}} and {{trackext}} in "
                    "--filename, or another --out."
                )
            names[stem] = path
        self._taken.update({os.path.realpath(path): track for path in names.values()})
        return names


def filled(pattern: str, track: Path, stem: str, extension: str) -> str:
    """The name of a stem of `track`, by a pattern that `check_pattern` found good.

    >>> filled("{track}/{stem}.{ext}", Path("song.mp3"), "vocals", "wav")
    'song/vocals.wav'
    """
    name = pattern.format(
        track=track.stem, trackext=track.suffix.removeprefix("."), stem=stem, ext=extension
    )
    return name.lstrip("/")  # an empty {trackext} at the beginning


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode, equal for two names of one file; None if there is no such file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _is_inside(name: str) -> bool:
    """True if the relative path `name` stays in the folder that it starts from."""
    normal = os.path.normpath(name)
    return not (os.path.isabs(normal) or normal in (".", "..") or normal.startswith(".." + os.sep))
