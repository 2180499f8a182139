"""Salesforce on this machine: tokens that expire, one object, SOQL by key, and jobs of the Bulk API 2.0."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from cdp_core.testing.services.base import Reply, Request, StandIn

Record = dict[str, str | None]
CLIENT = {"client_id": "key", "client_secret": "secret"}
FIELDS = {
    "Id": ("id", False, False),
    "Ext__c": ("string", True, True),
    "LastName": ("string", True, True),
    "Visits__c": ("double", True, True),
    "Seen__c": ("datetime", True, True),
    "Number__c": ("double", True, True),
    "Formula__c": ("string", False, False),
}
EXTERNAL = ("Ext__c", "Number__c")
LONGEST = 80
LONGEST_ADDRESS = 16_384
MOST_QUERIES = 25
PAGE = 3
_QUERY = re.compile(r"SELECT (?P<fields>[\w, ]+) FROM Contact WHERE (?P<key>\w+) IN \((?P<values>.*)\)", re.DOTALL)
_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|[\w.-]+")


@dataclass
class Job:
    """`written` and `failed` are rows of the results, `rest` the rows that were not looked at."""

    id: str
    request: dict[str, str]
    state: str = "Open"
    rows: list[Record] = field(default_factory=list)
    written: list[Record] = field(default_factory=list)
    failed: list[Record] = field(default_factory=list)
    rest: list[Record] = field(default_factory=list)
    error: str | None = None
    looks: int = 0

    def info(self) -> dict[str, Any]:
        done = len(self.written) + len(self.failed)
        return {
            **self.request,
            "id": self.id,
            "state": self.state,
            "errorMessage": self.error,
            "numberRecordsProcessed": done,
            "numberRecordsFailed": len(self.failed),
        }


class Salesforce(StandIn):
    """The object is Contact; `state` maps Id to the record. `looks` is how often a job must be looked at before it has
    ended. Keys in `locked` are refused once; `breaks_after` rows a job fails; `hard_delete` is a permission; `stuck`
    jobs never end by themselves. `expire()` ends all tokens.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tokens: set[str] = {"given"}
        self.jobs: dict[str, Job] = {}
        self.locked: set[str] = set()
        self.looks = 2
        self.breaks_after: int | None = None
        self.hard_delete = self.stuck = False
        self.made = 0

    def expire(self) -> None:
        with self.lock:
            self.tokens.clear()

    def put(self, **record: str) -> str:
        """A record of somebody else; gives its Id."""
        with self.lock:
            self.made += 1
            one = f"003{self.made:012d}AAA"
            self.state[one] = dict(record)
            return one

    def handle(self, request: Request) -> Reply:
        with self.lock:
            if request.path == "/services/oauth2/token":
                return self._token(request)
            if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
                return _error(401, "INVALID_SESSION_ID", "Session expired or invalid")
            root, _, rest = request.path.removeprefix("/services/data/").partition("/")
            if not re.fullmatch(r"v\d\d\.0", root):
                return _error(404, "NOT_FOUND", "The requested resource does not exist")
            return self._resource(request, [part for part in rest.split("/") if part])

    def _token(self, request: Request) -> Reply:
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        known = {name: form.get(name) for name in CLIENT} == CLIENT
        grant = form.get("grant_type") == "client_credentials" or form.get("refresh_token") == "refresh"
        if not (known and grant):
            return Reply(400, {"error": "invalid_grant"})
        token = f"token{len(self.calls)}"
        self.tokens.add(token)
        return Reply(200, {"access_token": token, "token_type": "Bearer", "instance_url": self.url})

    def _resource(self, request: Request, parts: list[str]) -> Reply:
        match request.method, parts:
            case "GET", ["limits"]:
                return Reply(200, {"DailyApiRequests": {"Max": 15000, "Remaining": 14998}})
            case "GET", ["sobjects", "Contact", "describe"]:
                return Reply(200, _described())
            case "POST", ["composite", "batch"]:
                return self._several(request.json()["batchRequests"])
            case "GET", ["query", cursor]:
                start, _, soql = bytes.fromhex(cursor).decode().partition("|")
                return self._query(soql, int(start))
            case "GET", ["jobs", "ingest"]:
                return Reply(200, {"done": True, "records": [job.info() for job in self.jobs.values()]})
            case "POST", ["jobs", "ingest"]:
                return self._created(request.json())
            case _, ["jobs", "ingest", name, *more] if name in self.jobs:
                return self._job(request, self.jobs[name], more)
        return _error(404, "NOT_FOUND", "The requested resource does not exist")

    def _several(self, asked: list[dict[str, str]]) -> Reply:
        if len(asked) > MOST_QUERIES or any(len(one["url"]) > LONGEST_ADDRESS for one in asked):
            return _error(400, "LIMIT_EXCEEDED", "The number of subrequests may not exceed 25")
        replies = [self._query(parse_qs(one["url"].partition("?")[2]).get("q", [""])[0], 0) for one in asked]
        failed = any(reply.status != 200 for reply in replies)
        results = [{"statusCode": reply.status, "result": reply.body} for reply in replies]
        return Reply(200, {"hasErrors": failed, "results": results})

    def _query(self, soql: str, start: int) -> Reply:
        asked = _QUERY.fullmatch(soql)
        if asked is None or asked["key"] not in FIELDS:
            return _error(400, "MALFORMED_QUERY", f"unexpected token: {soql}")
        quoted = FIELDS[asked["key"]][0] != "double"
        words = _LITERAL.findall(asked["values"])
        if any(word.startswith("'") is not quoted for word in words):
            return _error(400, "INVALID_FIELD", "value of filter criterion must not be enclosed in quotes")
        if asked["key"] == "Id" and any(len(word.strip("'")) not in (15, 18) for word in words):
            return _error(400, "INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {soql}")
        wanted = {_alike(re.sub(r"\\(.)", r"\1", word.strip("'")), quoted) for word in words}
        names = asked["fields"].split(", ")
        found = [{"Id": one, **record} for one, record in self.state.items()]
        found = [r for r in found if {_alike(r.get(asked["key"]), quoted), r["Id"].lower()[:15]} & wanted]
        page = [{n: self._typed(n, r.get(n)) for n in names} for r in found[start : start + PAGE]]
        told: dict[str, Any] = {"totalSize": len(found), "done": start + PAGE >= len(found), "records": page}
        if not told["done"]:
            told["nextRecordsUrl"] = f"/services/data/v62.0/query/{f'{start + PAGE}|{soql}'.encode().hex()}"
        return Reply(200, told)

    def _typed(self, name: str, value: Any) -> Any:
        return float(value) if FIELDS[name][0] == "double" and value is not None else value

    def _created(self, asked: dict[str, str]) -> Reply:
        operation, key = asked.get("operation"), asked.get("externalIdFieldName")
        if asked.get("object") != "Contact":
            return _error(400, "INVALIDENTITY", "Unsupported object")
        if operation not in ("insert", "update", "upsert", "delete", "hardDelete"):
            return _error(400, "INVALIDOPERATION", "unknown")
        if (operation == "upsert") is not (key in (*EXTERNAL, "Id")):
            return _error(400, "INVALIDJOB", "InvalidJob : Field name provided does not match an External ID")
        if operation == "hardDelete" and not self.hard_delete:
            return _error(400, "FEATURENOTENABLED", "hardDelete operation requires special user profile permission")
        job = Job(f"750{len(self.jobs):015d}", asked)
        self.jobs[job.id] = job
        return Reply(200, job.info())

    def _job(self, request: Request, job: Job, more: list[str]) -> Reply:
        match request.method, more:
            case "PUT", ["batches"]:
                return self._uploaded(request, job)
            case "PATCH", []:
                return self._moved(job, request.json().get("state"))
            case "GET", []:
                return Reply(200, self._looked(job).info())
            case "GET", ["successfulResults"]:
                return _csv(job.written, ["sf__Id", "sf__Created"])
            case "GET", ["failedResults"]:
                return _csv(job.failed, ["sf__Id", "sf__Error"])
            case "GET", ["unprocessedrecords"]:
                return _csv(job.rest, [])
        return _error(405, "METHOD_NOT_ALLOWED", "not allowed")

    def _uploaded(self, request: Request, job: Job) -> Reply:
        if job.state != "Open" or job.rows:
            return _error(400, "INVALIDJOBSTATE", "data were uploaded before")
        if not request.headers.get("content-type", "").startswith("text/csv"):
            return _error(415, "UNSUPPORTED_MEDIA_TYPE", "text/csv is wanted")
        job.rows = list(csv.DictReader(io.StringIO(request.body.decode())))
        return Reply(201)

    def _moved(self, job: Job, state: str) -> Reply:
        if state == "Aborted" and job.state in ("Open", "UploadComplete", "InProgress"):
            job.state, job.rest = "Aborted", job.rows[len(job.written) + len(job.failed) :]
        elif state == "UploadComplete" and job.state == "Open":
            job.state = state
        else:
            return _error(400, "INVALIDJOBSTATE", f"the job is {job.state}")
        return Reply(200, job.info())

    def _looked(self, job: Job) -> Job:
        if job.state in ("UploadComplete", "InProgress"):
            job.looks += 1
            job.state = "InProgress"
            if job.looks == 1 or not self.stuck:
                self._worked(job, half=job.looks < self.looks)
        return job

    def _worked(self, job: Job, *, half: bool) -> None:
        unknown = [name for row in job.rows[:1] for name in row if name not in FIELDS]
        if unknown:
            job.state, job.error = "Failed", f"InvalidBatch : Field name not found : {unknown[0]}"
            return
        done = len(job.written) + len(job.failed)
        end = len(job.rows) // 2 if half else len(job.rows)
        if self.breaks_after is not None and end > self.breaks_after:
            end, job.state, job.error = self.breaks_after, "Failed", "TooManyLockFailure : Too many lock failures"
            job.rest = job.rows[end:]
        for row in job.rows[done:end]:
            self._row(job, row)
        if job.state == "InProgress" and end == len(job.rows) and not half:
            job.state = "JobComplete"

    def _row(self, job: Job, row: Record) -> None:
        operation, key = job.request["operation"], job.request.get("externalIdFieldName", "Id")
        wanted = str(row.get(key))
        found = [
            one for one, r in self.state.items() if r.get(key) == wanted or (key == "Id" and one[:15] == wanted[:15])
        ]
        one, error = (found[0] if found else ""), self._wrong(operation, row, found)
        if error is None and "elete" in operation:
            self.drop(one)
        elif error is None:
            cells = {n: v for n, v in row.items() if v and n != "Id"}
            one = one or self.put()
            self.commit(one, {**self.state[one], **{n: None if v == "#N/A" else v for n, v in cells.items()}})
        if error is None:
            job.written.append({"sf__Id": one, "sf__Created": str(not found).lower(), **row})
        else:
            job.failed.append({"sf__Id": one, "sf__Error": error, **row})

    def _wrong(self, operation: str, row: Record, found: list[str]) -> str | None:
        mark = row.get("Ext__c") or row.get("Id") or ""
        if mark in self.locked:
            self.locked.remove(mark)
            return "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--"
        if operation in ("delete", "hardDelete", "update") and not found:
            return "ENTITY_IS_DELETED:entity is deleted:--"
        if len(found) > 1:
            return f"DUPLICATE_EXTERNAL_ID:Duplicate external id specified: {mark}:Ext__c --"
        if operation in ("insert", "upsert") and not found and row.get("LastName") in (None, "", "#N/A"):
            return "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
        name = row.get("LastName") or ""
        if len(name) > LONGEST:
            return f"STRING_TOO_LONG:Last Name: data value too large: {name} (max length={LONGEST}):LastName --"
        return None


def _alike(value: Any, text: bool) -> str:
    """Texts are compared without regard to case, numbers by what they are."""
    return str(value).lower() if text or value is None else str(float(value))


def _described() -> dict[str, Any]:
    fields = [
        {"name": n, "type": t, "createable": c, "updateable": u, "externalId": n in EXTERNAL, "idLookup": n == "Id"}
        for n, (t, c, u) in FIELDS.items()
    ]
    return {"name": "Contact", "createable": True, "updateable": True, "deletable": True, "fields": fields}


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status, [{"errorCode": code, "message": message}])


def _csv(rows: Iterable[Record], first: list[str]) -> Reply:
    listed = list(rows)
    text = io.StringIO()
    names = [*first, *(n for n in (listed[0] if listed else {}) if n not in first)]
    writer = csv.DictWriter(text, names, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(listed)
    return Reply(200, text.getvalue().encode(), {"Content-Type": "text/csv"})
