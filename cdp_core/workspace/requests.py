"""Requests of people: erased, answered, due."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.errors import CDPError, EngineError, UsageError
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.privacy.requests import Kind, Request
    from cdp_core.runs.record import Progress
    from cdp_core.workspace.facade import Workspace
    from cdp_core.workspace.privacy import Subject


class Requests:
    """Requests as records: what was asked for, until when it is due, what became of it.

    Example: `ws.privacy.requests(open_only=True)`; `ws.privacy.requests.resume()`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @needs("read", plain=True)
    def __call__(self, *, open_only: bool = False) -> pl.DataFrame:
        """Requests, newest first: the columns of the table `privacy_requests`, read from the file that counts."""
        import polars as pl

        from cdp_core.runs.requesting import frame, read_requests

        rows = frame(read_requests(self._workspace.root)).sort("opened_at", "request_id", descending=True)
        return rows.filter(pl.col("status").is_in(["running", "waiting"])) if open_only else rows

    @property
    def stamp(self) -> tuple[int, int]:
        """Changes whenever something is asked for or done: what was kept of people before may be of somebody erased."""
        from cdp_core.runs.requesting import PATH

        try:
            status = (self._workspace.root / PATH).stat()
        except OSError:
            return (0, 0)
        return status.st_mtime_ns, status.st_size

    @needs("read", plain=True)
    def get(self, request_id: str) -> Request:
        """One of them. Raises UsageError for an id that none has."""
        from cdp_core.runs.requesting import read_request

        return read_request(self._workspace.root, request_id)

    @needs("read", plain=True)
    def certificate(self, request_id: str) -> dict[str, Any]:
        """What was done about a request, signed and without personal data; see `privacy.certificate`.

        Raises UsageError while it is not done.
        """
        from cdp_core.privacy.certificate import certificate
        from cdp_core.privacy.store import known_key

        workspace = self._workspace
        return certificate(self.get(request_id), workspace.name, known_key(workspace.root))

    @needs("read", plain=True)
    def certificate_page(self, request_id: str) -> str:
        """The certificate as one HTML page that needs no network. Raises UsageError while the request is not done."""
        from cdp_core.privacy.certificate import as_html

        return as_html(self.certificate(request_id))

    @needs("read", plain=True)
    def write_certificate(self, request_id: str, path: Path | str) -> Path:
        """Write it as JSON, or as an HTML page where the name says so. Raises UsageError when the file is there."""
        from cdp_core.privacy.certificate import as_html, as_json

        target = Path(path)
        made = self.certificate(request_id)
        text = as_html(made) if target.suffix.lower() in (".html", ".htm") else as_json(made)
        try:
            with target.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise UsageError("the file is there already", where=str(target), hint="choose another name") from None
        return target

    @needs("privacy", plain=True)
    def resume(self, request_id: str | None = None, *, progress: Progress | None = None) -> list[Request]:
        """Go on with an erasure that was stopped or waits for a destination; with all that are open, oldest first.

        Raises UsageError for an id that none has, WorkspaceBusy and EngineError.
        """
        from cdp_core.runs.erasure.order import drop_left_over
        from cdp_core.runs.requesting import read_requests

        known = read_requests(self._workspace.root)
        drop_left_over(self._workspace.root, known)
        if request_id is not None:
            self.get(request_id)
        chosen = [each for each in known.values() if each.open and request_id in (None, each.request_id)]
        return [self._go_on(each.request_id, progress=progress) for each in chosen]

    @needs("privacy", plain=True)
    def confirm(self, request_id: str, sync: str, *, reason: str) -> Request:
        """Say that a person was erased by hand where a sync goes, and how that is known.

        Raises UsageError when there is no such receipt, or no reason.
        """
        from dataclasses import replace

        from cdp_core.runs.requesting import tell

        receipt = next((each for each in self.get(request_id).receipts if each.sync == sync), None)
        if receipt is None:
            known = [each.sync for each in self.get(request_id).receipts]
            raise UsageError.unknown("receipt", sync, known)
        if not reason.strip():
            raise UsageError("a reason is missing", hint="say who erased them there, and when")
        told = replace(receipt, state="confirmed", note=f"by hand: {' '.join(reason.split())}")
        tell(self._workspace.root, request_id, "receipt", receipt=told.to_dict())
        return self._go_on(request_id)

    @needs("privacy", plain=True)
    def extend(self, request_id: str, *, reason: str) -> Request:
        """Two more months for a complex request (GDPR 12(3)), once. The person must hear of it within the first.

        Raises UsageError when it was extended before, is done, or no reason is given.
        """
        from cdp_core.privacy.requests import EXTENSION, due_day
        from cdp_core.runs.requesting import publish, tell_if

        if not reason.strip():
            raise UsageError("a reason is missing", hint="the person must be told it")

        def wanted(request: Request) -> dict[str, Any]:
            if not request.open or request.extended:
                raise UsageError("this request is done" if not request.open else "this request was extended before")
            return {"due": due_day(request.received, 1 + EXTENSION).isoformat(), "reason": " ".join(reason.split())}

        tell_if(self._workspace.root, request_id, wanted, "extended")
        publish(self._workspace.engine, self._workspace.root)
        return self.get(request_id)

    @needs("privacy", plain=True)
    def erase(
        self, found: Subject, *, reason: str, received: date | None = None, wait: float | None = 600,
        progress: Progress | None = None,
    ) -> Request:  # fmt: skip
        """See `Privacy.erase`."""
        from cdp_core.runs.erasure.erase import begin

        workspace = self._workspace
        made = begin(
            workspace.engine, workspace.config, found.profile_id, found.identifiers, root=workspace.root,
            reason=reason, actor=workspace.actor.name, received=received,
        )  # fmt: skip
        return self._go_on(made.request_id, wait=wait, progress=progress)

    @needs("privacy", plain=True, quiet=True)
    def noted(self, kind: Kind, identifiers: Iterable[tuple[str, str]], reason: str) -> Request:
        """Write down a request that is done at once. Raises UsageError when no reason is given."""
        from cdp_core.privacy.store import known_key
        from cdp_core.privacy.tombstones import tombstones
        from cdp_core.runs.requesting import open_request, publish, tell

        root = self._workspace.root
        named = tuple(sorted(tombstones(identifiers, known_key(root))))
        made = open_request(root, kind, named, reason=reason, actor=self._workspace.actor.name)
        tell(root, made.request_id, "done")
        publish(self._workspace.engine, root)
        return self.get(made.request_id)

    @needs("run", plain=True, quiet=True)
    def go_on_in_run(self) -> None:
        """What a run does for erasures that are open, while it holds the workspace; what fails is told in them."""
        from cdp_core.runs.erasure.order import drop_left_over
        from cdp_core.runs.requesting import read_requests

        known = read_requests(self._workspace.root)
        drop_left_over(self._workspace.root, known)
        for each in known.values():
            if each.open and each.kind == "erase":
                with contextlib.suppress(CDPError):
                    self._go_on(each.request_id, wait=0, held=True)

    def _go_on(
        self, request_id: str, *, wait: float | None = 600, held: bool = False, progress: Progress | None = None
    ) -> Request:
        from cdp_core.runs.erasure.erase import go_on
        from cdp_core.runs.record import silent

        workspace = self._workspace
        return go_on(
            workspace.engine,
            workspace.config,
            request_id,
            root=workspace.root,
            now=workspace.now,
            drain=(lambda: None) if held else (lambda: self._drain(wait)),
            ask=self._ask,
            wait=wait,
            held=held,
            progress=progress or silent,
        )

    def _drain(self, wait: float | None) -> None:
        from cdp_core.inbox.files import SOURCE_TYPE

        names = [name for name, spec in self._workspace.config.sources.items() if spec.type == SOURCE_TYPE]
        if names:
            done = self._workspace.run(select=["load", *names], allow_anomalies=True, wait=wait)
            if done.status != "succeeded":
                raise EngineError(f"received events could not be loaded: {done.error}", hint="then go on")

    def _ask(self, sync: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return self._workspace.sync(sync).erase(rows)
