"""Engines: where canonical tables are kept and Ibis expressions run. The only room that knows a backend."""

from cdp_core.engine.base import PLACE, Engine, open_engine
from cdp_core.engine.spec import EngineSpec
from cdp_core.engine.staging import Staging

__all__ = ["PLACE", "Engine", "EngineSpec", "Staging", "open_engine"]
