"""Destinations and syncs in forms: added, tried, saved, edited, taken out and put back; secrets are never written."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from streamlit.testing.v1 import AppTest
from test_pages import drawn, has, words

import cdp_core as cdp
from cdp_core import plugins
from cdp_core.config.form_fields import form_fields
from cdp_core.dashboard.views import forms as view
from cdp_core.dashboard.views import mapping as mapping_view
from cdp_core.destinations.hashing.fields import FIELDS
from cdp_core.destinations.suggest import matched

pytestmark = pytest.mark.usefixtures("fresh_caches")
SECRET = "correct-horse-battery"
TOKEN = "sk_live_51Hh"

RICH = f"""
destinations:
  exports:  # files for everybody
    type: file
    path: data/exports
  crm:
    type: webhook  # ours
    url: https://crm.example.com/in
    headers: {{X-Tenant: "${{TENANT}}", X-Old: {SECRET}}}
    bearer: ${{TOKEN}}
    password: {SECRET}
    user: shop
    timeout: 20
    consent: newsletter
    limits: {{calls_per_second: 2.5, attempts: 3}}
  spare:
    type: meta_custom_audiences
    access_token: ${{TOKEN}}

syncs:
  # the list of the week
  people:
    model: profiles
    destination: crm
    key: id
    schedule: 0 6 * * 1-5
    options: {{rows_per_call: 1, body: {{mail: $field.email}}}}
    mapping:
      id: profile_id
      email: {{lower: {{trim: email}}}}
      greeting: {{template: "Hello {{first_name|there}}"}}
      tier:
        case:
          - {{when: {{trait: orders, at_least: 3}}, then: {{value: gold}}}}
        else: {{value: standard}}
      name: {{concat: [first_name, {{upper: last_name}}], separator: " "}}
      source: {{value: "5"}}
      orders: {{column: orders, type: string}}
      zero: 0
  orders:
    model: {{events: {{event: Order Completed, source: [shop_orders]}}}}
    destination: exports
    options: {{file: orders.csv}}
    mapping: {{total: properties.total}}
"""


@pytest.fixture(scope="module")
def rich(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop with destinations and syncs of many shapes. Nobody writes into it."""
    root = Path(shutil.copytree(built, tmp_path_factory.mktemp("forms") / "shop"))
    _enrich(root)
    return root


