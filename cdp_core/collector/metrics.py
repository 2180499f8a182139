"""What the collector counts, in Prometheus' format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one collector. Events are counted when they are durable; requests by what they were answered."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.events = Counter(
            "cdp_collector_events", "Events by what the answer said of them.", ("source", "outcome"),
            registry=self.registry,
        )  # fmt: skip
        self.requests = Counter(
            "cdp_collector_requests", "Requests by HTTP status.", ("status",), registry=self.registry
        )
        self.bytes = Counter("cdp_collector_received_bytes", "Bytes of accepted bodies.", registry=self.registry)
        self.pending = Gauge("cdp_collector_inbox_bytes", "Bytes of the inbox's files.", registry=self.registry)
        self.commits = Histogram(
            "cdp_collector_commit_seconds", "Seconds of a commit to the inbox.", registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
        )  # fmt: skip
        self.drained = Gauge("cdp_collector_last_drain_seconds", "Unix time of the last drain.", registry=self.registry)

    def text(self) -> bytes:
        return generate_latest(self.registry)
