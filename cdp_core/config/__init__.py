"""cdp.yaml: read into the stages' own specs, checked, and edited with comments and order kept."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cdp_core.config.edit import BlockEdit, read_block, remove_definition, set_block, set_definition
    from cdp_core.config.json_schema import schema
    from cdp_core.config.load import check_config, identity_text, load_config, load_identity
    from cdp_core.config.model import Config
    from cdp_core.config.problems import Place, Problem

_WHERE = {
    "BlockEdit": "edit",
    "Config": "model",
    "Place": "problems",
    "Problem": "problems",
    "check_config": "load",
    "load_config": "load",
    "identity_text": "load",
    "load_identity": "load",
    "read_block": "edit",
    "remove_definition": "edit",
    "schema": "json_schema",
    "set_block": "edit",
    "set_definition": "edit",
}
__all__ = [
    "BlockEdit",
    "Config",
    "Place",
    "Problem",
    "check_config",
    "identity_text",
    "load_config",
    "load_identity",
    "read_block",
    "remove_definition",
    "schema",
    "set_block",
    "set_definition",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"cdp_core.config.{_WHERE[name]}"), name)
