"""Scoring in other processes, so that the model continues to separate.

The processes are started from scratch, not forked: they do not inherit the threads of torch, do
not run the caller's main module again, and use one BLAS thread each.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import demucs
from demucs.errors import DemucsError
from demucs.evaluation.track_scores import Track, TrackScores, score_track
from demucs.evaluation.worker import DTYPE
from demucs.process.children import signals_held

# The parent may be gone before the imports of the last line are done.
_WORKER = """
import sys
from demucs.process.children import settle
settle(int(sys.argv[1]))
from demucs.evaluation.worker import main
main()
"""


class ScoringPool:
    """Scores tracks in `workers` processes; with none, in this one.

    Used as a context manager; leaving it by an exception ends the processes at once.

    Args:
        workers: how many processes.
        how: arguments of `demucs.evaluation.track_scores.score_track`.
    """

    def __init__(self, workers: int, **how: Any) -> None:
        self._workers, self._how = workers, how
        self._threads = ThreadPoolExecutor(workers, "scoring") if workers else None
        # A track with its stems takes hundreds of MB: wait rather than pile them up.
        self._room = threading.Semaphore(workers + 1)
        self._local = threading.local()
        self._processes: list[_Process] = []
        self._aborted = False
        self._lock = threading.Lock()  # no process is started once they are being ended

    def submit(self, track: Track) -> "Future[TrackScores]":
        """Scores a track; waits while too many are under way.

        The future raises DemucsError if the scoring failed.
        """
        if self._threads is None:
            future: Future[TrackScores] = Future()
            try:
                future.set_result(score_track(track, **self._how))
            except DemucsError as error:
                future.set_exception(error)
            except Exception as error:
                future.set_exception(DemucsError(f"{type(error).__name__}: {error}"))
            return future
        self._room.acquire()
        future = self._threads.submit(self._score, track)
        future.add_done_callback(lambda _: self._room.release())
        return future

    def __enter__(self) -> "ScoringPool":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            with self._lock:
                self._aborted = True
                for process in self._processes:
                    process.kill()
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=kind is not None)
        for process in self._processes:
            process.close()

    def _score(self, track: Track) -> TrackScores:
        """Runs in a thread of its own for each process."""
        process: _Process | None = getattr(self._local, "process", None)
        with self._lock:
            if self._aborted:
                raise DemucsError("not scored: the evaluation was aborted")
            if process is None or not process.alive():
                process = self._local.process = _Process()
                self._processes.append(process)
        signals = {
            name: np.ascontiguousarray(getattr(track, name), DTYPE)
            for name in ("mixture", "references", "estimates")
        }
        header = {
            "shapes": [(name, array.shape) for name, array in signals.items()],
            "track": {"samplerate": track.samplerate, "sources": track.sources},
            "how": self._how,
        }
        answer = process.ask(header, *signals.values())
        if "error" in answer:
            raise DemucsError(answer["error"])
        return TrackScores(**answer)


class _Process:
    """One scoring process and its pipes."""

    def __init__(self) -> None:
        package = str(Path(demucs.__file__).resolve().parents[1])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        one_thread = dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
        )
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        with signals_held():
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", _WORKER, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env={**os.environ, **one_thread, "PYTHONPATH": os.pathsep.join(paths)},
            )

    def ask(self, header: dict[str, Any], *arrays: NDArray[Any]) -> dict[str, Any]:
        """Sends one request and waits for its answer.

        Raises:
            DemucsError: the process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(header).encode() + b"\n")
            for array in arrays:
                self._process.stdin.write(array.data.cast("B"))
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = b""
        if not line:
            raise DemucsError(self._obituary())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """Ends the process by ending its input."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # it is dead already, with a request half written
                    pipe.close()
        self._process.wait()
        self._log.close()

    def _obituary(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        hint = " (out of memory? use fewer test.workers)" if code == -9 else ""
        return f"the scoring process ended with code {code}{hint}: {' | '.join(lines[-3:])}"
