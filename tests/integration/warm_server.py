"""A process with the libraries imported, from which commands of this project are forked.

Started by warm.py as `python -u warm_server.py`. Each line of its input is a command, as JSON; for
each one it forks, and prints the exit code when the child has ended. The child leaves the loop and
becomes the command: Python ends it as any other, with what it registered for its exit.
"""

import json
import os
import runpy
import signal
import sys
from typing import Any

# What importing a command of this project takes longest for; nothing of the project itself.
import dora
import hydra
import numpy
import safetensors.torch
import scipy.signal
import soundfile
import torch
import torch._dynamo  # which the first optimiser imports
import tqdm

LOADED = (dora, hydra, numpy, safetensors.torch, scipy.signal, soundfile, torch, tqdm)


def next_command() -> dict[str, Any]:
    """Serves; returns in children only, with what the child is to become."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asked: dict[str, Any] = json.loads(line)
            return asked
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    sys.exit()


def stand_in(folder: str, environment: dict[str, str], out: str, err: str) -> None:
    """Gives this process the folder, the environment and the output of a command."""
    for number, path in ((0, os.devnull), (1, out), (2, err)):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    # However the tests were started: under nohup, or in the background of a script.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)


def become(command: list[str], path: list[str]) -> None:
    """`python -m MODULE ...` or `python FILE ...`, as Python would begin it."""
    if command[0] == "-m":
        sys.argv = ["-m", *command[2:]]
        sys.path[:] = [os.getcwd(), *path]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        sys.path[:] = [os.path.dirname(os.path.abspath(command[0])), *path]
        runpy.run_path(command[0], run_name="__main__")


asked = next_command()
stand_in(asked["folder"], asked["environment"], asked["out"], asked["err"])
become(asked["command"], asked["path"])
