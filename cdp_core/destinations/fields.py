"""One field of a mapping that is a column, a place inside an event's JSON, or a constant."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

Kind = Literal["string", "number", "integer", "boolean", "date", "datetime"]
PATHS = ("properties", "traits", "context", "extra")
"""Columns of events whose inside a mapping may name, as in properties.total."""


def _both_names(schema: dict[str, Any]) -> None:
    """Editors offer `trait` beside `column`, as the loader does."""
    schema["properties"]["trait"] = schema["properties"]["column"]


class FieldSpec(BaseModel):
    """One field as the destination gets it: from a column (or trait), or one value for every row.

    Of events the column may also be a place inside JSON: properties.total, which is a text unless `type` says else.

    >>> FieldSpec(trait="email").column, FieldSpec(value="web").value
    ('email', 'web')
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, json_schema_extra=_both_names)

    column: str | None = Field(None, validation_alias=AliasChoices("column", "trait"))
    value: bool | int | float | str | None = None
    type: Kind | None = Field(None, description="What the column is read as; what it cannot be is null")

    @model_validator(mode="after")
    def _one_of_two(self) -> FieldSpec:
        if (self.column is None) == ("value" not in self.model_fields_set):
            raise ValueError("give either 'column' (or 'trait') or 'value'")
        if self.type is not None and self.column is None:
            raise ValueError("'type' goes with a column")
        return self

    @property
    def path(self) -> tuple[str, ...] | None:
        """
        >>> FieldSpec(column="properties.cart.total").path, FieldSpec(column="properties").path
        (('properties', 'cart', 'total'), None)
        """
        head, *keys = (self.column or "").split(".")
        return (head, *keys) if head in PATHS and keys and all(keys) else None
