"""The `destinations:` and `syncs:` blocks of cdp.yaml."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator, model_validator

from cdp_core.cron import Cron


class DestinationSpec(BaseModel):
    """Where data goes. `type` names the class (built in or a plug-in); every other key belongs to that class.

    >>> DestinationSpec(type="file", path="data/exports").options
    {'path': 'data/exports'}
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = Field(description="file, postgres, or the name of a plug-in")

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})

    def __repr__(self) -> str:
        return f"DestinationSpec(type={self.type!r}, options={sorted(self.options)})"

    __str__ = __repr__


class AudienceModel(BaseModel):
    """The profiles of the members of one audience."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    audience: str


class SqlModel(BaseModel):
    """The rows of a SELECT over the canonical tables."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sql: str


Model = Literal["profiles"] | AudienceModel | SqlModel


def _both_names(schema: dict[str, Any]) -> None:
    """Editors offer `trait` beside `column`, as the loader does."""
    schema["properties"]["trait"] = schema["properties"]["column"]


class FieldSpec(BaseModel):
    """One field as the destination gets it: from a column (or trait), or one value for every row.

    >>> FieldSpec(trait="email").column, FieldSpec(value="web").value
    ('email', 'web')
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, json_schema_extra=_both_names)

    column: str | None = Field(None, validation_alias=AliasChoices("column", "trait"))
    value: bool | int | float | str | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> FieldSpec:
        if (self.column is None) == ("value" not in self.model_fields_set):
            raise ValueError("give either 'column' (or 'trait') or 'value'")
        return self


class SyncSpec(BaseModel):
    """A model, mapped and sent to a destination.

    `mirror` adds, changes and removes the rows this sync has delivered itself, never any other; `upsert` removes
    nothing. `key` names the mapped field that identifies a row at the destination.

    >>> sync = SyncSpec(model={"audience": "vip"}, destination="exports", key="id", mapping={"id": "profile_id"})
    >>> sync.mapping["id"].column, sync.mode
    ('profile_id', 'mirror')
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str | None = None
    model: Model
    destination: str
    key: str
    mapping: dict[str, FieldSpec] = Field(min_length=1)
    mode: Literal["mirror", "upsert"] = "mirror"
    schedule: Cron | None = Field(None, description="Five cron fields, UTC, such as '0 6 * * 1-5'")
    enabled: bool = True
    options: dict[str, Any] = Field(default_factory=dict, description="What the destination wants to know per sync")

    def model_in_words(self) -> str:
        """`profiles`, `audience:NAME` or `sql`."""
        if isinstance(self.model, AudienceModel):
            return f"audience:{self.model.audience}"
        return "sql" if isinstance(self.model, SqlModel) else self.model

    @field_validator("model", mode="before")
    @classmethod
    def _known_model(cls, value: Any) -> Any:
        named = isinstance(value, dict) and len(value) == 1 and set(value) <= {"audience", "sql"}
        if value == "profiles" or named or isinstance(value, (AudienceModel, SqlModel)):
            return value
        raise ValueError("a model is 'profiles', {audience: NAME} or {sql: SELECT …}")

    @field_validator("mapping", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: {"column": v} if isinstance(v, str) else v for k, v in value.items()}

    @model_validator(mode="after")
    def _key_is_mapped(self) -> SyncSpec:
        if self.key not in self.mapping:
            raise ValueError(f"the key {self.key!r} is not a field of the mapping ({', '.join(self.mapping)})")
        if self.mapping[self.key].column is None:
            raise ValueError(f"the key {self.key!r} must come from a column: one value for all rows identifies none")
        return self
