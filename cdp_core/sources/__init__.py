"""Sources: files, databases and event archives, each mapped to events of the Segment spec."""

from cdp_core.sources.spec import MapSpec, SourceSpec

__all__ = ["MapSpec", "SourceSpec"]
