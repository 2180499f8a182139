"""Raw values to identifiers: spelling, blocked values, what is no identifier."""

from __future__ import annotations

import hashlib
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from cdp_core.identity.normalise import normalise_values, numbered
from cdp_core.identity.spec import IdentitySpec

SPEC = IdentitySpec.model_validate(
    {
        "identifiers": {
            "user_id": {"limit": 1, "blocked": ["guest"]},
            "work_email": None,
            "email": {"limit": 5},
            "phone": {"limit": 5, "blocked": ["(415) 555-0100"]},
            "email_sha256": {"derive": {"from": "email", "how": "sha256"}},
            "anonymous_id": {"limit": 5},
        },
        "blocked": ["^[0-]*$", -1, None, "anonymous", "Test@Example.com", "^bot-"],
    }
)
ANN = hashlib.sha256(b"ann@example.org").hexdigest()
TEST = hashlib.sha256(b"test@example.com").hexdigest()


def meaning(*values: tuple[str, str]) -> dict[tuple[str, str], tuple[Any, ...]]:
    frame = pl.DataFrame(values, ["type", "raw"], orient="row")
    known = normalise_values(frame, SPEC)
    rows = known.select("type", "raw", "as_type", "value", "problem").rows()
    return {(type_, raw): tuple(rest) for type_, raw, *rest in rows}


@pytest.mark.parametrize(
    ("type_", "raw", "value", "problem"),
    [
        ("user_id", "  U1 ", "U1", None),
        ("user_id", "GUEST", None, "blocked"),
        ("anonymous_id", "guest", "guest", None),
        ("user_id", "NULL", None, "blocked"),
        ("user_id", "-1", None, "blocked"),
        ("user_id", "0000-000", None, "blocked"),
        ("user_id", "-10", "-10", None),
        ("user_id", "Bot-7", None, "blocked"),
        ("user_id", "robot-7", "robot-7", None),
        ("user_id", '{"a": 1}', None, "invalid"),
        ("user_id", "a\x00b", "ab", None),
        ("email", " ANN@example.org", "ann@example.org", None),
        ("work_email", "Ann@Example.ORG", "ann@example.org", None),
        ("email", "ann@", None, "invalid"),
        ("email", "TEST@example.com ", None, "blocked"),
        ("phone", "415 555 0134", "+14155550134", None),
        ("phone", "+1 (415) 555-0100", None, "blocked"),
        ("phone", "000-000-0000", None, "blocked"),
        ("phone", "12", None, "invalid"),
        ("email_sha256", ANN.upper(), ANN, None),
        ("email_sha256", "abc", None, "invalid"),
        ("email_sha256", TEST, None, "blocked"),
    ],
)
def test_one_value(type_: str, raw: str, value: str | None, problem: str | None) -> None:
    assert meaning((type_, raw)) == {(type_, raw): (type_, value, problem)}


def test_blank_values_and_unknown_types_are_nothing() -> None:
    assert meaning(("user_id", "  "), ("email", ""), ("shoe_size", "43")) == {}


def test_a_previous_id_is_what_others_call_it() -> None:
    found = meaning(
        ("previous_id", "x"),
        ("previous_id", "y"),
        ("previous_id", "z"),
        ("user_id", "x"),
        ("user_id", "z"),
        ("anonymous_id", "z"),
    )
    kinds = {raw: rest[0] for (type_, raw), rest in found.items() if type_ == "previous_id"}
    assert kinds == {"x": "user_id", "y": "anonymous_id", "z": "anonymous_id"}


def test_numbers_sort_by_priority_then_value_and_know_their_parents() -> None:
    frame = pl.DataFrame(
        [
            ("email", "ann@example.org"),
            ("email", "Ann@Example.org"),
            ("user_id", "b"),
            ("user_id", "a"),
            ("email_sha256", "f" * 64),
        ],
        ["type", "raw"],
        orient="row",
    )
    nodes = numbered(normalise_values(frame, SPEC), SPEC).sort("node")
    assert nodes.rows() == [
        (0, "user_id", "a", None),
        (1, "user_id", "b", None),
        (2, "email", "ann@example.org", None),
        (3, "email_sha256", ANN, 2),
        (4, "email_sha256", "f" * 64, None),
    ]


def test_types_that_are_not_listed() -> None:
    values = pl.DataFrame([("android.idfa", "x"), ("zone", "y"), ("user_id", "u")], ["type", "raw"], orient="row")
    assert [row[1] for row in numbered(normalise_values(values, IdentitySpec()), IdentitySpec()).rows()] == [
        "user_id",
        "android.idfa",
        "zone",
    ]
    assert normalise_values(values, SPEC)["type"].to_list() == ["user_id"]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"identifiers": {}}, "at least 1"),
        ({"identifiers": {"profile_id": {}}}, "cannot be the name"),
        ({"identifiers": {"user id": {}}}, "cannot be the name"),
        ({"identifiers": {"user_id": {"limit": 0}}}, "greater than or equal to 1"),
        ({"identifiers": {"user_id": {"window": "day"}}}, "ever"),
        ({"identifiers": {"h": {"derive": {"from": "email"}}}}, "cannot be derived from 'email'"),
        ({"blocked": ["^("]}, "no regular expression"),
        ({"blocked": ["^(?!x)"]}, "not supported"),
        ({"limits": {}}, "Extra inputs"),
    ],
)
def test_what_is_wrong_in_a_block(block: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        IdentitySpec.model_validate(block)


def test_without_a_block_segments_defaults_apply() -> None:
    spec = IdentitySpec.model_validate({})
    assert [(name, rules.limit) for name, rules in spec.identifiers.items()] == [
        ("user_id", 1),
        ("email", 5),
        ("phone", 5),
        ("anonymous_id", 5),
    ]
    assert spec.limit("ios.idfv") == 5
    assert spec.blocked == ("^[0-]*$", "-1", "null", "anonymous", "undefined")
    assert (spec.max_merges, spec.max_mappings) == (100, 1000)
    assert IdentitySpec.model_validate({"identifiers": {"user_id": {}}}).rules("email") is None
