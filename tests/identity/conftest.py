"""Shorthands for identity's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from identity_worlds import NOW, frame

from cdp_core.engine import Engine
from cdp_core.identity.resolve import Resolution, resolve
from cdp_core.identity.spec import IdentitySpec

Resolve = Callable[..., Resolution]


@pytest.fixture
def resolved(engine: Engine) -> Resolve:
    """Resolve events given as dicts or as a frame on each engine in turn; `after` is an earlier resolution."""
    return _resolver(engine)


@pytest.fixture
def resolved_here(lake: Engine) -> Resolve:
    """The same on the default engine only."""
    return _resolver(lake)


def _resolver(engine: Engine) -> Resolve:
    def run(events: Any, spec: IdentitySpec | None = None, *, after: Resolution | None = None) -> Resolution:
        rows = events if isinstance(events, pl.DataFrame) else frame(events)
        previous = (after.user_identifiers, after.profile_merges) if after else (None, None)
        return resolve(
            engine, engine.frame(rows), spec or IdentitySpec(), previous=previous[0], merges=previous[1], now=NOW
        )

    return run
