"""The block `identity.matching` of cdp.yaml."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Role = Literal[
    "first_name", "last_name", "birth_date", "street", "house_number", "city", "postcode", "state", "phone", "email",
    "national_id",
]  # fmt: skip
ROLES: tuple[Role, ...] = get_args(Role)
COMMON_NAMES: dict[Role, tuple[str, ...]] = {
    "first_name": ("first_name", "given_name", "firstname", "forename"),
    "last_name": ("last_name", "surname", "family_name", "lastname"),
    "birth_date": ("birth_date", "dob", "date_of_birth", "birthdate", "birthday"),
    "street": ("street", "address", "address_1", "address_line_1", "street_address"),
    "house_number": ("house_number", "street_number"),
    "city": ("city", "suburb", "town"),
    "postcode": ("postcode", "zip", "postal_code", "zip_code"),
    "state": ("state",),
    "phone": ("phone", "mobile", "phone_number"),
    "email": ("email", "e_mail", "email_address"),
    "national_id": ("national_id", "soc_sec_id", "ssn"),
}
"""Trait names by which a role is recognised; the first that exists counts, in any mixture of case."""


class MatchingSpec(BaseModel):
    """Which pairs of golden records are shown to a person, and which count as evidence by themselves.

    >>> MatchingSpec(columns={"first_name": "vorname"}).review
    0.5
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    auto: float | None = Field(
        None, gt=0, le=1, description="A pair of at least this match probability is a link; none: a person decides"
    )
    review: float = Field(0.5, gt=0, lt=1, description="A pair of at least this match probability waits for a person")
    columns: dict[Role, str] = Field(
        default_factory=dict, description="Which trait holds what; a role left out is looked for by common names"
    )

    @model_validator(mode="after")
    def _auto_above_review(self) -> MatchingSpec:
        if self.auto is not None and self.auto < self.review:
            raise ValueError(f"auto ({self.auto:g}) must not be below review ({self.review:g})")
        return self

    def roles(self, traits: list[str]) -> dict[Role, str]:
        """Role to trait, as far as there is one among `traits`; a trait serves one role.

        >>> MatchingSpec().roles(["profile_id", "Surname", "dob"])
        {'last_name': 'Surname', 'birth_date': 'dob'}
        """
        by_name = {trait.lower(): trait for trait in reversed(traits)}
        found: dict[Role, str] = {}
        for role in ROLES:
            names = (self.columns[role],) if role in self.columns else COMMON_NAMES[role]
            trait = next((by_name[name.lower()] for name in names if name.lower() in by_name), None)
            if trait is not None and trait not in found.values():
                found[role] = trait
        return found
