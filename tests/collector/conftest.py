"""One collector for the tests of a file; each test tells its events apart by their ids."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from serving import Collector, serving


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with serving(tmp_path_factory.mktemp("live") / "ws") as found:
        yield found
