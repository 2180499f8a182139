"""cdp.yaml → Config, or everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cdp_core.config import references
from cdp_core.config.merge import MAIN, NAMED_BLOCKS, Merged, read_files
from cdp_core.config.model import Config
from cdp_core.config.plans import check_references
from cdp_core.config.problems import Place, Problem, raise_first
from cdp_core.config.secret_values import secret_values
from cdp_core.config.splice import block_text
from cdp_core.config.translate import spec_problem, translate
from cdp_core.errors import SpecError
from cdp_core.identity.spec import IdentitySpec
from cdp_core.redaction import Secrets

SINGLE_BLOCKS = ("quality", "identity", "privacy", "engine", "schedule")
_WRONG: Any = object()


def load_config(root: Path | str, *, environ: Mapping[str, str] | None = None) -> Config:
    """The checked configuration of the workspace at `root`.

    `${NAME}` is taken from `environ` (default: the process's). Raises SpecError for the first problem, with file, line,
    the valid choices and the nearest one; it says how many more there are.

    Example: `load_config(Path(".")).audiences["high_value"]`
    """
    config, problems = check_config(root, environ=environ)
    raise_first(problems)
    assert config is not None
    return config


def load_identity(path: Path | str) -> IdentitySpec:
    """The `identity:` block of a file of its own, such as rules to be tried. Raises SpecError with its line."""
    file = Path(path)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SpecError(f"the file cannot be read: {(error.strerror or '').lower()}", where=str(path)) from None
    if not any(line.startswith(b"name:") for line in content.splitlines()):
        content = content.rstrip() + b"\nname: rules\n"
    config, problems = check_config(file.parent, replaced={MAIN: content})
    if config is None:
        first = problems[0].error()
        where = (first.where or "").replace(MAIN, file.name, 1)
        raise SpecError(first.what, where=where, choices=first.choices, hint=first.hint)
    if "identity" not in config.model_fields_set:
        raise SpecError("there is no identity: block", where=file.name, hint="put the rules under identity:")
    return config.identity


def identity_text(path: Path | str) -> str:
    """The `identity:` block of such a file as it is written, once it is known to be right. Raises SpecError."""
    load_identity(path)
    return block_text(Path(path).read_text(encoding="utf-8-sig"), "identity") or ""


def check_config(
    root: Path | str, *, environ: Mapping[str, str] | None = None, replaced: Mapping[str, bytes] | None = None
) -> tuple[Config | None, list[Problem]]:
    """The configuration and no problems, or None and all of them, in the order of the files and lines.

    `replaced` puts bytes in the place of a file's own, to try an edit before it is written.
    """
    try:
        merged = read_files(Path(root), os.environ if environ is None else environ, replaced)
    except SpecError as error:
        return None, [Problem(_place_of(error), error.what, error.choices, error.hint)]
    secrets = Secrets(secret_values(merged, Path(root)))
    if merged.broken:
        return None, _sorted(merged, secrets)
    read = list(merged.problems)
    places = {problem.place for problem in read}
    config = _compose(merged, secrets)
    # A value that could not be read is reported once, not again for being of the wrong type.
    merged.problems = [*read, *(p for p in merged.problems[len(read) :] if p.place not in places)]
    if config is not None and not merged.problems:
        merged.problems += references.check(config, merged, Path(root))
        merged.problems += check_references(config, merged, Path(root))
    return (config, []) if config is not None and not merged.problems else (None, _sorted(merged, secrets))


def _compose(merged: Merged, secrets: Secrets) -> Config | None:
    """The definitions, each made on its own, as one Config; what is wrong is added to `merged.problems`."""
    values = {key: _block(merged, key, value) for key, value in merged.data.items() if not _is_empty(key, value)}
    values = {key: value for key, value in values.items() if value is not _WRONG}
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        merged.problems += translate(error, merged, Config)
        return None
    return config.read_from(merged, secrets)


def _block(merged: Merged, key: str, value: Any) -> Any:
    """One top-level block; definitions that are wrong are reported and left out."""
    if key not in Config.model_fields:
        return value
    spec = Config.model_fields[key].annotation
    if key in SINGLE_BLOCKS:
        return _definition(merged, spec, (key,), value)
    if key not in NAMED_BLOCKS or not isinstance(value, dict):
        return value
    kind = spec.__args__[1]  # type: ignore[union-attr]
    made = {name: _definition(merged, kind, (key, name), inner) for name, inner in value.items()}
    return {name: inner for name, inner in made.items() if inner is not _WRONG}


def _definition(merged: Merged, spec: Any, path: tuple[str, ...], value: Any) -> Any:
    try:
        return TypeAdapter(spec).validate_python(value)
    except ValidationError as error:
        merged.problems += translate(error, merged, spec, path)
    except SpecError as error:
        merged.problems.append(spec_problem(error, merged, path))
    return _WRONG


def _is_empty(key: str, value: Any) -> bool:
    return value is None and key in (*NAMED_BLOCKS, *SINGLE_BLOCKS, "include", "today", "alerts", "dashboard_url")


def _sorted(merged: Merged, secrets: Secrets) -> list[Problem]:
    """In the order of the files and lines, and without what a wrong value would tell."""
    order = {name: number for number, name in enumerate(merged.files)}
    unique = dict.fromkeys(problem.without(secrets) for problem in merged.problems)
    return sorted(unique, key=lambda p: (order.get(p.place.file, -1), p.place.line or 0))


def _place_of(error: SpecError) -> Place:
    file, _, line = (error.where or MAIN).rpartition(":")
    return Place(file, int(line)) if file and line.isdigit() else Place(error.where or MAIN)
