"""The workspace: one folder, opened. The command line, the dashboard and notebooks go through it."""

from cdp_core.workspace.facade import Workspace, demo, init, open_workspace, schema

__all__ = ["Workspace", "demo", "init", "open_workspace", "schema"]
