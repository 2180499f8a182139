"""Matching: who may be one person, who must not, and that it stays so."""

from __future__ import annotations

import json
import logging
import random
from typing import Any

import matching_worlds as worlds
import polars as pl
import pytest
from pydantic import ValidationError

from cdp_core.errors import UsageError
from cdp_core.identity.matching.comparisons import comparisons
from cdp_core.identity.matching.match import LEFT, RIGHT, Matches, match
from cdp_core.identity.matching.records import normalise
from cdp_core.identity.matching.spec import COMMON_NAMES, ROLES, MatchingSpec
from cdp_core.identity.matching.waterfall import waterfall

SPEC = MatchingSpec()
ALL = MatchingSpec(review=1e-9)
HOME = {
    "last_name": "Hearthson",
    "address": "7 Oak Lane",
    "city": "Northam",
    "postcode": "1001",
    "phone": "0700 900 123",
}
MOTHER = HOME | {"first_name": "Katarin", "birth_date": "1961-03-04", "email": "kata@mail1.example"}
FATHER = HOME | {"first_name": "Robert", "birth_date": "1959-11-20", "email": "rob@mail2.example"}
SON = FATHER | {"birth_date": "1988-05-17", "email": "robert.junior@mail3.example"}
TWIN = HOME | {"first_name": "Mino", "birth_date": "1990-07-08", "email": "mino@mail3.example"}
OTHER_TWIN = HOME | {"first_name": "Belana", "birth_date": "1990-07-08", "email": "belana@mail4.example"}


@pytest.fixture(scope="module")
def people() -> pl.DataFrame:
    return worlds.world(250, seed=3)


@pytest.fixture(scope="module")
def found(people: pl.DataFrame) -> Matches:
    return match(people.drop("person"), ALL)


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{"profile_id": f"h{at}"} | row for at, row in enumerate(rows)], infer_schema_length=None)


def ids(pairs: pl.DataFrame) -> set[tuple[str, str]]:
    return set(pairs.select(LEFT, RIGHT).iter_rows())


def test_right_on_made_up_people(people: pl.DataFrame, found: Matches) -> None:
    who = dict(people.select("profile_id", "person").iter_rows())
    told = ids(found.pairs.filter(pl.col("probability") >= SPEC.review))
    truth = {(a, b) for a in who for b in who if a < b and who[a] == who[b]}
    assert len(told & truth) / len(told) >= 0.97
    assert len(told & truth) / len(truth) >= 0.95
    assert found.model["trained"]


def test_the_same_records_give_the_same_model_and_pairs_in_any_order(people: pl.DataFrame, found: Matches) -> None:
    again = match(people.drop("person").sample(fraction=1, shuffle=True, seed=5), ALL)
    assert again.model == found.model
    assert again.pairs.equals(found.pairs)


def test_pairs_are_whole_and_hold_no_value(people: pl.DataFrame, found: Matches) -> None:
    assert (found.pairs[LEFT] < found.pairs[RIGHT]).all()
    assert not found.pairs.select(LEFT, RIGHT).is_duplicated().any()
    assert found.pairs["match_weight"].is_sorted(descending=True)
    text = " ".join(found.pairs["evidence"].unique())
    assert not [name for name in (*worlds.FIRST, *worlds.LAST, *worlds.CITIES) if name in text]
    for weight, probability, evidence in (
        found.pairs.head(50).select("match_weight", "probability", "evidence").iter_rows()
    ):
        steps = json.loads(evidence)
        assert steps[0]["comparison"] == "prior"
        assert sum(step["weight"] for step in steps) == pytest.approx(weight, abs=0.01)
        assert probability == pytest.approx(1 / (1 + 2**-weight))


def test_a_model_is_json_and_names_nobody_rare(people: pl.DataFrame, found: Matches) -> None:
    assert json.loads(json.dumps(found.model)) == found.model
    for name, kept in found.model["frequencies"].items():
        counts = dict(normalise(people, SPEC)[name].value_counts().iter_rows())
        assert all(counts[value] >= 5 for value in kept["values"])


