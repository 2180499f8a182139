"""The first rows of a source, read once more to try something on; nothing is remembered."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from cdp_core import plugins
from cdp_core.sources.base import STATE_SCHEMA, SourceContext, check_source
from cdp_core.sources.spec import SourceSpec
from cdp_core.sources.stage import Loader

if TYPE_CHECKING:
    from cdp_core.engine import Staging
    from cdp_core.privacy.door import Door


def stage_sample(
    name: str, spec: SourceSpec, staging: Staging, *, columns: pl.DataFrame, root: Path, now: datetime, most: int,
    door: Door,
) -> bool:  # fmt: skip
    """Fill the staging tables that `stage_sources` fills until `most` rows are read; a batch is not cut in two.

    Gives whether that is all of the source. Raises SpecError and SourceError.
    """
    options = check_source(name, spec)
    kind = plugins.load(plugins.SOURCES, spec.type)
    source = kind(options, SourceContext(name=name, root=root, staging=staging, door=door))
    known = columns.filter(pl.col("source") == name)
    loader = Loader(name, spec, staging, source.gives, now.replace(tzinfo=None), known, fresh=False, door=door)
    for batch in source.read(pl.DataFrame(schema=STATE_SCHEMA)):
        if loader.read >= most:
            return False
        loader.take(batch)
    return True
