"""Every command on a small workspace: what it prints where, and with which exit code it ends."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from cdp_command import Command
from filelock import FileLock

pytestmark = pytest.mark.xdist_group("cli")
NOUNS = ("source", "quality", "identity", "profile", "trait", "audience", "sync", "schedule")
VERBS = ("init", "demo", "run", "app", "sql", "status", "schema", "doctor")


def printed(done: subprocess.CompletedProcess[str]) -> object:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(done: subprocess.CompletedProcess[str], code: int, text: str) -> None:
    """One line on stderr, nothing on stdout, no traceback."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert text in done.stderr


def test_help_names_every_command(cdp: Command) -> None:
    done = cdp("--help")
    assert done.returncode == 0
    for name in (*NOUNS, *VERBS):
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("noun", NOUNS)
def test_every_command_has_help(cdp: Command, noun: str) -> None:
    groups = [(noun,)]
    while groups:
        group = groups.pop()
        listed = cdp(*group, "--help").stdout.partition("Commands:\n")[2]
        commands = [line.split()[0] for line in listed.splitlines() if line.strip()]
        assert commands
        for name in commands:
            said = cdp(*group, name, "--help").stdout
            if "Commands:\n" in said:
                groups.append((*group, name))
            else:
                assert "--workspace" in said


def test_version(cdp: Command) -> None:
    import cdp_core

    assert cdp("--version").stdout == f"cdp {cdp_core.__version__}\n"


def test_sql_prints_json_csv_and_tables(cdp: Command, shop: Path) -> None:
    query = "SELECT count(*) AS n FROM profiles"
    assert cdp("sql", query, "-o", "json", "-w", str(shop)).stdout == '[{"n":8}]\n'
    assert cdp("sql", query, "-o", "csv", cwd=shop).stdout == "n\n8\n"
    assert cdp("--workspace", str(shop), "sql", query).stdout.split() == ["n", "8"]
    rows = printed(cdp("sql", "SELECT timestamp, source FROM events ORDER BY 1 LIMIT 1", "-o", "json", cwd=shop))
    assert rows == [{"timestamp": "2024-01-08T09:15:00Z", "source": "customers"}]


def test_sql_refuses_what_is_no_select(cdp: Command, shop: Path) -> None:
    for query in ("DROP TABLE profiles", "SELEC 1", "SELECT 1; SELECT 2", "SELECT * FROM nowhere"):
        refused(cdp("sql", query, cwd=shop), 2, "")
    assert cdp("sql", "SELECT 1 AS n", "-o", "csv", cwd=shop).stdout == "n\n1\n"


def test_a_second_run_loads_nothing(cdp: Command, shop: Path) -> None:
    run = printed(cdp("run", "-o", "json", cwd=shop))
    assert {"run_id", "status", "seconds", "peak_rss_mb", "stages", "tables"} <= set(run)
    assert run["status"] == "succeeded"
    assert [stage["name"] for stage in run["stages"]] == ["load", "quality", "identity", "profiles", "audiences"]
    assert run["stages"][0]["rows_in"] == 0
    assert run["tables"]["profiles"] == 8
    table = cdp("run", "--select", "load,identity", cwd=shop)
    assert table.returncode == 0
    assert table.stdout.split()[:2] == ["stage", "seconds"]
    assert "succeeded" in table.stderr


def test_progress_is_told_in_lines_when_asked_for(cdp: Command, shop: Path) -> None:
    quiet = cdp("run", "--dry-run", cwd=shop)
    assert quiet.stderr.count("\n") == 1
    told = cdp("run", "--dry-run", cwd=shop, CDP_PROGRESS="lines")
    assert "load 100%" in told.stderr
    assert "load 100%" not in told.stdout


def test_one_run_at_a_time(cdp: Command, shop: Path) -> None:
    with FileLock(shop / "data" / "lake" / "run.lock"):
        refused(cdp("run", cwd=shop), 1, "another run holds this workspace")


def test_select_names_what_there_is(cdp: Command, shop: Path) -> None:
    refused(cdp("run", "--select", "customer", cwd=shop), 2, "did you mean 'customers'?")


