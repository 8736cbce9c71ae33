"""Writes docs/files.md: every file of the repository's rooms, with one line each.

    python3 -m tools.file_tree            print what docs/files.md should be
    python3 -m tools.file_tree --update   write it
    python3 -m tools.file_tree --check    is it as it should be? exit code 1 if not

The lines are the first sentences of the files themselves: of a module's docstring, or of the first
comment. A file that has none is an error.
"""

from demucs.process.signals import begin

if __name__ == "__main__":
    begin()  # before the imports below

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from demucs.errors import ConfigError
from demucs.files import atomic_path
from demucs.process.command import run_command
from demucs.process.tool import make_parser, reports_errors

ROOT = Path(__file__).resolve().parents[1]
PAGE = "docs/files.md"
ROOMS = {
    "demucs": "The package",
    "conf": "Configuration",
    "tools": "Tools: `python3 -m tools.NAME`",
    "studies": "Studies: `python3 -m studies.NAME`",
    "graphing_scripts": "Figures",
    "slurm_scripts": "SLURM jobs",
    "benchmarks": "Benchmarks",
    "tests": "Tests",
}
# What cannot speak for itself.
OTHERS = {
    "demucs/evaluation/results/published.json": "Published results, each with its source.",
    "demucs/release/catalogue.json": "The public models: addresses, checksums, licences.",
    "demucs/report/page": "The report page: templates, styles and scripts.",
    "demucs/report/page/curves.html": "Section: curves of the training.",
    "demucs/report/page/index.html": "The page, which takes in all the others.",
    "demucs/report/page/macros.html": "Pieces that several sections use.",
    "demucs/report/page/players.html": "Section: mixture, estimates and references to hear.",
    "demucs/report/page/runs.html": "Section: what the runs are.",
    "demucs/report/page/songs.html": "Section: the table of songs.",
    "demucs/report/page/style.css": "How it all looks.",
    "demucs/report/page/summary.html": "Section: numbers over the test songs.",
    "slurm_scripts/README.md": "From a fresh clone to a separated song, on a cluster.",
    "tests": "Tests, in folders by what they need.",
    "tests/golden": "What the oracles printed, with the scripts that made it.",
    "tests/integration": "The real command lines, on tiny data.",
    "tests/oracle": "Numbers of museval and of the public Demucs.",
    "tests/slurm": "Jobs on a real SLURM on this machine.",
    "tests/torchaudio": "What needs torchaudio.",
    "tests/unit": "Properties, one room each.",
    "tests/unit/slow.txt": "The tests that `make quick` leaves out, as measured.",
    "tests/browser": "The report page, in a real browser.",
    "conf": "The configuration of a training run.",
    "conf/dset": "Variants `dset=NAME`: which songs.",
    "conf/semi": "Variants `semi=NAME`: how pseudo-labelled songs take part.",
    "conf/svd": "Variants `svd=NAME`: the penalty on singular values.",
    "conf/variant": "Variants `variant=NAME`: recipes.",
    "benchmarks": "Ours against others, whose turns alternate.",
    "graphing_scripts": "One script a family of figures; none needs torch.",
    "slurm_scripts": "Jobs, which also run with `bash`.",
}
HEAD = """# Every file in one line

The lines are what the files say of themselves; `python3 -m tools.file_tree --update` writes this.
Who may import whom is in [CONTRIBUTING.md](../CONTRIBUTING.md).
"""


