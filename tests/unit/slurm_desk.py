"""A user of `slurm_scripts/` at a desk where stand-ins take the place of python3 and SLURM.

On PATH there is nothing else than the few programs that the scripts need, so that the machine's own
SLURM and Python environments play no part. What the stand-ins were told is written down.
"""

import contextlib
import io
import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "slurm_scripts"
TOOLS = """
bash cat chmod cp cut date dirname env find grep head ln mkdir mv printf rm sed sort tail tr uname
uniq
"""

# These take seconds to import, so their flags are read here, in the process of the tests.
IMPORTED = ("tools.export", "tools.test_pretrained")

STAND_IN = """#!/usr/bin/env bash
fail() { printf '%s\\n' "$*" >&2; exit 2; }
{ printf '%s\\037' "${0##*/}" "$PWD" "$(env | grep -E '^(DEMUCS|SBATCH|SLURM|SRUN|PATH=|MARK)')" \\
    "$@"; printf '\\036'; } >>"$CALLS"
case "${0##*/} $*" in
    "python3 -c "*find_spec*) exit "${NO_TORCH:-0}" ;;
    "python3 -c "*device_count*) echo "${GPUS:-1}" ;;
    "python3 -c "*parse_options*" tools.export "* | \\
        "python3 -c "*parse_options*" tools.test_pretrained "*)
        [ -z "${REFUSAL:-}" ] || fail "$REFUSAL" ;;
    "python3 -c "*parse_options*) exec "$REAL_PYTHON" "$@" ;;
    "python3 -m tools.model_place "*)
        [ "$3" != htdemucs ] || echo published
        [ ! -e "$4/$3.safetensors" ] || echo local ;;
    "python3 -m demucs.train --check "*) echo "${SIGNATURE-aa9b63ad}"; exit "${CHECK:-0}" ;;
    "python3 "*) exit "${CODE:-0}" ;;
    "srun "*) exit "${CODE:-0}" ;;
    "scontrol show "*) cat "$SHOWN" 2>/dev/null ;;
    "scontrol requeue "*) exit "${REQUEUE:-0}" ;;
    "sbatch "*--parsable*) grep -c 'sbatch' "$CALLS" ;;
    "sbatch "*) echo "Submitted batch job 7" ;;
    "conda shell.bash hook") echo 'conda() { [ "$2" = demucs ] && export MARK="conda $2"; }' ;;
esac
"""


class Call(NamedTuple):
    """One start of a stand-in."""

    program: str
    folder: str
    environment: dict[str, str]
    arguments: list[str]


class Done(NamedTuple):
    code: int
    out: str
    err: str
    calls: list[Call]

    def of(self, program: str) -> list[Call]:
        return [call for call in self.calls if call.program == program]

    @property
    def trained(self) -> list[str]:
        """Arguments of the only training, by whatever program."""
        (call,) = [
            call
            for call in self.calls
            if {"demucs.train", "tools.launch"} & set(call.arguments)
            and "--check" not in call.arguments
        ]
        return call.arguments

    @property
    def submitted(self) -> list[str]:
        (call,) = self.of("sbatch")
        return call.arguments


