"""The rooms of a workspace: what belongs to one subject, under one name."""

from __future__ import annotations

from typing import Any

from cdp_core.workspace.alerts import Alerts
from cdp_core.workspace.anomalies import Anomalies
from cdp_core.workspace.audit import Audit
from cdp_core.workspace.consent import Consent
from cdp_core.workspace.destination_forms import DestinationForms
from cdp_core.workspace.destinations import Destinations
from cdp_core.workspace.held import Held
from cdp_core.workspace.identity import Identity
from cdp_core.workspace.inventory import Inventory
from cdp_core.workspace.live import Live
from cdp_core.workspace.plans import Plans
from cdp_core.workspace.privacy import Privacy
from cdp_core.workspace.stored import Stored
from cdp_core.workspace.suites import Suites
from cdp_core.workspace.sync_forms import SyncForms


class Rooms:
    """Properties of the workspace that lead to its rooms."""

    @property
    def identity(self: Any) -> Identity:
        """Explain, decide, preview and compare who is who."""
        return Identity(self)

    @property
    def live(self: Any) -> Live:
        """Events that clients send: write keys, the collector, what came lately."""
        return Live(self)

    @property
    def destination_forms(self: Any) -> DestinationForms:
        """Destinations as drafts: what a type asks for, try, save, take back."""
        return DestinationForms(self)

    @property
    def sync_forms(self: Any) -> SyncForms:
        """Syncs as drafts: what can be mapped, what would be sent, save, take back."""
        return SyncForms(self)

    @property
    def alerts(self: Any) -> Alerts:
        """What is told to whom: list it, send a test."""
        return Alerts(self)

    @property
    def audit(self: Any) -> Audit:
        """Who did what: list it, prove that it is whole."""
        return Audit(self)

    @property
    def destinations(self: Any) -> Destinations:
        """Destination types, those of destinations.py too: list, try and begin them."""
        return Destinations(self)

    @property
    def privacy(self: Any) -> Privacy:
        """Requests about people: who is meant, and what may be sent of them."""
        return Privacy(self)

    @property
    def inventory(self: Any) -> Inventory:
        """Which fields hold personal data, what was decided about them, and where they flow."""
        return Inventory(self)

    @property
    def consent(self: Any) -> Consent:
        """What people have consented to."""
        return Consent(self)

    @property
    def suites(self: Any) -> Suites:
        """Suites: read, change and try them; `ws.suites()` gives every expectation with its last result."""
        return Suites(self)

    @property
    def plans(self: Any) -> Plans:
        """Tracking plans: read, try, begin and carry them over."""
        return Plans(self)

    @property
    def held(self: Any) -> Held:
        """Rows that are held, to be corrected, tried again or let go."""
        return Held(self)

    @property
    def stored(self: Any) -> Stored:
        """Stored events, to be sent through the rules of today once more."""
        return Stored(self)

    @property
    def anomalies(self: Any) -> Anomalies:
        """Days that are unlike a source's own history."""
        return Anomalies(self)
