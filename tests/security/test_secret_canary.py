"""Every place that takes a secret holds one of its own; everything that can fail is made to; none is seen anywhere.

Rule: ASVS 5.0, 16.2.5 (no credentials in logs) and 16.5.1 (none in errors).
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args
from unittest import mock
from urllib.parse import quote

import httpx
import polars as pl
import pytest
from pydantic import BaseModel
from secret_world import MAPPINGS, PERSON, SYNC_OPTIONS, Canaries, Destinations, Echo
from streamlit.testing.v1 import AppTest

import cdp_core as cdp
from cdp_core import plugins
from cdp_core.config import Config, load_config
from cdp_core.config.keys import alternatives, is_model
from cdp_core.config.secret_values import secret_keys, sounds_secret
from cdp_core.dashboard.main import SECTIONS
from cdp_core.destinations.base import Batch
from cdp_core.destinations.open import delivery_for, open_destination
from cdp_core.privacy.key import workspace_key

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("privacy", "cli", "collector")]
from cdp_command import command  # noqa: E402
from scanner import contents  # noqa: E402
from serving import started  # noqa: E402

KEPT = frozenset({"cdp.yaml", ".streamlit/secrets.toml", "data/privacy/key"})
"""Where secrets are: the files in which somebody has written them down, and the workspace's own key."""
HARMLESS = {"token_url", "token_type", "bearer_format"}
OWN = '''
import cdp_core as cdp
from cdp_core.errors import DestinationError

@cdp.destination
def careless(rows, *, how: str, api_key: str):
    """Puts what it knows into words, as a plug-in of somebody else's may."""
    if how == "reasons":
        return {key: f"key {api_key} may not" for key in rows["id"]}
    if how == "error":
        raise DestinationError(f"{api_key} was refused", where=f"key {api_key}", hint=f"another than {api_key}")
    raise RuntimeError(f"unexpected, with {api_key}")
'''


@dataclass
class World:
    root: Path
    canaries: Canaries
    echo: Echo
    outside: Path
    said: list[tuple[str, bytes]] = field(default_factory=list)

    def cdp(self, *arguments: str, **environ: str) -> str:
        done = command(*arguments, "--workspace", str(self.root), **{**self.canaries.environ, **environ})
        self.heard(f"cdp {' '.join(arguments)}", done.stdout + done.stderr)
        return done.stdout + done.stderr

    def heard(self, where: str, text: str) -> None:
        self.said.append((where, text.encode(errors="surrogatepass")))

    def leaks(self) -> list[str]:
        """Where a secret stands, and which."""
        found = {f"{where}: {name}" for where, text in self.said for name in self.canaries.in_text(text)}
        for folder in (self.root, self.outside):
            for path in sorted(folder.rglob("*")):
                name = path.relative_to(folder).as_posix()
                if path.is_file() and not path.is_symlink() and not (folder == self.root and name in KEPT):
                    for reader, content in contents(path):
                        found |= {f"{name} ({reader}): {which}" for which in self.canaries.in_text(content)}
        return sorted(found)


@contextlib.contextmanager
def overheard(path: Path) -> Iterator[None]:
    """What this process and its children write to the streams themselves, and what libraries log."""
    with path.open("ab") as file:
        before = os.dup(1), os.dup(2)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        handler = logging.FileHandler(path.with_suffix(".log"))
        root = logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.removeHandler(handler)
            root.setLevel(level)
            handler.close()
            for stream, kept in zip((1, 2), before, strict=True):
                os.dup2(kept, stream)
                os.close(kept)


