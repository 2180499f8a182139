"""The doctor's look at what lies outside: source files, databases, destinations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core import plugins
from cdp_core.config.problems import nearest
from cdp_core.errors import CDPError
from cdp_core.inbox import reader
from cdp_core.inbox.files import SOURCE_TYPE
from cdp_core.inbox.keys import read_keys
from cdp_core.redaction import redacted
from cdp_core.runs.doctor import Finding

if TYPE_CHECKING:
    from cdp_core.config import Config

_PATIENCE = 3
_WAITING = {"postgresql": "connect_timeout", "mysql": "connect_timeout", "mariadb": "connect_timeout"}


def sources(root: Path, config: Config) -> Iterator[Finding]:
    """Every source's files are there and can be read; every database answers within a few seconds."""
    for name, spec in config.sources.items():
        what, where = f"source {name!r}", config.where("sources", name)
        options = plugins.load(plugins.SOURCES, spec.type).Options.model_validate(spec.options)
        path, url = getattr(options, "path", None), getattr(options, "url", None)
        if isinstance(url, str):
            yield _database(root, what, where, url)
        elif isinstance(path, str):
            yield _files(root, what, where, path)
        elif spec.type == SOURCE_TYPE:
            yield _live(root, name, what)
        else:
            yield Finding("ok", f"{what}: of type {spec.type}, looked at when it is loaded")
        yield from _identifiers(config, name, what)


def _live(root: Path, name: str, what: str) -> Finding:
    """Whether anybody can send to it."""
    count = sum(key.source == name and key.revoked_at is None for key in read_keys(root))
    if not count:
        return Finding("warn", f"{what}: no write key is in force", f"'cdp source key {name}' creates one")
    return Finding("ok", f"{what}: {count} write key{'s' if count > 1 else ''} in force")


def received(root: Path, config: Config) -> Iterator[Finding]:
    """What waits for a source that is no longer there waits for ever."""
    for name, count in reader.waiting(root, {}).items():
        if name not in config.sources:
            hint = "put the source back, or remove the files of data/collector once nobody needs them"
            yield Finding("warn", f"{count:,} events were received for {name!r}, which cdp.yaml does not define", hint)


def _identifiers(config: Config, name: str, what: str) -> Iterator[Finding]:
    """Identifiers that a mapping names and that no rule counts."""
    mapping = config.sources[name].map
    for kind in mapping.identifiers if mapping else ():
        if config.identity.rules(kind) is None:
            near = nearest(kind, config.identity.identifiers)
            yield Finding(
                "warn",
                f"{config.where('sources', name, 'map', 'identifiers', kind)}: {what}: identifier {kind!r} has no rule "
                "and joins nobody",
                near or "list it under identity.identifiers",
            )


def destinations(root: Path, config: Config) -> Iterator[Finding]:
    """Every destination that can be tried is tried, with its own test."""
    from cdp_core.destinations.open import open_destination
    from cdp_core.destinations.own import FILE, own_types

    if own := own_types(root):
        yield Finding("ok", f"{FILE}: {', '.join(own)}")
    for name, spec in config.destinations.items():
        if spec.type == "file":
            continue
        what = f"destination {name!r}"
        try:
            test = getattr(open_destination(name, spec, root=root), "test", None)
            yield Finding("ok", f"{what}: {test()}" if test else f"{what}: of type {spec.type}")
        except CDPError as error:
            yield Finding("error", f"{config.where('destinations', name)}: {what}: {error.what}", error.hint)


def _files(root: Path, what: str, where: str, pattern: str) -> Finding:
    found = _matching(root, Path(pattern).expanduser())
    if not found:
        return Finding("error", f"{where}: {what}: no file {pattern}", "correct the path, or put the file there")
    for path in found:
        try:
            with path.open("rb") as file:
                file.read(1)
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            shown = path.relative_to(root) if path.is_relative_to(root) else path
            return Finding("error", f"{where}: {what}: {shown} cannot be read: {reason}", "check its rights")
    size = sum(path.stat().st_size for path in found) / 1024**2
    count = f"{len(found)} file{'s' if len(found) > 1 else ''}"
    return Finding("ok", f"{what}: {count}, {size:,.1f} MB")


def _matching(root: Path, pattern: Path) -> list[Path]:
    base = Path(pattern.anchor) if pattern.is_absolute() else root
    relative = pattern.relative_to(pattern.anchor) if pattern.is_absolute() else pattern
    if (base / relative).is_file():
        return [base / relative]
    return (
        sorted(path for path in base.glob(str(relative)) if path.is_file()) if set("*?[") & set(str(relative)) else []
    )


def _database(root: Path, what: str, where: str, text: str) -> Finding:
    import sqlalchemy as sa

    try:
        url = sa.make_url(text)
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
        kind = url.get_backend_name()
        if kind == "sqlite" and url.database and url.database != ":memory:":
            file = root / url.database
            if not file.is_file():
                hint = "correct the url, or put the file there"
                return Finding("error", f"{where}: {what}: no database file {url.database}", hint)
            url = sa.make_url(f"sqlite:///file:{file}?mode=ro&uri=true")
        arguments: dict[str, Any] = {_WAITING[kind]: _PATIENCE} if kind in _WAITING else {}
        engine = sa.create_engine(url, connect_args=arguments)
        try:
            with engine.connect() as connection:
                connection.execute(sa.text("SELECT 1"))
        finally:
            engine.dispose()
    except (sa.exc.ArgumentError, ValueError):
        return Finding("error", f"{where}: {what}: 'url' is no SQLAlchemy URL", "look at its host and port")
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        return Finding("error", f"{where}: {what}: the database does not answer: {_reason(error)}", "is it running?")
    return Finding("ok", f"{what}: the {kind} database answers")


def _reason(error: BaseException) -> str:
    """The driver's first line, without a password."""
    cause = getattr(error, "orig", None) or error
    line = next((line for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
    return redacted(line.strip())
