"""The small configuration in a folder, whole or spoilt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from shop_config import GOOD


@pytest.fixture
def good(tmp_path: Path) -> Path:
    (tmp_path / "cdp.yaml").write_text(GOOD)
    return tmp_path


@pytest.fixture
def spoilt(tmp_path: Path) -> Callable[[str, str], tuple[Path, str]]:
    """Replace one part of the good text, which must be there."""

    def spoil(old: str, new: str) -> tuple[Path, str]:
        assert old in GOOD
        text = GOOD.replace(old, new, 1)
        (tmp_path / "cdp.yaml").write_text(text)
        return tmp_path, text

    return spoil
