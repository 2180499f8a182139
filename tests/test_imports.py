"""Importing the package costs next to nothing, and its surface is what it says."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import cdp_core
from cdp_core.errors import CDPError

HEAVY = (
    "great_expectations", "streamlit", "networkx", "pyspark", "splink", "pandas", "polars", "ibis", "duckdb", "scipy",
    "pyarrow", "sqlalchemy", "phonenumbers", "email_validator", "apscheduler", "altair",
)  # fmt: skip


def loaded_by(code: str) -> tuple[float, set[str]]:
    """Processor seconds that the code takes in a fresh interpreter, and the heavy modules it loads."""
    program = (
        "import sys, time\nstarted = time.process_time()\n"
        f"try:\n    {code}\nexcept SystemExit:\n    pass\n"
        "seconds = time.process_time() - started\n"
        f"print('|', seconds, *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seconds, *names = done.stdout.rpartition("|")[2].split()
    return float(seconds), set(names)


def test_import_is_light() -> None:
    seconds, heavy = loaded_by("import cdp_core")
    assert heavy == set()
    assert seconds <= 1.0


def test_opening_the_facade_loads_no_engine() -> None:
    _, heavy = loaded_by("import cdp_core; cdp_core.open; cdp_core.Workspace")
    assert heavy == set()


@pytest.mark.parametrize("arguments", ["--help", "run --help", "audience --help"])
def test_help_is_quick(arguments: str) -> None:
    seconds, heavy = loaded_by(f"from cdp_core.cli import main; main({arguments.split()!r})")
    assert heavy == set()
    assert seconds <= 1.5


@pytest.mark.parametrize("noun", ["quality", "identity", "profiles", "audiences", "destinations", "sources", "engine"])
def test_specs_are_light(noun: str) -> None:
    if noun == "quality":
        _, heavy = loaded_by("import cdp_core.quality.suites")
    else:
        _, heavy = loaded_by(f"import cdp_core.{noun}.spec")
    assert heavy == set()


def test_all_is_what_there_is() -> None:
    assert cdp_core.__all__ == sorted(cdp_core.__all__)
    assert len(cdp_core.__all__) <= 20
    for name in cdp_core.__all__:
        assert getattr(cdp_core, name) is not None
    assert set(cdp_core.__all__) <= set(dir(cdp_core))
    with pytest.raises(AttributeError, match="no attribute 'opn'"):
        _ = cdp_core.opn


def test_no_name_is_hidden_by_a_module() -> None:
    """A module of the same name takes a function's place once it is imported."""
    names = {found.name for found in pkgutil.iter_modules(cdp_core.__path__)}
    assert names & set(cdp_core.__all__) == set()


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(cdp_core.__path__, "cdp_core."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def test_every_exception_has_one_root() -> None:
    """Private ones that never leave their module, and those that a library wants, are left out."""
    wrong = set()
    for module in modules():
        for name, value in inspect.getmembers(module, inspect.isclass):
            own = value.__module__.startswith("cdp_core")
            if own and issubclass(value, Exception) and not issubclass(value, CDPError) and not name.startswith("_"):
                wrong.add(f"{value.__module__}.{name}")
    assert wrong == set()
