"""What cdp.yaml says, as the stages' own specs."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from cdp_core.alerts.spec import AlertSpec
from cdp_core.audiences.spec import AudienceSpec
from cdp_core.cron import ScheduleSpec
from cdp_core.destinations.spec import DestinationSpec, SyncSpec
from cdp_core.engine.spec import EngineSpec
from cdp_core.identity.spec import IdentitySpec
from cdp_core.privacy.roles import AccessSpec
from cdp_core.privacy.spec import PrivacySpec
from cdp_core.profiles.spec import COMPUTED, TraitSpec
from cdp_core.quality.anomalies.spec import QualitySpec
from cdp_core.sources.spec import SourceSpec

if TYPE_CHECKING:
    from cdp_core.config.merge import Merged
    from cdp_core.redaction import Secrets


class Config(BaseModel):
    """A checked configuration; every reference in it leads somewhere. Made by `load_config`.

    >>> Config(name="shop").engine.type
    'duckdb'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="What the workspace is called")
    today: date | None = Field(None, description="Pins the clock (midnight UTC) that windows and schedules read")
    region: str = Field("US", pattern="^[A-Z]{2}$", description="Default country of phone numbers, such as GB")
    include: list[str] = Field(default_factory=list, description="More files of this shape, such as audiences/*.yaml")
    sources: dict[str, SourceSpec] = Field(default_factory=dict, description="Where rows come from, what they mean")
    quality: QualitySpec = Field(
        default_factory=lambda: QualitySpec.model_validate({}), description="Gates beside suites and tracking plans"
    )
    identity: IdentitySpec = Field(
        default_factory=lambda: IdentitySpec.model_validate({}), description="Which identifiers make one person"
    )
    traits: dict[str, TraitSpec] = Field(default_factory=dict, description="The columns of a profile")
    audiences: dict[str, AudienceSpec] = Field(default_factory=dict, description="Sets of profiles by rule")
    destinations: dict[str, DestinationSpec] = Field(default_factory=dict, description="Where data goes")
    syncs: dict[str, SyncSpec] = Field(default_factory=dict, description="What is sent where")
    schedule: ScheduleSpec = Field(
        default_factory=lambda: ScheduleSpec.model_validate({}), description="When 'cdp run' runs by itself"
    )
    privacy: PrivacySpec = Field(
        default_factory=lambda: PrivacySpec.model_validate({}), description="Personal data: classes, controls"
    )
    access: AccessSpec = Field(
        default_factory=lambda: AccessSpec.model_validate({}), description="Who may what: people and their roles"
    )
    alerts: tuple[AlertSpec, ...] = Field((), description="What is told to whom after a run or a sync")
    dashboard_url: str | None = Field(None, pattern="^https?://", description="Where alerts link to")
    engine: EngineSpec = Field(
        default_factory=lambda: EngineSpec.model_validate({}), description="Where tables are kept and computed"
    )

    _merged: Merged | None = PrivateAttr(None)
    _secrets: Secrets | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _one_region(self) -> Config:
        """The workspace's country is identity's too, unless that names its own."""
        if "region" not in self.identity.model_fields_set:
            self.__dict__["identity"] = self.identity.model_copy(update={"region": self.region})
        return self

    def read_from(self, merged: Merged, secrets: Secrets) -> Config:
        """This configuration, knowing the files that it was read from; while it lives, its secrets are in no error."""
        self._merged, self._secrets = merged, secrets
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """The files it was read from, relative to the workspace, cdp.yaml first."""
        return tuple(self._merged.files) if self._merged else ()

    @property
    def version(self) -> str:
        """Fingerprint of those files' bytes: equal versions mean nobody has edited in between."""
        return self._merged.version() if self._merged else ""

    def where(self, *path: str | int) -> str:
        """`file:line` of a key, such as `where("audiences", "high_value")`; of what is around it if it has no line."""
        return str(self._merged.place(path)) if self._merged else "cdp.yaml"

    def written(self, block: str, name: str) -> Any:
        """A definition as it stands in the file: plain values, `${NAME}` not replaced. None when it is not there."""
        from cdp_core.config.merge import as_written

        return as_written(self._merged, (block, name)) if self._merged else None

    def trait_types(self) -> dict[str, str]:
        """Column of `profiles` → kind of its values, for every trait; `unknown` for traits by SQL."""
        from cdp_core.profiles.spec import trait_types

        return trait_types(self.traits)

    def trait_names(self) -> list[str]:
        """The trait columns of `profiles`, in the order of cdp.yaml."""
        return list(self.trait_types())

    def trait_words(self) -> dict[str, str]:
        """Trait column → its definition in a few words."""
        from cdp_core.profiles.spec import columns_of

        return {
            column: _words(trait.model_dump(by_alias=True, exclude_defaults=True, mode="json"))
            for name, trait in self.traits.items()
            for column in columns_of(name, trait)
        }


def _words(definition: dict[str, Any]) -> str:
    if "sql" in definition:
        return "SQL"
    if any(key in definition for key in COMPUTED):
        return ", ".join(f"{key.replace('_', ' ')} {_short(value)}" for key, value in definition.items())
    picked = str(definition.get("pick", "latest")).replace("_", " ")
    sources = definition.get("sources")
    return f"{picked} of {', '.join(sources)}" if sources else picked


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return " and ".join(f"{key.replace('_', ' ')} {_short(inner)}" for key, inner in value.items())
    return ", ".join(map(_short, value)) if isinstance(value, list) else str(value)
