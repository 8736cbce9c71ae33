"""The solver: stages, state, checkpoints."""

from demucs.experiment.identity import Experiment
from demucs.process.signals import Interrupted
from demucs.release.checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint
from demucs.training.config.schema import TrainConfig
from demucs.training.distributed.process_group import ProcessGroup
from demucs.training.run import check_config, run_training
from demucs.training.run_config import RunConfig, read_config
from demucs.training.solver import Solver
from demucs.training.songs import Songs, find_songs
from demucs.training.start import check_start

__all__ = [
    "Experiment",
    "Interrupted",
    "ProcessGroup",
    "RunConfig",
    "Solver",
    "Songs",
    "TrainConfig",
    "check_config",
    "check_start",
    "find_songs",
    "load_checkpoint",
    "newest_checkpoint",
    "read_config",
    "run_training",
    "save_checkpoint",
]
