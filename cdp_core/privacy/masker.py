"""Masks whatever a workspace answers, by what its cdp.yaml says of the fields and by what their names say.

A field that was decided to be red is hidden, a yellow one masked, a green one shown. A column that is made of a
personal one is as personal, whatever it is called.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from cdp_core.privacy import lineage
from cdp_core.privacy.masking import MASKS, hidden, kind_or_plain, mask_emails, mask_text
from cdp_core.privacy.names import RED, words

if TYPE_CHECKING:
    import polars as pl

    from cdp_core.privacy.spec import Class

HIDDEN, OPEN = "text", "open"
_STRICTNESS = ("green", "yellow", "red")
_SUSPECT = r"@|\d[\d\s().\-]{7,}\d|^\s*[\[{]|:"
"""What a text must have for anything in it to be masked."""
_TYPES = ("type", "trait", "kind")
_FIELD = "field"


def strictest(fields: Mapping[str, Class]) -> dict[str, Class]:
    """The class of each name, from that of each field `SOURCE.PLACE`.

    >>> strictest({"crm.traits.teamName": "green", "web.traits.team_name": "red"})
    {'team_name': 'red'}
    """
    found: dict[str, Class] = {}
    for place, class_ in fields.items():
        name = words(place.rpartition(".")[2])
        found[name] = max(found.get(name, class_), class_, key=_STRICTNESS.index)
    return found


class Masker:
    """`classes` maps names to what was decided of them, `aliases` names to the name of what is in them (a field of a
    sync to its column, a trait to the property that it comes from); `types` are types of identifiers.

    >>> Masker(classes={"team": "red"}).value({"team": "Leeds", "email": "ann@example.org", "plan": "pro"})
    {'team': '•••••', 'email': 'a••@e••••••.org', 'plan': 'pro'}
    """

    def __init__(
        self,
        *,
        classes: Mapping[str, Class] | None = None,
        aliases: Mapping[str, str] | None = None,
        types: Collection[str] = (),
    ) -> None:
        self._classes = classes or {}
        self._aliases = aliases or {}
        self._types = frozenset(types)

    def kind(self, name: str) -> str | None:
        """What sort of data a name stands for: one of masking's, `open` for what may be seen, None for any text."""
        class_ = self._classes.get(words(name))
        own = kind_or_plain(name)
        if class_ == "green":
            return OPEN
        if class_ == "red" or (class_ is None and words(name) in RED):
            return HIDDEN
        if own in (None, "plain") and (alias := self._aliases.get(name)) not in (None, name):
            found = self.kind(str(alias))
            own = own if found in (None, OPEN) else found
        return HIDDEN if class_ == "yellow" and own in (None, "plain") else own

    def personal(self, name: str) -> bool:
        return self.kind(name) not in (None, "plain", OPEN)

    def value(self, value: Any, name: str = "", within: str | None = None) -> Any:
        """Anything, of the same shape. `within` is the kind of what it lies in, where its own name says nothing."""
        import polars as pl

        if isinstance(value, pl.DataFrame):
            return self.frame(value)
        if isinstance(value, Mapping):
            return self._mapping(value, self._inner(name, within))
        if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
            return self._sequence(value, name, within)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._object(value)
        if hasattr(value, "unbind"):
            return value.unbind()
        if type(value).__module__.startswith("networkx"):
            return self._graph(value)
        return self._scalar(value, name, within)

    def frame(self, frame: pl.DataFrame, names: Mapping[str, str] | None = None) -> pl.DataFrame:
        """A frame, column by column; `names` says what is in one that is called otherwise."""
        import polars as pl

        masked = []
        for column in frame.columns:
            name = (names or {}).get(column, column)
            kinds = self._kinds_column(column, frame.columns)
            if name == lineage.OPEN:
                masked.append(frame[column])
                continue
            if kinds is not None and (frame[column].dtype == pl.String or frame[column].dtype.is_nested()):
                masked.append(self._pairs(frame, kinds, column))
            elif names is not None and name.endswith("value") and frame[column].dtype == pl.String:
                masked.append(self._series(frame[column], name, HIDDEN).alias(column))
            else:
                masked.append(self._series(frame[column], name).alias(column))
        return pl.DataFrame(masked) if masked else frame

    def _series(self, series: pl.Series, name: str, kind: str | None = None) -> pl.Series:
        import polars as pl

        within, kind = kind, kind or self.kind(name)
        if kind == OPEN or (kind in (None, "plain") and not series.dtype.is_nested() and series.dtype != pl.String):
            return series
        if series.dtype.is_nested():
            shown = [self.value(each, name) for each in series.to_list()]
            return pl.Series(series.name, shown, dtype=series.dtype if kind in (None, "plain") else None, strict=False)
        texts = series.cast(pl.String)
        distinct = texts.unique().drop_nulls()
        if kind in (None, "plain"):
            distinct = distinct.filter(distinct.str.contains(_SUSPECT))
        shown = [self._scalar(each, name, within) for each in distinct.to_list()]
        return texts.replace(distinct, pl.Series(shown, dtype=pl.String))

    def _kinds_column(self, column: str, columns: Collection[str]) -> str | None:
        """The column that says of what type the values of this one are."""
        if not column.endswith(("value", "values")):
            return None
        prefix = column.removesuffix("s").removesuffix("value")
        return next((prefix + each for each in (_FIELD, *_TYPES) if prefix + each in columns), None)

    def _pairs(self, frame: pl.DataFrame, kinds: str, column: str) -> pl.Series:
        import polars as pl

        shown = frame[column]
        for kind in frame[kinds].unique().drop_nulls().to_list():
            masked = self._series(shown, str(kind).rpartition(".")[2])
            shown = pl.select(pl.when(frame[kinds] == kind).then(masked).otherwise(shown)).to_series()
        return shown.alias(column)

    def _mapping(self, value: Mapping[Any, Any], within: str | None) -> dict[Any, Any]:
        typed = next((value[each] for each in _TYPES if isinstance(value.get(each), str)), None)
        return {
            key: self.value(each, typed if key == "value" and typed else str(key), within)
            for key, each in value.items()
        }

    def _sequence(self, value: Any, name: str, within: str | None) -> Any:
        if len(value) == 2 and all(isinstance(part, str) for part in value) and value[0] in self._types:
            shown = [value[0], self._scalar(value[1], value[0], None)]
        else:
            shown = [self.value(each, name, within) for each in value]
        return tuple(shown) if isinstance(value, tuple) else shown

    def _object(self, value: Any) -> Any:
        """A dataclass. What it asks the engine later, such as a timeline, is masked as well."""
        typed = next(
            (getattr(value, each) for each in ("name", *_TYPES) if isinstance(getattr(value, each, None), str)), ""
        )
        changed: dict[str, Any] = {}
        for each in dataclasses.fields(value):
            if not each.init:
                continue
            held = getattr(value, each.name)
            if typed and each.name == "name" and hasattr(value, "value"):
                # What the value is called, and not what somebody is.
                changed[each.name] = held
            elif each.name == "_engine":
                changed[each.name] = MaskedEngine(held, self)
            elif typed and each.name == "others":
                changed[each.name] = [
                    dataclasses.replace(one, value=self._scalar(one.value, typed, None)) for one in held
                ]
            else:
                changed[each.name] = self.value(held, typed if typed and each.name == "value" else each.name)
        return dataclasses.replace(value, **changed)

    def _graph(self, graph: Any) -> Any:
        """Nodes (type, value) and attributes; two that look alike when masked are told apart by a number."""
        names: dict[Any, Any] = {}
        taken: dict[Any, int] = {}
        for node in graph.nodes:
            shown = self.value(node)
            taken[shown] = taken.get(shown, 0) + 1
            names[node] = shown if taken[shown] == 1 else (*shown[:-1], f"{shown[-1]} ({taken[shown]})")
        made = type(graph)(**self.value(graph.graph))
        made.add_nodes_from((names[node], self.value(dict(data))) for node, data in graph.nodes(data=True))
        made.add_edges_from((names[a], names[b], self.value(dict(data))) for a, b, data in graph.edges(data=True))
        return made

    def _inner(self, name: str, within: str | None) -> str | None:
        kind = self.kind(name) if name else None
        return within if kind in (None, "plain") else kind

    def _scalar(self, value: Any, name: str, within: str | None) -> Any:
        kind = self.kind(name) if name else None
        if kind is None and within is not None:
            kind = within
        if kind == OPEN or value is None:
            return value
        if kind == "plain":
            return mask_emails(value) if isinstance(value, str) else value
        if kind is not None:
            if isinstance(value, str | date) or (isinstance(value, int | float) and not isinstance(value, bool)):
                return MASKS.get(kind, hidden)(str(value))
            return hidden(str(value)) if kind == HIDDEN else value
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        if text.lstrip().startswith(("{", "[")):
            try:
                return json.dumps(self.value(json.loads(text)), ensure_ascii=False)
            except (ValueError, RecursionError):
                return mask_text(text)
        kind, colon, rest = text.partition(":")
        if colon and kind in self._types:
            return f"{kind}:{self._scalar(rest, kind, None)}"
        return mask_text(text)


class MaskedEngine:
    """An engine whose answers are masked."""

    def __init__(self, engine: Any, masker: Masker) -> None:
        self._engine = engine
        self._masker = masker

    def table(self, name: str) -> Any:
        return self._engine.table(name)

    def polars(self, rows: Any) -> pl.DataFrame:
        return self._masker.frame(self._engine.polars(rows), lineage.made_of(rows, self._masker.personal))
