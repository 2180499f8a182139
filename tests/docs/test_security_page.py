"""The self-assessment leaves no requirement out, and its evidence is there."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
# How many requirements of levels 1 and 2 each section of ASVS 5.0.0 has; they are numbered from 1 without a gap.
SECTIONS = {
    1: (2, 9, 11, 3, 2), 2: (3, 3, 4, 1), 3: (0, 2, 4, 6, 5, 0, 2), 4: (3, 1, 2, 4), 5: (1, 3, 2, 3),
    6: (3, 12, 4, 4, 5, 3, 0, 4), 7: (3, 4, 2, 5, 2, 2), 8: (2, 3, 1, 1), 9: (3, 4), 10: (2, 2, 4, 11, 5, 2, 3),
    11: (2, 3, 3, 4, 1, 1), 12: (3, 2, 4), 13: (1, 5, 2, 5), 14: (2, 4, 3), 15: (3, 3, 7), 16: (1, 5, 4, 3, 3),
    17: (1, 4, 2),
}  # fmt: skip
ROWS = re.findall(r"^\| ([\d.–]+) \| ([a-z.]+) \| (.+) \|$", (ROOT / "docs/security.md").read_text(), re.M)


def _expanded(text: str) -> list[str]:
    first, _, last = text.partition("–")
    section, number = first.rsplit(".", 1)
    end = (last or first).rsplit(".", 1)
    assert end[0] == section, text
    return [f"{section}.{n}" for n in range(int(number), int(end[1]) + 1)]


def test_every_requirement_of_levels_1_and_2_has_one_verdict() -> None:
    wanted = [
        f"{chapter}.{section}.{n}"
        for chapter, counts in SECTIONS.items()
        for section, count in enumerate(counts, 1)
        for n in range(1, count + 1)
    ]
    assert len(wanted) == 253
    assert Counter(i for text, _, _ in ROWS for i in _expanded(text)) == Counter(wanted)
    assert {verdict for _, verdict, _ in ROWS} == {"pass", "partly", "fail", "n.a."}


def test_the_evidence_is_there() -> None:
    for text, _, evidence in ROWS:
        for path in re.findall(r"`([\w./-]+/?[\w-]+\.(?:py|md|lock))`", evidence):
            found = [ROOT / path, ROOT / "cdp_core" / path]
            if path != "destinations.py":
                assert any(place.exists() for place in found), f"{text}: {path}"
