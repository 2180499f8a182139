"""Who is who in an open workspace: explain it, decide about it, see what a change would do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.workspace.permits import needs
from cdp_core.workspace.rules import Rules

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.identity.explain import Explanation
    from cdp_core.identity.link_evidence import LinkEvidence
    from cdp_core.identity.overrides import Override
    from cdp_core.identity.spec import IdentitySpec
    from cdp_core.runs.preview import IdentityDiff
    from cdp_core.workspace.facade import Workspace

Pair = tuple[str, str]


class Identity:
    """Identity of one workspace. Identifiers are written `type:value` everywhere.

    Decisions take effect with the next run. Raises UsageError for texts that are no identifier.

    Example: `ws.identity.explain("email:ann@example.org", "user_id:7").connected`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @needs("read")
    def explain(self, left: str, right: str) -> Explanation:
        """The shortest chain of evidence between two identifiers, or what keeps them apart."""
        from cdp_core.identity.explain import explain

        workspace = self._workspace
        return explain(workspace.engine, workspace.config.identity, self.parse(left), self.parse(right))

    @needs("read")
    def evidence(self, left: str, right: str, *, examples: int = 5) -> LinkEvidence:
        """What stands behind one link, with some of the events that say so. Raises UsageError when there is no link."""
        from cdp_core.identity.link_evidence import link_evidence

        workspace = self._workspace
        ends = self.parse(left), self.parse(right)
        return link_evidence(workspace.engine, workspace.config.identity, *ends, examples=examples)

    @needs("query")
    def from_links(self, links: pl.DataFrame | Path | str) -> pl.DataFrame:
        """Profiles of links from elsewhere, by the workspace's rules; nothing is written.

        `links`: a frame or a Parquet file with the columns of the table identity_links, values spelled as there (e-mail
        addresses in lower case, phone numbers as +14155550134). Gives the columns of user_identifiers.
        Raises UsageError when the file cannot be read or a column is missing.
        """
        import polars as pl

        from cdp_core.identity.from_links import resolve_links
        from cdp_core.tables import IDENTITY_LINKS

        if not isinstance(links, pl.DataFrame):
            try:
                links = pl.read_parquet(links)
            except (OSError, pl.exceptions.PolarsError) as error:
                raise UsageError(f"{links} cannot be read: {str(error).splitlines()[0]}") from None
        wanted = IDENTITY_LINKS.polars_schema()
        missing = [c for c in wanted if c not in links.columns]
        if missing:
            raise UsageError(f"the links have no column {missing[0]}", choices=list(wanted))
        engine, spec = self._workspace.engine, self._workspace.config.identity
        try:
            found = resolve_links(engine, engine.frame(links.select(wanted.names()).cast(wanted)), spec)
            return engine.polars(found.user_identifiers).sort("profile_id", "type", "value")
        finally:
            engine.clear_scratch()

    @needs("read")
    def history(self, identifier: str) -> list[dict[str, Any]]:
        """Every merge and demotion of a profile, in time; see `profile_history`."""
        from cdp_core.identity.history import profile_history

        workspace = self._workspace
        return profile_history(workspace.engine, workspace.config.identity, workspace.resolve(identifier))

    @needs("define")
    def never_link(self, left: str, right: str, *, reason: str) -> Override:
        """Keep two identifiers in different profiles, whatever events say."""
        from cdp_core.identity.overrides import NEVER

        return self._decide(NEVER, self.parse(left), self.parse(right), reason)

    @needs("define")
    def always_link(self, left: str, right: str, *, reason: str) -> Override:
        """Keep two identifiers in one profile, whatever the rules say; of one kind, they count as one value."""
        from cdp_core.identity.overrides import ALWAYS

        return self._decide(ALWAYS, self.parse(left), self.parse(right), reason)

    @needs("define")
    def split(self, profile: str, *, at: Pair, reason: str) -> Override:
        """Cut a profile at one link. Raises UsageError when the two are not of that profile, or not linked directly."""
        from cdp_core.identity.graph import cuttable
        from cdp_core.identity.overrides import NEVER

        left, right = self.parse(at[0]), self.parse(at[1])
        cuttable(self._workspace.identity_graph(self._workspace.resolve(profile)), left, right)
        return self._decide(NEVER, left, right, reason)

    @needs("define")
    def revoke(self, left: str, right: str, *, reason: str = "revoked") -> Override:
        """Take back what was decided about two identifiers; the next run gives what there was without it."""
        from cdp_core.identity.overrides import REVOKE

        return self._decide(REVOKE, self.parse(left), self.parse(right), reason)

    @needs("read")
    def overrides(self, *, history: bool = False) -> list[Override]:
        """Decisions in force, oldest first; with `history` every one ever made."""
        from cdp_core.identity.overrides import in_force
        from cdp_core.runs.decisions import read_decisions

        made = read_decisions(self._workspace.root)
        return made if history else in_force(made)

    @property
    def rules(self) -> Rules:
        """The rules as they stand in cdp.yaml, to be read, saved and restored."""
        return Rules(self._workspace)

    @needs("read")
    def preview(
        self, rules: Path | str | IdentitySpec | None = None, *, decisions: Sequence[Override] | None = None
    ) -> IdentityDiff:
        """What other rules (a file with an `identity:` block) or decisions would do; nothing is written."""
        from cdp_core.config import load_identity
        from cdp_core.runs.preview import preview_identity

        workspace = self._workspace
        config = workspace.config
        if rules is not None:
            spec = load_identity(rules) if isinstance(rules, (str, Path)) else rules
            region = {} if "region" in spec.model_fields_set else {"region": config.region}
            config = config.model_copy(update={"identity": spec.model_copy(update=region)})
        told = self.overrides() if decisions is None else decisions
        return preview_identity(workspace.engine, config, told, now=workspace.now)

    @needs("read")
    def diff(self, before: str, after: str) -> IdentityDiff:
        """What changed in profiles and audiences between two runs. Raises UsageError for a run that is not there."""
        from cdp_core.runs.preview import compared

        engine = self._workspace.engine
        states = [
            {name: engine.table_at(name, self._snapshot(run)) for name in ("user_identifiers", "audience_members")}
            for run in (before, after)
        ]
        return compared(engine, states[0], states[1], engine.table("profile_merges"))

    @needs("read")
    def suspects(self, *, largest: int = 200) -> pl.DataFrame:
        """Large profiles that hold together by a single link, with the link to cut; see `suspects.suspects`."""
        from cdp_core.identity.suspects import suspects

        return suspects(self._workspace.engine, largest=largest)

    @needs("read")
    def review(self, *, demoted: bool = False) -> pl.DataFrame:
        """Merges that wait for a decision, those that most events ask for first; see `review.queue`."""
        from cdp_core.identity.review import queue

        waiting = queue(self._workspace.engine, demoted=demoted)
        settled = [made.override_id for made in self.overrides()]
        return waiting.filter(~waiting["review_id"].is_in(settled))

    @needs("define")
    def accept(self, review_id: str, *, reason: str) -> Override:
        """Link the two identifiers of an entry of the review queue for good."""
        from cdp_core.identity.overrides import ALWAYS

        return self._decide(ALWAYS, *self._entry(review_id), reason)

    @needs("define")
    def reject(self, review_id: str, *, reason: str) -> Override:
        """Keep the two identifiers of an entry of the review queue apart for good."""
        from cdp_core.identity.overrides import NEVER

        return self._decide(NEVER, *self._entry(review_id), reason)

    def parse(self, text: str) -> Pair:
        """`type:value` as tables spell it. Raises UsageError, which never holds the value."""
        from cdp_core.identity.lookup import PROFILE, parse_identifier

        spec = self._workspace.config.identity
        found = parse_identifier(text, spec) if ":" in text else None
        if found is None or found[0] == PROFILE or not found[1]:
            kind = text.partition(":")[0] if ":" in text else None
            what = f"this is no {kind} as the rules spell it" if kind in spec.identifiers else "this is no identifier"
            raise UsageError(what, choices=spec.identifiers, hint="write type:value, such as email:ann@example.org")
        return found

    def _entry(self, review_id: str) -> tuple[Pair, Pair]:
        rows = self.review(demoted=True)
        found = rows.filter(rows["review_id"] == review_id)
        if found.is_empty():
            raise UsageError(f"there is no entry {review_id!r} in the review queue", hint="see 'cdp identity review'")
        row = found.row(0, named=True)
        return (row["left_type"], row["left_value"]), (row["right_type"], row["right_value"])

    def _snapshot(self, run_id: str) -> int:
        runs = self._workspace.runs(limit=200)
        kept = runs.filter(runs["snapshot_id"].is_not_null())
        found = dict(kept.select("run_id", "snapshot_id").iter_rows())
        if run_id not in found:
            raise UsageError.unknown("run", run_id, list(found)[:12])
        return int(found[run_id])

    def _decide(self, action: str, left: Pair, right: Pair, reason: str) -> Override:
        from cdp_core.identity.overrides import override
        from cdp_core.runs.decisions import decide

        at = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        made = override(action, left, right, reason=reason, at=at)
        decide(self._workspace.root, made)
        return made
