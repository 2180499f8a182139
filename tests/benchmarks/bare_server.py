"""The limit for a collector on this stack: uvicorn with httptools and uvloop that parses a body and throws it away."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import uvicorn

decode = msgspec.json.Decoder().decode
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"16")]


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    message = await receive()
    data = message["body"]
    while message.get("more_body"):
        message = await receive()
        data += message["body"]
    decode(data)
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b'{"success":true}'})


if __name__ == "__main__":
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        access_log=False,
        log_config=None,
        lifespan="off",
    )
