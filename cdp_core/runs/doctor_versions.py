"""The doctor's look at Python, packages and DuckDB's extensions."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from cdp_core.runs.doctor import Finding

_DISTRIBUTION = "cdp-workbench"
_EXTENSIONS = ("ducklake", "sqlite_scanner")
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
    yield from _extensions()


def _shown() -> list[str]:
    return [name for name in ("duckdb", "ibis-framework", "polars", "great-expectations", "streamlit") if _version(name)]


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


def _extensions() -> Iterator[Finding]:
    """Each extension of the lake is loaded for real, in a database of its own."""
    import duckdb

    for name in _EXTENSIONS:
        try:
            with duckdb.connect() as connection:
                connection.execute(f"LOAD '{_wheel_file(name)}'" if _wheel_file(name) else f"LOAD {name}")
            yield Finding("ok", f"DuckDB's extension {name} loads")
        except duckdb.Error as error:
            first = re.sub(r"\s+", " ", str(error).splitlines()[0])
            hint = f"install the package duckdb-extension-{name.replace('_', '-')}"
            yield Finding("error", f"DuckDB's extension {name} does not load: {first}", hint)


def _wheel_file(name: str) -> str | None:
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    if found is None or not found.origin:
        return None
    file = next(Path(found.origin).parent.rglob("*.duckdb_extension"), None)
    return None if file is None else str(file).replace("'", "''")
