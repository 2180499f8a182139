"""Which columns of stored tables a column of an expression is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis.expr.types as ir

OPERATIONAL = frozenset({"runs", "source_loads", "source_columns", "stage_state", "quality_results", "sync_runs"})
"""Tables in which the workspace speaks of its own work, and of nobody."""
OPEN = "<open>"
"""What is in a column of theirs, for `made_of`."""
Origins = frozenset[tuple[str, str]]
"""Table and column."""


def origins(rows: ir.Table) -> dict[str, Origins]:
    """Of each column. A count and a yes or no say nothing of the value that they are made of, and have none.

    >>> import ibis
    >>> people = ibis.table({"email": "string", "n": "int64"}, name="people")
    >>> made = people.select(x=people.email.upper(), long=people.email.length() > 3)
    >>> {name: sorted(found) for name, found in origins(made).items()}
    {'x': [('people', 'email')], 'long': []}
    """
    traced = _Traced()
    node = rows.op()
    return {name: traced.field(node, name) for name in rows.columns}


def made_of(rows: ir.Table, personal: Callable[[str], bool]) -> dict[str, str]:
    """Column → the name that says what is in it: a personal one that it is made of before its own; `OPEN`: nothing of
    anybody.
    """
    told = {}
    for column, found in origins(rows).items():
        if found and {table for table, _ in found} <= OPERATIONAL:
            told[column] = OPEN
            continue
        names = sorted({name for _, name in found})
        values = [name for name in names if name.endswith("value")]
        told[column] = next((name for name in names if personal(name)), values[0] if values else column)
    return told


class _Traced:
    def __init__(self) -> None:
        self._known: dict[tuple[Any, str], Origins] = {}

    def field(self, relation: Any, name: str) -> Origins:
        place = (relation, name)
        if place not in self._known:
            self._known[place] = frozenset()
            self._known[place] = self._field(relation, name)
        return self._known[place]

    def _field(self, relation: Any, name: str) -> Origins:
        import ibis.expr.operations as ops

        if isinstance(relation, ops.PhysicalTable | ops.SQLQueryResult):
            return frozenset({(str(getattr(relation, "name", "")), name)})
        if isinstance(relation, ops.Reference):
            return self.field(relation.parent, name)
        if isinstance(relation, ops.Set):
            return self.field(relation.left, name) | self.field(relation.right, name)
        value = relation.values.get(name) if hasattr(relation, "values") else None
        if value is None:
            parents = [child for child in relation.__children__ if isinstance(child, ops.Relation)]
            return frozenset().union(*(self._all(parent) for parent in parents)) | {("", name)}
        return self._value(value)

    def _all(self, relation: Any) -> Origins:
        return frozenset().union(*(self.field(relation, name) for name in relation.schema.names))

    def _value(self, node: Any) -> Origins:
        import ibis.expr.operations as ops

        if isinstance(node, ops.Field):
            return self.field(node.rel, node.name)
        if isinstance(node, ops.Relation):
            return self._all(node)
        if isinstance(node, ops.Count | ops.CountStar | ops.CountDistinct) or node.dtype.is_boolean():
            return frozenset()
        return frozenset().union(*(self._value(child) for child in node.__children__))
