"""`include:` and `${NAME}`."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop_config import GOOD

from cdp_core.config import check_config, load_config
from cdp_core.errors import SpecError

VIP = "audiences:\n  vip:\n    where: {trait: orders, at_least: 9}\n"


def written(root: Path, include: str, **files: str) -> Path:
    (root / "cdp.yaml").write_text(f"include: {include}\n{GOOD}")
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_yaml", ".yaml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return root


def test_included_definitions_join_the_others(tmp_path: Path) -> None:
    root = written(tmp_path, "[audiences/*.yaml]", audiences__b_yaml=VIP, audiences__a_yaml="traits:\n  x: {}\n")
    config = load_config(root)
    assert list(config.audiences) == ["buyers", "big_buyers", "vip"]
    assert config.files == ("cdp.yaml", "audiences/a.yaml", "audiences/b.yaml")
    assert config.where("audiences", "vip") == "audiences/b.yaml:2"


def test_a_pattern_may_match_nothing_yet(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, "[audiences/*.yaml]")).files == ("cdp.yaml",)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (VIP.replace("orders", "ordrs"), r"a\.yaml:3: unknown trait 'ordrs' .*did you mean 'orders'"),
        (VIP.replace("vip", "buyers"), r"a\.yaml:2: 'buyers' in 'audiences' is defined twice; first in cdp\.yaml:\d+"),
        ("name: Other\n", r"a\.yaml:1: 'name' is defined twice; first in cdp\.yaml:3"),
        ("include: [b.yaml]\n", r"a\.yaml:1: only cdp\.yaml may include files"),
        ("audiences: [\n", r"a\.yaml:2: YAML syntax"),
        ("audiences: 3\n", r"a\.yaml:1: 'audiences' is defined twice"),
    ],
)
def test_what_is_wrong_in_an_included_file(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(SpecError, match=what):
        load_config(written(tmp_path, "[a.yaml]", a_yaml=text))


@pytest.mark.parametrize(
    ("include", "what"),
    [
        ("[gone.yaml]", "included file 'gone.yaml' is missing"),
        ("[../x.yaml]", "leaves the workspace"),
        ("a.yaml", "'include' must be a list, not text"),
    ],
)
def test_what_is_wrong_with_include(tmp_path: Path, include: str, what: str) -> None:
    with pytest.raises(SpecError, match=rf"cdp\.yaml:1: .*{what}"):
        load_config(written(tmp_path, include, a_yaml=VIP))


def test_a_broken_file_does_not_make_its_names_dangle(tmp_path: Path) -> None:
    root = written(tmp_path, "[a.yaml]", a_yaml="audiences:\n  vip: [\n")
    (root / "cdp.yaml").write_text((root / "cdp.yaml").read_text().replace("audience: buyers\n", "audience: vip\n"))
    _, problems = check_config(root)
    assert [p.place.file for p in problems] == ["a.yaml"]


def test_variables_come_from_the_environment(tmp_path: Path) -> None:
    text = GOOD.replace("data/exports", "'${OUT}/x'").replace("name: Shop", "name: $${OUT} $1 $")
    (tmp_path / "cdp.yaml").write_text(text.replace("{limit: 1}", "{limit: '${LIMIT}'}"))
    config = load_config(tmp_path, environ={"OUT": "there", "LIMIT": "1"})
    assert config.destinations["exports"].options == {"path": "there/x"}
    assert config.name == "${OUT} $1 $"
    assert config.identity.identifiers["user_id"].limit == 1
    assert config.written("destinations", "exports") == {"type": "file", "path": "${OUT}/x"}


def test_a_missing_variable_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "cdp.yaml").write_text("name: x\nregion: ${COUNTRY}\n")
    with pytest.raises(SpecError, match=r"cdp\.yaml:2: environment variable 'COUNTRY' is not set") as caught:
        load_config(tmp_path, environ={})
    assert "more problem" not in str(caught.value)


def test_a_secret_never_stands_in_an_error(tmp_path: Path) -> None:
    text = GOOD.replace("format: csv", "format: '${SECRET}'").replace("{limit: 1}", "{limit: '${SECRET}'}")
    (tmp_path / "cdp.yaml").write_text(text)
    _, problems = check_config(tmp_path, environ={"SECRET": "hunter2"})
    assert problems
    assert "hunter2" not in " ".join(map(str, problems))
    (tmp_path / "cdp.yaml").write_text(GOOD.replace("format: csv", "format: '${SECRET}'"))
    _, problems = check_config(tmp_path, environ={"SECRET": "hunter2"})
    assert "'format' has no valid value" in str(problems[0])
    assert "hunter2" not in str(problems[0])


def test_a_variable_inside_braces_wants_quotes(tmp_path: Path) -> None:
    (tmp_path / "cdp.yaml").write_text(GOOD.replace("data/exports", "${OUT}"))
    with pytest.raises(SpecError, match="in quotes when it stands inside braces"):
        load_config(tmp_path, environ={"OUT": "x"})
