"""Signals at any moment of a command, and how commands end: tiny programs, each a process."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from demucs.errors import ConfigError
from demucs.process.command import explained
from demucs.process.signals import asked_by, begin, noting, stop_signal, working

ROOT = Path(__file__).resolve().parents[3]
READY = "ready"
# A program prints READY where the signal is to come. Patience is short, to keep the tests so.
HEAD = """
import os, signal, sys, threading, time
from demucs.process import command as ending
from demucs.process import signals as stopping
stopping.CLEAN_UP, stopping.BOUNDARY, stopping.LAST_SECONDS, stopping.TWICE = 0.3, 600, 0.3, 0.1
def ready():
    print("ready", flush=True)
def deaf():
    '''A library's call that does not return: Python's main thread answers nothing.'''
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    threading.Timer(0.3, ready).start()  # the main thread is in its call then
    time.sleep(60)
"""


def ended(
    program: str, *signals: signal.Signals, ignored: tuple[signal.Signals, ...] = ()
) -> tuple[int, str, str]:
    """Exit code, output and messages of a program that gets signals when it says it is ready."""
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGHUP)}
    for one in before:  # however the tests were started
        signal.signal(one, signal.SIG_IGN if one in ignored else signal.SIG_DFL)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", HEAD + program], cwd=ROOT, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert process.stdout is not None
    if signals:
        assert process.stdout.readline().strip() == READY
    for number in signals:
        process.send_signal(number)
        time.sleep(0.25)
    try:
        out, err = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("number", "arguments", "code"),
    [
        (signal.SIGINT, "", 130),
        (signal.SIGTERM, "", 143),
        (signal.SIGHUP, "", 129),
        (signal.SIGINT, "saves=True", 130),
        (signal.SIGTERM, "saves=True", 85),
        (signal.SIGUSR1, "saves=True", 85),
    ],
)
@pytest.mark.parametrize("stage", ["loading", "working"])
def test_a_signal_ends_a_command_with_one_line(
    number: signal.Signals, arguments: str, code: int, stage: str
) -> None:
    loads = "ready(); time.sleep(60)"
    program = f"stopping.begin({arguments})\n"
    if stage == "loading":
        program += loads
    else:
        program += f"def main():\n    {loads}\nending.run_command(main)"
    found, _, err = ended(program, number)
    assert found == code
    (line,) = err.splitlines()
    assert line.startswith("interrupted" if number == signal.SIGINT else "asked to end (SIG")


def test_what_is_cleaned_up_and_the_commands_own_line() -> None:
    program = """
stopping.begin()
def main():
    try:
        ready(); time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted; songs are kept", file=sys.stderr)
        return 130
    finally:
        print("cleaned up")
ending.run_command(main)"""
    code, out, err = ended(program, signal.SIGTERM)
    assert (code, out, err) == (143, "cleaned up\n", "interrupted; songs are kept\n")


def test_a_signal_that_is_taken_for_another_error_still_ends_the_command() -> None:
    """Within an import, whatever is raised may become an ImportError of the module."""
    program = """
stopping.begin()
def main():
    try:
        ready(); time.sleep(60)
    except BaseException:
        print("error: the module cannot be imported", file=sys.stderr)
        return 1
ending.run_command(main)"""
    code, _, err = ended(program, signal.SIGTERM)
    assert code == 143
    assert err.splitlines()[-1] == "asked to end (SIGTERM)"


def test_a_main_thread_that_answers_nothing_is_ended_by_force() -> None:
    code, _, err = ended("stopping.begin()\nending.run_command(deaf)", signal.SIGTERM)
    assert code == 143
    assert err == "asked to end (SIGTERM) and ended by force, as it did not end\n"


def test_a_run_that_notes_a_signal_has_time_until_another_one() -> None:
    program = """
stopping.begin(saves=True)
def main():
    with stopping.noting():
        ready()
        time.sleep(0.7)  # longer than it would have to clean up
        print(stopping.stop_signal())
    sys.exit(stopping.EXIT_STOPPED)
ending.run_command(main)"""
    assert ended(program, signal.SIGTERM) == (85, "SIGTERM\n", "")
    stuck = """
