"""The doctor's look at Python, the packages and the engine."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from cdp_core.engine import EngineSpec, open_engine
from cdp_core.errors import EngineError
from cdp_core.runs.doctor import Finding

_DISTRIBUTION = "cdp-workbench"
_OLDEST = (3, 11)


def versions() -> Iterator[Finding]:
    """Python and the packages, against what this package says it works with."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= _OLDEST:
        yield Finding("ok", f"Python {found}")
    else:
        yield Finding("error", f"Python {found} is too old", "use 3.11 or newer")
    wrong = list(_packages())
    yield from wrong
    if not wrong:
        yield Finding("ok", "packages: " + ", ".join(f"{name} {metadata.version(name)}" for name in _shown()))
    yield from _engine()


def _shown() -> list[str]:
    return [
        name for name in ("duckdb", "ibis-framework", "polars", "great-expectations", "streamlit") if _version(name)
    ]


def _packages() -> Iterator[Finding]:
    """Requirements that are missing or outside their range."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirements = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield Finding("warn", f"{_DISTRIBUTION} is not installed as a package", "pip install -e . in its folder")
        return
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _version(requirement.name)
        if version is None:
            yield Finding("error", f"{requirement.name} is not installed", f"pip install '{text}'")
        elif not requirement.specifier.contains(version, prereleases=True):
            what = f"{requirement.name} {version} is not {requirement.specifier}"
            yield Finding("error", what, f"pip install '{text}'")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _engine() -> Iterator[Finding]:
    """A lake is opened for real, in a folder of its own, which needs both of DuckDB's extensions."""
    with tempfile.TemporaryDirectory(prefix="cdp-doctor-") as folder:
        try:
            open_engine(Path(folder), EngineSpec.model_validate({})).close()
        except EngineError as error:
            yield Finding("error", error.what, error.hint)
        else:
            yield Finding("ok", "DuckDB and its extensions: a lake can be opened")
