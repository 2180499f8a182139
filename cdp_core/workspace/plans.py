"""The tracking plans of an open workspace: read them, try them on what is in the lake, begin one, carry them over."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.workspace.permits import demand, needs

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.config.plan_edit import DraftProblem
    from cdp_core.quality.plan.infer import Suggestion
    from cdp_core.quality.plan.judge import Judge
    from cdp_core.runs.plan_preview import PlanPreview
    from cdp_core.tracking import Controls
    from cdp_core.workspace.facade import Workspace

FORMATS = ("segment", "segment-csv", "rudderstack")


@dataclass(frozen=True, kw_only=True)
class PlanText:
    """A plan as text: YAML, or the format that was asked for. `left_out` is what that format cannot say."""

    name: str
    text: str
    path: Path | None = None
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class PlanEdit:
    """A plan's file as it stood and as it stands now."""

    name: str
    before: str
    after: str


class Plans:
    """Tracking plans, files in expectations/tracking_plan/.

    Example: `ws.plans.preview("shop", "web_events").held`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @needs("read", plain=True)
    def list(self) -> pl.DataFrame:
        """Columns: plan, events, calls, properties, sources (that use it), description, problem (the first one)."""
        from cdp_core.workspace.listings import plans

        return plans(self._workspace.config, self._workspace.root)

    @needs("read", plain=True)
    def show(self, name: str) -> dict[str, Any]:
        """A plan in the shape of its file, with its name and the sources that use it. Raises UsageError, SpecError."""
        from cdp_core.config.plan_text import plan_dict
        from cdp_core.config.plans import load_plan

        return {"plan": name, "sources": self._users(name), **plan_dict(load_plan(self._workspace.root, name))}

    @needs("read", plain=True)
    def check(self, name: str | None = None) -> Sequence[str]:
        """Everything that is wrong with a plan, or with all of them: one line each, with file and line."""
        from cdp_core.config.plans import check_plan, plan_names

        names = [name] if name is not None else plan_names(self._workspace.root)
        return [str(problem) for each in names for problem in check_plan(self._workspace.root, each)[1]]

    @needs("query", plain=True)
    def judge(self, source: str) -> Judge:
        """The plan of a source for single events. Raises UsageError when it has none, SpecError when it is wrong."""
        from cdp_core.config.plans import load_plan
        from cdp_core.quality.plan.judge import compile_plan

        use = self._source(source).plan
        if use is None:
            raise UsageError(f"source {source!r} has no tracking plan", hint="add 'plan: NAME' to it in cdp.yaml")
        return compile_plan(load_plan(self._workspace.root, use.name), use.controls)

    @needs("read", plain=True)
    def text(self, name: str) -> str:
        """A plan as it is written, comments included. Raises UsageError and SpecError."""
        from cdp_core.config.plans import read_plan

        return read_plan(self._workspace.root, name)

    @needs("define", plain=True)
    def save(self, name: str, text: str, *, expected: str | None = None) -> PlanEdit:
        """Write over a plan, whole or not at all; the next run applies it. `expected` is the text that was looked at.

        Raises SpecError (with the line) when the plan is wrong and UsageError when there is none or it has changed.
        """
        from cdp_core.config.plans import replace_plan

        before = replace_plan(self._workspace.root, name, text, expected=expected)
        return PlanEdit(name=name, before=before, after=self.text(name))

    @needs("define", plain=True)
    def undo(self, edit: PlanEdit) -> None:
        """Put back what stood there before. Raises UsageError when the plan has changed since that edit."""
        self.save(edit.name, edit.before, expected=edit.after)

    def model(self, name: str, *, text: str | None = None) -> dict[str, Any]:
        """What stands in a plan's file, or in `text`: plain data, right or wrong. Raises UsageError and SpecError."""
        from cdp_core.config.plan_edit import plan_model

        return plan_model(self.text(name) if text is None else text, name)

    def edit(
        self, name: str, text: str, wanted: Mapping[str, Any], *, renamed: Sequence[tuple[tuple[str, ...], str]] = ()
    ) -> str:
        """`text` changed so that `wanted` (as `model` gives it) stands there; all other lines stay. Nothing is written.

        `renamed` are paths of keys with the new name that `wanted` has. Raises SpecError when this cannot be done.
        """
        from cdp_core.config.plan_edit import edit_plan

        return edit_plan(text, name, wanted, renamed)

    def problems(self, name: str, text: str) -> Sequence[DraftProblem]:
        """Everything that is wrong with a plan that is not saved: `event`, `property`, `line` and `what` of each."""
        from cdp_core.config.plan_edit import draft_problems

        return draft_problems(text, name)

    @needs("read")
    def seen(self, source: str, *, last: int = 50_000) -> dict[str, Any]:
        """What the newest events of a source hold, as plain data in the shape of a plan. Raises UsageError."""
        from cdp_core.quality.plan.infer import infer
        from cdp_core.runs.plan_preview import newest_events

        self._source(source)
        with newest_events(self._workspace.engine, source, last) as staging:
            return infer(staging)

    def unplanned(self, seen: Mapping[str, Any], plan: Mapping[str, Any]) -> Sequence[Suggestion]:
        """What `seen` gives that a plan (see `model`) does not have: events, and properties of planned ones, each with
        the `path` at which its `rule` may stand.
        """
        from cdp_core.quality.plan.infer import unplanned

        return unplanned(seen, plan)

    @needs("read")
    def preview(
        self,
        name: str,
        source: str,
        *,
        text: str | None = None,
        last: int = 50_000,
        controls: Controls | Mapping[str, str] | None = None,
    ) -> PlanPreview:
        """What the plan would do to the newest events of a source in the lake; nothing is written.

        With `text` the plan is what stands there, not what is in its file. Without `controls` the source's own hold if
        it uses this plan and blocks something; else everything that can be blocked is. Raises UsageError and SpecError.
        """
        from cdp_core.config.plans import check_plan, load_plan, read_draft
        from cdp_core.runs.plan_preview import preview_plan
        from cdp_core.tracking import Controls

        plan = load_plan(self._workspace.root, name) if text is None else read_draft(text, name)
        standing = None if text is None else check_plan(self._workspace.root, name)[0]
        use = self._source(source).plan
        if controls is None:
            own = use.controls if use is not None and use.name == name else None
            blocks = own is not None and "block" in own.model_dump().values()
            controls = own if own is not None and blocks else STRICT
        held = Controls.model_validate(dict(controls))
        return preview_plan(self._workspace.engine, source, plan, held, last=last, standing=standing)

    @needs("read")
    def infer(self, source: str, *, name: str | None = None, write: bool = False, last: int = 200_000) -> PlanText:
        """A plan to begin with, from the newest events of a source in the lake; with `write` it becomes a file.

        Raises UsageError when nothing is loaded or there is a plan of that name.
        """
        from cdp_core.config.plan_text import plan_text
        from cdp_core.config.plans import save_plan
        from cdp_core.quality.plan.infer import infer
        from cdp_core.runs.plan_preview import newest_events

        self._source(source)
        if write:
            demand(self._workspace, "define", "plans.infer")
        with newest_events(self._workspace.engine, source, last) as staging:
            made = infer(staging)
        if not made:
            raise UsageError(f"nothing has been loaded from {source!r} yet", hint="run 'cdp run' first")
        name, text = name or source, plan_text(made)
        path = save_plan(self._workspace.root, name, text) if write else None
        return PlanText(name=name, text=text, path=path)

    @needs("define", plain=True)
    def import_file(self, path: Path | str, name: str) -> PlanText:
        """Make a plan of a file of Segment's (JSON or CSV) or RudderStack's. Raises UsageError and SpecError."""
        from cdp_core.config.plan_text import plan_text
        from cdp_core.config.plans import save_plan

        taken = _taken(Path(path))
        text = plan_text(taken.plan)
        return PlanText(name=name, text=text, path=save_plan(self._workspace.root, name, text), left_out=taken.left_out)

    @needs("read", plain=True)
    def export(self, name: str, format: str = "segment") -> PlanText:
        """The plan in another system's format: segment, segment-csv or rudderstack. Raises UsageError, SpecError."""
        from cdp_core.config.plans import load_plan
        from cdp_core.quality.plan import rudderstack, segment, table

        if format not in FORMATS:
            raise UsageError.unknown("format", format, FORMATS)
        plan = load_plan(self._workspace.root, name)
        if format == "segment-csv":
            text, left_out = table.to_table(plan)
            return PlanText(name=name, text=text, left_out=left_out)
        made, left_out = (segment.to_segment if format == "segment" else rudderstack.to_rudderstack)(plan)
        return PlanText(name=name, text=json.dumps(made, ensure_ascii=False, indent=2) + "\n", left_out=left_out)

    def _source(self, name: str) -> Any:
        sources = self._workspace.config.sources
        if name not in sources:
            raise UsageError.unknown("source", name, sources)
        return sources[name]

    def _users(self, name: str) -> Sequence[str]:
        sources = self._workspace.config.sources
        return [source for source, spec in sources.items() if spec.plan is not None and spec.plan.name == name]


STRICT: dict[str, str] = {"unplanned_events": "block", "violations": "block", "common": "block"}


def _taken(path: Path) -> Any:
    from cdp_core.quality.plan import rudderstack, segment, table

    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("the file is not UTF-8 text", where=str(path)) from None
    except OSError as error:
        raise UsageError(f"the file cannot be read: {(error.strerror or '').lower()}", where=str(path)) from None
    try:
        if path.suffix.lower() == ".csv":
            return table.from_table(text)
        data = json.loads(text)
        rudder = (
            isinstance(data, dict) and ("events" in data or "eventType" in text[:100_000]) and "jsonSchema" not in text
        )
        return rudderstack.from_rudderstack(data) if rudder else segment.from_segment(data)
    except json.JSONDecodeError as error:
        raise UsageError(f"this is no JSON: {error.msg.lower()}", where=f"{path}:{error.lineno}") from None
    except (AttributeError, KeyError, TypeError, ValueError):
        what = "its rules are not shaped like those of a tracking plan"
        raise UsageError(what, where=str(path), hint="export it again from where it comes from") from None
    except UsageError as error:
        where = f"{path}, {error.where}" if error.where else str(path)
        raise UsageError(error.what, where=where, choices=error.choices, hint=error.hint) from None
