"""Destination types and destinations of an open workspace: what there is, whether they answer, one of one's own."""

from __future__ import annotations

import keyword
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.errors import CDPError, DestinationError, SpecError, UsageError
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.workspace.facade import Workspace


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What a destination said when it was tried. `ok` is None when it has no test of its own."""

    destination: str
    type: str
    ok: bool | None
    said: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Destinations:
    """Destination types and destinations.

    Example: `ws.destinations(); ws.destinations.test("crm").said; ws.destinations.new("crm")`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @needs("read", plain=True)
    def __call__(self) -> pl.DataFrame:
        """Every type, with the columns type, origin (built in, plug-in, own), modes of syncs, needs and takes (keys
        under `destinations:`), used_by (destinations of cdp.yaml), and problem, when it does not load.

        Raises SpecError when destinations.py is wrong.
        """
        import polars as pl

        from cdp_core.destinations.open import type_names

        rows = [self._row(kind) for kind in type_names(self._workspace.root)]
        texts = pl.List(pl.String)
        kinds: dict[str, Any] = {"type": pl.String, "origin": pl.String, "modes": texts, "needs": texts, "takes": texts}
        return pl.DataFrame(rows, schema={**kinds, "used_by": texts, "problem": pl.String})

    def _row(self, kind: str) -> dict[str, Any]:
        from typing import get_args

        from cdp_core.destinations.check import modes
        from cdp_core.destinations.open import type_class
        from cdp_core.destinations.spec import Mode
        from cdp_core.plugins import DESTINATIONS, origin

        used = [name for name, spec in self._workspace.config.destinations.items() if spec.type == kind]
        row: dict[str, Any] = {"type": kind, "origin": origin(DESTINATIONS, kind), "used_by": used, "problem": None}
        try:
            cls = type_class(kind, self._workspace.root)
        except SpecError as error:
            return {**row, "modes": [], "needs": [], "takes": [], "problem": str(error)}
        allowed = modes(cls)
        fields = {field.alias or name: field for name, field in cls.Options.model_fields.items()}
        needs = [name for name, field in fields.items() if field.is_required()]
        takes = [name for name in fields if name not in needs]
        return {**row, "modes": [mode for mode in get_args(Mode) if mode in allowed], "needs": needs, "takes": takes}

    @needs("activate", plain=True)
    def test(self, name: str) -> Tried:
        """Try one destination of cdp.yaml with its own test, which leaves nothing behind, and what its syncs ask of it.

        What it answers is a result, an error too. Raises UsageError for a name that cdp.yaml does not define.
        """
        from cdp_core.destinations.open import open_destination

        destinations = self._workspace.config.destinations
        if name not in destinations:
            raise UsageError.unknown("destination", name, destinations)
        spec, started = destinations[name], time.perf_counter()
        ok: bool | None = True
        try:
            destination = open_destination(name, spec, root=self._workspace.root)
            tried = getattr(destination, "test", None)
            ok, said = (None, "has no test of its own; its options are right") if tried is None else (True, tried())
            said = "; ".join([said, *self._syncs_tried(name, destination)])
        except CDPError as error:
            ok, said = False, str(error)
        seconds = round(time.perf_counter() - started, 3)
        return Tried(destination=name, type=spec.type, ok=ok, said=said, seconds=seconds)

    def _syncs_tried(self, name: str, destination: Any) -> Iterator[str]:
        """Where a service can tell before anything is sent."""
        from cdp_core.destinations.base import SupportsSyncTest
        from cdp_core.destinations.open import delivery_for

        if not isinstance(destination, SupportsSyncTest):
            return
        for sync, spec in self._workspace.config.syncs.items():
            if spec.destination == name and spec.enabled:
                fields = dict.fromkeys(spec.mapping, "string")
                try:
                    said = destination.test_sync(delivery_for(sync, spec, destination, fields))
                except CDPError as error:
                    raise DestinationError(f"sync {sync}: {error}") from None
                yield f"sync {sync}: {said}"

    @needs("admin", plain=True)
    def new(self, name: str) -> list[Path]:
        """Write a destination of one's own into destinations.py, behind what is there, and its contract test.

        Gives the two files. Raises UsageError when the name cannot be one or is taken, SpecError when the file as it
        stands is wrong; nothing is written then.
        """
        from cdp_core.config.whole import write_whole
        from cdp_core.destinations.open import type_names
        from cdp_core.destinations.own import FILE
        from cdp_core.destinations.own_template import contract_text, destination_text

        root = self._workspace.root
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            hint = "take letters, digits and underscores, such as my_crm"
            raise UsageError(f"{name!r} cannot be the name of a function", hint=hint)
        if name in type_names(root):
            raise UsageError(f"the destination type {name!r} is there already", hint="take another name")
        file, test = root / FILE, root / f"test_{name}.py"
        if test.exists():
            raise UsageError("the file is there already", where=test.name, hint="take another name, or move it away")
        present = file.read_text(encoding="utf-8") if file.exists() else ""
        write_whole(test, contract_text(name).encode())
        write_whole(file, destination_text(name, present).encode())
        return [file, test]
