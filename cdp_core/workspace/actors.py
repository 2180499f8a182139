"""Who works with a workspace when nobody has logged in."""

from __future__ import annotations

import getpass
import os

from cdp_core.privacy.roles import AccessSpec, Actor, lowered


def local_actor(access: AccessSpec) -> Actor:
    """Whoever has the folder: the user of this machine with the role `access.local`, or the lesser one of CDP_ROLE.

    CDP_ACTOR names whom a process works for, as the dashboard says of its jobs.
    """
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "unknown"
    name = os.environ.get("CDP_ACTOR")
    return Actor(name=f"{name} ({user})" if name else user, role=lowered(access.local, os.environ.get("CDP_ROLE")))
