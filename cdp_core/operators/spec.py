"""How an operator, a length of time and a window are written."""

from __future__ import annotations

import difflib
import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, StrictBool, StrictStr, model_validator

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=36525)


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("a text holds a NUL character")
    return text


Text = Annotated[StrictStr, AfterValidator(_no_nul)]
Integer = Annotated[int, Strict(), Field(ge=-(2**63), lt=2**63)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Time = Annotated[datetime, Strict()]
Day = Annotated[date, Strict()]
Scalar = StrictBool | Integer | Number | Time | Day | Text


def span(text: str) -> timedelta:
    """The length of time that `text` names: a whole number and h, d or w. Raises ValueError.

    >>> span("90d")
    datetime.timedelta(days=90)
    """
    found = re.fullmatch(r"([1-9][0-9]{0,5})([hdw])", text)
    if not found:
        raise ValueError(f"{text!r} is no length of time: write a whole number and h, d or w, such as 12h, 30d or 6w")
    length = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if length > _LONGEST:
        raise ValueError(f"{text!r} is longer than 100 years")
    return length


def _duration(text: str) -> str:
    span(text)
    return text


Duration = Annotated[StrictStr, AfterValidator(_duration), Field(description="Such as 12h, 30d or 6w")]


class Between(BaseModel):
    """A window that ended some time ago: `between: [60d, 30d]` is from 60 to 30 days ago."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    between: list[Duration] = Field(min_length=2, max_length=2)

    @model_validator(mode="after")
    def _ordered(self) -> Between:
        if span(self.between[0]) <= span(self.between[1]):
            raise ValueError("the longer time comes first, as in [60d, 30d]")
        return self


Window = Duration | Between


class Operators(BaseModel):
    """One or more operators on one value; all must hold. What is missing equals nothing and lies nowhere.

    >>> Operators(at_least=5, less_than=10).given()
    {'at_least': 5, 'less_than': 10}
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    equals: Scalar | None = None
    not_equals: Scalar | None = None
    greater_than: Scalar | None = None
    at_least: Scalar | None = None
    less_than: Scalar | None = None
    at_most: Scalar | None = None
    contains: Text | None = None
    not_contains: Text | None = None
    starts_with: Text | None = None
    ends_with: Text | None = None
    exists: StrictBool | None = None
    one_of: list[Scalar] | None = Field(default=None, min_length=1)
    not_one_of: list[Scalar] | None = Field(default=None, min_length=1)
    before: Time | Day | Text | None = None
    after: Time | Day | Text | None = None
    within_last: Duration | None = None
    not_within_last: Duration | None = None
    within_next: Duration | None = None

    @model_validator(mode="before")
    @classmethod
    def _known(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    raise ValueError(unknown_operator(str(key), cls.model_fields))
        return data

    @model_validator(mode="after")
    def _some(self) -> Operators:
        if not self.given():
            raise ValueError(f"an operator is missing (valid: {', '.join(OPERATORS)})")
        for name in ("before", "after"):
            value = getattr(self, name)
            if isinstance(value, str):
                moment(value)
        return self

    def given(self) -> dict[str, Any]:
        """The operators that were written, with their operands."""
        return {name: value for name in OPERATORS if (value := getattr(self, name)) is not None}


OPERATORS: tuple[str, ...] = tuple(Operators.model_fields)

Where = dict[Text, Scalar | list[Scalar] | Operators]


def as_operators(written: Scalar | list[Scalar] | Operators) -> Operators:
    """A plain value means equals, a plain list means one_of.

    >>> as_operators("Rock").given()
    {'equals': 'Rock'}
    """
    if isinstance(written, Operators):
        return written
    return Operators(one_of=written) if isinstance(written, list) else Operators(equals=written)


def moment(value: datetime | date | str) -> datetime:
    """A point in time as naive UTC: a day is its midnight, text is ISO 8601. Raises ValueError."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError("no date: write it as 1998-07-01 or 1998-07-01T12:00:00") from None
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    if value.tzinfo is not None:
        value = (value - (value.utcoffset() or timedelta())).replace(tzinfo=None)
    return value


def unknown_operator(name: str, valid: Any) -> str:
    near = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f"unknown key {name!r} (valid: {', '.join(valid)})" + (f"; did you mean {near[0]!r}?" if near else "")