stopping.begin(saves=True)
with stopping.noting():
    ending.run_command(deaf, loads=True)"""
    code, _, err = ended(stuck, signal.SIGUSR1, signal.SIGTERM)
    assert code == 128 + signal.SIGUSR1
    (line,) = err.splitlines()
    assert "no step ended since: ended without saving" in line


def test_the_first_signal_alone_is_bounded_too() -> None:
    program = "stopping.BOUNDARY = 0.3\nstopping.begin(saves=True)\nwith stopping.noting(): deaf()"
    code, _, err = ended(program, signal.SIGTERM)
    assert code == 143
    assert "no step ended since" in err


def test_every_command_begins_with_its_handlers() -> None:
    """Before all other imports, and it ends by `run_command` or what calls it."""
    guard = '\nif __name__ == "__main__":\n'
    for folder in ("demucs", "tools", "studies", "graphing_scripts"):
        for path in (ROOT / folder).glob("*.py"):
            text = path.read_text(encoding="utf-8")
            if guard not in text or path.name == "__main__.py":
                continue
            _, _, after = re.split(r'(""".*?"""\n+)', text, maxsplit=1, flags=re.DOTALL)
            assert re.match(rf"from demucs.process.signals import .*\n{guard}    begin\(", after), (
                path
            )
            last = text.rpartition(guard)[2]
            assert re.search(r"^    (run_command|end)\(main(, loads=True)?\)$", last, re.M), path


def test_nohup_is_respected() -> None:
    program = "stopping.begin()\ndef main():\n    ready(); time.sleep(0.4); print('done')\n"
    program += "ending.run_command(main)"
    code, out, err = ended(program, signal.SIGHUP, ignored=(signal.SIGHUP,))
    assert (code, out, err) == (0, "done\n", "")


def test_an_unforeseen_error_ends_threads_and_processes() -> None:
    """A thread that works on, and a daemon that ignores what multiprocessing would end it with."""
    program = """
import multiprocessing
stopping.begin()
def child():
    signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)
def main():
    threading.Thread(target=time.sleep, args=(60,)).start()
    process = multiprocessing.get_context("fork").Process(target=child, daemon=True)
    process.start()
    print(process.pid)
    time.sleep(0.2)
    raise ValueError("a fault")
ending.run_command(main)"""
    began = time.monotonic()
    code, out, err = ended(program)
    assert code == 1
    assert err.startswith("Traceback")
    assert err.endswith("error: ValueError: a fault\n")
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int(out), 0)


def test_an_exit_that_hangs_is_ended_by_force() -> None:
    program = """
import atexit
stopping.begin()
atexit.register(time.sleep, 60)
def main():
    raise ValueError
ending.run_command(main)"""
    code, _, err = ended(program)
    assert (code, err.count("error:")) == (1, 1)


@pytest.mark.parametrize(
    ("returned", "code", "message"),
    [("None", 0, ""), ("3", 3, ""), ("sys.exit(2)", 2, ""), ("sys.exit('no')", 1, "no\n")],
)
def test_exit_codes_are_handed_on(returned: str, code: int, message: str) -> None:
    program = f"stopping.begin()\nending.run_command(lambda: {returned})"
    assert ended(program) == (code, "", message)


def test_a_forked_process_is_not_the_command() -> None:
    """Its signals are not the parent's, though it inherits how they are heard of."""
    program = """
import warnings
warnings.simplefilter("ignore")  # of Python 3.12 and later: threads of libraries are not forked
stopping.begin()
child = os.fork()
if child == 0:
    time.sleep(60)
os.kill(child, signal.SIGTERM)  # at once
_, status = os.waitpid(child, 0)
time.sleep(0.5)  # the parent would be ended by now
print(os.waitstatus_to_exitcode(status))"""
    assert ended(program) == (0, "-15\n", "")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConfigError("epochs=-1: give more"), "epochs=-1: give more"),
        (MemoryError(), "out of memory: use less"),
        (torch.OutOfMemoryError("CUDA out of memory.\nTried 3 GiB"), "Tried 3 GiB): use less"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "allocate memory): use less"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/disk/a.json"),
            "/disk/a.json cannot be written (No space left on device): make",
        ),
    ],
)
def test_what_has_a_remedy_is_one_line(error: Exception, words: str) -> None:
    line = explained(error, "use less")
    assert line is not None
    assert words in line
    assert "\n" not in line


def test_what_has_none_keeps_its_traceback() -> None:
    assert explained(RuntimeError("shapes do not fit")) is None
    assert explained(PermissionError(errno.EACCES, "Permission denied")) is None


def test_a_library_call_is_no_command() -> None:
    """Nothing is changed in a process that did not call `begin`."""
    before = signal.getsignal(signal.SIGTERM)
    with noting():
        working()
    assert (stop_signal(), asked_by()) == (None, None)
    assert signal.getsignal(signal.SIGTERM) is before
    assert begin.__module__ == "demucs.process.signals"
