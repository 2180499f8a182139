"""The privacy inventory of an open workspace: which fields are personal, what was decided, and where they flow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args

from cdp_core.errors import UsageError
from cdp_core.privacy.spec import Class, Control
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.config import BlockEdit
    from cdp_core.runs.inventory.decided import Row
    from cdp_core.runs.inventory.flow import Flow
    from cdp_core.runs.inventory.scan import Scan
    from cdp_core.workspace.facade import Workspace

PLACES = ("user_id", "anonymous_id", "group_id", "previous_id", "record_id", "properties.…", "traits.…", "context.…")
EVERYTHING = 2**62


class Inventory:
    """Fields are written `SOURCE.PLACE`, such as `crm.traits.email`; those of tables `profiles.email`.

    Example: `ws.inventory.fields(inbox=True)`, `ws.inventory.classify("crm.traits.email", "yellow")`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @needs("read", plain=True)
    def fields(
        self, source: str | None = None, *, inbox: bool = False, class_: str | None = None, full: bool = False
    ) -> pl.DataFrame:
        """Every field of every source and table, or those of one, those that wait for a decision, those of a class.

        Columns: field, source, place, class (decided; null: not yet), suggested, kind, why, decided_by (the key of
        cdp.yaml, or the field that it follows), control (what becomes of it before it is stored), values (rows that
        have one), calls (events that carry it), first_seen and last_seen (UTC), new, inbox, follows, and what it
        reaches: traits, audiences, syncs, destinations. A sample of the lake is looked at, or with `full` every row.
        Raises UsageError for a source or class that is not there.
        """
        import polars as pl

        found = self._rows(full=full)
        _check("class", class_, get_args(Class))
        _check("source", source, {row.field.source: None for row in found})
        rows = [
            _as_dict(row)
            for row in found
            if source in (None, row.field.source)
            and (row.inbox or not inbox)
            and class_ in (None, row.class_ or row.suggested)
        ]
        return pl.DataFrame(rows, schema=_schema())

    @needs("read", plain=True)
    def summary(self, *, full: bool = False) -> dict[str, Any]:
        """fields, personal, inbox, decided; rows of the lake and how many were looked at; notes on what was not."""
        scan, rows = self._scan(full=full), self._rows(full=full)
        return {
            "fields": len(rows),
            "personal": sum((row.class_ or row.suggested) != "green" for row in rows),
            "inbox": sum(row.inbox for row in rows),
            "decided": sum(row.class_ is not None for row in rows),
            "rows": scan.rows,
            "looked_at": scan.looked_at,
            "notes": list(scan.notes),
        }

    @needs("read", plain=True)
    def reasons(self, field: str) -> list[dict[str, Any]]:
        """Everything that speaks for a class: kind, class, by (name, value, text, role), why, share."""
        return [found.to_dict() for found in self._row(field).found]

    @needs("read", plain=True)
    def flow(self, field: str) -> Flow:
        """Which traits, audiences, syncs and destinations a field reaches. Raises UsageError for an unknown one."""
        return self._row(field).flow

    @needs("privacy", plain=True)
    def classify(
        self, fields: str | Iterable[str] | Mapping[str, str], class_: str | None = None, control: str | None = None
    ) -> BlockEdit:
        """Write what was decided about one field or several into cdp.yaml, comments and order kept.

        `class_` is red, yellow or green, `control` allow, drop, hash, mask, truncate or generalise (None: what the
        class says). Several fields of different classes are a mapping. Raises UsageError and writes nothing for a
        field, class or control that cannot be. Gives the edit, which `undo` takes back.
        """
        named = [fields] if isinstance(fields, str) else list(fields)
        wanted = dict(fields) if isinstance(fields, Mapping) else dict.fromkeys(named, class_ or "")
        if not wanted:
            raise UsageError("no field is named", hint="see 'cdp privacy inventory --inbox'")
        for name, said in wanted.items():
            self._check_field(name, control)
            _check("class", said, get_args(Class))
        _check("control", control, get_args(Control))
        decided = self._written()
        decided |= {
            name: said if control is None else {"class": said, "control": control} for name, said in wanted.items()
        }
        return self._write(decided)

    @needs("privacy", plain=True)
    def forget(self, fields: str | Iterable[str]) -> BlockEdit:
        """Take decisions back, so that the fields wait for one again. Raises UsageError where none was made."""
        decided = self._written()
        for name in [fields] if isinstance(fields, str) else list(fields):
            _check("decision", name, decided)
            del decided[name]
        return self._write(decided)

    @needs("privacy", plain=True)
    def undo(self, edit: BlockEdit) -> None:
        """Put back what stood there before. Raises UsageError when the block has changed since that edit."""
        from cdp_core.config import set_block

        set_block(self._workspace.root, edit.block, edit.before, expected=edit.after)
        self._workspace.reload()

    @property
    @needs("read", plain=True)
    def text(self) -> str:
        """The block `privacy:` as it is written, comments included; empty when there is none."""
        from cdp_core.config import read_block

        return read_block(self._workspace.root, "privacy")

    def _scan(self, *, full: bool = False) -> Scan:
        from cdp_core.runs.inventory.drawn import BUDGET
        from cdp_core.runs.inventory.kept import kept_scan

        workspace = self._workspace
        region, today = workspace.config.region, workspace.now.date()
        budget = EVERYTHING if full else BUDGET
        return kept_scan(workspace.engine, workspace.root, region=region, today=today, budget=budget)

    def _rows(self, *, full: bool = False) -> list[Row]:
        from cdp_core.runs.inventory.decided import rows, unstored

        workspace = self._workspace
        scan = self._scan(full=full)
        return rows(workspace.config, scan, unstored(workspace.engine, workspace.config), workspace.now)

    def _row(self, field: str) -> Row:
        rows = {row.field.name: row for row in self._rows()}
        _check("field", field, rows)
        return rows[field]

    def _check_field(self, name: str, control: str | None) -> None:
        """A field need not have come yet, but it must be one that can."""
        from cdp_core.runs.inventory.decided import split
        from cdp_core.runs.inventory.read import TABLES

        source, place = split(self._workspace.config, name)
        known = (*self._workspace.config.sources, "*")
        if source in TABLES and source not in known:
            self._row(name)
            if control is not None:
                raise UsageError(
                    f"{name} is no field of a source", hint="a control belongs to the field that it follows"
                )
            return
        _check("source", source, (*known, *TABLES))
        head, _, rest = place.partition(".")
        if place not in PLACES and not (
            rest and head in ("properties", "traits", "context", "quarantine", "columns", "extra")
        ):
            raise UsageError(f"{place or name!r} is no place", choices=PLACES, hint=f"write {source}.traits.email")

    def _written(self) -> dict[str, Any]:
        return dict(self._workspace.config.written("privacy", "fields") or {})

    def _write(self, fields: dict[str, Any]) -> BlockEdit:
        from cdp_core.config import BlockEdit, read_block, remove_definition, set_block, set_definition

        workspace = self._workspace
        root, version = workspace.root, workspace.config.version
        before = read_block(root, "privacy")
        others = workspace.config.privacy.model_fields_set - {"fields"}
        if fields:
            set_definition(root, "privacy", "fields", fields, version=version)
        elif others:
            remove_definition(root, "privacy", "fields", version=version)
        else:
            set_block(root, "privacy", "", version=version)
        workspace.reload()
        file = workspace.config.where("privacy").partition(":")[0]
        return BlockEdit(block="privacy", file=file, before=before, after=read_block(root, "privacy"))


