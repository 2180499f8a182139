"""How functions are written, what is said when they are wrong, and that the page about them is true."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from syncing import Syncer, person

from cdp_core.destinations.check import check_sync
from cdp_core.destinations.functions import catalogue
from cdp_core.destinations.functions.columns import columns_read
from cdp_core.destinations.functions.pattern import portable
from cdp_core.destinations.functions.spec import FUNCTIONS
from cdp_core.destinations.functions.template import Slot, parsed
from cdp_core.destinations.mapping import mapped
from cdp_core.destinations.spec import DestinationSpec, SyncSpec
from cdp_core.engine import Engine
from cdp_core.errors import SpecError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "mapping.md"
ANN = {
    "first_name": "Ann", "last_name": "Lee", "nickname": None, "email": "Ann@Example.org", "phone": "+49 30 12-34",
    "city": " Berlin ", "country": "DE", "postcode": "10115", "total": 123.45,
    "last_order_at": datetime(1998, 7, 1, 10, 30), "interests": ["jazz", "blues"],
}  # fmt: skip


def sync(field: Any, key: Any = "email", **more: Any) -> SyncSpec:
    given = {"model": "profiles", "destination": "d", "key": "k", "mapping": {"k": key, "v": field}}
    return SyncSpec.model_validate(given | more)


def payloads(engine: Engine, spec: SyncSpec, frame: pl.DataFrame) -> list[dict[str, Any]]:
    found = engine.polars(mapped(engine, "s", spec, engine.frame(frame)))
    return [json.loads(text) for text in found["payload"]]


def test_the_examples_of_the_page_and_of_the_catalogue_give_what_the_page_says(lake: Engine) -> None:
    page = re.findall(r"^`(\{.*\})` gives `(.*)`\.$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    examples = {json.dumps(yaml.safe_load(written)): json.loads(result) for written, result in page}
    assert set(examples) == {json.dumps(one.example) for one in catalogue()}
    frame = pl.DataFrame([ANN], schema_overrides={"nickname": pl.String})
    spec = sync("email")
    fields = {f"e{n}": json.loads(example) for n, example in enumerate(examples)}
    spec = SyncSpec.model_validate(spec.model_dump(exclude_unset=True) | {"mapping": {"k": "email", **fields}})
    assert list(payloads(lake, spec, frame)[0].values())[1:] == list(examples.values())
    titles = re.findall(r"^### (\w+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert titles == [one.name for one in catalogue()] == list(FUNCTIONS)


def test_the_catalogue_describes_every_argument() -> None:
    for one in catalogue():
        keys = [field.alias or name for name, field in FUNCTIONS[one.name].model_fields.items()]
        assert sorted(keys) == sorted(argument.name for argument in one.arguments)
        assert one.help
        assert one.gives
        assert one.arguments[0].name == one.name
        assert one.arguments[0].required
        assert all(argument.help for argument in one.arguments), one.name
        assert set(one.example) & set(FUNCTIONS)
    described = {one.name: {a.name: a for a in one.arguments} for one in catalogue()}
    assert described["hash"]["with"].choices == ("sha256", "md5")
    assert (described["replace"]["find"].kind, described["map"]["values"].kind) == ("text", "table")
    assert (described["item"]["at"].default, described["item"]["item"].kind) == (1, "source")


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"tmplate": "{x}"}, "unknown key 'tmplate' .*did you mean 'template'"),
        ({"hash": "email", "wth": "md5"}, r"unknown key 'wth' \(valid: type, hash, with\); did you mean 'with'"),
        ({"hash": {"lowr": "email"}}, "unknown key 'lowr' .*did you mean 'lower'"),
        ({"hash": "email", "with": "sha1"}, "'sha256' or 'md5'"),
        ({"lower": "a", "upper": "b"}, "one function at a time: write upper inside lower"),
        ({"template": "Hello"}, "no field stands in braces"),
        ({"template": "Hello {}"}, "no field is named in the braces at character 7"),
        ({"template": "a } {b}"}, "a brace stands alone at character 3"),
        ({"template": "{a {b}"}, "a brace stands alone at character 1"),
        ({"coalesce": []}, "at least 1"),
        ({"case": [{"when": {"trait": "n", "at_leest": 1}, "then": 1}]}, "did you mean 'at_least'"),
        ({"case": [{"when": {"trait": "n", "within_last": "30d"}, "then": 1}]}, "depends on when the sync runs"),
        ({"case": [{"when": {"at_least": 1}, "then": 1}]}, "exactly one of the keys trait, column, and, or, not"),
        ({"case": [{"when": {"trait": "n"}, "then": 1}]}, "an operator is missing"),
        ({"replace": "t", "with": ""}, "give either 'find' .* or 'pattern'"),
        ({"replace": "t", "pattern": "a+", "with": "$1"}, "take parts of a text with extract"),
        ({"replace": "t", "pattern": "a*", "with": ""}, "matches the empty text"),
        ({"extract": "t", "pattern": "("}, "is no regular expression"),
        ({"substring": "t", "start": 0}, "greater than or equal to 1"),
        ({"item": "t", "at": 0}, "the first item is 1"),
        ({"format_date": "t", "as": "%Q"}, "'%Q' is not known .*%Y"),
        ({"format_date": "t", "as": "day"}, "no part of a date"),
        ({"format_date": "t", "zone": "Europe/Berln"}, "did you mean 'Europe/Berlin'"),
        ({"round": "n", "digits": 10}, "less than or equal to 9"),
        ({"lower": "x", "type": "text"}, "'string', 'number'"),
    ],
)
def test_what_is_written_wrong_is_told(field: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=r"(?s)" + said):
        sync(field)


def test_functions_inside_each_other_have_an_end() -> None:
    field: Any = "email"
    for _ in range(300):
        field = {"lower": field}
    with pytest.raises(ValidationError, match="more than 20 deep"):
        sync(field)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"\bx", "does not mean the same"), ("(?i)a", r"only \(\?: is known"), ("(?<=a)b", r"only \(\?:"),
        (r"(a)\1", "does not mean the same"), ("a++", "possessive"), ("[a&&b]", "no &&"), ("x{2000}", "at most 1000"),
        ("[]a]", "inside brackets"), (r"[\W]", "does not mean"), ("a{,3}b", "no repetition"), ("a" * 501, "at most 500"),
    ],
)  # fmt: skip
def test_patterns_that_engines_read_differently_are_refused(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        portable(pattern)


@pytest.mark.parametrize(
    ("field", "where", "said"),
    [
        ({"coalesce": ["email", {"lower": "emial"}]}, "syncs.s.mapping.v.coalesce.1.lower", "did you mean 'email'"),
        ({"template": "Hi {first_nme|you}"}, "syncs.s.mapping.v.template", "did you mean 'first_name'"),
        ({"case": [{"when": {"not": {"trait": "totl", "exists": True}}, "then": 1}]},
         "syncs.s.mapping.v.case.0.when.not.trait", "did you mean 'total'"),
        ({"map": "country", "values": {"a": 1}, "else": "contry"}, "syncs.s.mapping.v.else", "did you mean 'country'"),
    ],
)  # fmt: skip
def test_a_trait_that_is_not_there_is_named_with_its_place(field: Any, where: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as error:
        check_sync("s", sync(field, options={"file": "x.csv"}), {"d": DestinationSpec(type="file", path="x")}, [], ANN)
    assert error.value.where == where


def test_inside_events_a_function_reads_places() -> None:
    spec = SyncSpec.model_validate(
        {"model": "events", "destination": "d", "mapping": {"v": {"template": "{properties.a} {event|x}"}},
         "options": {"file": "x.csv"}}
    )  # fmt: skip
    check_sync("s", spec, {"d": DestinationSpec(type="file", path="x")}, [], None)
    assert [field.column for _, field in columns_read(spec.mapping["v"])] == ["properties.a", "event"]
    assert list(spec.mapping) == ["event_id", "v"]


@pytest.mark.parametrize(
    ("field", "where", "said"),
    [
        ({"coalesce": ["email", "total"]}, "v.coalesce", "several types: number, text"),
        ({"lower": "interests"}, "v.lower", "put a list together with join"),
        ({"round": "last_order_at"}, "v.round", "is no number"),
        ({"unix_time": "total"}, "v.unix_time", "is no time"),
        ({"join": "email"}, "v.join", "make one of a text with split"),
        ({"column": "total", "type": "date"}, "v", "cannot be a date"),
        ({"case": [{"when": {"trait": "total", "starts_with": "1"}, "then": 1}]}, "v.case.0.when", "'starts_with' does not fit"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_when_it_is_planned(lake: Engine, field: Any, where: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as error:
        payloads(lake, sync(field), pl.DataFrame([ANN], schema_overrides={"nickname": pl.String}))
    assert error.value.where == f"syncs.s.mapping.{where}"


def test_a_key_may_be_computed_and_a_changed_mapping_sends_what_it_changes(syncer: Any) -> None:
    s: Syncer = syncer(mapping={"id": {"hash": "email"}, "band": {"map": "total", "values": {1: "one", 2: "two"}}})
    s.profiles([person(1), person(2), person(3, email=None)])
    plan = s.plan()
    assert (plan.add, plan.invalid) == (2, 1)
    s.run(plan)
    assert (s.plan().add, s.plan().change, s.plan().remove, s.plan().unchanged) == (0, 0, 0, 2)
    s.mapping = {**s.mapping, "band": {"map": "total", "values": {1: "one", 2: "TWO"}}}
    assert (s.plan().change, s.plan().unchanged) == (1, 1)
    assert s.plan().samples["change"][0]["before"] == {"band": "two"}
    with pytest.raises(ValidationError, match="must come from a column"):
        sync("email", key={"lower": {"value": "x"}})
    s.mapping = {"id": {"round": "total", "digits": 1}}
    with pytest.raises(SpecError, match="the key has the type float64"):
        s.plan()


def test_the_page_of_a_sync_says_what_a_field_is_made_of() -> None:
    spec = sync({"hash": {"lower": "email"}, "with": "md5"})
    assert spec.mapping["v"].columns == ("email",)
    assert spec.mapping["v"].in_words == "hash(lower(email), with: 'md5')"
    again = SyncSpec.model_validate(spec.model_dump(exclude_unset=True))
    assert again == spec


@given(st.lists(st.one_of(
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1).map(lambda text: ("text", text)),
    st.tuples(st.from_regex(r"[a-z_.0-9]{1,8}", fullmatch=True),
              st.none() | st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]))).map(lambda slot: ("slot", slot)),
)))  # fmt: skip
def test_any_text_and_any_fields_come_back_from_a_template(parts: list[Any]) -> None:
    parts = [*parts, ("slot", ("last", None))]
    written, wanted = "", ""
    for kind, part in parts:
        if kind == "text":
            written += part.replace("{", "{{").replace("}", "}}")
            wanted += part
        else:
            name, default = part
            written += "{ " + name + (" }" if default is None else f" | {default} }}")
            wanted += f"<{name}={(None if default is None else default.strip())!r}>"
    found = parsed(written)
    assert "".join(p if isinstance(p, str) else f"<{p.column}={p.default!r}>" for p in found) == wanted
    assert isinstance(found[-1], Slot)
