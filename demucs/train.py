"""Training from the command line: `dora run KEY=VALUE ...`, `python -m demucs.train KEY=VALUE ...`

Every key is in `conf/config.yaml`, with its meaning and default. Examples:

    python3 -m demucs.train model=hdemucs epochs=100 batch_size=16 dset.musdb=FOLDER
    python3 -m demucs.train dset=demo variant=demo          (small, on songs of tools.demo_songs)
    python3 -m demucs.train model=hdemucs misc.show=true    (print the model and exit)
    python3 -m demucs.train -f SIGNATURE                    (continue an experiment)
    python3 -m demucs.train --check model=hdemucs           (check, and print the signature)
    srun python3 -m demucs.train model=hdemucs              (in a SLURM job: all its tasks together)

The same command continues where it was stopped. On SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 a run
saves, and ends with exit code 85. Hydra and Dora end here: below are plain values.
"""

from demucs.process.signals import EXIT_STOPPED, Interrupted, begin, stop_signal

if __name__ == "__main__":
    begin(saves=True)  # before the seconds that the imports below take

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Read when torch is loaded, by the imports below: a thread that waits for work spins only briefly
# before it sleeps. By default it spins for milliseconds, and on cores that are shared with audio
# readers or other jobs it then keeps them from the work it waits for.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

from dora import get_xp
from omegaconf import DictConfig

from demucs.experiment.cluster import asked_world_size
from demucs.experiment.dora_main import EntryPoint, plain, set_up_logging, warn_of_missing
from demucs.experiment.endings import end, ending_on_errors
from demucs.experiment.identity import Experiment
from demucs.experiment.nearest import describe_nearest
from demucs.experiment.record import CHECKPOINT
from demucs.process.children import follow_launcher

logger = logging.getLogger(__name__)


class _EntryPoint(EntryPoint):
    def check(self, xp: Any) -> None:
        from demucs.training import check_config, check_start
        from demucs.training.config.public_datasets import check_named

        run = check_config(plain(xp.cfg), asked_world_size(os.environ))
        check_start(run, Path(xp.folder))
        semi = run.options.semi.folder
        check_named(*run.options.dset.roots)
        warn_of_missing([*run.options.dset.roots, *([semi] if semi else [])])

    def instead(self, signature: str, more: str) -> str:
        return (
            f"to start it from the weights of this one, add continue_from={signature} {more} to "
            "its overrides instead of -f"
        )


def _show(run: Any) -> None:
    from demucs.nn import build_model

    model = build_model(run.spec)
    size = sum(parameter.numel() for parameter in model.parameters())
    print(model)
    print(f"{size / 1e6:.1f} million parameters, {size * 4 / 2**20:.0f} MB")


def _read(values: dict[str, Any], xp: Any) -> tuple[Any, Any]:
    """The configuration and the experiment to train, announced in the log."""
    from demucs.training import read_config

    run = read_config(values)
    set_up_logging(verbose=run.options.misc.verbose, first=_is_first())
    experiment = Experiment.of(xp, main.get_name(xp))
    starts_from = run.options.continue_from or run.options.continue_pretrained
    if _is_first() and not starts_from and not run.options.misc.show:
        message = describe_nearest(experiment.folder.parent, xp.sig, xp.argv)
        if message is not None:
            logger.warning(message)
    return run, experiment


def _is_first() -> bool:
    return os.environ["RANK"] == "0"


def _entry_point(function: Callable[[DictConfig], None]) -> _EntryPoint:
    return _EntryPoint(function, "config")


@_entry_point
def main(cfg: DictConfig) -> None:
    """Trains the experiment whose configuration Dora and Hydra give."""
    with ending_on_errors(
        memory="give a smaller batch_size or micro_batch, a shorter dset.segment, fewer "
        "misc.num_workers, or more memory"
    ):
        from demucs.training import run_training

        run, experiment = _read(plain(cfg), get_xp())
        if run.options.misc.show:
            _show(run)
            return
        try:
            run_training(run, experiment, os.environ, lambda: stop_signal() is not None)
        except Interrupted as stop:
            if _is_first():
                print(stop, file=sys.stderr)
            sys.exit(EXIT_STOPPED)
        if _is_first():
            print(f"Trained {run.options.epochs} epochs: {experiment.folder / CHECKPOINT}")
            print(f"Next: python3 -m tools.export {experiment.signature}")


if __name__ == "__main__":
    follow_launcher()
    end(main)
