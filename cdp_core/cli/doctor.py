"""cdp doctor."""

from __future__ import annotations

import dataclasses

import typer

from cdp_core.cli.options import Output, OutputOption, WorkspaceOption, folder_of
from cdp_core.cli.output import print_object, print_rows, say


def add_to(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(output: OutputOption = Output.table, workspace: WorkspaceOption = None) -> int:
    """Say what is wrong and what to do about it."""
    import cdp_core as cdp

    findings = cdp.doctor(folder_of(workspace))
    if output == Output.json:
        print_object([dataclasses.asdict(finding) for finding in findings], output)
    else:
        rows = [(finding.level, finding.what, finding.hint or "") for finding in findings]
        print_rows(("level", "what", "hint"), rows)
    wrong = sum(finding.level == "error" for finding in findings)
    if wrong:
        say(f"{wrong} error{'s' if wrong > 1 else ''}")
    return 2 if wrong else 0
