"""The workspace: one folder, opened. Everything that the command line, the dashboard and notebooks do goes through it."""

from cdp_core.workspace.facade import Workspace, demo, init, open_workspace, schema

__all__ = ["Workspace", "demo", "init", "open_workspace", "schema"]
