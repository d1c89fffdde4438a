"""The card of a data set: what it is, how it came about, what is in it, and who may use it."""

from __future__ import annotations

from collections.abc import Mapping

from lab.runs.header import Header
from lab.score.values import Score

_REPLACED = "Private addresses and the exercise's secrets are replaced, each by the same other everywhere."
_KEPT = "Addresses and secrets are as they were; all of them belong to a lab that was thrown away."
_FILES = """| File | What |
|---|---|
| `events/*.parquet` | events, in fields of the Elastic Common Schema |
| `labels.jsonl` | for each event `attack`, `setup` or `benign`, with its steps and techniques |
| `truth.jsonl` | what was really done, step by step, and what people did meanwhile |
| `alerts.jsonl`, `score.json` | what rules raised, and what came of it |
| the others | how it came about, and how well it was watched |"""


def card(header: Header, score: Score, counts: Mapping[str, int], *, replaced: bool) -> str:
    """Write the card of a run.

    Args:
        header: What the run is.
        score: What was detected in it.
        counts: Label to number of events.
        replaced: Whether addresses and secrets were replaced.
    """
    steps = "\n".join(f"| `{it.step}` | {it.technique} | {it.events} | {it.verdict} |" for it in score.steps)
    labels = "\n".join(f"| {name} | {count} |" for name, count in sorted(counts.items()))
    kept = _REPLACED if replaced else _KEPT
    return f"""# {header.id}

{header.summary}

{header.story}

Recorded {header.started.iso()[:10]} with homerange {header.version}, scenario `{header.scenario}`,
seed {header.seed}, in the lab `{header.lab}`: containers on one machine, attacked by scripted steps while
simulated people worked. No person's data is in it. {kept}

## What is in it

{_FILES}

An event is labelled by the processes and connections that each step really had, as the kernel told; what is
of no step is `benign`, be it people's work or the background.

| Label | Events |
|---|--:|
{labels}

| Step | Technique | Events | Verdict |
|---|---|--:|---|
{steps}

`lab import` reads it back to the same score.

## Licence

Whoever made the recording decides, and writes it here. The format and the words of this card may be used by
anybody for anything (CC0-1.0).
"""
