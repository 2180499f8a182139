"""Starts, asks and ends the process that runs Great Expectations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cdp_core.errors import EngineError, SpecError
from cdp_core.quality.result import ExpectationResult, read_result
from cdp_core.quality.spec import Suite

if TYPE_CHECKING:
    from cdp_core.engine.staging import Staging

_PACKAGES = Path(__file__).resolve().parents[2]


class Validator:
    """One validating process for a run: `start` early, `check` several times, `close` at the end.

    `start` returns at once, so that the seconds of the import pass while sources are read. A validator that is never
    asked costs nothing. Not to be shared by threads.
    """

    def __init__(self, *, memory_limit: str = "1GB") -> None:
        self._memory_limit = memory_limit
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] | None = None
        self._ready = False

    def start(self) -> None:
        """Start the process unless it runs already."""
        if self._process is not None:
            return
        paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, this package
            [sys.executable, "-P", "-m", "cdp_core.quality.gx", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "GX_ANALYTICS_ENABLED": "false"},
        )

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
        self.start()
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
        """End the process."""
        process, self._process, self._ready = self._process, None, False
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, self._errors):
                if pipe is not None:
                    _close_quietly(pipe)
            self._errors = None

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
        if not self._ready:
            self._read()
            self._ready = True
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except OSError:
            raise self._died() from None
        answer = self._read()
        if "error" in answer:
            raise EngineError(f"Great Expectations failed: {answer['error']}", where="quality")
        results: list[dict[str, Any]] = answer["results"]
        return results

    def _read(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _died(self) -> EngineError:
        """The error of a process that ended by itself, with the last line it wrote."""
        process, errors = self._process, self._errors
        assert process is not None
        assert errors is not None
        code = process.wait()
        errors.seek(0)
        lines = [line.strip() for line in errors.read().decode("utf-8", "replace").splitlines() if line.strip()]
        self.close()
        reason = lines[-1][:300] if lines else f"exit code {code}"
        hint = "is 'great-expectations' installed?" if "ModuleNotFoundError" in reason else "run again"
        return EngineError(f"the process that runs Great Expectations ended: {reason}", where="quality", hint=hint)


def _close_quietly(pipe: IO[Any]) -> None:
    try:
        pipe.close()
    except OSError:
        return
