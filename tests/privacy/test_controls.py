"""What a control makes of a value is one thing, whether it comes alone to the collector or in a column to a batch."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cdp_core.engine import Staging
from cdp_core.privacy.controls import changed, changed_column
from cdp_core.privacy.door import Door, why
from cdp_core.privacy.names import AT_DOOR, is_red_at_door
from cdp_core.privacy.redact import redacted, redacted_all
from cdp_core.privacy.scan import marked, scanned
from cdp_core.privacy.scan_all import scan_all
from cdp_core.privacy.spec import PrivacySpec

KEY = bytes(range(32))
MADE = "hmac:" + "0a" * 32
TABLE: list[tuple[str, str, str, str | None]] = [
    # control, name, value, what it becomes
    ("mask", "note", "Ann", "A•••"),
    ("mask", "note", "A", "•••"),
    ("mask", "note", "", ""),
    ("mask", "note", "5", "•••"),
    ("mask", "vip", "true", None),
    ("mask", "note", "two\nlines", "t•••"),
    ("truncate", "ip", "203.0.113.7", "203.0.113.0"),
    ("truncate", "ip", "2001:db8:1:2::7", "2001:db8:1::"),
    ("truncate", "ip", "2001:db8::7", "2001:db8::"),
    ("truncate", "ip", "::1", "::"),
    ("truncate", "born", "1961-04-09", "1961-04-01"),
    ("truncate", "at", "2026-11-28T10:48:55.123Z", "2026-11-28T00:00:00Z"),
    ("truncate", "salary", "52300.75", "50000"),
    ("truncate", "rate", "0.034", "0"),
    ("truncate", "big", "1e30", "0"),
    ("truncate", "name", "Annabel", "Ann…"),
    ("truncate", "name", "Ann", "A…"),
    ("truncate", "email", "ann@example.org", "ann…"),
    ("generalise", "ip", "203.0.113.7", "203.0.0.0"),
    ("generalise", "ip", "2001:db8:1:2::7", "2001:db8::"),
    ("generalise", "born", "1961-04-09", "1961-01-01"),
    ("generalise", "born", "09/04/1961", "1961-01-01"),
    ("generalise", "at", "2026-11-28 10:48:55", "2026-11-01T00:00:00Z"),
    ("generalise", "age", "34", "30"),
    ("generalise", "age", "7", "0"),
    ("generalise", "age", "9.5", "0"),
    ("generalise", "lat", "51.5072", "51.5"),
    ("generalise", "longitude", "-0.1276", "-0.1"),
    ("generalise", "zip", "94107", "941"),
    ("generalise", "postCode", "LS1 4AB", "LS1"),
    ("generalise", "salary", "-52300", "-50000"),
    ("generalise", "phone", "+441632960123", "+•••"),
    ("generalise", "email", "ann@example.org", "@example.org"),
    ("generalise", "name", "Ann", "A•••"),
    ("hash", "user_id", " u1 ", "hmac:" + hmac.new(KEY, b"u1", hashlib.sha256).hexdigest()),
    ("hash", "email", "Ann@Example.org", "hmac:" + hmac.new(KEY, b"ann@example.org", hashlib.sha256).hexdigest()),
    ("hash", "name", "José", "hmac:" + hmac.new(KEY, "José".encode(), hashlib.sha256).hexdigest()),
    ("hash", "id", MADE, MADE),
    ("hash", "token", "0a" * 32, "hmac:" + hmac.new(KEY, b"0a" * 32, hashlib.sha256).hexdigest()),
    ("hash", "id", "", ""),
]


@pytest.fixture(scope="module")
def staging() -> Iterator[Staging]:
    found = Staging(Path(":memory:"))
    yield found
    found.discard()


@pytest.mark.parametrize(("control", "name", "value", "expected"), TABLE)
def test_one_value_and_a_column(staging: Staging, control: Any, name: str, value: str, expected: str | None) -> None:
    assert changed(control, name, value, KEY) == expected
    column = changed_column(control, name, pl.Series([None, value, "other"]), KEY, staging)
    assert column[:2].to_list() == [None, expected]
    if expected is not None:
        assert changed(control, name, expected, KEY) == expected, "values pass the door more than once"


SPEC = PrivacySpec.model_validate(
    {
        "controls": {"yellow": "mask"},
        "fields": {
            "web.traits.email": {"class": "yellow", "control": "hash"},
            "*.properties.a": "red",
            "web.properties.b.c": "yellow",
            "web.properties.token": "green",
            "web.context.ip": {"class": "yellow", "control": "truncate"},
            "web.user_id": {"class": "yellow", "control": "hash"},
            "*.traits.born": {"class": "red", "control": "allow"},
            "web.traits.born": {"class": "red", "control": "generalise"},
            "web.traits.age": {"class": "yellow", "control": "generalise"},
        },
    }
)
PLACES = [
    ("web.traits.email", "hash", "web.traits.email"),
    ("crm.traits.email", "allow", None),
    ("crm.properties.a", "drop", "*.properties.a"),
    ("web.properties.b.c", "mask", "web.properties.b.c"),
    ("web.traits.born", "generalise", "web.traits.born"),
    ("crm.traits.born", "allow", "*.traits.born"),
    ("crm.traits.deep.cardNumber", "drop", None),
    ("web.properties.token", "allow", "web.properties.token"),
    ("crm.properties.token", "drop", None),
    ("crm.context.device.token", "allow", None),
    ("crm.context.network.token", "drop", None),
    ("web.context.plan", "allow", None),
]


@pytest.mark.parametrize(("field", "control", "decided"), PLACES)
def test_the_most_specific_decision_counts(field: str, control: str, decided: str | None) -> None:
    found = why(SPEC, field)
    assert (found.control, found.decided) == (control, decided)
    source, _, place = field.partition(".")
    assert Door(SPEC, source).control(tuple(place.split("."))) == control


def test_red_follows_its_class_until_decided() -> None:
    spec = PrivacySpec(controls={"red": "hash"})
    assert why(spec, "crm.traits.ssn").control == "hash"
    assert why(PrivacySpec(), "crm.traits.ssn").control == "drop"


EDITS = [
    ('{"properties":{"a":1,"x":2}}', '{"properties":{"x":2}}'),
    ('{"properties":{"x":2, "a":1}}', '{"properties":{"x":2}}'),
    ('{"properties":{"a":1,"password":"x"}}', '{"properties":{}}'),
    ('{"properties":{"a":1,"ssn":2,"x":3,"cvv":4}}', '{"properties":{"x":3}}'),
    ('{"properties":{"y":[{"ssn":"1"},{"z":1,"ssn":{"b":"}"}}]}}', '{"properties":{"y":[{},{"z":1}]}}'),
    ('{"properties":{"x":"{\\"ssn\\": 1, \\"password\\":2}"}}', '{"properties":{"x":"{\\"ssn\\": 1, \\"password\\":2}"}}'),
    ('{"properties":{"p\\u0061ssword":"x","y":1}}', '{"properties":{"y":1}}'),
    ('{"properties":{"ssn":1,"y":2,"ssn":3}}', '{"properties":{"y":2}}'),
    ('{"properties":{"b":{"c":"Ann"}},"c":"Ann"}', '{"properties":{"b":{"c":"A•••"}},"c":"Ann"}'),
    ('{"batch":[{"context":{"ip":"203.0.113.7"}}]}', '{"batch":[{"context":{"ip":"203.0.113.0"}}]}'),
    ('{"traits":{"age":34,"born":"1961-04-09"}}', '{"traits":{"age":30,"born":"1961-01-01"}}'),
    ('{"context":{"traits":{"age":34.5}}}', '{"context":{"traits":{"age":30}}}'),
    ('{"context":{"externalIds":[{"id":"1","type":"ssn"}]}}', '{"context":{"externalIds":[{"type":"ssn"}]}}'),
    ('{"context":{"externalIds":[{"id":34,"type":"age"},{"id":"7","type":"x"}]}}',
     '{"context":{"externalIds":[{"id":30,"type":"age"},{"id":"7","type":"x"}]}}'),
    ('{"type":"track","event":"ssn","properties":{"token":1}}', '{"type":"track","event":"ssn","properties":{"token":1}}'),
    ('{"traits":{"age":[34],"x":null}}', '{"traits":{"age":null,"x":null}}'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), EDITS)
def test_one_event_and_a_column(staging: Staging, text: str, expected: str) -> None:
    door = Door(SPEC, "web", lambda: KEY)
    assert scanned(text.encode(), door, door.of_event).decode() == expected
    column = scan_all(pl.Series([text, None, '{"x": 1}', text]), door, door.of_event, staging)
    assert column.to_list() == [expected, None, '{"x": 1}', expected]


def test_random_events_alone_and_together(staging: Staging) -> None:
    """Byte for byte the same; JSON stays JSON; a second time changes nothing; nothing that is dropped is left."""
    door = Door(SPEC, "web", lambda: KEY)
    texts = [event(random.Random(seed)) for seed in range(1500)]
    alone = [scanned(text.encode(), door, door.of_event).decode() for text in texts]
    assert scan_all(pl.Series(texts), door, door.of_event, staging).to_list() == alone
    assert sum(a != b for a, b in zip(texts, alone, strict=True)) > 1000
    for text in alone:
        assert scanned(text.encode(), door, door.of_event).decode() == text
        for path in places(json.loads(text)):
            assert path[:2] == ("context", "externalIds") or door.of_event(path) != "drop", (path, text)


KEYS = [
    "a",
    "b",
    "c",
    "email",
    "password",
    "userId",
    "ip",
    "born",
    "age",
    "x",
    "creditCard",
    "id",
    "type",
    'we"ird',
    "p\\",
]
VALUES = [
    None, True, 1, 34, -2.5, 1e30, "", "x", "Ann@x.org", "203.0.113.9", "2001:db8::1", "1961-04-09", "ab", "abcd",
    "2026-01-02T03:04:05Z", 'a"b\\', '{[,:"', "é\n\t", 52300, "•••", MADE, "02/03/1999", "007",
]  # fmt: skip


def event(draw: random.Random) -> str:
    def some(depth: int) -> Any:
        if depth < 5 and draw.random() < 0.2:
            return {draw.choice(KEYS): some(depth + 1) for _ in range(draw.randrange(5))}
        if depth < 5 and draw.random() < 0.1:
            return [some(depth + 1) for _ in range(draw.randrange(4))]
        return draw.choice(VALUES)

    def fields() -> dict[str, Any]:
        return {draw.choice(KEYS): some(1) for _ in range(draw.randrange(6))}

    ids = [{"id": some(5), "type": draw.choice(["email", "x", "ssn", "user_id"])} for _ in range(draw.randrange(3))]
    whole = {"type": "track", "userId": some(5), "properties": fields(), "traits": fields()}
    whole["context"] = {"ip": some(5), "traits": fields(), "externalIds": ids}
    sent: Any = {"batch": [whole, {"password": 1}]} if draw.random() < 0.1 else whole
    text = json.dumps(sent, ensure_ascii=draw.random() < 0.5, indent=draw.choice([None, 1]))
    return text.replace('"x":', '"password":1,"password":', 1) if draw.random() < 0.1 else text


def places(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield (*path, key)
        yield from places(inner, (*path, key))
    for inner in value if isinstance(value, list) else ():
        yield from places(inner, path)


def test_the_quick_look_lets_no_red_name_slip() -> None:
    """Whatever a name is written like: if it is red by itself, one of the marks is in it."""
    draw = random.Random(3)
    door = Door(PrivacySpec(), "web")
    for name in AT_DOOR:
        for _ in range(30):
            parts = [draw.choice([p, p.title(), p.upper()]) for p in name.split("_")]
            written = draw.choice(["", " ", ".", "-"]) + draw.choice(["_", "-", " ", ".", "__"]).join(parts)
            if is_red_at_door(written):
                text = json.dumps({"properties": {"x": {written: 1}}}).encode()
                assert scanned(text, door, door.of_event) == b'{"properties": {"x": {}}}', written
    camel = [n.replace("_", " ").title().replace(" ", "") for n in AT_DOOR]
    assert all(marked(name.encode(), door) for name in camel if is_red_at_door(name))
    assert marked("to\u212aen".encode(), door)
    wide = b" " * 30_000
    assert all(marked(wide + name.encode(), door) for name in camel if is_red_at_door(name)), "a large body"
    assert marked(wide + "to\u212aen \udcff".encode(errors="surrogateescape"), door)
    assert not marked(wide + b"plan", door)
    assert is_red_at_door("to\u212aen")


BROKEN = [
    ('{"plan": "pro", "password": "x y", oops', '{"plan": "pro", "password":•••, oops'),
    ('{"q":{"card_number":"4111', '{"q":{"card_number":•••'),
    ('{"ssn":{"q":1},"r":2', '{"ssn":•••'),
    ("{\"email\":'a@b'}", '{"email":•••}'),
    ("my password: hunter2, ok", "my password:•••, ok"),
    ("card 4111 1111 1111 1111 or 123-45-6789", "card ••• or •••"),
    ("at 1732800000000 for 12", "at 1732800000000 for 12"),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_text_that_cannot_be_read(text: str, expected: str) -> None:
    door = Door(SPEC, "web")
    assert redacted(text, door) == expected
    assert redacted_all(pl.Series([text, None]), door).to_list() == [expected, None]
    assert redacted(expected, door) == expected
