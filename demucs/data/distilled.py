"""Pseudo-labelled songs: what their stems are worth, window by window.

ROOT/train/NAME/{mixture,SOURCE...}.wav    the unlabelled mixture, and a teacher's estimates
ROOT/train/NAME/distilled.json             the quality that is predicted of them (`tools.distil`)
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demucs.data.readers import MIXTURE
from demucs.data.tracks import Track, tracks_in
from demucs.errors import DatasetError
from demucs.files import path_errors

LABELS_FILE = "distilled.json"
FORMAT = "demucs-distilled-1"
RAW_SCORE = "score"  # the kind of judge whose numbers are no predicted nSDR
PLAYS = 0.5  # probability from which a stem counts as playing in a window
SHOWN = 5  # problems in a message

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What is predicted of the stems of one song.

    Attributes:
        window: seconds of a window.
        nsdr: predicted nSDR in dB, `[S, N]`; NaN where there is none.
        active: probability that the stem plays, `[S, N]`; NaN where it is not known.
        predicted: whether `nsdr` is that, and not a raw score of another meaning.
    """

    window: float
    nsdr: Array
    active: Array
    predicted: bool = True

    def windows(self, start: float, end: float) -> slice:
        """The windows that the seconds from `start` to `end` touch; the last one, past the end."""
        count = self.nsdr.shape[1]
        first = min(int(start / self.window + 1e-6), count - 1)
        return slice(first, max(first + 1, min(count, int(np.ceil(end / self.window - 1e-6)))))

    def quality(self, stem: int, start: float, end: float) -> float | None:
        """Mean predicted nSDR in dB over the windows where the stem plays.

        None: it is predicted to play in none of them. NaN: it plays, and no nSDR is predicted.
        """
        there = self.windows(start, end)
        plays = ~(self.active[stem, there] < PLAYS)
        if not plays.any():
            return None
        known = self.nsdr[stem, there][plays]
        known = known[np.isfinite(known)]
        return float(known.mean()) if len(known) else float("nan")

    def silent(self, stem: int, most: float) -> NDArray[np.bool_]:
        """`[N]`: whether the probability that the stem plays is below `most`."""
        return np.asarray(self.active[stem] < most)


@dataclass(frozen=True, kw_only=True)
class Rating:
    """How predicted quality becomes the weight of a stem in the loss.

    Attributes:
        kind: `plain`: 1; `weight`: from 0 at `floor` to 1 at `full`; `truncate`: 0 below `floor`.
        floor, full: dB of predicted nSDR.
    """

    kind: str = "plain"
    floor: float = 0.0
    full: float = 10.0

    def weight(self, quality: float | None) -> float:
        """Of a quality as `Labels.quality` gives it: silence counts fully, the unknown not."""
        if self.kind == "plain" or quality is None:
            return 1.0
        if not np.isfinite(quality):
            return 0.0
        if self.kind == "truncate":
            return float(quality >= self.floor)
        return float(np.clip((quality - self.floor) / (self.full - self.floor), 0.0, 1.0))


@path_errors()
def distilled_tracks(
    root: str | Path, *, sources: Sequence[str], samplerate: int, channels: int
) -> tuple[list[Track], list[Labels]]:
    """The pseudo-labelled tracks of a folder by name, and the labels of each.

    Raises:
        DatasetError: no such folder; a song without labels, with labels of another format, of
            other stems, or without its mixture; all named at once.
        ConfigError: a source that no track has.
        PathError: a folder that may not be read.
    """
    folder = Path(root) / "train"
    if not folder.is_dir():
        raise DatasetError(
            f"semi.folder={root} holds no pseudo-labelled songs ({folder} does not exist): make "
            "some with `python3 -m tools.distil`, or name the folder that has them"
        )
    songs = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    labels, problems = {}, []
    for song in songs:
        try:
            labels[song.name] = read_labels(song / LABELS_FILE, sources)
        except DatasetError as error:
            problems.append(str(error))
        if not any((song / f"{MIXTURE}{suffix}").exists() for suffix in (".wav", ".flac")):
            problems.append(f"{song} has no {MIXTURE}.wav")
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise DatasetError("; ".join(problems[:SHOWN]) + more)
    if not songs:
        raise DatasetError(
            f"{folder} is empty: `tools.distil` kept no song; lower its threshold, or give it more"
        )
    tracks = tracks_in(folder, sources=sources, samplerate=samplerate, channels=channels)
    return tracks, [labels[track.name] for track in tracks]


def read_labels(path: Path, sources: Sequence[str]) -> Labels:
    """The labels of one song, for stems in the order of `sources`.

    Raises:
        DatasetError: the file is missing, broken, of another format, or of other stems.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise DatasetError(
                f"{path} has the format {content['format']!r}, not {FORMAT!r}: make the set again "
                "with the `tools.distil` of this version"
            )
        quality = content["quality"]
        names = list(quality["sources"])
        _check_stems(path, names, sources)
        order = [names.index(source) for source in sources]
        nsdr, active = (_array(quality[key])[order] for key in ("windows", "active_windows"))
        window = float(quality["window"])
        predicted = content.get("judge", {}).get("kind") != RAW_SCORE
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DatasetError(
            f"{path} does not tell the quality of pseudo-labels ({type(error).__name__}: {error}): "
            "make the set again with `python3 -m tools.distil`"
        ) from error
    if nsdr.ndim != 2 or nsdr.shape != active.shape or nsdr.shape[1] == 0 or not window > 0:
        raise DatasetError(
            f"{path} has windows of shapes {list(nsdr.shape)} and {list(active.shape)}, of "
            f"{window} s: make the set again with `python3 -m tools.distil`"
        )
    return Labels(window=window, nsdr=nsdr, active=active, predicted=predicted)


def _check_stems(path: Path, names: Sequence[str], sources: Sequence[str]) -> None:
    if set(names) != set(sources):
        raise DatasetError(
            f"{path}: the teacher's stems are {', '.join(names)}, and dset.sources are "
            f"{', '.join(sources)}: both must have the same names"
        )


def _array(values: Any) -> Array:
    """`[S, N]` of nested lists, NaN for null."""
    return np.array(
        [[np.nan if value is None else value for value in row] for row in values], dtype=np.float64
    )
