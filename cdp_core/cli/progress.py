"""Progress on stderr: a bar per stage on a terminal, plain lines when CDP_PROGRESS=lines, else nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress(Protocol):
    def __call__(self, stage: str, done: float | None, text: str) -> None: ...


@contextmanager
def progress() -> Iterator[Progress]:
    """Something to tell how a stage goes on: `done` is 0 to 1, or None when unknown."""
    if os.environ.get("CDP_PROGRESS") == "lines":
        yield _Lines()
    elif sys.stderr.isatty():
        with _rich() as bars:
            yield _Bars(bars)
    else:
        yield _nothing


def _nothing(stage: str, done: float | None, text: str) -> None:
    pass


class _Bars:
    def __init__(self, bars: RichProgress) -> None:
        self.bars = bars
        self.tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: float | None, text: str) -> None:
        if stage not in self.tasks:
            self._finish()
            self.tasks[stage] = self.bars.add_task(stage, total=None if done is None else 1.0, text="")
        total = None if done is None else 1.0
        self.bars.update(self.tasks[stage], total=total, completed=done or 0.0, text=text)

    def _finish(self) -> None:
        """A stage that has begun shows the ones before it as done."""
        for task in self.tasks.values():
            self.bars.update(task, total=1.0, completed=1.0)


class _Lines:
    """At most one line a second, and one for each stage's beginning and end."""

    def __init__(self) -> None:
        self.stage = ""
        self.told = 0.0

    def __call__(self, stage: str, done: float | None, text: str) -> None:
        now = time.monotonic()
        if stage == self.stage and done != 1.0 and now - self.told < 1.0:
            return
        self.stage, self.told = stage, now
        share = "" if done is None else f" {done:.0%}"
        print(f"{stage}{share} {text}".rstrip(), file=sys.stderr, flush=True)


def _rich() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description:<9}", markup=False),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        console=Console(stderr=True),
    )
