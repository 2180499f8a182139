"""Events by the day, of which one day is not like the others, and a slow second opinion on what is usual."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
import polars as pl

from cdp_core import tables
from cdp_core.engine import Engine

START = date(2026, 1, 1)
"""A Thursday."""
DAYS = 84
SPIKE = START + timedelta(days=79)
NOW = datetime.combine(START + timedelta(days=DAYS), time(10))
GENRES = ("rock", "jazz", "pop")


def day(number: int) -> date:
    return START + timedelta(days=number)


def shop_events(
    seed: int = 1,
    *,
    usual: int = 200,
    days: Sequence[int] = range(DAYS),
    volume: Mapping[date, float] | None = None,
    lost: date | None = None,
    broken: Mapping[date, float] | None = None,
    novel: date | None = None,
) -> list[dict[str, Any]]:
    """Events of a source "shop": `Order` a Poisson number of times a day (half on Sundays), and ten `page`.

    On a day of `volume` that multiple of the usual; on `lost` no order has a total; one in a hundred breaks the plan,
    on a day of `broken` that share; on `novel` five orders have a genre of their own.
    """
    draw = np.random.default_rng(seed)
    rows = []
    for number in days:
        at = day(number)
        week = 0.5 if at.weekday() == 6 else 1.0
        orders = int(draw.poisson(usual * week * (volume or {}).get(at, 1.0)))
        bad = draw.random(orders) < (broken or {}).get(at, 0.01)
        genres = draw.choice(GENRES, orders)
        for i in range(orders):
            properties: dict[str, Any] = {
                "genre": str(genres[i]),
                "total": None if at == lost else 10 + i,
                "order_id": f"{number}-{i}",
            }
            if at == novel and i < 5:
                properties["genre"] = "polka"
            rows.append(_event(at, f"o{seed}-{number}-{i}", "track", "Order", properties, bool(bad[i])))
        rows += [_event(at, f"p{seed}-{number}-{i}", "page", f"Page {i}", {"path": "/"}, False) for i in range(10)]
    return rows


def _event(at: date, name: str, kind: str, event: str, properties: dict[str, Any], broken: bool) -> dict[str, Any]:
    moment = datetime.combine(at, time(9))
    said = [{"type": "plan.type", "field": "properties.total", "description": "is no number"}]
    return {
        "source": "shop", "message_id": name, "type": kind, "event": event, "user_id": f"u{name}", "timestamp": moment,
        "received_at": moment, "properties": json.dumps(properties),
        "context": json.dumps({"protocols": {"plan": "shop", "violations": said}}) if broken else "{}",
    }  # fmt: skip


def publish(engine: Engine, rows: Sequence[Mapping[str, Any]]) -> None:
    schema = tables.EVENTS.polars_schema()
    engine.append("events", engine.frame(pl.DataFrame([{c: r.get(c) for c in schema} for r in rows], schema=schema)))


def slow_judge(counts: Mapping[date, float], totals: Mapping[date, float] | None, at: date) -> tuple[float, int] | None:
    """z and the number of days compared with, of one day, step by step."""

    def scaled(when: date) -> float:
        if totals is None:
            return 2 * math.sqrt(counts[when] + 3 / 8)
        return math.asin(math.sqrt((counts[when] + 3 / 8) / (totals[when] + 3 / 4)))

    past = [at - timedelta(days=n) for n in range(1, 57) if at - timedelta(days=n) in counts]
    week = [d for d in past if d.weekday() == at.weekday()]
    month = [d for d in past if (at - d).days <= 28]
    if len(week) >= 4:
        centre, n, away = statistics.median(map(scaled, week)), len(week), []
        for weekday in range(7):
            same = [scaled(d) for d in past if d.weekday() == weekday]
            if len(same) >= 4:
                middle = statistics.median(same)
                away += [abs(x - middle) * math.sqrt(len(same) / (len(same) - math.pi / 2)) for x in same]
    elif len(month) >= 14:
        centre, n = statistics.median(map(scaled, month)), len(month)
        away = [abs(scaled(d) - centre) for d in month]
    else:
        return None
    chance = 1.0 if totals is None else 1 / (2 * math.sqrt(totals[at] + 1 / 2))
    spread = max(1.4826 * statistics.median(away), chance)
    return (scaled(at) - centre) / (spread * math.sqrt(1 + math.pi / 2 / n)), n
