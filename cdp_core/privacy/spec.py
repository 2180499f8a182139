"""What cdp.yaml says about personal data: which fields are personal, and what becomes of them at the door.

A field is called `SOURCE.PLACE`, such as `crm.traits.email`, `web.properties.card_number`, `web.context.ip` or
`crm.user_id`; `*` in the place of the source means every source.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Class = Literal["red", "yellow", "green"]
Control = Literal["allow", "drop", "hash", "mask", "truncate", "generalise"]


class ClassSpec(BaseModel):
    """What was decided of one field: its class, and where it differs from the class's, its control."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    class_: Class = Field(alias="class", description="red (high risk), yellow (moderate), green (none)")
    control: Control | None = Field(
        None, description="What becomes of it before it is stored; else what its class says"
    )


class RetentionSpec(BaseModel):
    """How long events of a source are kept, all of them or those of one name.

    >>> RetentionSpec(source="web", event="Page Viewed", keep="90d").age.days
    90
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(description="A source of cdp.yaml")
    event: str | None = Field(None, description="The name of a track event; default: everything, held rows too")
    keep: str = Field(pattern=r"^[1-9]\d*d$", description="Days, such as 400d")

    @property
    def age(self) -> timedelta:
        return timedelta(days=int(self.keep[:-1]))


class PrivacySpec(BaseModel):
    """`privacy:` in cdp.yaml.

    >>> PrivacySpec(fields={"crm.traits.email": "yellow"}).fields["crm.traits.email"].class_
    'yellow'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: dict[str, ClassSpec] = Field(
        default_factory=dict, description="SOURCE.PLACE → red, yellow or green, or {class, control}"
    )
    controls: dict[Class, Control] = Field(
        default_factory=dict, description="Class → what becomes of its fields; red fields are dropped unless told"
    )

    retention: tuple[RetentionSpec, ...] = Field(
        default_factory=tuple, description="How long events are kept; default: until erased"
    )

    @field_validator("fields", mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: {"class": said} if isinstance(said, str) else said for name, said in value.items()}
