"""A run from its configuration to its end: the processes meet, hold the experiment, and train."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from demucs.errors import ConfigError
from demucs.experiment.cluster import World, check_gpus, find_world, rendezvous_address, requeue
from demucs.experiment.environment import describe
from demucs.experiment.identity import Experiment
from demucs.experiment.record import RunRecord, recorded
from demucs.nn import build_model
from demucs.nn.allocator import tune_allocator
from demucs.process.cores import core_count
from demucs.process.signals import Interrupted, noting
from demucs.training.distributed.process_group import ProcessGroup
from demucs.training.distributed.rendezvous import LostPeerError
from demucs.training.run_config import RunConfig, read_config
from demucs.training.solver import Solver
from demucs.training.songs import find_songs
from demucs.training.start import check_start

logger = logging.getLogger(__name__)

_STOPS = (Interrupted, KeyboardInterrupt)


def check_config(plain: Mapping[str, Any], processes: int) -> RunConfig:
    """Reads a configuration, and refuses what `processes` could not train, before any starts.

    Raises:
        ConfigError: a value that cannot work.
    """
    run = read_config(plain)
    with torch.device("meta"):  # neither memory nor time for the weights
        build_model(run.spec)
    size = run.options.batch_size
    if size % processes:
        raise ConfigError(
            f"batch_size={size} does not divide over {processes} processes: it is the global "
            f"batch, so choose a multiple of {processes}"
        )
    return run


def run_training(
    run: RunConfig,
    experiment: Experiment,
    environ: Mapping[str, str],
    should_stop: Callable[[], bool],
) -> World:
    """Trains an experiment to its end, together with the other processes of this world.

    Args:
        run: the configuration.
        experiment: what is trained.
        environ: tells the world (see `demucs.experiment.cluster`).
        should_stop: asked now and then; if true in any process, all save and stop.

    Returns:
        The world: its first process has something to say to the user.

    Raises:
        DemucsError: anything the user can act on, as far as possible before training starts.
        Interrupted: the run was asked to stop, and it has saved.
    """
    world = find_world(environ)
    check_gpus(world, torch.cuda.device_count())
    group = ProcessGroup(rank=world.rank, local_rank=world.local_rank, world_size=world.world_size)
    readers = _share_cores(world, group, run.options.misc.num_workers)
    record = RunRecord.begin(
        signature=experiment.signature,
        name=experiment.name,
        epochs=run.options.epochs,
        processes=world.world_size,
        environ=environ,
        environment=describe(_accelerators(group.device)) if group.is_first else None,
    )

    def tell(history: list[dict[str, Any]]) -> None:
        experiment.on_history(history)
        record.advance(experiment.folder, history)

    host, port = rendezvous_address(world, environ, experiment.signature)
    with (
        _stop_before_loss(should_stop),
        group.connected(host, port, run.options.misc.timeout),
        ExitStack() as stack,
    ):

        def hold() -> None:
            if group.is_first:
                stack.enter_context(recorded(experiment.folder, record, _STOPS))

        group.first_then_all(hold)
        check_start(run, experiment.folder)
        songs = group.first_then_all(lambda: find_songs(run))
        solver = Solver(
            run,
            songs,
            folder=experiment.folder,
            signature=experiment.signature,
            group=group,
            num_workers=readers,
            on_history=tell,
            should_stop=should_stop,
        )
        logger.info(
            "experiment %s in %s: %s on %s, %d process(es), %d thread(s), %d reader(s)",
            experiment.signature, experiment.folder, run.spec.name, group.device,
            group.world_size, torch.get_num_threads(), readers,
        )  # fmt: skip
        try:
            with noting():
                solver.train()
        except Interrupted:
            _requeue_for_submitit(group, environ)
            raise
        group.barrier()  # what starts processes soon ends those that outlive another
    return world


@contextmanager
def _stop_before_loss(should_stop: Callable[[], bool]) -> Iterator[None]:
    """Of processes that are all asked to stop, one that has not begun to train ends at once."""
    try:
        yield
    except LostPeerError as error:
        if not should_stop():
            raise
        raise Interrupted(
            "stopped, and another process had ended already; the same command continues from the "
            "last saved state"
        ) from error


def _accelerators(device: torch.device) -> list[str]:
    return [torch.cuda.get_device_name(device)] if device.type == "cuda" else []


def _share_cores(world: World, group: ProcessGroup, readers: int) -> int:
    """Gives this process its part of the cores; returns how many readers of audio it may have."""
    if group.device.type != "cpu":
        return readers
    cores = max(1, core_count() // world.per_node)
    tune_allocator()
    torch.set_num_threads(min(cores, torch.get_num_threads()))
    return min(readers, cores - 1)


def _requeue_for_submitit(group: ProcessGroup, environ: Mapping[str, str]) -> None:
    """`dora grid` and `dora launch` have no script around us that queues the job again.

    Under them the first process that ends takes the others with it, so all wait for the first.
    """
    if environ.get("SUBMITIT_EXECUTOR") == "slurm":
        if group.is_first:
            requeue(environ)
        group.barrier()
