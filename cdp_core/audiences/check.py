"""References between audiences, traits and consent, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cdp_core.audiences.spec import AudienceCondition, AudienceSpec, Condition, EventCondition, TraitCondition, leaves
from cdp_core.errors import SpecError
from cdp_core.operators import as_operators, check_operators


def check_audiences(
    specs: Mapping[str, AudienceSpec], trait_types: Mapping[str, str], *, events: Iterable[str] | None = None
) -> list[str]:
    """Raise SpecError for a trait or audience that does not exist, an operator that does not fit its trait, or a
    cycle. Gives warnings: with `events` (names seen so far), conditions on events that have never been seen.

    `trait_types` is column → kind, see `cdp_core.profiles.spec.trait_types`.
    """
    seen = None if events is None else set(events)
    warnings: list[str] = []
    for name, spec in specs.items():
        where = f"audiences.{name}"
        check_condition(spec.where, trait_types, specs, where=where)
        unseen = {c.event for c in leaves(spec.where) if isinstance(c, EventCondition)} - (seen or set())
        if seen is not None:
            warnings += [f"{where}: no event {event!r} has been seen so far" for event in sorted(unseen)]
    order_of(specs)
    return warnings


def check_condition(
    condition: Condition, trait_types: Mapping[str, str], audiences: Iterable[str], *, where: str | None = None
) -> None:
    """The same for one condition (cycles apart). Raises SpecError."""
    audiences = list(audiences)
    for leaf in leaves(condition):
        if isinstance(leaf, AudienceCondition) and leaf.audience not in audiences:
            raise SpecError.unknown("audience", leaf.audience, audiences, where=where)
        if isinstance(leaf, TraitCondition):
            if leaf.trait not in trait_types:
                raise SpecError.unknown("trait", leaf.trait, trait_types, where=where)
            check_operators(leaf.operators(), trait_types[leaf.trait], f"trait {leaf.trait!r}", where=where)
        if isinstance(leaf, EventCondition):
            for name, written in leaf.where.items():
                check_operators(as_operators(written), "property", f"property {name!r}", where=where)


def order_of(specs: Mapping[str, AudienceSpec]) -> list[str]:
    """Names so that an audience stands behind those it refers to. Raises SpecError that prints a cycle.

    >>> from cdp_core.audiences.spec import condition_from_dict
    >>> a = AudienceSpec(where=condition_from_dict({"audience": "b"}))
    >>> b = AudienceSpec(where=condition_from_dict({"trait": "orders", "exists": True}))
    >>> order_of({"a": a, "b": b})
    ['b', 'a']
    """
    done: list[str] = []
    for name in specs:
        _visit(name, specs, [], done)
    return done


def _visit(name: str, specs: Mapping[str, AudienceSpec], path: list[str], done: list[str]) -> None:
    if name in done or name not in specs:
        return
    if name in path:
        cycle = [*path[path.index(name) :], name]
        raise SpecError(
            f"audiences refer to each other in a circle: {' → '.join(cycle)}",
            where=f"audiences.{cycle[0]}",
            hint="take one of the references out",
        )
    for other in references(specs[name].where):
        _visit(other, specs, [*path, name], done)
    done.append(name)


def references(condition: Condition) -> list[str]:
    """Names of the audiences that a condition refers to, each once."""
    return list(dict.fromkeys(c.audience for c in leaves(condition) if isinstance(c, AudienceCondition)))
