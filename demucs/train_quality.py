"""Training of the quality network: `python3 -m demucs.train_quality KEY=VALUE ...`, or with Dora

    dora -P demucs --main_module train_quality run KEY=VALUE ...

It learns to predict SDR and activity of separated stems, from estimates that
`python3 -m tools.blind_estimates` has collected. Every key is in `conf/quality.yaml`, with its
meaning and default. Examples:

    python3 -m demucs.train_quality estimates=FOLDER songs=DATASET
    python3 -m demucs.train_quality estimates=FOLDER songs=DATASET teachers=[hd_*,ht_*] epochs=40
    python3 -m demucs.train_quality -f SIGNATURE            (continue an experiment)
    python3 -m demucs.train_quality --check epochs=40       (check, and print the signature)

One process, on a CPU: minutes. The same command continues where it was stopped. On SIGTERM, SIGHUP,
SIGUSR1 and SIGUSR2 a run saves, and ends with exit code 85.
"""

from demucs.process.signals import EXIT_STOPPED, Interrupted, begin, stop_signal

if __name__ == "__main__":
    begin(saves=True)  # before the seconds that the imports below take

import os
import sys
from collections.abc import Callable
from typing import Any

from dora import get_xp
from omegaconf import DictConfig

from demucs.errors import ConfigError
from demucs.experiment.cluster import asked_world_size
from demucs.experiment.dora_main import EntryPoint, plain, set_up_logging, warn_of_missing
from demucs.experiment.endings import end, ending_on_errors
from demucs.experiment.identity import Experiment


class _EntryPoint(EntryPoint):
    def check(self, xp: Any) -> None:
        config = _read(plain(xp.cfg), asked_world_size(os.environ))
        warn_of_missing([config.estimates, config.songs])


def _read(values: dict[str, Any], processes: int) -> Any:
    from demucs.blind.network.settings import QualityConfig
    from demucs.training.run_config import read_section

    if processes > 1:
        raise ConfigError(
            f"{processes} processes: the quality network is small and trains in one; start it "
            "without srun or a launcher, or with one task"
        )
    return read_section(QualityConfig, values)


def _entry_point(function: Callable[[DictConfig], None]) -> _EntryPoint:
    return _EntryPoint(function, "quality")


@_entry_point
def main(cfg: DictConfig) -> None:
    """Trains the quality network with the configuration that Dora and Hydra give."""
    with ending_on_errors(memory="give a smaller batch_size or misc.memory, or more memory"):
        from demucs.blind.network.quality_training import train_network

        values, xp = plain(cfg), get_xp()
        config = _read(values, int(os.environ.get("WORLD_SIZE", "1")))
        set_up_logging(verbose=config.misc.verbose, first=True)
        experiment = Experiment.of(xp, main.get_name(xp))
        try:
            path = train_network(
                config, values, experiment, os.environ, lambda: stop_signal() is not None
            )
        except Interrupted as stop:
            print(stop, file=sys.stderr)
            sys.exit(EXIT_STOPPED)
        print(f"Trained {config.epochs} epochs: {path}")


if __name__ == "__main__":
    end(main)
