"""Shorthands for identity's tests."""

from __future__ import annotations

import pytest
from identity_worlds import Resolve, resolver

from cdp_core.engine import Engine


@pytest.fixture
def resolved(lake: Engine) -> Resolve:
    """Resolve events on the default engine; see `resolver`."""
    return resolver(lake)
