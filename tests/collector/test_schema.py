"""Every address keeps what /openapi.json promises, whatever is sent to it."""

from __future__ import annotations

import os
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS
from serving import Collector

from cdp_core import __version__
from cdp_core.collector.openapi import description
from cdp_core.collector.routes import EVENT_PATHS, SERVER_PATHS

schema = schemathesis.openapi.from_dict(description(__version__))


def test_the_description_is_served(collector: Collector) -> None:
    assert collector.client.get("/openapi.json").json() == description(__version__)


@schema.parametrize()
@settings(
    max_examples=int(os.environ.get("CDP_EXAMPLES", "12")), deadline=None, suppress_health_check=list(HealthCheck)
)
def test_addresses_keep_their_promise(case: Any, collector: Collector) -> None:
    """A right key beside a wrong one is enough, which the check of keys takes for none; see the test below."""
    response = case.call(base_url=collector.url, auth=(collector.key, ""))
    # What is wrong with an event is told in the answer of 200: a 400 would cost its whole batch.
    excluded = ["ignored_auth", "negative_data_rejection"]
    if "pixel" in case.path:
        # Which texts are JSON in Base64, a schema cannot say.
        excluded.append("positive_data_acceptance")
    case.validate_response(response, excluded_checks=CHECKS.get_by_names(excluded))


@pytest.mark.parametrize("path", [*EVENT_PATHS, *SERVER_PATHS, "/v1/pixel/track"])
@pytest.mark.parametrize("key", [None, "", "wrong"])
def test_every_address_asks_for_a_key(collector: Collector, path: str, key: str | None) -> None:
    auth = None if key is None else (key, "")
    body = b'{"batch":[]}' if (EVENT_PATHS | SERVER_PATHS).get(path) is None else b"{}"
    method = "GET" if "pixel" in path else "POST"
    with httpx.Client(base_url=collector.url, trust_env=False) as client:
        answer = client.request(
            method, path, auth=auth, content=None if method == "GET" else body, params={"data": "e30"}
        )
    assert answer.status_code == 401
