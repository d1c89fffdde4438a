"""A case as Markdown: what was found out, what was done, and when. From the run's files alone."""

from __future__ import annotations

from collections.abc import Iterator

from lab.report.page import as_cell
from lab.runs.case import CaseEntry, Frozen, frozen
from lab.runs.folder import RunFolder
from lab.runs.response import Acted, acts


def case_text(run: RunFolder) -> str:
    """Write the case of a run."""
    found = frozen(run.case.entries())
    lines = [f"# Case of {run.path.name}", "", *_head(found), "", "## Findings", ""]
    lines += [*_findings(found.entries)] or ["None."]
    lines += ["", "## Response", ""]
    lines += [*_acts(acts(run.response.entries()))] or ["Nothing was done."]
    lines += ["", "## Notes", ""]
    lines += [f"- {it.at.iso()[:19]}  {as_cell(it.text)}" for it in found.entries if it.sort == "note"] or [
        "None."
    ]
    return "\n".join(lines) + "\n"


def _head(found: Frozen) -> Iterator[str]:
    yield f"Opened {found.opened.iso()[:19]} UTC." if found.opened else "Never opened."
    if found.closed:
        kept = "" if found.untouched else " Its file was changed since: the hash is another."
        yield f"Closed {found.closed.iso()[:19]} UTC.{kept}"
    for it in found.entries:
        if it.sort == "opened" and it.alerts:
            yield f"It began with {', '.join(f'`{alert}`' for alert in it.alerts)}."


def _findings(entries: tuple[CaseEntry, ...]) -> Iterator[str]:
    found = [it for it in entries if it.sort == "finding"]
    if found:
        yield "| When | Technique | Host | Account | Address | What | Events |"
        yield "|---|---|---|---|---|---|---|"
    for it in found:
        when = it.when.iso()[:19] if it.when else ""
        cells = (when, it.technique, it.host, it.account, it.address, it.text, ", ".join(it.events))
        yield f"| {' | '.join(str(as_cell(cell)) for cell in cells)} |"


def _acts(done: tuple[Acted, ...]) -> Iterator[str]:
    for it in done:
        told = {
            "begun": "was begun, and nobody knows how far it came",
            "failed": "failed",
            "undone": "taken back",
        }
        state = told.get(it.last.state, "done")
        what = f"{it.begun.action} {it.begun.node}: {state}. {as_cell(it.last.said)}"
        yield f"- {it.begun.at.iso()[:19]}  {what}"