def _check(what: str, name: str | None, valid: Any) -> None:
    if name is not None and name not in valid:
        raise UsageError.unknown(what, name, list(valid))


def _as_dict(row: Row) -> dict[str, Any]:
    field, flow = row.field, row.flow
    return {
        "field": field.name,
        "source": field.source,
        "place": field.place,
        "class": row.class_,
        "suggested": row.suggested,
        "kind": field.found[0].kind if field.found else None,
        "why": "; ".join(found.why for found in field.found) or None,
        "decided_by": row.decided_by,
        "control": row.control,
        "values": field.values,
        "calls": list(field.said),
        "first_seen": field.first_seen,
        "last_seen": field.last_seen,
        "new": row.new,
        "inbox": row.inbox,
        "follows": list(row.follows),
        **{f"{kind}s": flow.names(kind) for kind in ("trait", "audience", "sync", "destination")},
    }


def _schema() -> dict[str, Any]:
    import polars as pl

    texts = ("field", "source", "place", "class", "suggested", "kind", "why", "decided_by", "control")
    lists = ("follows", "traits", "audiences", "syncs", "destinations")
    return {
        **dict.fromkeys(texts, pl.String),
        "values": pl.Int64,
        "calls": pl.List(pl.String),
        "first_seen": pl.Datetime("us"),
        "last_seen": pl.Datetime("us"),
        "new": pl.Boolean,
        "inbox": pl.Boolean,
        **dict.fromkeys(lists, pl.List(pl.String)),
    }
