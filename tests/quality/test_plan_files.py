"""Plans in files: what is read, and every mistake with its line, the choices and the nearest one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cdp_core.config import check_config, load_config, schema
from cdp_core.config.plans import check_plan, load_plan, parse_plan, plan_names, save_plan
from cdp_core.errors import SpecError, UsageError
from cdp_core.quality.plan.checks import checks_of, parts, spelled
from cdp_core.quality.plan.judge import compile_plan

GOOD = """
description: What the shop's site sends
labels: {owner: growth}
events:
  Order Completed:
    labels: {area: shop}
    properties:
      order_id: {type: string, required: true, description: Number of the order}
      total: {type: number, minimum: 0}
      currency: {enum: [USD, EUR]}
      sku: {pattern: "^cd-[0-9]+$$", max_length: 20}
      address.city: string
      note:
  Signed Up:
identify:
  traits:
    email: {type: string, format: email}
common:
  schema:
    required: [anonymousId]
"""


def write(root: Path, text: str, name: str = "shop") -> Path:
    path = root / "expectations" / "tracking_plan" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.lstrip("\n"))
    return root


def first_problem(root: Path) -> str:
    plan, problems = check_plan(root, "shop")
    assert plan is None
    return str(problems[0])


def test_a_plan_is_read_as_it_is_written(tmp_path: Path) -> None:
    plan = load_plan(write(tmp_path, GOOD), "shop")
    order = plan.events["Order Completed"].properties
    assert (plan.name, plan.labels) == ("shop", {"owner": "growth"})
    assert order["sku"].pattern == "^cd-[0-9]+$$"  # a $ means nothing here but itself
    assert order["note"].types == ()
    assert order["order_id"].required
    assert [check.path for check in checks_of(plan.events["Order Completed"])][-2:] == [("note",), ("address", "city")]
    assert plan.events["Signed Up"].properties == {}


def test_versions_have_numbers_as_names(tmp_path: Path) -> None:
    text = "events:\n  Paid:\n    versions:\n      2: {properties: {total: number}}\n      1: {properties: {total: string}}\n"
    versions = load_plan(write(tmp_path, text), "shop").events["Paid"].by_version()
    assert list(versions) == [1, 2]
    assert versions[1].properties["total"].types == ("string",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("evnts:\n  Paid:\n", "shop.yaml:1: unknown key 'evnts' (valid: description, labels, events, identify, group, page, screen, common); did you mean 'events'?"),
        ("events:\n  Paid:\n    properties:\n      total: {typ: number}\n", "shop.yaml:4: unknown key 'typ' (valid: type, required"),
        ("events:\n  Paid:\n    properties:\n      total: {type: nmber}\n", "shop.yaml:4: 'type' cannot be 'nmber' (valid: any, array"),
        ("events:\n  Paid:\n    properties:\n      total: nmber\n", "did you mean 'number'?"),
        ("events:\n  Paid:\n    properties:\n      total:\n        minimum: zero\n", "shop.yaml:5: 'minimum' must be a"),
        ("events:\n  Paid:\n    properties:\n      sku: {pattern: '('}\n", "shop.yaml:4: 'sku' has a pattern that is no regular expression (ECMA 262)"),
        ("events:\n  Paid:\n    schema:\n      properties:\n        a: {type: strin}\n", "shop.yaml:5: it is no JSON Schema (draft-07)"),
        ("common:\n  schema:\n    $ref: http://example.org/x.json\n", "shop.yaml:2: it is no JSON Schema (draft-07)"),
        ("events:\n  Paid:\n    properties:\n      a.b: string\n      a: {properties: {b: number}}\n", "shop.yaml:2: 'b' is described twice"),
        ("events:\n  Paid:\n    traits: {a: string}\n", "'Paid' has properties, not traits"),
        ("identify:\n  properties: {a: string}\n", "'identify' has traits, not properties"),
        ("events:\n  Paid:\n    properties: {a: {minimum: 3, maximum: 1}}\n", "shop.yaml:3: 'minimum' is above 'maximum'"),
        ("events:\n  Paid:\n    properties: {a: string}\n    versions: {1: {}}\n", "rules stand either here or under `versions`"),
        ("- a\n", "shop.yaml:1: the file must hold keys and values"),
        ("events: [\n", "YAML syntax"),
        ("name: shop\n", "shop.yaml:1: unknown key 'name'"),
    ],
)  # fmt: skip
def test_a_mistake_has_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in first_problem(write(tmp_path, text))


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown tracking plan 'shp' \(valid: shop\); did you mean 'shop'\?"):
        load_plan(write(tmp_path, GOOD), "shp")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("plan: shp", "cdp.yaml:5: unknown tracking plan 'shp' (valid: shop); did you mean 'shop'?"),
        ("plan: {name: shop, violations: blok}", "'violations' cannot be 'blok' (valid: allow, omit, block); did you mean 'block'?"),
        ("plan: {name: shop, unplaned_events: block}", "did you mean 'unplanned_events'?"),
        ("transform: [{drop: properties.a, hash: traits.b}]", "say one of rename_event, rename, move, drop, hash, not drop and hash"),
        ("transform: [{rename: properties.a}]", "`to` belongs to rename and move, and they need it"),
        ("transform: [{drop: a}]", "'a' is no place; write properties.name or traits.name"),
    ],
)  # fmt: skip
def test_what_a_source_says_of_its_plan_is_checked(tmp_path: Path, source: str, said: str) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "cdp.yaml").write_text(
        f"name: t\nsources:\n  web:\n    type: segment\n    {source}\n    path: '*.ndjson'\n"
    )
    _, problems = check_config(tmp_path)
    assert any(said in str(problem) for problem in problems), [str(p) for p in problems]


def test_the_short_form_is_a_plan_that_only_reports(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "cdp.yaml").write_text("name: t\nsources:\n  web: {type: segment, path: '*.ndjson', plan: shop}\n")
    use = load_config(tmp_path).sources["web"].plan
    assert use is not None
    assert set(use.controls.model_dump().values()) == {"allow"}
    assert "plan" not in load_config(tmp_path).sources["web"].options


def test_the_schema_of_cdp_yaml_knows_plans() -> None:
    variants = schema()["$defs"]["SourceSpec"]["anyOf"]
    assert all({"plan", "transform"} <= set(v["properties"]) for v in variants)
    assert variants[0]["properties"]["plan"]["anyOf"][0] == {"type": "string"}


def test_a_plan_is_saved_only_when_it_is_right_and_new(tmp_path: Path) -> None:
    path = save_plan(tmp_path, "shop", GOOD)
    assert plan_names(tmp_path) == ["shop"]
    with pytest.raises(UsageError, match="there is a plan 'shop' already"):
        save_plan(tmp_path, "shop", GOOD)
    with pytest.raises(SpecError, match="unknown key 'evnts'"):
        save_plan(tmp_path, "other", "evnts: {}\n")
    with pytest.raises(UsageError, match="is no name of a plan"):
        save_plan(tmp_path, "../x", GOOD)
    assert [p.name for p in path.parent.iterdir()] == ["shop.yaml"]


ODD = (
    "1998-07-01", ".nan", "[1, {a: b}]", "null", "true", "{}", "'('", "&a [*a]", "!!python/x y", "\x00", "1e999", "-5", "9" * 30, "? x", "<<: {a: 1}",
    '"\\ud800"', "${X}", "- a", "\t",
)  # fmt: skip


def test_whatever_is_written_becomes_a_plan_or_problems() -> None:
    rng = random.Random(3)
    for _ in range(600):
        lines = GOOD.split("\n")
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(lines))
            line, place = lines[at], rng.randrange(len(lines[at]) + 1)
            head = line[: line.index(":") + 1] if ":" in line else line
            lines[at] = rng.choice(
                [
                    f"{head} {rng.choice(ODD)}",
                    "",
                    line[:place] + rng.choice(ODD) + line[place:],
                    line[:place] + line[place + 1 :],
                ]
            )
        plan, problems = parse_plan("\n".join(lines).encode(), "plan.yaml", "plan")
        assert (plan is None) == bool(problems)
        assert all("\n" not in str(problem) and "plan.yaml" in str(problem) for problem in problems)
        if plan is not None:
            compile_plan(plan)({"type": "track", "event": "Order Completed", "properties": {"total": 1}})


def test_dotted_names_lead_both_ways() -> None:
    for path in (("a", "b"), ("v1.0",), ("a\\", "b.c"), ("",), ("", ".")):
        assert parts(spelled(path)) == path
