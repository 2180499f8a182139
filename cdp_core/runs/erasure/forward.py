"""Asking every destination that a person was ever sent to, with a receipt from each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.errors import CDPError
from cdp_core.privacy.requests import Receipt, Request, State, open_receipts
from cdp_core.runs.requesting import read_request, tell

if TYPE_CHECKING:
    from cdp_core.config import Config
    from cdp_core.runs.erasure.order import Order

BY_HAND = "unsupported"
Answer = Mapping[str, Any]
Ask = Callable[[str, list[dict[str, Any]]], Answer]
"""Erase these rows of a sync's ledger at its destination. Gives `failed` and `later` (key → reason), and `settles`:
hours until what was accepted is carried out; or `unsupported` alone. Raises CDPError.
"""


def forward(root: Path, config: Config, order: Order, ask: Ask) -> Request:
    """Ask where nothing was answered yet, or something is still to come. Every answer is on the disk before the next
    question. Gives the request as it is then.
    """
    request = read_request(root, order.request_id)
    given = {each.sync: each for each in request.receipts}
    for name in sorted({row["sync"] for row in order.sent}):
        receipt = given.get(name)
        if receipt is None:
            receipt = _first(config, name, len(order.of_sync(name)))
            _tell(root, order, receipt)
        if receipt.state in ("requested", "failed") or _is_settled(receipt):
            _tell(root, order, _asked(receipt, order, ask))
    return read_request(root, order.request_id)


def is_waiting(request: Request) -> bool:
    return bool(open_receipts(request.receipts))


def _first(config: Config, name: str, rows: int) -> Receipt:
    sync = config.syncs.get(name)
    if sync is None:
        note = "this sync is no longer in cdp.yaml; erase them there by hand"
        return Receipt(sync=name, destination="", type="", state="unsupported", rows=rows, at=_now(), note=note)
    kind = config.destinations[sync.destination].type
    return Receipt(sync=name, destination=sync.destination, type=kind, state="requested", rows=rows, at=_now())


def _is_settled(receipt: Receipt) -> bool:
    """Whether it is time to ask again a service that accepted: what it says then is all there is to know."""
    return receipt.state == "accepted" and _now() >= receipt.at + timedelta(hours=receipt.settles)


def _asked(receipt: Receipt, order: Order, ask: Ask) -> Receipt:
    attempts = receipt.attempts + 1
    try:
        answer = ask(receipt.sync, order.of_sync(receipt.sync))
    except CDPError as error:
        return _with(receipt, "failed", str(error), attempts)
    if answer.get(BY_HAND):
        return _with(receipt, "unsupported", "it has no way to erase; erase them there by hand", attempts)
    problems = [*answer["failed"].values(), *answer["later"].values()]
    if problems:
        return _with(receipt, "failed", problems[0], attempts)
    if not answer["settles"]:
        return _with(receipt, "confirmed", "its answer says that they are gone", attempts)
    if receipt.state == "accepted":
        return _with(receipt, "confirmed", "accepted twice; the service gives no other proof", attempts)
    hours = answer["settles"]
    return _with(receipt, "accepted", f"asked again in {hours:g} hours, when it should be done", attempts, hours)


def _with(receipt: Receipt, state: State, note: str, attempts: int, settles: float = 0.0) -> Receipt:
    return replace(receipt, state=state, note=note, attempts=attempts, at=_now(), settles=settles)


def _tell(root: Path, order: Order, receipt: Receipt) -> None:
    tell(root, order.request_id, "receipt", receipt=receipt.to_dict())


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
