"""Cron lines, put into the user's crontab and taken out again."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from cdp_core import cron
from cdp_core.cron import ScheduleSpec
from cdp_core.errors import EngineError, UsageError
from cdp_core.runs.schedule.jobs import HasSchedule, Job, jobs_for, mark

LOG = Path("data/lake/schedule.log")


def cron_lines(root: Path, spec: ScheduleSpec | None, syncs: Mapping[str, HasSchedule]) -> list[str]:
    """Lines for crontab, between two marker comments of this workspace; empty when nothing is scheduled.

    Cron reads times in the machine's own time zone, which the first line says.
    """
    jobs = jobs_for(root, spec, syncs)
    if not jobs:
        return []
    begin, end = _markers(root)
    return [begin, "# cron reads these times in the time zone of this machine", *map(_line, jobs), end]


def install_cron(lines: list[str], root: Path) -> None:
    """Put the lines into the user's crontab in place of this workspace's earlier ones; all others stay as they are.

    Raises UsageError when crontab is not installed or refuses.
    """
    kept = _without(_read(), root)
    if kept and kept[-1] != "":
        kept.append("")
    (root / LOG).parent.mkdir(parents=True, exist_ok=True)
    _write([*kept, *lines])


def uninstall_cron(root: Path) -> bool:
    """Take this workspace's lines out again; False when there were none. Raises UsageError like `install_cron`."""
    before = _read()
    after = _without(before, root)
    if after == before:
        return False
    _write(after)
    return True


def _line(job: Job) -> str:
    """One line of crontab(5), where a bare % ends the command."""
    if any(char in str(job.root) for char in "\n\r\0"):
        raise UsageError("cron cannot run in a folder with a line break in its name", where=job.root.name)
    log = shlex.quote(str(job.root / LOG))
    text = f"cd {shlex.quote(str(job.root))} && {shlex.join(job.command)} >> {log} 2>&1"
    schedule = cron.MACROS.get(job.cron.strip().lower(), job.cron)
    return f"{' '.join(schedule.split())} {text}".replace("%", "\\%")


def _markers(root: Path) -> tuple[str, str]:
    return f"# >>> cdp workspace {mark(root)} >>>", f"# <<< cdp workspace {mark(root)} <<<"


def _without(lines: list[str], root: Path) -> list[str]:
    begin, end = _markers(root)
    if begin not in lines:
        return lines
    first = lines.index(begin)
    if end not in lines[first:]:
        raise UsageError("the crontab has the first but not the last line of this workspace", hint="run crontab -e")
    last = lines.index(end, first)
    before = lines[:first]
    while before and before[-1] == "":
        before.pop()
    return [*before, *lines[last + 1 :]]


def _read() -> list[str]:
    listed = _crontab("-l")
    if listed.returncode == 0:
        return listed.stdout.splitlines()
    if "no crontab" in listed.stderr:
        return []
    raise _refused(listed)


def _write(lines: list[str]) -> None:
    written = _crontab("-", text="".join(line + "\n" for line in lines))
    if written.returncode != 0:
        raise _refused(written)


def _crontab(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    import os

    environment = {**os.environ, "LC_ALL": "C"}
    command = ["crontab", *arguments]
    try:
        return subprocess.run(  # noqa: S603
            command, input=text, capture_output=True, text=True, check=False, timeout=30, env=environment
        )
    except FileNotFoundError:
        raise UsageError(
            "crontab is not installed", hint="install cron, or run 'cdp schedule run' in the foreground"
        ) from None
    except subprocess.TimeoutExpired:
        raise EngineError("crontab does not answer", hint="run 'crontab -l' by hand") from None


def _refused(done: subprocess.CompletedProcess[str]) -> UsageError:
    said = done.stderr.strip().splitlines()
    return UsageError(f"crontab refused: {said[-1] if said else f'exit {done.returncode}'}")
