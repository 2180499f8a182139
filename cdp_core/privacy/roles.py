"""Who may what: the five roles, the people of cdp.yaml who have them, and what an identity provider says of somebody.

| role | permits |
|---|---|
| viewer | read, personal data masked |
| marketer | read masked, run, segment, activate |
| analyst | read, query, reveal, run, segment, define |
| privacy_officer | read, query, reveal, privacy |
| admin | all |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cdp_core.errors import Forbidden, UsageError

Permit = Literal["read", "query", "reveal", "run", "segment", "define", "activate", "privacy", "admin"]
Role = Literal["viewer", "marketer", "analyst", "privacy_officer", "admin"]
RoleOrNone = Literal["viewer", "marketer", "analyst", "privacy_officer", "admin", "none"]

PERMITS: tuple[Permit, ...] = get_args(Permit)
ROLES: tuple[Role, ...] = get_args(Role)
PERMITS_OF: Mapping[str, frozenset[Permit]] = {
    "none": frozenset(),
    "viewer": frozenset({"read"}),
    "marketer": frozenset({"read", "run", "segment", "activate"}),
    "analyst": frozenset({"read", "query", "reveal", "run", "segment", "define"}),
    "privacy_officer": frozenset({"read", "query", "reveal", "privacy"}),
    "admin": frozenset(PERMITS),
}


class AccessSpec(BaseModel):
    """`access:` in cdp.yaml.

    >>> AccessSpec(people={"ann@example.org": "viewer"}).local
    'admin'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    people: dict[str, RoleOrNone] = Field(
        default_factory=dict, description="Verified e-mail address, or ISSUER|SUBJECT of the identity provider → role"
    )
    default: Literal["viewer", "none"] = Field("none", description="Role of whoever logs in and is not among them")
    local: Role = Field("admin", description="Role of whoever has the folder: command line, notebooks, own dashboard")

    @field_validator("people")
    @classmethod
    def _names(cls, people: dict[str, RoleOrNone]) -> dict[str, RoleOrNone]:
        for name in people:
            issuer, bar, subject = name.partition("|")
            if not (issuer and subject if bar else "@" in name):
                raise ValueError(f"{name!r} is no e-mail address, and no ISSUER|SUBJECT")
        told = [name if "|" in name else name.lower() for name in people]
        if len(set(told)) < len(told):
            raise ValueError("an e-mail address is given twice")
        return people

    def role_of(self, name: str) -> str | None:
        """Role under a name; e-mail addresses in any case."""
        if "|" in name:
            return self.people.get(name)
        return {one.lower(): role for one, role in self.people.items() if "|" not in one}.get(name.lower())


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Whoever does something. Whoever makes one vouches for it.

    >>> Actor(name="ann", role="viewer").may("activate")
    False
    """

    name: str
    role: str = "admin"

    def __post_init__(self) -> None:
        if self.role not in PERMITS_OF:
            raise UsageError.unknown("role", self.role, ROLES)

    @property
    def permits(self) -> frozenset[Permit]:
        return PERMITS_OF[self.role]

    @property
    def masked(self) -> bool:
        """Whether personal data are masked in all that it reads, and there is nothing it can do about that."""
        return "reveal" not in self.permits

    @classmethod
    def of_claims(cls, claims: Mapping[str, Any], access: AccessSpec, *, now: float) -> Actor:
        """See `actor_of_claims`."""
        return actor_of_claims(claims, access, now=now)

    def may(self, permit: Permit) -> bool:
        return permit in self.permits


def who_may(permit: Permit) -> list[str]:
    """Roles with a permit.

    >>> who_may("privacy")
    ['privacy_officer', 'admin']
    """
    return [role for role in ROLES if permit in PERMITS_OF[role]]


def lowered(role: str, wanted: str | None) -> str:
    """The role of somebody who asks to work with fewer permits. Raises UsageError for one that has more.

    >>> lowered("admin", "viewer"), lowered("viewer", None)
    ('viewer', 'viewer')
    """
    if not wanted:
        return role
    if wanted not in PERMITS_OF:
        raise UsageError.unknown("role", wanted, ROLES, where="CDP_ROLE")
    if not PERMITS_OF[wanted] <= PERMITS_OF[role]:
        allowed = [name for name in ROLES if PERMITS_OF[name] <= PERMITS_OF[role]]
        hint = "it can take permits away, not give them; 'access.local' in cdp.yaml gives them"
        raise UsageError(f"{wanted} may more than {role}, your role here", where="CDP_ROLE", choices=allowed, hint=hint)
    return wanted


def actor_of_claims(claims: Mapping[str, Any], access: AccessSpec, *, now: float) -> Actor:
    """Who has logged in, from the claims of an ID token. `now` is in seconds since 1970.

    ISSUER|SUBJECT goes before the e-mail address, which counts only when the provider has verified it. Raises
    Forbidden for a login that has run out or says not whose it is, and for somebody who has no role here.

    >>> told = {"iss": "https://idp.example.org", "sub": "7", "exp": 9, "email": "ann@example.org"}
    >>> told["email_verified"] = True
    >>> actor_of_claims(told, AccessSpec(people={"Ann@example.org": "analyst"}), now=8).role
    'analyst'
    """
    issuer, subject, until = claims.get("iss"), claims.get("sub"), claims.get("exp")
    if not issuer or not subject:
        raise Forbidden("the login does not say whose it is", hint="the provider's ID token needs iss and sub")
    if isinstance(until, bool) or not isinstance(until, int | float) or until <= now:
        raise Forbidden("your login has run out", hint="log in again")
    email = claims.get("email") if claims.get("email_verified") is True else None
    by_id, by_email = access.role_of(f"{issuer}|{subject}"), access.role_of(str(email)) if email else None
    role = by_id or by_email or access.default
    name = str(email or f"{issuer}|{subject}")
    if role == "none":
        hint = (
            f"ask whoever looks after this workspace to add {_spelled(claims, email)} under access.people in cdp.yaml"
        )
        raise Forbidden("you have no role in this workspace", hint=hint)
    return Actor(name=name, role=role)


def _spelled(claims: Mapping[str, Any], email: object) -> str:
    return "your e-mail address" if email else f"'{claims['iss']}|{claims['sub']}'"