@contextlib.contextmanager
def rude_database() -> Iterator[int]:
    """A port that hangs up on whoever calls."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def sources(canaries: Canaries, port: int) -> dict[str, Any]:
    mapping = {"type": "identify", "key": ["id"], "identifiers": {"user_id": "id", "email": "email"}}
    crm = {"type": "file", "path": "crm.csv", "map": {**mapping, "traits": {"email": "email"}}}
    found: dict[str, Any] = {"crm": crm, "site": {"type": "collector"}}
    for number, (scheme, place) in enumerate(
        (
            ("postgresql", f"127.0.0.1:{port}/shop"),
            ("mysql+pymysql", "127.0.0.1:1/shop"),
            ("nosuch+driver", "127.0.0.1/shop"),
            ("postgresql", "127.0.0.1:noport/shop"),
        )
    ):
        password = quote(canaries.new(f"sql url {number}"), safe="")
        found[f"sql{number}"] = {
            "type": "sql",
            "url": f"{scheme}://cdp:{password}@{place}",
            "table": "t",
            "map": mapping,
        }
    return found


def alerts(canaries: Canaries, url: str) -> list[dict[str, Any]]:
    hook = f"{url}/hooks/{canaries.new('alert to', plain=True)}"
    every = ["failure", "failed_share", "size_jump", "anomalies"]
    webhook = {"webhook": f"{url}/in?token={quote(canaries.new('alert webhook'), safe='')}", "private_network": True}
    slack = {"slack": f"{url}/services/{canaries.new('alert slack', plain=True)}", "private_network": True}
    mail = {"host": "127.0.0.1", "port": 1, "user": "robot", "password": canaries.new("alert password")}
    receivers = [hook, webhook, slack, {"email": {**mail, "from": "robot@shop.example", "to": "ann@shop.example"}}]
    return [{"on": every, "to": to} for to in receivers]


def by_reference(value: Any, canaries: Canaries) -> Any:
    """The same with `${NAME}` for every text that holds a secret."""
    if isinstance(value, dict):
        return {key: by_reference(inner, canaries) for key, inner in value.items()}
    if isinstance(value, list):
        return [by_reference(inner, canaries) for inner in value]
    secret = isinstance(value, str) and canaries.in_text(value.encode())
    return canaries.reference(value) if secret else value


def config_of(world: World, port: int) -> dict[str, Any]:
    """Every destination twice: with its secrets written out, and taken from the environment."""
    canaries, url = world.canaries, world.echo.url
    config: dict[str, Any] = {
        "name": "canaries",
        "sources": sources(canaries, port),
        "alerts": alerts(canaries, url),
        "traits": {"email": {"type": "string"}},
        "destinations": {},
        "syncs": {},
    }
    made = [*Destinations(canaries, url, port).variants(), *Destinations(canaries, url, port).variants()]
    made += [("careless", {"how": how, "api_key": canaries.new("own api_key")}) for how in ("reasons", "error", "bug")]
    for number, (kind, options) in enumerate(made):
        name = f"{kind}_{number}"
        given = by_reference(options, canaries) if number % 2 else options
        config["destinations"][name] = {"type": kind, **given, "limits": {"attempts": 1, "retry_for": 0}}
        config["syncs"][name] = {
            "model": "profiles",
            "destination": name,
            "mode": "upsert",
            "key": next(iter(MAPPINGS.get(kind, PERSON))),
            "mapping": MAPPINGS.get(kind, PERSON),
            "options": {key: name if text == "people" else text for key, text in SYNC_OPTIONS.get(kind, {}).items()},
        }
    return config


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything that can fail has failed, and whatever looks at failures has looked."""
    folder = tmp_path_factory.mktemp("secrets")
    root, outside = folder / "ws", folder / "outside"
    (root / ".streamlit").mkdir(parents=True)
    outside.mkdir()
    with Echo() as echo, rude_database() as port, overheard(outside / "streams"):
        world = World(root, Canaries(), echo, outside)
        config = config_of(world, port)
        (root / "destinations.py").write_text(OWN)
        (root / "crm.csv").write_text("id,email\n" + "".join(f"u{n},person{n}@example.org\n" for n in range(3)))
        login = {name: world.canaries.new(f"{name} of secrets.toml") for name in ("client_secret", "cookie_secret")}
        lines = [f"{name} = {json.dumps(value)}" for name, value in login.items()]
        (root / ".streamlit/secrets.toml").write_text("\n".join(["[auth]", *lines]) + "\n")
        key = workspace_key(root, make=True) or b""
        world.canaries.lines |= dict.fromkeys((key, key.hex().encode(), base64.b64encode(key)), "the workspace's key")
        with mock.patch.dict(os.environ, world.canaries.environ):
            for step in (sending_by_hand, running, receiving, looking, mistyping):
                step(world, config)
        yield world


def written(world: World, config: dict[str, Any], *, syncs: Sequence[str] = (), failing: Sequence[str] = ()) -> None:
    """cdp.yaml with these syncs, and these of the sources that fail."""
    kept = {name: config["sources"][name] for name in ("crm", "site", *failing)}
    chosen = {name: config["syncs"][name] for name in syncs}
    (world.root / "cdp.yaml").write_text(json.dumps({**config, "sources": kept, "syncs": chosen}, indent=1))


