"""The documentation: what it names exists, what it quotes is said, and its files are all there."""

import ast
import re
import shlex
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from docs_support import BLOCK, ROOT, blocks
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from demucs.errors import ConfigError
from tools.file_tree import ROOMS, page_of, sentence, tracked
from tools.file_tree import main as file_tree

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md",
         ROOT / "slurm_scripts" / "README.md"]  # fmt: skip
BLOCKS = "dset|test|optim|semi|svd|ema|augment|misc|quant"
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]


def commands(page: Path) -> Iterator[list[str]]:
    """The commands of a page's shell blocks, each as its words, and of `...` in its text."""
    for _, text in blocks(page, "bash"):
        for line in text.replace("\\\n", " ").splitlines():
            yield from split(line)
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for code in re.findall(r"`([^`\n]+)`", text):
        if code.startswith(("python3 ", "demucs -", "make ", "slurm_scripts/", "bash ", "sbatch ")):
            yield from split(code.replace("…", "ANY"))


def split(line: str) -> Iterator[list[str]]:
    words: list[str] = []
    for word in shlex.split(line, comments=True):
        last = word.rstrip(";")
        if word in ("|", "&&", ">"):
            yield words
            words = []
        elif last != word:
            yield [*words, last]
            words = []
        else:
            words.append(word)
    yield words


@cache
def flags(path: Path) -> frozenset[str]:
    """The flags that a script's parser has, those of the modules beside it that it imports too."""
    found = {"-h", "--help"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):  # add_argument, under whatever name
            found |= {str(one.value) for one in node.args if isinstance(one, ast.Constant)}
        elif isinstance(node, ast.ImportFrom) and node.module:
            beside = path.parent / f"{node.module.split('.')[-1]}.py"
            if beside.is_file() and beside != path:
                found |= flags(beside)
    return frozenset(one for one in found if one.startswith("-"))


@cache
def keys() -> dict[str, object]:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return {
            name: OmegaConf.to_container(compose(name), resolve=False)
            for name in ("config", "quality")
        }


def has_key(path: str, config: str) -> bool:
    value: object = keys()[config]
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            # a group without a block, or keys of one dataset's file alone
            return path in ("variant", "dset.wav2_weight", "dset.wav2_valid")
        value = value[part]
    return True


def check_script(words: list[str], path: Path) -> None:
    assert path.is_file(), f"{' '.join(words)}: there is no {path.relative_to(ROOT)}"
    if path.suffix != ".py":
        return
    there = flags(path)
    for word in words:
        flag = word.split("=")[0]
        if re.match(r"--?[A-Za-z]", flag) and words[-1] != "--" and "--" not in words:
            assert flag in there, f"{' '.join(words)}: {path.name} has no {flag}"


def check_keys(words: list[str], config: str) -> None:
    for word in words:
        if match := re.match(r"\+?([a-z_][a-z_0-9.]*)=", word):
            assert has_key(match[1], config), f"{' '.join(words)}: conf/ has no {match[1]}"


def check(words: list[str]) -> None:
    """Whether what a command names exists."""
    words = list(words)
    while (words and re.match(r"[A-Z_]+=", words[0])) or words[:1] == ["export"]:
        words.pop(0)
    if not words:
        return
    first, rest = words[0], words[1:]
    if first in ("bash", "sbatch", ".", "source", "nice") and rest:
        first, rest = rest[0], rest[1:]
    if first.startswith("python") and rest[:1] == ["-m"] and len(rest) > 1:
        package, _, name = rest[1].partition(".")
        if package in ("tools", "studies", "demucs") and name.islower():
            path = ROOT / package / f"{name}.py"
            config = "quality" if name == "train_quality" else "config"
            if package == "demucs" or name == "launch":
                assert path.is_file() or path.with_suffix("").is_dir(), rest[1]
                check_keys(rest[2:], config)
            else:
                check_script(rest[2:], path)
    elif first.startswith("python") and rest and rest[0].endswith(".py"):
        if (ROOT / rest[0].split("/")[0]).is_dir():
            check_script(rest[1:], ROOT / rest[0])
    elif first == "demucs" and rest:
        check_script(rest, ROOT / "demucs" / "separate" / "options.py")
    elif first == "make":
        makefile = (ROOT / "Makefile").read_text()
        there = re.search(r"\.PHONY:(.*)", makefile)[1].split() + re.findall(
            r"\$\(if \$\((\w+)\)", makefile
        )
        for target in rest:
            assert target.split("=")[0] in [*there, "PYTHON"], f"make {target}"
    elif first.endswith(".sh"):
        names = [first, *(one for one in rest if one.endswith(".sh"))]
        for name in names:
            assert (ROOT / "slurm_scripts" / Path(name).name).is_file(), name
        if any("train_slurm" in name or "continue_run" in name for name in names):
            check_keys(rest, "config")


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_what_a_command_names_exists(page: Path) -> None:
    for words in commands(page):
        check(words)


