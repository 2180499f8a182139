"""The `identity:` block of cdp.yaml."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from cdp_core.identity.matching.spec import MatchingSpec

BLOCKED = ("^[0-]*$", "-1", "null", "anonymous", "undefined")
"""What Segment suggests to block in every workspace, and what JavaScript writes for a variable without a value."""


def _as_text(value: object) -> object:
    """YAML reads -1 and null as what they look like; here they are values to block."""
    if value is None:
        return "null"
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Window = Literal["ever", "week", "month", "year"]
DAYS: dict[Window, int] = {"week": 7, "month": 30, "year": 365}

Blocked = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]


class DeriveSpec(BaseModel):
    """An identifier computed from another one: `how` applied to the normalised value of `from`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    from_: str = Field(alias="from", min_length=1, description="The identifier it is computed from")
    how: Literal["sha256"] = Field("sha256", description="sha256: lower-case hex digest, as Meta and Google expect it")


class IdentifierSpec(BaseModel):
    """One kind of identifier. `limit` is how many values of it one profile may have: ever, or first seen within any
    span of seven, thirty or 365 days (`window`).

    >>> IdentifierSpec(limit=1).window
    'ever'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int = Field(default=5, ge=1, description="How many values one profile may have")
    window: Window = Field(default="ever", description="Within any span of which time values are counted")
    derive: DeriveSpec | None = None
    blocked: tuple[Blocked, ...] = Field(default=(), description="Values that identify nobody, beside the general ones")


class HoldSpec(BaseModel):
    """Merges that wait for a person; each is listed with its reason and can be accepted or rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_ids: bool = Field(False, description="Hold what would join two user_ids")
    size: int | None = Field(None, ge=2, description="Hold what would give a profile more identifiers than this")
    bridge: int | None = Field(
        None,
        ge=1,
        description="Hold a link on which this many identifiers on either side hang, and which only one event states",
    )


class BrakeSpec(BaseModel):
    """Jumps at which a run publishes nothing and stops with exit 3; a first run, and small worlds, are let through."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    largest: float | None = Field(1.0, gt=0, description="Share by which the largest profile may grow in one run")
    merges: float | None = Field(0.2, gt=0, description="Share of all profiles that one run may merge into others")


def _segments_defaults() -> dict[str, IdentifierSpec]:
    first = {"user_id": IdentifierSpec(limit=1)}
    return first | {name: IdentifierSpec() for name in ("email", "phone", "anonymous_id")}


class IdentitySpec(BaseModel):
    """Identifiers in order of priority, and the values that identify nobody.

    A blocked text that starts with ^ or ends with $ is a regular expression (RE2 syntax), every other one is a whole
    value; case does not matter. Without `identifiers` Segment's defaults apply: user_id (limit 1), email, phone,
    anonymous_id, then any other type found in `context.externalIds` in alphabetical order, limit 5 each. group_id
    names a company rather than a person and counts only when it is listed.
    Rule: Segment, Unify, "Identity Resolution Settings".

    >>> list(IdentitySpec().identifiers), IdentitySpec().identifiers["user_id"].limit
    (['user_id', 'email', 'phone', 'anonymous_id'], 1)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    identifiers: dict[str, IdentifierSpec] = Field(default_factory=_segments_defaults, min_length=1)
    others: IdentifierSpec | None = Field(None, description="Rules of types not listed; none: they are ignored")
    blocked: tuple[Blocked, ...] = BLOCKED
    max_merges: int = Field(100, ge=0, description="How many merges may make up one profile")
    max_mappings: int = Field(1000, ge=1, description="How many identifiers one profile may have")
    shared: int | None = Field(
        10, ge=1, description="An identifier seen with more user_ids than this is set aside: it joins nobody"
    )
    hold: HoldSpec = Field(default_factory=lambda: HoldSpec.model_validate({}), description="Merges that wait")
    matching: MatchingSpec | None = Field(None, description="Compare profiles that no identifier joins; none: do not")
    brake: BrakeSpec = Field(default_factory=lambda: BrakeSpec.model_validate({}), description="Jumps that stop a run")
    region: str = Field("US", pattern="^[A-Z]{2}$", description="Default country of phone numbers, such as GB")

    @model_validator(mode="before")
    @classmethod
    def _others_by_default(cls, data: Any) -> Any:
        if isinstance(data, dict) and "identifiers" not in data and "others" not in data:
            return {**data, "others": IdentifierSpec()}
        return data

    @field_validator("identifiers", mode="before")
    @classmethod
    def _empty_is_default(cls, value: Any) -> Any:
        return {k: {} if v is None else v for k, v in value.items()} if isinstance(value, dict) else value

    @field_validator("identifiers")
    @classmethod
    def _names(cls, value: dict[str, IdentifierSpec]) -> dict[str, IdentifierSpec]:
        for name, spec in value.items():
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]*", name) or name == "profile_id":
                raise ValueError(f"{name!r} cannot be the name of an identifier (letters, digits, _ and .)")
            if spec.derive is None:
                continue
            parent = value.get(spec.derive.from_)
            if parent is None or parent.derive is not None:
                choices = ", ".join(n for n, s in value.items() if s.derive is None)
                raise ValueError(f"{name} cannot be derived from {spec.derive.from_!r} (valid: {choices})")
        return value

    @model_validator(mode="after")
    def _patterns(self) -> IdentitySpec:
        for text in (*self.blocked, *(b for i in self.identifiers.values() for b in i.blocked)):
            if is_pattern(text):
                _check_pattern(text)
        return self

    def rules(self, type_: str) -> IdentifierSpec | None:
        """The rules of a type of identifier; None when it is none."""
        return self.identifiers.get(type_, self.others)

    def limit(self, type_: str) -> int:
        """How many values of a type one profile may have."""
        return (self.rules(type_) or IdentifierSpec()).limit

    def window(self, type_: str) -> Window:
        """Over which time that limit counts."""
        return (self.rules(type_) or IdentifierSpec()).window

    def safe_size(self) -> int:
        """How many identifiers can hang together without any rule on size or merges being broken, in whatever order."""
        return min(self.max_mappings, self.max_merges + 1, self.hold.size or self.max_mappings)

    def blocked_for(self, type_: str) -> tuple[str, ...]:
        rules = self.rules(type_)
        return (*self.blocked, *(rules.blocked if rules else ()))

    def derived(self) -> dict[str, DeriveSpec]:
        return {name: spec.derive for name, spec in self.identifiers.items() if spec.derive}


def is_pattern(text: str) -> bool:
    """Whether a blocked text is a regular expression."""
    return text.startswith("^") or text.endswith("$")


def _check_pattern(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"blocked {text!r} is no regular expression: {error}") from None
    if re.search(r"\(\?(?:[=!>]|<[=!]|P=|\()|\\[1-9]", text):
        raise ValueError(f"blocked {text!r}: looking around and back references are not supported")