def sending_by_hand(world: World, config: dict[str, Any]) -> None:
    """Every destination in every way in which it can be refused: what it raises, and its trace in a notebook."""
    written(world, config, syncs=list(config["syncs"]), failing=[n for n in config["sources"] if n.startswith("sql")])
    loaded = load_config(world.root)
    world.heard("the configuration", f"{loaded!r} {loaded} {[str(spec) for spec in loaded.sources.values()]}")
    given = world.canaries.new("a token that was given")
    for number, (name, spec) in enumerate(loaded.destinations.items()):
        ways = ((401, "test", ""), (400, "send", "")) if number % 2 else ((500, "send", ""), (400, "send", given))
        for status, trying, world.echo.token in ways if spec.type != "careless" else ():
            world.echo.ways = (status,)
            try:
                destination = open_destination(name, spec, root=world.root)
                world.heard(f"{name} as text", f"{destination.options!r} {destination.options}")
                tried(destination, loaded.syncs[name], name, trying)
            except cdp.CDPError as error:
                world.heard(f"{name}: {trying}, {status}", "".join(traceback.format_exception(error)))


def tried(destination: Any, sync: Any, name: str, trying: str) -> None:
    if trying == "test":
        return destination.test()
    delivery = delivery_for(name, sync, destination, dict.fromkeys(sync.mapping, "string"))
    people = [dict.fromkeys(sync.mapping, f"u{n}") for n in range(3)]
    payload = pl.Series([json.dumps(person) for person in people])
    destination.prepare(delivery)
    try:
        return destination.send(Batch(rows=pl.DataFrame(people), key=sync.key, payload=payload, id="b", ids=payload))
    finally:
        if hasattr(destination, "finish"):
            destination.finish(False)


def running(world: World, config: dict[str, Any]) -> None:
    """Syncs through the engine, sources that fail, alerts that do not arrive, and what tells of them afterwards."""
    careless = [name for name in config["syncs"] if name.startswith("careless_")]
    webhook = next(name for name in config["syncs"] if name.startswith("webhook_"))
    failing = [name for name in config["sources"] if name.startswith("sql")]
    world.echo.ways, world.echo.token = (400,), ""
    written(world, config, syncs=careless[:2])
    world.cdp("run", "--sync", "--output", "json", CDP_DEBUG="1")
    written(world, config, syncs=[webhook, careless[2]], failing=failing)
    for arguments in (
        ("run", "--select", "load"),
        ("sync", "plan", webhook),
        ("sync", "run", webhook, "--output", "json"),
        ("sync", "run", careless[2]),
        ("sync", "failed", webhook, "--output", "json"),
        ("destination", "test", webhook),
        ("alerts", "test"),
        ("quality", "report"),
        ("privacy", "audit", "--output", "json"),
        ("doctor",),
    ):
        world.cdp(*arguments, CDP_DEBUG="1")


def mistyping(world: World, config: dict[str, Any]) -> None:
    """cdp.yaml is wrong just where a secret stands: the line at fault is named, not quoted."""
    lines = (
        "token: *{}", "token: !{}", "token: @{}", "token: %{}", 'token: "{}', "token: [{}", "token: a: {}", "token {}",
        "{}: token", "- {}", "token: {{a: {}}}", "token: [{}]", "token: 1\n    token: {}", "token: &{}", "tokn: {}",
        "base_url: https://user:{}@hubspot.example", "base_url: ftp://x?token={}", "token: |\n  {}", "token: {}\n  x: 1",
    )  # fmt: skip
    for line in lines:
        wrong = line.format(world.canaries.new(f"after {line!r}", plain=True))
        text = f"name: wrong\ndestinations:\n  crm:\n    type: hubspot\n    {wrong}\n"
        (world.root / "cdp.yaml").write_text(text)
        said = world.cdp("status", CDP_DEBUG="1")
        assert "cdp.yaml:" in said, (line, said)


def receiving(world: World, config: dict[str, Any]) -> None:
    """A collector that is shown keys which are none, in every place where a key may be."""
    written(world, config)
    with cdp.open(world.root) as ws:
        key = ws.live.create_key("site")["write_key"]
    world.canaries.lines[key.encode()] = "a write key"
    event = {"type": "track", "event": "Seen", "messageId": "m1", "userId": "u1"}
    bad = world.canaries.new("a bad write key", plain=True)
    with started(world.root, **world.canaries.environ) as (process, url), httpx.Client(base_url=url) as client:
        logging.getLogger("httpx").setLevel(logging.WARNING)
        for given in (key, bad):
            client.post("/v1/track", json=event, auth=(given, ""))
            client.post("/v1/track", json={**event, "writeKey": given}, headers={"Authorization": f"Bearer {given}"})
            client.post("/v1/track", json={**event, "writeKey": given})
            client.post(f"/v1/track?writeKey={given}", json=event)
            client.post(f"/v1/track?writeKey={given}", content=b"{" + given.encode())
            client.get(f"/v1/{given}")
            world.heard("the collector's answers", client.get("/metrics").text + client.get("/health").text)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    logging.getLogger("httpx").setLevel(logging.NOTSET)
    world.cdp("run", "--select", "load")


