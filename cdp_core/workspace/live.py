"""Live events of an open workspace: the keys that let them in, the collector, and what came lately."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cdp_core.config import set_definition
from cdp_core.errors import UsageError
from cdp_core.inbox import keys, reader
from cdp_core.inbox.files import SOURCE_TYPE
from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.workspace.facade import Workspace

NAME = r"[A-Za-z][A-Za-z0-9_-]{0,62}"


class Live:
    """What clients of the tracking API send.

    Example: `ws.live.create_key("website")["write_key"]`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @needs("admin", plain=True)
    def create_key(self, source: str, *, browser: bool = False, revoke_others: bool = False) -> dict[str, Any]:
        """A new write key: source, write_key (in clear, for the only time), id, kind, `created_source`.

        A source that cdp.yaml does not define is added to it. `browser` keys may not call alias or import; with
        `revoke_others` the source's other keys end. Raises UsageError when the source is of another type.
        """
        created = self._ensure(source)
        kind: keys.Kind = "browser" if browser else "server"
        clear, key = keys.create_key(self._workspace.root, source, kind, revoke_others=revoke_others)
        return {"source": source, "write_key": clear, "id": key.id, "kind": kind, "created_source": created}

    @needs("read", plain=True)
    def keys(self, source: str | None = None) -> pl.DataFrame:
        """Write keys, oldest first: source, id, kind, created_at, revoked_at (UTC). Only hashes are kept."""
        import polars as pl

        names = ("source", "id", "kind", "created_at", "revoked_at")
        known = [k for k in keys.read_keys(self._workspace.root) if source in (None, k.source)]
        frame = pl.DataFrame(
            [[getattr(k, n) for n in names] for k in known], dict.fromkeys(names, pl.String), orient="row"
        )
        return frame.with_columns(
            pl.col("created_at", "revoked_at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
        )

    @needs("admin", plain=True)
    def revoke_key(self, source: str, key_id: str) -> None:
        """End a key; a running collector refuses it within two seconds. Raises UsageError when there is none."""
        keys.revoke_key(self._workspace.root, source, key_id)

    @needs("read", plain=True)
    def waiting(self) -> dict[str, int]:
        """Events per source that are received and not in the lake yet."""
        from cdp_core.runs.load import loaded_requests

        return reader.waiting(self._workspace.root, loaded_requests(self._workspace.engine))

    @needs("read")
    def recent(self, limit: int = 200) -> pl.DataFrame:
        """The newest received events, newest first, whether or not they are in the lake: received_at (UTC), source,
        type, event, user_id, anonymous_id, message_id, status (passed or held, as answered), rule, reason, payload.
        """
        import polars as pl

        from cdp_core.collector.recent import recent_events

        names = ("type", "event", "user_id", "anonymous_id", "message_id", "status", "rule", "reason", "payload")
        texts = [(name, pl.String()) for name in ("source", *names)]
        schema = pl.Schema([("received_at", pl.Datetime("us")), *texts])
        return pl.DataFrame(recent_events(self._workspace.root, self._workspace.config, limit), schema=schema)

    @needs("admin", plain=True)
    def collect(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        drain_every: float | None = 10.0,
        ready: Callable[[str], None],
        say: Callable[[str], None],
    ) -> None:
        """Serve the tracking API until a signal to end. Raises UsageError (port) and WorkspaceBusy."""
        from cdp_core import __version__
        from cdp_core.collector.server import CollectorSettings, serve

        workspace = self._workspace
        settings = CollectorSettings(host=host, port=port, drain_every=drain_every, version=__version__)
        serve(workspace.root, workspace.config, settings, ready=ready, say=say)

    def _ensure(self, source: str) -> bool:
        """Whether the source had to be added to cdp.yaml."""
        workspace = self._workspace
        spec = workspace.config.sources.get(source)
        if spec is None:
            if not re.fullmatch(NAME, source):
                hint = "letters, digits, _ and -, such as website"
                raise UsageError(f"{source!r} cannot be a source's name", hint=hint)
            set_definition(workspace.root, "sources", source, {"type": SOURCE_TYPE})
            workspace.reload()
            return True
        if spec.type != SOURCE_TYPE:
            live = [name for name, other in workspace.config.sources.items() if other.type == SOURCE_TYPE]
            raise UsageError(
                f"source {source!r} is of type {spec.type}, and only sources of type {SOURCE_TYPE} have write keys",
                choices=live,
                hint="give a new name to add such a source",
            )
        return False
