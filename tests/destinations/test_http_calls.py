"""What a call over HTTP comes to: an answer, or an error that says what it means for the rows."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cdp_core.alerts.send import Message, send
from cdp_core.alerts.spec import ToSpec
from cdp_core.destinations.base import BatchRefused, Unavailable
from cdp_core.destinations.http import Http, wanted_wait
from cdp_core.destinations.oauth import OAuth
from cdp_core.errors import DestinationError
from cdp_core.network import Transport, public
from cdp_core.testing.services.base import Fault, Reply, Request, StandIn


class Echo(StandIn):
    def handle(self, request: Request) -> Reply:
        if request.path == "/token":
            self.commit("token", len(self.effects))
            return Reply(200, {"access_token": f"t{len(self.calls)}", "expires_in": 3600})
        if request.path == "/guarded":
            fresh = request.headers.get("authorization") == f"Bearer {self.state.get('valid', 't1')}"
            return Reply(200 if fresh else 401)
        return Reply(200, {"took": request.body.decode()})


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as service:
        yield service


@pytest.fixture
def http(echo: Echo) -> Iterator[Http]:
    caller = Http(echo.url, where="test", timeout=1.0, private=True)
    yield caller
    caller.close()


def test_an_answer(http: Http, echo: Echo) -> None:
    answer = http.call("POST", "/x", content=b'{"a":1}', params={"q": "1"})
    assert (answer.status, answer.json()) == (200, {"took": '{"a":1}'})
    assert echo.calls[0].query == {"q": "1"}
    assert echo.calls[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        (Fault("status", 429, {"Retry-After": "7"}), Unavailable, "answered 429"),
        (Fault("status", 503), Unavailable, "answered 503"),
        (Fault("status", 408), Unavailable, "answered 408"),
        (Fault("status", 400), BatchRefused, "answered 400"),
        (Fault("status", 413), BatchRefused, "answered 413"),
        (Fault("status", 401), DestinationError, "has expired"),
        (Fault("status", 404), DestinationError, "answered 404"),
        (Fault("redirect", headers={"Location": "http://127.0.0.1:1/"}), DestinationError, "elsewhere"),
        (Fault("reset"), Unavailable, "lost"),
        (Fault("reset_after"), Unavailable, "lost"),
        (Fault("half"), Unavailable, "lost"),
        (Fault("slow", seconds=3), Unavailable, "within 1 s"),
        (Fault("loris", seconds=0.05), Unavailable, "within 1 s"),
    ],
    ids=lambda v: f"{v.kind}-{v.status}" if isinstance(v, Fault) else None,
)
def test_what_goes_wrong(http: Http, echo: Echo, fault: Fault, error: type[Exception], text: str) -> None:
    echo.faults.append(fault)
    started = time.monotonic()
    with pytest.raises(error, match=text) as raised:
        http.call("POST", "/x", content=b"{}")
    assert time.monotonic() - started < 2, "a call ends with its deadline, whatever the other side does"
    assert type(raised.value) is error
    if fault.headers.get("Retry-After"):
        assert raised.value.retry_after == 7.0  # type: ignore[attr-defined]
    assert http.call("POST", "/x", content=b"{}").status == 200, "the next call goes on"


def test_an_endless_answer_is_cut(http: Http, echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdp_core.destinations.http.ANSWER_BYTES", 1_000_000)
    echo.faults.append(Fault("endless"))
    with pytest.raises(Unavailable, match="longer than"):
        http.call("GET", "/x")


def test_nobody_there_and_no_such_name() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unavailable, match="failed or was lost"):
        Http(f"http://127.0.0.1:{port}", where="t", private=True).call("GET", "/")
    with pytest.raises(Unavailable, match="name is unknown"):
        Http("http://no-such-host.invalid", where="t").call("GET", "/")


HOSTILE = [
    "http://127.0.0.1",
    "http://127.1",
    "http://0.0.0.0",
    "http://0",
    "http://[::1]",
    "http://[::]",
    "http://localhost",
    "http://2130706433",
    "http://0x7f000001",
    "http://017700000001",
    "http://0x7f.1",
    "http://10.0.0.1",
    "http://10.255.255.255",
    "http://172.16.0.1",
    "http://172.31.255.255",
    "http://192.168.0.1",
    "http://192.168.255.255",
    "http://169.254.169.254",
    "http://169.254.169.254/latest/meta-data",
    "http://[fd00:ec2::254]",
    "http://100.64.0.1",
    "http://198.18.0.1",
    "http://192.0.0.1",
    "http://192.0.2.1",
    "http://198.51.100.1",
    "http://203.0.113.1",
    "http://224.0.0.1",
    "http://240.0.0.1",
    "http://255.255.255.255",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:10.0.0.1]",
    "http://[::ffff:169.254.169.254]",
    "http://[fe80::1]",
    "http://[fc00::1]",
    "http://[ff02::1]",
    "http://[64:ff9b::7f00:1]",
    "http://[2002:7f00:1::]",
    "http://[2001:db8::1]",
    "http://[::127.0.0.1]",
    "http://127.0.0.1.",
    "http://localhost.",
    "http://LOCALHOST",
    "http://0177.1",
    "http://127.0.0.1.:80",
    "http://[fe80::1%25lo]",
    "http://[::ffff:7f00:1]",
    "http://[64:ff9b::a9fe:a9fe]",
    "http://[2001:0:7f00:1::80ff:fffe]",
    "http://127.0.0.1。",
    "http://127。0。0。1",
    "https://127.0.0.1",
    "http://public.example#@127.0.0.1",
]
NAMES = {
    "127.0.0.1.nip.example": ["127.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "both.example": ["93.184.216.34", "10.0.0.1"],
    "six.example": ["::1"],
    "mapped.example": ["::ffff:192.168.1.1"],
    "none.example": [],
}


@pytest.mark.parametrize("url", HOSTILE)
def test_private_addresses_are_refused(url: str) -> None:
    with pytest.raises(DestinationError) as raised:
        Http(url, where="t", timeout=2).call("GET", "/")
    assert "private network" in str(raised.value) or "name is unknown" in str(raised.value)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://x", "ftp://x", "http://", "http://u:p@x", "http://a b", ""]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"https://|password"):
        Http(url, where="t")


def test_a_name_is_looked_up_once_and_only_what_was_judged_is_connected_to(echo: Echo) -> None:
    """DNS rebinding: public when it is judged, private when it is connected to."""
    port = int(echo.url.rpartition(":")[2])
    told = iter([["93.184.216.34"], ["127.0.0.1"]])
    client = httpx.Client(transport=Transport(look_up=lambda *_: next(told)), timeout=0.3)
    with pytest.raises(httpx.HTTPError):
        client.get(f"http://rebinding.example:{port}/")
    assert not echo.calls
    with pytest.raises(httpx.ConnectError, match="private"):
        client.get(f"http://rebinding.example:{port}/")
    mixed = httpx.Client(transport=Transport(look_up=lambda *_: ["93.184.216.34", "127.0.0.1"]), timeout=0.3)
    with pytest.raises(httpx.ConnectError, match="private"):
        mixed.get(f"http://rebinding.example:{port}/")


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_to_private_addresses(name: str) -> None:
    client = httpx.Client(transport=Transport(look_up=lambda *_: NAMES[name]), timeout=1)
    with pytest.raises(httpx.ConnectError, match=r"private|no address"):
        client.get(f"http://{name}/")


def test_nothing_is_connected_to(echo: Echo) -> None:
    """Ways of writing this machine's address reach a server there when that is allowed, and not otherwise."""
    port = echo.url.rpartition(":")[2]
    ways = [u for u in HOSTILE if u.startswith("http:") and ("127" in u or "localhost" in u or "0x7f" in u)]
    reached = 0
    for way in ways:
        url = f"{way.removesuffix(':80')}:{port}" if "#" not in way else way
        before = len(echo.calls)
        with contextlib.suppress(DestinationError):
            Http(url, where="t", timeout=2).call("GET", "/")
        assert len(echo.calls) == before, way
        with contextlib.suppress(DestinationError):
            Http(url, where="t", timeout=2, private=True).call("GET", "/")
        reached += len(echo.calls) > before
    assert reached >= 5, "the control: these addresses are this machine's"


