"""The collector's process: the web server, the inbox behind it, and the drain into the lake."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from cdp_core.collector.access import Access
from cdp_core.collector.app import Application
from cdp_core.collector.metrics import Metrics
from cdp_core.collector.protocol import BoundedProtocol
from cdp_core.collector.receive import Receiver, settle_in
from cdp_core.errors import UsageError, WorkspaceBusy
from cdp_core.inbox.files import folder_of, inbox_files
from cdp_core.inbox.writer import InboxWriter

if TYPE_CHECKING:
    from cdp_core.config import Config

GRACE_SECONDS = 10
_MAYBE_MORE = 4096
"""A load of so many events may have been cut short, since a run takes a bounded number of bytes."""
_LAST_DRAIN_SECONDS = 120.0
_SWITCH_SECONDS = 0.0005
"""How soon the writing thread gets its turn while requests are being read: it holds up all their answers."""
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class CollectorSettings:
    """Where to listen, and how often what has come goes into the lake (seconds; None: `cdp run` alone does it)."""

    host: str = "127.0.0.1"
    port: int = 8080
    drain_every: float | None = 10.0
    version: str = "0"


def serve(root: Path, config: Config, settings: CollectorSettings, *, ready: Say, say: Say) -> None:
    """Receive until a signal to end; then what is under way is finished and drained.

    `ready` is called with the address once it is listened on. Raises UsageError when the port is taken and
    WorkspaceBusy when another collector serves the workspace.
    """
    from filelock import FileLock, Timeout

    folder_of(root).mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(folder_of(root) / "collector.lock", timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise WorkspaceBusy("another collector serves this workspace", hint="stop it first") from None
    try:
        listening = _listen(settings.host, settings.port)
        _prepare()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_run(root, config, settings, ready, say, listening))
    finally:
        lock.release()


async def _run(
    root: Path, config: Config, settings: CollectorSettings, ready: Say, say: Say, listening: socket.socket
) -> None:
    await Collector(root, config, settings, ready, say).run(listening)


def _prepare() -> None:
    """What was loaded at the start stays, so that looking for garbage among it would only make requests wait."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        why = (error.strerror or str(error)).lower()
        raise UsageError(
            f"cannot listen on {host}:{port}: {why}", hint="give another --port, or 0 for a free one"
        ) from None
    listening.listen(2048)
    return listening


class _Server(uvicorn.Server):
    """Ends at a signal and then goes on: uvicorn's own would let the signal kill the process before the last drain."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


class Collector:
    """All parts of one collector, alive together."""

    def __init__(self, root: Path, config: Config, settings: CollectorSettings, ready: Say, say: Say) -> None:
        self.root, self.settings, self.say, self.ready = root, settings, say, ready
        self.metrics = Metrics()
        self.access = Access(root, config)
        settle = settle_in(asyncio.get_running_loop())
        self.writer = InboxWriter(root, settle, committed=lambda n, seconds: self.metrics.commits.observe(seconds))
        self.receiver = Receiver(self.access, self.writer, self.metrics)
        self.drain = Drain(root, self.access, self.metrics, say)

    async def run(self, listening: socket.socket) -> None:
        application = Application(self.receiver, self.settings.version, self.health).build()
        server = _Server(
            uvicorn.Config(
                application,
                http=BoundedProtocol,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                limit_concurrency=2000,
                timeout_keep_alive=65,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        async with self._helpers():
            host, port = listening.getsockname()[:2]
            self.ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
            await server.serve([listening])
        self.writer.close()
        if self.settings.drain_every is not None:
            try:
                await asyncio.wait_for(self.drain.once(wait=True), _LAST_DRAIN_SECONDS)
            except TimeoutError:
                self.say("another run goes on; what came last is loaded by the next one")

    @contextlib.asynccontextmanager
    async def _helpers(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.access.watch())]
        if self.settings.drain_every is not None:
            tasks.append(asyncio.create_task(self.drain.every(self.settings.drain_every)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def health(self) -> dict[str, Any]:
        problems = [text for text in (self.access.problem, self.drain.problem) if text]
        if not self.writer.has_room():
            return {"status": "full", "sources": sorted(self.access.sources), "problems": problems}
        return {"status": "ok", "sources": sorted(self.access.sources), "problems": problems}


class Drain:
    """Brings what has been received into the lake, in a process of its own: loading takes memory and the processor,
    and whatever happens to it, receiving goes on.
    """

    def __init__(self, root: Path, access: Access, metrics: Metrics, say: Say) -> None:
        self.root, self.access, self.metrics, self.say = root, access, metrics, say
        self.problem: str | None = None
        self._seen: list[tuple[str, int]] = []

    async def every(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self.once()

    async def once(self, *, wait: bool = False) -> None:
        """Load what is new. While another run holds the workspace the next time does it; with `wait` this one, after
        that run.
        """
        stamp = self._stamp()
        if stamp == self._seen or not self.access.sources:
            return
        process = await asyncio.create_subprocess_exec(
            *self._command(),
            *(["--wait"] if wait else []),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        out, err = await process.communicate()
        if process.returncode == 0:
            self._seen, self.problem = stamp, None
            self.metrics.drained.set(time.time())
            loaded, words = _told(out)
            self.say(words)
            if loaded >= _MAYBE_MORE:
                self._seen = []
                await self.once(wait=wait)
        elif b"another run holds" not in err:
            last = err.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            self.problem = f"the last drain failed (exit {process.returncode}): {last[0]}"
            self.say(self.problem)

    def _command(self) -> Sequence[str]:
        chosen = [word for name in ("load", *sorted(self.access.sources)) for word in ("--select", name)]
        return [sys.executable, "-m", "cdp_core.cli", "-w", str(self.root), "run", *chosen, "--output", "json"]

    def _stamp(self) -> list[tuple[str, int]]:
        """Changes whenever something has been written."""
        found = []
        for path in inbox_files(self.root):
            for name in (path, Path(f"{path}-wal")):
                with contextlib.suppress(OSError):
                    found.append((name.name, name.stat().st_mtime_ns))
        return found


def _told(out: bytes) -> tuple[int, str]:
    try:
        stages = {stage["name"]: stage for stage in json.loads(out)["stages"]}
        load = stages["load"]
        words = f"{load['rows_in']:,} received, {load['rows_out']:,} stored, {load['quarantined']:,} held"
        return load["rows_in"], words
    except (ValueError, KeyError, TypeError):
        return 0, "drained"
