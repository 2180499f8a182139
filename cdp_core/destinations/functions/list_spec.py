"""Functions of lists, as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from cdp_core.destinations.functions.base import Function
from cdp_core.operators import Text

if TYPE_CHECKING:
    from cdp_core.destinations.functions.spec import Source


class Split(Function):
    """A text taken apart into a list."""

    group, gives = "list", "list"
    example: ClassVar = {"item": {"split": "email", "separator": "@"}, "at": -1}
    split: Source = Field(description="A text")
    separator: Text = Field(min_length=1, description="What stands between two items")


class ParseList(Function):
    """A JSON list of texts inside an event as a list; null when it is none."""

    group, gives = "list", "list"
    example: ClassVar = {"parse_list": {"value": '["a", "b"]'}}
    parse_list: Source = Field(description="A text that holds a JSON list")


class Join(Function):
    """The items of a list as one text; missing items are left out."""

    group, gives = "list", "text"
    example: ClassVar = {"join": "interests", "separator": ", "}
    join: Source = Field(description="A list")
    separator: Text = Field(", ", description="What stands between two items")


class Item(Function):
    """One item of a list; null when the list is shorter."""

    group, gives = "list", "text"
    example: ClassVar = {"item": "interests", "at": 1}
    item: Source = Field(description="A list")
    at: int = Field(1, strict=True, description="Number of the item; -1 is the last")

    @field_validator("at")
    @classmethod
    def _not_zero(cls, value: int) -> int:
        if not value:
            raise ValueError("the first item is 1, the last is -1")
        return value
