"""Made-up worlds of a sync: modes, faults, changes, consent and dismissals against a plain model of what must be there.

Every version of a row is another content, so that each may take effect once and no more.
"""

from __future__ import annotations

import random
from collections import Counter

import polars as pl
import pytest
from syncing import NOW, accounted

from cdp_core.destinations import deadletters
from cdp_core.destinations.base import Batch, BatchRefused, SendResult, Unavailable
from cdp_core.destinations.gate import Gate
from cdp_core.destinations.limits import LimitsSpec
from cdp_core.destinations.plan import plan_sync
from cdp_core.destinations.spec import SyncSpec
from cdp_core.destinations.sync import SyncResult, run_sync
from cdp_core.engine import Engine
from cdp_core.errors import DestinationError
from cdp_core.testing.clock import FakeClock
from cdp_core.testing.flaky import FlakyDestination

KEYS = [f"p{i}" for i in range(24)]
MODES = ("mirror", "upsert", "insert", "full", "remove")
SHORT, LONG = 2, 60
Content = tuple[str, int]


class Moody(FlakyDestination):
    """Calls go wrong with probability `share`: before they take effect, after it, whole or row by row. Rows named
    poison are refused, in a batch of others without a word on which. A delivery that was taken is not taken again.
    """

    def __init__(self, chance: random.Random) -> None:
        super().__init__(batch_rows=5)
        self.chance, self.share = chance, 0.0
        self.sent: list[tuple[str, Content]] = []
        self.effects: Counter[tuple[str, Content]] = Counter()
        self.taken: set[str] = set()

    def send(self, batch: Batch) -> SendResult:
        rows = [(str(row["id"]), (row["name"], row["version"])) for row in batch.rows.to_dicts()]
        assert batch.ids is not None
        self.sent += rows
        mood = self._mood()
        poison = [key for key, (name, _) in rows if name == "poison"]
        if poison and len(rows) > 1:
            raise BatchRefused("one of them is wrong")
        later = {key for key, _ in rows if mood == "later" and self.chance.random() < 0.5}
        for (key, content), name in zip(rows, batch.ids.to_list(), strict=True):
            if key in poison or key in later or name in self.taken:
                continue
            self.taken.add(name)
            self.effects[key, content] += 1
            self.state[key] = {"content": content}
        self._lost(mood)
        return SendResult(dict.fromkeys(poison, "wrong"), dict.fromkeys(later, "locked"))

    def remove(self, keys: pl.Series) -> SendResult:
        mood = self._mood()
        for key in keys.to_list():
            self.state.pop(key, None)
        self._lost(mood)
        return SendResult()

    def _mood(self) -> str:
        if self.chance.random() >= self.share:
            return "well"
        mood = self.chance.choice(["away", "lost", "later", "wrong"])
        if mood == "away":
            raise Unavailable("away", retry_after=self.chance.choice([None, 30.0]))
        if mood == "wrong" and self.chance.random() < 0.3:
            raise DestinationError("the password is wrong")
        return mood

    def _lost(self, mood: str) -> None:
        if mood == "lost":
            raise Unavailable("the answer was lost")


class World:
    """One sync, its people, and who of them has granted consent."""

    def __init__(self, engine: Engine, mode: str, seed: int) -> None:
        self.engine, self.name, self.chance = engine, f"{mode}{seed}", random.Random(f"{mode}{seed}")
        self.destination = Moody(self.chance)
        mapping = {"id": "profile_id", "name": "name", "version": "version"}
        self.spec = SyncSpec.model_validate(
            {"model": "profiles", "destination": "d", "key": "id", "mapping": mapping, "mode": mode}
        )
        self.model: dict[str, Content] = {}
        self.granted: set[str] = set(KEYS)
        self.allowed: dict[str, set[Content]] = {key: set() for key in KEYS}
        self.versions = self.runs = 0
        if mode == "remove":
            self.destination.state = {key: {"content": ("there", 0)} for key in KEYS}
        self.change(16)

    def change(self, rows: int) -> None:
        for key in self.chance.sample(KEYS, rows):
            what = self.chance.random()
            if what < 0.25 and key in self.model:
                del self.model[key]
                continue
            if what > 0.8:
                self.granted ^= {key}
            self.versions += 1
            self.model[key] = ("poison" if self.chance.random() < 0.12 else "well", self.versions)

    def run(self, share: float) -> SyncResult | None:
        rows = [{"profile_id": k, "name": n, "version": v} for k, (n, v) in self.model.items()]
        shape = {"profile_id": pl.String, "name": pl.String, "version": pl.Int64}
        said = pl.DataFrame({"profile_id": sorted(self.granted)}).with_columns(
            category=pl.lit("ads"), state=pl.lit("granted")
        )
        plan = plan_sync(
            self.engine,
            self.name,
            self.spec,
            model=self.engine.frame(pl.DataFrame(rows, schema=shape)),
            ledger=self.engine.table("sync_ledger"),
            destination=self.destination,
            gate=Gate(categories=("ads",), consents=self.engine.frame(said)),
        )
        self.runs += 1
        for key in self.granted & set(self.model):
            self.allowed[key].add(self.model[key])
        self.destination.share, run_id = share, f"r{self.runs}"
        limits = LimitsSpec(attempts=self.chance.choice([1, 3, 8]))
        try:
            return run_sync(
                self.engine, self.name, self.spec, self.destination, plan, run_id=run_id, now=NOW, confirm=True,
                limits=limits if share else LimitsSpec(), clock=FakeClock(),
            )  # fmt: skip
        except DestinationError:
            return None
        finally:
            accounted(self.engine, run_id, plan)

    def check(self) -> None:
        """Whatever happened: nothing was sent that might not be, and nothing took effect twice."""
        assert all(content in self.allowed[key] for key, content in self.destination.sent), "sent without consent"
        once = self.spec.mode != "full"
        assert not once or set(self.destination.effects.values()) <= {1}, "a delivery took effect twice"

    def check_there(self) -> None:
        """After a run without faults, the destination is as the model wants it."""
        there: dict[str, Content] = {key: row["content"] for key, row in self.destination.state.items()}
        if self.spec.mode == "remove":
            assert not set(there) & set(self.model)
            return
        for key, content in there.items():
            assert content in self.allowed[key]
            assert content[0] != "poison"
        wanted = {k: c for k, c in self.model.items() if k in self.granted and c[0] != "poison"}
        if self.spec.mode == "insert":
            assert set(wanted) <= set(there)
        else:
            assert {key: there.get(key) for key in wanted} == wanted
        if self.spec.mode == "mirror":
            assert set(there) <= self.granted & set(self.model)


def _lived(engine: Engine, mode: str, seed: int) -> None:
    world = World(engine, mode, seed)
    for _ in range(3):
        world.run(world.chance.choice([0.1, 0.4, 0.8]))
        world.check()
        if mode != "remove" and world.chance.random() < 0.5:
            deadletters.dismiss(engine, world.name, None)
        world.change(8)
    found = world.run(0.0)
    assert found is not None
    assert found.pending == 0
    world.check()
    world.check_there()


@pytest.mark.parametrize("mode", MODES)
def test_worlds(lake: Engine, mode: str) -> None:
    for seed in range(SHORT):
        _lived(lake, mode, seed)


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("mode", MODES)
def test_many_worlds(lake: Engine, mode: str) -> None:
    for seed in range(SHORT, LONG):
        _lived(lake, mode, seed)
