from __future__ import annotations

from pathlib import Path

from cdp_core.demo_world.template import copy_template, sync_template, template_files

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = REPOSITORY / "cdp_core" / "demo_world" / "template"


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in template_files(root)}


def test_the_template_is_the_repository_s_own_workspace() -> None:
    assert "cdp.yaml" in contents(TEMPLATE)
    assert contents(TEMPLATE) == contents(REPOSITORY), "run: python -m cdp_core.demo_world.template"


def test_copy_writes_all_of_it_and_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "cdp.yaml").write_text("name: mine\n")
    written = copy_template(tmp_path)
    assert (tmp_path / "cdp.yaml").read_text() == "name: mine\n"
    assert tmp_path / "cdp.yaml" not in written
    assert {**contents(tmp_path), "cdp.yaml": b""} == {**contents(TEMPLATE), "cdp.yaml": b""}


def test_sync_follows_changes_and_removals(tmp_path: Path) -> None:
    root, template = tmp_path / "root", tmp_path / "template"
    (root / "expectations").mkdir(parents=True)
    (root / "cdp.yaml").write_text("name: first\n")
    (root / "expectations" / "events.json").write_text("{}")
    sync_template(root, template)
    assert contents(template) == contents(root)
    (root / "cdp.yaml").write_text("name: second\n")
    (root / "expectations" / "events.json").unlink()
    sync_template(root, template)
    assert contents(template) == {"cdp.yaml": b"name: second\n"}