def test_status(cdp: Command, shop: Path) -> None:
    status = printed(cdp("status", "-o", "json", cwd=shop))
    assert status["workspace"] == "My workspace"
    assert status["tables"]["profiles"] == 8
    datetime.strptime(status["last_good_run_at"], "%Y-%m-%dT%H:%M:%S.%fZ")
    assert "profiles: 8\n" in cdp("status", cwd=shop).stdout


def test_schema_is_json(cdp: Command) -> None:
    assert printed(cdp("schema"))["title"] == "cdp.yaml"


def test_sources(cdp: Command, shop: Path) -> None:
    rows = printed(cdp("source", "list", "-o", "json", cwd=shop))
    assert [(row["source"], row["rows_read"], row["events"]) for row in rows] == [("customers", 8, 8)]
    shown = printed(cdp("source", "show", "customers", "-o", "json", cwd=shop))
    assert shown["defined"].startswith("cdp.yaml:")
    assert shown["definition"]["path"] == "data/sources/customers.csv"
    refused(cdp("source", "show", "custmers", cwd=shop), 2, "did you mean 'customers'?")


def test_quality(cdp: Command, shop: Path, tmp_path: Path) -> None:
    rows = printed(cdp("quality", "list", "-o", "json", cwd=shop))
    assert [row["success"] for row in rows] == [True, True, True]
    assert printed(cdp("quality", "quarantine", "-o", "json", cwd=shop)) == []
    report = cdp("quality", "report", "--out", str(tmp_path / "q.html"), cwd=shop)
    assert report.stdout == f"{tmp_path / 'q.html'}\n"
    assert "customer_id" in (tmp_path / "q.html").read_text()


def test_profiles(cdp: Command, shop: Path) -> None:
    found = printed(cdp("profile", "search", "aiko", "-o", "json", cwd=shop))
    assert [row["first_name"] for row in found] == ["Aiko"]
    card = printed(cdp("profile", "show", "email:AIKO.madeup@example.net", "-o", "json", cwd=shop))
    assert card["profile_id"] == found[0]["profile_id"]
    missing = cdp("profile", "show", "email:nobody@example.net", cwd=shop)
    refused(missing, 2, "no profile has this")
    assert "nobody" not in missing.stderr


