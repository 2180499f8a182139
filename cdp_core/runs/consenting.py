"""Consent that people gave or took back at the desk: decisions in data/privacy/consents.jsonl, and what follows.

As with suppressions the file counts, whatever the lake says. The table `consents` is brought up to it at once, for the
profiles that a decision is of, and by every run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core import tables
from cdp_core.journal import append, rewrite
from cdp_core.privacy import consent
from cdp_core.privacy.consent import ConsentDecision
from cdp_core.privacy.store import CONSENTS as PATH
from cdp_core.privacy.store import known_key
from cdp_core.runs.derive import CONSENT as STAGE

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.engine import Engine
    from cdp_core.privacy.tombstones import Identifier


def read_consents(root: Path) -> list[ConsentDecision]:
    """All decisions, oldest first. Raises SpecError with the line that is wrong."""
    path = root / PATH
    return consent.from_lines(path.read_text(encoding="utf-8"), where=str(PATH)) if path.is_file() else []


def decisions_in_force(root: Path) -> list[ConsentDecision]:
    return consent.in_force(read_consents(root))


def decide(root: Path, make: Callable[[Sequence[ConsentDecision]], ConsentDecision]) -> ConsentDecision:
    """Add the decision that `make` makes of those in force; what it raises writes nothing."""
    made: list[ConsentDecision] = []

    def line() -> str:
        made.append(make(decisions_in_force(root)))
        return consent.to_line(made[0])

    append(root / PATH, line)
    return made[0]


def forget(root: Path, identifiers: Sequence[Identifier]) -> int:
    """Take every decision that holds one of these identifiers out of the file, for an erasure. How many lines."""
    if not (root / PATH).is_file():
        return 0
    gone = 0

    def kept(text: str) -> str:
        nonlocal gone
        told = consent.from_lines(text, where=str(PATH))
        theirs = {id(each) for each in consent.of_person(told, identifiers, known_key(root))}
        gone = len(theirs)
        return "".join(consent.to_line(each) + "\n" for each in told if id(each) not in theirs)

    rewrite(root / PATH, kept)
    return gone


def desk(
    engine: Engine, root: Path, identifiers: ir.Table, active: Sequence[ConsentDecision] | None = None
) -> ir.Table | None:
    """What is said at the desk, by the profiles of now; None when there is nothing. `active`: as read already."""
    active = decisions_in_force(root) if active is None else active
    return consent.spoken(engine, active, known_key(root), identifiers) if active else None


def current(engine: Engine, root: Path, source_order: Sequence[str]) -> ir.Table:
    """The table `consents` as the decisions of now make it, whatever has been published."""
    active = decisions_in_force(root)
    if _published(engine) == consent.fingerprint(active):
        return engine.table("consents")
    return _consents(engine, root, active, source_order, engine.table("event_profiles"))


def publish(
    engine: Engine, root: Path, source_order: Sequence[str], made: ConsentDecision, before: Sequence[ConsentDecision]
) -> None:
    """Bring the rows of whoever `made` is of up to the decisions, so that others cost nothing; all rows where the lake
    had not seen all decisions `before`.
    """
    from cdp_core.privacy.tombstones import matched

    active, known = decisions_in_force(root), engine.table("user_identifiers")
    links, whole = engine.table("event_profiles"), _published(engine) != consent.fingerprint(before)
    stones = consent.same_person([*before, made], made)
    people = engine.keep(matched(engine, stones, known_key(root), known).select("profile_id").distinct())
    if not whole:
        links, known = (rows.semi_join(people, "profile_id") for rows in (links, known))
    rows = _consents(engine, root, active, source_order, links, known)
    with engine.transaction():
        if whole:
            engine.replace("consents", rows)
        else:
            engine.amend("consents", people, rows, ("profile_id",))
        engine.upsert("stage_state", engine.frame(_state(active)), ("stage",))


def history(
    engine: Engine, root: Path, source_order: Sequence[str], profile_id: str | None, identifiers: Sequence[Identifier]
) -> pl.DataFrame:
    """Who said what of a person and when, newest first: category, said (granted, denied, revoke), at (UTC), source,
    who, counts, message_id, and of the desk reason and actor.
    """
    import polars as pl

    from cdp_core.profiles.consent_history import said_by

    links, known = (
        engine.table(name).filter(lambda t: t.profile_id == (profile_id or ""))
        for name in ("event_profiles", "user_identifiers")
    )
    events = engine.table("events").semi_join(links, ["source", "message_id"])
    said = said_by(engine, events, links, source_order, desk(engine, root, known))
    lines = read_consents(root)
    theirs = consent.of_person(lines, identifiers, known_key(root)) if lines else []
    standing = said.filter(pl.col("source") == tables.DESK).select("message_id", "counts").unique()
    noted = pl.DataFrame([_told(each) for each in theirs], schema=_noted_kinds(), orient="row")
    noted = noted.join(standing, on="message_id", how="left").with_columns(
        (pl.col("counts").fill_null(False) & (pl.col("said") != consent.REVOKE)).alias("counts")
    )
    nothing = pl.lit(None, pl.String)
    others = said.filter(pl.col("source") != tables.DESK).with_columns(reason=nothing, actor=nothing)
    columns = ["category", "said", "at", "source", "who", "counts", "message_id", "reason", "actor"]
    both = pl.concat([others.select(columns), noted.select(columns)])
    return both.sort("at", descending=True, maintain_order=True)


def _told(each: ConsentDecision) -> tuple[object, ...]:
    return each.category, each.state, each.at, tables.DESK, "person", each.decision_id, each.reason, each.actor


def _noted_kinds() -> dict[str, Any]:
    import polars as pl

    texts = dict.fromkeys(("source", "who", "message_id", "reason", "actor"), pl.String)
    return {"category": pl.String, "said": pl.String, "at": pl.Datetime("us"), **texts}


def _consents(
    engine: Engine,
    root: Path,
    active: Sequence[ConsentDecision],
    source_order: Sequence[str],
    links: ir.Table,
    identifiers: ir.Table | None = None,
) -> ir.Table:
    from cdp_core.profiles.consents import consents

    known = engine.table("user_identifiers") if identifiers is None else identifiers
    return consents(engine, engine.table("events"), links, source_order, desk(engine, root, known, active))


def _state(active: Sequence[ConsentDecision]) -> pl.DataFrame:
    import polars as pl

    now = datetime.now(UTC).replace(tzinfo=None)
    state = {"stage": STAGE, "fingerprint": consent.fingerprint(active), "run_id": "", "at": now}
    return pl.DataFrame([state], schema=tables.STAGE_STATE.polars_schema())


def _published(engine: Engine) -> str:
    state = engine.table("stage_state")
    found = engine.polars(state.filter(state.stage == STAGE).select("fingerprint"))["fingerprint"]
    return str(found[0]) if len(found) else ""
