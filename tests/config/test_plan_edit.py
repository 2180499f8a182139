"""Plans changed in their text: what is wanted stands there, and every line that is not concerned stays as it was."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cdp_core.config.plan_edit import draft_problems, edit_plan, plan_model
from cdp_core.config.plans import parse_plan, read_plan, replace_plan
from cdp_core.dashboard.views import plan_form as view
from cdp_core.errors import SpecError, UsageError

PLAN = """\
# who sends it
description: The shop

events:
  # money
  Paid:
    labels: {area: basket}   # as in the wiki
    properties:
      total: {type: number, minimum: 0}   # with tax
      "a.b": string
      # not yet
      kind:
        type: string
        enum: [card, cash]   # no cheques

  Seen:   # often
    versions:
      1: {properties: {a: string}}
      2:
        properties:
          a: {type: string}
identify:
  traits:
    email: {type: string, required: true}
common:
  schema: {required: [context]}
"""


def changed(text: str, path: tuple[str, ...], value: Any) -> str:
    return edit_plan(text, "shop", view.with_value(plan_model(text, "shop"), path, value))


def lines_that_differ(before: str, after: str) -> tuple[list[str], list[str]]:
    old, new = before.splitlines(), after.splitlines()
    return [line for line in old if line not in new], [line for line in new if line not in old]


def sound(text: str) -> None:
    assert parse_plan(text.encode(), "shop.yaml", "shop")[1] == []


@pytest.mark.parametrize(
    ("path", "value", "gone", "come"),
    [
        (
            ("events", "Paid", "properties", "total", "maximum"),
            9,
            ["      total: {type: number, minimum: 0}   # with tax"],
            ["      total: {type: number, minimum: 0, maximum: 9}   # with tax"],
        ),
        (("events", "Paid", "properties", "kind", "required"), True, [], ["        required: true"]),
        (
            ("events", "Paid", "properties", "a.b"),
            {"type": "string", "pattern": "^x$"},
            ['      "a.b": string'],
            ['      "a.b": {type: string, pattern: ^x$}'],
        ),
        (
            ("events", "Paid", "properties", 'to"s: {x}'),
            {"type": "integer"},
            [],
            ["      'to\"s: {x}': {type: integer}"],
        ),
        (("events", "Paid", "properties", "total"), None, ["      total: {type: number, minimum: 0}   # with tax"], []),
        (("events", "Seen", "versions", "3"), {"properties": {}}, [], ["      3:", "        properties: {}"]),
        (("events", "Seen", "versions", "2", "properties", "b"), {"type": "null"}, [], ["          b: {type: 'null'}"]),
        (("events", "true"), {}, [], ["  'true': {}"]),
        (("identify", "traits", "email"), None, ["  traits:", "    email: {type: string, required: true}"], ["  traits: {}"]),
        (("page",), {"properties": {}}, [], ["page:"]),
        (("events", "Paid", "description"), "One: two", [], ["    description: 'One: two'"]),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else None,
)  # fmt: skip
def test_a_change_is_the_lines_that_it_is_about(path: Any, value: Any, gone: list[str], come: list[str]) -> None:
    after = changed(PLAN, path, value)
    sound(after)
    removed, added = lines_that_differ(PLAN, after)
    added = [re.sub(r" +# ", "   # ", line) for line in added]
    assert removed == gone
    assert [line for line in added if line in come] == come
    assert len(added) <= max(len(come), 1) + 1


def test_a_key_is_renamed_where_it_stands() -> None:
    wanted = view.renamed_key(plan_model(PLAN, "shop"), ("events", "Paid", "properties", "total"), "sum: all")
    after = edit_plan(PLAN, "shop", wanted, [(("events", "Paid", "properties", "total"), "sum: all")])
    assert after == PLAN.replace("      total: {", '      "sum: all": {')


def test_names_may_be_exchanged() -> None:
    text = "events:\n  A:\n    properties:\n      one: {type: string}  # first\n      two: {type: number}  # second\n"
    wanted = {"events": {"A": {"properties": {"two": {"type": "string"}, "one": {"type": "number"}}}}}
    path = ("events", "A", "properties")
    after = edit_plan(text, "shop", wanted, [((*path, "one"), "two"), ((*path, "two"), "one")])
    assert after == text.replace("one:", "?:").replace("two:", "one:").replace("?:", "two:")


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "description: x", "events: {}\n", "events:\n"])
def test_an_empty_plan_is_begun(text: str) -> None:
    after = changed(text, ("events", "Paid", "properties", "total"), {"type": "number"})
    sound(after)
    assert plan_model(after, "shop")["events"] == {"Paid": {"properties": {"total": {"type": "number"}}}}
    assert all(line in after for line in text.splitlines() if line.startswith(("#", "description")))


def test_the_last_event_may_go() -> None:
    assert changed("events:\n  Paid: {}\n", ("events", "Paid"), None) == "events: {}\n"


def test_what_an_anchor_shares_is_not_edited_by_the_way() -> None:
    text = "events:\n  A: &a\n    properties:\n      x: string\n  B: *a\n"
    with pytest.raises(SpecError, match="edit"):
        changed(text, ("events", "B", "properties", "x"), "number")
    with pytest.raises(SpecError, match="cannot be made in place"):
        changed(text, ("events", "A", "properties", "x"), "number")


def test_a_plan_in_one_line_is_refused_in_words() -> None:
    with pytest.raises(SpecError, match="cannot be edited in place"):
        changed("{events: {A: {}}}\n", ("events", "B"), {})


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{type: numbr}", "Paid › total: 'type' cannot be 'numbr' (valid: any, array"),
        ("{type: string, pattern: '['}", "Paid › total: 'total' has a pattern that is no regular expression"),
        ("{minimum: 5, maximum: 1}", "Paid › total: 'minimum' is above 'maximum'"),
        ("{min_length: 5, max_length: 1}", "Paid › total: 'min_length' is above 'max_length'"),
        ("{requird: true}", "did you mean 'required'?"),
    ],
)
def test_what_is_wrong_is_said_with_event_and_property(rule: str, said: str) -> None:
    (problem,) = draft_problems(f"events:\n  Paid:\n    properties:\n      total: {rule}\n", "shop")
    assert said in str(problem)
    assert problem.line == 4


def test_broken_yaml_names_its_line() -> None:
    with pytest.raises(SpecError, match=r"shop\.yaml:3: .*starts in line 2"):
        plan_model("events:\n  A: {b\n", "shop")
    assert draft_problems("events:\n  A: {b\n", "shop")


def test_line_ends_and_byte_order_mark_of_a_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "expectations" / "tracking_plan" / "shop.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xef\xbb\xbf" + PLAN.replace("\n", "\r\n").encode())
    before = path.read_bytes()
    text = read_plan(tmp_path, "shop")
    after = changed(text, ("events", "Paid", "properties", "total", "minimum"), 5)
    replace_plan(tmp_path, "shop", after, expected=text)
    assert path.read_bytes() == before.replace(b"minimum: 0", b"minimum: 5")
    with pytest.raises(UsageError, match="has changed"):
        replace_plan(tmp_path, "shop", text, expected=text)


NAMES = st.sampled_from(
    ["total", "a.b", "it's", 'say "x"', "sum: all", "#1", "true", "7", "ünï", "- x", "{y}", " z", "null"]
)
KINDS = st.sampled_from(["string", "number", "integer", "boolean"])
CELLS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.lists(KINDS, min_size=1, max_size=2, unique=True),
        "required": st.booleans(),
        "enum": st.lists(st.sampled_from(["rock", "5", "null", "true", "x, y", "[z]"]), max_size=3, unique=True),
        "minimum": st.one_of(st.none(), st.integers(-5, 5).map(float), st.just(0.5)),
        "pattern": st.sampled_from([None, "^a$", "\\d{2}: #x", "'"]),
        "description": st.sampled_from([None, "words", "a: b", "two\nlines", "#no", "{no}"]),
    },
)


@st.composite
def plans(draw: st.DrawFn) -> str:
    """Events with one line for each property, each line with a mark of its own, and comments around them."""
    lines = ["# the head", "description: d  # about it", "events:"]
    for event in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        lines += [f"  # before {len(lines)}", f"  {key(event)}:  # event {len(lines)}", "    properties:"]
        for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
            shape = draw(
                st.sampled_from(["string", "{type: [string, number], required: true}", "{ type:   number }", "{}"])
            )
            lines += [f"      {key(name)}: {shape}  # line {len(lines)}"]
            if draw(st.booleans()):
                lines += [f"      # behind {len(lines)}"]
        lines += [""] if draw(st.booleans()) else []
    return "\n".join([*lines, "page:  # at the end", "  properties: {path: string}"]) + "\n"


def key(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_random_edits_of_the_table_give_the_edited_plan_and_leave_other_lines(data: st.DataObject) -> None:
    text = data.draw(plans())
    model = plan_model(text, "shop")
    event = data.draw(st.sampled_from(list(model["events"])))
    path = ("events", event, "properties")
    base = model["events"][event]["properties"]
    rows = st.integers(0, len(base) - 1)
    edits = {
        "edited_rows": data.draw(st.dictionaries(rows, CELLS | st.builds(lambda n: {"name": n}, NAMES), max_size=2)),
        "deleted_rows": data.draw(st.lists(rows, max_size=1)),
        "added_rows": data.draw(st.lists(st.builds(lambda n, c: {"name": n, **c}, NAMES, CELLS), max_size=2)),
    }
    found = view.applied(base, edits)
    renames = [((*path, was), now) for was, now in zip(base, found.names, strict=True) if now not in (None, was)]
    wanted = copy.deepcopy(model)
    wanted["events"][event]["properties"] = found.rules
    after = edit_plan(text, "shop", wanted, renames)
    assert loaded(after) == wanted
    touched = {*edits["edited_rows"], *edits["deleted_rows"]}
    concerned = {f"      {key(name)}:" for row, name in enumerate(base) if row in touched}
    start = text.index(f"\n  {key(event)}:")
    inside = text[start : text.find("\n  #", start + 1)] if "\n  #" in text[start + 1 :] else text[start:]
    emptied = {"    properties:"} if not found.rules else set()
    kept = [
        line
        for line in text.splitlines()
        if not (
            line in inside and (any(line.startswith(each) for each in concerned) or line in emptied or not found.rules)
        )
    ]
    assert_in_order(kept, after.splitlines())


def loaded(text: str) -> Any:
    """By another reader: what plain YAML says, keys as texts."""
    return strings(YAML(typ="safe").load(text))


def strings(value: Any) -> Any:
    return {str(k): strings(v) for k, v in value.items()} if isinstance(value, dict) else value


def assert_in_order(wanted: list[str], lines: list[str]) -> None:
    rest = iter(lines)
    missing = [line for line in wanted if line not in rest]
    assert not missing, (missing, lines)