def test_identity_evaluate(cdp: Command, shop: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("source,record,person\n" + "".join(f"customers,c-00{n},p{n}\n" for n in range(1, 9)))
    scores = printed(cdp("identity", "evaluate", "--truth", str(truth), "-o", "json", cwd=shop))
    assert {"precision", "recall", "f1", "b3_f1", "wrong_merges"} <= set(scores)
    refused(cdp("identity", "evaluate", "--truth", "gone.csv", cwd=shop), 2, "gone.csv")


def test_traits_and_audiences(cdp: Command, shop: Path) -> None:
    traits = printed(cdp("trait", "list", "-o", "json", cwd=shop))
    assert {row["trait"]: row["profiles"] for row in traits}["email"] == 8
    audiences = printed(cdp("audience", "list", "-o", "json", cwd=shop))
    assert [(row["audience"], row["members"]) for row in audiences] == [("good_customers", 3)]
    assert "total_spent" in cdp("audience", "show", "good_customers", cwd=shop).stdout
    assert printed(cdp("audience", "preview", "good_customers", "-o", "json", cwd=shop))["count"] == 3
    rows = list(csv.DictReader(io.StringIO(cdp("audience", "members", "good_customers", "-o", "csv", cwd=shop).stdout)))
    assert sorted(row["first_name"] for row in rows) == ["Aiko", "Mira", "Olga"]
    refused(cdp("audience", "members", "good", cwd=shop), 2, "unknown audience 'good'")


def test_a_sync_is_planned_then_run(cdp: Command, shop: Path) -> None:
    plan = printed(cdp("sync", "plan", "good_customers_csv", "-o", "json", cwd=shop))
    refused(cdp("sync", "run", "good_customers_csv", "--plan", "another", cwd=shop), 2, "the plan has changed")
    dry = printed(cdp("sync", "run", "good_customers_csv", "--dry-run", "-o", "json", cwd=shop))
    assert dry["plan_id"] == plan["plan_id"]
    assert not (shop / "data" / "exports").exists()
    sent = printed(cdp("sync", "run", "good_customers_csv", "--plan", plan["plan_id"], "-o", "json", cwd=shop))
    assert sent["delivered"] == 3
    assert len((shop / "data" / "exports" / "good_customers.csv").read_text().splitlines()) == 4
    assert printed(cdp("sync", "list", "-o", "json", cwd=shop))[0]["delivered"] == 3


def test_schedule(cdp: Command, fresh: Path) -> None:
    assert printed(cdp("schedule", "show", "-o", "json", cwd=fresh)) == {"jobs": [], "crontab": []}
    refused(cdp("schedule", "run", cwd=fresh), 2, "nothing is scheduled")
    refused(cdp("schedule", "install", cwd=fresh), 2, "nothing is scheduled")
    text = (fresh / "cdp.yaml").read_text() + '\nschedule: {run: "0 6 * * *"}\n'
    (fresh / "cdp.yaml").write_text(text)
    shown = printed(cdp("schedule", "show", "-o", "json", cwd=fresh))
    assert [job["job"] for job in shown["jobs"]] == ["run"]
    assert all(at.endswith("T06:00:00Z") for at in shown["jobs"][0]["next"])
    assert any(line.startswith("0 6 * * * cd ") for line in shown["crontab"])


def test_usage_errors_are_one_line(cdp: Command, tmp_path: Path) -> None:
    refused(cdp("run", "--fast"), 2, "see 'cdp run --help'")
    refused(cdp("rnu"), 2, "rnu")
    refused(cdp("sql"), 2, "QUERY")
    refused(cdp("run", "--output", "xml"), 2, "'json'")
    refused(cdp("run", cwd=tmp_path), 2, "cdp.yaml: there is no such file")
    refused(cdp("privacy", "audit", "--since", "yesterday"), 2, "'yesterday' is no time; write it as 2026-03-01")
    erase = ("privacy", "request", "erase", "user_id:1", "--reason", "r")
    refused(cdp(*erase, "--received", "2026-13-40"), 2, "'2026-13-40' is no day; write it as 2026-03-01")


def test_configuration_errors_are_one_line(cdp: Command, fresh: Path) -> None:
    text = (fresh / "cdp.yaml").read_text()
    (fresh / "cdp.yaml").write_text(text.replace("audiences:", "audiense:"))
    line = text[: text.index("audiences:")].count("\n") + 1
    refused(cdp("status", cwd=fresh), 2, f"cdp.yaml:{line}: unknown key 'audiense'")


def test_a_closed_pipe_is_no_error(cdp: Command, shop: Path) -> None:
    for arguments in ("schema", "sql 'SELECT * FROM events' -o json"):
        line = f"{sys.executable} -m cdp_core.cli {arguments} | true"
        done = subprocess.run(["bash", "-c", line], cwd=shop, capture_output=True, text=True, check=True)
        assert done.stderr == ""


def test_colour_is_off_without_a_terminal(cdp: Command, shop: Path) -> None:
    done = cdp("trait", "list", cwd=shop, NO_COLOR="1")
    assert "\x1b" not in done.stdout + done.stderr


def test_demo_writes_a_workspace(cdp: Command, tmp_path: Path) -> None:
    out = tmp_path / "world"
    made = printed(cdp("demo", "--people", "50", "--seed", "3", "--out", str(out), "-o", "json"))
    assert made["events"] > 50
    assert (out / "cdp.yaml").is_file()
    refused(cdp("demo", "--people", "0", "--out", str(out)), 2, "people")


@pytest.mark.parametrize(
    "words", [("audience", "preview", "good_customers"), ("sync", "plan", "good_customers_csv")], ids=" ".join
)
def test_before_the_first_run_nothing_is_blamed_on_the_configuration(
    cdp: Command, tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert cdp("init", str(tmp_path / "fresh")).returncode == 0
    refused(cdp(*words, cwd=tmp_path / "fresh"), 2, "there are no profiles yet; run 'cdp run' first")
