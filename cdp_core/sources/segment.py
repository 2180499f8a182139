"""Archives of Segment-spec events: NDJSON or JSON arrays, also bodies of the batch call, gzip or not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from cdp_core.sources.base import REJECT_SCHEMA, SourceBatch, SourceContext
from cdp_core.sources.json_text import values
from cdp_core.sources.parts import find_files, fresh_parts
from cdp_core.sources.segment_events import parse_events
from cdp_core.sources.text import BrokenFile


class SegmentOptions(BaseModel):
    """Where the archives are.

    >>> SegmentOptions(path="archive/*.ndjson.gz").encoding is None
    True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(description="A file, or a pattern such as data/web/*.ndjson.gz, relative to the workspace")
    encoding: str | None = Field(None, description="Default: detected among UTF-8, UTF-16 and cp1252")


class SegmentSource:
    """Events of archives. Rows have the event columns of tables.EVENTS, `_payload` (the original) and `_line`."""

    Options: ClassVar[type[BaseModel]] = SegmentOptions
    gives: ClassVar[Literal["rows", "events"]] = "events"

    def __init__(self, options: SegmentOptions, context: SourceContext) -> None:
        self.options = options
        self.context = context

    def read(self, state: pl.DataFrame) -> Iterator[SourceBatch]:
        files = find_files(self.context, self.options.path)
        yield from fresh_parts(self.context, files, state, self._batches)

    def _batches(self, path: Path, part: str, fingerprint: str, modified: datetime) -> Iterator[SourceBatch]:
        try:
            for frame in values(path, self.options.encoding):
                rows, bad = parse_events(self.context.staging, frame, self.context.door)
                yield SourceBatch(
                    part=part,
                    fingerprint=fingerprint,
                    modified=modified,
                    rows=rows,
                    rejects=bad.select(list(REJECT_SCHEMA)),
                    guarded=True,
                )
        except BrokenFile as error:
            raise self.context.fail(f"{part} is damaged: {error}", hint="replace the file") from None
        except OSError as error:
            raise self.context.fail(f"{part} cannot be read: {(error.strerror or str(error)).lower()}") from None
