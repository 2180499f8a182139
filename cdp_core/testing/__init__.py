"""For authors of plug-ins: what a destination must keep, as tests, and one that fails on demand. Needs pytest."""

from cdp_core.testing.contract import DestinationContract
from cdp_core.testing.flaky import FlakyDestination
from cdp_core.testing.own import own_destination

__all__ = ["DestinationContract", "FlakyDestination", "own_destination"]
