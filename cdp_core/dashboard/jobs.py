"""Long work runs in a process of the command line, so that no page waits and nothing dies with a browser tab."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from cdp_core.dashboard import login, session

_TAIL = 20_000
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Job:
    """One command of `cdp`. `name` is what people read; `steps` are the stages its progress names, in order."""

    name: str
    process: subprocess.Popen[bytes]
    out: Path
    log: Path
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def running(self) -> bool:
        if self.process.poll() is None:
            return True
        self.ended = self.ended or time.monotonic()
        return False

    @property
    def seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.started

    @property
    def succeeded(self) -> bool:
        return self.process.poll() == 0

    def lines(self) -> list[str]:
        """What the command said on its error stream: progress, and at last what went wrong."""
        return _lines(self.log)

    def message(self) -> str:
        """Its last line, for a person."""
        said = self.lines() or _lines(self.out)
        return said[-1].removeprefix("error: ") if said else ""

    def share(self) -> float | None:
        """How far it is, 0 to 1, when its last words say so ("45 %", "900 of 2,000 rows")."""
        return share_of(self.message())

    def cancel(self) -> None:
        self.process.terminate()


def start(root: Path, key: str, name: str, *args: str) -> Job:
    """Start `cdp ARGS` on the workspace at `root`; one job per key at a time, a second call gives the first job."""
    jobs = _jobs(str(root))
    present = jobs.get(key)
    if present is not None and present.running:
        return present
    folder = Path(tempfile.mkdtemp(prefix="cdp-dashboard-"))
    out, log = folder / "out", folder / "log"
    command = [sys.executable, "-m", "cdp_core.cli", *args, "--workspace", str(root)]
    with out.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603
            command,
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, "CDP_PROGRESS": "lines", **_on_behalf_of()},
        )
    jobs[key] = Job(name, process, out, log)
    return jobs[key]


def _on_behalf_of() -> dict[str, str]:
    """Whoever looks, for the process that works for them: it may no more than they may."""
    who = session.actor()
    return {"CDP_ROLE": who.role, **({"CDP_ACTOR": who.name} if login.configured() else {})}


def current(root: Path, key: str) -> Job | None:
    """The last job under a key, running or done."""
    return _jobs(str(root)).get(key)


def any_running(root: Path) -> bool:
    return any(job.running for job in list(_jobs(str(root)).values()))


@st.cache_resource(show_spinner=False)
def _jobs(root: str) -> dict[str, Job]:
    """Jobs belong to the server: every session sees the same ones."""
    return {}


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes()[-_TAIL:].decode("utf-8", "replace")
    except OSError:
        return []
    lines = re.split(r"[\r\n]+", _CONTROL.sub("", text))
    return [line.strip() for line in lines if line.strip()]


def share_of(text: str) -> float | None:
    """
    >>> share_of("sync 45%"), share_of("900 of 2,000 rows"), share_of("starting")
    (0.45, 0.45, None)
    """
    found = re.findall(r"(\d+(?:\.\d+)?)\s*%", text)
    if found:
        return min(float(found[-1]) / 100, 1.0)
    pair = re.search(r"([\d,]+) of ([\d,]+)", text)
    if pair is None:
        return None
    done, total = (int(digits.replace(",", "")) for digits in pair.groups())
    return min(done / total, 1.0) if total else None


_STAGES = {
    "load": "Loading sources",
    "quality": "Checking quality",
    "identity": "Resolving identities",
    "profiles": "Building profiles",
    "audiences": "Refreshing audiences",
    "sync": "Sending",
}


def progress_of(line: str) -> tuple[float, str]:
    """How far a run is, 0 to 1, and what it is doing, from a line of `CDP_PROGRESS=lines`.

    >>> progress_of("load 50% shop_orders"), progress_of("identity"), progress_of("")
    ((0.08, 'Loading sources · shop_orders'), (0.33, 'Resolving identities'), (0.0, 'Starting…'))
    """
    stage, _, rest = line.partition(" ")
    if stage not in _STAGES:
        return (1.0, "Finishing…") if line else (0.0, "Starting…")
    place = list(_STAGES).index(stage)
    done = share_of(rest.partition("%")[0] + "%") or 0.0
    text = re.sub(r"^\d+%\s*", "", rest).strip()
    return round((place + done) / len(_STAGES), 2), f"{_STAGES[stage]} · {text}" if text else _STAGES[stage]
