"""Days that are unlike a source's own history, and the series that they stand out from."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.workspace.facade import Workspace


class Anomalies:
    """Volume, missing fields, violations and new values by UTC day, computed from the lake as it stands.

    The rules and their sources are those of `cdp_core.quality.anomalies.judge` and `.values`.

    Example: `ws.anomalies.find(source="web_events").select("day", "what", "z")`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @needs("read")
    def find(
        self,
        *,
        source: str | None = None,
        event: str | None = None,
        kind: str | None = None,
        since: date | None = None,
        until: date | None = None,
    ) -> pl.DataFrame:
        """The anomalies, newest first and of a day the largest deviation first. Raises UsageError for a wrong name.

        Columns: day (UTC), kind, source, event, field, count, total, value, usual, low, high, z, days, unfinished,
        values, what. `series` says what they mean.
        """
        import polars as pl

        rows = self.series(source=source, event=event, kind=kind, since=since, until=until).filter("anomaly")
        order = [pl.col("day"), pl.col("z").abs(), *map(pl.col, _SERIES)]
        rows = rows.sort(*order, descending=[True, True, *[False] * len(_SERIES)])
        return rows.select("day", *_SERIES, *_FIGURES, "unfinished", "values", "what")

    @needs("read")
    def series(
        self,
        *,
        source: str | None = None,
        event: str | None = None,
        kind: str | None = None,
        since: date | None = None,
        until: date | None = None,
    ) -> pl.DataFrame:
        """All days from `since` to `until` (default: the last 28 of each source), and the eight weeks before them.

        Columns: kind (volume, missing, violations, new_values), source, event (of a track, else the type of call; null
        for violations), field, day (UTC), count (events; of missing those that lack the field, of violations rows held
        or against the plan, of new_values those with a value never seen before), total (null for volume), value (the
        count, or its share of the total from 0 to 1), usual, low and high (what is within the threshold, in the unit
        of value), z, days (how many it was compared with), unfinished (the day is not over), values (the new ones),
        anomaly, what (an anomaly in words, without any customer's value; else null). usual, low, high, z and days are
        null where there is too little history. Raises UsageError.
        """
        import polars as pl

        from cdp_core.quality.anomalies.spec import KINDS
        from cdp_core.runs.anomalies import judged

        workspace = self._workspace
        if source is not None and source not in workspace.config.sources:
            raise UsageError.unknown("source", source, workspace.config.sources)
        if kind is not None and kind not in KINDS:
            raise UsageError.unknown("kind", kind, KINDS)
        if since is not None and until is not None and since > until:
            raise UsageError(f"the first day {since} lies behind the last one {until}")
        chosen: dict[str, Any] = {"source": source, "since": since, "until": until, "kinds": (kind,) if kind else ()}
        rows = judged(workspace.engine, workspace.config.quality.anomalies, now=workspace.now, **chosen)
        rows = rows.with_columns(_words(rows))
        if event is None:
            return rows
        names = rows["event"].drop_nulls().unique().sort().to_list()
        if event not in names:
            raise UsageError.unknown("event", event, names)
        return rows.filter(pl.col("event") == event)


def _words(rows: pl.DataFrame) -> pl.Series:
    """Column `what`: the few anomalies as sentences."""
    import polars as pl

    from cdp_core.quality.anomalies.words import sentence

    found = rows.with_row_index("place").filter("anomaly")
    told = dict(zip(found["place"], (sentence(row) for row in found.iter_rows(named=True)), strict=True))
    return pl.Series("what", [told.get(place) for place in range(rows.height)], dtype=pl.String)


_SERIES = ("kind", "source", "event", "field")
_FIGURES = ("count", "total", "value", "usual", "low", "high", "z", "days")
