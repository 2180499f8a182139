"""`cdp init`: a small workspace that runs at once."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path

from cdp_core.errors import UsageError

_NAMES = {"gitignore": ".gitignore", "streamlit.toml": ".streamlit/config.toml"}
"""Names in the package → names in the workspace, where a leading dot would hide a file from packaging."""
_THEME = ".streamlit/config.toml"


def scaffold(folder: Path) -> Path:
    """Write cdp.yaml, a suite, a CSV source and the dashboard's entry into a new or empty folder; gives its path.

    Raises UsageError when the folder holds anything or cannot be written; then nothing is left behind.

    Example: `scaffold(Path("shop"))`, then `cdp --workspace shop run`
    """
    target = folder.expanduser().absolute()
    try:
        if target.exists() and not target.is_dir():
            raise UsageError("is a file", where=str(folder), hint="name a new or empty folder")
        if target.is_dir() and any(target.iterdir()):
            raise UsageError("the folder is not empty", where=str(folder), hint="name a new or empty one")
        _write(target)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UsageError(
            f"the folder cannot be written: {reason}", where=str(folder), hint="check its rights"
        ) from None
    return target


def _write(target: Path) -> None:
    fresh = not target.exists()
    try:
        with as_file(files("cdp_core.runs") / "template") as template:
            for source in sorted(path for path in template.rglob("*") if path.is_file()):
                relative = source.relative_to(template).as_posix()
                _copy(source, target / _NAMES.get(relative, relative))
        _copy_theme(target)
    except BaseException:
        for path in target.iterdir() if target.is_dir() else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if fresh and target.is_dir():
            target.rmdir()
        raise


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def add_face(target: Path) -> None:
    """Give a workspace the dashboard's entry, its look and a .gitignore, leaving what is there as it is."""
    with as_file(files("cdp_core.runs") / "template") as template:
        for name in ("app.py", "gitignore"):
            if not (target / _NAMES.get(name, name)).exists():
                _copy(template / name, target / _NAMES.get(name, name))
    if not (target / _THEME).exists():
        _copy_theme(target)


def _copy_theme(target: Path) -> None:
    with as_file(files("cdp_core.dashboard") / "assets" / "config.toml") as theme:
        _copy(theme, target / _THEME)
