"""Syncs of an open workspace as drafts: what can be mapped, what comes out, what a run would send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cdp_core.errors import CDPError, SpecError
from cdp_core.workspace.forms import Forms, Wrong, wrong_of, wrongs
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    from cdp_core.config.form_fields import FormField
    from cdp_core.destinations.functions import Described
    from cdp_core.destinations.plan import SyncPlan
    from cdp_core.workspace.syncs import Sync

_MOST_EVENTS = 200


class SyncForms(Forms):
    """Example: `ws.sync_forms.plan("welcome", ws.sync_forms.text("welcome")).add`"""

    block = "syncs"

    def fields(self, destination: str) -> Sequence[FormField]:
        """What a sync to this destination is asked. Raises SpecError for a destination that is not there."""
        from cdp_core.config.form_fields import form_fields

        return form_fields(self._class(destination).SyncOptions)

    def modes(self, destination: str, *, of_events: bool = False) -> Mapping[str, str]:
        """Modes that have a meaning there, each with a line on it."""
        from cdp_core.destinations.check import MODE_WORDS, REMOVING, modes

        allowed = modes(self._class(destination)) - (REMOVING if of_events else frozenset())
        return {mode: words for mode, words in MODE_WORDS.items() if mode in allowed}

    def known_fields(self, destination: str) -> Mapping[str, str]:
        """Fields that the service knows, with what each means; empty where any name will do."""
        return dict(getattr(self._class(destination), "known_fields", {}))

    def functions(self) -> Sequence[Described]:
        """Functions of mappings."""
        from cdp_core.destinations.functions import catalogue

        return catalogue()

    @needs("read", plain=True)
    def events(self) -> Sequence[str]:
        """Names of events, the most frequent first."""
        events = self._workspace.engine.table("events")
        named = events.filter(events.event.notnull()).group_by("event").agg(n=events.event.count())
        found = self._workspace.polars(named.order_by([named.n.desc(), named.event]).limit(_MOST_EVENTS))
        return list(found["event"].to_list())

    @needs("read", plain=True)
    def columns(self, model: Any) -> Mapping[str, str]:
        """Columns of a model (as a sync has it) and their types. Raises SpecError when the model is wrong."""
        from pydantic import TypeAdapter, ValidationError

        from cdp_core.destinations.model import EVENT_COLUMNS, model_table
        from cdp_core.destinations.spec import AudienceModel, EventsModel, Model

        if model == "events" or (isinstance(model, dict) and "events" in model):
            return dict.fromkeys(EVENT_COLUMNS, "")
        try:
            parsed: Any = TypeAdapter(Model).validate_python(model)
        except ValidationError as error:
            raise SpecError("choose what is sent", where="model") from error
        parsed = "profiles" if isinstance(parsed, AudienceModel) else parsed
        if isinstance(parsed, EventsModel):
            return dict.fromkeys(EVENT_COLUMNS, "")
        return {name: str(kind) for name, kind in model_table(self._workspace.engine, parsed).schema().items()}

    @needs("read", plain=True)
    def suggested(self, destination: str, model: Any, mapping: Mapping[str, Any]) -> Mapping[str, str]:
        """Fields that are not mapped yet, with the column that fits: of those that the destination knows the column
        that means the same, where any name will do every column under its own.
        """
        from cdp_core.destinations.suggest import matched

        columns, known = self.columns(model), self.known_fields(destination)
        if known:
            key = {"id": "profile_id"} if "profile_id" in columns and "profile_id" not in mapping.values() else {}
            return {f: c for f, c in {**key, **matched(known, columns)}.items() if f not in mapping}
        taken = {source for source in mapping.values() if isinstance(source, str)}
        return {column: column for column in columns if column not in mapping and column not in taken}

    def problems(self, name: str, text: str) -> Sequence[Wrong]:
        """Everything that is wrong with a draft, as far as it can be known without running it."""
        try:
            return self._checked(name, text)[1]
        except CDPError as error:
            return [Wrong(field="", what=str(error))]

    @needs("read")
    def sample(self, name: str, text: str, limit: int = 3) -> Sequence[dict[str, Any]]:
        """A few rows of the model as they would be sent, personal data included. Raises SpecError."""
        data, _ = self._resolved(text)
        return self._with(name, self._parsed(data)).sample(limit)

    @needs("read")
    def plan(self, name: str, text: str) -> SyncPlan:
        """What a run of the draft would do; nothing is sent or written. Raises SpecError and DestinationError."""
        return self._drafted(name, text).plan()

    def _drafted(self, name: str, text: str) -> Sync:
        spec, found = self._checked(name, text)
        if found:
            raise SpecError(str(found[0]))
        return self._with(name, spec)

    def _with(self, name: str, spec: Any) -> Sync:
        """A sync of the workspace as it would be with this one in it."""
        from cdp_core.workspace.facade import Workspace

        self._class(spec.destination)
        workspace = self._workspace
        config = workspace.config.model_copy(update={"syncs": {**workspace.config.syncs, name: spec}})
        made = Workspace(workspace.root, config, workspace.engine, actor=workspace.actor, masked=workspace.masked)
        return made.sync(name)

    def _parsed(self, data: Any) -> Any:
        from pydantic import ValidationError

        from cdp_core.destinations.spec import SyncSpec

        try:
            return SyncSpec.model_validate(data)
        except ValidationError as error:
            raise SpecError(str(wrongs(error, SyncSpec.model_fields)[0])) from None

    def _checked(self, name: str, text: str) -> tuple[Any, list[Wrong]]:
        from pydantic import ValidationError

        from cdp_core.destinations.spec import SyncSpec

        data, unset = self._resolved(text)
        try:
            spec = SyncSpec.model_validate(data)
        except ValidationError as error:
            return None, [*unset, *wrongs(error, SyncSpec.model_fields)]
        return spec, [*unset, *self._misfits(name, spec)]

    def _misfits(self, name: str, spec: Any) -> list[Wrong]:
        """Where a well-formed sync does not fit what stands around it."""
        from pydantic import ValidationError

        from cdp_core.destinations.check import check_places, check_sync
        from cdp_core.tables import PROFILES

        config = self._workspace.config
        try:
            model = self._class(spec.destination).SyncOptions
            model(**spec.options)
            columns = [*PROFILES.columns, *config.trait_types()]
            root = self._workspace.root
            check_sync(name, spec, config.destinations, config.audiences, columns, config.sources, root)
            check_places({**config.syncs, name: spec}, config.destinations, root)
        except ValidationError as error:
            return wrongs(error, model.model_fields, "options")
        except CDPError as error:
            return [wrong_of(error, f"syncs.{name}")]
        return []

    def _class(self, destination: str) -> Any:
        from cdp_core.destinations.open import destination_class

        config = self._workspace.config
        if destination not in config.destinations:
            raise SpecError.unknown("destination", destination, config.destinations, where="destination")
        return destination_class(destination, config.destinations[destination], self._workspace.root)
