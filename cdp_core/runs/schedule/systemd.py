"""User units of systemd: a service and a timer per job.

Times are written with their zone, so that they mean the same on every machine. `Persistent=true` makes up once for what
was missed while the machine was off.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from cdp_core import cron
from cdp_core.errors import EngineError, UsageError
from cdp_core.runs.schedule.jobs import Job, mark


def units(jobs: Iterable[Job]) -> dict[str, str]:
    """File name → text of every unit. Raises UsageError for a folder that systemd cannot name."""
    found: dict[str, str] = {}
    for job in jobs:
        stem = f"cdp-{mark(job.root)}-{_escaped(job.name)}"
        about = f"cdp {job.name} ({job.root.name})".replace("%", "%%")
        found[f"{stem}.service"] = _SERVICE.format(
            about=about,
            folder=_path(job.root),
            command=" ".join(map(_quoted, job.command)),
        )
        times = "\n".join(f"OnCalendar={time}" for time in cron.calendar(job.cron))
        found[f"{stem}.timer"] = _TIMER.format(about=about, times=times)
    return found


_SERVICE = """[Unit]
Description={about}

[Service]
Type=oneshot
WorkingDirectory={folder}
ExecStart={command}
"""
_TIMER = """[Unit]
Description={about}

[Timer]
{times}
Persistent=true

[Install]
WantedBy=timers.target
"""


def install_units(jobs: Iterable[Job], root: Path) -> list[Path]:
    """Write the units in place of this workspace's earlier ones and start their timers; gives the files.

    Raises UsageError when systemd is not there or refuses; the units of other workspaces stay.
    """
    wanted = units(jobs)
    _systemctl("--version")
    folder = unit_folder()
    folder.mkdir(parents=True, exist_ok=True)
    _remove([path for path in _present(root) if path.name not in wanted])
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")
    _systemctl("daemon-reload")
    timers = [name for name in wanted if name.endswith(".timer")]
    _systemctl("enable", *timers)
    _systemctl("restart", *timers)
    return [folder / name for name in wanted]


def uninstall_units(root: Path) -> bool:
    """Stop this workspace's timers and take its units away; False when there were none."""
    present = _present(root)
    if not present:
        return False
    _remove(present)
    _systemctl("daemon-reload")
    return True


def unit_folder() -> Path:
    """Where systemd looks for units of the user."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "systemd" / "user"


def _present(root: Path) -> list[Path]:
    return sorted(unit_folder().glob(f"cdp-{mark(root)}-*"))


def _remove(paths: list[Path]) -> None:
    timers = [path.name for path in paths if path.suffix == ".timer"]
    if timers:
        _systemctl("disable", "--now", *timers)
    for path in paths:
        path.unlink(missing_ok=True)


def _escaped(name: str) -> str:
    """A name as systemd-escape(1) writes it, spaces as dashes."""
    text = name.replace(" ", "-")
    return "".join(c if re.fullmatch(r"[A-Za-z0-9:_.-]", c) else _hex(c) for c in text)


def _hex(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode())


def _path(path: Path) -> str:
    """A path as a setting: only % has a meaning there."""
    if any(char in str(path) for char in "\n\r\0"):
        raise UsageError("systemd cannot run in a folder with a line break in its name", where=path.name)
    return str(path).replace("%", "%%")


def _quoted(word: str) -> str:
    """A word of a command line, after systemd.service(5)."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return text if re.fullmatch(r"[\w./:=@,+-]+", word) else f'"{text}"'


def _systemctl(*arguments: str) -> None:
    command = ["systemctl", "--user", *arguments]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, timeout=60, env=environment
        )
    except FileNotFoundError:
        hint = "use 'cdp schedule install' for cron, or run 'cdp schedule run' in the foreground"
        raise UsageError("systemd is not installed", hint=hint) from None
    except subprocess.TimeoutExpired:
        raise EngineError("systemctl does not answer", hint="run 'systemctl --user status' by hand") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise UsageError(
            f"systemctl refused: {said[-1] if said else f'exit {done.returncode}'}",
            hint="'cdp schedule install --systemd --print' shows the units",
        )
