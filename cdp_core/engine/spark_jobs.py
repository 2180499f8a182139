"""An end to what a user's query asks of Spark."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cdp_core.engine.sandbox import too_late
from cdp_core.engine.spec import SqlLimits
from cdp_core.errors import SpecError

_GROUP = "spark.jobGroup.id"


@contextmanager
def stopped_after(context: Any, limits: SqlLimits) -> Iterator[None]:
    """Cancel the jobs of this thread when their time is over. Raises SpecError then."""
    group, stopped = uuid.uuid4().hex, threading.Event()

    def stop() -> None:
        stopped.set()
        context.cancelJobGroup(group)

    timer = threading.Timer(limits.timeout, stop)
    context.setJobGroup(group, "a user's query", interruptOnCancel=True)
    timer.start()
    try:
        yield
    except SpecError:
        if stopped.is_set():
            raise too_late(limits) from None
        raise
    finally:
        timer.cancel()
        context.setLocalProperty(_GROUP, None)
