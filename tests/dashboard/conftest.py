"""A small real workspace, run once; an empty one; a broken one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import cdp_core as cdp
from cdp_core.workspace import demo

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo workspace of two hundred people, run once. Nobody writes into it."""
    root = tmp_path_factory.mktemp("dashboard") / "shop"
    demo(root, people=200, seed=3)
    shutil.copytree(ROOT / "expectations", root / "expectations", dirs_exist_ok=True)
    with cdp.open(root) as ws:
        run = ws.run()
    assert run.status == "succeeded", run.error
    return root


@pytest.fixture
def shop(built: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may write into."""
    return Path(shutil.copytree(built, tmp_path / "shop"))


@pytest.fixture(scope="session")
def ws(built: Path) -> Iterator[cdp.Workspace]:
    with cdp.open(built) as opened:
        yield opened.reader()


@pytest.fixture
def unrun(tmp_path: Path) -> Path:
    """A workspace that has never run."""
    root = tmp_path / "unrun"
    demo(root, people=20, seed=3)
    return root


@pytest.fixture
def fresh_caches() -> Iterator[None]:
    """Tests do not see each other's opened workspaces."""
    import streamlit as st

    yield
    st.cache_data.clear()
    st.cache_resource.clear()
