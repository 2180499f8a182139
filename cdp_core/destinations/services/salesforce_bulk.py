"""Jobs of Salesforce's Bulk API 2.0: made, filled, closed, waited for and read.

A job has an effect only once it is closed, so one whose creation or upload was left without an answer is abandoned; one
whose closing was is looked up. Rule: Bulk API 2.0 and Bulk API Developer Guide, "Bulk API 2.0 Ingest".
"""

from __future__ import annotations

import contextlib
import io
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cdp_core.destinations.base import Unavailable
from cdp_core.errors import DestinationError

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.destinations.http import Answer, Http

SLOWEST_POLL = 30.0
MISSED_POLLS = 5
QUERIES = 25
"""That one call of composite/batch may hold."""
ENDED = ("JobComplete", "Failed", "Aborted")
_JUDGED_HERE = (400, 403, 404, 405, 409, 414, 415, 431)
_LATER = {
    "API_DISABLED_FOR_ORG_MAINTENANCE",
    "CONCURRENT_REQUEST_LIMIT_EXCEEDED",
    "EXCEEDED_MAX_JOBS",
    "QUERY_TIMEOUT",
    "REQUEST_LIMIT_EXCEEDED",
    "SERVER_UNAVAILABLE",
    "TXN_SECURITY_METERING_ERROR",
    "UNABLE_TO_LOCK_ROW",
}
_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,63}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_HINTS = {
    "API_DISABLED_FOR_ORG": "the org's edition has no API",
    "FEATURENOTENABLED": "the user lacks a permission; hard deletes need 'Bulk API Hard Delete'",
    "INSUFFICIENT_ACCESS": "the user may not do this: look at profile and permission sets",
    "INVALID_FIELD": "look at the mapping: API names are wanted (Birth_Date__c, not Birth Date)",
    "INVALID_TYPE": "look at the object's API name, and whether the user may see it",
    "NOT_FOUND": "look at the address, the API version and the object's API name",
}


@dataclass(frozen=True)
class Outcome:
    """What became of a job. `failed` has the job's columns and sf__Id, sf__Error; `taken`, of a job that did not come
    to its end, the rows that were written.
    """

    job: Mapping[str, Any]
    failed: pl.DataFrame
    taken: pl.DataFrame | None = None

    @property
    def error(self) -> str:
        """The code of the job's own error, such as InvalidBatch; empty when it has none."""
        return word_before_colon(self.job.get("errorMessage"))


