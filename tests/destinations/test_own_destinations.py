"""A workspace's destinations.py: classes and functions as types of cdp.yaml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import cdp_core as cdp
from cdp_core.cli import execute
from cdp_core.config import check_config, load_config
from cdp_core.config.json_schema import schema
from cdp_core.destinations.base import Batch, SendResult, Unavailable
from cdp_core.destinations.own import own_types
from cdp_core.errors import DestinationError, SpecError, UsageError
from cdp_core.runs.doctor import diagnose

OWN = '''
import polars as pl
import cdp_core as cdp

HEARD = []

def forget(keys, *, token):
    HEARD.append(("gone", keys.to_list(), token))

@cdp.destination(remove=forget, batch_rows=500, modes=["mirror"])
def crm(rows: pl.DataFrame, *, token: str, region: str = "eu", batch=None, root=None) -> dict[str, str] | None:
    """Rows of the CRM."""
    HEARD.append((rows.height, token, region, batch.key, root))
    return {key: "no such person" for key in rows["id"] if key == "p1"}

@cdp.destination
def plain(rows):
    raise KeyError("secret-value")

class Silent:
    def send(self, batch):
        return None

def helper(rows):
    return rows
'''
YAML = "name: own\ndestinations:\n  a: {type: crm, token: t}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "destinations.py").write_text(OWN)
    (tmp_path / "cdp.yaml").write_text(YAML)
    return tmp_path


def write(root: Path, text: str, *, after: int = 1) -> None:
    """Write the file at a time of its own, as a person does."""
    file = root / "destinations.py"
    file.write_text(text)
    stamp = file.stat().st_mtime_ns + after * 1_000_000
    os.utime(file, ns=(stamp, stamp))


def batch(*keys: str) -> Batch:
    return Batch(rows=pl.DataFrame({"id": keys}), key="id", payload=pl.Series([json.dumps({"id": k}) for k in keys]))


def test_functions_and_classes_are_types(root: Path) -> None:
    types: dict[str, Any] = dict(own_types(root))
    assert sorted(types) == ["Silent", "crm", "plain"]
    assert load_config(root).destinations["a"].type == "crm"
    crm = types["crm"](types["crm"].Options(token="t"), root)
    assert (crm.batch_rows, tuple(crm.modes), crm.__doc__) == (500, ("mirror",), "Rows of the CRM.")
    assert crm.send(batch("p1", "p2")) == SendResult({"p1": "no such person"})
    assert crm.remove(pl.Series(["p2"])) == SendResult()
    heard = sys.modules[types["crm"].__module__].HEARD
    assert heard == [(2, "t", "eu", "id", root), ("gone", ["p2"], "t")]
    crm.send(batch())
    assert len(heard) == 2, "an empty batch makes no call"
    silent = types["Silent"](types["Silent"].Options(), root)
    silent.prepare(None)
    assert silent.send(batch("p1")) == SendResult()
    assert not hasattr(silent, "remove")
    assert not hasattr(silent, "test")


def test_options_are_those_of_the_signature(root: Path) -> None:
    for more, said in (
        ("{type: crm}", "missing key 'token'"),
        (
            "{type: crm, token: t, regio: eu}",
            "unknown key 'regio' (valid: type, purpose, transform, consent, limits, token, region)",
        ),
        ("{type: cmr}", "did you mean 'crm'?"),
    ):
        (root / "cdp.yaml").write_text(f"name: own\ndestinations:\n  a: {more}\n")
        _, problems = check_config(root)
        assert len(problems) == 1
        assert str(problems[0]).startswith("cdp.yaml:3: "), problems
        assert said in str(problems[0])
    variants = schema(root)["$defs"]["DestinationSpec"]["anyOf"]
    crm = next(v for v in variants if v["properties"]["type"] == {"const": "crm"})
    assert set(crm["properties"]) == {"type", "purpose", "transform", "consent", "limits", "token", "region"}
    assert not [v for v in schema()["$defs"]["DestinationSpec"]["anyOf"] if v["properties"]["type"] == {"const": "crm"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os\n\ndef crm(:\n    pass\n", "destinations.py:3: the file is no Python: invalid syntax"),
        ("x = 1\ny = 1 / 0\n", "destinations.py:2: the file does not run: ZeroDivisionError: division by zero"),
        ("import no_such_package\n", "destinations.py:1: the file does not run: ModuleNotFoundError"),
        ("import sys\nsys.exit(3)\n", "destinations.py:2: the file does not run: SystemExit"),
        (
            "a = 1\n\nclass file:\n    def send(self, batch): pass\n",
            "destinations.py:3: the destination type 'file' is",
        ),
        (
            "import cdp_core as cdp\ndef gone(k, *, tokn): pass\n@cdp.destination(remove=gone)\ndef crm(rows): pass\n",
            "gone asks for 'tokn', no option of crm",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_one_line(
    root: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, text)
    with pytest.raises(SpecError) as caught:
        cdp.open(root)
    assert said in str(caught.value)
    assert execute(["--workspace", str(root), "destination", "list"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: destinations.py:")
    assert "Traceback" not in shown
    assert any(said in f.what for f in diagnose(root) if f.level == "error")


def test_only_the_file_of_the_workspace_counts(root: Path, tmp_path_factory: Any, monkeypatch: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "destinations.py").write_text("raise SystemExit('the wrong file')\n")
    monkeypatch.chdir(elsewhere)
    assert sorted(own_types(root)) == ["Silent", "crm", "plain"]
    assert own_types(None) == {}


def test_a_file_that_no_destination_uses_is_not_run(root: Path) -> None:
    write(root, "raise RuntimeError('run')\n")
    (root / "cdp.yaml").write_text("name: own\ndestinations:\n  a: {type: file, path: out}\n")
    assert load_config(root).destinations
    assert any("RuntimeError: run" in f.what for f in diagnose(root))


def test_a_changed_file_is_run_again(root: Path) -> None:
    first = own_types(root)["crm"]
    assert own_types(root)["crm"] is first
    write(root, OWN.replace("def crm(", "def shop("), after=5)
    assert sorted(own_types(root)) == ["Silent", "plain", "shop"]
    _, problems = check_config(root)
    assert "unknown destination type 'crm'" in str(problems[0])


def test_what_the_code_raises_is_told_without_its_text(root: Path) -> None:
    types: dict[str, Any] = dict(own_types(root))
    plain = types["plain"](types["plain"].Options(), root)
    with pytest.raises(DestinationError) as caught:
        plain.send(batch("p1"))
    line = OWN.splitlines().index('    raise KeyError("secret-value")') + 1
    assert str(caught.value).startswith(f"destinations.py:{line}: the code raised KeyError")
    assert "secret" not in str(caught.value)
    error = "httpx.Response({}, headers={{'Retry-After': '7'}}, request=httpx.Request('GET', 'http://h')).raise_for_status()"
    for raised, kind, after in (
        ("raise ConnectionResetError", Unavailable, None),
        ("raise httpx.ConnectTimeout('late')", Unavailable, None),
        (error.format(503), Unavailable, 7.0),
        (error.format(429), Unavailable, 7.0),
        (error.format(401), DestinationError, None),
    ):
        write(
            root,
            f"import cdp_core as cdp, httpx\n@cdp.destination\ndef it(rows):\n    {raised}\n",
            after=hash(raised) % 999,
        )
        it: Any = own_types(root)["it"]
        with pytest.raises(kind) as caught:
            it(it.Options(), root).send(batch("p1"))
        assert isinstance(caught.value, Unavailable) == (kind is Unavailable)
        assert getattr(caught.value, "retry_after", None) == after


def test_types_are_listed_and_destinations_tried(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "cdp.yaml").write_text(
        "name: own\ndestinations:\n  a: {type: crm, token: t}\n  b: {type: Silent}\n  f: {type: file, path: out}\n"
    )
    assert execute(["-w", str(root), "destination", "list", "-o", "json"]) == 0
    rows = {row["type"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["crm"] == {
        "type": "crm", "origin": "own", "modes": ["mirror"], "needs": ["token"], "takes": ["region"],
        "used_by": ["a"], "problem": None,
    }  # fmt: skip
    assert rows["Silent"]["modes"] == ["upsert", "insert", "full"]
    assert (rows["file"]["origin"], rows["file"]["used_by"]) == ("built in", ["f"])
    write(root, OWN.replace("modes=", "test=lambda token: 'as ' + token, modes="))
    assert execute(["-w", str(root), "destination", "test", "a", "-o", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["destination"], said["ok"], said["said"]) == ("a", True, "as t")
    write(root, OWN.replace("modes=", "test=lambda token: 1 / 0, modes="), after=9)
    assert execute(["-w", str(root), "destination", "test", "a", "-o", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert execute(["-w", str(root), "destination", "test", "nope"]) == 2


def test_a_new_one_passes_its_contract_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "cdp.yaml").write_text("name: new\n")
    with cdp.open(tmp_path) as ws:
        ws.destinations.new("crm")
        mine = (tmp_path / "destinations.py").read_text() + "\n\nMINE = 1\n"
        write(tmp_path, mine)
        ws.destinations.new("mail_list")
        text = (tmp_path / "destinations.py").read_text()
        assert text.startswith(mine)
        assert text.count("import sqlite3") == 1
        for name, said in (("crm", "already"), ("file", "already"), ("my-crm", "cannot be"), ("class", "cannot be")):
            with pytest.raises(UsageError, match=said):
                ws.destinations.new(name)
        assert (tmp_path / "destinations.py").read_text() == text
    assert sorted(own_types(tmp_path)) == ["crm", "mail_list"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mail_list.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
