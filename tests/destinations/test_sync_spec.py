"""Specs, their checks, and the words of the errors."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cdp_core.destinations.check import check_destination, check_places, check_sync
from cdp_core.destinations.open import open_destination
from cdp_core.destinations.spec import DestinationSpec, SyncSpec
from cdp_core.errors import SpecError

EXPORTS = {"exports": DestinationSpec(type="file", path="data/exports")}


def sync(**more: Any) -> SyncSpec:
    given = {
        "model": {"audience": "vip"},
        "destination": "exports",
        "key": "profile_id",
        "mapping": {"profile_id": "profile_id", "mail": {"trait": "email"}, "origin": {"value": "cdp"}},
        "options": {"file": "vip.csv"},
    }
    return SyncSpec.model_validate(given | more)


def check(spec: SyncSpec, destinations: dict[str, DestinationSpec] | None = None) -> None:
    check_sync("s", spec, destinations or EXPORTS, ["vip", "lapsed"], ["profile_id", "email"])


def test_a_good_sync_passes() -> None:
    spec = sync()
    check(spec)
    assert spec.mapping["mail"].column == "email"
    assert (spec.mapping["origin"].column, spec.mapping["origin"].value) == (None, "cdp")
    assert spec.model_in_words() == "audience:vip"


@pytest.mark.parametrize(
    ("change", "where", "said"),
    [
        ({"destination": "export"}, "syncs.s.destination", "did you mean 'exports'?"),
        ({"model": {"audience": "vips"}}, "syncs.s.model.audience", "did you mean 'vip'?"),
        ({"mapping": {"profile_id": "profile_id", "m": "emial"}}, "syncs.s.mapping.m", "did you mean 'email'?"),
        ({"options": {"fil": "x.csv"}}, "syncs.s.options", "file"),
        ({"options": {"file": "x.csv", "escape": 1}}, "syncs.s.options.escape", "escape_formulas"),
        ({"options": {"file": "../x.csv"}}, "syncs.s.options.file", "stay in the folder"),
    ],
)
def test_what_a_sync_names_must_be_there(change: dict[str, Any], where: str, said: str) -> None:
    with pytest.raises(SpecError) as error:
        check(sync(**change))
    assert (error.value.where or "").startswith(where)
    assert said in str(error.value)


def test_columns_of_a_select_are_not_checked_before_it_runs() -> None:
    check(sync(model={"sql": "SELECT 1 AS profile_id"}, mapping={"profile_id": "profile_id", "x": "other"}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "profile"}, "a model is 'profiles'"),
        ({"model": {"audience": "a", "sql": "b"}}, "a model is 'profiles'"),
        ({"key": "id"}, "not a field of the mapping"),
        ({"key": "origin"}, "must come from a column"),
        ({"mode": "merge"}, "mirror"),
        ({"schedule": "61 * * * *"}, "is no cron schedule; write five fields"),
        ({"mapping": {"profile_id": "profile_id", "a": {"column": "x", "value": 1}}}, "give either"),
        ({"mapping": {}}, "at least 1"),
        ({"fields": {}}, "Extra inputs"),
        ({"model": {"events": {}}, "mode": "mirror"}, "mode mirror would take events back.*use insert, or upsert"),
        ({"model": {"events": {"events": "Paid"}}}, "Extra inputs"),
        ({"model": {"events": {"type": "click"}}}, "identify"),
        ({"model": {"events": {}, "sql": "b"}}, "a model is 'profiles', 'events'"),
        ({"mapping": {"profile_id": "profile_id", "a": {"value": 1, "type": "number"}}}, "'type' goes with a column"),
    ],
)
def test_a_wrong_sync_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=r"(?s)" + said):
        sync(**change)


def events(**more: Any) -> SyncSpec:
    given = {"model": "events", "destination": "exports", "mapping": {"n": "event"}, "options": {"file": "e.csv"}}
    return SyncSpec.model_validate(given | more)


def test_events_have_a_mode_and_a_key_of_their_own() -> None:
    spec = events()
    assert (spec.mode, spec.key, list(spec.mapping), spec.model_in_words()) == (
        "insert", "event_id", ["event_id", "n"], "events",
    )  # fmt: skip
    assert events(mapping={"n": "event", "id": {"column": "event_id"}}).key == "id"
    assert list(events(mapping={"m": "message_id"}, key="m").mapping) == ["m"]
    assert events(mode="upsert").mode == "upsert"
    assert sync(mode="insert").mode == "insert"
    chosen = events(model={"events": {"event": "Paid", "source": ["web", "app"]}})
    assert chosen.model_in_words() == "events:Paid (web, app)"
    again = SyncSpec.model_validate(chosen.model_dump(exclude_unset=True))
    assert again == chosen
    with pytest.raises(ValidationError, match="the key 'event_id' must come from a column"):
        events(mapping={"event_id": {"value": 1}})


@pytest.mark.parametrize(
    ("change", "where", "said"),
    [
        ({"model": {"events": {"source": ["web", "shp"]}}}, "syncs.s.model.events.source", "did you mean 'shop'?"),
        ({"mapping": {"n": "evnt"}}, "syncs.s.mapping.n", "did you mean 'event'?"),
        ({"mapping": {"n": "propertys.total"}}, "syncs.s.mapping.n", "did you mean 'properties'?"),
        ({"mapping": {"n": "properties."}}, "syncs.s.mapping.n", "did you mean 'properties'?"),
        ({"mapping": {"n": "email"}}, "syncs.s.mapping.n", "named by its place: properties, traits,"),
    ],
)
def test_what_a_sync_of_events_names_must_be_there(change: dict[str, Any], where: str, said: str) -> None:
    check_sync("s", events(), EXPORTS, [], None, ["web", "shop"])
    with pytest.raises(SpecError) as error:
        check_sync("s", events(**change), EXPORTS, [], None, ["web", "shop"])
    assert (error.value.where, said in str(error.value)) == (where, True), str(error.value)


def test_steps_of_a_destination_are_its_own_and_not_its_types() -> None:
    spec = DestinationSpec.model_validate({"type": "file", "path": "x", "transform": [{"drop": "properties.a"}]})
    assert spec.options == {"path": "x"}
    assert spec.transform[0].in_words == "drop: properties.a"
    with pytest.raises(ValidationError, match="is no place"):
        DestinationSpec.model_validate({"type": "file", "path": "x", "transform": [{"drop": "total"}]})


def test_null_is_a_value() -> None:
    assert sync(mapping={"profile_id": "profile_id", "x": {"value": None}}).mapping["x"].column is None


def test_a_destination_that_cannot_remove_takes_no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    from cdp_core.destinations import check as module
    from cdp_core.testing.flaky import FlakyDestination

    class AppendOnly:
        Options = FlakyDestination.Options
        SyncOptions = FlakyDestination.SyncOptions

    monkeypatch.setattr(module, "destination_class", lambda name, spec, root=None: AppendOnly)
    with pytest.raises(SpecError, match=r"cannot remove rows.*upsert"):
        check(sync())
    check(sync(mode="upsert"))


def test_two_syncs_may_not_keep_one_file() -> None:
    destinations = {**EXPORTS, "more": DestinationSpec.model_validate({"type": "file", "path": "data"})}
    other = sync(destination="more", options={"file": "exports/vip.csv", "format": "jsonl"})
    with pytest.raises(SpecError, match=r"syncs.b.options: the syncs 'a' and 'b' write the same file"):
        check_places({"a": sync(), "b": other}, destinations)
    check_places({"a": sync(), "b": sync(options={"file": "other.csv"})}, destinations)


def test_destinations_are_checked_without_being_opened(tmp_path: Any) -> None:
    check_destination("exports", EXPORTS["exports"])
    with pytest.raises(SpecError, match=r"unknown destination type 'postgre'.*did you mean 'postgres'"):
        check_destination("db", DestinationSpec(type="postgre"))
    with pytest.raises(SpecError, match=r"destinations.db.urll"):
        check_destination(
            "db", DestinationSpec.model_validate({"type": "postgres", "url": "postgresql://h", "urll": 1})
        )
    assert open_destination("exports", EXPORTS["exports"], root=tmp_path) is not None
    assert not list(tmp_path.iterdir())


def test_secrets_are_not_shown() -> None:
    spec = DestinationSpec.model_validate({"type": "postgres", "url": "postgresql://u:canary@h/d"})
    destination = open_destination("db", spec, root=None)  # type: ignore[arg-type]
    assert "canary" not in repr(spec) + str(spec) + repr(destination) + repr(vars(destination))
    with pytest.raises(SpecError) as error:
        check_destination("db", DestinationSpec.model_validate({"type": "postgres", "url": "mysql://u:canary@h/d"}))
    assert "canary" not in str(error.value)
