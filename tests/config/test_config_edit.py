"""Editing: one definition changes, every other byte stays; nothing is written that would not be valid."""

from __future__ import annotations

import difflib
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shop_config import GOOD

from cdp_core.config import edit as edit_module
from cdp_core.config import load_config, remove_definition, set_definition
from cdp_core.errors import SpecError, UsageError

VIP = {"description": "Many orders", "where": {"and": [{"trait": "orders", "at_least": 9}, {"audience": "buyers"}]}}


def text_of(root: Path) -> str:
    return (root / "cdp.yaml").read_text()


def changed(root: Path, before: str = GOOD) -> list[str]:
    """The lines that went (-) and came (+)."""
    lines = difflib.unified_diff(before.splitlines(), text_of(root).splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def test_a_changed_value_changes_its_line_alone(good: Path) -> None:
    definition = {"description": "Bought something", "where": {"trait": "orders", "at_least": 2}}
    set_definition(good, "audiences", "buyers", definition)
    assert changed(good) == ["-    where: {trait: orders, at_least: 1}", "+    where: {trait: orders, at_least: 2}"]
    assert load_config(good).audiences["buyers"].where.at_least == 2


def test_comments_inside_stay(good: Path) -> None:
    set_definition(good, "audiences", "buyers", {"description": "Now", "where": {"trait": "orders", "at_least": 1}})
    assert changed(good) == [
        "-    description: Bought something   # ever",
        "+    description: Now                # ever",
    ]


def test_writing_what_is_there_writes_nothing(good: Path) -> None:
    before = (good / "cdp.yaml").stat()
    config = load_config(good)
    for block in ("sources", "traits", "audiences", "destinations", "syncs"):
        for name in getattr(config, block):
            set_definition(good, block, name, config.written(block, name))
    after = (good / "cdp.yaml").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_new_definition_comes_last_in_its_block(good: Path) -> None:
    set_definition(good, "audiences", "vip", VIP)
    assert list(load_config(good).audiences) == ["buyers", "big_buyers", "vip"]
    assert changed(good) == [
        "+  vip:",
        "+    description: Many orders",
        "+    where:",
        "+      and:",
        "+        - trait: orders",
        "+          at_least: 9",
        "+        - audience: buyers",
    ]


@pytest.mark.parametrize("block", ["audiences: {}\n", "audiences:\n", ""])
def test_the_first_definition_of_a_block(tmp_path: Path, block: str) -> None:
    (tmp_path / "cdp.yaml").write_text(f"name: x\ntraits:\n  orders: {{count: Order}}\n{block}# the end")
    set_definition(tmp_path, "audiences", "vip", {"where": {"trait": "orders", "at_least": 9}})
    assert load_config(tmp_path).audiences["vip"].where.at_least == 9
    assert "# the end" in text_of(tmp_path)


def test_a_block_written_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "cdp.yaml").write_text("name: x\ntraits: {orders: {count: Order}, a: {}}   # short\nregion: GB\n")
    set_definition(tmp_path, "traits", "b", {"pick": "longest"})
    remove_definition(tmp_path, "traits", "a")
    assert list(load_config(tmp_path).traits) == ["orders", "b"]
    assert text_of(tmp_path).startswith("name: x\ntraits: {orders: {count: Order}")
    assert text_of(tmp_path).endswith("region: GB\n")


def test_sql_keeps_its_lines(good: Path) -> None:
    set_definition(good, "traits", "tier", {"sql": "SELECT profile_id, 1 AS tier\nFROM profiles\nWHERE true\n"})
    assert "    sql: |\n      SELECT profile_id, 1 AS tier\n      FROM profiles\n      WHERE true\n" in text_of(good)


def test_the_order_of_keys_is_the_order_asked_for(good: Path) -> None:
    sync = load_config(good).written("syncs", "buyers_csv")
    sync["mapping"] = {"email": "email", "profile_id": "profile_id", "spent": "total_spent"}
    set_definition(good, "syncs", "buyers_csv", sync)
    assert list(load_config(good).syncs["buyers_csv"].mapping) == ["email", "profile_id", "spent"]


def test_removing_leaves_the_rest(good: Path) -> None:
    remove_definition(good, "audiences", "big_buyers")
    assert all(line.startswith("-") for line in changed(good))
    assert len(changed(good)) == 7
    remove_definition(good, "syncs", "buyers_csv")
    remove_definition(good, "audiences", "buyers")
    config = load_config(good)
    assert config.audiences == {}
    assert config.syncs == {}
    assert "# people who buy" in text_of(good)


@pytest.mark.parametrize(
    ("block", "name", "value", "what"),
    [
        ("audiences", "vip", {"where": {"trait": "ordrs", "at_least": 1}}, "unknown trait 'ordrs'"),
        ("audiences", "buyers", {"where": {"audience": "big_buyers"}}, "in a circle"),
        ("audiences", "vip", {"wher": {}}, "unknown key 'wher'|missing key 'where'"),
        ("audiencez", "vip", {}, "unknown key 'audiencez'"),
        ("traits", "profile_id", {}, "taken by a fixed column"),
    ],
)
def test_what_would_not_be_valid_is_not_written(good: Path, block: str, name: str, value: Any, what: str) -> None:
    with pytest.raises(SpecError, match=what):
        set_definition(good, block, name, value)
    assert text_of(good) == GOOD


