"""Subject access: a package of everything that is held about a person."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.privacy.sections import Section
    from cdp_core.workspace.facade import Workspace
    from cdp_core.workspace.privacy import Subject

RIGHTS = """\
You may have what is wrong corrected, have your data erased, have their use restricted, object to it, and take \
consent back at any time: articles 7 and 16 to 21 of the General Data Protection Regulation (GDPR). You may hand \
these files to somebody else (article 20), and complain to a supervisory authority (article 77).
Audiences are computed by rules from what is listed here. A rule decides which group you are in; whether that has \
legal or similar effects for you is for whoever sent you this to say (article 22).
"""


@dataclass(frozen=True, kw_only=True)
class Written:
    """Where a package is, and how many rows each table of it has."""

    path: Path
    rows: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        return {"path": str(self.path), "rows": self.rows}


@dataclass(frozen=True, kw_only=True)
class Package:
    """Everything that is held about a person; `rows` is table → how many. `about` has workspace, made_at, reason,
    person, sources, recipients, purposes, retention and rights.

    Example: `ws.privacy.access("email:ann@example.org", reason="asked by mail").write("ann.zip")`
    """

    subject: Subject
    about: dict[str, Any]
    root: Path
    sections: Sequence[Section] = field(repr=False)

    @property
    def rows(self) -> dict[str, int]:
        return {section.name: section.rows for section in self.sections}

    def frame(self, name: str) -> pl.DataFrame:
        """One table, all of it. Raises UsageError for another name."""
        import polars as pl

        found = [section for section in self.sections if section.name == name]
        if not found:
            raise UsageError.unknown("table of the package", name, self.rows)
        chunks = [chunk.select(found[0].columns) for chunk in found[0].chunks()]
        return pl.concat(chunks) if chunks else pl.DataFrame(schema=dict.fromkeys(found[0].columns, pl.String))

    def write(self, out: Path | str | None = None) -> Written:
        """Write person.json, a CSV per table and index.html into a new folder, or into a zip when `out` ends in .zip;
        without `out` into a zip here that is named after the time. Only its owner can read it.

        Raises UsageError when it is there already, lies in the workspace's data or cannot be written.
        """
        from cdp_core.privacy.package import write_package

        stamp = self.about["made_at"].replace("-", "").replace(":", "").partition(".")[0]
        path = Path(out) if out is not None else Path(f"access-{stamp}.zip")
        if path.resolve().is_relative_to((self.root / "data").resolve()):
            hint = "what is handed out does not belong there: name another place with --out"
            raise UsageError("this is where the workspace keeps its data", where=str(path), hint=hint)
        write_package(path, self.about, self.sections)
        return Written(path=path, rows=self.rows)

    def zipped(self) -> bytes:
        """The same zip in memory, for a download."""
        from cdp_core.privacy.package import write_package

        with tempfile.TemporaryDirectory(prefix="cdp-access-") as folder:
            path = Path(folder) / "access.zip"
            write_package(path, self.about, self.sections)
            return path.read_bytes()


def access(ws: Workspace, identifier: str | Subject, *, reason: str) -> Package:
    from cdp_core.privacy.tombstones import with_reason
    from cdp_core.runs.access import person, sections

    told = with_reason(reason)
    found = ws.privacy.subject(identifier) if isinstance(identifier, str) else identifier
    who = person(ws.engine, found.profile_id, found.identifiers)
    made = list(sections(ws.engine, ws.config, ws.root, who))
    about = {
        "workspace": ws.name,
        "made_at": datetime.now(UTC).replace(tzinfo=None, microsecond=0).isoformat() + "Z",
        "reason": told,
        "person": {"profile_id": who.profile_id, "earlier_profile_ids": list(who.profile_ids[1:])},
        "sources": _sources(ws, made),
        "recipients": _recipients(ws, made),
        "purposes": _purposes(ws, made),
        "retention": _retention(ws),
        "rights": RIGHTS.splitlines(),
    }
    return Package(subject=found, about=about, root=ws.root, sections=made)


def _counted(made: Sequence[Section], name: str, column: str) -> dict[str, int]:
    """How many rows of a table have which value, chunk by chunk."""
    counts: dict[str, int] = {}
    for chunk in next(s for s in made if s.name == name).chunks():
        for value, count in chunk.group_by(column).len().iter_rows():
            counts[str(value)] = counts.get(str(value), 0) + int(count)
    return counts


def _sources(ws: Workspace, made: Sequence[Section]) -> list[dict[str, Any]]:
    counts = _counted(made, "events", "source")
    for table in ("held", "waiting"):
        counts |= {name: counts.get(name, 0) for name in _counted(made, table, "source")}
    return [
        {"source": name, "purpose": getattr(ws.config.sources.get(name), "purpose", None), "events": count}
        for name, count in sorted(counts.items())
    ]


def _recipients(ws: Workspace, made: Sequence[Section]) -> list[dict[str, Any]]:
    counts = _counted(made, "sent", "destination")
    counts |= {name: counts.get(name, 0) for name in _counted(made, "sent_history", "destination")}
    specs = ws.config.destinations
    return [
        {
            "recipient": name if name in specs else "(a destination that is no longer there)",
            "type": getattr(specs.get(name), "type", None),
            "purpose": getattr(specs.get(name), "purpose", None),
            "rows": count,
        }
        for name, count in sorted(counts.items())
    ]


def _purposes(ws: Workspace, made: Sequence[Section]) -> list[dict[str, Any]]:
    """Audiences that they are or were in, with their descriptions."""
    names = {*_counted(made, "audiences", "audience"), *_counted(made, "audience_history", "audience")}
    known = ws.config.audiences
    return [
        {"used_for": f"audience {name}", "purpose": known[name].description or None if name in known else None}
        for name in sorted(names)
    ]


def _retention(ws: Workspace) -> list[str]:
    rules = ws.config.privacy.retention
    rest = "No period is set: it is kept until you or whoever sent you this has it erased."
    told = [f"{rule.source}, {rule.event or 'all events'}: {rule.keep[:-1]} days" for rule in rules]
    return [*told, f"Everything else: {rest[0].lower()}{rest[1:]}"] if told else [rest]
