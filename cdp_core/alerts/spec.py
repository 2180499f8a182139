"""The `alerts:` block of cdp.yaml."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

Condition = Literal["failure", "failed_share", "size_jump", "anomalies"]
DEFAULTS: dict[str, float] = {"failed_share": 0.05, "size_jump": 0.5}


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class EmailSpec(BaseModel):
    """A mail over SMTP. Put the password in the environment: `${SMTP_PASSWORD}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    host: str = Field(min_length=1, description="The SMTP server")
    port: int = Field(587, ge=1, le=65535)
    starttls: bool = Field(True, description="Encrypt before anything is said; the certificate is checked")
    user: str | None = None
    password: str | None = Field(None, repr=False, description="Such as ${SMTP_PASSWORD}")
    sender: str = Field(alias="from", min_length=3, description="The sender's address")
    to: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(min_length=1, description="One address or more")

    @model_validator(mode="after")
    def _both(self) -> EmailSpec:
        if (self.user is None) != (self.password is None):
            raise ValueError("'user' and 'password' go together")
        if self.user is not None and not self.starttls and self.host not in ("localhost", "127.0.0.1"):
            raise ValueError("a password goes over starttls only")
        return self


class ToSpec(BaseModel):
    """Where an alert goes: one of webhook (JSON), slack (an incoming webhook) and email."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    webhook: str | None = Field(None, repr=False, description="A URL that is sent JSON")
    slack: str | None = Field(None, repr=False, description="A URL of Slack's incoming webhooks")
    email: EmailSpec | None = None
    private_network: bool = Field(False, description="Let a URL be on this machine or a private network")

    @field_validator("webhook", "slack")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            raise ValueError("an address of a webhook begins with https://")
        return value

    @model_validator(mode="after")
    def _one(self) -> ToSpec:
        if sum(value is not None for value in (self.webhook, self.slack, self.email)) != 1:
            raise ValueError("give one of 'webhook', 'slack' and 'email'")
        return self

    @property
    def url(self) -> str | None:
        return self.webhook or self.slack

    @property
    def in_words(self) -> str:
        """
        >>> ToSpec(webhook="https://hooks.example.org/secret").in_words
        'webhook hooks.example.org'
        """
        if self.email is not None:
            return f"email {self.email.host}"
        return f"{'slack' if self.slack else 'webhook'} {urlsplit(self.url or '').hostname}"


class AlertSpec(BaseModel):
    """What is told to whom. `threshold` is a share: of refused rows (0.05), or of a jump (0.5).

    >>> AlertSpec(on="failure", to="https://hooks.example.org/x").on
    ('failure',)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    on: Annotated[tuple[Condition, ...], BeforeValidator(_listed)] = Field(
        min_length=1, description="failure, failed_share, size_jump, anomalies"
    )
    threshold: float | None = Field(None, gt=0, description="Share for failed_share (0.05) and size_jump (0.5)")
    to: Annotated[ToSpec, BeforeValidator(lambda value: {"webhook": value} if isinstance(value, str) else value)]

    def limit(self, condition: str) -> float:
        return DEFAULTS.get(condition, 0.0) if self.threshold is None else self.threshold

    @property
    def id(self) -> str:
        """Equal for the same receiver and conditions, and no secret."""
        told: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude={"to": {"private_network"}})
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
