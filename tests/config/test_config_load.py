"""What is wrong with a configuration is said in one line, with the right line of the right file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from shop_config import GOOD, line_of

from cdp_core.config import Config, check_config, load_config
from cdp_core.errors import SpecError

ROOT = Path(__file__).parents[2]
Spoil = Callable[[str, str], tuple[Path, str]]


def test_good_configuration(good: Path) -> None:
    config = load_config(good)
    assert (config.name, config.today, config.region) == ("Shop", date(1998, 7, 1), "GB")
    assert list(config.sources) == ["orders", "contacts"]
    assert config.sources["orders"].options == {"path": "orders.csv"}
    assert config.identity.region == "GB"
    assert config.trait_types() == {
        "email": "string",
        "orders": "integer",
        "total_spent": "number",
        "big_orders": "integer",
        "tier": "unknown",
    }
    assert config.trait_names() == list(config.trait_types())
    assert config.trait_words()["big_orders"] == "count Order Completed, where total at least 50, window 90d"
    assert config.trait_words()["email"] == "latest of contacts"
    assert config.files == ("cdp.yaml",)
    assert config.where("audiences", "big_buyers") == f"cdp.yaml:{line_of(GOOD, '  big_buyers')}"


def test_the_demo_and_the_scaffold_are_valid() -> None:
    for folder in (ROOT, ROOT / "cdp_core" / "runs" / "template"):
        assert check_config(folder)[1] == []


def test_identity_may_have_its_own_region(spoilt: Spoil) -> None:
    root, _ = spoilt("identity:\n", "identity:\n  region: DE\n")
    assert load_config(root).identity.region == "DE"


def test_everything_but_the_name_may_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "cdp.yaml").write_text("name: x\naudiences:\nidentity:\ntoday:\n")
    config = load_config(tmp_path)
    assert config.model_dump() == Config(name="x").model_dump()


ONE_PROBLEM = [
    ("sources:\n", "sorces:\n", "sorces", "unknown key 'sorces'", "did you mean 'sources'?"),
    ("name: Shop\n", "", "today", "missing key 'name'", ""),
    ("name: Shop", "name: [a]", "name:", "'name' must be text, not a list", ""),
    ("1998-07-01  ", "tomorrow  ", "today", "'today' must be a date, such as 1998-07-01, not text", ""),
    ("1998-07-01  ", "1998-13-01  ", "today", "'1998-13-01' is no date", ""),
    ("region: GB", "region: gb", "region", "'region' must match", ""),
    ("type: file\n    path: orders", "type: flie\n    path: orders", "flie", "unknown source type 'flie'", "'file'?"),
    ("path: orders.csv", "path: orders.csv\n    sheat: 1", "sheat", "unknown key 'sheat'", "did you mean 'sheet'?"),
    ("      type: track", "      type: trak", "trak", "'type' cannot be 'trak'", "did you mean 'track'?"),
    ("time: ordered_on", "tiem: ordered_on", "tiem", "unknown key 'tiem'", "did you mean 'time'?"),
    ("column: dollars, type: number", "column: dollars, typ: number", "typ: n", "unknown key 'typ'", "'type'?"),
    ("user_id: {limit: 1}", "user_id: {limit: one}", "limit: one", "'limit' must be a whole number, not text", ""),
    ("user_id: {limit: 1}", "user_id: {limit: 0}", "limit: 0", "'limit' must be at least 1", ""),
    ("pick: latest", "pick: newest", "newest", "'pick' cannot be 'newest'", "valid: latest, source_order"),
    ("sources: [contacts]", "sources: [contact]", "[contact]", "unknown source 'contact'", "did you mean 'contacts'?"),
    ("{total: {at_least: 50}}", "{total: {at_leest: 50}}", "at_leest", "unknown key 'at_leest'", "'at_least'?"),
    ("window: 90d", "window: 90 days", "window", "'90 days' is no length of time", "30d"),
    ("{count: Order Completed}", "{count: Order Completed, sum: A.b}", "sum: A", "exactly one of", "count, sum"),
    ("  orders: {count", "  profile_id: {count", "profile_id: {", "'profile_id' is taken by a fixed column", ""),
    ("audience: buyers\n", "audience: byers\n", "audience: byers", "unknown audience 'byers'", "'buyers'?"),
    ("trait: total_spent", "trait: total_spend", "total_spend,", "unknown trait 'total_spend'", "'total_spent'?"),
    ("equals: granted", "equals: grantd", "grantd", "'equals' cannot be 'grantd'", "did you mean 'granted'?"),
    ("{trait: orders, at_least: 1}", "{audience: big_buyers}", "  buyers:", "in a circle: buyers → big_buyers", ""),
    ("{trait: orders, at_least: 1}", "[]", "    where: []", "a condition needs exactly one of the keys", ""),
    ("destination: exports", "destination: export", "export\n", "unknown destination 'export'", "'exports'?"),
    ("model: {audience: buyers}", "model: {audience: byers}", "byers", "unknown audience 'byers'", "'buyers'?"),
    ("      email: email\n", "      email: emial\n", "emial", "unknown trait 'emial'", "did you mean 'email'?"),
    ("format: csv", "format: cvs", "cvs", "'format' cannot be 'cvs'", "did you mean 'csv'?"),
    ("{type: file, path: data", "{type: flie, path: data", "flie", "unknown destination type 'flie'", "'file'?"),
    ("traits:\n", "engine: {type: spork}\ntraits:\n", "spork", "'type' cannot be 'spork'", "did you mean 'spark'?"),
    ("traits:\n", "schedule: {run: daily}\ntraits:\n", "daily", "'daily' is no cron schedule", "five fields"),
    ("  orders: {count: Order", "  orders: {count: A}\n  orders: {count: Order", "  orders: {count: Order", "stands twice", ""),
    ("  orders: {count: Order Completed}", "  orders:", "  orders:\n  total", "'orders' must be keys and values, not nothing", ""),
    ("  orders: {count", "  2024: {count", "2024", "key 2024 is not text", "write it in quotes: '2024'"),
    ("name: Shop", "name: !shop Shop", "!shop", "unknown YAML tag", "begins with !"),
    ("name: Shop", "name: &a [*a]", "&a", "an alias contains itself", ""),
    ("name: Shop", "name: 'Shop", "    sql", "YAML syntax", ""),
    ("    type: file\n    path: orders", "\ttype: file\n    path: orders", "\ttype", "a tab is used", "indent with spaces"),
    ("[order_id]", "[order_id", "time: ordered_on", "YAML syntax, column 11: expected ',' or ']'", ""),
    ("name: Shop", "name: Sh\0op", "name", "character 0x00 is not allowed", ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "mark", "what", "more"), ONE_PROBLEM, ids=[c[3][:40] for c in ONE_PROBLEM])
def test_one_line_says_it(spoilt: Spoil, old: str, new: str, mark: str, what: str, more: str) -> None:
    root, text = spoilt(old, new)
    with pytest.raises(SpecError) as caught:
        load_config(root)
    said = str(caught.value)
    assert what in said
    assert more in said
    assert "\n" not in said
    if what != "YAML syntax":
        assert said.startswith(f"cdp.yaml:{line_of(text, mark)}: "), said
    assert caught.value.exit_code == 2


def test_an_operator_that_does_not_fit_its_trait(spoilt: Spoil) -> None:
    root, _ = spoilt("{trait: orders, at_least: 1}", "{trait: email, at_least: 1}")
    with pytest.raises(SpecError, match="'at_least' does not fit trait 'email'"):
        load_config(root)


def test_all_problems_are_found_and_counted(tmp_path: Path) -> None:
    text = GOOD.replace("sources: [contacts]", "sources: [nowhere]").replace("audience: buyers", "audience: nobody")
    text = text.replace("destination: exports", "destination: moon")
    (tmp_path / "cdp.yaml").write_text(text)
    config, problems = check_config(tmp_path)
    assert config is None
    lines = [problem.place.line for problem in problems]
    assert lines == sorted(lines)
    assert [p.what for p in problems] == [
        "unknown source 'nowhere'",
        "unknown audience 'nobody'",
        "unknown destination 'moon'",
    ]
    with pytest.raises(SpecError, match="2 more problems: 'cdp doctor' lists them"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"# nothing\n", "the file is empty"),
        (b"- a\n", "the file must hold keys and values"),
        (b"hello", "the file must hold keys and values"),
        (GOOD.encode("utf-16"), "the file is UTF-16, not UTF-8"),
        (GOOD.encode() + "# caf\u00e9".encode("cp1252"), "byte 0xe9 is not UTF-8"),
        (b"a: 1\n---\nb: 2\n", "another document"),
        (b"a: " + b"[" * 3000, "nested too deeply"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "cdp.yaml").write_bytes(content)
    with pytest.raises(SpecError, match=what):
        load_config(tmp_path)


def test_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    (tmp_path / "cdp.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_config(tmp_path).name == "Shop"


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cdp\.yaml: there is no such file .*cdp init DIR"):
        load_config(tmp_path)
    with pytest.raises(SpecError, match=r"the workspace does not exist; name one with --workspace DIR"):
        load_config(tmp_path / "nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_rights(good: Path) -> None:
    (good / "cdp.yaml").chmod(0)
    with pytest.raises(SpecError, match="permission denied"):
        load_config(good)


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "cdp.yaml").mkdir()
    with pytest.raises(SpecError, match="the file cannot be read: is a directory"):
        load_config(tmp_path)


def test_merge_keys_and_aliases_work(spoilt: Spoil) -> None:
    root, _ = spoilt("  # people who buy\n  buyers:\n", "  buyers: &buyers\n")
    text = (root / "cdp.yaml").read_text()
    text = text.replace("\ndestinations:", "\n  copy:\n    <<: *buyers\n    description: the same\n\ndestinations:", 1)
    (root / "cdp.yaml").write_text(text)
    config = load_config(root)
    assert config.audiences["copy"].where == config.audiences["buyers"].where
    assert config.audiences["copy"].description == "the same"


def test_many_aliases_do_not_fill_the_memory(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (tmp_path / "cdp.yaml").write_text("\n".join(rows))
    with pytest.raises(SpecError, match="more than 200,000 values"):
        load_config(tmp_path)


def test_loading_is_light_and_quick() -> None:
    """pydantic and ruamel, and what connectors' own modules need; never an engine."""
    code = (
        "import sys, time; from pathlib import Path; t = time.process_time()\n"
        f"from cdp_core.config import load_config; load_config(Path({str(ROOT)!r}))\n"
        "heavy = {'ibis', 'duckdb', 'streamlit', 'pandas', 'pyspark', 'great_expectations', 'networkx', 'scipy'}\n"
        "print(time.process_time() - t); print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, heavy = done.stdout.splitlines()
    assert heavy == "[]"
    assert float(seconds) < 2


def test_a_long_configuration_loads_in_time(tmp_path: Path) -> None:
    more = "".join(f"  a{n}: {{where: {{trait: orders, at_least: {n + 1}}}}}\n" for n in range(500))
    (tmp_path / "cdp.yaml").write_text(GOOD.replace("audiences:\n", "audiences:\n" + more, 1))
    started = time.perf_counter()
    assert len(load_config(tmp_path).audiences) == 502
    assert time.perf_counter() - started < 10
