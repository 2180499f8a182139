"""What a workspace's cdp.yaml says of personal data, as a masker of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import polars as pl

    from cdp_core.config import Config
    from cdp_core.engine import Engine
    from cdp_core.privacy.masker import Masker
    from cdp_core.workspace.facade import Workspace


def masker_of(config: Config) -> Masker:
    """Classes that were decided of fields, types of identifiers, and what fields of syncs and traits are made of."""
    from cdp_core.privacy.masker import Masker, strictest

    classes = strictest({place: spec.class_ for place, spec in config.privacy.fields.items()})
    plain = Masker(classes=classes)
    aliases: dict[str, str] = {}
    for name, trait in config.traits.items():
        if origin := getattr(trait, "from_", None):
            aliases[name] = str(origin)
    for sync in config.syncs.values():
        for field, source in sync.mapping.items():
            read = [source.column] if source.column else list(getattr(source, "columns", ()))
            made = [aliases.get(column, column) for column in read]
            if personal := next((name for name in made if plain.personal(name)), None):
                aliases.setdefault(field, personal)
    return Masker(classes=classes, aliases=aliases, types=config.identity.identifiers)


def of_expression(workspace: Workspace, answer: pl.DataFrame, arguments: Mapping[str, Any]) -> pl.DataFrame:
    """The frame of an expression, each column masked by what it is made of."""
    from cdp_core.privacy.lineage import made_of

    masker = workspace.masker
    return masker.frame(answer, made_of(arguments["rows"], masker.personal))


def bound(engine: Engine, rows: ir.Table) -> ir.Table:
    """An expression over tables that the engine can compute: masked workspaces hand out tables that only they can."""
    import ibis.expr.operations as ops

    from cdp_core.tables import CANONICAL

    def replace(node: Any, kwargs: Any) -> Any:
        if isinstance(node, ops.UnboundTable):
            if node.name not in CANONICAL:
                raise UsageError("this is no table of the workspace", hint="take tables from ws.table(NAME)")
            return engine.table(node.name).op()
        return node.__recreate__(kwargs) if kwargs else node

    return rows.op().replace(replace).to_expr()
