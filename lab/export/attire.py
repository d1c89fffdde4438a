"""A run as an ATTiRe 1.1 log, which VECTR imports: what was executed, when, and what came of it.

The format is that of Security Risk Advisors' ATTiRe.
"""

from __future__ import annotations

from typing import Any

from lab.exercise.truth import Truth
from lab.export.material import Material, technique_name
from lab.moment import Moment
from lab.score.values import StepScore
from lab.score.vocabulary import VERDICTS


def attire(material: Material) -> dict[str, Any]:
    """Write the attack steps that ran, each as a procedure of one step."""
    header = material.header
    first = next(material.steps(), None)
    target = first[0].targets[0].node if first and first[0].targets else ""
    return {
        "attire-version": "1.1",
        "execution-data": {
            "execution-source": f"homerange {header.version}",
            "execution-id": header.id,
            "execution-category": {"name": "homerange", "abbreviation": "HR"},
            "execution-command": f"lab run {header.scenario} --seed {header.seed}",
            "target": {"user": "", "host": target, "ip": material.address(target), "path": ""},
            "time-generated": _time(header.ended or header.started),
        },
        "procedures": [_procedure(order, *it) for order, it in enumerate(material.steps(), 1)],
    }


def _procedure(order: int, truth: Truth, step: StepScore) -> dict[str, Any]:
    effect = "took effect" if truth.occurred else "no effect was found"
    said = f"{effect}; {VERDICTS[step.verdict]}: {step.reason}"
    return {
        "procedure-name": truth.name,
        "procedure-description": truth.note or technique_name(truth.technique),
        "procedure-id": {"type": "homerange", "id": truth.step},
        "mitre-technique-id": truth.technique,
        "order": order,
        "steps": [
            {
                "order": 1,
                "command": "\n".join(truth.processes),
                "executor": "sh",
                "process-id": truth.started[0].pid if truth.started else 0,
                "exit-code": truth.exit_code if truth.exit_code is not None else -1,
                "is-timeout": truth.timed_out,
                "time-start": _time(truth.start),
                "time-stop": _time(truth.end),
                "output": [{"content": said, "level": "STDOUT", "type": "console"}],
            }
        ],
    }


def _time(moment: Moment) -> str:
    """Write a time to milliseconds, as ATTiRe's readers take it."""
    return moment.iso()[:23] + "Z"
