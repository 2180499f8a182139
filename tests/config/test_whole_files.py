"""Files are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cdp_core.config.whole import write_whole


def test_a_file_is_new_with_the_rights_it_had(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "plan.yaml"
    write_whole(path, b"one")
    path.chmod(0o640)
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_what_goes_wrong_leaves_it_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(b"one")

    def refuses() -> None:
        raise ValueError("not now")

    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ValueError, match="not now"):
        write_whole(path, b"two", check=refuses)
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="space"):
        write_whole(path, b"two")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]
