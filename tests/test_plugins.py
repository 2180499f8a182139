"""Types come from entry points, built-in ones too."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from cdp_core import plugins
from cdp_core.errors import SpecError
from cdp_core.sources.file import FileSource


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(*points: EntryPoint) -> None:
        monkeypatch.setattr(plugins, "entry_points", lambda group: points)
        plugins._points.cache_clear()

    yield run
    monkeypatch.undo()
    plugins._points.cache_clear()


def test_built_in_types() -> None:
    assert {"file", "segment", "sql"} <= set(plugins.names(plugins.SOURCES))
    assert {"file", "postgres"} <= set(plugins.names(plugins.DESTINATIONS))
    assert plugins.load(plugins.SOURCES, "file") is FileSource


def test_an_unknown_type_names_the_nearest() -> None:
    with pytest.raises(
        SpecError, match=r"unknown destination type 'fil' \(valid: .*postgres.*\); did you mean 'file'\?"
    ):
        plugins.load(plugins.DESTINATIONS, "fil")


def test_a_plug_in_is_loaded_when_used_and_not_before(installed: Any) -> None:
    installed(
        EntryPoint("good", "cdp_core.sources.sql:SqlSource", plugins.SOURCES),
        EntryPoint("broken", "no_such_package.here:Thing", plugins.SOURCES),
        EntryPoint("renamed", "cdp_core.sources.sql:Gone", plugins.SOURCES),
    )
    assert plugins.names(plugins.SOURCES) == ["broken", "good", "renamed"]
    assert plugins.load(plugins.SOURCES, "good").__name__ == "SqlSource"
    for name in ("broken", "renamed"):
        with pytest.raises(
            SpecError, match=rf"the source type '{name}' .* does not load: .*; install or update its package"
        ):
            plugins.load(plugins.SOURCES, name)
