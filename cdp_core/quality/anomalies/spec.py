"""The `quality:` block of cdp.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["volume", "missing", "violations", "new_values"]
KINDS: tuple[Kind, ...] = ("volume", "missing", "violations", "new_values")


class AnomalySpec(BaseModel):
    """What follows when the days that a run brings are unlike those before.

    >>> AnomalySpec().action, AnomalySpec(kinds=["volume"]).threshold
    ('warn', 5.0)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["warn", "stop", "off"] = Field(
        "warn", description="warn: the run notes it; stop: the run publishes nothing and ends with exit 3"
    )
    threshold: float = Field(5.0, ge=2, le=100, description="How many usual deviations from the usual are too many")
    kinds: tuple[Kind, ...] = Field(KINDS, min_length=1, description="What is looked at")


class QualitySpec(BaseModel):
    """Gates beside the suites and tracking plans in expectations/."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anomalies: AnomalySpec = Field(
        default_factory=lambda: AnomalySpec.model_validate({}), description="Days unlike the source's own history"
    )
