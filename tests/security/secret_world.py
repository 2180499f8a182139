"""A workspace with a secret of its own in every place that takes one, and a server that gives all it hears back."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cdp_core.testing.services.base import Reply, Request, StandIn

HEAD, TAIL = "c4naryhead", "c4narytail"
"""Every secret begins with the one and ends with the other, so that one look finds them all, and halves of them too."""
_PLAIN = re.compile(rb"c4nary(?:head|tail)", re.IGNORECASE)
_NUMBER = re.compile(rb"(\d{3})-?c4narytail|c4naryhead-?(\d{3})", re.IGNORECASE)


def _encoded(marker: str) -> Iterator[bytes]:
    """What base64 makes of a text wherever it stands, without what its neighbours change."""
    for start in range(3):
        whole = base64.b64encode(b"\0" * start + marker.encode())
        yield whole[4 if start else 0 : (start + len(marker)) // 3 * 4]


@dataclass
class Canaries:
    """Secrets by number; `lines` are those parts of keys in PEM that nothing else can hold."""

    names: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    lines: dict[bytes, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def new(self, name: str, *, plain: bool = False) -> str:
        """A secret of its own. Quotes, slashes and the like make it look different wherever it is escaped."""
        self.names.append(name)
        number = f"{len(self.names) - 1:03d}"
        return f"{HEAD}{number}x{number}{TAIL}" if plain else f"{HEAD}-{number}\"/+&<'-{number}-{TAIL}"

    def pem(self, name: str, password: str | None = None) -> str:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        locked = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        made = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked).decode()
        self.keys.append(name)
        self.lines |= {line.encode(): name for line in made.splitlines() if len(line) == 64}
        return made

    def reference(self, secret: str) -> str:
        name = f"CANARY_{len(self.environ)}"
        self.environ[name] = secret
        return f"${{{name}}}"

    def in_text(self, text: bytes) -> set[str]:
        """Names of the secrets that stand in a text, each with the way in which it is written there."""
        found = {f"{self._name(text, hit.start())} in clear" for hit in _PLAIN.finditer(text)}
        for marker in (HEAD, TAIL):
            for needle in _encoded(marker):
                if needle in text or needle.translate(bytes.maketrans(b"+/", b"-_")) in text:
                    found.add(f"{self._decoded(text, needle)} in base64")
            for utf in ("utf-16-le", "utf-16-be"):
                if marker.encode(utf) in text:
                    found.add("a secret in UTF-16")
        return found | {f"{name}, a line of it" for line, name in self.lines.items() if line in text}

    def _name(self, text: bytes, at: int) -> str:
        near = _NUMBER.search(text, max(0, at - 4), at + 20)
        return self.names[int(near[1] or near[2])] if near else "part of a secret"

    def _decoded(self, text: bytes, needle: bytes) -> str:
        at = text.find(needle)
        around = re.search(rb"[A-Za-z0-9+/_-]+$", text[:at])
        start = around.start() if around else at
        for shift in range(4):
            piece = text[start + shift : at + 120]
            run = re.match(rb"[A-Za-z0-9+/_-]*", piece)
            whole = run[0] if run else b""
            clear = base64.b64decode(whole[: len(whole) // 4 * 4].translate(bytes.maketrans(b"-_", b"+/")))
            if hit := _PLAIN.search(clear):
                return self._name(clear, hit.start())
        return "a secret"


class Echo(StandIn):
    """Refuses every call, in turn in each way that a service can, and quotes the whole call in every text of the
    answer. `ways` are those, by status; `token` is given to whoever asks for one, when there is any.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ways: tuple[int, ...] = (400,)
        self.token = ""
        self._turn = 0

    def handle(self, request: Request) -> Reply:
        said = [f"{name}: {value}" for name, value in request.headers.items()]
        text = f"refused {request.method} {request.path}?{request.query} {'; '.join(said)} "
        text += request.body.decode(errors="replace")
        self._turn += 1
        if self.token and (b"grant_type" in request.body or request.path.endswith("/token")):
            return Reply(200, {"access_token": self.token, "expires_in": 3600})
        status = self.ways[self._turn % len(self.ways)]
        shape = _SHAPES[self._turn // len(self.ways) % len(_SHAPES)]
        return Reply(status, shape(text), {"X-Echo": re.sub(r"[^ -~]", "", text)[:4000]})


_SHAPES = (
    lambda text: {"message": text, "error": {"message": text, "status": text}, "errors": [{"message": text}]},
    lambda text: {"error": text, "error_description": text, "errors": [text], "detail": text, "title": text},
    lambda text: [{"message": text, "errorCode": text}],
    lambda text: text.encode(),
)
PERSON = {"id": "profile_id", "email": "email"}
MAPPINGS: dict[str, dict[str, str]] = {
    "meta_custom_audiences": {"EXTERN_ID": "profile_id", "EMAIL": "email"},
    "google_customer_match": PERSON,
}
SYNC_OPTIONS: dict[str, dict[str, Any]] = {
    "bigquery": {"table": "people"},
    "google_customer_match": {"audience_id": "7"},
    "hubspot": {"membership": "in_cdp", "removal": "membership"},
    "braze": {"membership": "in_cdp"},
    "mailchimp": {"list_id": "abc123", "tag": "cdp"},
    "meta_custom_audiences": {"audience_id": "7"},
    "mysql": {"table": "people"},
    "postgres": {"table": "people"},
    "salesforce": {"object": "Contact", "removal": "keep"},
    "segment": {"as": "identify"},
    "snowflake": {"table": "people"},
    "storage": {"file": "people", "format": "csv"},
    "storage_deltas": {"folder": "people"},
}


class Destinations:
    """Options of every type that takes secrets, in as many variants as it takes to give every one of them."""

    def __init__(self, canaries: Canaries, url: str, database: int) -> None:
        self.canaries, self.url, self.database = canaries, url, database

    def variants(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Types with options; what is no secret lets the destination reach the echo, and give up soon."""
        new, http = self.canaries.new, {"private_network": True, "timeout": 5}
        login = {"base_url": f"{self.url}/login", "token_url": f"{self.url}/token", **http}
        for kind, more in (
            ("bigquery", {"project": "shop-project", "dataset": "crm"}),
            ("google_customer_match", {"operating_account": "123-456-7890"}),
        ):
            yield kind, {**login, **more, "credentials": self._service_account(kind)}
            yield kind, {**login, **more, "access_token": new(f"{kind} access_token")}
            app = {"client_id": "app", "client_secret": new(f"{kind} client_secret")}
            yield kind, {**login, **more, **app, "refresh_token": new(f"{kind} refresh_token")}
        for kind, key in (("hubspot", "token"), ("braze", "api_key"), ("meta_custom_audiences", "access_token")):
            yield kind, {"base_url": f"{self.url}/{kind}", **http, key: new(f"{kind} {key}")}
        base = {"base_url": f"{self.url}/more", **http}
        yield "mailchimp", {**base, "api_key": new("mailchimp api_key") + "-us21"}
        yield "customerio", {**base, "site_id": "site", "api_key": new("customerio api_key")}
        regulations = {"regulation_url": f"{self.url}/r", "regulation_token": new("segment regulation_token")}
        yield "segment", {**base, "write_key": new("segment write_key"), **regulations}
        yield "salesforce", {**base, "access_token": new("salesforce access_token")}
        app = {name: new(f"salesforce {name}") for name in ("client_id", "client_secret", "refresh_token")}
        yield "salesforce", {**base, **app}
        yield "slack", {**base, "webhook_url": f"{self.url}/services/{new('slack webhook_url', plain=True)}"}
        yield "slack", {**base, "token": new("slack token"), "channel": "C1"}
        yield from self._snowflake(base)
        yield from self._webhooks(http)
        yield from self._databases()
        storage = {"key": "AKIAEXAMPLE", "secret": new("storage secret"), "endpoint_url": self.url}
        more = {"config_kwargs": {"retries": {"max_attempts": 0}, "connect_timeout": 2, "read_timeout": 2}}
        for kind in ("storage", "storage_deltas"):
            given = {**storage, "token": new(f"{kind} token"), **more}
            yield kind, {"url": "s3://bucket/folder", "storage_options": given, "private_network": True}

        yield "singer", {"command": ["false"], "config": {"nested": {"password": new("singer config")}}}

    def _service_account(self, kind: str) -> str:
        told = {"client_email": "robot@shop.example.org", "private_key": self.canaries.pem(f"{kind} credentials")}
        return json.dumps({**told, "private_key_id": self.canaries.new(f"{kind} key id"), "token_uri": f"{self.url}/t"})

    def _snowflake(self, base: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        where = {**base, "account": "shop-eu", "database": "shop", "schema": "crm", "warehouse": "load"}
        yield "snowflake", {**where, "token": self.canaries.new("snowflake token")}
        passphrase = self.canaries.new("snowflake private_key_passphrase")
        key = self.canaries.pem("snowflake private_key", passphrase)
        yield "snowflake", {**where, "user": "loader", "private_key": key, "private_key_passphrase": passphrase}

    def _webhooks(self, http: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        new = self.canaries.new
        secrets = {"headers": {"X-Key": new("webhook headers")}, "secret": new("webhook secret")}
        url = f"{self.url}/hooks/{new('webhook url', plain=True)}"
        yield "webhook", {"url": url, **http, **secrets, "bearer": new("webhook bearer")}
        query = f"{self.url}/in?token={quote(new('webhook url'), safe='')}"
        yield "webhook", {"url": query, **http, "user": "shop", "password": new("webhook password")}

    def _databases(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for kind, scheme in (("postgres", "postgresql"), ("mysql", "mysql")):
            for port in (1, self.database):
                password = quote(self.canaries.new(f"{kind} url"), safe="")
                yield kind, {"url": f"{scheme}://cdp:{password}@127.0.0.1:{port}/shop", "connect_timeout": 2}
