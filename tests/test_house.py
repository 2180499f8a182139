"""The house rules that a machine can check: lint, types, layers, sizes, and what may not be in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PACKAGE = sorted((ROOT / "cdp_core").rglob("*.py"))


def tool(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_ruff() -> None:
    tool(str(BIN / "ruff"), "check", ".")


def test_format() -> None:
    tool(str(BIN / "ruff"), "format", "--check", ".")


def test_layers() -> None:
    tool(str(BIN / "lint-imports"))


@pytest.mark.timeout(900)
def test_types() -> None:
    tool(str(BIN / "mypy"), "cdp_core")


@pytest.mark.parametrize("path", PACKAGE, ids=lambda p: str(p.relative_to(ROOT)))
def test_file_is_small_enough_to_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_app_is_thin() -> None:
    assert len((ROOT / "app.py").read_text().splitlines()) <= 40


def test_faces_use_public_names_only() -> None:
    for face in ("cli", "dashboard"):
        for path in (ROOT / "cdp_core" / face).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cdp_core"):
                    room = (node.module or "").split(".")[1:2]
                    masks = (node.module, [name.name for name in node.names]) == ("cdp_core.privacy", ["masking"])
                    told = f"{path.name} imports {node.module}"
                    assert masks or room in ([], [face], ["errors"], ["tables"]), told


def test_no_two_test_files_have_one_name() -> None:
    """Pytest imports them by their bare names: the second of two would not be collected in one process."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert len(names) == len(set(names)), sorted({name for name in names if names.count(name) > 1})


def test_repository_names_no_machine_and_no_registry() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    wrong = re.compile(r"(?<![\w.])/(root|work|home)/\w|pypi\.org|files\.pythonhosted|npmjs\.org")
    for name in listed:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".json", ".lock", ".ipynb", ""} and path.is_file():
            if path == Path(__file__):
                continue
            assert not wrong.search(path.read_text(errors="ignore")), name


def test_repository_data_stay_small() -> None:
    size = sum(p.stat().st_size for p in (ROOT / "data").rglob("*") if p.is_file() and "lake" not in p.parts)
    assert size <= 15_000_000
