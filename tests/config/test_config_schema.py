"""The schema for editors accepts what the loader accepts and knows the connectors' own options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from shop_config import GOOD

from cdp_core.config import schema

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    made = schema()
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(json.loads(json.dumps(made)))


def plain(text: str) -> Any:
    return json.loads(json.dumps(YAML(typ="safe", pure=True).load(text), default=str))


@pytest.mark.parametrize("path", ["cdp.yaml", "cdp_core/runs/template/cdp.yaml", None])
def test_valid_files_are_valid(validator: Draft202012Validator, path: str | None) -> None:
    text = (ROOT / path).read_text() if path else GOOD
    assert [e.message for e in validator.iter_errors(plain(text))] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sources:\n", "sorces:\n"),
        ("path: orders.csv", "pth: orders.csv"),
        ("path: orders.csv", "path: orders.csv\n    format: docx"),
        ("type: track", "type: trak"),
        ("{type: file, path", "{type: nowhere, path"),
        ("format: csv", "format: cvs"),
        ("pick: latest", "pick: newest"),
        ("where: {trait: orders, at_least: 1}", "wher: {}"),
    ],
)
def test_wrong_files_are_wrong(validator: Draft202012Validator, old: str, new: str) -> None:
    assert not validator.is_valid(plain(GOOD.replace(old, new, 1)))
