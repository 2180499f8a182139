"""Starts, asks and ends the process that runs Great Expectations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.errors import EngineError, SpecError
from cdp_core.quality.result import ExpectationResult, read_result
from cdp_core.quality.spare import SPARE, Running, environ
from cdp_core.quality.spec import Suite

if TYPE_CHECKING:
    from cdp_core.engine.staging import Staging

_PACKAGES = Path(__file__).resolve().parents[2]


class Validator:
    """One validating process for a run: `start` early, `check` several times, `close` at the end.

    `start` returns at once, so that the seconds of the import pass while sources are read. A validator that is never
    asked costs nothing; with `expected=False` (there is no rule to check) only `check` starts a process. `close` leaves
    the process to the next run, unless it is in the middle of an answer. Not to be shared by threads.
    """

    def __init__(self, *, memory_limit: str = "1GB", expected: bool = True) -> None:
        self._memory_limit = memory_limit
        self._expected = expected
        self._running: Running | None = None
        self._asked = False

    def start(self) -> None:
        """Start the process unless it runs already or is not expected to be asked."""
        if self._expected:
            self._take()

    def _take(self) -> None:
        if self._running is None:
            self._running = SPARE.take(_started)

    def check(self, staging: Staging, suites: Mapping[str, Suite]) -> list[ExpectationResult]:
        """Run suites on staged tables (key = name of the table) and give a result for every expectation, in order.

        The staging file is closed meanwhile. Raises SpecError when Great Expectations refuses an expectation's
        arguments, EngineError when the process ends or cannot read the file.
        """
        suites = {table: suite for table, suite in suites.items() if suite.expectations}
        if not suites:
            return []
        staged = set(staging.names())
        for table in suites:
            if table not in staged:
                raise EngineError(f"table {table!r} is not staged", where="quality", choices=sorted(staged))
        self._take()
        keys, rows = {}, {}
        for table in suites:
            columns = staging.columns(table)
            keys[table] = [key for key in suites[table].keys if key in columns]
            rows[table] = int(staging.table(table).count().execute())
        with staging.released() as path:
            told = self._ask(self._request(path, suites, keys))
        results = []
        for table, suite in suites.items():
            mine = {result["number"]: result for result in told if result["table"] == table}
            for number, expectation in enumerate(suite.expectations):
                if "invalid" in mine[number]:
                    what = f"{expectation.type} refuses its arguments: {mine[number]['invalid']}"
                    raise SpecError(what, where=suite.where(expectation))
                results.append(read_result(mine[number], suite, table, rows[table], keys[table]))
        return results

    def close(self) -> None:
        """Leave the process to the next run; one that still works on an answer is ended."""
        running, self._running = self._running, None
        if running is None:
            return
        if self._asked:
            running.end()
        else:
            SPARE.give_back(running)
        self._asked = False

    def __enter__(self) -> Validator:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def _request(self, path: Path, suites: Mapping[str, Suite], keys: Mapping[str, list[str]]) -> dict[str, Any]:
        tables = [
            {
                "table": table,
                "keys": keys[table],
                "expectations": [{"type": e.type, "kwargs": e.kwargs} for e in suite.expectations],
            }
            for table, suite in suites.items()
        ]
        return {"path": str(path.resolve()), "memory_limit": self._memory_limit, "tables": tables}

    def _ask(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        assert self._running is not None
        process = self._running.process
        assert process.stdin is not None
        self._asked = True
        if not self._running.ready:
            self._read()
            self._running = replace(self._running, ready=True)
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except OSError:
            raise self._died() from None
        answer = self._read()
        self._asked = False
        if "error" in answer:
            raise EngineError(f"Great Expectations failed: {answer['error']}", where="quality")
        results: list[dict[str, Any]] = answer["results"]
        return results

    def _read(self) -> dict[str, Any]:
        assert self._running is not None
        assert self._running.process.stdout is not None
        line = self._running.process.stdout.readline()
        if not line:
            raise self._died()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _died(self) -> EngineError:
        """The error of a process that ended by itself, with the last line it wrote."""
        assert self._running is not None
        code = self._running.process.wait()
        self._running.errors.seek(0)
        told = self._running.errors.read().decode("utf-8", "replace")
        lines = [line.strip() for line in told.splitlines() if line.strip()]
        self.close()
        reason = lines[-1][:300] if lines else f"exit code {code}"
        hint = "is 'great-expectations' installed?" if "ModuleNotFoundError" in reason else "run again"
        return EngineError(f"the process that runs Great Expectations ended: {reason}", where="quality", hint=hint)


def _started() -> Running:
    paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
    process = subprocess.Popen(  # noqa: S603 - this interpreter, this package
        [sys.executable, "-P", "-m", "cdp_core.quality.gx", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "GX_ANALYTICS_ENABLED": "false"},
    )
    return Running(process=process, errors=errors, environ=environ())
