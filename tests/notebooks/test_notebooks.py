"""The notebooks run from top to bottom, over the public API only, in a copy of the workspace."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world of the demo's shape with the repository's notebooks in it, run once."""
    import cdp_core as cdp

    folder = tmp_path_factory.mktemp("notebooks") / "workspace"
    cdp.demo(folder, people=1500, seed=5)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", dirs_exist_ok=True)
    with cdp.open(folder) as ws:
        assert ws.run().status == "succeeded"
    return folder


def test_there_are_notebooks() -> None:
    assert [n.stem for n in NOTEBOOKS] == ["01_explore_customers", "02_build_an_audience", "03_export_on_a_schedule", "04_who_is_who"]


@pytest.mark.xdist_group("notebooks")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(notebook: Path, workspace: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--nbmake", "--nbmake-timeout=120", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--rootdir={workspace}", str(workspace / "notebooks" / notebook.name)],
        cwd=workspace / "notebooks",
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_uses_public_names_only(notebook: Path) -> None:
    import cdp_core as cdp

    cells = json.loads(notebook.read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert not re.search(r"cdp_core\.\w+\s+import|from cdp_core", code)
    assert set(re.findall(r"\bcdp\.(\w+)", code.replace("cdp.yaml", ""))) <= set(cdp.__all__)
    assert not any(cell.get("outputs") for cell in cells)
