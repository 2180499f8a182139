"""An erasure, step by step: each can be done again, and one that was killed goes on where it was.

1. barred: tombstones, before anything goes, so that nothing of the person comes in behind the others' backs.
2. drained: what the collector has received is loaded, so that its inbox can be emptied.
3. rows: out of every table in one transaction, while no run and no sync goes on.
4. lake: older snapshots, files, the catalog.
5. files: decisions about who they are.
6. inbox: received requests.
Destinations are asked then, and again by every run until none of them owes an answer; at last what is left is looked
through (proof).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cdp_core.destinations.sync import alone
from cdp_core.errors import CDPError, WorkspaceBusy
from cdp_core.identity.overrides import in_force
from cdp_core.privacy.store import known_key
from cdp_core.privacy.tombstones import tombstones
from cdp_core.runs import requesting, suppressing
from cdp_core.runs.decisions import read_decisions
from cdp_core.runs.erasure import clear
from cdp_core.runs.erasure.find import Person, whole_person
from cdp_core.runs.erasure.forward import Ask, forward, is_waiting
from cdp_core.runs.erasure.look import look
from cdp_core.runs.erasure.order import Order, drop_left_over, read_order, write_order
from cdp_core.runs.erasure.take import take_out
from cdp_core.runs.lock import run_lock
from cdp_core.runs.record import Progress, silent

if TYPE_CHECKING:
    from cdp_core.config import Config
    from cdp_core.engine import Engine
    from cdp_core.privacy.requests import Request

STEPS = ("barred", "drained", "rows", "lake", "files", "inbox")
PROOF = "proof"
Drain = Callable[[], None]
"""Load what the collector has received."""


def begin(
    engine: Engine, config: Config, profile_id: str | None, named: Sequence[tuple[str, str]], *, root: Path,
    reason: str, actor: str, received: date | None = None,
) -> Request:  # fmt: skip
    """Write down whom to erase, and that it was asked for. Raises UsageError when no reason is given."""
    key = known_key(root)
    person = whole_person(engine, config, profile_id, named)
    made = sorted(tombstones(person.identifiers, key))
    request = requesting.open_request(
        root, "erase", tuple(made), reason=reason, actor=actor, received=received,
        before=lambda request_id: write_order(root, _order(engine, request_id, person)),
    )  # fmt: skip
    requesting.publish(engine, root)
    return request


def _order(engine: Engine, request_id: str, person: Person) -> Order:
    return Order(
        request_id=request_id,
        identifiers=tuple(sorted(person.identifiers)),
        spellings=tuple(sorted(person.spellings)),
        profile_ids=tuple(sorted(person.profile_ids)),
        sent=tuple(_sent(engine, person)),
    )


def _sent(engine: Engine, person: Person) -> list[dict[str, str]]:
    """Their rows of the ledger that a destination may have."""
    from cdp_core.runs.erasure.find import ledger_rows

    ledger = engine.table("sync_ledger").semi_join(ledger_rows(engine, person), ["sync", "key"])
    held = ledger.filter(ledger.payload.notnull() | ledger.before.notnull())
    return engine.polars(held.select("sync", "key", "payload", "before")).to_dicts()


def go_on(
    engine: Engine, config: Config, request_id: str, *, root: Path, now: datetime, drain: Drain, ask: Ask,
    wait: float | None = 600, held: bool = False, progress: Progress = silent,
) -> Request:  # fmt: skip
    """Do what is left of an erasure. `held`: whoever calls holds the run lock; `wait`: seconds to wait for runs.

    Raises WorkspaceBusy and EngineError; what is done stays done, and is not done again. A destination's error is its
    receipt.
    """
    request, order = requesting.read_request(root, request_id), read_order(root, request_id)
    if order is None or not request.open:
        return request
    work = _Work(engine, config, order, root, now, drain, wait, held)
    try:
        for place, step in enumerate(STEPS):
            if step not in request.steps:
                progress("erase", place / (len(STEPS) + 2), step)
                getattr(work, step)()
        progress("erase", len(STEPS) / (len(STEPS) + 2), "destinations")
        request = forward(root, config, work.order, ask)
        if PROOF not in request.steps or not is_waiting(request):
            progress("erase", (len(STEPS) + 1) / (len(STEPS) + 2), PROOF)
            work.proof()
    except CDPError as error:
        requesting.tell(root, request_id, "failed", error=str(error))
        raise
    requesting.tell(root, request_id, "waiting" if is_waiting(request) else "done")
    drop_left_over(root, requesting.read_requests(root))
    requesting.publish(engine, root)
    progress("erase", 1.0, "done")
    return requesting.read_request(root, request_id)


class _Work:
    """The steps of one erasure, each telling the request that it is done."""

    def __init__(
        self, engine: Engine, config: Config, order: Order, root: Path, now: datetime, drain: Drain,
        wait: float | None, held: bool,
    ) -> None:  # fmt: skip
        self.engine, self.config, self.order, self.root = engine, config, order, root
        self.now, self._drain, self.wait, self.held = now, drain, wait, held

    def barred(self) -> None:
        suppressing.bar(self.root, self.order.identifiers, reason=f"erased, request {self.order.request_id}")
        self._done("barred")

    def drained(self) -> None:
        from cdp_core.inbox.files import inbox_files

        if inbox_files(self.root):
            time.sleep(clear.NOTICED)
            self._drain()
        self._done("drained")

    def rows(self) -> None:
        with self._alone():
            person = self._person()
            more = [row for row in _sent(self.engine, person) if row not in self.order.sent]
            if more or person != _of_order(self.order):
                self.order = replace(_order(self.engine, self.order.request_id, person), sent=(*self.order.sent, *more))
                write_order(self.root, self.order)
                suppressing.bar(self.root, self.order.identifiers, reason=f"erased, request {self.order.request_id}")
            counted = self._take(person)
            suppressing.publish(self.engine, self.root)
        self._done("rows", taken=counted)

    def _take(self, person: Person) -> dict[str, int]:
        """What was counted before counts, if a first try was killed behind its transaction."""
        taken = take_out(
            self.engine, self.config, person, decisions=in_force(read_decisions(self.root)), now=self.now,
            counted=lambda rows, sources: requesting.tell(
                self.root, self.order.request_id, "counted", taken=rows, sources=sources
            ),
        )  # fmt: skip
        known = requesting.read_request(self.root, self.order.request_id).taken
        return {name: max(taken.get(name, 0), known.get(name, 0)) for name in {*taken, *known}}

    def lake(self) -> None:
        with self._alone():
            clear.clear_lake(self.engine)
        self._done("lake")

    def files(self) -> None:
        self._done("files", taken=clear.clear_decisions(self.root, self.order))

    def inbox(self) -> None:
        request = requesting.read_request(self.root, self.order.request_id)
        clear.clear_inbox(self.engine, self.root, request.barred_at or request.opened_at)
        self._done("inbox")

    def proof(self) -> None:
        sources = requesting.read_request(self.root, self.order.request_id).sources
        found = look(self.engine, self.config, _of_order(self.order), self.root, sources)
        requesting.tell(self.root, self.order.request_id, "residual", residual=[each.to_dict() for each in found])
        self._done(PROOF)

    def _person(self) -> Person:
        """Whom the order names, with what has come to them since."""
        living = self.engine.table("user_identifiers").filter(lambda t: t.profile_id.isin(list(self.order.profile_ids)))
        ids = self.engine.polars(living.select("profile_id").distinct())["profile_id"].to_list()
        person = _of_order(self.order)
        for profile_id in ids:
            more = whole_person(self.engine, self.config, profile_id, self.order.identifiers)
            person = Person(
                identifiers=person.identifiers | more.identifiers,
                spellings=person.spellings | more.spellings,
                profile_ids=person.profile_ids | more.profile_ids,
            )
        return person

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No run and no sync meanwhile: they would write what they read before."""
        with contextlib.ExitStack() as stack:
            if not self.held:
                stack.enter_context(run_lock(self.root / self.config.engine.lake, wait=self.wait))
            for name in sorted({*self.config.syncs, *(row["sync"] for row in self.order.sent)}):
                stack.enter_context(_patient(self.engine, name, self.wait))
            yield

    def _done(self, step: str, **told: object) -> None:
        requesting.tell(self.root, self.order.request_id, "step", step=step, **told)


@contextlib.contextmanager
def _patient(engine: Engine, name: str, wait: float | None) -> Iterator[None]:
    deadline = None if wait is None else time.monotonic() + wait
    while True:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(alone(engine, name))
            except WorkspaceBusy:
                if deadline is not None and time.monotonic() > deadline:
                    raise
            else:
                yield
                return
        time.sleep(0.2)


def _of_order(order: Order) -> Person:
    return Person(
        identifiers=frozenset(order.identifiers),
        spellings=frozenset(order.spellings),
        profile_ids=frozenset(order.profile_ids),
    )
