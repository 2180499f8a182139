"""What every function of a mapping has."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from cdp_core.destinations.fields import FieldSpec, Kind


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


class Function(Part):
    """What every function has: a group, an example and a `type` for its result."""

    group: ClassVar[str]
    gives: ClassVar[str]
    example: ClassVar[dict[str, Any]]

    type: Kind | None = Field(None, description="What the result is read as; what it cannot be is null")

    @classmethod
    def name(cls) -> str:
        return next(key for key in cls.model_fields if key != "type").rstrip("_")

    @property
    def column(self) -> None:
        """No column of its own; see `columns` for those it reads."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads, however deep inside."""
        from cdp_core.destinations.functions.columns import columns_read

        return tuple(dict.fromkeys(str(field.column) for _, field in columns_read(self)))

    @property
    def in_words(self) -> str:
        """As it would be written in other languages: hash(lower(email), with: md5)."""
        own = next(key for key in type(self).model_fields if key != "type")
        rest = [key for key in type(self).model_fields if key in self.model_fields_set and key != own]
        given = [f"{key.rstrip('_')}: {_said(getattr(self, key))}" for key in rest]
        return f"{self.name()}({', '.join([_said(getattr(self, own)), *given])})"


def _said(value: Any) -> str:
    if isinstance(value, Function):
        return value.in_words
    if isinstance(value, list):
        return f"[{', '.join(map(_said, value))}]"
    if isinstance(value, FieldSpec):
        return (
            repr(value.value) if value.column is None else value.column + (f" (as {value.type})" if value.type else "")
        )
    if isinstance(value, BaseModel):
        keys = [key for key in type(value).model_fields if key in value.model_fields_set]
        return "{" + ", ".join(f"{key.rstrip('_')}: {_said(getattr(value, key))}" for key in keys) + "}"
    return str(value) if isinstance(value, dict) else repr(value)
