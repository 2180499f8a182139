"""One client of Python sends each kind of call once: python send.py CLIENT URL KEY, with the client on PYTHONPATH."""

import sys
from datetime import UTC, datetime

NAME, URL, KEY = sys.argv[1:]
USER, ANONYMOUS = f"user-{NAME}", f"anon-{NAME}"
AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


def send(client, **more):
    client.identify(USER, {"email": f"{NAME}@example.org", "plan": "gold"}, timestamp=AT, **more)
    client.track(USER, "Order Completed", {"total": 9.5, "products": [{"sku": "a"}]}, timestamp=AT, **more)
    client.page(USER, None, "Home", {"path": "/"}, timestamp=AT, **more)
    client.group(USER, f"group-{NAME}", {"name": "Acme"}, timestamp=AT, **more)
    client.alias(ANONYMOUS, USER, timestamp=AT)
    client.flush()
    client.shutdown() if hasattr(client, "shutdown") else client.join()


def fail(error, items):
    raise SystemExit(f"{type(error).__name__}: {error}")


if NAME == "segment-python":
    from segment.analytics.client import Client

    send(Client(KEY, host=URL, gzip=True, on_error=fail))
elif NAME == "rudder-python":
    from rudderstack.analytics.client import Client

    send(Client(KEY, host=URL, on_error=fail))
elif NAME == "segment-python-old":
    from analytics.client import Client

    send(Client(KEY, host=URL, on_error=fail))
else:
    raise SystemExit(f"no client {NAME}")
