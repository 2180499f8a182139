"""Functions of texts, as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from cdp_core.destinations.functions import pattern, template
from cdp_core.destinations.functions.base import Function
from cdp_core.operators import Text

if TYPE_CHECKING:
    from cdp_core.destinations.functions.spec import Source


class Template(Function):
    """A text with fields in braces. A default after a bar stands for what is missing or blank; without one, a missing
    field makes the whole text null. {{ and }} are braces."""

    group, gives = "text", "text"
    example: ClassVar = {"template": "Hello {first_name|there}"}
    template: Text = Field(description="The text, with fields as {name} or {name|default}")

    @field_validator("template")
    @classmethod
    def _parses(cls, value: str) -> str:
        template.parsed(value)
        return value


class Concat(Function):
    """Texts one behind the other, those left out that are missing or empty. Null when nothing is left."""

    group, gives = "text", "text"
    example: ClassVar = {"concat": ["first_name", "last_name"], "separator": " "}
    concat: list[Source] = Field(min_length=1, description="What is put together")
    separator: Text = Field("", description="What stands between two of them")


class Lower(Function):
    """Small letters."""

    group, gives = "text", "text"
    example: ClassVar = {"lower": "email"}
    lower: Source = Field(description="A text")


class Upper(Function):
    """Capital letters."""

    group, gives = "text", "text"
    example: ClassVar = {"upper": "last_name"}
    upper: Source = Field(description="A text")


class Trim(Function):
    """Without white space (blanks, tabs, line ends) at both ends."""

    group, gives = "text", "text"
    example: ClassVar = {"trim": "city"}
    trim: Source = Field(description="A text")


class Nonblank(Function):
    """Trimmed, and null when nothing is left: so that `coalesce` passes over empty texts."""

    group, gives = "text", "text"
    example: ClassVar = {"coalesce": [{"nonblank": "city"}, {"value": "unknown"}]}
    nonblank: Source = Field(description="A text")


class Replace(Function):
    """Every occurrence of a text, or of what a regular expression matches, becomes another text."""

    group, gives = "text", "text"
    example: ClassVar = {"replace": "phone", "pattern": "[^0-9+]", "with": ""}
    replace: Source = Field(description="A text")
    find: Text | None = Field(None, min_length=1, description="The text that is looked for, letter by letter")
    pattern: Text | None = Field(None, description="Or a regular expression")
    with_: Text = Field(alias="with", description="What stands there instead; empty takes it out")

    @model_validator(mode="after")
    def _one_way(self) -> Replace:
        if (self.find is None) == (self.pattern is None):
            raise ValueError("give either 'find' (a text) or 'pattern' (a regular expression)")
        if self.pattern is not None:
            pattern.portable(self.pattern)
            if set(self.with_) & {"\\", "$"}:
                raise ValueError("beside 'pattern', 'with' has no \\ and no $; take parts of a text with extract")
        return self


class Extract(Function):
    """The part of a text that a regular expression matches first: its group in brackets, or all of it. Null without
    a match, and when the part is empty."""

    group, gives = "text", "text"
    example: ClassVar = {"extract": "email", "pattern": "@(.+)$"}
    extract: Source = Field(description="A text")
    pattern: Text = Field(description="The regular expression")

    @field_validator("pattern")
    @classmethod
    def _portable(cls, value: str) -> str:
        pattern.portable(value)
        return value


class Substring(Function):
    """Some characters of a text."""

    group, gives = "text", "text"
    example: ClassVar = {"substring": "postcode", "length": 2}
    substring: Source = Field(description="A text")
    start: int = Field(1, ge=1, strict=True, description="Number of the first character")
    length: int | None = Field(None, ge=1, strict=True, description="How many at most; all that follow if not given")


class Hash(Function):
    """The hash in small hexadecimal digits, over UTF-8. Null stays null, and an empty text is null too."""

    group, gives = "text", "text"
    example: ClassVar = {"hash": {"lower": {"trim": "email"}}, "with": "sha256"}
    hash: Source = Field(description="A text, or anything that has one")
    with_: Literal["sha256", "md5"] = Field("sha256", alias="with", description="Which hash")
