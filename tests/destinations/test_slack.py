"""A report in Slack: once a run, when it is complete, and never more than was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fault_kinds import OVER_HTTP, SHORT
from syncing import Syncer, person

from cdp_core.destinations.base import Batch, Delivery, ReplacesWhole, SendResult, SupportsTest, Unavailable
from cdp_core.destinations.limits import LimitsSpec
from cdp_core.destinations.open import parsed
from cdp_core.destinations.services.slack import SlackDestination, SlackOptions, SlackSyncOptions
from cdp_core.errors import DestinationError, SpecError
from cdp_core.testing.clock import FakeClock
from cdp_core.testing.services.base import Fault
from cdp_core.testing.services.slack import BOT, WEBHOOK, Slack

COUNTS = {"add": 12, "change": 3, "remove": 1_234, "unchanged": 5}
BY_BOT = {"token": BOT, "channel": "C1"}


@pytest.fixture
def service() -> Iterator[Slack]:
    with Slack() as there:
        yield there


@pytest.fixture
def opened(service: Slack, tmp_path: Path) -> Callable[..., SlackDestination]:
    def make(**given: Any) -> SlackDestination:
        way = given or {"webhook_url": service.url + WEBHOOK}
        options = {"base_url": f"{service.url}/api", "private_network": True, "timeout": 2, **way}
        return SlackDestination(SlackOptions.model_validate(options), tmp_path)

    return make


def delivery(counts: dict[str, int] | None = None, **options: Any) -> Delivery:
    fields = {"id": "string", "email": "string"}
    chosen = SlackSyncOptions.model_validate(options)
    return Delivery(sync="vip", key="id", fields=fields, options=chosen, counts=COUNTS if counts is None else counts)


def reported(destination: SlackDestination, *sizes: int, **options: Any) -> None:
    destination.prepare(delivery(**options))
    for size in sizes:
        frame = pl.DataFrame({"id": [f"p{i}" for i in range(size)], "email": ["<!channel> & *Ann*@example.org"] * size})
        assert destination.send(Batch(rows=frame, key="id", payload=pl.Series([""] * size))) == SendResult()
    destination.finish(True)


def test_a_report_through_a_webhook(service: Slack, opened: Callable[..., SlackDestination]) -> None:
    destination = opened()
    assert isinstance(destination, ReplacesWhole)
    assert isinstance(destination, SupportsTest)
    reported(destination, 900, 100, link="https://cdp.example.org/a?x=<1>|2", title="Best <customers>")
    (said,) = service.messages
    assert said["text"] == "Best &lt;customers&gt;: 1,000 in all, 12 added, 3 changed, 1,234 removed"
    head, counts, link = said["blocks"]
    assert head["text"] == {"type": "plain_text", "text": "Best <customers>", "emoji": False}
    assert [f["text"] for f in counts["fields"]] == [
        "*In all*\n1,000",
        "*Added*\n12",
        "*Changed*\n3",
        "*Removed*\n1,234",
    ]
    assert link["elements"][0]["text"] == "<https://cdp.example.org/a?x=%3C1%3E%7C2|Open>"
    assert "Ann" not in str(said), "no personal data unless asked for"


def test_a_report_by_a_bot_with_a_sample(service: Slack, opened: Callable[..., SlackDestination]) -> None:
    reported(opened(**BY_BOT), 3, 3, channel="#growth", sample_fields=["email"], sample_rows=4, counts={})
    (said,) = service.messages
    assert said["channel"] == "#growth"
    assert said["text"] == "vip: 6 in all"
    lines = said["blocks"][2]["text"]["text"].split("\n")
    assert lines == ["• email: &lt;!channel&gt; &amp; \u200b*Ann\u200b*@example.org"] * 4
    reported(opened(**BY_BOT), 20, sample_fields=["email", "id"], sample_rows=20, title="x" * 140)


def test_a_sample_shows_new_rows_first(service: Slack, opened: Callable[..., SlackDestination]) -> None:
    destination = opened()
    destination.prepare(delivery(sample_fields=["id"], sample_rows=3))
    for known in ([True, True, True, True, False], [False, True]):
        frame = pl.DataFrame({"id": ["old" if k else "new" for k in known], "email": ["x"] * len(known)})
        before = pl.Series(["{}" if k else None for k in known], dtype=pl.String)
        destination.send(Batch(rows=frame, key="id", payload=pl.Series([""] * len(known)), before=before))
    destination.finish(True)
    assert service.messages[0]["blocks"][2]["text"]["text"] == "• id: new\n• id: new\n• id: old"


def test_long_samples_fit(service: Slack, opened: Callable[..., SlackDestination]) -> None:
    destination = opened()
    destination.prepare(delivery(sample_fields=["id", "email"], sample_rows=20))
    frame = pl.DataFrame({"id": ["&" * 500] * 20, "email": ["*\n" * 500] * 20})
    destination.send(Batch(rows=frame, key="id", payload=pl.Series([""] * 20)))
    destination.finish(True)
    assert len(service.messages) == 1, "Slack refuses sections of more than 3,000 characters"


@pytest.mark.parametrize("way", [{}, BY_BOT], ids=["webhook", "bot"])
def test_nothing_is_posted_before_the_end(
    service: Slack, opened: Callable[..., SlackDestination], way: dict[str, str]
) -> None:
    destination = opened(**way)
    destination.prepare(delivery())
    destination.send(Batch(rows=pl.DataFrame({"id": ["a"], "email": ["b"]}), key="id", payload=pl.Series([""])))
    destination.finish(False)
    destination.finish(True)
    assert not service.calls
    service.faults.append(Fault("status", 429, {"Retry-After": "1"}))
    with pytest.raises(Unavailable) as error:
        reported(destination, 2)
    assert error.value.retry_after == 1
    assert "B000" not in f"{error.value} {error.value.where}", "the address is a secret"
    assert not service.messages
    destination.finish(True)
    assert [m["text"].partition(",")[0] for m in service.messages] == ["vip: 2 in all"], "it is posted when tried again"
    service.faults.append(Fault("garbage"))
    with pytest.raises(Unavailable, match="cannot be read"):
        reported(destination, 2)


@pytest.mark.parametrize(
    ("way", "text"),
    [
        ({"webhook_url": "/services/T000/B000/gone"}, "no_service"),
        ({"token": "xoxb-old", "channel": "C1"}, "invalid_auth"),
        ({"token": BOT, "channel": "C9"}, "channel_not_found"),
        ({"token": BOT, "channel": "#other"}, "not_in_channel"),
    ],
)
def test_refusals_say_what_to_do(
    service: Slack, opened: Callable[..., SlackDestination], way: dict[str, str], text: str
) -> None:
    given = {k: service.url + v if k == "webhook_url" else v for k, v in way.items()}
    destination = opened(**given)
    with pytest.raises(DestinationError, match=text) as error:
        reported(destination, 1)
    assert type(error.value) is DestinationError
    assert error.value.hint
    assert not service.messages
    assert not any(secret in f"{error.value} {destination.options!r}" for secret in ("xoxb", "B000"))


def test_the_connection_test_posts_nothing(service: Slack, opened: Callable[..., SlackDestination]) -> None:
    assert "webhook is there" in opened().test()
    assert "Kittens" in opened(**BY_BOT).test()
    service.archived, service.scopes = True, "channels:read"
    with pytest.raises(DestinationError, match="channel_is_archived"):
        opened().test()
    with pytest.raises(DestinationError, match="missing_scope"):
        opened(**BY_BOT).test()
    assert not service.messages


def test_what_is_wrong_is_told_at_once(service: Slack, opened: Callable[..., SlackDestination]) -> None:
    for given in ({}, {"token": BOT, "webhook_url": "https://hooks.example.org/x"}):
        with pytest.raises(SpecError, match="either webhook_url or token"):
            parsed(SlackOptions, given, where="destinations.slack")
    with pytest.raises(SpecError, match="unknown field 'mail'"):
        opened().prepare(delivery(sample_fields=["mail"]))
    with pytest.raises(SpecError, match="channel that is named"):
        opened(token=BOT).prepare(delivery())


def test_a_sync_reports_when_something_changed(
    service: Slack, opened: Callable[..., SlackDestination], syncer: Callable[..., Syncer]
) -> None:
    """Rows are delivered when the post was taken: a run that could not post reports with the next one."""
    sync = syncer(destination=opened(), options={"title": "VIP"}, clock=FakeClock())
    sync.profiles([person(1), person(2), person(3)])
    service.faults.extend([Fault("status", 503)] * 6)
    with pytest.raises(Unavailable):
        sync.run()
    assert not service.messages
    assert {row["status"] for row in sync.ledger()} == {"pending"}
    sync.run()
    sync.run()
    sync.profiles([person(1), person(2)])
    assert sync.run(confirm=True).removed == 1
    assert [m["text"].partition(",")[0] for m in service.messages] == ["VIP: 3 in all", "VIP: 2 in all"]
    assert {row["status"] for row in sync.ledger()} == {"delivered"}


@pytest.mark.parametrize("way", [{}, BY_BOT], ids=["webhook", "bot"])
def test_no_fault_loses_a_report(
    service: Slack, opened: Callable[..., SlackDestination], syncer: Callable[..., Syncer], way: dict[str, str]
) -> None:
    """Every fault meets a post. A report stands there once, and at most twice where it was taken and the answer lost."""
    sync = syncer(destination=opened(**way), options={}, clock=FakeClock(), limits=LimitsSpec(attempts=2))
    sync.destination.options = sync.destination.options.model_copy(update={"timeout": SHORT})
    kinds = [(fault, 1) for _, fault in OVER_HTTP.refused.values()]
    kinds += [(fault, 2) for _, fault in OVER_HTTP.ambiguous.values()]
    kinds = [(fault, most) for fault, most in kinds if fault.kind not in ("loris", "endless")]
    if way:
        kinds = [(fault, most) for fault, most in kinds if fault.kind in ("half", "garbage")]
    for number, (fault, most) in enumerate(kinds):
        service.faults.append(fault)
        sync.profiles([person(n) for n in range(number + 1)])
        try:
            sync.run()
        except DestinationError:
            assert "pending" in {row["status"] for row in sync.ledger()}
            sync.run()
        said = [m for m in service.messages if f": {number + 1} in all" in m["text"]]
        assert 1 <= len(said) <= most, fault
        assert {row["status"] for row in sync.ledger()} == {"delivered"}
