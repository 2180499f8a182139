"""A tiny world that holds one of everything, and an independent oracle in plain Python and networkx."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import networkx as nx

NOW = datetime(2024, 6, 1)
CONFIG = """
name: tiny
today: 2024-06-01
region: GB
engine: {engine}
sources:
  shop:
    type: file
    path: shop.csv
    map:
      type: track
      event: Order Completed
      key: [order]
      time: at
      identifiers: {{user_id: customer, email: email}}
      properties: {{total: {{column: total, type: number}}, item: item}}
  crm:
    type: file
    path: crm.csv
    map:
      type: identify
      key: [contact]
      time: at
      identifiers: {{email: email, phone: phone, user_id: customer}}
      traits: {{first_name: name, city: city, email: email}}
      consent: {{news: news}}
  web:
    type: segment
    path: web.ndjson
identity:
  identifiers:
    user_id: {{limit: 1}}
    email: {{limit: 5}}
    phone: {{limit: 5}}
    anonymous_id: {{limit: 50}}
traits:
  first_name: {{pick: latest}}
  city: {{pick: most_frequent}}
  email: {{pick: source_order, sources: [crm, web]}}
  orders: {{count: Order Completed}}
  recent_orders: {{count: Order Completed, window: 60d}}
  large: {{count: Order Completed, where: {{total: {{at_least: 20}}}}}}
  spent: {{sum: Order Completed.total}}
  mean: {{average: Order Completed.total}}
  least: {{min: Order Completed.total}}
  most: {{max: Order Completed.total}}
  first_item: {{first: Order Completed.item}}
  last_item: {{last: Order Completed.item}}
  top_page: {{most_frequent: Page Viewed.name}}
  pages: {{unique_list: Page Viewed.name}}
  page_kinds: {{unique_count: Page Viewed.name}}
  quiet_days: {{days_since: Order Completed}}
  tier: {{sql: "SELECT profile_id, CASE WHEN spent >= 50 THEN 'big' ELSE 'small' END AS tier FROM profiles WHERE spent IS NOT NULL"}}
audiences:
  buyers: {{where: {{event: Order Completed}}}}
  few: {{where: {{event: Order Completed, at_most: 1}}}}
  recent_large:
    where: {{event: Order Completed, at_least: 2, window: 90d, where: {{total: {{greater_than: 10}}}}}}
  viewers_not_buyers:
    where: {{and: [{{event: Page Viewed}}, {{not: {{audience: buyers}}}}]}}
  big_or_leeds:
    where: {{or: [{{trait: tier, equals: big}}, {{trait: city, equals: Leeds}}]}}
  may_mail: {{where: {{consent: news, equals: granted}}}}
