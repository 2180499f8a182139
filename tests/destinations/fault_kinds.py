"""What can go wrong on the way to a service, by what lies between: HTTP, or the line to a database."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cdp_core.testing.services.base import Fault

SHORT = 0.4


@dataclass(frozen=True)
class Faults:
    """`refused` take no row, `ambiguous` leave it open whether rows were taken: from a name to the fault and the call
    of a run that it meets, counted from the first with rows. `passing` are those that a run waits out, `asks` names a
    time, `away` is met by whoever calls during an outage. `no_answers` are answers of a service that says more than yes.
    """

    refused: dict[str, tuple[int, Fault]]
    ambiguous: dict[str, tuple[int, Fault]]
    passing: list[Fault]
    away: Fault
    asks: Fault | None = None
    no_answers: frozenset[str] = field(default_factory=frozenset)

    def chain(self, name: str, *, answers: bool) -> list[tuple[int, Fault]]:
        found: dict[str, tuple[int, Fault]] = getattr(self, name)
        return [fault for said, fault in found.items() if answers or said not in self.no_answers]


BUSY, ERROR, HANGS_UP = Fault("status", 429, {"Retry-After": "17"}), Fault("status", 500), Fault("reset")
TAKEN, HALF = Fault("reset_after"), Fault("half")

OVER_HTTP = Faults(
    refused={
        "too many calls": (2, BUSY),
        "server error": (1, ERROR),
        "hangs up": (1, HANGS_UP),
        "sends elsewhere": (1, Fault("redirect", headers={"Location": "http://127.0.0.1:9/"})),
        "says an error with 200": (2, Fault("status", 200)),
    },
    ambiguous={
        "takes and hangs up": (1, TAKEN),
        "takes and half answers": (2, HALF),
        "takes and answers with a page": (1, Fault("garbage")),
        "drips": (1, Fault("loris", seconds=0.05)),
        "never ends": (1, Fault("endless")),
    },
    passing=[BUSY, ERROR, HANGS_UP, TAKEN, HALF],
    away=Fault("status", 503, {"Retry-After": "900"}),
    asks=Fault("status", 429, {"Retry-After": "1234"}),
    no_answers=frozenset({"says an error with 200"}),
)
# Clients of buckets do not pass on for how long one is asked to wait.
TO_A_BUCKET = replace(
    OVER_HTTP,
    refused={**OVER_HTTP.refused, "too many calls": (2, Fault("status", 503))},
    away=Fault("status", 503),
    asks=None,
)
ON_A_LINE = Faults(
    refused={
        "dropped before": (1, HANGS_UP),
        "dropped in the middle": (2, Fault("middle")),
        "dropped at COMMIT": (1, Fault("before_end")),
    },
    ambiguous={
        "dropped behind COMMIT": (1, TAKEN),
        "dropped in the answer to COMMIT": (2, HALF),
        "never answers COMMIT": (1, Fault("silent")),
    },
    passing=[HANGS_UP, Fault("middle"), Fault("before_end"), TAKEN, HALF],
    away=HANGS_UP,
)
