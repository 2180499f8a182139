"""The dashboard's server as a child process: started, awaited, stopped."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cdp_core.cli.output import say
from cdp_core.errors import UsageError

_PORTS = 100
_SECONDS_TO_START = 60


class Dashboard:
    """Streamlit on a workspace's app.py. Raises UsageError when there is none, or no port is free."""

    def __init__(self, folder: Path, *, host: str, port: int) -> None:
        self.folder = folder.resolve()
        self.host = host
        if not (self.folder / "app.py").is_file():
            raise UsageError("no app.py in the workspace", where=str(folder), hint="'cdp init DIR' writes one")
        login = has_login(self.folder)
        if login and find_spec("authlib") is None:
            raise UsageError(
                "[auth] in .streamlit/secrets.toml needs Authlib", hint="pip install 'cdp-workbench[oidc]'"
            )
        if not login and not is_loopback(host):
            raise UsageError(
                "without a login, the dashboard is served to this machine alone",
                where=f"--host {host}",
                hint="add [auth] to .streamlit/secrets.toml (docs/how-to/give-people-roles.md), or leave --host out",
            )
        self.port = free_port(host, port)

    @property
    def url(self) -> str:
        shown = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}"

    def serve(self, *, browser: bool) -> int:
        """Run until Ctrl-C or a signal to end, both of which are exit 0; the server's own end is exit 1."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _stop)
        process = subprocess.Popen(  # noqa: S603
            self.command(), cwd=self.folder, stdout=sys.stderr, start_new_session=True
        )
        try:
            if self._wait(process):
                print(self.url, flush=True)
                say("the dashboard is running; Ctrl-C stops it")
                if browser and sys.stdout.isatty():
                    _open_browser(self.url)
            process.wait()
        except (KeyboardInterrupt, _Stopped):
            _end(process)
            say("stopped")
            return 0
        finally:
            _end(process)
        say(f"error: the dashboard's server ended by itself (exit {process.returncode})")
        return 1

    def command(self) -> list[str]:
        options = {
            "server.address": self.host,
            "server.port": self.port,
            "server.headless": "true",
            "server.fileWatcherType": "none",
            "browser.gatherUsageStats": "false",
            "logger.hideWelcomeMessage": "true",
            "logger.enableRich": "false",
            "client.showErrorDetails": "none",
            "server.enableCORS": "true",
            "server.enableXsrfProtection": "true",
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        return [sys.executable, "-m", "streamlit", "run", "app.py", *flags]

    def _wait(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the server answers; False when it has ended or does not answer in time."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        until = time.monotonic() + _SECONDS_TO_START
        while process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError):
                opener.open(f"{self.url}/_stcore/health", timeout=2).close()
                return True
            time.sleep(0.1)
        return False


def free_port(host: str, first: int) -> int:
    """The first port from `first` on that nobody listens on. Raises UsageError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in range(first, min(first + _PORTS, 65536)):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except PermissionError:
                continue
            except socket.gaierror:
                raise UsageError(f"unknown host {host!r}", hint="give an address of this machine") from None
            except OSError as error:
                if error.errno == 99 or "assign" in str(error):
                    raise UsageError(f"{host} is no address of this machine", hint="try 127.0.0.1") from None
                continue
            return port
    raise UsageError(f"no free port from {first} on", hint="give another one with --port")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name does when all that it stands for does.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("")
    (True, True, False, False)
    """
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)} if host else set()
        return bool(found) and all(ipaddress.ip_address(str(each).partition("%")[0]).is_loopback for each in found)
    except (OSError, ValueError):
        return False


def has_login(folder: Path) -> bool:
    """Whether .streamlit/secrets.toml of the workspace, or of the user, names an identity provider under [auth]."""
    for base in (folder, Path.home()):
        with contextlib.suppress(OSError, tomllib.TOMLDecodeError):
            told = tomllib.loads((base / ".streamlit" / "secrets.toml").read_text(encoding="utf-8")).get("auth")
            if isinstance(told, dict) and told:
                return True
    return False


class _Stopped(Exception):
    """A signal to end has come."""


def _stop(number: int, frame: Any) -> None:
    raise _Stopped


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _open_browser(url: str) -> None:
    import webbrowser

    with contextlib.suppress(webbrowser.Error):
        webbrowser.open(url)
