"""What stands in a call of a webhook: a template filled with rows, and a signature over it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from typing import Any

from pydantic import SecretStr

_PLACES = re.compile(r'"\$(rows|row|ids|id|key|operation|sync|field\.[^"\\]+)"')


def places(template: Any) -> set[str]:
    """Names that a template asks for.

    >>> sorted(places({"who": "$field.mail", "op": "$operation", "text": "costs $row"}))
    ['field.mail', 'operation']
    """
    return {found[1] for found in _PLACES.finditer(json.dumps(template, ensure_ascii=False))}


def signed(secret: SecretStr, name: str, content: bytes, now: int | None = None) -> dict[str, str]:
    """Headers of the Standard Webhooks specification. A secret that starts with whsec_ is base64 behind it.

    >>> signed(SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "msg_p5jXN8AQM9LWM0D4loKWxJek",
    ...        b'{"test": 2432232314}', 1614265330)["webhook-signature"]
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    text = secret.get_secret_value()
    key = base64.b64decode(text.removeprefix("whsec_")) if text.startswith("whsec_") else text.encode()
    at = str(int(time.time()) if now is None else now)
    digest = hmac.new(key, f"{name}.{at}.".encode() + content, hashlib.sha256).digest()
    return {
        "webhook-id": name,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def filled(template: Any, values: dict[str, str]) -> str:
    """A template as JSON text; `values` are JSON texts. `$field.NAME` is a field of `$row`.

    >>> filled({"to": "$field.mail", "n": [1, "$key"]}, {"row": '{"mail": "a@x.org"}', "key": '"k1"'})
    '{"to": "a@x.org", "n": [1, "k1"]}'
    """
    fields: dict[str, Any] = {}

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if not name.startswith("field."):
            return values.get(name, "null")
        if not fields:
            fields.update(json.loads(values.get("row", "{}")))
        return json.dumps(fields.get(name.removeprefix("field.")), ensure_ascii=False)

    return _PLACES.sub(value, json.dumps(template, ensure_ascii=False))
