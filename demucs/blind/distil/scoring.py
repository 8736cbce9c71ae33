"""The first stage: what a judge says of every excerpt of a file, kept file by file."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from demucs.blind.distil.entry import Entry, Scored, path_of
from demucs.blind.distil.excerpts import Excerpt, cut, excerpts
from demucs.blind.distil.guard import Guard
from demucs.blind.distil.prepare import (
    MIN_SECONDS,
    SILENT_PEAK,
    Prepared,
    Skipped,
    peak_of,
    prepare,
    reason_of,
)
from demucs.blind.distil.quality_judge import Judge
from demucs.blind.distil.sources import SourceFile
from demucs.blind.distil.true_nsdr import TrueStems, true_quality
from demucs.blind.quality import plain
from demucs.blind.teacher import Teacher
from demucs.errors import AudioError, ConfigError, DemucsError
from demucs.process.signals import Interrupted
from demucs.release.provenance import file_sha256

SAVE_EVERY = 60.0  # seconds between two savings of a long file, which cost as its excerpts grow


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How files are scored.

    Attributes:
        teacher, judge, guard: who does it.
        out: the folder of all results.
        run: of teacher, judge and settings (`demucs.blind.distil.place.Place`).
        excerpt: seconds of an excerpt at most; 0 keeps files whole.
        min_seconds: shorter files are skipped.
        truth: compare with true stems, where there are some.
        stop: whether to end; asked before each excerpt.
    """

    teacher: Teacher
    judge: Judge
    guard: Guard
    out: Path
    run: str
    excerpt: float = 60.0
    min_seconds: float = MIN_SECONDS
    truth: bool = False
    stop: Callable[[], bool] = lambda: False

    def known(self, file: SourceFile) -> Entry | None:
        """The entry that is there, if it is complete, of this run and guard, and of this file."""
        entry = self._found(file)
        guarded = entry is not None and entry.guard == self.guard.id
        return entry if entry is not None and guarded and entry.complete else None

    def score(self, file: SourceFile) -> Entry:
        """Scores a file, or what is missing of it, and keeps that.

        Raises:
            Interrupted: it was asked to stop; what is done is kept.
            ConfigError: the judge cannot judge this teacher.
            OSError: the entry cannot be written.
        """
        if self.stop():
            raise Interrupted
        before = self._found(file)
        blank = Entry(file=file.file, mark=file.mark, run=self.run, guard=self.guard.id)
        try:
            named = self.guard.by_name(file)
            if named:
                raise _Refused(named)
            ready = prepare(file, self.teacher.samplerate, self.teacher.channels, self.min_seconds)
            alike = self.guard.by_sound(ready.sections)
            if alike:
                raise _Refused(alike, ready.seconds)
        except Skipped as error:
            left_out = replace(
                blank,
                sha256=_sha256(file),
                seconds=error.seconds,
                skipped=str(error),
                refused=isinstance(error, _Refused),
            )
            return self._kept(file, left_out)
        entry = replace(
            blank,
            notes=ready.notes,
            sha256=ready.sha256,
            audio_sha256=ready.audio_sha256,
            seconds=round(ready.seconds, 3),
            complete=False,
            excerpts=before.excerpts if before and before.sha256 == ready.sha256 else (),
        )
        return self._judged(file, entry, ready)

    def _found(self, file: SourceFile) -> Entry | None:
        """The entry of this run, whatever it was compared with, if the file is still the same."""
        entry = Entry.load(path_of(self.out, file.key))
        if entry is None or entry.run != self.run or entry.file != file.file:
            return None
        if entry.mark == file.mark:
            return entry
        try:
            same = entry.sha256 is not None and entry.sha256 == file_sha256(file.path)
        except OSError:
            return None
        return replace(entry, mark=file.mark) if same else None

    def _judged(self, file: SourceFile, entry: Entry, ready: Prepared) -> Entry:
        """The entry with all its excerpts."""
        done = {scored.excerpt: scored for scored in entry.excerpts}
        wanted = excerpts(ready.audio.length, self.teacher.samplerate, self.excerpt)
        left = [scored for scored in wanted if scored not in done]
        saved = time.monotonic()

        def gathered(*, complete: bool) -> Entry:
            scored_excerpts = tuple(done[scored] for scored in wanted if scored in done)
            return replace(entry, excerpts=scored_excerpts, complete=complete)

        try:
            for excerpt, mixture, true in self._excerpts(file, ready, left):
                if self.stop():
                    raise Interrupted
                done[excerpt] = self._one(excerpt, mixture, true)
                if time.monotonic() - saved > SAVE_EVERY:
                    self._kept(file, gathered(complete=False))
                    saved = time.monotonic()
        except (Interrupted, KeyboardInterrupt):
            if done:
                self._kept(file, gathered(complete=False))
            raise
        except AudioError as error:  # it changed while it was read
            return self._kept(file, replace(entry, skipped=reason_of(error, file), complete=True))
        return self._kept(file, gathered(complete=True))

    def _excerpts(
        self, file: SourceFile, ready: Prepared, wanted: list[Excerpt]
    ) -> Iterator[tuple[Excerpt, Tensor, Tensor | None]]:
        """Each with its mixture, and with its true stems if they are wanted and there."""
        teacher, true = self.teacher, None
        if self.truth and wanted:
            true = TrueStems(
                file.stems,
                teacher.sources,
                teacher.samplerate,
                teacher.channels,
                ready.audio.length,
                wanted,
            )
        for excerpt, mixture in cut(ready.audio.blocks(), wanted):
            yield excerpt, mixture, true.take() if true else None

    def _one(self, excerpt: Excerpt, mixture: Tensor, true: Tensor | None) -> Scored:
        if peak_of(mixture) < SILENT_PEAK:
            return Scored(excerpt=excerpt, skipped="silent: its peak is below -60 dB")
        try:
            stems, quality, scores = self.judge(self.teacher, mixture)
        except ConfigError:
            raise
        except DemucsError as error:
            return Scored(excerpt=excerpt, skipped=f"cannot be judged: {error}")
        return Scored(
            excerpt=excerpt,
            quality=quality,
            scores={name: plain(measures.track) for name, measures in scores.items()},
            truth=None if true is None else true_quality(true, stems),
        )

    def _kept(self, file: SourceFile, entry: Entry) -> Entry:
        entry.save(path_of(self.out, file.key))
        return entry


def _sha256(file: SourceFile) -> str | None:
    """Of a file that may not be readable."""
    try:
        return file_sha256(file.path)
    except OSError:
        return None


class _Refused(Skipped):
    """It is a test song."""
