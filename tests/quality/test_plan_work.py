"""What people do with plans: list, check, preview, infer, import and export, by Python and by the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cdp_core as cdp
from cdp_core.cli import execute

PLAN = "events:\n  Viewed:\n    properties:\n      genre: {type: string, required: true, enum: [rock]}\n"
SECRET = "jane.roe@example.org"


def event(number: int) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "genre": ["rock", "pop"][number % 2], "customerEmail": SECRET, "channel": f"c{number}@x", "price": number / 4, "count": number,
        "at": "1998-07-01T00:00:00Z", "nested": {"city": "Ulm", "zip.code": 5}, "hotline": "0800 555 5551", "tags": {f"k{number}": 1},
    }  # fmt: skip
    if number % 4:
        properties["optional"] = None if number % 3 else True
    return {"type": "track", "event": "Viewed", "messageId": f"m{number:04}", "anonymousId": "a", "timestamp": "1998-07-01T00:00:00Z",
            "receivedAt": f"1998-07-01T00:{number // 60:02}:{number % 60:02}Z", "properties": properties}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plans")
    (folder / "expectations" / "tracking_plan").mkdir(parents=True)
    (folder / "expectations" / "tracking_plan" / "shop.yaml").write_text(PLAN)
    lines = [event(number) for number in range(400)]
    lines += [
        {
            "type": "identify",
            "messageId": "i1",
            "userId": "u",
            "timestamp": "1998-07-01T00:00:00Z",
            "traits": {"email": SECRET},
        }
    ]
    (folder / "web.ndjson").write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    (folder / "cdp.yaml").write_text(
        "name: t\ntoday: 1998-07-02\nsources:\n  web: {type: segment, path: web.ndjson, plan: shop}\n  empty: {type: segment, path: 'none/*.ndjson'}\n"
    )
    with cdp.open(folder) as ws:
        assert ws.run(select=["web"]).status == "succeeded"
    return folder


@pytest.fixture
def ws(root: Path) -> Iterator[cdp.Workspace]:
    with cdp.open(root) as opened:
        yield opened


def test_preview_counts_what_would_be_held(ws: cdp.Workspace) -> None:
    found = ws.plans.preview("shop", "web")
    assert (found.events, found.held) == (401, 200)
    assert found.words == "with plan 'shop' 200 of the last 401 events of web would have been held"
    rows = {(row["rule"], row["field"]): row for row in found.found.to_dicts()}
    genre = rows["plan.enum", "properties.genre"]
    assert (genre["event"], genre["action"], genre["count"], genre["sample"]) == (
        "Viewed",
        "block",
        200,
        ["m0001", "m0003", "m0005"],
    )
    assert rows["plan.unplanned_property", "properties.customerEmail"]["action"] == "allow"
    assert SECRET not in json.dumps(found.to_dict())
    newest = ws.plans.preview("shop", "web", last=101)  # the identify came first
    assert (newest.events, newest.held) == (101, 51)
    assert ws.plans.preview("shop", "web", controls={"violations": "omit"}).held == 0


def test_a_plan_is_tried_saved_and_put_back(ws: cdp.Workspace) -> None:
    text = "# mine\n" + PLAN.replace("[rock]", "[rock, pop]")
    assert ws.plans.text("shop") == PLAN
    assert ws.plans.preview("shop", "web", text=text).held == 0
    edit = ws.plans.save("shop", text, expected=PLAN)
    assert (ws.plans.text("shop"), ws.plans.preview("shop", "web").held) == (text, 0)
    with pytest.raises(cdp.UsageError, match=r"shop.yaml: the plan has changed; .*nothing was written"):
        ws.plans.save("shop", PLAN, expected=PLAN)
    with pytest.raises(cdp.SpecError, match=r"shop.yaml:1: unknown key 'evnts'"):
        ws.plans.save("shop", "evnts: {}\n", expected=text)
    assert ws.plans.text("shop") == text
    ws.plans.undo(edit)
    assert ws.plans.text("shop") == PLAN
    with pytest.raises(cdp.UsageError, match="has changed"):
        ws.plans.undo(edit)
    with pytest.raises(cdp.UsageError, match="unknown tracking plan 'none'"):
        ws.plans.save("none", PLAN)


def test_preview_writes_nothing(ws: cdp.Workspace) -> None:
    before = ws.snapshot()
    ws.plans.preview("shop", "web")
    ws.plans.infer("web")
    assert ws.snapshot() == before


def test_infer_says_types_and_choices_and_nobody_s_data(ws: cdp.Workspace, root: Path) -> None:
    made = ws.plans.infer("web")
    from cdp_core.config.plans import parse_plan

    plan, problems = parse_plan(made.text.encode(), "x.yaml", "x")
    assert plan is not None, problems
    rules = plan.events["Viewed"].properties
    assert rules["genre"].enum == ("pop", "rock")
    assert (rules["price"].types, rules["count"].types, rules["at"].types) == (
        ("number",),
        ("integer",),
        ("date-time",),
    )
    assert (rules["optional"].types, rules["optional"].required, rules["optional"].description) == (
        ("boolean", "null"),
        False,
        "in 75% of them",
    )
    assert {name for name, rule in rules.items() if rule.enum} == {"genre"}
    assert rules["customerEmail"].format == "email"
    assert r"nested.zip\.code" in rules
    assert not any(name.startswith("tags.") for name in rules), "a map's keys are values"
    assert plan.identify is not None
    for value in (SECRET, "Ulm", "0800", "c1@x"):
        assert value not in made.text
    assert ws.plans.preview("shop", "web").found.height
    written = ws.plans.infer("web", name="begun", write=True)
    assert written.path is not None
    found = ws.plans.preview("begun", "web")
    assert found.held == 0
    assert {row["rule"] for row in found.found.to_dicts()} == set()
    written.path.unlink()


def test_infer_of_nothing(ws: cdp.Workspace) -> None:
    with pytest.raises(cdp.UsageError, match="nothing has been loaded from 'empty' yet"):
        ws.plans.infer("empty")


def test_the_source_s_judge(ws: cdp.Workspace) -> None:
    judge = ws.plans.judge("web")
    (decision,) = judge({"type": "track", "event": "Viewed", "properties": {"genre": "pop"}})
    assert (decision.rule, decision.action) == ("plan.enum", "allow")
    with pytest.raises(cdp.UsageError, match="has no tracking plan"):
        ws.plans.judge("empty")


def cli(root: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = execute(["quality", "plan", *words, "--workspace", str(root)])
    return code, *capsys.readouterr()


def test_the_command_line(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = cli(root, capsys, "list", "--output", "json")
    assert (code, json.loads(out)[0]["plan"], json.loads(out)[0]["sources"]) == (0, "shop", "web")
    assert json.loads(cli(root, capsys, "show", "shop", "--output", "json")[1])["events"]["Viewed"]["properties"][
        "genre"
    ]["required"]
    assert cli(root, capsys, "check")[1] == "no problems\n"
    said = json.loads(cli(root, capsys, "preview", "shop", "--source", "web", "--output", "json")[1])
    assert (said["held"], said["events"]) == (200, 401)
    assert "would have been held" in cli(root, capsys, "preview", "shop", "--source", "web")[2]
    for form, name in (("segment", "a.json"), ("segment-csv", "b.csv"), ("rudderstack", "c.json")):
        code, out, _ = cli(root, capsys, "export", "shop", "--format", form)
        (tmp_path / name).write_text(out)
        code, out, _ = cli(root, capsys, "import", str(tmp_path / name), "--name", f"from-{form}")
        assert (code, out) == (0, f"expectations/tracking_plan/from-{form}.yaml\n")
        with cdp.open(root) as ws:
            assert ws.plans.show(f"from-{form}")["events"]["Viewed"]["properties"]["genre"]["enum"] == ["rock"]
        (root / out.strip()).unlink()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "shp"], "unknown tracking plan 'shp' (valid: shop); did you mean 'shop'?"),
        (["preview", "shop", "--source", "wb"], "unknown source 'wb'"),
        (["infer", "web", "--name", "shop", "--write"], "there is a plan 'shop' already"),
        (["import", "nowhere.json", "--name", "x"], "nowhere.json: the file cannot be read"),
    ],
)
def test_a_mistake_gets_one_line(root: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    code, out, err = cli(root, capsys, *words)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [ '{"rules": [{"type": "TRACK", "key": "A", "jsonSchema": {"properties": 5}}]}',
     '{"rules": {"events": 5}}', '{"rules": {"identify_traits": [{}]}}', '{"events": [{"rules": "x"}]}', "[1", "5", '{"events": [{"name": "A", "rules": {"properties": {"properties": {"required": 5, "properties": []}}}}]}'],
)  # fmt: skip
def test_a_file_of_another_shape_is_one_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "odd.json").write_text(text)
    code, out, err = cli(root, capsys, "import", str(tmp_path / "odd.json"), "--name", "odd")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not (root / "expectations" / "tracking_plan" / "odd.yaml").exists()


def test_check_lists_every_problem(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "expectations" / "tracking_plan" / "bad.yaml"
    path.write_text("evnts: {}\nevents:\n  A:\n    properties: {a: {typ: string}}\n")
    try:
        code, out, err = cli(root, capsys, "check", "bad")
        assert (code, out) == (2, "")
        assert "bad.yaml:1: unknown key 'evnts'" in err
        assert "bad.yaml:4: unknown key 'typ'" in err
        assert "bad.yaml:1" in cli(root, capsys, "list", "--output", "csv")[1]
    finally:
        path.unlink()
