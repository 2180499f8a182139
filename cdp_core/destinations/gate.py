"""Who may be sent to a destination: consent for every category it needs, and nobody who is suppressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis.expr.types as ir

SUPPRESSED = "suppressed"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """`categories` are those of consent that a destination needs, all of them granted, as Segment asks of a
    destination that is mapped to several. `consents` is the table of that name; `suppressed` has one column,
    profile_id.
    """

    categories: tuple[str, ...] = ()
    consents: ir.Table | None = None
    suppressed: ir.Table | None = None

    def judged(self, rows: ir.Table) -> ir.Table:
        """`rows` (with profile_id) and one column more: `barred`, why a row may not be sent, or null.

        A category that a profile has said nothing about is not granted, and a row of no profile has granted none.
        """
        import ibis

        reasons: list[Any] = []
        if self.suppressed is not None:
            known = self.suppressed.select(suppressed_id="profile_id").distinct()
            rows = rows.left_join(known, rows.profile_id == known.suppressed_id)
            reasons.append((rows.suppressed_id.notnull(), ibis.literal(SUPPRESSED)))
        if self.categories and self.consents is not None:
            states = self._states(self.consents)
            rows = rows.left_join(states, rows.profile_id == states.consent_id)
            reasons.append(self._missing(rows))
        if not reasons:
            return rows.mutate(barred=ibis.null("string"))
        barred = ibis.cases(*reasons, else_=ibis.null("string"))
        rows = rows.mutate(barred=barred)
        return rows.drop(
            [c for c in rows.columns if c in ("suppressed_id", "consent_id") or c.startswith("consent_at_")]
        )

    def _states(self, consents: ir.Table) -> ir.Table:
        """One row per profile: consent_id, and the state of every category."""
        chosen = consents.filter(consents.category.isin(self.categories))
        per_category = {
            f"consent_at_{place}": chosen.state.max(where=chosen.category == name)
            for place, name in enumerate(self.categories)
        }
        return chosen.group_by(consent_id=chosen.profile_id).agg(**per_category)

    def _missing(self, rows: ir.Table) -> tuple[Any, Any]:
        """Whether any category is not granted, and which: `consent: ads (denied), email (unknown)`."""
        import ibis

        said, granted = [], ibis.literal(True)
        for place, name in enumerate(self.categories):
            state = rows[f"consent_at_{place}"]
            fine = (state == "granted").fill_null(False)
            granted &= fine
            text = ibis.literal(f"{name} (") + state.fill_null("unknown") + ibis.literal(")")
            said.append(fine.ifelse(ibis.null("string"), text))
        listed = ibis.array(said).filter(lambda part: part.notnull()).join(", ")
        return ~granted, ibis.literal("consent: ") + listed
