"""The workspace: one folder, opened. The command line, the dashboard and notebooks go through it."""

from cdp_core.workspace.facade import Workspace
from cdp_core.workspace.opening import demo, doctor, init, open_workspace, schema, waterfall

__all__ = ["Workspace", "demo", "doctor", "init", "open_workspace", "schema", "waterfall"]
