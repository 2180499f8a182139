"""Every page on a workspace that has run, on one that has not, and on a broken one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

import cdp_core as cdp
from cdp_core.dashboard import headers

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("fresh_caches")

PAGES = ("overview", "quality", "inventory", "consent", "customers", "identity", "audiences", "destinations")


def one_page(name: str, root: str) -> None:
    """The script of a page drawn alone."""
    import importlib
    from pathlib import Path

    from cdp_core.dashboard import session

    session.choose(Path(root))
    importlib.import_module(f"cdp_core.dashboard.pages.{name}").page(session.workspace())


def drawn(name: str, root: Path, **query: str) -> AppTest:
    at = AppTest.from_function(one_page, args=(name, str(root)), default_timeout=60)
    for key, value in query.items():
        at.query_params[key] = value
    at.run()
    assert not at.exception, [e.value for e in at.exception]
    return at


def app(root: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("CDP_WORKSPACE", str(root))
    return AppTest.from_file(headers.SCRIPT, default_timeout=60).run()


def words(at: AppTest) -> str:
    """All text of a page."""
    kinds = ("markdown", "caption", "title", "subheader", "warning", "error", "info")
    return " ".join(str(element.value) for kind in kinds for element in at.get(kind))


@pytest.mark.parametrize("name", PAGES)
def test_page(name: str, built: Path) -> None:
    at = drawn(name, built)
    assert not at.error
    assert at.dataframe or name == "consent"


def test_app_walks_through_every_page(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = app(built, monkeypatch)
    for name in PAGES:
        at._page_hash = calc_hash("" if name == "overview" else name)
        at.run()
        assert not at.exception, (name, [e.value for e in at.exception])
        assert at.title[0].value.lower() == name
        assert at.button(key="run_now").label == "Run now"


def test_workspace_that_has_not_run_says_what_to_do(unrun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = app(unrun, monkeypatch)
    for name in PAGES:
        at._page_hash = calc_hash("" if name == "overview" else name)
        at.run()
        assert not at.exception
        assert "Nothing has been loaded yet" in words(at)
        assert at.button(key="first_run")


@pytest.mark.parametrize("name", PAGES)
def test_page_of_a_workspace_that_has_not_run(name: str, unrun: Path) -> None:
    drawn(name, unrun)


def test_workspace_that_cannot_be_opened_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cdp.yaml").write_text("name: broken\nsorces: {}\n")
    at = app(tmp_path, monkeypatch)
    assert not at.exception
    told = at.error[0].value.replace("\\", "")
    assert "cdp.yaml:2" in told
    assert "sources" in told
    (tmp_path / "cdp.yaml").write_text("name: mended\n")
    at.button(key="try_again").click().run()
    assert not at.error
    assert not at.exception


def test_configuration_that_becomes_wrong_keeps_the_page(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = app(shop, monkeypatch)
    text = (shop / "cdp.yaml").read_text()
    (shop / "cdp.yaml").write_text(text + "\nsorces: {}\n")
    at.run()
    assert not at.exception
    assert "the last good one is used" in at.error[0].value
    assert at.metric
    (shop / "cdp.yaml").write_text(text)
    assert not at.run().error


def test_customer_by_link(ws: cdp.Workspace, built: Path) -> None:
    person = ws.polars(ws.table("user_identifiers").filter(lambda t: t.type == "email").limit(1)).row(0, named=True)
    at = drawn("customers", built, profile=f"email:{person['value']}")
    assert person["profile_id"] in words(at)
    assert person["value"] not in words(at) + " ".join(str(d.value.to_dict()) for d in at.dataframe)
    at.session_state["revealed"] = True
    at.run()
    assert person["value"] in " ".join(str(d.value.to_dict()) for d in at.dataframe)
    at.button(key="back").click().run()
    assert at.text_input(key="customer_search")


def test_a_customer_is_suppressed_and_let_go_again(ws: cdp.Workspace, shop: Path) -> None:
    profile = ws.polars(ws.table("profiles").select("profile_id").limit(1)).item()

    def decided(name: str) -> AppTest:
        at = drawn("customers", shop, profile=profile)
        at.text_input(key=f"reason_{name}").set_value("asked by mail").run()
        at.button(key=f"note_{name}").click().run()
        assert not at.exception
        assert not at.error
        return drawn("customers", shop, profile=profile)

    assert "Suppressed" in words(decided("suppress"))
    assert "Suppressed" not in words(decided("unsuppress"))
    with cdp.open(shop) as own:
        assert own.privacy.suppressions(history=True)["action"].to_list() == ["suppress", "unsuppress"]


def test_search_opens_the_customer(ws: cdp.Workspace, built: Path) -> None:
    person = ws.polars(ws.table("user_identifiers").filter(lambda t: t.type == "email").limit(1)).row(0, named=True)
    at = drawn("customers", built)
    at.text_input(key="customer_search").set_value(person["value"]).run()
    at.button(key="open_first").click().run()
    assert not at.exception
    assert at.query_params["profile"] == person["profile_id"]
    assert person["profile_id"] in words(at)


@pytest.mark.parametrize(
    ("page", "key"), [("customers", "profile"), ("audiences", "audience"), ("destinations", "sync")]
)
def test_link_to_nothing_says_so(page: str, key: str, built: Path) -> None:
    at = drawn(page, built, **{key: "no_such_thing"})
    assert at.warning
    at.button(key="back").click().run()
    assert not at.warning


def draft(at: AppTest) -> Any:
    return at.session_state["audience_draft"]


def test_audience_is_built_previewed_and_saved(shop: Path) -> None:
    at = drawn("audiences", shop)
    at.button(key="new_audience").click().run()
    first = draft(at).root.children[0]
    at.selectbox(key=f"trait_{first.id}").set_value("total_spent").run()
    at.number_input(key=f"value_{first.id}_total_spent_one").set_value(50.0).run()
    at.button(key=f"add_{draft(at).root.id}").click().run()
    second = draft(at).root.children[1]
    at.selectbox(key=f"kind_{second.id}").set_value("event").run()
    at.selectbox(key=f"event_{second.id}").set_value("Order Completed").run()
    assert not at.exception
    condition = {"and": [{"trait": "total_spent", "at_least": 50}, {"event": "Order Completed"}]}
    with cdp.open(shop) as ws:
        expected = ws.preview_audience(condition).count
    assert next(m.value for m in at.metric if m.label == "Customers") == f"{expected:,}"
    at.text_input(key="draft_name").set_value("spenders").run()
    at.button(key="save_audience").click().run()
    assert not at.exception
    assert at.query_params["audience"] == "spenders"
    with cdp.open(shop) as ws:
        assert ws.audience("spenders").definition["where"] == condition
    assert "# default country of phone numbers" in (shop / "cdp.yaml").read_text()


def test_audience_that_refers_to_itself_is_refused(shop: Path) -> None:
    before = (shop / "cdp.yaml").read_text()
    at = drawn("audiences", shop, audience="high_value")
    at.toggle(key="edit_yaml").set_value(True).run()
    area = at.text_area[0]
    area.set_value("audience: lapsed_high_value").run()
    at.button(key="apply_yaml").click().run()
    at.button(key="save_audience").click().run()
    assert not at.exception
    assert at.error or at.warning
    assert (shop / "cdp.yaml").read_text() == before


@pytest.mark.parametrize("value", ["1,000", "many", "''"])
def test_yaml_that_is_wrong_keeps_what_was_typed(shop: Path, value: str) -> None:
    at = drawn("audiences", shop, audience="high_value")
    at.toggle(key="edit_yaml").set_value(True).run()
    text = f"and:\n  - trait: total_spent\n    at_least: {value}\n  - trait: city\n    equals: Leeds\n"
    at.text_area[0].set_value(text).run()
    at.button(key="apply_yaml").click().run()
    assert not at.exception
    assert "total_spent" in at.error[0].value
    assert at.text_area[0].value == text
    assert draft(at).condition() == {"trait": "total_spent", "at_least": 500}
    at.toggle(key="edit_yaml").set_value(False).run()
    assert at.text_area[0].value == text, "what is wrong is not thrown away with the editor"


def test_leaving_the_yaml_editor_takes_over_what_was_typed(shop: Path) -> None:
    at = drawn("audiences", shop, audience="high_value")
    at.toggle(key="edit_yaml").set_value(True).run()
    at.text_area[0].set_value("trait: total_spent\nat_least: 50\n").run()
    at.toggle(key="edit_yaml").set_value(False).run()
    assert not at.exception
    assert not at.text_area
    assert draft(at).condition() == {"trait": "total_spent", "at_least": 50}


def test_existing_audience_opens_in_the_form(built: Path, ws: cdp.Workspace) -> None:
    for name in ws.config.audiences:
        at = drawn("audiences", built, audience=name)
        assert draft(at).condition() == ws.audience(name).definition["where"]
        assert next(m.value for m in at.metric if m.label == "Customers") == next(
            m.value for m in at.metric if m.label == "Members"
        )


def test_plan_is_shown_before_a_run(built: Path, ws: cdp.Workspace) -> None:
    at = drawn("destinations", built, sync="all_profiles_parquet")
    assert not [b for b in at.button if b.key == "run_sync"]
    at.button(key="plan_sync").click().run()
    assert not at.exception
    added = ws.sync("all_profiles_parquet").plan().add
    assert next(m.value for m in at.metric if m.label == "Add") == f"{added:,}"
    assert f"{added:,}" in at.button(key="run_sync").label


def test_quarantine_view(built: Path) -> None:
    at = drawn("quality", built, view="Quarantine")
    assert "Held rows" in words(at)


def test_why_explains_and_a_wrong_identifier_says_what_is_right(ws: cdp.Workspace, built: Path) -> None:
    links = ws.polars(ws.table("identity_links").filter(lambda t: t.rule == "same_event").limit(1)).row(0, named=True)
    at = drawn("identity", built, part="Why")
    at.text_input(key="why_left").set_value(f"{links['left_type']}:{links['left_value']}").run()
    at.text_input(key="why_right").set_value(f"{links['right_type']}:{links['right_value']}").run()
    assert not at.exception
    assert at.success or at.warning
    at.text_input(key="why_right").set_value("emial:x").run()
    assert not at.exception
    assert "valid: user_id" in at.warning[0].value.replace("\\", "")


def test_rules_that_are_wrong_say_which_line(built: Path) -> None:
    at = drawn("identity", built, part="Try rules")
    assert at.text_area(key="rules_text").value.startswith("identity:\n  identifiers:")
    at.text_area(key="rules_text").set_value("identity:\n  identifiers:\n    user_id: {limt: 1}\n").run()
    at.button(key="rules_try").click().run()
    assert not at.exception
    assert "rules.yaml:3" in at.warning[0].value.replace("\\", "")
    assert not has(at, "rules_save")


RULES = "identity:   # mine\n  identifiers:\n    user_id: {limit: 1}   # numbers\n    anonymous_id: {limit: 20}\n"


def has(at: AppTest, key: str) -> bool:
    return any(button.key == key for button in at.button)


def test_rules_are_saved_once_previewed_and_can_be_taken_back(shop: Path) -> None:
    before = (shop / "cdp.yaml").read_text()
    at = drawn("identity", shop, part="Try rules")
    standing = at.text_area(key="rules_text").value
    assert standing in before
    at.text_area(key="rules_text").set_value(RULES).run()
    assert not has(at, "rules_save"), "nothing is saved that was not previewed"
    at.button(key="rules_try").click().run()
    at.text_area(key="rules_text").set_value(RULES.replace("20", "21")).run()
    assert not has(at, "rules_save"), "what was previewed is another text"
    at.text_area(key="rules_text").set_value(RULES).run()
    at.button(key="rules_save").click().run()
    assert not at.exception
    assert not at.error
    assert "The next run applies" in words(at)
    assert (shop / "cdp.yaml").read_text() == before.replace(standing, RULES)
    assert not has(at, "rules_save")
    at.button(key="rules_undo").click().run()
    assert not at.exception
    assert (shop / "cdp.yaml").read_text() == before
    assert not has(at, "rules_undo")
    assert has(at, "rules_save")


def test_rules_of_a_file_that_has_become_wrong_say_so(shop: Path) -> None:
    at = drawn("identity", shop, part="Try rules")
    (shop / "cdp.yaml").write_text((shop / "cdp.yaml").read_text() + "broken: [\n")
    at.run()
    assert not at.exception
    assert "cdp.yaml" in at.error[0].value


def test_rules_previewed_over_another_file_are_not_saved(shop: Path) -> None:
    at = drawn("identity", shop, part="Try rules")
    at.text_area(key="rules_text").set_value(RULES).run()
    at.button(key="rules_try").click().run()
    text = (shop / "cdp.yaml").read_text() + "# somebody was here\n"
    (shop / "cdp.yaml").write_text(text)
    at.button(key="rules_save").click().run()
    assert not at.exception
    assert "has changed" in at.error[0].value
    assert (shop / "cdp.yaml").read_text() == text


def test_what_is_decided_shows_with_a_way_back(shop: Path) -> None:
    at = drawn("identity", shop, part="Decisions")
    assert "No decisions yet" in words(at)
    with cdp.open(shop) as changed:
        changed.identity.never_link("user_id:00001", "user_id:00002", reason="two people")
    at.run()
    assert not at.exception
    assert at.dataframe[0].value["action"].to_list() == ["Never link"]
