"""The identity rules of an open workspace, as they stand in cdp.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdp_core.workspace.permits import needs

if TYPE_CHECKING:
    from cdp_core.config import BlockEdit
    from cdp_core.identity.spec import IdentitySpec
    from cdp_core.workspace.facade import Workspace


class Rules:
    """The `identity:` block. The next run applies what is saved.

    Example: `edit = ws.identity.rules.save("rules.yaml"); ws.identity.rules.undo(edit)`
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @property
    def text(self) -> str:
        """The block as it is written, comments included; empty when there is none."""
        from cdp_core.config import read_block

        return read_block(self._workspace.root, "identity")

    @needs("define", plain=True)
    def save(self, rules: Path | str | IdentitySpec, *, version: str | None = None) -> BlockEdit:
        """Write other rules into cdp.yaml: a file's `identity:` block as it stands there, or a specification, merged
        into what is there with its comments and order. Every other line stays.

        `version` is the `ws.config.version` that was looked at. Raises SpecError when the rules are wrong and
        UsageError when cdp.yaml changed since or cannot be written; nothing is written then.
        """
        from cdp_core.config import identity_text, set_block

        if isinstance(rules, (str, Path)):
            edit = set_block(self._workspace.root, "identity", identity_text(rules), version=version)
        else:
            edit = set_block(self._workspace.root, "identity", self._said(rules), version=version)
        self._workspace.reload()
        return edit

    def _said(self, rules: IdentitySpec) -> dict[str, Any]:
        """What a specification states by itself: the region usually comes from the top of cdp.yaml."""
        config = self._workspace.config
        inherited = rules.region == config.region and config.written("identity", "region") is None
        left_out = {"region"} if inherited else None
        said: dict[str, Any] = rules.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=left_out)
        return said

    @needs("define", plain=True)
    def undo(self, edit: BlockEdit) -> None:
        """Put back what stood there before. Raises UsageError when the block has changed since that edit."""
        from cdp_core.config import set_block

        set_block(self._workspace.root, "identity", edit.before, expected=edit.after)
        self._workspace.reload()
