"""`cdp doctor`: what is wrong with a workspace, and what to do about it. Nothing is changed."""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cdp_core.config import check_config
from cdp_core.errors import CDPError
from cdp_core.runs.lock import describe, is_held

if TYPE_CHECKING:
    from cdp_core.config import Config

Level = Literal["ok", "warn", "error"]
_GB = 1024**3
_LITTLE, _FULL = 1 * _GB, _GB // 10
_STALE_AFTER = 3600
_OWN_FOLDERS = ("data/collector", "data/privacy")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `level` is ok, warn or error; `hint` is the next step."""

    level: Level
    what: str
    hint: str | None = None


def diagnose(root: Path | str) -> list[Finding]:
    """Look at versions, configuration, suites, sources, rights, disk, lock and left-overs of the workspace at `root`.

    Works on a broken workspace too; it never raises. Connections are tried for a few seconds at most.

    Example: `[f.what for f in diagnose(".") if f.level == "error"]`
    """
    from cdp_core.runs import doctor_controls, doctor_sources, doctor_versions

    root = Path(root).resolve()
    config, problems = check_config(root)
    findings = list(_guarded(doctor_versions.versions))
    findings += [Finding("error", str(problem), "correct the file") for problem in problems]
    if config is None:
        return [*findings, *_guarded(lambda: _disk(root))]
    found = config
    findings.append(Finding("ok", f"{', '.join(config.files)}: {_counts(config)}"))
    checks: list[Callable[[], Iterator[Finding]]] = [
        lambda: _clock(found),
        lambda: _suites(root),
        lambda: _plans(root),
        lambda: _steps(found),
        lambda: doctor_controls.controls(found),
        lambda: doctor_sources.sources(root, found),
        lambda: doctor_sources.received(root, found),
        lambda: doctor_sources.destinations(root, found),
        lambda: _rights(root, found),
        lambda: _shut(root, found),
        lambda: _disk(root / found.engine.lake),
        lambda: _lock(root / found.engine.lake),
        lambda: _left_overs(root / found.engine.lake),
    ]
    for check in checks:
        findings += _guarded(check)
    return findings


def _guarded(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """A check that fails is a finding, and the others go on."""
    try:
        yield from check()
    except CDPError as error:
        yield Finding("error", str(error))
    except Exception as error:  # noqa: BLE001
        yield Finding("error", f"a check failed: {type(error).__name__}", "this is a bug")


def _counts(config: Config) -> str:
    blocks = ("sources", "traits", "audiences", "destinations", "syncs")
    counts = {block: len(getattr(config, block)) for block in blocks}
    return ", ".join(f"{n} {block[:-1] if n == 1 else block}" for block, n in counts.items())


def _clock(config: Config) -> Iterator[Finding]:
    if config.today is not None:
        where = config.where("today")
        yield Finding("ok", f"the clock is pinned at {config.today} ({where})", "take 'today' out for the real time")


def _suites(root: Path) -> Iterator[Finding]:
    from cdp_core.quality.suites import load_suites

    suites = load_suites(root / "expectations")
    count = sum(len(suite.expectations) for suite in suites)
    yield Finding("ok", f"expectations: {len(suites)} suites, {count} expectations")


def _plans(root: Path) -> Iterator[Finding]:
    from cdp_core.config.plans import check_plan, plan_names

    for name in plan_names(root):
        plan, problems = check_plan(root, name)
        yield from (Finding("error", str(problem), "correct the file") for problem in problems)
        if plan is not None:
            yield Finding("ok", f"tracking plan {name!r}: {len(plan.events)} events")


def _steps(config: Config) -> Iterator[Finding]:
    from cdp_core.tracking import unsettled

    for name, source in config.sources.items():
        if pair := unsettled(source.transform):
            first, second = (number + 1 for number in pair)
            what = f"transform of the source {name!r}: step {second} brings back what step {first} changes"
            hint = "events that pass there again would be changed again; use other names, or another order"
            yield Finding("warn", f"{what} ({config.where('sources', name)})", hint)
    sent_to = {sync.destination for sync in config.syncs.values() if sync.of_events}
    for name, destination in config.destinations.items():
        if destination.transform and name not in sent_to:
            what = f"transform of the destination {name!r} changes events, and no sync sends any there"
            yield Finding("warn", what, "profiles are sent as they are; take it out, or add a sync of events")


def _rights(root: Path, config: Config) -> Iterator[Finding]:
    folders = {"the lake": config.engine.lake}
    for name, destination in config.destinations.items():
        if destination.type == "file" and isinstance(destination.options.get("path"), str):
            folders[f"destination {name!r}"] = destination.options["path"]
    for what, folder in folders.items():
        blocked = _not_writable(root / folder)
        if blocked is None:
            yield Finding("ok", f"{what}: {folder} can be written")
        else:
            yield Finding("error", f"{what}: {folder} cannot be written ({blocked})", "check its rights")


def _shut(root: Path, config: Config) -> Iterator[Finding]:
    from cdp_core.modes import open_to_others

    own = {root / config.engine.lake, *(root / name for name in _OWN_FOLDERS)}
    found = [path for folder in sorted(own) for path in open_to_others(folder)]
    if not found:
        yield Finding("ok", "nobody else on this machine can read the lake, the inbox or the keys")
        return
    folders = " ".join(shlex.quote(str(f.relative_to(root))) for f in sorted(own) if f.exists())
    shown = found[0].relative_to(root)
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    yield Finding("warn", f"others on this machine may open {shown}{more}", f"chmod -R go= {folders}")


def _not_writable(folder: Path) -> str | None:
    """Why a file cannot be made in the folder, tried with a real one; a missing folder is asked of its parent."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return f"{folder.name} is a file"
    probe = folder / f".cdp-doctor-{os.getpid()}"
    try:
        probe.write_bytes(b"x")
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return None


def _disk(folder: Path) -> Iterator[Finding]:
    import shutil

    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    level: Level = "error" if free < _FULL else "warn" if free < _LITTLE else "ok"
    yield Finding(level, f"disk: {free / _GB:,.1f} GB free", None if level == "ok" else "free some space before a run")


def _lock(lake: Path) -> Iterator[Finding]:
    if is_held(lake):
        yield Finding(
            "warn", f"a run is going on ({describe(lake / 'run.holder.json')})", "wait for it before the next"
        )


def _left_overs(lake: Path) -> Iterator[Finding]:
    now = time.time()
    old = [p for p in (lake / "staging").glob("*") if p.is_file() and now - p.stat().st_mtime > _STALE_AFTER]
    if old and not is_held(lake):
        size = sum(path.stat().st_size for path in old) / 1024**2
        yield Finding("warn", f"{len(old)} staging files of a dead run, {size:,.0f} MB", "the next run removes them")
