"""Destination types of a workspace's own: the classes and functions in its destinations.py, beside cdp.yaml.

A class is one when it has a method `send`; what it does not say of `cdp_core.destinations.base` (options, making,
preparing) it need not say. A function is one when it is decorated with `@cdp.destination`. The file is run when a type
of it is first asked for, and again when it has changed; what goes wrong in it becomes one line that names the line.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import traceback
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from cdp_core import plugins
from cdp_core.destinations.own_class import completed
from cdp_core.errors import CDPError, SpecError

FILE = "destinations.py"


def own_types(root: Path | None) -> dict[str, type]:
    """Name → class, of every type that destinations.py of the workspace at `root` defines; empty without the file.

    Raises SpecError, with file and line, when it does not run or when a name is taken by an installed type.
    """
    stamp = file_stamp(root)
    if root is None or stamp is None:
        return {}
    check_names(root)
    return _types((root / FILE).resolve(), stamp)


def check_names(root: Path | None) -> None:
    """Raises SpecError when destinations.py defines a type that is installed already; the file is not run."""
    if root is None or file_stamp(root) is None:
        return
    try:
        tree = ast.parse((root / FILE).read_bytes(), FILE)
    except (SyntaxError, ValueError, OSError):
        return
    installed = plugins.names(plugins.DESTINATIONS)
    for node in filter(_may_be_type, tree.body):
        assert isinstance(node, ast.ClassDef | ast.FunctionDef)
        if node.name in installed:
            raise SpecError(
                f"the destination type {node.name!r} is there already",
                where=f"{FILE}:{node.lineno}",
                hint="give yours another name",
            )


def file_stamp(root: Path | None) -> tuple[int, int] | None:
    """Changes when destinations.py was written; None when there is none."""
    try:
        stat = (root / FILE).stat() if root is not None else None
    except OSError:
        return None
    return (stat.st_mtime_ns, stat.st_size) if stat else None


def _may_be_type(node: ast.stmt) -> bool:
    return isinstance(node, ast.ClassDef) or (isinstance(node, ast.FunctionDef) and bool(node.decorator_list))


@lru_cache(maxsize=16)
def _types(path: Path, stamp: tuple[int, int]) -> dict[str, type]:
    module = _run(path)
    found: dict[str, type] = {}
    for name, value in vars(module).items():
        if name.startswith("_"):
            continue
        made = getattr(value, "destination_type", None)
        if isinstance(made, type):
            found[name] = completed(made, name, path)
        elif isinstance(value, type) and value.__module__ == module.__name__ and hasattr(value, "send"):
            found[name] = completed(value, name, path)
    return found


def _run(path: Path) -> ModuleType:
    """The file as a module that is registered under a name of its own, since pydantic looks annotations up there."""
    name = f"cdp_destinations_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    except SyntaxError as error:
        own = error.filename == str(path)
        where = f"{FILE}:{error.lineno}" if own else f"{FILE}:{_line(error, path)}"
        raise SpecError(f"the file is no Python: {error.msg}", where=where, hint="correct the line") from None
    except OSError as error:
        raise SpecError(_said(error), where=_where(error, path), hint="correct the file, or its rights") from error
    except CDPError as error:
        raise SpecError(error.what, where=_where(error, path), choices=error.choices, hint=error.hint) from error
    except (Exception, SystemExit) as error:
        raise SpecError(f"the file does not run: {_said(error)}", where=_where(error, path)) from error
    return module


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _where(error: BaseException, path: Path) -> str:
    line = _line(error, path)
    return f"{FILE}:{line}" if line else FILE


def _line(error: BaseException, path: Path) -> int | None:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return frames[-1].lineno if frames else None
