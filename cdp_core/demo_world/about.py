"""The data/README.md of a world: what is real, what is made up, what is wrong on purpose."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdp_core.demo_world.world import WorldSummary

TEMPLATE = "about.md"


def describe(world: WorldSummary) -> str:
    """The text of data/README.md; it depends on the world alone, not on when or where it was written."""
    real = world.people == 23_570 and world.rows["shop_orders.parquet"] == 69_659
    text = (files("cdp_core.demo_world") / TEMPLATE).read_text(encoding="utf-8")
    return text.format(
        events=world.events,
        seed=world.seed,
        orders=world.rows["shop_orders.parquet"],
        order_story="the real orders of CDNOW"
        if real
        else "order histories drawn from the real ones of CDNOW, moved by up to a week",
        contacts=world.rows["crm_contacts.csv.gz"],
        people=world.people,
        leads=world.leads,
        duplicates=world.duplicates,
        households=world.households,
        web=world.rows["web_events"],
        devices=world.devices,
        visitors=world.visitors,
        bots=world.bots,
        tickets=world.rows["support.db"],
        subscribers=world.rows["newsletter.csv"],
        truth=world.rows["truth.csv"],
        bad_rows="\n".join(f"| {rule} | {count:,} |" for rule, count in world.bad_rows.items()),
    )
