"""Makes demo songs from a seed, in the folder layout of MUSDB18-HQ.

    python3 -m tools.demo_songs OUT --train 24 --valid 4 --test 4 --seconds 30 --seed 0

Writes OUT/{train,valid,test}/NAME/{mixture,drums,bass,other,vocals}.wav: 16-bit stereo, the
mixture being the exact sum of its stems. The same arguments give the same songs. A second call
keeps the songs that are complete, so an interrupted one resumes where it stopped. Demo songs of
other arguments (another seed, length or number) are removed from OUT; your own folders are not.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
from collections.abc import Sequence
from pathlib import Path

from demucs.demo_songs import write_demo_songs
from demucs.demo_songs.kinds import KINDS
from demucs.process.command import run_command
from demucs.process.tool import CONTINUES, make_parser, reports_errors


@reports_errors(CONTINUES)
def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = vars(parser().parse_args(argv))
    folders = write_demo_songs(options["out"], **{k: v for k, v in options.items() if k != "out"})
    print(f"{len(folders)} songs in {options['out']}")
    return 0


def parser() -> argparse.ArgumentParser:
    made = make_parser("tools.demo_songs", __doc__)
    made.add_argument("out", type=Path, metavar="OUT", help="folder for the songs")
    for split, count in (("train", 24), ("valid", 4), ("test", 4)):
        made.add_argument(
            f"--{split}", type=int, default=count, metavar="N", help=f"{split} songs ({count})"
        )
    made.add_argument(
        "--seconds", type=float, default=30.0, metavar="S", help="length of a song (30)"
    )
    made.add_argument("--seed", type=int, default=0, metavar="K", help="seed of the songs (0)")
    made.add_argument(
        "--samplerate", type=int, default=44100, metavar="HZ", help="sample rate (44100)"
    )
    made.add_argument(
        "--kind", choices=KINDS, default="studio", help="of music; live is another one (studio)"
    )
    made.add_argument(
        "--workers", type=int, default=None, metavar="N", help="processes (one for each core)"
    )
    made.add_argument(
        "--no-progress", dest="progress", action="store_false", help="no progress bar"
    )
    return made


if __name__ == "__main__":
    run_command(main)
