"""A million events of a hundred thousand people: seconds, memory, and how right it is. Run alone, on an idle machine."""

from __future__ import annotations

import resource
import sys
import time
from datetime import datetime
from pathlib import Path

import identity_world
import pytest

from cdp_core.engine import EngineSpec, open_engine
from cdp_core.identity.evaluate import evaluate
from cdp_core.identity.identifiers import see
from cdp_core.identity.resolve import resolve
from cdp_core.identity.spec import IdentitySpec

pytestmark = pytest.mark.benchmark
SPEC = IdentitySpec.model_validate(
    {
        "identifiers": {
            "user_id": {"limit": 1},
            "email": {"limit": 5},
            "phone": {"limit": 5},
            "contact_id": {"limit": 20},
            "email_sha256": {"limit": 5, "derive": {"from": "email"}},
            "anonymous_id": {"limit": 20},
        }
    }
)
BY_HAND = """
CREATE OR REPLACE TEMP TABLE by_hand AS
SELECT source, user_id, anonymous_id, json_extract_string(context, '$.externalIds') AS external,
       json_extract_string(traits, '$.email') AS email, json_extract_string(traits, '$.phone') AS phone,
       json_extract_string(properties, '$.email') AS property_email,
       json_extract_string(properties, '$.phone') AS property_phone,
       json_extract_string(properties, '$.contact_id') AS property_contact,
       min(timestamp) AS first_seen, max(timestamp) AS last_seen, count(*) AS events
FROM lake.events GROUP BY ALL
"""


def test_a_million_events_of_a_hundred_thousand_people(tmp_path: Path) -> None:
    world = identity_world.build(100_000, 1_000_000)
    engine = open_engine(tmp_path, EngineSpec())
    engine.ensure_tables()
    engine.append("events", engine.frame(world.events))
    events = engine.table("events")

    def run() -> object:
        return resolve(engine, events, SPEC, previous=None, merges=None, now=datetime(2026, 1, 1))

    seconds, found = _timed(run)
    by_hand, _ = _timed(lambda: engine.con.raw_sql(BY_HAND))
    tuples, _ = _timed(lambda: see(engine, events, SPEC))
    right = evaluate(engine, events, found.event_profiles, world.truth)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(
        f"\n{found.stats}\nresolve {seconds:.1f} s, peak {peak:.0f} MB; reading identifiers {tuples:.2f} s, "
        f"the grouping alone by hand in SQL {by_hand:.2f} s\n{right}\n"
    )
    assert right.precision >= 0.999
    assert seconds <= 8
    assert peak <= 3_000, "with the world's own frames; the resolution alone stays under 2 GB"


def _timed(work):  # type: ignore[no-untyped-def]
    started = time.perf_counter()
    done = work()
    return time.perf_counter() - started, done
