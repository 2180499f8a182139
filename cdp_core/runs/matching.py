"""Matching within a run: which golden records are new, what was found before, and what is now evidence."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from cdp_core.errors import SpecError
from cdp_core.identity.overrides import MATCH, Override
from cdp_core.tables import IDENTITY_COMPARED, IDENTITY_MATCHES, MATCHING_MODELS

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.config import Config
    from cdp_core.engine import Engine
    from cdp_core.identity.matching.spec import MatchingSpec

_PAIR = ("left_type", "left_value", "right_type", "right_value")


def match_profiles(
    engine: Engine, config: Config, identifiers: ir.Table, profiles: ir.Table, now: datetime, *, full: bool
) -> dict[str, ir.Table]:
    """The tables identity_matches, identity_compared and matching_models as they should be published.

    A profile is called by its first identifier (in the order of the rules), which stays when others come and go. Pairs
    of profiles that were compared before, and have not changed, keep what the stored model said of them.
    """
    import polars as pl

    from cdp_core.identity.matching.match import match

    spec = config.identity.matching
    assert spec is not None
    if find_spec("splink") is None:
        hint = "pip install 'cdp-workbench[matching]', or take the block out"
        raise SpecError("matching needs the package splink", where=config.where("identity", "matching"), hint=hint)
    records = _records(engine, config, identifiers, profiles)
    model_id = hashlib.sha256(spec.model_dump_json().encode()).hexdigest()[:12]
    content = _content(records, spec)
    known = _known(engine, model_id, content) if not full else pl.Series("record", [], dtype=pl.String)
    stored = _stored(engine, model_id) if len(known) else None
    known = known if stored else known.clear()
    model, at = stored or (None, now)
    found = match(records, spec, known=known.to_list() if model else None, model=model)
    pairs = pl.concat([_kept(engine, known), _as_rows(found.pairs, now)])
    compared = content.with_columns(model_id=pl.lit(model_id))
    models = {"model_id": model_id, "model": json.dumps(found.model), "at": at}
    return {
        "identity_matches": engine.frame(pairs),
        "identity_compared": engine.frame(compared.select(list(IDENTITY_COMPARED.columns))),
        "matching_models": engine.frame(pl.DataFrame([models], schema=MATCHING_MODELS.polars_schema())),
    }


def alike(engine: Engine, matches: ir.Table, spec: MatchingSpec, now: datetime) -> list[Override]:
    """Pairs that count as evidence by themselves."""
    if spec.auto is None:
        return []
    rows = engine.polars(matches.filter(matches.probability >= spec.auto).select(*_PAIR, "probability"))
    return [
        Override(action=MATCH, left=(a, b), right=(c, d), reason=f"match probability {p:.4f}", at=now)
        for a, b, c, d, p in rows.sort(_PAIR).iter_rows()
    ]


def _records(engine: Engine, config: Config, identifiers: ir.Table, profiles: ir.Table) -> pl.DataFrame:
    """Golden records, with `type:value` of the first identifier as profile_id."""
    import polars as pl

    order = {name: place for place, name in enumerate(config.identity.identifiers)}
    rank = pl.col("type").replace_strict(order, default=len(order), return_dtype=pl.Int64)
    rows = engine.polars(identifiers.select("type", "value", "profile_id")).sort(rank, "type", "value")
    first = rows.unique("profile_id", keep="first", maintain_order=True)
    named = first.select("profile_id", record=pl.format("{}:{}", "type", "value"))
    frame = engine.polars(profiles).join(named, on="profile_id")
    return frame.drop("profile_id").rename({"record": "profile_id"}).sort("profile_id")


def _content(records: pl.DataFrame, spec: MatchingSpec) -> pl.DataFrame:
    """record and a fingerprint of what matching reads of it."""
    import polars as pl

    columns = sorted(set(spec.roles(records.columns).values()))
    texts = [pl.col(c).cast(pl.String).fill_null("") for c in columns] or [pl.lit("")]
    read = pl.concat_str(*texts, separator="\x1f").hash(seed=1).cast(pl.String)
    return records.select(record="profile_id", content=read)


def _known(engine: Engine, model_id: str, content: pl.DataFrame) -> pl.Series:
    table = engine.table("identity_compared")
    before = engine.polars(table.filter(table.model_id == model_id).select("record", "content"))
    return content.join(before, on=["record", "content"])["record"]


def _stored(engine: Engine, model_id: str) -> tuple[dict[str, Any], datetime] | None:
    """What was learned, and when."""
    table = engine.table("matching_models")
    rows = engine.polars(table.filter(table.model_id == model_id).select("model", "at"))
    return (json.loads(rows["model"][0]), rows["at"][0]) if rows.height else None


def _kept(engine: Engine, known: pl.Series) -> pl.DataFrame:
    import polars as pl

    rows = engine.polars(engine.table("identity_matches"))
    ends = [pl.format("{}:{}", f"{side}_type", f"{side}_value") for side in ("left", "right")]
    return rows.filter(*(end.is_in(known.implode()) for end in ends)).select(list(IDENTITY_MATCHES.columns))


def _as_rows(pairs: pl.DataFrame, now: datetime) -> pl.DataFrame:
    import polars as pl

    halves = {
        f"{side}_{part}": pl.col(f"{side}_profile_id").str.splitn(":", 2).struct.field(f"field_{place}")
        for side in ("left", "right")
        for place, part in enumerate(("type", "value"))
    }
    schema = IDENTITY_MATCHES.polars_schema()
    return pairs.with_columns(**halves, at=pl.lit(now)).select(pl.col(c).cast(k) for c, k in schema.items())
