"""BigQuery on this machine: tokens, tables, load jobs and query jobs of the API v2, over DuckDB.

What it cannot prove: that GoogleSQL takes a statement which sqlglot reads, the exact words of an error, quotas, and how
long a job takes. Types narrower than DuckDB's are checked as they are loaded; DuckDB checks what a statement writes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, unquote

import sqlglot

from cdp_core.testing.services.base import Reply, Request, StandIn
from cdp_core.testing.services.tokens import granted, service_account
from cdp_core.testing.services.warehouse import Tables

PROJECT, DATASET = "shop-1", "crm"
SCOPES = {"https://www.googleapis.com/auth/bigquery", "https://www.googleapis.com/auth/cloud-platform"}
_ID = re.compile(r"[A-Za-z0-9_-]{1,1024}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_DUCK = {"STRING": "VARCHAR", "INT64": "BIGINT", "INTEGER": "BIGINT", "FLOAT64": "DOUBLE", "FLOAT": "DOUBLE",
         "BOOL": "BOOLEAN", "BOOLEAN": "BOOLEAN", "DATE": "DATE", "TIMESTAMP": "TIMESTAMP", "DATETIME": "TIMESTAMP",
         "NUMERIC": "DECIMAL", "BIGNUMERIC": "DECIMAL", "BYTES": "BLOB"}  # fmt: skip
_ERRORS = {
    "syntax": ("invalidQuery", "Syntax error"),
    "missing": ("notFound", "Not found: Table"),
    "null": ("invalidQuery", "Required field cannot be null"),
    "too long": ("invalidQuery", "Value has length that exceeds the maximum"),
    "value": ("invalidQuery", "Bad value"),
}
PAGE = 2


@dataclass
class Job:
    resource: dict[str, Any]
    looks: int
    rows: list[tuple[Any, ...]] = field(default_factory=list)


class BigQueryService(StandIn):
    """`looks` is how often a job must be looked at before it says that it has ended. `job_errors` happen to the next
    jobs (reason words, or (kind of job, reason)); `answers` are errors of the next calls: (status, reason).
    """

    def __init__(self) -> None:
        super().__init__()
        self.sql = Tables("bigquery", self.effects)
        self.sql.native(f'ATTACH \':memory:\' AS "{PROJECT}"; CREATE SCHEMA "{PROJECT}".{DATASET}')
        self.tokens: set[str] = {"given"}
        self.tables: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, Job] = {}
        self.sessions: dict[str, dict[str, Any]] = {}
        self.job_errors: list[tuple[str, str]] = []
        self.answers: list[tuple[int, str]] = []
        self.looks = 2
        self.made = 0

    @property
    def credentials(self) -> str:
        return service_account(f"{self.url}/token")

    def expire(self) -> None:
        with self.lock:
            self.tokens.clear()

    def table(self, name: str, *fields: dict[str, Any], **more: Any) -> None:
        """A table of somebody else's making."""
        with self.lock:
            self._made({"tableReference": {"tableId": name}, "schema": {"fields": list(fields)}, **more})

    def rows(self, table: str, columns: str = "*", order: str = "ALL") -> list[tuple[Any, ...]]:
        with self.lock:
            named = f'"{PROJECT}".{DATASET}."{table}"'
            return self.sql.native(f"SELECT {columns} FROM {named} ORDER BY {order}")

    def put(self, table: str, *values: Any) -> None:
        with self.lock:
            self.sql.insert(f'"{PROJECT}".{DATASET}."{table}"', [list(values)])

    def drop_table(self, name: str) -> None:
        with self.lock:
            del self.tables[name]
            self.sql.native(f'DROP TABLE "{PROJECT}".{DATASET}."{name}"')

    def handle(self, request: Request) -> Reply:
        with self.lock:
            if request.path == "/token":
                return self._token(request)
            if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
                return _error(401, "authError", "Invalid Credentials")
            if self.answers:
                status, reason = self.answers.pop(0)
                return _error(status, reason, f"{reason}: the row canary-7f3a")
            return self._resource(request, [unquote(part) for part in request.path.strip("/").split("/")])

    def _token(self, request: Request) -> Reply:
        form = parse_qs(request.body.decode())
        fresh = form.get("refresh_token") == ["refresh"] and form.get("client_secret") == ["secret"]
        good = fresh or granted(request.body, f"{self.url}/token", SCOPES)
        if not good:
            return Reply(400, {"error": "invalid_grant"})
        self.made += 1
        token = f"token{self.made}"
        self.tokens.add(token)
        return Reply(200, {"access_token": token, "expires_in": 3599, "token_type": "Bearer"})

    def _resource(self, request: Request, parts: list[str]) -> Reply:
        upload = parts[0] == "upload"
        match parts[1:] if upload else parts:
            case ["bigquery", "v2", "projects", project, *rest] if project == PROJECT:
                pass
            case _:
                return _error(404, "notFound", "Not found: Project")
        match request.method, rest:
            case "POST", ["jobs"] if upload:
                return self._uploaded(request)
            case "PUT", ["jobs"] if upload and request.query.get("upload_id") in self.sessions:
                return self._inserted(self.sessions.pop(request.query["upload_id"]), request.body)
            case "POST", ["jobs"]:
                return self._inserted(request.json(), None)
            case "GET", ["jobs", name]:
                return self._looked(name, request)
            case "GET", ["queries", name]:
                return self._results(name, request)
            case _, ["datasets", dataset, *more] if dataset == DATASET:
                return self._dataset(request, more)
        return _error(404, "notFound", "Not found: Dataset")

    def _dataset(self, request: Request, rest: list[str]) -> Reply:
        match request.method, rest:
            case "GET", []:
                return Reply(200, {"datasetReference": {"datasetId": DATASET}, "location": "EU"})
            case "POST", ["tables"]:
                body = request.json()
                if body["tableReference"]["tableId"] in self.tables:
                    return _error(409, "duplicate", f"Already Exists: Table {body['tableReference']['tableId']}")
                return Reply(200, self._made(body))
            case _, ["tables", name] if name not in self.tables:
                return _error(404, "notFound", f"Not found: Table {name}")
            case "GET", ["tables", name]:
                return Reply(200, self.tables[name])
            case "DELETE", ["tables", name]:
                self.drop_table(name)
                return Reply(204)
            case "PATCH", ["tables", name]:
                return self._patched(request, self.tables[name])
        return _error(404, "notFound", "Not found")

    def _made(self, body: dict[str, Any]) -> dict[str, Any]:
        name, fields = body["tableReference"]["tableId"], body["schema"]["fields"]
        columns = ", ".join(_column(f) for f in fields)
        self.sql.native(f'CREATE TABLE "{PROJECT}".{DATASET}."{name}" ({columns})')
        self.made += 1
        reference = {"projectId": PROJECT, "datasetId": DATASET, "tableId": name}
        told = {**body, "tableReference": reference, "creationTime": str(self.made), "etag": f"e{self.made}"}
        self.tables[name] = {"type": "TABLE", "location": "EU", **told}
        return self.tables[name]

    def _patched(self, request: Request, table: dict[str, Any]) -> Reply:
        if request.headers.get("if-match", table["etag"]) != table["etag"]:
            return _error(412, "conditionNotMet", "Precondition check failed")
        old, new = table["schema"]["fields"], request.json()["schema"]["fields"]
        if new[: len(old)] != old or any(f.get("mode") == "REQUIRED" for f in new[len(old) :]):
            return _error(400, "invalid", "Provided Schema does not match")
        for added in new[len(old) :]:
            named = f'"{PROJECT}".{DATASET}."{table["tableReference"]["tableId"]}"'
            self.sql.native(f"ALTER TABLE {named} ADD COLUMN {_column(added)}")
        self.made += 1
        table |= {"schema": {"fields": new}, "etag": f"e{self.made}"}
        return Reply(200, table)

    def _uploaded(self, request: Request) -> Reply:
        kind = request.headers.get("content-type", "")
        if request.query.get("uploadType") == "resumable" and kind.startswith("application/json"):
            session = f"s{len(self.calls)}"
            self.sessions[session] = request.json()
            place = f"{self.url}/upload/bigquery/v2/projects/{PROJECT}/jobs?uploadType=resumable&upload_id={session}"
            return Reply(200, None, {"Location": place})
        edge = re.fullmatch(r"multipart/related; boundary=(\w+)", kind)
        if request.query.get("uploadType") != "multipart" or edge is None:
            return _error(400, "badRequest", "Unknown upload type")
        first, *parts, last = request.body.split(b"--" + edge[1].encode())
        if first or last.strip() != b"--" or len(parts) != 2:
            return _error(400, "badRequest", "Invalid multipart request with 0 mime parts")
        told, content = (part[2:-2].partition(b"\r\n\r\n")[2] for part in parts)
        return self._inserted(json.loads(told), content)

    def _inserted(self, body: dict[str, Any], content: bytes | None) -> Reply:
        configuration = body["configuration"]
        name = body.get("jobReference", {}).get("jobId") or f"job_{len(self.jobs)}"
        if not _ID.fullmatch(name):
            return _error(400, "invalid", "Invalid job ID")
        if name in self.jobs:
            return _error(409, "duplicate", f"Already Exists: Job {PROJECT}:EU.{name}")
        kind = "load" if "load" in configuration else "query"
        if configuration.get("dryRun"):
            sqlglot.parse_one(configuration["query"]["query"], read="bigquery")
            return Reply(200, {"status": {"state": "DONE"}, "configuration": configuration})
        reference = {"projectId": PROJECT, "jobId": name, "location": "EU"}
        resource = {"jobReference": reference, "configuration": configuration, "status": {"state": "PENDING"}}
        job = self.jobs[name] = Job(resource, self.looks)
        error = self._next_error(kind)
        if error is None:
            error = self._loaded(configuration["load"], content) if kind == "load" else self._queried(job)
        if error is not None:
            job.resource["failed"] = {"reason": error[0], "message": error[1]}
        return Reply(200, self._shown(job))

    def _next_error(self, kind: str) -> tuple[str, str] | None:
        if self.job_errors and self.job_errors[0][0] == kind:
            return self.job_errors.pop(0)[1], "as ordered, of canary-7f3a"
        return None

    def _shown(self, job: Job) -> dict[str, Any]:
        if job.looks > 0:
            state: dict[str, Any] = {"state": "PENDING" if job.looks == self.looks else "RUNNING"}
        else:
            state = {"state": "DONE"}
            if failed := job.resource.get("failed"):
                state |= {"errorResult": failed, "errors": [failed]}
        return {**{n: v for n, v in job.resource.items() if n != "failed"}, "status": state}

    def _looked(self, name: str, request: Request) -> Reply:
        if name not in self.jobs or request.query.get("location", "EU") != "EU":
            return _error(404, "notFound", f"Not found: Job {name}")
        self.jobs[name].looks -= 1
        return Reply(200, self._shown(self.jobs[name]))

    def _results(self, name: str, request: Request) -> Reply:
        job = self.jobs.get(name)
        if job is None:
            return _error(404, "notFound", f"Not found: Job {name}")
        start = int(request.query.get("pageToken", 0))
        page = [{"f": [{"v": None if v is None else str(v)} for v in row]} for row in job.rows[start : start + PAGE]]
        told = {"jobComplete": True, "totalRows": str(len(job.rows)), "rows": page}
        more = start + PAGE < len(job.rows)
        return Reply(200, {**told, "pageToken": str(start + PAGE)} if more else told)

    def _queried(self, job: Job) -> tuple[str, str] | None:
        query = job.resource["configuration"]["query"]
        if query.get("useLegacySql", True):
            return "invalidQuery", "Legacy SQL has no MERGE"
        found = self.sql.run(query["query"])
        job.rows = found.rows
        if found.error is None:
            return None
        reason, words = _ERRORS[found.error]
        return reason, f"{words}: {found.text}"

    def _loaded(self, load: dict[str, Any], content: bytes | None) -> tuple[str, str] | None:
        name = load["destinationTable"]["tableId"]
        if name not in self.tables:
            return "notFound", f"Not found: Table {name}"
        if content is None or load["sourceFormat"] != "NEWLINE_DELIMITED_JSON":
            return "invalid", "no data"
        fields = load["schema"]["fields"]
        try:
            rows = [_row(json.loads(line), fields) for line in content.decode().splitlines() if line]
        except ValueError as error:
            return "invalid", f"Error while reading data: {error}"
        named = f'"{PROJECT}".{DATASET}."{name}"'
        if load["writeDisposition"] == "WRITE_TRUNCATE":
            self.sql.native(f"DELETE FROM {named}")
        self.sql.insert(named, rows)
        return None


