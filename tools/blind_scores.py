"""Scores stems of labelled songs without their labels, and keeps scores and truth for a study.

    python3 -m tools.blind_scores RECORDS --repo release_models -n 53288a8c --songs /data/musdb18hq

For each song, a file RECORDS/MODEL/KIND/SPLIT/SONG.json with the blind scores of
demucs.blind.scores.song_scores of each stem and second, and the true nSDR and level. A call that
was interrupted resumes where it stopped. What a record has is kept: for other --members, or another
--network, give other RECORDS. The score `cycle` mixes a song with the next one of the list.

`studies.blind_study` reads them: it calibrates on the songs of the split `valid` and reports on
those of `test`. Models of one --family are alike; the study asks how scores fare with a family, and
with a --kind of music, that they were not calibrated on.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demucs.console import bar
from demucs.errors import ConfigError
from demucs.process.command import run_command
from demucs.process.tool import CONTINUES, make_parser, reports_errors
from demucs.release import DEFAULT_FOLDER

if TYPE_CHECKING:
    from torch import Tensor

    from demucs.blind.quality import Quality
    from demucs.blind.teacher import Teacher


@reports_errors(CONTINUES)
def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = parser().parse_args(argv)
    run(options)
    return 0


def run(options: argparse.Namespace) -> None:
    """Scores what is left of the songs, by each model."""
    from demucs.blind.labelled_scores import (  # brings torch, which --help does not need
        collect,
        extend,
    )
    from demucs.blind.teacher import Teacher
    from demucs.data import find_tracks
    from demucs.nn.allocator import tune_allocator
    from demucs.pretrained import get_model

    if options.limit is not None and options.limit < 1:
        raise ConfigError(f"--limit {options.limit}: give at least 1, or leave it out")
    tune_allocator()

    def teacher(name: str) -> Teacher:
        return Teacher.of(get_model(name, options.repo), name, options.device)

    loaded = teacher(options.name)
    tracks = find_tracks(
        options.songs,
        options.split,
        sources=loaded.sources,
        samplerate=loaded.samplerate,
        channels=loaded.channels,
    )[: options.limit]
    title = f"{options.name} {options.kind}/{options.split}"

    def show(left: Iterable[object]) -> Iterable[object]:
        return bar(left, title=title, unit="song", mininterval=1)

    where: dict[str, Any] = {"kind": options.kind, "split": options.split, "show": show}
    done = collect(
        loaded,
        tracks,
        options.out,
        **where,
        family=options.family or options.name,
        members=[teacher(name) for name in options.members],
    )
    print(f"{title}: {done} songs scored, {len(tracks) - done} were there, in {options.out}")
    if options.network is not None or options.sdr:
        hear = None if options.network is None else _network(options.network, loaded)
        added = extend(loaded, tracks, options.out, hear=hear, sdr=options.sdr, **where)
        print(f"{title}: {added} records extended")


def _network(path: Path, teacher: "Teacher") -> "Callable[[Tensor, Tensor], Quality]":
    """A function that predicts the quality of a teacher's estimates of a mixture."""
    from demucs.blind.network import load_network, predict

    trained = load_network(path)

    def hear(mixture: "Tensor", estimates: "Tensor") -> "Quality":
        return predict(trained, mixture, estimates, teacher.samplerate, sources=teacher.sources)

    return hear


def parser() -> argparse.ArgumentParser:
    made = make_parser("tools.blind_scores", __doc__)
    made.add_argument("out", type=Path, metavar="RECORDS", help="folder for the records")
    made.add_argument("-n", "--name", required=True, help="the model")
    made.add_argument(
        "--repo", metavar="FOLDER", help=f"folder of models (./{DEFAULT_FOLDER} and published ones)"
    )
    made.add_argument("--songs", type=Path, required=True, metavar="DATASET", help="labelled songs")
    made.add_argument(
        "--split", choices=("train", "valid", "test"), default="valid", help="(valid)"
    )
    made.add_argument("--kind", default="music", help="what the songs are called in the study")
    made.add_argument("--family", help="family of the model, e.g. its architecture (its name)")
    made.add_argument(
        "--members", nargs="+", default=[], metavar="NAME",
        help="other models, e.g. checkpoints of the same run, for the score `members`",
    )  # fmt: skip
    made.add_argument(
        "--sdr", action="store_true", help="keep the true SDR of BSS Eval too: twice the time"
    )
    made.add_argument(
        "--network", type=Path, metavar="FILE",
        help="also the nSDR that this network of demucs.train_quality predicts (score `network`)",
    )  # fmt: skip
    made.add_argument("--limit", type=int, metavar="N", help="the first N songs only")
    made.add_argument("--device", default="cpu", help="device to compute on (cpu)")
    return made


if __name__ == "__main__":
    run_command(main)
