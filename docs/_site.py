"""For mkdocs: the site has the places of the repository, so that links work in both.

What the pages link to beside docs/ (the README, results, configuration) is taken in where it lies;
a link to a folder becomes one to its README.md.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/*.md", "slurm_scripts/README.md",
         "demucs_results/README.md", "demucs_results/*/*.md")  # fmt: skip
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
CODE = re.compile(r"^( *)```.*?^\1```\s*?$|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """The pages, and the files that they link to."""
    names = sorted({p.relative_to(ROOT).as_posix() for one in PAGES for p in ROOT.glob(one)})
    for name in list(names):
        names += [found for found in map(str, linked(name)) if (ROOT / found).is_file()]
    theme = [file for file in files if file.generated_by or file.src_dir != config.docs_dir]
    own = [_file(name, config) for name in dict.fromkeys(names)]
    return Files([*theme, *own])


def _file(name: str, config: Any) -> File:
    return File(name, str(ROOT), config.site_dir, config.use_directory_urls)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to folders lead to their README.md."""
    here = PurePosixPath(page.file.src_uri).parent

    def pointed(match: re.Match[str]) -> str:
        before, target, after = match.groups()
        place = _normal(here / target)
        if "://" not in target and (ROOT / place / "README.md").is_file():
            target = f"{target.rstrip('/')}/README.md"
        return f"{before}{target}{after}"

    return _outside_code(markdown, lambda text: LINK.sub(pointed, text))


def linked(name: str) -> list[PurePosixPath]:
    """What a page links to, as paths of the repository."""
    text = CODE.sub("", (ROOT / name).read_text(encoding="utf-8"))
    targets = [match[2] for match in LINK.finditer(text) if "://" not in match[2]]
    return [_normal(PurePosixPath(name).parent / target) for target in targets]


def _normal(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def _outside_code(text: str, change: Any) -> str:
    """Changes what is between pieces of code."""
    pieces, last = [], 0
    for code in CODE.finditer(text):
        pieces += [change(text[last : code.start()]), code[0]]
        last = code.end()
    return "".join([*pieces, change(text[last:])])


def on_page_content(html: str, **_: Any) -> str:
    """Tables wider than a phone scroll by themselves; the page does not."""
    wide = '<div style="overflow-x: auto"><table>'
    return html.replace("<table>", wide).replace("</table>", "</table></div>")
