"""A suite as a form: its expectations in plain words, and what changed fields make of one.

Expectations come as they stand in the file and may be wrong; keys that a form does not show stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cdp_core as cdp
from cdp_core.dashboard.views.plan_form import shown
from cdp_core.privacy import masking

if TYPE_CHECKING:
    import polars as pl

SEVERITIES = {"stop": "Stop the run", "quarantine": "Hold the rows", "warn": "Count them"}
FIRST = "expect_column_values_to_not_be_null"
NUMBERS = ("number", "integer")
_TRUE_UNLESS_SAID = ("exact_match",)


def listed(ws: cdp.Workspace, expectations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per expectation: severity, description, words, rule."""
    return [_listed(ws, item) for item in expectations]


def _listed(ws: cdp.Workspace, item: Mapping[str, Any]) -> dict[str, Any]:
    meta, kwargs = _mapping(item.get("meta")), _mapping(item.get("kwargs"))
    words = ws.suites.words(str(item.get("type") or "?"), kwargs)
    severity = meta.get("severity")
    return {
        "severity": [str(severity)] if severity else [],
        "description": str(meta.get("description") or item.get("description") or words),
        "words": words,
        "rule": str(meta.get("rule") or ""),
    }


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def fresh(columns: Sequence[str]) -> dict[str, Any]:
    """An expectation to begin with."""
    kwargs = {"column": columns[0]} if columns else {}
    return {"type": FIRST, "kwargs": kwargs, "meta": {"severity": "warn"}}


def retyped(item: Mapping[str, Any], type: str, arguments: Sequence[Any]) -> dict[str, Any]:
    """The expectation with another type: arguments that the new one has as well stay."""
    kwargs = _mapping(item.get("kwargs"))
    names = {argument.name for argument in arguments}
    return {**item, "type": type, "kwargs": {key: value for key, value in kwargs.items() if key in names}}


def with_argument(item: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The expectation with an argument; None takes it out.

    >>> with_argument({"type": "t", "kwargs": {"column": "a"}}, "mostly", 0.9)["kwargs"]
    {'column': 'a', 'mostly': 0.9}
    """
    kwargs = _mapping(item.get("kwargs"))
    if repr(kwargs.get(name)) == repr(value):
        return dict(item)
    if value is None:
        del kwargs[name]
    else:
        kwargs[name] = value
    return {**item, "kwargs": kwargs}


def with_meaning(item: Mapping[str, Any], name: str, value: str) -> dict[str, Any]:
    """The expectation with a severity, rule or description; an empty one is taken out."""
    meta = _mapping(item.get("meta"))
    if value == str(meta.get(name) or "").strip():
        return dict(item)
    if value:
        meta[name] = value
    else:
        del meta[name]
    return {**item, "meta": meta}


def possible_severities(name: str, rows: bool, now: str | None) -> list[str]:
    """Severities that the suite and the type allow, and the present one, so that it can be seen and corrected.

    >>> possible_severities("tables/profiles", True, "stop")
    ['stop', 'warn']
    """
    can_hold = rows and (name.startswith("sources/") or name == "tables/events")
    return [severity for severity in SEVERITIES if severity != "quarantine" or can_hold or now == severity]


def number(value: Any, before: Any, *, whole: bool = False) -> int | float | None:
    """What a number field holds: as it was written where it is still the same, whole where it can be.

    >>> number(95.0, None), number(0.5, None), number(3.0, 3.0)
    (95, 0.5, 3.0)
    """
    if value is None:
        return None
    if is_number(before) and before == value:
        return before
    return int(value) if whole or float(value).is_integer() else float(value)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def bound(text: str, before: Any, sort: str) -> Any:
    """What a field for a bound holds: a number for columns of numbers, else text such as a time.

    >>> bound("10", None, "number"), bound("1998-07-01", None, "time"), bound(" ", 3, "number")
    (10, '1998-07-01', None)
    """
    text = text.strip()
    if not text:
        return None
    if before is not None and shown(before) == text:
        return before
    if sort != "number":
        return text
    try:
        return number(float(text), None)
    except (ValueError, OverflowError):
        return text


def flag(value: bool, before: Any, name: str, required: bool) -> bool | None:
    """A tick: left out where it says what holds anyway and was not written."""
    if before is None and not required and value == (name in _TRUE_UNLESS_SAID):
        return None
    return value


def ticked(before: Any, name: str) -> bool:
    return bool(before) if before is not None else name in _TRUE_UNLESS_SAID


def from_json(text: str, before: Any) -> Any:
    """A value that is written as JSON. Raises ValueError for what is none."""
    if not text.strip():
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"This is no JSON: {str(error).lower()}") from None
    return before if found == before else found


def sentence(found: Any, changes: int) -> str:
    """What the preview says, with its number."""
    rules = "this rule" if changes == 1 else "these rules"
    if found.stops:
        return f"With {rules} a run would **stop**: {', '.join(found.stops)}."
    if not found.holds:
        failed = found.found.filter(~found.found["success"]).height
        what = (
            "every expectation holds" if not failed else f"**{failed}** of {found.found.height} expectations would fail"
        )
        return f"With {rules}, {what} on {found.basis}. Nothing is held in a derived table."
    now = f" (now: {found.held_now:,})" if found.held_now is not None else ""
    return f"With {rules}, **{found.held:,}** of {found.basis} would have been held{now}."


def cannot_run(found: Any) -> list[str]:
    """Rules that say nothing about the rows, because their column is not there or the engine refuses them."""
    failed = found.found.filter(~found.found["success"])
    wrong = failed.filter(failed["observed"].str.contains("^(could not be computed|column .* is not in the batch)"))
    return [f"{row['description']}: {row['observed']}" for row in wrong.iter_rows(named=True)]


def changes(before: Sequence[Any], after: Sequence[Any]) -> int:
    """How many expectations are new, other or gone."""
    was, now = [[json.dumps(item, sort_keys=True, default=str) for item in items] for items in (before, after)]
    return max(sum(item not in was for item in now), sum(item not in now for item in was))


def results(found: Any) -> pl.DataFrame:
    """Results of a preview, failing ones first: outcome, severity, description, words, failed, checked, observed."""
    import polars as pl

    frame = found.found
    outcome = pl.when(pl.col("success")).then(pl.lit("passed")).otherwise(pl.lit("failed"))
    return frame.sort("success", maintain_order=True).select(
        outcome=pl.concat_list(outcome), severity=pl.concat_list("severity"), description="description", words="words",
        failed="failed", checked="checked", observed="observed",
    )  # fmt: skip


def samples(found: Any, reveal: bool) -> pl.DataFrame:
    """Rows that would fail: rule, key, content, personal data masked unless somebody asked to see it."""
    frame = found.samples
    return frame if reveal else masking.mask_json_column(frame, "content")
