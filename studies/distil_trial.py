"""Trial of distilled data: students trained on few labelled songs, with and without pseudo-labels.

    python3 -m studies.distil_trial OUT --songs LABELLED --pool MUSIC -n TEACHER \\
        --calibration FILE.json --test studio=LABELLED --test live=OTHER \\
        dset=demo variant=demo epochs=12 max_batches=27

The songs of MUSIC (SONG/mixture.wav, with true stems beside it, which only the oracle looks at) are
distilled once by TEACHER (`tools.distil`). Then the same student is trained in several arms, each
for the same number of steps and from the same seeds:

    supervised  on the labelled songs of LABELLED alone
    all         and all songs of MUSIC with the teacher's stems as labels
    weighted    the same, where stems count by their predicted quality (semi=weighted)
    random      and a random half of MUSIC
    selected    and the half of the best predicted quality
    oracle      and the half of the best true quality

Every student is evaluated on the test songs of each --test. Writes OUT/trial.json with all numbers
and OUT/trial.md; `graphing_scripts/distil_trial.py OUT/trial.json` draws them. The same command
resumes where it stopped.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import argparse
from collections.abc import Sequence
from pathlib import Path

from demucs.errors import ConfigError
from demucs.process.command import run_command
from demucs.process.tool import CONTINUES, make_parser, reports_errors
from demucs.release import DEFAULT_FOLDER
from studies.distil.arms import ARMS, Trial


@reports_errors(CONTINUES)
def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = parser().parse_intermixed_args(argv)
    trial = Trial(
        out=options.out.resolve(),
        songs=options.songs.resolve(),
        pool=options.pool.resolve(),
        teacher=options.name,
        repo=Path(options.repo).resolve(),
        calibration=options.calibration.resolve(),
        tests=_tests(options.test),
        seeds=options.seeds,
        arms=options.arms,
        jobs=options.jobs,
        overrides=options.overrides,
    )
    print(trial.run())
    return 0


def _tests(given: Sequence[str]) -> dict[str, Path]:
    folders = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not equals or not (Path(folder) / "test").is_dir():
            raise ConfigError(f"--test {text}: give NAME=DATASET, a folder that holds test/SONG")
        folders[name] = Path(folder).resolve()
    return folders


def parser() -> argparse.ArgumentParser:
    made = make_parser("studies.distil_trial", __doc__)
    add = made.add_argument
    add("out", type=Path, metavar="OUT", help="folder of everything that is made")
    add(
        "--songs", type=Path, required=True, metavar="LABELLED", help="dataset with train and valid"
    )
    add("--pool", type=Path, required=True, metavar="MUSIC", help="songs to distil")
    add("-n", "--name", required=True, metavar="TEACHER", help="model that separates them")
    add("--repo", default=DEFAULT_FOLDER, help=f"its folder ({DEFAULT_FOLDER})")
    add(
        "--calibration",
        type=Path,
        required=True,
        metavar="FILE.json",
        help="of studies.blind_study",
    )
    add(
        "--test", action="append", required=True, metavar="NAME=DATASET",
        help="test songs, with a name for them; repeatable",
    )  # fmt: skip
    add("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the trainings (1 2 3)")
    add("--arms", nargs="+", choices=list(ARMS), default=list(ARMS), help="(all)")
    add("--jobs", type=int, default=1, metavar="N", help="trainings at a time (1)")
    add("overrides", nargs="*", metavar="KEY=VALUE", help="of every training, as for dora run")
    return made


if __name__ == "__main__":
    run_command(main)
