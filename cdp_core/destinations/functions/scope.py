"""What a function is computed over: the rows of a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cdp_core.destinations.fields import FieldSpec
from cdp_core.destinations.functions.read import as_moment, as_number, as_text, read_as
from cdp_core.errors import SpecError

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cdp_core.engine import Engine


@dataclass(frozen=True)
class Scope:
    """Rows of a model, and the place in cdp.yaml that errors name."""

    engine: Engine
    rows: ir.Table
    where: str

    def under(self, *place: str | int) -> Scope:
        return replace(self, where=".".join([self.where, *map(str, place)]))

    def value(self, source: Any) -> Any:
        """A column, a constant or a function as an expression. Raises SpecError."""
        from cdp_core.destinations.functions.compile import computed

        if not isinstance(source, FieldSpec):
            value = computed(self, source)
        elif source.column is None:
            return constant(source.value)
        else:
            value = self.column(source.column, source.path)
        return value if source.type is None else read_as(value, source.type, self.where)

    def text(self, source: Any) -> ir.StringValue:
        return as_text(self.value(source), self.where)

    def number(self, source: Any) -> ir.NumericValue:
        return as_number(self.value(source), self.where)

    def moment(self, source: Any) -> ir.TimestampValue:
        return as_moment(self.value(source), self.where)

    def items(self, source: Any) -> ir.ArrayValue:
        value = self.value(source)
        kind = value.type()
        if not kind.is_array() or kind.value_type.is_nested():
            hint = "make one of a text with split, or of JSON with parse_list"
            raise SpecError(f"a value of type {kind} is no list of texts", where=self.where, hint=hint)
        return value if kind.value_type.is_string() else value.map(lambda item: as_text(item, self.where))

    def column(self, name: str, path: tuple[str, ...] | None = None) -> Any:
        if name in self.rows.columns:
            return self.rows[name]
        if path and path[0] in self.rows.columns and self.rows[path[0]].type().is_string():
            return self.engine.json_text(self.rows[path[0]], *path[1:])
        raise SpecError.unknown("column", name, self.rows.columns, where=self.where)


def constant(value: Any) -> Any:
    import ibis

    return ibis.null("string") if value is None else ibis.literal(value)
