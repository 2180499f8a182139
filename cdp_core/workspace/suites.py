"""The suites of an open workspace: read them, change them, try them on what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cdp_core.errors import CDPError
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.runs.suite_preview import SuitePreview
    from cdp_core.workspace.facade import Workspace


@dataclass(frozen=True, kw_only=True)
class SuiteEdit:
    """A suite's file as it stood and as it stands now; empty where there was or is none."""

    name: str
    before: str
    after: str


class Suites:
    """Suites, files in expectations/sources/ and expectations/tables/; `tables/events` is the name of one. The folder
    may be left out where it is clear.

    Example: `ws.suites.preview("shop_orders").held`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @needs("read", plain=True)
    def __call__(self) -> pl.DataFrame:
        """Expectations of every suite with their result in the last run that checked them."""
        from cdp_core.workspace.listings import suites

        return suites(self._workspace.engine, self._workspace.root)

    @needs("read", plain=True)
    def list(self) -> pl.DataFrame:
        """Columns: suite, kind (source, table), target, expectations, stop, quarantine, warn (how many of each),
        problem (the first one)."""
        from cdp_core.workspace.listings import suite_files

        return suite_files(self._workspace.root)

    @needs("read", plain=True)
    def possible(self) -> Sequence[str]:
        """Names of suites that may be begun: of sources and tables that have none."""
        from cdp_core.config.suites import possible

        return possible(self._workspace.root, self._workspace.config.sources)

    @needs("read", plain=True)
    def show(self, name: str) -> dict[str, Any]:
        """A suite as plain data: its expectations with rule, severity, description, `words`, type and kwargs.

        Raises UsageError and SpecError.
        """
        from cdp_core.config.suites import draft_suite, full_name
        from cdp_core.quality.wording import in_words

        name = full_name(self._workspace.root, name)
        suite = draft_suite(self._workspace.root, name, self.text(name))
        said = [
            {"rule": e.rule, "severity": e.severity, "description": e.description, "words": in_words(e.type, e.kwargs),
             "type": e.type, "kwargs": e.kwargs}
            for e in suite.expectations
        ]  # fmt: skip
        return {"suite": name, "kind": suite.kind, "target": suite.target, "expectations": said}

    @needs("read", plain=True)
    def text(self, name: str) -> str:
        """A suite as it is written: the JSON of Great Expectations. Raises UsageError and SpecError."""
        from cdp_core.config.suites import read_suite

        return read_suite(self._workspace.root, name)

    def begin(self, name: str) -> str:
        """The text of a suite without expectations, for one of `possible`; nothing is written."""
        from cdp_core.config.suites import draft_suite
        from cdp_core.quality.suite_edit import new_suite

        target = name.partition("/")[2]
        try:
            draft_suite(self._workspace.root, name, new_suite(target))
        except CDPError:
            return new_suite(name)
        return new_suite(target)

    def expectations(self, name: str, *, text: str | None = None) -> Sequence[dict[str, Any]]:
        """What stands in a suite's file, or in `text`, right or wrong: type, kwargs, meta and other keys of each."""
        from cdp_core.config.suites import place
        from cdp_core.quality.suite_edit import expectations_of

        return expectations_of(self.text(name) if text is None else text, place(name))

    def put(self, name: str, text: str, expectation: Mapping[str, Any], *, at: int | None = None) -> str:
        """`text` with an expectation in the place of number `at` (0 is the first), or behind all others. The rest stays
        as it is written; nothing is saved. Raises SpecError and UsageError.
        """
        from cdp_core.config.suites import place
        from cdp_core.quality.suite_edit import add_expectation, put_expectation

        if at is None:
            return add_expectation(text, place(name), expectation)
        return put_expectation(text, place(name), at, expectation)

    def cut(self, name: str, text: str, at: int) -> str:
        """`text` without the expectation of number `at`. Raises SpecError and UsageError."""
        from cdp_core.config.suites import place
        from cdp_core.quality.suite_edit import cut_expectation

        return cut_expectation(text, place(name), at)

    def problem(self, name: str, text: str) -> str | None:
        """The first thing that is wrong with a suite that is not saved, with its line; None when nothing is."""
        from cdp_core.config.suites import draft_suite

        try:
            draft_suite(self._workspace.root, name, text)
        except CDPError as error:
            return str(error)
        return None

    def catalogue(self) -> Sequence[dict[str, Any]]:
        """Expectation types: type, label (in words), rows (whether it can say which rows fail, and so hold them) and
        arguments (name, label, kind, required, choices, rare)."""
        from cdp_core.quality.catalogue import TYPES
        from cdp_core.quality.wording import arguments_of, label_of

        return [
            {"type": name, "label": label_of(name), "rows": kind.rows, "arguments": arguments_of(name)}
            for name, kind in TYPES.items()
        ]

    def words(self, type: str, kwargs: Mapping[str, Any]) -> str:
        """An expectation as a phrase, such as `email is given`."""
        from cdp_core.quality.wording import in_words

        return in_words(type, kwargs)

    @needs("read", plain=True)
    def columns(self, name: str) -> dict[str, str]:
        """Columns of the rows that a suite sees, and their types: number, time, boolean or text."""
        from cdp_core.config.suites import parts
        from cdp_core.workspace.listings import suite_columns

        kind, path = parts(self._workspace.root, name)
        return suite_columns(self._workspace.engine, self._workspace.config, kind, path.stem)

    @needs("read")
    def preview(self, name: str, *, text: str | None = None, last: int = 50_000) -> SuitePreview:
        """What the suite would do; nothing is written. With `text` it is what stands there, not what is in its file.

        It runs on the newest events, or on a whole derived table; a source is read again, since raw rows are not kept.
        Raises UsageError, SourceError and SpecError.
        """
        from cdp_core.config.suites import draft_suite, full_name
        from cdp_core.runs.suite_preview import preview_suite

        root = self._workspace.root
        name = name if text is not None and "/" in name else full_name(root, name)
        suite = draft_suite(root, name, self.text(name) if text is None else text)
        standing = None if text is None else self._standing(name)
        return preview_suite(
            self._workspace.engine, self._workspace.config, name, suite, standing, root=root, now=self._workspace.now,
            last=last,
        )  # fmt: skip

    @needs("define", plain=True)
    def save(self, name: str, text: str, *, expected: str | None = None) -> SuiteEdit:
        """Write a suite, whole or not at all; the next run applies it. `expected` is the text that was looked at, empty
        for a new one. Raises SpecError (with the line) when it is wrong and UsageError when it has changed.
        """
        from cdp_core.config.suites import replace_suite

        sources = self._workspace.config.sources
        before = replace_suite(self._workspace.root, name, text, expected=expected, sources=sources)
        return SuiteEdit(name=name, before=before, after=self.text(name) if text else "")

    @needs("define", plain=True)
    def undo(self, edit: SuiteEdit) -> None:
        """Put back what stood there before. Raises UsageError when the suite has changed since that edit."""
        self.save(edit.name, edit.before, expected=edit.after)

    def _standing(self, name: str) -> Any:
        from cdp_core.config.suites import draft_suite

        try:
            return draft_suite(self._workspace.root, name, self.text(name))
        except CDPError:
            return None
