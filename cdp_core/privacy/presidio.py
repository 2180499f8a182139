"""Microsoft Presidio beside the own detectors, where it is installed (the extra `pii`) with a spaCy model.

It never fetches a model: what is not on this machine is said, and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cdp_core.privacy.judge import ORDER, Found, percent

LOOKED_AT = 100
"""Different values of a field that are read by a language model: it is a thousand times slower than a pattern."""
_SURE, _LEAST = 0.6, 0.5
_KINDS = {"PERSON": ("name", "names of people"), "LOCATION": ("place", "places"), "NRP": ("nrp", "creeds or nations")}
"""What own detectors cannot know; the others stay with them."""


@dataclass(frozen=True)
class Helper:
    """`note` says why it does nothing, if it does not."""

    engine: Any = None
    note: str = ""

    def add(self, found: list[Found], values: Sequence[str]) -> list[Found]:
        """The reasons, and what Presidio adds where none was found."""
        looked_at = [text for text in values if any(map(str.isalpha, text))][:LOOKED_AT]
        if self.engine is None or found or not looked_at:
            return found
        counts = dict.fromkeys(_KINDS, 0)
        for text in looked_at:
            said = self.engine.analyze(text=text, language="en", entities=list(_KINDS), score_threshold=_SURE)
            for kind in {each.entity_type for each in said}:
                counts[kind] += 1
        kind = max(counts, key=lambda name: counts[name])
        share = counts[kind] / len(looked_at)
        if share < _LEAST:
            return found
        name, many = _KINDS[kind]
        why = f"{percent(share)} of the values hold {many}, says Presidio"
        return sorted(
            [*found, Found(kind=name, class_="yellow", by="value", why=why, share=share)],
            key=lambda each: ORDER[each.class_],
        )


def helper() -> Helper | None:
    """None where Presidio is not installed."""
    try:
        import spacy.util
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NlpEngineProvider
    except ImportError:
        return None
    models = sorted(name for name in spacy.util.get_installed_models() if name.startswith("en_"))
    if not models:
        return Helper(note="Presidio has no English spaCy model on this machine: only the own detectors were used")
    named = [{"lang_code": "en", "model_name": models[0]}]
    made = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": named}).create_engine()
    return Helper(AnalyzerEngine(nlp_engine=made, supported_languages=["en"]))