"""


def write(folder: Path, engine: str, *, people: int = 40, seed: int = 1) -> None:
    """The source files and cdp.yaml. Some people share an e-mail, so that limits break."""
    chance = random.Random(seed)
    start = datetime(2023, 9, 1)
    (folder / "cdp.yaml").write_text(CONFIG.format(engine=engine))
    (folder / "expectations").mkdir()
    shop, crm, web = ["order,customer,email,total,item,at"], ["contact,customer,email,phone,name,city,news,at"], []

    def moment() -> datetime:
        return start + timedelta(minutes=chance.randrange(270 * 24 * 60))

    for person in range(people):
        email = f"p{person if person % 9 else person + 1}@example.org"
        for _ in range(chance.randrange(4)):
            known = email if chance.random() < 0.5 else ""
            shop.append(
                f"o{len(shop):04},{person + 1:04},{known},{chance.randrange(100, 6000) / 100},{chance.choice('xyz')},{moment()}"
            )
        for _ in range(chance.randrange(3)):
            city = chance.choice(["Leeds", "York", "Bath", ""])
            customer = f"{person + 1:04}" if chance.random() < 0.4 else ""
            phone = f"020 7946 0{person:03}" if chance.random() < 0.5 else ""
            crm.append(
                f"c{len(crm):04},{customer},{email.upper()},{phone},N{person}{chance.randrange(3)},{city},"
                f"{chance.choice(['true', 'false'])},{moment()}"
            )
        for device in range(chance.randrange(3)):
            for _ in range(chance.randrange(1, 6)):
                at = f"{moment().isoformat()}Z"
                event: dict[str, Any] = {
                    "messageId": f"w{len(web):04}",
                    "anonymousId": f"d{person}-{device}",
                    "type": "track",
                    "event": "Page Viewed",
                    "timestamp": at,
                    "receivedAt": at,
                    "properties": {"name": chance.choice(["home", "shop", "help"])},
                }
                if chance.random() < 0.3:
                    event |= {"type": "identify", "userId": f"{person + 1:04}", "traits": {"email": email}}
                    del event["event"]
                web.append(json.dumps(event))
    for name, lines in (("shop.csv", shop), ("crm.csv", crm), ("web.ndjson", web)):
        (folder / name).write_text("\n".join(lines) + "\n")


class Oracle:
    """What identity, traits and audiences must be, computed event by event from the events alone."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.events = sorted(events, key=lambda e: (e["timestamp"], e["source"], e["message_id"]))
        for event in self.events:
            for column in ("properties", "traits", "context"):
                event[column] = json.loads(event[column] or "{}")
        self.profiles = self._resolve()

    def identifiers(self, event: dict[str, Any]) -> list[tuple[str, str]]:
        found = {("user_id", event["user_id"]), ("anonymous_id", event["anonymous_id"])}
        for external in event["context"].get("externalIds") or []:
            found.add((external["type"], external["id"]))
        for bag in (event["traits"], event["properties"]):
            found |= {(kind, bag.get(kind)) for kind in ("email", "phone")}
        clean = set()
        for kind, value in found:
            if value:
                if kind == "email":
                    value = value.lower()
                if kind == "phone":
                    value = "+44" + value.replace(" ", "")[1:]
                clean.add((kind, value))
        order = ["user_id", "email", "phone", "anonymous_id"]
        return sorted(clean, key=lambda pair: (order.index(pair[0]), pair[1]))

    def _resolve(self) -> list[list[dict[str, Any]]]:
        """Merge protection, one event after another; only user_id's limit of 1 can break in this world."""
        graph: nx.Graph = nx.Graph()
        owner: dict[tuple[str, str], int] = {}
        members: dict[int, set[tuple[str, str]]] = {}
        place: dict[int, int] = {}
        for number, event in enumerate(self.events):
            ids = self.identifiers(event)
            while True:
                found = {owner[i] for i in ids if i in owner}
                union = set(ids).union(*(members[p] for p in found)) if found else set(ids)
                if len({v for k, v in union if k == "user_id"}) <= 1 or len(ids) == 1:
                    break
                ids = ids[:-1]
            survivor = min(found) if found else number
            for other in found - {survivor}:
                members[survivor] |= members.pop(other)
            members.setdefault(survivor, set()).update(ids)
            for identifier in members[survivor]:
                owner[identifier] = survivor
            nx.add_path(graph, ids)
            place[number] = survivor
            event["_ids"] = ids
        groups: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for event in self.events:
            groups[owner[event["_ids"][0]]].append(event)
        self.graph = graph
        return list(groups.values())

    def traits(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        orders = [e for e in events if e["event"] == "Order Completed"]
        totals = [e["properties"]["total"] for e in orders]
        pages = [e["properties"]["name"] for e in events if e["event"] == "Page Viewed"]
        identifies = [e for e in events if e["type"] == "identify"]

        def said(trait: str, source: str | None = None) -> list[Any]:
            return [e["traits"][trait] for e in identifies if e["traits"].get(trait) and source in (None, e["source"])]

        names = said("first_name")
        cities = Counter(said("city"))
        emails = said("email", "crm") or said("email", "web")
        spent = sum(totals) if totals else None
        top = Counter(pages)
        return {
            "first_name": names[-1] if names else None,
            "city_votes": cities,
            "email": emails[-1] if emails else None,
            "orders": len(orders),
            "recent_orders": sum(e["timestamp"] > NOW - timedelta(days=60) for e in orders),
            "large": sum(t >= 20 for t in totals),
            "spent": spent,
            "mean": spent / len(totals) if spent is not None else None,
            "least": min(totals, default=None),
            "most": max(totals, default=None),
            "first_item": orders[0]["properties"]["item"] if orders else None,
            "last_item": orders[-1]["properties"]["item"] if orders else None,
            "top_page": min(top, key=lambda p: (-top[p], p)) if top else None,
            "pages": sorted(top) or None,
            "page_kinds": len(top),
            "quiet_days": (NOW - orders[-1]["timestamp"]).days if orders else None,
            "tier": None if spent is None else "big" if spent >= 50 else "small",
        }

    def audiences(self, events: list[dict[str, Any]], traits: dict[str, Any], city: str | None) -> set[str]:
        orders = [e for e in events if e["event"] == "Order Completed"]
        recent = [e for e in orders if e["timestamp"] > NOW - timedelta(days=90) and e["properties"]["total"] > 10]
        found = set()
        if orders:
            found.add("buyers")
        if len(orders) <= 1:
            found.add("few")
        if len(recent) >= 2:
            found.add("recent_large")
        if traits["page_kinds"] and not orders:
            found.add("viewers_not_buyers")
        if traits["tier"] == "big" or city == "Leeds":
            found.add("big_or_leeds")
        return found
