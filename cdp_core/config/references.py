"""What only shows when all definitions stand side by side: connectors' own options, references, names given twice."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from cdp_core import plugins
from cdp_core.config.document import Path
from cdp_core.config.problems import Place, Problem, unknown
from cdp_core.config.translate import spec_problem, translate
from cdp_core.errors import SpecError
from cdp_core.tables import OWN_SOURCES, PROFILES

if TYPE_CHECKING:
    from cdp_core.config.merge import Merged
    from cdp_core.config.model import Config


def check(config: Config, merged: Merged, root: pathlib.Path) -> list[Problem]:
    """Every problem of a configuration whose definitions are each well formed."""
    problems: list[Problem] = _own_names(root)
    for name, source in config.sources.items():
        problems += _source(name, source, merged)
    for name, destination in config.destinations.items():
        problems += _destination(name, destination, merged, root)
    problems += _traits(config, merged)
    problems += _audiences(config, merged)
    problems += _retention(config, merged)
    for name in config.syncs:
        problems += _sync(name, config, merged, root)
    return problems or _places(config, merged, root)


def _retention(config: Config, merged: Merged) -> list[Problem]:
    found = []
    for number, rule in enumerate(config.privacy.retention):
        if rule.source not in config.sources:
            error = SpecError.unknown("source", rule.source, config.sources)
            place = merged.place(("privacy", "retention", number, "source"))
            found.append(Problem(place, error.what, error.choices, error.hint))
    return found


def _own_names(root: pathlib.Path) -> list[Problem]:
    from cdp_core.destinations.own import check_names

    try:
        check_names(root)
    except SpecError as error:
        return [_own_problem(error)]
    return []


def _own_problem(error: SpecError) -> Problem:
    """What is wrong in destinations.py, which has lines of its own."""
    file, _, line = (error.where or "").partition(":")
    place = Place(file, int(line) if line.isdigit() else None)
    return Problem(place, error.what, error.choices, error.hint)


def _destination(name: str, spec: Any, merged: Merged, root: pathlib.Path) -> list[Problem]:
    found, problems = _destination_class(name, spec, merged, root)
    return problems if found is None else _options(found, "Options", spec, ("destinations", name), merged)


def _destination_class(name: str, spec: Any, merged: Merged, root: pathlib.Path) -> tuple[Any, list[Problem]]:
    from cdp_core.destinations.open import type_class

    try:
        return type_class(spec.type, root), []
    except SpecError as error:
        if error.where:
            return None, [_own_problem(error)]
        place = merged.place(("destinations", name, "type"))
        return None, [Problem(place, error.what, error.choices, error.hint)]


def _connector(group: str, options: str, spec: Any, path: Path, merged: Merged) -> tuple[Any, list[Problem]]:
    """The class that `type` names and what is wrong with the options in its model called `options`."""
    kind = f"{group.rpartition('.')[2].removesuffix('s')} type"
    if spec.type not in plugins.names(group):
        return None, [unknown(merged.place((*path, "type")), kind, spec.type, plugins.names(group))]
    try:
        found = plugins.load(group, spec.type)
    except SpecError as error:
        return None, [Problem(merged.place((*path, "type")), error.what, error.choices, error.hint)]
    return found, _options(found, options, spec, path, merged)


def _options(
    found: Any, options: str, spec: Any, path: Path, merged: Merged, given: Mapping[str, Any] | None = None
) -> list[Problem]:
    model: type[BaseModel] = getattr(found, options)
    try:
        model.model_validate(dict(spec.options if given is None else given))
    except ValidationError as error:
        return translate(error, merged, model, path, also=_spec_keys(spec, options))
    except SpecError as error:
        return [spec_problem(error, merged, path)]
    return []


def _spec_keys(spec: Any, options: str) -> list[str]:
    """The keys beside a connector's own options that are valid in the same place."""
    return list(type(spec).model_fields) if options == "Options" else []


def _source(name: str, spec: Any, merged: Merged) -> list[Problem]:
    found, problems = _connector(plugins.SOURCES, "Options", spec, ("sources", name), merged)
    if name in OWN_SOURCES:
        what = f"{name!r} cannot be the name of a source: what is noted here goes by it"
        problems.append(Problem(merged.place(("sources", name)), what, hint="choose another name"))
    if found is None:
        return problems
    if found.gives == "rows" and spec.map is None:
        hint = "add 'map:' with type, key, time and identifiers"
        problems.append(Problem(merged.place(("sources", name)), f"missing key 'map' in {name!r}", hint=hint))
    if found.gives == "events" and spec.map is not None:
        what = f"a source of type {spec.type!r} holds events already and takes no 'map'"
        problems.append(Problem(merged.place(("sources", name, "map")), what, hint="remove it"))
    return problems


def _traits(config: Config, merged: Merged) -> list[Problem]:
    from cdp_core.profiles.spec import check_traits

    return _each(config.traits, None, lambda traits: check_traits(traits, list(config.sources)), "traits", merged)


def _audiences(config: Config, merged: Merged) -> list[Problem]:
    from cdp_core.audiences.check import check_audiences
    from cdp_core.audiences.spec import AudienceSpec

    neutral = AudienceSpec.model_validate({"where": {"consent": "any", "equals": "granted"}})
    return _each(
        config.audiences,
        neutral,
        lambda audiences: check_audiences(audiences, config.trait_types()),
        "audiences",
        merged,
    )


def _each(
    specs: Mapping[str, Any], neutral: Any, check: Callable[[Mapping[str, Any]], object], block: str, merged: Merged
) -> list[Problem]:
    """All problems of a check that stops at the first: what was found wrong is taken out, or becomes `neutral` when
    others may refer to it, and the rest is looked at."""
    rest = dict(specs)
    problems: list[Problem] = []
    while rest:
        try:
            check(rest)
            break
        except SpecError as error:
            problems.append(spec_problem(error, merged, (block,)))
            name = next((n for n in rest if f"{error.where}.".startswith(f"{block}.{n}.")), None)
            if name is None:
                break
            if neutral is None or rest[name] is neutral:
                del rest[name]
            else:
                rest[name] = neutral
    return problems


def _places(config: Config, merged: Merged, root: pathlib.Path) -> list[Problem]:
    from cdp_core.destinations.check import check_places

    try:
        check_places(config.syncs, config.destinations, root)
    except SpecError as error:
        return [spec_problem(error, merged, ("syncs",))]
    return []


def _sync(name: str, config: Config, merged: Merged, root: pathlib.Path) -> list[Problem]:
    from cdp_core.destinations.check import check_sync

    columns = [*PROFILES.columns, *config.trait_types()]
    sync = config.syncs[name]
    destination = config.destinations.get(sync.destination)
    if destination is not None:
        found, problems = _destination_class(sync.destination, destination, merged, root)
        if found is not None:
            path = ("syncs", name, "options")
            problems = _options(found, "SyncOptions", destination, path, merged, sync.options)
        if problems:
            return problems
    try:
        check_sync(name, sync, config.destinations, config.audiences, columns, config.sources, root)
    except SpecError as error:
        return [spec_problem(error, merged, ("syncs", name))]
    return []