def _column(told: dict[str, Any]) -> str:
    name = '"' + told["name"] + '"'
    kind = _DUCK[told["type"]]
    if kind == "DECIMAL":
        precision, scale = (
            int(told.get("precision") or 38),
            int(told.get("scale") or (0 if told.get("precision") else 9)),
        )
        kind = f"DECIMAL({precision}, {scale})"
    if told.get("mode") == "REPEATED":
        return f"{name} {kind}[]"
    longest = f" CHECK (length({name}) <= {told['maxLength']})" if told.get("maxLength") else ""
    return f"{name} {kind}{' NOT NULL' if told.get('mode') == 'REQUIRED' else ''}{longest}"


def _row(told: dict[str, Any], fields: list[dict[str, Any]]) -> list[Any]:
    if unknown := set(told) - {f["name"] for f in fields}:
        raise ValueError(f"No such field: {unknown}")
    return [_value(told.get(f["name"]), f) for f in fields]


def _value(given: Any, told: dict[str, Any]) -> Any:
    """As a load of JSON takes it, or ValueError with the value in it."""
    kind = told["type"]
    if told.get("mode") == "REPEATED":
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            raise ValueError(f"Only optional fields can be set to NULL: {given}")
        return given
    if given is None:
        return None
    good = {
        "STRING": isinstance(given, str),
        "BOOL": isinstance(given, bool),
        "INT64": isinstance(given, str) or (isinstance(given, int) and abs(given) < 2**53),
        "FLOAT64": isinstance(given, int | float) or given in ("NaN", "Infinity", "-Infinity") or _number(given),
        "NUMERIC": isinstance(given, str),
        "BIGNUMERIC": isinstance(given, str),
        "DATE": isinstance(given, str) and bool(_DAY.fullmatch(given)),
        "TIMESTAMP": isinstance(given, str) and bool(_TIME.fullmatch(given)),
    }[kind]
    if not good:
        raise ValueError(f"Could not convert value to {kind}: {given}")
    if kind == "TIMESTAMP":
        return datetime.fromisoformat(given.removesuffix("Z"))
    return float(given) if kind == "FLOAT64" else int(given) if kind == "INT64" else given


def _number(text: Any) -> bool:
    try:
        return isinstance(text, str) and float(text) is not None
    except ValueError:
        return False


def _error(status: int, reason: str, message: str) -> Reply:
    one = {"domain": "global", "reason": reason, "message": message}
    return Reply(status, {"error": {"code": status, "message": message, "errors": [one]}})
