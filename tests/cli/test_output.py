"""How data and errors are printed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from cdp_core.cli.guard import guarded
from cdp_core.cli.output import cell, print_frame, print_object
from cdp_core.errors import CDPError, EngineError, QualityStop, SpecError

AT = datetime(1998, 7, 1, 12, 30)


@pytest.fixture
def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "text": ["a,b", None],
            "n": [1234567, None],
            "at": [AT, None],
            "precise": [AT + timedelta(microseconds=5), None],
            "zoned": pl.Series([AT, None]).dt.replace_time_zone("Europe/Berlin"),
            "day": [date(1998, 7, 1), None],
            "share": [float("nan"), 0.25],
            "money": pl.Series([Decimal("1.50"), None], dtype=pl.Decimal(10, 2)),
            "times": [[AT, None], []],
            "object": [{"at": AT, "n": 1}, None],
            "raw": [b"\x00\x01", None],
            "yes": [True, None],
        }
    )


def test_json_has_plain_types(frame: pl.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    print_frame(frame, "json")
    first, second = json.loads(capsys.readouterr().out)
    assert first == {
        "text": "a,b",
        "n": 1234567,
        "at": "1998-07-01T12:30:00Z",
        "precise": "1998-07-01T12:30:00.000005Z",
        "zoned": "1998-07-01T10:30:00Z",
        "day": "1998-07-01",
        "share": None,
        "money": 1.5,
        "times": ["1998-07-01T12:30:00Z", None],
        "object": {"at": "1998-07-01T12:30:00Z", "n": 1},
        "raw": "AAE=",
        "yes": True,
    }
    assert second == {**dict.fromkeys(first), "share": 0.25, "times": []}


def test_csv_has_one_row_each(frame: pl.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    print_frame(frame, "csv")
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 3
    assert rows[0] == ",".join(frame.columns)
    assert rows[1].startswith('"a,b",1234567,1998-07-01T12:30:00Z,')
    assert '"[""1998-07-01T12:30:00Z"",null]"' in rows[1]


def test_tables_are_for_people(frame: pl.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    print_frame(frame.select("n", "text", "at", "share"))
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["n", "text", "at", "share"]
    assert first.split() == ["1,234,567", "a,b", "1998-07-01", "12:30:00"]
    assert second.split() == ["0.25"]
    assert first.index("1,234,567") < header.index("n") + 1, "numbers stand at the right"


def test_an_empty_frame(capsys: pytest.CaptureFixture[str]) -> None:
    empty = pl.DataFrame(schema={"a": pl.String, "t": pl.List(pl.Datetime("us"))})
    for output in ("json", "csv", "table"):
        print_frame(empty, output)
    assert capsys.readouterr().out.splitlines()[0] == "[]"


def test_markup_and_control_characters_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_frame(pl.DataFrame({"a": ["[bold]x[/bold]", "\x1b[31mred\nline"]}))
    out = capsys.readouterr().out
    assert "[bold]x[/bold]" in out
    assert "\x1b" not in out
    assert "red ⏎ line" in out


def test_long_tables_end(capsys: pytest.CaptureFixture[str]) -> None:
    print_frame(pl.DataFrame({"n": range(1500)}))
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1001
    assert "500 more rows" in printed.err


def test_objects(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"n": 1, "at": AT, "list": [{"a": 1, "b": None}], "short": [1, 2], "nan": float("nan")}
    print_object(value, "json")
    assert json.loads(capsys.readouterr().out) == {
        "n": 1, "at": "1998-07-01T12:30:00Z", "list": [{"a": 1, "b": None}], "short": [1, 2], "nan": None,
    }  # fmt: skip
    print_object(value)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["n: 1", "at: 1998-07-01 12:30:00", "list:", "  - a: 1", "    b:", "short: 1, 2", "nan:"]


def test_cells() -> None:
    assert [cell(v) for v in (True, 0.5, 12.0, 1234.56789, Decimal("7.10"))] == [
        "yes",
        "0.5",
        "12",
        "1,234.5679",
        "7.1",
    ]


def raising(error: BaseException) -> Callable[[], Any]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SpecError("wrong", where="cdp.yaml:3"), 2, "error: cdp.yaml:3: wrong\n"),
        (EngineError("no"), 2, "error: no\n"),
        (QualityStop("held"), 3, "error: held\n"),
        (CDPError("other"), 1, "error: other\n"),
        (KeyboardInterrupt(), 130, "error: interrupted; what was published before stays\n"),
        (OSError(28, "No space left on device", "x.csv"), 2, "error: x.csv: no space left on device\n"),
    ],
)
def test_errors_are_one_line(error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raising(error)) == code
    assert capsys.readouterr() == ("", said)


def test_a_bug_says_so_and_shows_nobodys_data(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CDP_DEBUG", raising=False)
    assert guarded(raising(ValueError("ann@example.org"))) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ValueError at ")
    assert "this is a bug" in said
    assert "ann" not in said
    assert said.count("\n") == 1
    monkeypatch.setenv("CDP_DEBUG", "1")
    guarded(raising(ValueError("x")))
    assert "Traceback" in capsys.readouterr().err


def test_control_c_is_exit_130() -> None:
    code = (
        "import sys, time; from cdp_core.cli.guard import guarded\n"
        "def work():\n    print('ready', flush=True); time.sleep(60)\n"
        "sys.exit(guarded(work))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.count("\n") == 1