def one_page(name: str, root: str) -> None:
    """The script of a page drawn alone."""
    import importlib
    from pathlib import Path

    from cdp_core.dashboard import session

    session.choose(Path(root))
    importlib.import_module(f"cdp_core.dashboard.pages.{name}").page(session.workspace())


def drawn(node: Any) -> Iterator[str]:
    """Everything that a page sends to the browser."""
    yield str(getattr(node, "proto", ""))
    for child in getattr(node, "children", {}).values():
        yield from drawn(child)


def looking(world: World, config: dict[str, Any]) -> None:
    """Every page, the page of a sync that failed, the form of every destination, and a job that fails."""
    syncs = [name for name in config["syncs"] if name.startswith(("careless_", "webhook_"))]
    written(world, config, syncs=syncs, failing=[name for name in config["sources"] if name.startswith("sql")])
    asked = [(name, {}) for names in SECTIONS.values() for name in names]
    asked += [("destinations", {"sync": name}) for name in (syncs[0], syncs[-1])]
    for kind in ("hubspot", "webhook", "storage"):
        name = next(name for name in config["destinations"] if name.startswith(f"{kind}_"))
        asked.append(("destinations", {"form": "destination", "destination": name}))
    for name, query in asked:
        at = AppTest.from_function(one_page, args=(name, str(world.root)), default_timeout=60)
        for key, value in query.items():
            at.query_params[key] = value
        world.heard(f"the page {name} {query}", "".join(drawn(at.run()._tree)))
        assert not at.exception, name


def models(kind: Any, seen: set[Any] | None = None) -> set[type[BaseModel]]:
    """Every model below a type; some hold themselves."""
    seen = set() if seen is None else seen
    for one in alternatives(kind):
        if is_model(one) and one not in seen:
            seen.add(one)
            for found in one.model_fields.values():
                models(found.annotation, seen)
        elif not is_model(one):
            for inner in get_args(one):
                models(inner, seen)
    return seen


def declared() -> dict[str, type[BaseModel]]:
    """Place in cdp.yaml → model, of everything that it may hold."""
    found = {model.__name__: model for model in models(Config)}
    for group in (plugins.SOURCES, plugins.DESTINATIONS):
        for kind in plugins.names(group):
            cls = plugins.load(group, kind)
            for options in ("Options", "SyncOptions"):
                for model in models(getattr(cls, options, None)):
                    found[f"{kind}.{options}.{model.__name__}"] = model
    return found


def test_every_key_of_a_secret_has_a_canary(world: World) -> None:
    """A secret that is added is to be added to the world."""
    given = {name.rpartition(" of ")[0] or name for name in world.canaries.names}
    wanted = set()
    for place, model in declared().items():
        wanted |= {f"{place.partition('.')[0]} {key}" for key in secret_keys(model)}
    named = {"sql url": "sql url 0", "ToSpec webhook": "alert webhook", "ToSpec slack": "alert slack"}
    named |= {"EmailSpec password": "alert password", "webhook remove_url": "webhook url"}
    named |= {f"{kind} storage_options": f"{kind} token" for kind in ("storage", "storage_deltas")}
    given |= {name for name in wanted if name.endswith((" credentials", " private_key"))} & set(world.canaries.keys)
    assert len(wanted) > 25
    assert not {name for name in wanted if named.get(name, name) not in given}


def test_a_key_that_sounds_like_a_secret_is_one() -> None:
    """A secret in plain text would be shown by `repr`, in forms and in errors."""
    found = {
        f"{place}.{field.alias or name}"
        for place, model in declared().items()
        for name, field in model.model_fields.items()
        if sounds_secret(name) and (field.alias or name) not in secret_keys(model)
    }
    assert {name.rpartition(".")[2] for name in found} <= HARMLESS


def test_no_secret_is_seen_anywhere(world: World) -> None:
    leaks = world.leaks()
    assert not leaks, "\n".join(leaks)


def test_the_net_is_there_for_a_careless_plug_in(world: World) -> None:
    """The words of others are kept, without the secret in them; and what was said before it has failed is no secret."""
    said = b"".join(text for _, text in world.said).decode(errors="replace")
    assert "… was refused" in said
    assert "answered 400" in said
    assert "RuntimeError: unexpected, with …" in said, "CDP_DEBUG=1 shows the trace, redacted"
