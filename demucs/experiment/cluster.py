"""Rank and world size of this process, from the variables of SLURM or of a launcher.

Only the environment is read: this module imports neither torch nor Dora.
"""

import logging
import re
import subprocess
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from demucs.errors import ConfigError

logger = logging.getLogger(__name__)

FIRST_PORT, PORTS = 12000, 8000  # below those that the kernel gives to outgoing connections
RESERVED_STEPS = 0xFFFFFFF0  # step numbers from here on are the batch script, a shell, ...
START = "srun python3 -m demucs.train KEY=VALUE ..."


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """This process among all.

    Attributes:
        rank: its number, from 0.
        local_rank: its number on its node, from 0.
        world_size: how many processes there are.
        nodes: on how many nodes.
        source: who says so: `slurm`, `environment` (Dora's launcher, torchrun), or `alone`.
    """

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    nodes: int = 1
    source: str = "alone"

    @property
    def per_node(self) -> int:
        """Processes on a node, at most."""
        return -(-self.world_size // self.nodes)

    def variables(self) -> dict[str, str]:
        """The world in the variables that Dora and PyTorch read."""
        return {
            "RANK": str(self.rank),
            "LOCAL_RANK": str(self.local_rank),
            "WORLD_SIZE": str(self.world_size),
        }


def find_world(environ: Mapping[str, str]) -> World:
    """The world that an environment describes.

    A step of `srun` with several tasks counts first, then RANK, WORLD_SIZE and LOCAL_RANK; with
    neither, this process is alone.

    Raises:
        ConfigError: what would be one process, or many independent ones, instead of the world
            that was asked for; says how to start it.
    """
    world = _step_world(environ) or _variables_world(environ) or World()
    tasks = _allocated_tasks(environ)
    if world.world_size == 1 and tasks > 1 and not _in_step(environ):
        raise ConfigError(
            f"the job {environ['SLURM_JOB_ID']} has {tasks} tasks, and this process was started "
            f"without srun, so it would train alone: start it as `{START}`, or as "
            "`srun --ntasks=1 ...` if one process is what you want"
        )
    asked = environ.get("DEMUCS_WORLD_SIZE")
    if asked and _number(environ, "DEMUCS_WORLD_SIZE") != world.world_size:
        raise ConfigError(
            f"DEMUCS_WORLD_SIZE={asked} processes were asked for, and there are "
            f"{world.world_size}: start them with `{START}` in a job of {asked} tasks, or with "
            f"`dora run -d --ddp_workers={asked} -- KEY=VALUE ...`"
        )
    return world


def find_share(environ: Mapping[str, str]) -> World:
    """The share of this process in work that is divided, and needs no meeting of the processes.

    Tasks of a step count as in `find_world`, and tasks of a job array besides: two array tasks of
    four processes each are eight shares.

    Raises:
        ConfigError: variables that contradict each other, or an array of irregular numbers.
    """
    world = _step_world(environ) or _variables_world(environ) or World()
    count = _number(environ, "SLURM_ARRAY_TASK_COUNT", 1)
    if count <= 1:
        return world
    number = _number(environ, "SLURM_ARRAY_TASK_ID")
    index, remainder = divmod(
        number - _number(environ, "SLURM_ARRAY_TASK_MIN", 0),
        _number(environ, "SLURM_ARRAY_TASK_STEP", 1),
    )
    if remainder or not 0 <= index < count:
        raise ConfigError(
            f"array task {number} has no place among {count}: submit an array of consecutive "
            "numbers, such as --array=0-7"
        )
    return replace(
        world,
        rank=index * world.world_size + world.rank,
        world_size=count * world.world_size,
        nodes=count * world.nodes,
    )


def asked_world_size(environ: Mapping[str, str]) -> int:
    """The number of processes to be started, from DEMUCS_WORLD_SIZE; 1 without it.

    Raises:
        ConfigError: it is not a number.
    """
    if not environ.get("DEMUCS_WORLD_SIZE"):
        return 1
    return max(1, _number(environ, "DEMUCS_WORLD_SIZE"))


def check_gpus(world: World, visible: int) -> None:
    """Each process of a node needs a GPU of its own among those it sees; none at all is the CPU.

    Raises:
        ConfigError: there are some, but fewer than processes.
    """
    if 0 < visible < world.per_node:
        raise ConfigError(
            f"{world.per_node} processes on a node, and each sees {visible} GPU(s): ask for "
            f"--gres=gpu:{world.per_node} (not --gpus-per-task, which shows each task only its "
            "own), or start fewer tasks"
        )


def rendezvous_address(world: World, environ: Mapping[str, str], signature: str) -> tuple[str, int]:
    """Host and port where the processes meet; MASTER_ADDR and MASTER_PORT come first, if set.

    In a SLURM step they are its first host, and a port by the numbers of job and step, so that
    two jobs on a node do not meet each other. A launcher on one machine gives no number: there,
    the signature of the experiment is taken, which only one run at a time can have.
    """
    hosts = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST") or ""
    job = environ.get("SLURM_JOB_ID", "")
    if world.source == "slurm" and job.isdigit():
        number = 31 * int(job) + _number(environ, "SLURM_STEP_ID")
        host = first_host(hosts)
    else:
        number = zlib.crc32(f"{job} {signature}".encode())
        host = "127.0.0.1" if world.nodes == 1 else first_host(hosts)
    port = environ.get("MASTER_PORT")
    return (
        environ.get("MASTER_ADDR") or host,
        _number(environ, "MASTER_PORT") if port else FIRST_PORT + number % PORTS,
    )


def first_host(hosts: str) -> str:
    """The first of a SLURM list of hosts: `gpu[07-09,12]-ib,login1` starts with `gpu07-ib`.

    >>> first_host("gpu[07-09,12]-ib,login1")
    'gpu07-ib'
    """
    match = re.match(r"(?:[^,\[]|\[[^\]]*\])+", hosts)
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", match.group()) if match else "127.0.0.1"


def requeue(environ: Mapping[str, str]) -> bool:
    """Has SLURM put this job back in its queue, unless it was cancelled or SLURM does so itself."""
    job = environ["SLURM_JOB_ID"]
    if environ.get("SLURM_ARRAY_TASK_ID"):  # one task's own number may be that of the whole array
        job = f"{environ['SLURM_ARRAY_JOB_ID']}_{environ['SLURM_ARRAY_TASK_ID']}"
    try:
        state = _ask("squeue", "--noheader", f"--jobs={job}", "--format=%T")
        if state != "RUNNING":
            logger.info("job %s is %s: it is not requeued", job, state or "over")
            return False
        _ask("scontrol", "requeue", job)
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("job %s could not be requeued (%s): submit it again", job, error)
        return False
    logger.info("job %s is requeued", job)
    return True


def _ask(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def _step_world(environ: Mapping[str, str]) -> World | None:
    """The world of a SLURM step of several tasks, from SLURM's variables."""
    if not _in_step(environ):
        return None
    name = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in environ else "SLURM_NTASKS"
    size = _number(environ, name, 1)
    if size <= 1:
        return None
    if environ.get("WORLD_SIZE") and _number(environ, "WORLD_SIZE") != size:
        raise ConfigError(
            f"srun started {size} tasks, and each of them has WORLD_SIZE="
            f"{environ['WORLD_SIZE']}, as under `srun dora run`: they would be {size} runs of one "
            f"experiment. Start them as `{START}`, without dora and without WORLD_SIZE"
        )
    nodes = "SLURM_STEP_NUM_NODES" if "SLURM_STEP_NUM_NODES" in environ else "SLURM_NNODES"
    return World(
        rank=_number(environ, "SLURM_PROCID"),
        local_rank=_number(environ, "SLURM_LOCALID", 0),
        world_size=size,
        nodes=max(1, _number(environ, nodes, 1)),
        source="slurm",
    )


def _variables_world(environ: Mapping[str, str]) -> World | None:
    """The world in the variables of PyTorch's launchers and of Dora's."""
    if not environ.get("WORLD_SIZE"):
        return None
    rank, size = _number(environ, "RANK"), _number(environ, "WORLD_SIZE")
    if not 0 <= rank < size:
        raise ConfigError(f"RANK={rank} is not below WORLD_SIZE={size}: unset both, or set both")
    per_node = _number(environ, "LOCAL_WORLD_SIZE", size)
    return World(
        rank=rank,
        local_rank=_number(environ, "LOCAL_RANK", rank),
        world_size=size,
        nodes=max(1, size // max(1, per_node)),
        source="environment",
    )


def _in_step(environ: Mapping[str, str]) -> bool:
    """Whether srun started this process: a batch script or an interactive shell is not a step."""
    step = environ.get("SLURM_STEP_ID", "")
    return "SLURM_PROCID" in environ and step.isdigit() and int(step) < RESERVED_STEPS


def _allocated_tasks(environ: Mapping[str, str]) -> int:
    """The tasks that a job was submitted for; 1 outside a job."""
    if "SLURM_JOB_ID" not in environ:
        return 1
    if environ.get("SLURM_NTASKS", "").isdigit():
        return int(environ["SLURM_NTASKS"])
    nodes = _number(environ, "SLURM_NNODES", 1)
    return nodes * _number(environ, "SLURM_NTASKS_PER_NODE", 1)


def _number(environ: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environ.get(name)
    if not text and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        raise ConfigError(
            f"the environment has {name}={text or '(nothing)'}, and it must be a number: set RANK, "
            "LOCAL_RANK and WORLD_SIZE together, or none of them"
        ) from None
