"""The documentation is true: commands and Python run, blocks of cdp.yaml load, nothing is left out, links lead somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docs_pages
import pytest
import tables_page
from docs_pages import PAGES, ROOT, name_of
from docs_runner import CONDITIONS, Reader

import cdp_core as cdp
from cdp_core import errors, plugins
from cdp_core.operators.spec import OPERATORS
from cdp_core.profiles.spec import COMPUTED

pytestmark = pytest.mark.xdist_group("docs")
REFERENCE = ROOT / "docs" / "reference"
FOLLOWED = [p for p in PAGES if any(b.language in ("console", "yaml", "python", "json") for b in docs_pages.blocks(p))]
SECRETS = (
    "LOYALTY_SECRET",
    "LAKE_KEY",
    "LAKE_SECRET",
    "HUBSPOT_TOKEN",
    "MAILCHIMP_KEY",
    "BRAZE_KEY",
    "CUSTOMERIO_KEY",
)
"""Names that pages take from the environment."""
NEEDS_POSTGRES = ROOT / "docs" / "how-to" / "sync-to-postgresql.md"
PLUGIN = ROOT / "docs" / "how-to" / "write-a-plugin.md"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo world of 600 people, run once; each page gets a copy."""
    folder = tmp_path_factory.mktemp("docs") / "demo"
    cdp.demo(folder, people=600)
    with cdp.open(folder) as ws:
        run = ws.run()
    assert run.status == "succeeded", run.error
    return folder


@pytest.fixture
def folder(world: Path, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the reader of the page stands."""
    page: Path = request.getfixturevalue("page")
    place = tmp_path / "place"
    if docs_pages.starts_empty(page):
        place.mkdir()
    else:
        shutil.copytree(world, place)
    monkeypatch.chdir(place)
    monkeypatch.setenv("NO_COLOR", "1")
    return place


@pytest.fixture
def reader(folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    page: Path = request.getfixturevalue("page")
    found = Reader(folder, exact=docs_pages.starts_empty(page))
    for name in SECRETS:
        monkeypatch.setenv(name, "made-up-us1")
        found.environ[name] = "made-up-us1"
    if page == NEEDS_POSTGRES:
        url = request.getfixturevalue("postgres_url")
        monkeypatch.setenv("WAREHOUSE_URL", url)
        found.environ["WAREHOUSE_URL"] = url
    if page == PLUGIN:
        install_plugin(folder, monkeypatch)
    yield found
    found.close()
    if page == PLUGIN:
        plugins._points.cache_clear()


def install_plugin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `pip install -e plugin` leaves: the folder on the path and its entry points as a distribution's."""
    import tomllib

    text = next(b.text for b in docs_pages.blocks(PLUGIN) if b.marks.get("file") == "plugin/pyproject.toml")
    project = tomllib.loads(text)["project"]
    info = folder / "plugin" / "acme_cdp-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    groups = project["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(folder / "plugin"))
    plugins._points.cache_clear()


@pytest.mark.parametrize("page", FOLLOWED, ids=name_of)
def test_page_does_what_it_says(page: Path, reader: Reader) -> None:
    reader.follow(page)


@pytest.mark.parametrize("page", [PLUGIN], ids=name_of)
def test_plugin_of_the_page_keeps_the_contract(page: Path, folder: Path, reader: Reader) -> None:
    """The page's own test, run as its reader runs it."""
    for block in docs_pages.blocks(page):
        if "file" in block.marks:
            reader.take(block)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_sqlite.py"]
    done = subprocess.run(command, cwd=folder / "plugin", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in docs_pages.links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)}: no {path}"
        if anchor:
            assert anchor in docs_pages.anchors(target), f"{name_of(page)}: no #{anchor} in {path}"


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / path).resolve() for path, _ in docs_pages.links(index)}
    pages = {p for p in PAGES if ROOT / "docs" in p.parents and p != index}
    assert pages <= listed, pages - listed


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_words(page: Path) -> None:
    text = docs_pages.prose(page)
    wrong = r"\b(simply|just|obviously|blacklist|whitelist|sink|normaliz\w+|behavior|color|organiz\w+|analyz\w+|customiz\w+)\b"
    found = re.search(wrong, text, flags=re.IGNORECASE)
    assert not found, f"{name_of(page)}: {found and found[0]}"
    assert not re.search(r"(?<![\w.])/(root|work|home)/\w", page.read_text()), "a path of one machine"


