"""The data/README.md of a world: what is real, what is made up, what is wrong on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdp_core.demo.world import WorldSummary

TEXT = """# The data of this workspace

Eighteen months of an online music shop, 1997-01-01 to 1998-06-30, all times UTC. {events:,} rows in five sources, written by `cdp_core.demo.write_world`
(seed {seed}); the same seed and size give the same bytes.

| file under `sources/` | rows | what |
|---|---|---|
| `shop_orders.parquet` | {orders:,} | {order_story} |
| `crm_contacts.csv.gz` | {contacts:,} | contacts of {people:,} customers and {leads:,} leads, {duplicates:,} of them second contacts of the same person with typing errors and old addresses; {households:,} households share one e-mail |
| `web_events/*.ndjson.gz` | {web:,} | Segment-spec events of {devices:,} devices ({visitors:,} visitors nobody knows, {bots:,} bots), with logins, clock skew and resends |
| `support.db` | {tickets:,} | SQLite table `tickets` |
| `newsletter.csv` | {subscribers:,} | subscribers with consent; for some only the SHA-256 of the e-mail |

`truth.csv` ({truth:,} rows: source, record, person) says which record is whose. Records: the customer number of orders, the contact, the device (anonymousId), the
ticket, the subscriber. A visitor or a bot is a person of its own. An e-mail that a household shares belongs to its head; the other member writes from a phone.

## Wrong on purpose

| rule that a row breaks | rows |
|---|---|
{bad_rows}

Also in the data, and no error: blank fields, placeholders (`n/a`, `unknown`, `000-000-0000`), one test address in several contacts, the user id `undefined` in some web events,
web events without `sentAt`.

## Origin and licence

The orders are **real**: the purchase history of 23,570 customers of CDNOW (69,659 orders), published as `CDNOW_master.txt` with the Python package
[lifetimes](https://github.com/CamDavidsonPilon/lifetimes), MIT licence. The time of day is made up; the original has days only.
Every person, name, address, e-mail (reserved example domains), phone number (fictional 555 numbers), visit, ticket and subscription is made up, and under this project's Apache-2.0 licence.
"""


def describe(world: WorldSummary) -> str:
    """The text of data/README.md; it depends on the world alone, not on when or where it was written."""
    real = world.people == 23_570 and world.rows["shop_orders.parquet"] == 69_659
    return TEXT.format(
        events=world.events,
        seed=world.seed,
        orders=world.rows["shop_orders.parquet"],
        order_story="the real orders of CDNOW" if real else "order histories drawn from the real ones of CDNOW, moved by up to a week",
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