@reports_errors()
def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = make_parser("tools.file_tree", __doc__)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--update", action="store_true", help=f"write {PAGE}")
    action.add_argument("--check", action="store_true", help=f"compare {PAGE} with the files")
    options = parser.parse_args(argv)
    text, page = page_of(ROOT, tracked(ROOT)), ROOT / PAGE
    if options.check:
        return _compared(text, page)
    if not options.update:
        print(text, end="")
        return 0
    with atomic_path(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(page.relative_to(ROOT))
    return 0


def _compared(text: str, page: Path) -> int:
    present = page.read_text(encoding="utf-8") if page.is_file() else ""
    wanted, lines = text.splitlines(), present.splitlines()
    changed = [f"+ {line}" for line in wanted if line not in lines]
    changed += [f"- {line}" for line in lines if line not in wanted]
    if text == present:
        return 0
    print(
        "\n".join([f"error: {PAGE} is out of date: python3 -m tools.file_tree --update", *changed]),
        file=sys.stderr,
    )
    return 1


def tracked(root: Path) -> list[str]:
    """Files of the rooms that git knows or would add, as paths relative to the repository.

    Raises:
        ConfigError: no git, or no repository.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *ROOMS]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(
            f"git cannot list the files of {root} ({error}): run this in a clone of the repository"
        ) from error
    names = {name for name in done.stdout.decode().split("\0") if name}
    return sorted(name for name in names if (root / name).is_file())


def page_of(root: Path, files: Iterable[str]) -> str:
    """The page, for files given as paths relative to `root`.

    Raises:
        ConfigError: files that say nothing of themselves; names them.
    """
    rows, mute = _rows(root, files)
    if mute:
        raise ConfigError(
            f"no first sentence in {', '.join(mute)}: begin each with a docstring or a comment "
            "that says what it is"
        )
    parts = [HEAD]
    for room, title in ROOMS.items():
        of_room = {path: line for path, line in rows.items() if path.split("/")[0] == room}
        width = max(len(_indented(path)) for path in of_room) + 2
        lines = [
            f"{_indented(path):{width}}{of_room[path]}".rstrip()
            for path in sorted(of_room, key=_key)
        ]
        parts.append("\n".join([f"\n## {title}\n", "```text", *lines, "```", ""]))
    return "".join(parts)


def _rows(root: Path, files: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The sentence of each path, folders ending with a slash; and the files without one."""
    rows: dict[str, str] = {}
    mute: list[str] = []
    for name in files:
        for parent in list(PurePosixPath(name).parents)[:-1]:
            rows.setdefault(f"{parent}/", OTHERS.get(str(parent), ""))
        first_sentence = OTHERS.get(name) or sentence(root / name)
        folder = str(PurePosixPath(name).parent)
        if name.endswith("/__init__.py"):
            rows[f"{folder}/"] = first_sentence or rows[f"{folder}/"]
        elif first_sentence:
            rows[name] = first_sentence
        elif name.startswith("tests/golden/") and folder != "tests/golden":
            rows[f"{folder}/"] = "Golden files."
        else:
            mute.append(name)
    return rows, mute


def sentence(path: Path) -> str:
    """The first sentence of a docstring or of the first comment; empty if there is none."""
    if path.suffix == ".py":
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    elif path.suffix in (".sh", ".yaml", ".example"):
        text = _comment(path.read_text(encoding="utf-8"), "#")
    elif path.suffix == ".js":
        text = _comment(path.read_text(encoding="utf-8"), "//")
    else:
        text = ""
    # A sentence ends with its stop, or where an example of the command follows.
    first = re.split(r"\n\n|\.\s|:\n|:\s\s|:$", text)[0]
    first = " ".join(first.split()).rstrip(":. ")
    return f"{first}." if first else ""


def _comment(text: str, mark: str) -> str:
    """The first comment that says something, without the marks."""
    lines: list[str] = []
    for line in text.splitlines():
        content = line.lstrip(f"{mark} ").strip() if line.startswith(mark) else ""
        if line.startswith(("#!", "#SBATCH")) or content.startswith(("@package", "shellcheck")):
            content = ""
        if content:
            lines.append(content)
        elif lines:
            break
    return "\n".join(lines)


def _key(path: str) -> tuple[tuple[int, str], ...]:
    """Files before folders, each by name; a folder just before what is in it."""
    parts = path.rstrip("/").split("/")
    last = len(parts) - 1
    return tuple(
        (int(place < last or path.endswith("/")), part) for place, part in enumerate(parts)
    )


def _indented(path: str) -> str:
    parts = path.rstrip("/").split("/")
    return "  " * (len(parts) - 1) + parts[-1] + ("/" if path.endswith("/") else "")


if __name__ == "__main__":
    run_command(main)
