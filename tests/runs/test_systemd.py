"""User units of systemd, read by systemd itself."""

from __future__ import annotations

import os
import random
import re
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cdp_core import cron
from cdp_core.cron import ScheduleSpec
from cdp_core.errors import UsageError
from cdp_core.runs.schedule.jobs import Job, jobs_for
from cdp_core.runs.schedule.systemd import install_units, uninstall_units, units

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
NOW = datetime(2026, 1, 30, 23, 58, 30, tzinfo=UTC)
TEXTS = (
    "*/15 * * * *", "0 6 * * 1-5", "@daily", "@weekly", "0 0 13 * 5", "5/20 3 1-7/2 jan,jul *", "0 0 31 * *",
    "1,2,7 */5 * * 0,7", "30 4 */10 * sun", "59 23 29 2 *", "0-30/7 1-3 * 2-4 fri,sat,sun",
)  # fmt: skip


def drawn(seed: int) -> str:
    pick = random.Random(seed)

    def field(low: int, high: int) -> str:
        a, b = sorted((pick.randint(low, high), pick.randint(low, high)))
        forms = ["*", "*", str(a), f"{a}-{b}", f"{a},{b}", f"*/{pick.randint(1, 5)}"]
        if b - a > 1:
            forms += [f"{a}-{b}/{pick.randint(1, b - a)}", f"{a}/{pick.randint(1, b - a)}"]
        return pick.choice(forms)

    return " ".join(field(*limits) for limits in ((0, 59), (0, 23), (1, 28), (1, 12), (0, 7)))


@needs_systemd
def test_systemd_finds_the_times_that_cron_means() -> None:
    for text in (*TEXTS, *map(drawn, range(25))):
        wanted = cron.next_times(text, NOW, 6)
        found: set[datetime] = set()
        for calendar in cron.calendar(text):
            command = [
                "systemd-analyze",
                "calendar",
                "--iterations=6",
                f"--base-time={NOW:%Y-%m-%d %H:%M:%S} UTC",
                calendar,
            ]
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, env={**os.environ, "TZ": "UTC", "LC_ALL": "C"}
            )
            said = re.findall(r"(?:Next elapse|Iteration #\d+|Iter\. #\d+): \w+ (\S+ \S+) UTC", done.stdout)
            found |= {datetime.strptime(at, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) for at in said}
        assert sorted(found)[: len(wanted)] == wanted, (text, cron.calendar(text))


@needs_systemd
def test_systemd_accepts_the_units_whatever_the_folder_is_called(tmp_path: Path) -> None:
    root = tmp_path / 'it\'s 100% "a" $HOME workspace'
    root.mkdir()
    syncs: Any = {"späte Liste": SimpleNamespace(schedule="0 6 * * 1-5", enabled=True)}
    written = units(jobs_for(root, ScheduleSpec(run="0 0 13 * 5"), syncs))
    assert len(written) == 4
    folder = tmp_path / "units"
    folder.mkdir()
    for name, text in written.items():
        (folder / name).write_text(text)
    files = [str(folder / name) for name in written]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", *files],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"},
    )
    own = [line for line in done.stderr.splitlines() if "cdp-" in line or "units" in line]
    assert own == [], done.stderr
    service = next(text for name, text in written.items() if name.endswith("run.service"))
    assert f"WorkingDirectory={str(root).replace('%', '%%')}\n" in service
    timer = next(text for name, text in written.items() if name.endswith("run.timer"))
    assert "OnCalendar=*-*-13 00:00:00 UTC\nOnCalendar=Fri *-*-* 00:00:00 UTC\nPersistent=true\n" in timer


def test_a_command_is_quoted_for_systemd(tmp_path: Path) -> None:
    job = Job(name="x", cron="@daily", command=("/bin/a b", 'say "hi" 5% $x \\'), root=tmp_path)
    service = next(text for name, text in units([job]).items() if name.endswith(".service"))
    assert 'ExecStart="/bin/a b" "say \\"hi\\" 5%% $$x \\\\"\n' in service


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name that writes down what it is asked; no test may change the machine's own units."""
    programs, told = tmp_path / "bin", tmp_path / "told"
    programs.mkdir()
    program = programs / "systemctl"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nopen({str(told)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return told


def test_installing_replaces_own_units_only(systemctl: Path, tmp_path: Path) -> None:
    folder = tmp_path / "config" / "systemd" / "user"
    one, two = tmp_path / "one", tmp_path / "two"
    syncs: Any = {"a": SimpleNamespace(schedule="0 6 * * *", enabled=True)}
    for root in (one, two):
        assert len(install_units(jobs_for(root, ScheduleSpec(run="@daily"), syncs), root)) == 4
    assert len(list(folder.iterdir())) == 8
    systemctl.write_text("")
    install_units(jobs_for(one, ScheduleSpec(run="@hourly"), {}), one)
    assert len(list(folder.iterdir())) == 6
    told = systemctl.read_text()
    assert re.search(r"disable --now cdp-\w+-sync-a\.timer", told)
    assert told.index("daemon-reload") < told.index("--user enable")
    assert uninstall_units(one)
    assert not uninstall_units(one)
    assert len(list(folder.iterdir())) == 4


def test_without_systemd_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with pytest.raises(UsageError, match="systemd is not installed; use 'cdp schedule install' for cron"):
        install_units(jobs_for(tmp_path, ScheduleSpec(run="@daily"), {}), tmp_path)
    assert not (tmp_path / "config").exists()
