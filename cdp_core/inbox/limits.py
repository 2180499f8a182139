"""How large what comes over HTTP may be. Rule: Segment spec, HTTP API, "Max request size"."""

MAX_EVENT_BYTES = 32 << 10
MAX_BATCH_EVENTS = 2500
MAX_BODY_BYTES = 500 << 10
