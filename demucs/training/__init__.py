"""The solver: stages, state, checkpoints."""

from demucs.release.checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint
from demucs.training.blocks import RunConfig, read_config
from demucs.training.config import TrainConfig
from demucs.training.distributed import Workers
from demucs.training.solver import Interrupted, Solver
from demucs.training.songs import Songs, find_songs

__all__ = [
    "Interrupted",
    "RunConfig",
    "Solver",
    "Songs",
    "TrainConfig",
    "Workers",
    "find_songs",
    "load_checkpoint",
    "newest_checkpoint",
    "read_config",
    "save_checkpoint",
]
