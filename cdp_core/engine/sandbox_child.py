"""Answers one SELECT and ends: run by its path, in a process of its own, with nothing of the parent's but stdin.

stdin holds one JSON object; stdout gets an Arrow stream (exit 0), or one JSON object that says why not (exit 3). The
process has no environment, so no secrets; the operating system bounds its memory, files and life, whatever a function
of DuckDB's does in one single call.
"""

import json
import signal
import sys

_ROWS_AT_ONCE = 50_000
_GRACE = 5


def main() -> int:
    request = json.load(sys.stdin)
    _bound(request)
    import duckdb

    try:
        with duckdb.connect() as con:
            for statement in request["setup"]:
                con.execute(statement)
            _send(con, request)
    except duckdb.OutOfMemoryException:
        return _refuse("memory", "")
    except duckdb.Error as error:
        return _refuse("error", str(error))
    except MemoryError:
        return _refuse("memory", "")
    return 0


def _bound(request) -> None:  # type: ignore[no-untyped-def]
    """Limits of the operating system, where it has them. The parent's clock is stricter; this one outlives it."""
    try:
        import resource
    except ImportError:
        return
    for kind, most in (
        (resource.RLIMIT_AS, request["address_space"]),
        (resource.RLIMIT_FSIZE, request["file_size"]),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.alarm(int(request["timeout"]) + _GRACE)


def _send(con, request) -> None:  # type: ignore[no-untyped-def]
    import pyarrow as pa

    reader = con.execute(request["query"]).to_arrow_reader(_ROWS_AT_ONCE)
    sink = pa.BufferOutputStream()
    rows = 0
    with pa.ipc.new_stream(sink, reader.schema) as stream:
        for batch in reader:
            rows += batch.num_rows
            if rows > request["max_rows"]:
                sys.exit(_refuse("rows", ""))
            if sink.tell() + batch.nbytes > request["max_bytes"]:
                sys.exit(_refuse("memory", ""))
            stream.write_batch(batch)
    sys.stdout.buffer.write(sink.getvalue())


def _refuse(kind: str, text: str) -> int:
    json.dump({"kind": kind, "text": text}, sys.stdout)
    return 3


if __name__ == "__main__":
    sys.exit(main())
