"""The pages of the documentation as data: fenced blocks, commands, links, tables and marks.

A mark is an HTML comment in the line before a fenced block; readers do not see it:

* `<!-- file: PATH -->`  the block is the content of a file of the page's workspace and is written there
* `<!-- merge -->`       the block is merged into the workspace's cdp.yaml; `<!-- merge: wrong -->`: it is a mistake to show
* `<!-- shown -->`       commands take too long or never end: only their options are checked, with --help
* `<!-- workspace: new -->`, in the first line of a page: it starts in an empty folder rather than in a demo workspace
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "data" / "README.md", *(ROOT / "docs").rglob("*.md")])
_FENCE = re.compile(r"^```(?P<language>\w*)\s*$")
_MARK = re.compile(r"^\s*<!-- (?P<name>file|merge|shown|workspace|keys)(?:: (?P<value>[^>]+?))? -->\s*$")
_LINK = re.compile(r"(?P<image>!?)\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block. `line` is the line of its first content line; `marks` are the comments right before it."""

    page: Path
    language: str
    text: str
    line: int
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Command:
    """A line behind `$ ` and the output that the page shows for it."""

    text: str
    output: list[str]
    where: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks of a page, in order."""
    marks: dict[str, str] = {}
    inside: dict[str, object] | None = None
    body: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if inside is not None:
            if fence and not fence["language"]:
                yield Block(page=page, text="\n".join(body) + "\n", **inside)  # type: ignore[arg-type]
                inside, body, marks = None, [], {}
            else:
                body.append(line)
        elif fence:
            inside = {"language": fence["language"], "line": number + 1, "marks": dict(marks)}
        elif mark := _MARK.match(line):
            marks[mark["name"]] = mark["value"] or ""
        elif line.strip():
            marks = {}
    assert inside is None, f"{name_of(page)}: a fenced block is not closed"


def starts_empty(page: Path) -> bool:
    return page.read_text(encoding="utf-8").startswith("<!-- workspace: new -->")


def commands(block: Block) -> list[Command]:
    """The commands of a console block; a line that ends with a backslash goes on in the next one."""
    found: list[Command] = []
    text, output = "", []
    started = block.line
    for number, line in enumerate(block.text.splitlines(), block.line):
        if line.startswith("$ ") or text.endswith("\\"):
            if text and not text.endswith("\\"):
                found.append(Command(text=text, output=output, where=f"{name_of(block.page)}:{started}"))
                text, output = "", []
            started = started if text else number
            text = (text.removesuffix("\\") + " " + line.removeprefix("$ ").strip()).strip()
        else:
            output.append(line)
    if text:
        found.append(Command(text=text, output=output, where=f"{name_of(block.page)}:{started}"))
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks and inline code."""
    lines, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            lines.append(re.sub(r"`[^`]*`", "", line))
    return "\n".join(lines)


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Targets of links and images that lead to a file of the repository: path and anchor ("" for none)."""
    for found in _LINK.finditer(prose(page)):
        target = found["target"]
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    titles = re.findall(r"^#+ (.+)$", _without_blocks(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def section(page: Path, title: str) -> str:
    """The text under a heading, up to the next heading of the same level or a higher one."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(title)}\s*$", text, flags=re.MULTILINE)
    assert found, f"{name_of(page)} has no section {title!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, flags=re.MULTILINE)
    return rest[: end.start()] if end else rest


def first_cells(text: str) -> list[str]:
    """The code in the first cell of every row of the tables in a text."""
    return re.findall(r"^\| `([^`]+)`", text, flags=re.MULTILINE)


def tables_by_mark(page: Path) -> dict[str, list[str]]:
    """First cells of the tables that stand behind `<!-- keys: NAME -->`."""
    text = page.read_text(encoding="utf-8")
    parts = re.split(r"^<!-- keys: ([\w.:]+) -->\s*$", text, flags=re.MULTILINE)
    return {name: first_cells(body.split("\n\n", 1)[0]) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def _without_blocks(page: Path) -> str:
    return re.sub(r"^```.*?^```\s*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