@pytest.mark.parametrize("missing", [(), ("birth_date",), ("email",), ("phone", "address"), ("birth_date", "email")])
def test_a_household_is_not_one_person(people: pl.DataFrame, found: Matches, missing: tuple[str, ...]) -> None:
    family = frame(MOTHER, FATHER, TWIN, OTHER_TWIN, *(() if "birth_date" in missing else (SON,)))
    family = family.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
    records = pl.concat([people.drop("person"), family], how="diagonal")
    told = match(records, SPEC, model=found.model).pairs
    assert not [pair for pair in ids(told) if pair[0].startswith("h") and pair[1].startswith("h")]


def test_a_household_that_the_model_was_trained_on_is_not_one_person(people: pl.DataFrame) -> None:
    family = frame(MOTHER, FATHER, SON, TWIN, OTHER_TWIN, TWIN | {"first_name": "Sarin", "email": OTHER_TWIN["email"]})
    told = match(pl.concat([people.drop("person"), family], how="diagonal").drop("state", strict=False), SPEC).pairs
    assert not [pair for pair in ids(told) if pair[0].startswith("h") and pair[1].startswith("h")]


def test_a_household_is_not_one_person_without_training() -> None:
    assert match(frame(MOTHER, FATHER, SON, TWIN, OTHER_TWIN), SPEC).pairs.is_empty()


def test_many_households_do_not_teach_that_they_are_people() -> None:
    """Every address holds a couple and twins, and nobody is there twice."""
    rng = random.Random(11)
    rows = []
    for number in range(60):
        home = {k: worlds.person(rng, number)[k] for k in ("last_name", "address", "city", "postcode", "phone")}
        a, b, c, d = (worlds.person(rng, number) for _ in range(4))
        names = rng.sample(["robert", "sadia", "milana", "tino", "kavid", "anno"], 4)
        own = [{"first_name": n, "birth_date": p["birth_date"]} for n, p in zip(names, (a, b, c, d), strict=True)]
        own[3]["birth_date"] = own[2]["birth_date"]
        rows += [home | one for one in own]
    told = match(frame(*rows), SPEC).pairs
    assert told.height <= 2


def test_swapped_names_and_a_swapped_day_are_one_person(people: pl.DataFrame, found: Matches) -> None:
    one = {
        "first_name": "Zeno",
        "last_name": "Quillfeather",
        "birth_date": "1971-06-04",
        "city": "Northam",
        "postcode": "1001",
    }
    other = one | {"first_name": "Quillfeather", "last_name": "Zeno", "birth_date": "04.06.1971"}
    third = one | {"birth_date": "19710406", "last_name": "Quilfeather"}
    records = pl.concat([people.drop("person"), frame(one, other, third)], how="diagonal")
    assert {("h0", "h1"), ("h0", "h2")} <= ids(match(records, SPEC, model=found.model).pairs)


def test_incremental_pairs_and_old_pairs_are_all_pairs(people: pl.DataFrame) -> None:
    records = people.drop("person")
    old, known = records.head(200), records["profile_id"].head(200).to_list()
    before = match(old, ALL)
    after = match(records, ALL, known=known, model=before.model)
    full = match(records, ALL, model=before.model)
    assert not [pair for pair in ids(after.pairs) if set(pair) <= set(known)]
    order = [LEFT, RIGHT]
    assert pl.concat([before.pairs, after.pairs]).sort(order).equals(full.pairs.sort(order))
    assert before.compared + after.compared == full.compared
    assert after.model == before.model


def test_nothing_new_compares_nothing(people: pl.DataFrame, found: Matches) -> None:
    records = people.drop("person")
    again = match(records, ALL, known=records["profile_id"], model=found.model)
    assert (again.pairs.height, again.compared) == (0, 0)


@pytest.mark.parametrize("height", [0, 1, 2, 3])
def test_few_records(height: int) -> None:
    records = frame(MOTHER, MOTHER | {"email": None}, FATHER)
    found = match(records.head(height), SPEC)
    assert not found.model["trained"]
    assert ids(found.pairs) == ({("h0", "h1")} if height >= 2 else set())


