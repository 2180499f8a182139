"""The message of a report. Rule: Slack, "Formatting message text" (escaping) and "Block Kit" (limits)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TITLE = 150
SECTION = 3_000
CELL = 200
_WORDS = (("add", "Added"), ("change", "Changed"), ("remove", "Removed"))


def message(
    title: str, *, size: int, counts: Mapping[str, int], link: str | None, sample: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """`text` (for notifications) and `blocks`. Counts that nobody gave are left out.

    >>> message("VIP <1>", size=3, counts={"add": 2}, link=None, sample=[])["text"]
    'VIP &lt;1&gt;: 3 in all, 2 added'
    """
    known = [(word, counts[name]) for name, word in _WORDS if name in counts]
    told = [f"{size:,} in all", *(f"{count:,} {word.lower()}" for word, count in known)]
    fields = [("In all", size), *known]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title[:TITLE], "emoji": False}},
        {"type": "section", "fields": [_text(f"*{word}*\n{count:,}") for word, count in fields]},
    ]
    if sample:
        blocks.append({"type": "section", "text": _text(_lines(sample))})
    if link:
        blocks.append({"type": "context", "elements": [_text(f"<{_address(link)}|Open>")]})
    text = f"{escaped(title[:TITLE])}: {', '.join(told)}"
    return {"text": text, "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def escaped(text: str) -> str:
    """Text as it is: no link, no mention, no channel-wide call.

    >>> escaped("<!channel> Ann & Bo")
    '&lt;!channel&gt; Ann &amp; Bo'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _lines(sample: Sequence[Mapping[str, Any]]) -> str:
    lines, size = [], 0
    for row in sample:
        cells = ", ".join(f"{escaped(name)}: {_cell(value)}" for name, value in row.items())
        line = f"• {cells}"
        size += len(line) + 1
        if size > SECTION:
            break
        lines.append(line)
    return "\n".join(lines) or "•"


def _cell(value: Any) -> str:
    """One line, cut; formatting signs are taken for what they are by a zero-width space before them."""
    text = "none" if value is None else " ".join(str(value).split())
    text = text if len(text) <= CELL else f"{text[: CELL - 1]}…"
    for sign in "*_~`":
        text = text.replace(sign, f"\u200b{sign}")
    return escaped(text)


def _text(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _address(link: str) -> str:
    """In angle brackets, where these three would end it."""
    return escaped(link.replace("|", "%7C").replace("<", "%3C").replace(">", "%3E"))