def test_alerts_go_where_destinations_may(echo: Echo) -> None:
    for private in (False, True):
        to = ToSpec(webhook=f"{echo.url}/hook", private_network=private)
        with contextlib.suppress(DestinationError) if private else pytest.raises(DestinationError, match="private"):
            send(to, Message(workspace="w", test=True))
        assert bool(echo.calls) == private


def test_public_addresses() -> None:
    assert all(map(public, ["1.1.1.1", "93.184.216.34", "2606:4700::1111"]))


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "99999"}, 3600.0),
        ({"retry-after": "soon"}, None),
        ({"x-ratelimit-reset": "2000000010"}, 10.0),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], wait: float | None) -> None:
    assert wanted_wait(headers, ("retry-after", "x-ratelimit-reset"), 2_000_000_000.0) == wait


def test_a_token_is_fetched_once_and_renewed_when_it_is_refused(echo: Echo) -> None:
    auth = OAuth(Http(echo.url, where="t", private=True), "/token", {"grant_type": "client_credentials"})
    http = Http(echo.url, where="t", auth=auth, private=True)
    for _ in range(3):
        assert http.call("GET", "/guarded").status == 200
    paths = [call.path for call in echo.calls]
    assert paths == ["/token", "/guarded", "/guarded", "/guarded"]
    echo.state["valid"] = "t6"
    assert http.call("GET", "/guarded").status == 200
    echo.state["valid"] = "never"
    with pytest.raises(DestinationError, match="has expired"):
        http.call("GET", "/guarded")


def test_no_token_says_so_without_the_secret(echo: Echo) -> None:
    echo.faults.append(Fault("status", 400, path="/token"))
    form: dict[str, Any] = {"grant_type": "refresh_token", "client_secret": "s3cret"}
    http = Http(
        echo.url, where="crm", auth=OAuth(Http(echo.url, where="crm", private=True), "/token", form), private=True
    )
    with pytest.raises(DestinationError, match="no token was given") as raised:
        http.call("GET", "/guarded")
    assert type(raised.value) is DestinationError
    assert "s3cret" not in str(raised.value)
