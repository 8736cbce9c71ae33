"""The configuration files of a cluster whose nodes are all this machine.

Nodes are called by addresses of the loopback network (127.0.0.1, 127.0.0.2, ...), so that what
takes a node's name for an address, as PyTorch's meeting point does, needs no name service. Each has
far more cores than the machine (`config_overrides` has SLURM believe it), and GPUs that are links
to /dev/null. Checked with SLURM 22.05.
"""

import os
import pwd
import random
import socket
from pathlib import Path

CORES = 128  # a node's; train_slurm.sh asks for 8 tasks of 8 cores
GPU_TYPE = "fake"
FEATURE = "thisplace"  # for `sbatch --constraint`

SLURM_CONF = """\
ClusterName=here
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
{binding}

AuthType=auth/munge
CredType=cred/munge
# A requeued job starts only when its old credential has expired: after 121 s by default.
AuthInfo=socket={folder}/munge.sock,cred_expire=5

StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log

# Neither root nor control groups, no data base, no mail.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
MailProg=/bin/true

SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
# Jobs stay visible after their end: there is no data base to ask.
MinJobAge=86400

# Higher partitions take the nodes from lower ones, whose jobs are queued again.
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait={kill_wait}

GresTypes=gpu
SlurmdParameters=config_overrides
NodeName=127.0.0.[1-{nodes}] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[{first}-{last}] \
CPUs={cores} Boards=1 SocketsPerBoard=1 CoresPerSocket={cores} ThreadsPerCore=1 RealMemory=1000000 \
Gres=gpu:{gpu_type}:{gpus} Features={feature} State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2
"""


def write_settings(folder: Path, *, nodes: int, gpus: int, kill_wait: int) -> None:
    """Writes what munged, slurmctld and slurmd read; `kill_wait` is in seconds."""
    for name in ("state", "spool", "dev"):
        (folder / name).mkdir()
    for number in range(gpus):
        (folder / "dev" / f"gpu{number}").symlink_to("/dev/null")
    devices = f"{folder}/dev/gpu[0-{gpus - 1}]"
    (folder / "gres.conf").write_text(f"Name=gpu Type={GPU_TYPE} File={devices}\n")
    (folder / "cgroup.conf").write_text("")
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    port = free_ports(1 + nodes)
    (folder / "slurm.conf").write_text(
        SLURM_CONF.format(
            folder=folder,
            user=pwd.getpwuid(os.getuid()).pw_name,
            binding=_binding(),
            port=port,
            first=port + 1,
            last=port + nodes,
            nodes=nodes,
            cores=CORES,
            gpus=gpus,
            gpu_type=GPU_TYPE,
            feature=FEATURE,
            kill_wait=kill_wait,
        )
    )


def free_ports(count: int) -> int:
    """The first of `count` consecutive ports that nobody listens on.

    They lie below those that the kernel hands out, so they are free a moment later too.

    Raises:
        RuntimeError: there are none.
    """
    for first in random.sample(range(20000, 32000, 32), 100):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for offset, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + offset))
            return first
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise RuntimeError(f"no {count} free ports between 20000 and 32000")


def _binding() -> str:
    """Listen on the loopback network only, which SLURM can where the host's name means that."""
    try:
        local = socket.gethostbyname(socket.gethostname()).startswith("127.")
    except OSError:
        local = False
    return "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny" if local else ""