@pytest.fixture
def own(rich: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may write into."""
    return Path(shutil.copytree(rich, tmp_path / "own"))


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    monkeypatch.setenv("TENANT", "tenant-value-4711")


@pytest.fixture
def address() -> Iterator[str]:
    """A receiver that takes everything."""

    class Receiver(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/in"
    server.shutdown()
    server.server_close()


def _enrich(root: Path) -> None:
    path = root / "cdp.yaml"
    text = path.read_text()
    path.write_text(text[: text.index("\ndestinations:")] + RICH)


def form(root: Path, kind: str, name: str | None = None) -> AppTest:
    return drawn("destinations", root, form=kind, **({kind: name} if name else {}))


def field(at: AppTest, kind: str, label: str) -> Any:
    found = [each for each in at.get(kind) if each.label == label]
    assert len(found) == 1, (label, [each.label for each in at.get(kind)])
    return found[0]


def put(at: AppTest, kind: str, label: str, value: Any) -> None:
    field(at, kind, label).set_value(value).run()
    assert not at.exception, [e.value for e in at.exception]


def click(at: AppTest, key: str) -> None:
    next(each for each in at.button if each.key == key).click().run()
    assert not at.exception, [e.value for e in at.exception]


def draft(at: AppTest, kind: str, name: str = "") -> Any:
    return at.session_state[f"{kind}_form_{name}_draft"]


def everything(at: AppTest) -> str:
    """Whatever the page says, fields and their hints included."""
    return str([element.proto for element in at.main]) + words(at) + str(at)


def add_field(at: AppTest, name: str, source: str) -> None:
    at.text_input(key="mapping_field").set_value(name)
    at.selectbox(key="mapping_from").set_value(source)
    click(at, "mapping_add")


def installed() -> list[Any]:
    found = []
    for name in plugins.names(plugins.DESTINATIONS):
        try:
            found.append(plugins.load(plugins.DESTINATIONS, name))
        except cdp.CDPError:
            continue
    return found


def test_every_secret_of_every_type_is_asked_for_as_one() -> None:
    classes = installed()
    assert len(classes) >= 8
    for cls in classes:
        for model in (cls.Options, cls.SyncOptions):
            fields = {each.name: each for each in form_fields(model)}
            assert set(fields) == {info.alias or name for name, info in model.model_fields.items()}
            for name, info in model.model_fields.items():
                secret = "SecretStr" in str(info.annotation)
                assert fields[info.alias or name].is_secret == secret, (cls, name)


def test_fields_follow_the_schema() -> None:
    class Inner(BaseModel):
        a: int

    class Options(BaseModel):
        token: SecretStr | None = None
        names: tuple[str, ...] = ()
        tags: dict[str, str] = {}
        inner: Inner | None = None
        either: int | str = 3

    kinds = {each.name: each.kind for each in form_fields(Options)}
    assert kinds == {"token": "secret", "names": "texts", "tags": "table", "inner": "json", "either": "json"}


def test_columns_fit_fields_by_what_they_mean() -> None:
    columns = ["profile_id", "email", "phone", "first_name", "last_name", "postcode", "state", "birth_date", "orders"]
    found = matched(["EMAIL", "PHONE", "FN", "LN", "ZIP", "ST", "MADID", "GEN"], columns)
    assert found == {
        "EMAIL": "email", "PHONE": "phone", "FN": "first_name", "LN": "last_name", "ZIP": "postcode", "ST": "state",
    }  # fmt: skip
    assert matched(["firstName", "birthday", "favouriteGenre"], [*columns, "favourite_genres"]) == {
        "firstName": "first_name", "birthday": "birth_date", "favouriteGenre": "favourite_genres",
    }  # fmt: skip


def test_fields_that_a_class_names_are_fields_that_it_takes() -> None:
    for type, platform in (("meta_custom_audiences", "meta"), ("google_customer_match", "google")):
        known = plugins.load(plugins.DESTINATIONS, type).known_fields
        assert set(known) <= set(FIELDS[platform])
        assert set(FIELDS[platform]) - set(known) <= {"EXTERN_ID"}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("destination", "exports"),
        ("destination", "crm"),
        ("destination", "spare"),
        ("sync", "people"),
        ("sync", "orders"),
    ],
)
def test_a_form_that_nobody_touches_changes_nothing(kind: str, name: str, rich: Path) -> None:
    at = form(rich, kind, name)
    assert not at.error
    assert not at.warning, words(at)
    assert not draft(at, kind, name).is_changed
    assert not has(at, f"{kind}_save")
    field(at, "segmented_control", "Edit as").set_value("YAML").run()
    assert not at.exception
    assert not draft(at, kind, name).is_changed


def test_every_function_is_shown_as_it_is_written(rich: Path) -> None:
    """The example of each, drawn and read back, and shapes that only YAML has."""
    at = form(rich, "sync", "people")
    with cdp.open(rich) as ws:
        examples = {each.name: each.example for each in ws.sync_forms.functions()}
        odd = {
            "twice": {"add": ["orders", "orders", 2]},
            "wrong": {"concat": "email"},
            "deep": {"lower": {"trim": "email"}},
        }
        data = {**ws.sync_forms.data(draft(at, "sync", "people").text), "description": "of two lines\n"}
        data["mapping"] = {"id": "profile_id", **examples, **odd}
        for model in ("profiles", "events", {"events": {}}, {"audience": "high_value"}, {"sql": "SELECT 1 AS id\n"}):
            draft(at, "sync", "people").take(ws.sync_forms.to_text({**data, "model": model, "mode": "upsert"}))
            at.run()
            assert not at.exception, [e.value for e in at.exception]
            now = ws.sync_forms.data(draft(at, "sync", "people").text)
            assert now == {**data, "model": model, "mode": "upsert"}
            data["mapping"] = {"id": "profile_id", **odd}
    assert len(examples) > 20


def test_no_secret_is_shown(rich: Path) -> None:
    at = form(rich, "destination", "crm")
    assert field(at, "text_input", "Bearer: environment variable").value == "TOKEN"
    assert "TOKEN is set" in words(at).replace("\\", "")
    field(at, "segmented_control", "Edit as").set_value("YAML").run()
    text = at.text_area[0].value
    assert "bearer: ${TOKEN}" in text
    assert "url: https://crm.example.com/in" in text
    for shown in (everything(at), everything(form(rich, "destination", "crm")), draft(at, "destination", "crm").text):
        assert SECRET not in shown
        assert TOKEN not in shown
        assert "tenant-value-4711" not in shown


def test_an_edit_keeps_what_it_does_not_touch(own: Path) -> None:
    """One line of the file is another: comments, styles, and the secret that nobody saw."""
    path = own / "cdp.yaml"
    before = path.read_text()
    at = form(own, "destination", "crm")
    put(at, "number_input", "Timeout", 25.0)
    assert "timeout: 20 → 25" in words(at).replace("\\", "")
    click(at, "destination_save")
    assert path.read_text() == before.replace("timeout: 20", "timeout: 25")
    click(at, "destination_undo")
    assert path.read_text() == before
    assert field(at, "number_input", "Timeout").value == 20
    assert not draft(at, "destination", "crm").is_changed
    assert not has(at, "destination_undo")


def test_a_destination_is_tested_saved_and_put_back(own: Path, address: str) -> None:
    path = own / "cdp.yaml"
    before = path.read_text()
    at = form(own, "destination")
    at.text_input(key="destination_form__name_field").set_value("loyalty").run()
    put(at, "selectbox", "Type", "webhook")
    assert at.button(key="destination_save").disabled
    put(at, "text_input", "URL *", address)
    assert at.button(key="destination_test").disabled is False
    click(at, "destination_test")
    assert "private" in at.error[0].value
    assert path.read_text() == before
    field(at, "checkbox", "Private network").check().run()
    click(at, "destination_test")
    assert not at.error
    assert "204" in at.success[0].value
    put(at, "text_input", "Bearer: environment variable", "TOKEN")
    assert not at.success, "the test was of another draft"
    click(at, "destination_save")
    added = f"  loyalty:\n    type: webhook\n    url: {address}\n    private_network: true\n    bearer: ${{TOKEN}}\n"
    after = path.read_text()
    assert after.replace(added, "") == before
    assert after != before
    assert at.query_params["destination"] == "loyalty"
    click(at, "destination_undo")
    assert path.read_text() == before


def test_a_click_that_comes_with_a_change_is_not_lost(own: Path) -> None:
    """A browser sends what was typed last and the click on the button together."""
    at = form(own, "destination", "crm")
    field(at, "text_input", "User").set_value("first").run()
    field(at, "text_input", "User").set_value("second")
    click(at, "destination_save")
    at = form(own, "sync", "people")
    field(at, "text_input", "Field 1").set_value("first").run()
    field(at, "text_input", "Field 1").set_value("person")
    click(at, "sync_save")
    with cdp.open(own) as ws:
        assert ws.config.destinations["crm"].options["user"] == "second"
        assert ws.config.syncs["people"].key == "person"


def test_a_connection_that_fails_is_said(own: Path, address: str) -> None:
    at = form(own, "destination", "crm")
    field(at, "segmented_control", "Edit as").set_value("YAML").run()
    at.text_area[0].set_value("type: webhook\nurl: http://127.0.0.1:9/in\nprivate_network: true\n").run()
    click(at, "destination_test")
    assert "the connection failed" in at.error[0].value
    assert "Nothing was sent" in at.error[0].value


@pytest.mark.parametrize("typed", [f"Bearer {TOKEN}", "hunter2!", f"https://x:{SECRET}@example.com"])
def test_a_secret_in_the_place_of_a_name_is_not_kept(typed: str, own: Path) -> None:
    path = own / "cdp.yaml"
    before = path.read_text()
    at = form(own, "destination", "spare")
    put(at, "text_input", "Access token *: environment variable", typed)
    assert "not the secret" in words(at)
    assert field(at, "text_input", "Access token *: environment variable").value == "TOKEN"
    assert typed not in everything(at)
    assert typed not in draft(at, "destination", "spare").text
    assert path.read_text() == before


def test_a_secret_in_the_yaml_view_is_refused(own: Path) -> None:
    at = form(own, "destination", "spare")
    field(at, "segmented_control", "Edit as").set_value("YAML").run()
    at.text_area[0].set_value("type: meta_custom_audiences\naccess_token: my-own-secret\n").run()
    assert "a secret does not belong into cdp.yaml" in words(at)
    assert at.button(key="destination_save").disabled


def test_a_variable_that_is_not_set_is_said(own: Path) -> None:
    at = form(own, "destination", "spare")
    put(at, "text_input", "Access token *: environment variable", "NOT_THERE")
    assert "NOT_THERE is not set where the dashboard runs" in words(at).replace("\\", "")
    assert at.button(key="destination_save").disabled
    assert at.button(key="destination_test").disabled


def test_wrong_input_is_said_beside_its_field(own: Path) -> None:
    at = form(own, "destination")
    at.text_input(key="destination_form__name_field").set_value("crm").run()
    assert "there is a destination 'crm' already" in words(at).replace("\\", "")
    at.text_input(key="destination_form__name_field").set_value("a b").run()
    assert "a name begins with a letter" in words(at)
    put(at, "selectbox", "Type", "webhook")
    put(at, "text_input", "URL *", "ftp://example.com")
    put(at, "number_input", "Timeout", 9999.0)
    said = words(at).replace("\\", "")
    assert "an address that starts with https:// (or http://) is wanted" in said
    assert "less than or equal to 600" in said
    assert at.button(key="destination_save").disabled


def test_a_draft_survives_another_page(own: Path) -> None:
    at = form(own, "destination", "crm")
    put(at, "text_input", "User", "someone")
    del at.query_params["form"]
    at.run()
    assert not any(each.label == "User" for each in at.text_input)
    at.query_params["form"] = "destination"
    at.query_params["destination"] = "crm"
    at.run()
    assert field(at, "text_input", "User").value == "someone"


def test_a_file_that_changed_meanwhile_is_not_overwritten(own: Path) -> None:
    path = own / "cdp.yaml"
    at = form(own, "destination", "crm")
    put(at, "text_input", "User", "someone")
    theirs = path.read_text().replace("timeout: 20", "timeout: 21")
    path.write_text(theirs)
    click(at, "destination_save")
    assert "has changed since you began" in at.error[0].value
    assert path.read_text() == theirs
    at.run()
    assert "The file has changed since you began" in words(at)


def test_a_destination_in_use_stays_and_another_goes_and_comes_back(own: Path) -> None:
    path = own / "cdp.yaml"
    before = path.read_text()
    at = form(own, "destination", "crm")
    assert "It is used by 1 sync: people" in words(at).replace("\\", "")
    assert not has(at, "destination_delete_it")
    at = form(own, "destination", "spare")
    click(at, "destination_delete_it")
    assert path.read_text() == before.replace(
        "  spare:\n    type: meta_custom_audiences\n    access_token: ${TOKEN}\n", ""
    )
    assert "form" not in at.query_params
    click(at, "destination_undo")
    assert path.read_text() == before


def test_a_sync_is_mapped_planned_saved_and_put_back(own: Path) -> None:
    path = own / "cdp.yaml"
    before = path.read_text()
    at = form(own, "sync")
    at.text_input(key="sync_form__name_field").set_value("addresses").run()
    put(at, "selectbox", "Destination", "exports")
    put(at, "text_input", "File *", "addresses.csv")
    add_field(at, "id", "profile_id")
    add_field(at, "FN", "first_name")
    click(at, "suggest_email")
    add_field(at, "hello", mapping_view.FUNCTION)
    put(at, "selectbox", "Function 4", "template")
    put(at, "text_input", "Template", "Hello {first_name}")
    add_field(at, "from", mapping_view.CONSTANT)
    put(at, "text_input", "Value 5", "shop")
    with cdp.open(own) as ws:
        people = ws.polars(ws.table("profiles"))
    shown = at.dataframe[0].value
    assert list(shown["field"]) == ["id", "FN", "email", "hello", "from"]
    assert list(shown["first"])[-1] == "shop"
    named = set(people["first_name"].drop_nulls())
    for text in (*shown.iloc[1][["first", "second", "third"]], *shown.iloc[3][["first", "second", "third"]]):
        assert text is None or ("••" in text and not named & set(text.split()))
    click(at, "sync_draft_plan")
    counts = {metric.label: metric.value for metric in at.metric}
    assert counts["Add"] == f"{people.height:,}"
    assert path.read_text() == before
    assert not (own / "data/exports/addresses.csv").exists()
    click(at, "sync_save")
    with cdp.open(own) as ws:
        spec = ws.config.syncs["addresses"]
        assert (spec.key, list(spec.mapping)) == ("id", ["id", "FN", "email", "hello", "from"])
        assert ws.sync("addresses").plan().add == people.height
    assert path.read_text().startswith(before.rstrip("\n"))
    click(at, "sync_undo")
    assert path.read_text() == before


def test_a_plan_is_of_the_draft(own: Path) -> None:
    """Not of the sync of the same name that is saved."""
    with cdp.open(own) as ws:
        saved = ws.sync_forms.text("people")
        narrow = saved.replace("model: profiles", "model: {audience: high_value}")
        members = ws.sql("SELECT count(*) AS n FROM audience_members WHERE audience = 'high_value'")["n"][0]
        everybody, some = ws.sync_forms.plan("people", saved), ws.sync_forms.plan("people", narrow)
        assert 0 < members < everybody.add + everybody.withheld
        assert some.add + some.withheld == members
        assert some.withheld, "the destination wants a consent"
        assert [each["id"] for each in ws.sync_forms.sample("people", narrow, limit=2)]


def test_the_platform_says_its_fields_and_traits_fit_them(own: Path) -> None:
    at = form(own, "sync")
    put(at, "selectbox", "Destination", "spare")
    click(at, "suggest_all")
    with cdp.open(own) as ws:
        made = ws.sync_forms.data(draft(at, "sync").text)
    assert made["key"] == "id"
    assert made["mapping"]["EMAIL"] == "email"
    assert made["mapping"]["FN"] == "first_name"
    assert "MADID" not in made["mapping"]


def test_only_modes_that_mean_something_are_offered(rich: Path) -> None:
    at = form(rich, "sync", "orders")
    modes = [option.partition(" ")[0] for option in field(at, "selectbox", "Mode").options]
    assert modes == ["Upsert", "Insert", "Full"]
    at = form(rich, "sync", "people")
    assert "Mirror" in [option.partition(" ")[0] for option in field(at, "selectbox", "Mode").options]


def test_what_is_wrong_with_a_sync_is_said_at_its_field(own: Path) -> None:
    at = form(own, "sync", "people")
    made = draft(at, "sync", "people")
    made.take(made.text.replace("id: profile_id", "id: profil_id"))
    at.run()
    assert not at.exception
    said = words(at).replace("\\", "")
    assert "did you mean 'profile_id'?" in said
    assert at.button(key="sync_save").disabled
    assert at.button(key="sync_draft_plan").disabled
    put(at, "text_input", "Field 2", "id")
    assert "There is a field id already" in words(at)


def test_a_renamed_key_stays_the_key_and_a_removed_one_is_replaced(own: Path) -> None:
    at = form(own, "sync", "people")
    put(at, "text_input", "Field 1", "person")
    assert field(at, "selectbox", "Key").value == "person"
    cut = next(each for each in at.button if each.help == "Remove field 1")
    cut.click().run()
    assert not at.exception
    assert field(at, "selectbox", "Key").value == "email"


def test_text_that_is_no_yaml_is_kept_and_said(own: Path) -> None:
    at = form(own, "sync", "people")
    field(at, "segmented_control", "Edit as").set_value("YAML").run()
    at.text_area[0].set_value("model: [profiles\n").run()
    assert not at.exception
    assert "nothing is lost" in words(at)
    assert at.text_area[0].value == "model: [profiles\n"


def test_a_form_for_nothing_says_so(rich: Path) -> None:
    at = form(rich, "destination", "nowhere")
    assert "There is no destination called nowhere" in words(at)


def test_names_of_variables_only() -> None:
    for typed in ("a b", "a-b", "${A B}", "1abc", "tok:en", "ä"):
        with pytest.raises(ValueError, match="environment variable") as caught:
            view.secret_from(typed, None)
        assert not re.search(rf"(?<!\w){re.escape(typed)}(?!\w)", str(caught.value))


def test_another_type_keeps_what_it_asks_for_too() -> None:
    before = {"type": "webhook", "url": "https://x.example", "timeout": 3, "consent": ["ads"]}
    assert view.retyped(before, "segment", ["timeout"]) == {"type": "segment", "timeout": 3, "consent": ["ads"]}
