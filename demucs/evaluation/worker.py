"""A process that scores tracks for `demucs.evaluation.scoring_pool`, until its input ends.

Each request is one line of JSON (what `ScoringPool` puts into it) and then three arrays of
little-endian float32, mixture, references and estimates; each answer is one line of JSON.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from demucs.errors import DemucsError
from demucs.evaluation.track_scores import Track, score_track

DTYPE = np.dtype("<f4")


def main() -> None:
    """Answers requests on standard input; only answers go to the original standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print of a library must not end up among the answers
    while header := sys.stdin.buffer.readline():
        request = json.loads(header)
        signals: dict[str, Any] = {
            name: _receive(sys.stdin.buffer, shape) for name, shape in request["shapes"]
        }
        try:
            scores = score_track(Track(**signals, **request["track"]), **request["how"])
            answer = asdict(scores)
        except DemucsError as error:
            answer = {"error": str(error)}
        except Exception as error:  # this track fails, the next may not
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def _receive(stream: BinaryIO, shape: Sequence[int]) -> NDArray[np.float32]:
    array = np.empty(shape, DTYPE)
    view = array.data.cast("B")
    position = 0
    while position < len(view):
        count = stream.readinto(view[position:])  # type: ignore[attr-defined]
        if not count:
            raise SystemExit(1)  # the parent is gone
        position += count
    return array