class Bulk:
    """Thread-safe. `poll` is the seconds to the first look at a job, `patience` the seconds it may take."""

    def __init__(self, http: Http, version: str, *, poll: float, patience: float) -> None:
        self.http, self.poll, self.patience = http, poll, patience
        self.root = f"/services/data/v{version}"

    def call(self, method: str, path: str, **more: Any) -> Answer:
        """Raises Unavailable for limits that pass, DestinationError with the error's code for everything else."""
        answer = self.http.call(method, self.root + path, accept=_JUDGED_HERE, **more)
        if answer.status not in _JUDGED_HERE:
            return answer
        raise self._refused(answer.status, code_in(answer.json()))

    def _refused(self, status: int, code: str) -> DestinationError:
        what = f"answered {status}: {code}" if code else f"answered {status}"
        if code in _LATER:
            return Unavailable(what, where=self.http.where)
        hint = next((text for start, text in _HINTS.items() if code.startswith(start)), None)
        return DestinationError(what, where=self.http.where, hint=hint)

    def told(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """A call whose answer is an object. Raises Unavailable when it is something else."""
        found = self.call(method, path, **more).json()
        if not isinstance(found, dict):
            raise Unavailable("the answer cannot be read", where=self.http.where)
        return found

    def query(self, soql: Sequence[str]) -> list[dict[str, Any]]:
        """The records of all queries, on all pages. They go in bodies: keys would stand in addresses otherwise."""
        found: list[dict[str, Any]] = []
        version = self.root.rpartition("/")[2]
        for start in range(0, len(soql), QUERIES):
            some = [{"method": "GET", "url": f"{version}/query/?q={quote(q)}"} for q in soql[start : start + QUERIES]]
            for one in self.told("POST", "/composite/batch", json={"batchRequests": some}).get("results") or ():
                if one.get("statusCode") != 200:
                    raise self._refused(int(one.get("statusCode") or 0), code_in(one.get("result")))
                found += self._pages(one["result"])
        return found

    def _pages(self, page: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        while True:
            yield from page.get("records") or ()
            more = page.get("nextRecordsUrl")
            if page.get("done", True) or not isinstance(more, str):
                return
            page = self.told("GET", more.removeprefix(self.root))

    def fill(self, request: Mapping[str, str], csv: bytes) -> str:
        """A job that holds the rows and is not closed; its id. When the upload goes wrong, the job is aborted."""
        form = {"contentType": "CSV", "lineEnding": "LF", "columnDelimiter": "COMMA"}
        job = str(self.told("POST", "/jobs/ingest", json={**request, **form}).get("id") or "")
        if not (job.isascii() and job.isalnum()):
            raise Unavailable("the answer holds no job id", where=self.http.where)
        try:
            sent = {"Content-Type": "text/csv; charset=UTF-8"}
            self.call("PUT", f"/jobs/ingest/{job}/batches", content=csv, headers=sent)
        except BaseException:
            self.abort(job)
            raise
        return job

    def finish(self, job: str, rows: int) -> Outcome:
        """Close the job, wait for its end, read its results; may be called again when it was interrupted.

        A job that takes longer than `patience` is aborted, and what it has done by then is its outcome.
        """
        info = self._waited(job)
        done = info.get("state") == "JobComplete" and int(info.get("numberRecordsProcessed") or 0) >= rows
        failed = self._results(job, "failedResults", "sf__Error")
        if done and failed.height < int(info.get("numberRecordsFailed") or 0):
            raise Unavailable("the failed results are not complete", where=self.http.where)
        return Outcome(info, failed, None if done else self._results(job, "successfulResults", "sf__Id"))

    def abort(self, job: str) -> None:
        """Best effort: Salesforce deletes jobs that were left open after a week."""
        with contextlib.suppress(DestinationError):
            self.call("PATCH", f"/jobs/ingest/{job}", json={"state": "Aborted"})

    def _close(self, job: str) -> None:
        """Without an answer, or with the answer that it is closed, the next look tells."""
        try:
            self.call("PATCH", f"/jobs/ingest/{job}", json={"state": "UploadComplete"})
        except Unavailable:
            return
        except DestinationError as error:
            if "INVALIDJOBSTATE" not in error.what:
                raise

    def _waited(self, job: str) -> dict[str, Any]:
        pause, missed, aborted, until = self.poll, 0, False, time.monotonic() + self.patience
        self._close(job)
        while True:
            time.sleep(pause)
            try:
                info = self.told("GET", f"/jobs/ingest/{job}")
                missed = 0
            except Unavailable:
                missed += 1
                if missed >= MISSED_POLLS:
                    raise
                info = {}
            if info.get("state") in ENDED:
                return info
            if time.monotonic() > until:
                if aborted:
                    raise Unavailable("the job does not end", where=self.http.where)
                self.abort(job)
                aborted, until = True, time.monotonic() + self.patience
            elif info.get("state") == "Open":
                self._close(job)
            pause = min(pause * 1.5, SLOWEST_POLL)

    def _results(self, job: str, name: str, column: str) -> pl.DataFrame:
        import polars as pl

        body = self.call("GET", f"/jobs/ingest/{job}/{name}").body
        if not body.strip():
            return pl.DataFrame()
        try:
            found = pl.read_csv(io.BytesIO(body), infer_schema=False)
        except pl.exceptions.PolarsError:
            found = pl.DataFrame()
        if column not in found.columns:
            raise Unavailable(f"{name} cannot be read", where=self.http.where)
        return found


def code_in(told: Any) -> str:
    """The code in `[{"errorCode": …, "message": …}]`; empty when there is none. The message quotes values."""
    first = told[0] if isinstance(told, list) and told else told
    code = first.get("errorCode") if isinstance(first, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def word_before_colon(message: Any) -> str:
    """
    >>> word_before_colon("InvalidBatch : Field name not found : Foo__c"), word_before_colon(None)
    ('InvalidBatch', '')
    """
    head = str(message or "").partition(":")[0].strip()
    return head if _WORDS.fullmatch(head) and len(head) < 64 else ""


def row_error(message: str, fields: set[str]) -> tuple[str, bool]:
    """From sf__Error to a reason without the customer's value, and whether the row may be taken later.

    >>> row_error("STRING_TOO_LONG:Name: data value too large: Ann (max length=2):Name --", {"Name"})
    ('STRING_TOO_LONG (Name)', False)
    >>> row_error("UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--", set())[1]
    True
    """
    code = message.partition(":")[0].strip()
    code = code if _CODE.fullmatch(code) else "refused, with no code that is known"
    tail = message.rpartition(" --")[0].rpartition(":")[2]
    named = [word for word in dict.fromkeys(_WORDS.findall(tail)) if word in fields]
    later = code in _LATER or "unable to obtain exclusive access" in message.lower()
    return (f"{code} ({', '.join(named)})" if named else code), later
