"""Does what a page tells its reader to do, in the page's own workspace: writes files, runs commands and Python."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docs_pages
from docs_pages import ROOT, Block, Command

import cdp_core as cdp
from cdp_core.cli import execute
from cdp_core.config import check_config
from cdp_core.config.model import Config
from cdp_core.quality.suites import parse_suite

ENDLESS = (["app"], ["collect"], ["schedule", "run"], ["schedule", "install"], ["schedule", "uninstall"])
SHELL = ("cat", "cp", "diff", "head", "ls", "mkdir", "rm", "sort")
CONDITIONS = {"trait", "event", "audience", "consent", "and", "or", "not"}
_VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)\}")


@dataclass
class Reader:
    """Somebody who follows a page.

    `folder` is where the page begins; `environ` holds what `export` lines set. With `exact` every line of output that
    the page shows must come, times and ids apart; otherwise its labels.
    """

    folder: Path
    exact: bool = False
    environ: dict[str, str] = field(default_factory=dict)
    seen_plan: str = ""
    names: dict[str, Any] = field(default_factory=dict)
    _open: cdp.Workspace | None = None

    def follow(self, page: Path) -> None:
        for block in docs_pages.blocks(page):
            self.take(block)

    def take(self, block: Block) -> None:
        if "file" in block.marks:
            path = Path(block.marks["file"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        if block.language == "console":
            for command in docs_pages.commands(block):
                self.run(command, shown="shown" in block.marks)
        elif block.language == "yaml":
            self.yaml(block)
        elif block.language == "json" and '"expectations"' in block.text:
            parse_suite(block.text, Path("expectations/sources") / "page.json", "source")
        elif block.language == "python" and "file" not in block.marks and "cdp_core" in self.python_so_far(block):
            exec(compile(block.text, block.where, "exec"), self.names)

    def python_so_far(self, block: Block) -> str:
        """A later block of a page goes on where the first one that imports the package has begun."""
        return block.text + ("cdp_core" if "cdp" in self.names else "")

    def run(self, command: Command, *, shown: bool) -> None:
        words = command.words
        program = Path(words[0]).name if words[0].startswith(".venv/bin/") else words[0]
        if program == "cdp":
            self.cdp(words[1:], command, shown=shown)
        elif program == "cd":
            os.chdir(words[1])
        elif program == "export":
            name, _, value = words[1].partition("=")
            os.environ[name] = self.environ.get(name, value)
        elif program in SHELL:
            done = subprocess.run(command.text, shell=True, check=True, capture_output=True, text=True)
            compare(command, done.stdout, exact=self.exact)
        else:
            self.other(program, words, command)

    def other(self, program: str, words: list[str], command: Command) -> None:
        """What is not run here must at least be true: targets of make, requirement files, test options."""
        if program == "make":
            targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
            assert words[1] in targets, f"{command.where}: no target {words[1]}"
            return
        known = {"git", "python3", "python", "pip", "apt-get", "sudo", "crontab", "jupyter", "streamlit"}
        assert program in known, f"{command.where}: nobody knows {program}"
        for word in words:
            if word.endswith((".lock", ".txt")):
                assert (ROOT / word).is_file(), f"{command.where}: no file {word}"

    def cdp(self, words: list[str], command: Command, *, shown: bool) -> None:
        target = None
        if ">" in words:
            words, target = words[: words.index(">")], words[words.index(">") + 1]
        if "--plan" in words and self.seen_plan:
            words[words.index("--plan") + 1] = self.seen_plan
        if shown or any(words[: len(e)] == e for e in ENDLESS):
            plain = [w for w in words if not w.startswith("-")]
            answers = [call([*plain[:depth], "--help"]) for depth in (1, 2, 3)]
            out = [told for code, told, _ in answers if code == 0][-1:]
            assert out, f"{command.where}: {answers[0][2]}"
            for option in (w.partition("=")[0] for w in words if w.startswith("--")):
                assert option in out[0], f"{command.where}: no option {option}"
            return
        code, out, err = call(words)
        wrong = [without_line(line) for line in command.output if line.startswith("error: ")]
        if wrong:
            assert code != 0, f"{command.where}: went well, which the page denies"
            assert wrong[0] in without_line(err).splitlines(), f"{command.where}: {err}"
            return
        assert code == 0, f"{command.where}: exit {code}: {err}"
        if target:
            Path(target).write_text(out)
        if found := re.search(r'plan_id"?: "?(\w+)', out):
            self.seen_plan = found[1]
        compare(command, out + err, exact=self.exact)

    def workspace(self) -> cdp.Workspace:
        """Opened once for all conditions of a page."""
        if self._open is None:
            self._open = cdp.open(".")
        return self._open

    def close(self) -> None:
        if self._open is not None:
            self._open.close()

    def yaml(self, block: Block) -> None:
        values = plain_yaml(block.text)
        assert isinstance(values, dict), f"{block.where}: no keys and values"
        if "merge" in block.marks:
            merge(Path("cdp.yaml"), block.text)
            if block.marks["merge"] == "wrong":
                return
            _, problems = check_config(Path(), environ=pretended(block.text))
            assert not problems, f"{block.where}: {problems[0]}"
        elif "file" in block.marks:
            return
        elif set(values) <= set(Config.model_fields):
            check_in_place(block, self.folder)
        elif set(values) & CONDITIONS:
            self.workspace().preview_audience(values, sample=0)
        else:
            raise AssertionError(f"{block.where}: neither a block of cdp.yaml nor a condition")


def call(words: list[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = execute(words)
    return code, out.getvalue(), err.getvalue()


def compare(command: Command, found: str, *, exact: bool) -> None:
    """Every line that the page shows is really there, or at least its label (see `label`)."""
    reduce = settled if exact else label
    seen = {reduce(line) for line in found.splitlines()}
    for line in command.output:
        if line.strip() and "…" not in line and (wanted := reduce(line)):
            assert wanted in seen, f"{command.where}: the output has no line {wanted!r}, but {sorted(seen)}"


def without_line(text: str) -> str:
    """An error without the number of its line, which depends on what else a file holds."""
    return re.sub(r"(\.(?:yaml|json)):\d+", r"\1", text)


def settled(line: str) -> str:
    """A line of output without what differs from run to run: seconds, plan ids, widths of columns."""
    line = re.sub(r"^(load|quality|identity|profiles|audiences|sync|seconds:) +\S+", r"\1 N", " ".join(line.split()))
    return re.sub(r"\b[0-9a-f]{16}\b", "ID", line)


def label(line: str) -> str:
    """What stays the same from run to run in a line of output; "" for a line of values."""
    if line.startswith(("{", "[")):
        return " ".join(sorted(set(re.findall(r'"(\w+)":', line))))
    if found := re.match(r"\s*(?:- )?([a-z_]\w*):( |$)", line):
        return found[1]
    words = line.split()
    is_header = len(words) > 1 and all(re.fullmatch(r"[a-z][a-z_]*", word) for word in words)
    return " ".join(words) if is_header else ""


def plain_yaml(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def merge(file: Path, text: str) -> None:
    """Put the block's definitions into the file, beside or in the place of those that it has."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 4096
    written = yaml.load(file.read_text()) or {}
    for key, value in plain_yaml(text).items():
        if isinstance(value, dict) and isinstance(written.get(key), dict):
            written[key].update(value)
        else:
            written[key] = value
    with file.open("w") as out:
        yaml.dump(written, out)


def check_in_place(block: Block, folder: Path) -> None:
    """The block is valid beside the definitions of the page's workspace."""
    here = Path("cdp.yaml") if Path("cdp.yaml").is_file() else folder / "cdp.yaml"
    before = here.read_bytes() if here.is_file() else b""
    try:
        here.write_bytes(before or b"name: page\n")
        merge(here, block.text)
        _, problems = check_config(here.parent, environ=pretended(here.read_text()))
        assert not problems, f"{block.where}: {problems[0]}"
    finally:
        here.write_bytes(before) if before else here.unlink()


def pretended(text: str) -> dict[str, str]:
    """A value for every variable that a text names."""
    urls = dict.fromkeys(_VARIABLE.findall(text), "postgresql://reader@localhost/shop")
    return {name: value if name.endswith("_URL") else "word" for name, value in urls.items()} | dict(os.environ)
