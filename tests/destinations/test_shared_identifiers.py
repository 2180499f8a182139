"""Two people with one address in an audience: it stays for as long as one of them does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ibis
import polars as pl
import pytest
import test_google_contract
import test_meta_contract
from audience_people import sha
from syncing import Syncer

from cdp_core.destinations.base import SendResult
from cdp_core.destinations.erase import delivered, erase
from cdp_core.destinations.open import delivery_for
from cdp_core.testing.services.google import GoogleAudience
from cdp_core.testing.services.meta import MetaAudience

PHONE = "+4930901820"
People = dict[str, tuple[str | None, str | None]]


class Audience:
    """A sync into an audience with a stand-in behind it; `members` are the addresses and numbers that are in."""

    def __init__(self, syncer: Callable[..., Syncer], kind: str, service: Any) -> None:
        self.kind, self.service = kind, service
        made: Any = test_meta_contract if kind == "meta" else test_google_contract
        fields = ("EXTERN_ID", "EMAIL", "PHONE") if kind == "meta" else ("id", "email", "phone")
        mapping = dict(zip(fields, ("profile_id", "email", "phone"), strict=True))
        self.syncer = syncer(destination=made.opened(service), options=made.OPTIONS, mapping=mapping)

    def run(self, people: People) -> Any:
        rows = [{"profile_id": key, "email": email, "phone": phone} for key, (email, phone) in people.items()]
        schema = dict.fromkeys(("profile_id", "email", "phone"), pl.String)
        self.syncer.profiles(pl.DataFrame(rows, schema=schema))
        result = self.syncer.run(confirm=True)
        assert (result.failed, result.pending) == (0, 0)
        there = {row["key"] for row in self.syncer.ledger() if (row["operation"] != "remove")}
        assert there == set(people), "the ledger says something else"
        return result

    @property
    def members(self) -> set[str]:
        if self.kind == "meta":
            return {value for _, value in self.service.people}
        return {value for key in self.service.state for value in json.loads(key).values()}

    def told(self, *people: str) -> set[str]:
        """Addresses, and the number: Meta wants it without its plus."""
        return {sha(p.lstrip("+") if self.kind == "meta" else p) for p in people}


@pytest.fixture(params=["meta", "google"])
def audience(request: Any, syncer: Callable[..., Syncer], tmp_path: Path) -> Iterator[Audience]:
    with MetaAudience() if request.param == "meta" else GoogleAudience() as service:
        yield Audience(syncer, request.param, service)


def test_an_address_stays_as_long_as_somebody_has_it(audience: Audience) -> None:
    both: People = {"a": ("Ann@x.org", PHONE), "b": (" ann@X.org", None), "c": ("c@x.org", None)}
    audience.run(both)
    rest = {key: both[key] for key in "bc"}
    assert audience.run(rest).removed == 1
    assert audience.members == audience.told("ann@x.org", "c@x.org"), "b went with a, or the number of a stayed"
    merged: People = {"d": ("ann@x.org", None), "c": both["c"]}
    audience.run(merged)
    assert audience.members == audience.told("ann@x.org", "c@x.org"), "d came and went with b"
    changed: People = {"d": ("new@x.org", None), "c": ("ANN@x.org", None), "e": ("c@x.org", None)}
    audience.run(changed)
    assert audience.members == audience.told("new@x.org", "ann@x.org", "c@x.org"), "who took an address over lost it"
    audience.run({"d": ("c@x.org", None), "e": ("new@x.org", None)})
    assert audience.members == audience.told("new@x.org", "c@x.org"), "two who swap their addresses lose them"
    assert audience.run({}).removed == 2
    assert audience.members == set()


def test_what_an_interrupted_run_left_is_not_taken_from_who_stays(audience: Audience) -> None:
    audience.run({"a": ("ann@x.org", None), "b": ("ann@x.org", None), "c": ("c@x.org", None)})
    lake = audience.syncer.engine
    ledger = lake.table("sync_ledger")
    open_now = ledger.key.isin(["a", "c"])
    lake.replace("sync_ledger", lake.keep(ledger.mutate(status=open_now.ifelse("pending", ledger.status))))
    audience.run({"a": ("z@x.org", None), "b": ("ann@x.org", None), "c": ("y@x.org", None)})
    assert audience.members == audience.told("z@x.org", "ann@x.org", "y@x.org")
    ledger = lake.table("sync_ledger")
    lake.replace("sync_ledger", lake.keep(ledger.mutate(status=ibis.literal("pending"))))
    audience.run({"b": ("ann@x.org", None)})
    assert audience.members == audience.told("ann@x.org")


def test_erasing_one_of_two_leaves_the_other(audience: Audience) -> None:
    people: People = {"a": ("ann@x.org", PHONE), "b": (" Ann@x.org", None), "c": ("c@x.org", None)}
    audience.run(people)
    s = audience.syncer
    fields = s.plan().fields
    delivery = delivery_for("s", s.spec, s.destination, fields)
    for key, left in (("a", ["ann@x.org", "c@x.org"]), ("b", ["c@x.org"])):
        result = erase(s.destination, delivery, delivered(s.engine, "s", delivery, [key], s.destination))
        assert result == SendResult()
        assert audience.members == audience.told(*left)
        ledger = s.engine.table("sync_ledger")
        s.engine.replace("sync_ledger", s.engine.keep(ledger.filter(ledger.key != key)))


def test_names_are_shared_only_when_all_of_them_are(syncer: Callable[..., Syncer]) -> None:
    """Meta, without any strong field: who has the same name and town is the same; the same town alone is nothing."""
    with MetaAudience() as service:
        mapping = {"EXTERN_ID": "profile_id", "FN": "first", "LN": "last"}
        s = syncer(destination=test_meta_contract.opened(service), options=test_meta_contract.OPTIONS, mapping=mapping)
        names = {"a": ("Ann", "Lee"), "b": ("ann", "lee"), "c": ("Bob", "Fox")}
        for left in ("abc", "bc", "c"):
            s.profiles([{"profile_id": k, "first": names[k][0], "last": names[k][1]} for k in left])
            s.run(confirm=True)
            assert service.people == {
                (field, sha(value.lower())) for k in left for field, value in zip(("FN", "LN"), names[k], strict=True)
            }
