"""One audience and the schedule of an open workspace, as objects to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.workspace import listings
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.audiences.preview import Preview
    from cdp_core.audiences.spec import AudienceSpec
    from cdp_core.workspace.facade import Workspace


class Audience:
    """One audience. Raises UsageError for a name that cdp.yaml does not define.

    Example: `ws.audience("high_value").preview().count`
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        if name not in workspace.config.audiences:
            raise UsageError.unknown("audience", name, workspace.config.audiences)
        self.name = name
        self._workspace = workspace

    @property
    def spec(self) -> AudienceSpec:
        return self._workspace.config.audiences[self.name]

    @property
    def definition(self) -> dict[str, Any]:
        """The definition as it stands in cdp.yaml."""
        written: dict[str, Any] = self._workspace.config.written("audiences", self.name)
        return written

    @needs("read")
    def preview(self, *, sample: int = 20) -> Preview:
        """Count, sample and funnel on today's published profiles, whether or not the audience has been run."""
        return listings.preview_condition(self._workspace, self.spec.where, sample=sample)

    @needs("read")
    def members(self, limit: int | None = None) -> pl.DataFrame:
        """Members as of the last run: the columns of `profiles` and entered_at (UTC), by profile_id."""
        workspace = self._workspace
        members = workspace.table("audience_members")
        members = members.filter(members.audience == self.name).select("profile_id", "entered_at")
        rows = workspace.table("profiles").inner_join(members, "profile_id").order_by("profile_id")
        return workspace.polars(rows.limit(limit) if limit is not None else rows)

    @needs("read", plain=True)
    def history(self) -> pl.DataFrame:
        """How many entered and exited at each run: the columns at (UTC), entered, exited."""
        workspace = self._workspace
        changes = workspace.table("audience_changes")
        changes = changes.filter(changes.audience == self.name)
        counted = changes.group_by("at").agg(
            entered=(changes.change == "entered").sum(), exited=(changes.change == "exited").sum()
        )
        return workspace.polars(counted.order_by("at"))