@pytest.mark.parametrize(("column", "value"), [("first_name", None), ("birth_date", "1990-01-01"), ("email", "")])
def test_a_column_that_says_nothing(column: str, value: str | None) -> None:
    records = worlds.world(60, seed=4).drop("person").with_columns(pl.lit(value, pl.String).alias(column))
    assert 0 < match(records, SPEC).pairs.height < 200


def test_records_without_traits_match_nobody() -> None:
    assert match(pl.DataFrame({"profile_id": ["a", "b"], "plan": ["x", "x"]}), SPEC).pairs.is_empty()


def test_all_records_alike() -> None:
    assert match(frame(*[MOTHER] * 80), SPEC).pairs.height in (0, 80 * 79 // 2)


def test_logs_and_output_say_nothing(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        match(worlds.world(60, seed=9).drop("person"), SPEC)
    assert not [record for record in caplog.records if record.name.startswith("splink")]
    assert capfd.readouterr() == ("", "")


def test_normalised_records() -> None:
    rows = [
        {
            "Given_Name": " Zoë ",
            "dob": "19081209",
            "address": "12a Main St.",
            "mobile": "+44 (0)20 7946 0018",
            "e_mail": "Ann@Mail.example",
        },
        {"Given_Name": "O'Neil-Łuk", "dob": "1971-06-24", "address": "Hauptstraße 5", "mobile": "12", "e_mail": "none"},
        {"Given_Name": "--", "dob": "31/12/1999", "address": "Oak Lane", "mobile": None, "e_mail": None},
        {"Given_Name": None, "dob": "soon", "address": "", "mobile": "", "e_mail": ""},
    ]
    clean = normalise(frame(*rows), SPEC)
    assert clean["first_name"].to_list() == ["zoe", "oneil luk", None, None]
    assert clean["birth_date"].to_list() == ["19081209", "19710624", "19991231", None]
    assert clean["street"].to_list() == ["main st", "hauptstrasse", "oak lane", None]
    assert clean["house_number"].to_list() == ["12a", "5", None, None]
    assert clean["phone"].to_list() == ["079460018", None, None, None]
    assert clean["email_user"].to_list() == ["ann", None, None, None]


def test_dates_and_numbers_of_any_type() -> None:
    import datetime as dt

    records = pl.DataFrame(
        {"profile_id": [1], "dob": [dt.date(1970, 1, 2)], "postcode": [1234], "born": [dt.datetime(1971, 2, 3)]}
    )
    assert normalise(records, SPEC).select("profile_id", "birth_date", "postcode").row(0) == ("1", "19700102", "1234")
    named = MatchingSpec(columns={"birth_date": "born"})
    assert normalise(records, named)["birth_date"].to_list() == ["19710203"]


def test_waterfall_starts_at_the_prior_and_ends_at_the_weight(found: Matches) -> None:
    weight, evidence = found.pairs.select("match_weight", "evidence").row(0)
    bars = waterfall(evidence)
    assert bars.columns == ["step", "weight", "start", "end"]
    assert bars["start"].to_list()[1:-1] == pytest.approx(bars["end"].to_list()[:-2])
    assert bars["end"][-1] == pytest.approx(weight, abs=0.01)


def test_what_cannot_be_matched_is_said() -> None:
    with pytest.raises(UsageError, match="profile_id"):
        match(pl.DataFrame({"name": ["a"]}), SPEC)
    with pytest.raises(UsageError, match="once"):
        match(pl.DataFrame({"profile_id": ["a", "a"]}), SPEC)
    with pytest.raises(UsageError, match="version"):
        match(pl.DataFrame({"profile_id": ["a", "b"]}), SPEC, model={"version": 0})
    for wrong in ({"auto": 0.2}, {"review": 0}, {"columns": {"nickname": "x"}}, {"threshold": 1}):
        with pytest.raises(ValidationError):
            MatchingSpec.model_validate(wrong)


def test_every_role_has_names_and_every_comparison_sums_to_one() -> None:
    assert set(COMMON_NAMES) == set(ROLES)
    for comparison in comparisons(frozenset(ROLES)):
        if not any(level.fixed for level in comparison.scored):
            assert sum(level.m for level in comparison.scored) == pytest.approx(1, abs=0.05)
            assert sum(level.u for level in comparison.scored) == pytest.approx(1, abs=0.05)