class Desk:
    """A repository in a folder with a space in its name, and a user in front of it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "the repository"
        self.bin = folder / "bin"
        self.elsewhere = folder / "elsewhere"
        self.calls = folder / "calls"
        self.shown = folder / "shown"
        for path in (self.root, self.bin, self.elsewhere):
            path.mkdir()
        shutil.copytree(SCRIPTS, self.root / "slurm_scripts", ignore=only_committed)
        for room in ("demucs", "graphing_scripts", "tools"):
            (self.root / room).symlink_to(ROOT / room)
        self.touch("release_models/53288a8c.safetensors", "release_models/abcd1234.safetensors")
        for name in ("history.json", "checkpoint.th", ".argv.json"):
            self.touch(f"outputs/xps/53288a8c/{name}", f"outputs/xps/abcd1234/{name}")
        for tool in TOOLS.split():
            found = shutil.which(tool)
            if found:
                (self.bin / tool).symlink_to(found)
        self.has("python3", "scontrol", "srun", "sbatch")

    def touch(self, *names: str) -> None:
        for name in names:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).touch()

    def has(self, *programs: str) -> None:
        for program in programs:
            (self.bin / program).write_text(STAND_IN)
            (self.bin / program).chmod(0o755)

    def lacks(self, program: str) -> None:
        (self.bin / program).unlink()

    def site(self, text: str) -> None:
        (self.root / "slurm_scripts" / "site.env").write_text(text)

    def bash(
        self, script: str | Path, *arguments: str, cwd: Path | None = None, **environment: str
    ) -> Done:
        """`bash slurm_scripts/SCRIPT ARGUMENTS`, in the repository or in `cwd`.

        Once more where a parser of `IMPORTED` refuses what it was asked: with what that said.
        """
        done = self._bash(script, *arguments, cwd=cwd, **environment)
        refusal = refused(done.of("python3"))
        if refusal is None:
            return done
        return self._bash(script, *arguments, cwd=cwd, REFUSAL=refusal, **environment)

    def _bash(
        self, script: str | Path, *arguments: str, cwd: Path | None, **environment: str
    ) -> Done:
        self.calls.write_text("")
        path = self.root / "slurm_scripts" / script
        done = subprocess.run(
            ["bash", str(path), *arguments],
            cwd=cwd or self.root,
            env={
                "PATH": str(self.bin),
                "HOME": str(self.elsewhere),
                "CALLS": str(self.calls),
                "SHOWN": str(self.shown),
                "REAL_PYTHON": sys.executable,
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr, self.read_calls())

    def job(
        self, script: str, *arguments: str, cwd: Path | None = None, **environment: str
    ) -> Done:
        """The copy of a script that SLURM runs, submitted in the repository or in `cwd`."""
        spool = self.elsewhere / "spool"
        spool.mkdir(exist_ok=True)
        copy = spool / "slurm_script"
        shutil.copy(self.root / "slurm_scripts" / script, copy)
        settings = {
            "SLURM_JOB_ID": "12",
            "SLURM_NTASKS": "8",
            "SLURM_SUBMIT_DIR": str(cwd or self.root),
            "SLURM_JOB_PARTITION": "gpu",
            **environment,
        }
        if not self.shown.exists():
            self.show(f"{self.root}/slurm_scripts/{script}", *arguments)
        return self.bash(copy, *arguments, cwd=cwd, **settings)

    def show(self, *command: str, state: str = "RUNNING", log: str = "/somewhere.out") -> None:
        """What `scontrol show job` prints from now on."""
        text = (
            f"JobId=12 JobName=x\n   JobState={state} Reason=None\n"
            f"   Command={' '.join(command)}\n   StdOut={log}\n"
        )
        self.shown.write_text(text)

    def read_calls(self) -> list[Call]:
        calls = []
        for record in self.calls.read_text().split("\036")[:-1]:
            program, folder, environment, *arguments = record.split("\037")[:-1]
            pairs = (line.partition("=") for line in environment.splitlines())
            calls.append(Call(program, folder, {k: v for k, _, v in pairs}, arguments))
        return calls


def refused(calls: Iterable[Call]) -> str | None:
    """What the first parser of `IMPORTED` said that does not take the flags it was asked about."""
    asked = [call.arguments[1:] for call in calls if call.arguments[0] == "-c"]
    for code, *words in asked:
        if "parse_options" in code and words[0] in IMPORTED:
            with contextlib.redirect_stderr(io.StringIO()) as said:
                try:
                    import_module(words[0]).parse_options(words[1:])
                except SystemExit:
                    return said.getvalue()
    return None


def only_committed(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "site.env"]
