"""A whole block changes: as it was typed or merged into what is there; every other byte stays, and it can be undone."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop_config import GOOD

from cdp_core.config import identity_text, load_config, read_block, set_block, set_definition
from cdp_core.errors import SpecError, UsageError

RULES = """\
identity:   # who is who
  # numbers first
  identifiers:
    user_id: {limit: 1}      # one person
    email: {limit: 3}
"""


def text_of(root: Path) -> str:
    return (root / "cdp.yaml").read_text()


def test_a_text_is_written_as_it_is_and_nothing_else_changes(good: Path) -> None:
    before = read_block(good, "identity")
    edit = set_block(good, "identity", RULES)
    assert text_of(good) == GOOD.replace(before, RULES)
    assert (edit.before, edit.after) == (before, RULES)
    assert load_config(good).identity.identifiers["email"].limit == 3


def test_undoing_gives_the_same_bytes(good: Path) -> None:
    edit = set_block(good, "identity", RULES)
    set_block(good, "identity", edit.before, expected=edit.after)
    assert text_of(good) == GOOD


def test_undoing_is_refused_when_somebody_has_changed_it_since(good: Path) -> None:
    edit = set_block(good, "identity", RULES)
    set_block(good, "identity", RULES.replace("limit: 3", "limit: 4"))
    now = text_of(good)
    with pytest.raises(UsageError, match="has changed since"):
        set_block(good, "identity", edit.before, expected=edit.after)
    assert text_of(good) == now


def test_undoing_leaves_what_others_changed_elsewhere(good: Path) -> None:
    edit = set_block(good, "identity", RULES)
    set_definition(good, "audiences", "buyers", {"where": {"trait": "orders", "at_least": 2}})
    with_both = text_of(good)
    set_block(good, "identity", edit.before, expected=edit.after)
    assert text_of(good) == with_both.replace(edit.after, edit.before)


@pytest.mark.parametrize(
    "text", ["name: Shop\n", "name: Shop", "# top\nname: Shop\n\n", "name: Shop\r\ntoday: 1998-07-01\r\n"]
)
def test_the_first_block_comes_last_and_goes_again(tmp_path: Path, text: str) -> None:
    (tmp_path / "cdp.yaml").write_bytes(text.encode())
    edit = set_block(tmp_path, "identity", RULES)
    assert edit.before == ""
    assert read_block(tmp_path, "identity") == RULES
    written = (tmp_path / "cdp.yaml").read_bytes()
    assert written.count(b"\r\n") in (0, written.count(b"\n"))
    set_block(tmp_path, "identity", edit.before, expected=edit.after)
    assert (tmp_path / "cdp.yaml").read_bytes().rstrip() == text.encode().rstrip()
    assert read_block(tmp_path, "identity") == ""


def test_what_is_wrong_is_not_written_and_names_the_line(good: Path) -> None:
    with pytest.raises(SpecError) as caught:
        set_block(good, "identity", RULES.replace("limit: 3", "limt: 3"))
    line = 1 + GOOD.splitlines().index("identity:") + 4
    assert caught.value.where == f"cdp.yaml:{line}"
    assert text_of(good) == GOOD


def test_a_file_that_cannot_be_read_has_no_block_to_give(good: Path) -> None:
    (good / "cdp.yaml").write_text(GOOD + "sources: [\n")
    with pytest.raises(SpecError, match=r"cdp\.yaml"):
        read_block(good, "identity")


def test_an_old_version_is_refused(good: Path) -> None:
    version = load_config(good).version
    (good / "cdp.yaml").write_text(GOOD + "# seen\n")
    with pytest.raises(UsageError, match="has changed"):
        set_block(good, "identity", RULES, version=version)


def test_data_keep_the_comments_and_the_order_of_what_is_there(good: Path) -> None:
    set_block(good, "identity", RULES)
    set_block(good, "identity", {"identifiers": {"user_id": {"limit": 1}, "email": {"limit": 5}}})
    assert read_block(good, "identity") == RULES.replace("limit: 3", "limit: 5")


def test_the_included_file_in_which_it_stands_is_edited(good: Path) -> None:
    block = read_block(good, "identity")
    (good / "cdp.yaml").write_text("include: [who.yaml]\n" + GOOD.replace(block, ""))
    (good / "who.yaml").write_text(f"# rules of their own\n{block}")
    main = text_of(good)
    assert set_block(good, "identity", RULES).file == "who.yaml"
    assert (good / "who.yaml").read_text() == f"# rules of their own\n{RULES}"
    assert text_of(good) == main


def test_a_files_block_is_taken_once_it_is_right(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(f"# try this\n{RULES}")
    assert identity_text(file) == RULES
    file.write_text(RULES.replace("identifiers", "identifers"))
    with pytest.raises(SpecError, match=r"rules\.yaml:3"):
        identity_text(file)
