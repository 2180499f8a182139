"""What was done about a request, for whoever asked and whoever audits: signed, and without personal data."""

from __future__ import annotations

import hashlib
import hmac
import html
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cdp_core.errors import UsageError
from cdp_core.privacy.requests import OUTCOMES

if TYPE_CHECKING:
    from cdp_core.privacy.requests import Request

SIGNATURE = "signature"


def certificate(request: Request, workspace: str, key: bytes) -> dict[str, Any]:
    """The request as it ended, and an HMAC-SHA-256 over all of it under the workspace's key (`signature`).

    Raises UsageError while something is still to be done.
    """
    if request.open:
        what = f"request {request.request_id} is not done"
        raise UsageError(what, hint=f"see 'cdp privacy request show {request.request_id}'")
    made = {"workspace": workspace, **request.to_dict(), "subject": list(request.subject)}
    made.pop("error")
    return made | {SIGNATURE: signature(made, key)}


def signature(made: Mapping[str, Any], key: bytes) -> str:
    """Of a certificate without its signature.

    >>> len(signature({"request_id": "q1"}, bytes(32)))
    64
    """
    text = json.dumps(made, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def is_genuine(made: Mapping[str, Any], key: bytes) -> bool:
    """Whether a certificate is one of this workspace's, and as it was made."""
    told = {name: value for name, value in made.items() if name != SIGNATURE}
    return hmac.compare_digest(signature(told, key), str(made.get(SIGNATURE)))


def as_json(made: Mapping[str, Any]) -> str:
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def as_html(made: Mapping[str, Any]) -> str:
    """One page that needs no network."""
    facts = [
        ("Request", made["request_id"]), ("What was asked for", made["kind"]), ("Received", made["received"]),
        ("Due", made["due"]), ("Done", _time(made["finished_at"])), ("Identifiers", made["identifiers"]),
        ("Reason", made["reason"]), ("Done by", made["actor"]),
    ]  # fmt: skip
    outcome = OUTCOMES.get(made["kind"])
    body = [
        f"<h1>Certificate: {_text(made['kind'])}</h1><p class=lead>{_text(made['workspace'])}</p>",
        _table((), facts),
        *([f"<h2>What was done</h2><p>{_text(outcome)}</p>"] if outcome else _erased(made)),
        f"<h2>Signature</h2><p class=mono>{_text(made[SIGNATURE])}</p><p class=lead>{_SIGNED}</p>",
    ]
    return _PAGE.format(title=_text(made["request_id"]), body="\n".join(body))


def _erased(made: Mapping[str, Any]) -> list[str]:
    receipts = [
        (r["sync"], r["destination"], r["type"], r["state"], r["rows"], r["note"], _time(r["at"]))
        for r in made["receipts"]
    ]
    residual = [(r["place"], r["note"], r["rows"] or "") for r in made["residual"]]
    return [
        "<h2>Taken out</h2>",
        _table(("Table", "Rows"), sorted(made["taken"].items())) if made["taken"] else "<p>Nothing was held.</p>",
        "<h2>Asked of destinations</h2>",
        _table(("Sync", "Destination", "Type", "State", "Rows", "What it said", "At"), receipts)
        if receipts
        else "<p>There was none to ask.</p>",
        "<h2>What remains</h2>",
        f"<p>{_KEPT}</p>",
        f"<p>{_LOOKED}</p>",
        _remaining(residual),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    top = f"<tr>{''.join(f'<th>{_text(name)}</th>' for name in head)}</tr>" if head else ""
    lines = (f"<tr>{''.join(f'<td>{_text(value)}</td>' for value in row)}</tr>" for row in rows)
    return f"<table>{top}{''.join(lines)}</table>"


def _remaining(rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "<p>Nothing else was found.</p>"
    wide = 3 if any(count for *_, count in rows) else 2
    return _table(("Place", "What", "Rows")[:wide], [row[:wide] for row in rows])


def _time(text: str) -> str:
    return f"{text.replace('T', ' ')[:19]} UTC"


def _text(value: Any) -> str:
    return html.escape(str(value))


_KEPT = "Keyed hashes (HMAC-SHA-256) of the identifiers remain, so that nothing of the person is taken in again."
_LOOKED = (
    "Tables and files were looked through for e-mail addresses, and for other identifiers of eight signs or more that "
    "are not letters alone. Of shorter ones, the sources that the person's events came from are named."
)
_SIGNED = (
    "HMAC-SHA-256 over the JSON of this certificate under the key of the workspace: whoever has the key can tell that "
    "nobody has changed it. It names nobody; identifiers are counted."
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Certificate {title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ margin: 0; text-transform: capitalize; }} h2 {{ margin: 2rem 0 .5rem; font-size: 1.1rem; }}
.lead {{ opacity: .7; margin-top: 0; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid #8884; vertical-align: top; }}
.mono {{ font-family: ui-monospace, monospace; overflow-wrap: anywhere; }}
@media print {{ body {{ margin: 0; }} }}
</style></head><body>
{body}
</body></html>
"""
