"""What a source says about its tracking plan: which one, how strictly, and what is corrected before it is checked.

These keys stand in `sources:` of cdp.yaml and are obeyed by quality and by runs, which meet here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Call = Literal["identify", "track", "page", "screen", "group", "alias"]
TYPES: tuple[str, ...] = get_args(Call)
Bucket = Literal["properties", "traits"]
STEPS = ("rename_event", "rename", "move", "drop", "hash")


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Controls(_Frozen):
    """What follows when an event does not keep to the plan. `allow` only reports it.

    >>> Controls(violations="block").common
    'allow'
    """

    unplanned_events: Literal["allow", "block"] = Field("allow", description="Track events that the plan has not")
    unplanned_properties: Literal["allow", "omit"] = Field("allow", description="Properties and traits it has not")
    violations: Literal["allow", "omit", "block"] = Field("allow", description="Values that break the event's rules")
    common: Literal["allow", "omit", "block"] = Field("allow", description="Events that break the common schema")


class PlanUse(Controls):
    """The plan of a source: its name, and the controls.

    >>> PlanUse(name="shop", violations="block").controls.violations
    'block'
    """

    name: str = Field(min_length=1, description="A file expectations/tracking_plan/NAME.yaml, without its ending")

    @property
    def controls(self) -> Controls:
        return Controls(**self.model_dump(exclude={"name"}))


def _as_use(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


PlanOption = Annotated[PlanUse | None, BeforeValidator(_as_use)]


class Step(_Frozen):
    """One correction. It says one thing to do, and may be limited to an `event` or a `type` of call.

    Places are written properties.name or traits.name, with more names behind further dots.

    >>> Step(rename="properties.revenue", to="total").target
    ('properties', 'total')
    """

    event: str | None = Field(None, description="Only this event")
    type: Call | None = Field(None, description="Only calls of this type")
    rename_event: str | None = Field(None, min_length=1, description="What the event is called from now on")
    rename: str | None = Field(None, description="A place whose last name changes to that in `to`")
    move: str | None = Field(None, description="A place that moves to the place in `to`")
    drop: str | None = Field(None, description="A place that is taken out")
    hash: str | None = Field(None, description="A place whose text becomes its SHA-256 in hexadecimal")
    to: str | None = Field(None, min_length=1, description="Where rename and move lead")

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        said = [name for name in STEPS if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(f"say one of {', '.join(STEPS)}, not {' and '.join(said) or 'none'}")
        if (self.to is not None) != (self.kind in ("rename", "move")):
            raise ValueError("`to` belongs to rename and move, and they need it")
        if self.kind == "rename_event" and self.event is None:
            raise ValueError("rename_event needs `event`, the name it has now")
        for text in (self.place_text, self.to if self.kind == "move" else None):
            if text is not None and not _is_place(text):
                raise ValueError(f"{text!r} is no place; write properties.name or traits.name")
        if self.kind == "rename" and "." in str(self.to):
            raise ValueError("`to` of rename is one name; use move to lead elsewhere")
        return self

    @property
    def kind(self) -> str:
        return next((name for name in STEPS if getattr(self, name) is not None), "")

    @property
    def place_text(self) -> str | None:
        return None if self.kind in ("", "rename_event") else getattr(self, self.kind)

    @property
    def place(self) -> tuple[str, ...]:
        return tuple((self.place_text or "").split("."))

    @property
    def in_words(self) -> str:
        """What stands in context.protocols.transformed of an event that the step has changed.

        >>> Step(event="Pay", rename_event="Paid").in_words, Step(hash="traits.email").in_words
        ('rename_event: Pay → Paid', 'hash: traits.email')
        """
        if self.kind == "rename_event":
            return f"rename_event: {self.event} → {self.rename_event}"
        return f"{self.kind}: {self.place_text}" + (f" → {self.to}" if self.to is not None else "")

    @property
    def target(self) -> tuple[str, ...]:
        assert self.to is not None
        return (*self.place[:-1], self.to) if self.kind == "rename" else tuple(self.to.split("."))


def _is_place(text: str) -> bool:
    head, *names = text.split(".")
    return head in ("properties", "traits") and bool(names) and all(names)


def unsettled(steps: Sequence[Step]) -> tuple[int, int] | None:
    """Two steps, counted from 0, of which the later one brings about what the earlier one changes, if there are such.

    They would change again what they have changed before, when events pass through them once more. The two are one
    and the same where a value moves into itself.

    >>> unsettled([Step(rename="properties.b", to="c"), Step(rename="properties.a", to="b")])
    (0, 1)
    >>> unsettled([Step(rename="properties.a", to="b"), Step(rename="properties.b", to="c")]) is None
    True
    """
    for late, after in enumerate(steps):
        for early, before in enumerate(steps[: late + 1]):
            if _may_meet(before, after) and (_brings_about(after, before) or _clears_the_way(after, before)):
                return early, late
    return None


def _may_meet(before: Step, after: Step) -> bool:
    """Whether one event can be changed by both, some time or other."""
    if before.type is not None and after.type is not None and before.type != after.type:
        return False
    return after.kind == "rename_event" or before.event is None or after.event in (None, before.event)


def _brings_about(after: Step, before: Step) -> bool:
    if after.kind == "rename_event":
        return before.event == after.rename_event != after.event
    if after.kind not in ("rename", "move") or before.kind == "rename_event" or after.place == after.target:
        return False
    return all(a == b for a, b in zip(after.target, before.place, strict=False))


def _clears_the_way(after: Step, before: Step) -> bool:
    """A move stops where a text stands in its way; the next time that may be gone."""
    if before.kind != "move" or after.kind not in ("drop", "rename", "move"):
        return False
    return len(after.place) < len(before.target) and before.target[: len(after.place)] == after.place