@pytest.mark.parametrize(
    "wrong",
    ["python3 -m tools.exprot SIG", "python3 -m tools.export SIG --nmae x", "make dmeo",
     "demucs --two-stem vocals a.wav", "slurm_scripts/submit.sh trian_slurm.sh",
     "python3 -m demucs.train optim.rl=3", "python3 graphing_scripts/curves.py",
     "python3 benchmarks/bench_repitch.py --roundz 2"],
)  # fmt: skip
def test_a_command_that_does_not_exist_is_found(wrong: str) -> None:
    (words,) = split(wrong)
    with pytest.raises(AssertionError):
        check(words)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_file_and_key_in_the_text_exists(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    assert not re.search(r"^(?:[^`\n]*`[^`\n]*`)*[^`\n]*`[^`\n]*$", text, re.M), (
        "code over two lines"
    )
    top = f"(?:{'|'.join(ROOMS)}|docs)"
    for code in re.findall(r"`([^`\n]+)`", text):
        if re.fullmatch(rf"{top}/[\w./*-]+", code):
            assert list(ROOT.glob(f"{code.rstrip('/')}*")), code
        if match := re.fullmatch(r"((?:tools|studies)\.[a-z_]+)(?: .*)?", code):
            assert (ROOT / f"{match[1].replace('.', '/')}.py").is_file(), code
        if match := re.match(
            r"(dset|test|optim|semi|svd|ema|augment|misc|quant)(\.[a-z_0-9]+)+", code
        ):
            assert has_key(match[0], "config"), code


def said() -> str:
    """All that the code can say: its strings, with … in the place of values."""
    found = []
    for path in [
        *(ROOT / "demucs").rglob("*.py"),
        *(ROOT / "tools").glob("*.py"),
        *(ROOT / "studies").rglob("*.py"),
    ]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(p.value) if isinstance(p, ast.Constant) else "…" for p in node.values]
                found.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"%[-.\w]*[sdg]", "…", node.value))
    scripts = [path.read_text(encoding="utf-8") for path in (ROOT / "slurm_scripts").glob("*.sh")]
    return "\n".join([*found, *scripts])


def test_troubleshooting_quotes_what_is_said() -> None:
    everything = said()
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    quotes = [
        q for line in re.findall(r"^### (.*`.*)$", page, re.M) for q in re.findall("`(.*?)`", line)
    ]
    assert len(quotes) > 30
    for quote in quotes:
        for part in re.split(r"\W*…\W*", quote):
            words = part.strip(" .:,`'()")
            assert words in everything, f"nothing says {words!r} of {quote!r}"


def test_every_file_is_in_the_tree(capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git, and a clone")
    code = file_tree(["--check"])
    assert code == 0, capsys.readouterr().err


def test_a_file_without_a_sentence_is_named(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "good.py").write_text('"""Does it.\n\nMore."""\n')
    (tmp_path / "tools" / "mute.py").write_text("x = 1\n")
    with pytest.raises(ConfigError, match=r"in tools/mute\.py: begin"):
        page_of(tmp_path, ["tools/good.py", "tools/mute.py"])


@pytest.mark.parametrize(
    ("name", "text", "first"),
    [
        ("a.py", '"""Makes it: so.  And more."""', "Makes it: so."),
        ("a.py", '"""Two\nlines.\n\n    x\n"""', "Two lines."),
        ("a.sh", "#!/bin/bash\n#SBATCH --x\n#\n# Trains:\n#   sbatch it\n", "Trains."),
        ("a.yaml", "# @package _global_\n\n# Small songs. Others.\nx: 1\n", "Small songs."),
        (
            "a.js",
            "'use strict';\n// Draws: a line\n// or two.\n\nx = 1;\n",
            "Draws: a line or two.",
        ),
        ("a.json", "{}", ""),
    ],
)
def test_the_first_sentence(tmp_path: Path, name: str, text: str, first: str) -> None:
    (tmp_path / name).write_text(text)
    assert sentence(tmp_path / name) == first


def test_outside_a_clone_the_tree_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="in a clone"):
        tracked(tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_python_blocks_are_python(page: Path) -> None:
    for _, text in blocks(page, "python"):
        if not text.startswith(">>>"):
            compile(text, str(page), "exec")