def test_what_others_refer_to_is_not_removed(good: Path) -> None:
    with pytest.raises(SpecError, match="unknown audience 'buyers'"):
        remove_definition(good, "audiences", "buyers")
    with pytest.raises(UsageError, match=r"unknown audience 'byers' .*did you mean 'buyers'"):
        remove_definition(good, "audiences", "byers")
    assert text_of(good) == GOOD
    assert [path.name for path in good.iterdir()] == ["cdp.yaml"]


def test_the_file_in_which_it_stands_is_edited(good: Path) -> None:
    (good / "more.yaml").write_text("# more\naudiences:\n  vip: {where: {trait: orders, at_least: 9}}\n")
    (good / "cdp.yaml").write_text(f"include: [more.yaml]\n{GOOD}")
    set_definition(good, "audiences", "vip", {"where": {"trait": "orders", "at_least": 10}})
    assert (good / "more.yaml").read_text() == "# more\naudiences:\n  vip: {where: {trait: orders, at_least: 10}}\n"
    remove_definition(good, "audiences", "vip")
    assert (good / "more.yaml").read_text() == "# more\naudiences:\n"
    assert text_of(good) == f"include: [more.yaml]\n{GOOD}"


def test_secrets_stay_variables(tmp_path: Path) -> None:
    text = GOOD.replace("{type: file, path: data/exports}", "{type: file, path: '${SECRET_FOLDER}'}")
    (tmp_path / "cdp.yaml").write_text(text)
    environ = {"SECRET_FOLDER": "very/secret/place"}
    config = load_config(tmp_path, environ=environ)
    resolved = config.destinations["exports"].model_dump()
    assert resolved["path"] == "very/secret/place"
    set_definition(tmp_path, "destinations", "exports", resolved, environ=environ)
    set_definition(tmp_path, "destinations", "copy", resolved, environ=environ)
    assert "very/secret" not in text_of(tmp_path)
    assert load_config(tmp_path, environ=environ).destinations["copy"].options["path"] == "very/secret/place"


def test_an_edit_of_an_old_version_is_refused(good: Path) -> None:
    version = load_config(good).version
    set_definition(good, "audiences", "vip", VIP, version=version)
    seen = text_of(good)
    with pytest.raises(UsageError, match="has changed since it was read"):
        set_definition(good, "audiences", "vip", {"where": {"trait": "orders", "at_least": 1}}, version=version)
    assert text_of(good) == seen


def test_a_change_between_reading_and_writing_is_noticed(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = edit_module.check_config

    def slow(*args: Any, **more: Any) -> Any:
        answer = checked(*args, **more)
        (good / "cdp.yaml").write_text(GOOD + "# by hand\n")
        return answer

    monkeypatch.setattr(edit_module, "check_config", slow)
    with pytest.raises(UsageError, match="has changed meanwhile"):
        set_definition(good, "audiences", "vip", VIP)
    assert text_of(good) == GOOD + "# by hand\n"
    assert [path.name for path in good.iterdir()] == ["cdp.yaml"]


def test_two_editors_lose_nothing(good: Path) -> None:
    def add(number: int) -> None:
        set_definition(good, "audiences", f"a{number}", {"where": {"trait": "orders", "at_least": number + 1}})

    threads = [threading.Thread(target=add, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {f"a{n}" for n in range(8)} <= set(load_config(good).audiences)


def test_a_full_disk_leaves_the_old_file(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="cannot be written: no space left on device"):
        set_definition(good, "audiences", "vip", VIP)
    assert text_of(good) == GOOD
    assert [path.name for path in good.iterdir()] == ["cdp.yaml"]


def test_rights_line_ends_and_links_are_kept(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_bytes(GOOD.replace("\n", "\r\n").encode())
    real.chmod(0o640)
    root = tmp_path / "ws"
    root.mkdir()
    (root / "cdp.yaml").symlink_to(real)
    set_definition(root, "audiences", "vip", VIP)
    assert (root / "cdp.yaml").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert real.read_bytes().count(b"\n") == real.read_bytes().count(b"\r\n")
    assert "vip" in load_config(root).audiences


_NAMES = st.text("abcdefghijklmnopqrstuvwxyz_ é'\"#:{}[]&*!|>%@`-?,", min_size=1, max_size=12)
_VALUES = st.one_of(
    st.integers(-(2**40), 2**40), st.booleans(), _NAMES, st.floats(allow_nan=False, allow_infinity=False)
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=_NAMES, event=_NAMES, where=st.dictionaries(_NAMES, _VALUES, max_size=3), count=st.integers(1, 9))
def test_whatever_is_written_is_read_back(good: Path, name: str, event: str, where: dict[str, Any], count: int) -> None:
    (good / "cdp.yaml").write_text(GOOD)
    definition = {"where": {"event": event, "at_least": count, "where": where}}
    set_definition(good, "audiences", name, definition)
    config = load_config(good)
    assert config.written("audiences", name) == definition
    if name not in ("buyers", "big_buyers"):
        assert all(line.startswith("+") for line in changed(good))
        remove_definition(good, "audiences", name)
        assert text_of(good) == GOOD