def keys_of_schema() -> dict[str, set[str]]:
    """Every model of cdp.yaml with its keys, from the JSON Schema and from the types that are installed."""
    schema = cdp.schema()
    found = {name: set(d["properties"]) for name, d in schema["$defs"].items() if d.get("properties")}
    found["Config"] = set(schema["properties"])
    found["SourceSpec"] = {"type", "map", "purpose", "plan", "transform"}
    found["DestinationSpec"] = {"type", "purpose", "transform", "consent", "limits"}
    for kind in plugins.names(plugins.SOURCES):
        found[f"sources.{kind}"] = model_keys(plugins.load(plugins.SOURCES, kind).Options)
    for kind in plugins.names(plugins.DESTINATIONS):
        found[f"destinations.{kind}"] = model_keys(plugins.load(plugins.DESTINATIONS, kind).Options)
        found[f"syncs.{kind}"] = model_keys(plugins.load(plugins.DESTINATIONS, kind).SyncOptions)
    return found


def model_keys(model: Any) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def test_every_key_of_the_configuration_is_documented() -> None:
    pages = [REFERENCE / "configuration.md", REFERENCE / "mapping.md"]
    written = {name: set(keys) for page in pages for name, keys in docs_pages.tables_by_mark(page).items()}
    wanted = keys_of_schema()
    # Operators stand in every condition on a trait; their table is TraitCondition's.
    wanted.pop("Operators")
    assert set(written) == set(wanted)
    for name, keys in wanted.items():
        assert written[name] == keys, f"{name}: {written[name] ^ keys}"


def commands_of_cli() -> dict[str, set[str]]:
    """Every command with its options and arguments."""
    import typer

    from cdp_core.cli.commands import app

    found: dict[str, set[str]] = {}

    def walk(command: Any, path: str) -> None:
        if hasattr(command, "commands"):
            for name, inner in command.commands.items():
                walk(inner, f"{path} {name}")
            if not command.invoke_without_command or path == "cdp":
                return
        names = set()
        for parameter in command.params:
            long = [o for o in parameter.opts if o.startswith("--")]
            names.add(long[0] if long else str(parameter.metavar or parameter.name).strip("{}<>"))
        found[path] = names - {"--help"}

    walk(typer.main.get_command(app), "cdp")
    return found


def test_every_command_and_option_is_documented() -> None:
    page = REFERENCE / "cli.md"
    wanted = commands_of_cli()
    written = set(re.findall(r"^### (cdp .+)$", page.read_text(), flags=re.MULTILINE))
    assert written == set(wanted)
    for command, options in wanted.items():
        text = docs_pages.section(page, command)
        assert set(docs_pages.first_cells(text)) == options, command
        assert f"$ {command}" in text, f"{command} has no example"


def test_every_public_name_is_documented() -> None:
    text = (REFERENCE / "python.md").read_text()
    for name in cdp.__all__:
        assert f"`cdp.{name}" in text, name
    for name in (n for n in dir(cdp.Workspace) if not n.startswith("_")):
        assert f"`ws.{name}" in text, name
    for found in re.findall(r"^\| `ws\.(\w+)", text, flags=re.MULTILINE):
        assert hasattr(cdp.Workspace, found) or found in ("config", "root"), found


def test_tables_page_is_what_the_code_says() -> None:
    """`python tests/docs/tables_page.py` writes it anew."""
    assert tables_page.PAGE.read_text(encoding="utf-8") == tables_page.page()


def test_every_operator_has_an_example() -> None:
    page = REFERENCE / "conditions.md"
    examples = "\n".join(b.text for b in docs_pages.blocks(page) if b.language == "yaml")
    cells = docs_pages.first_cells(page.read_text())
    for name in OPERATORS:
        assert name in cells, name
        assert re.search(rf"^\W*{name}:", examples, flags=re.MULTILINE), f"{name} has no example"
    for kind in CONDITIONS:
        assert re.search(rf"^\W*{kind}:", examples, flags=re.MULTILINE), kind


def test_every_kind_of_trait_has_an_example() -> None:
    page = REFERENCE / "traits.md"
    examples = "\n".join(b.text for b in docs_pages.blocks(page) if b.language == "yaml")
    for kind in (*COMPUTED, "sql"):
        assert re.search(rf"(^ +|\{{){kind}:", examples, flags=re.MULTILINE), kind
    for how in ("latest", "source_order", "most_frequent", "longest"):
        assert f"pick: {how}" in examples, how


def test_every_error_is_documented_with_its_exit_code() -> None:
    text = docs_pages.section(REFERENCE / "errors.md", "The tree")
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (\d) \|$", text, flags=re.MULTILINE))
    tree = {
        c.__name__: str(c.exit_code)
        for c in vars(errors).values()
        if isinstance(c, type) and issubclass(c, errors.CDPError)
    }
    assert rows == tree
