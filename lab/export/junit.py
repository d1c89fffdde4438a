"""Scores as JUnit's XML, which continuous integration shows: a case for each step, and one for each gate.

The schema is the one that Jenkins and GitLab document; there is no other standard.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET

from lab.runs.header import Header
from lab.score.gates import Gates
from lab.score.values import Score, StepScore
from lab.score.vocabulary import DETECTED, MISSED, VERDICTS

_FORBIDDEN: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write; logs may hold it."""


def junit(runs: Sequence[tuple[Header, Score]], gates: Gates) -> str:
    """Write runs as test suites."""
    root = ET.Element("testsuites")
    for header, score in runs:
        suite = ET.SubElement(root, "testsuite", name=_text(header.scenario))
        suite.set("timestamp", header.started.iso()[:19])
        cases = [_step(suite, header, it) for it in score.steps]
        cases += _gates(suite, header, score, gates)
        suite.set("tests", str(len(cases)))
        suite.set("failures", str(cases.count("failure")))
        suite.set("skipped", str(cases.count("skipped")))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _step(suite: ET.Element, header: Header, step: StepScore) -> str:
    """Write a step; one that was missed is a failure, and one that did not happen is skipped."""
    case = ET.SubElement(suite, "testcase", classname=_text(header.id), name=_text(step.name))
    case.set("time", f"{step.time_to_detect or 0:.3f}")
    if step.verdict in DETECTED:
        return "passed"
    outcome = "failure" if step.verdict in MISSED else "skipped"
    told = ET.SubElement(case, outcome, message=_text(f"{step.technique}: {VERDICTS[step.verdict]}"))
    told.text = _text(step.reason)
    return outcome


def _gates(suite: ET.Element, header: Header, score: Score, gates: Gates) -> list[str]:
    if not gates:
        return []
    case = ET.SubElement(suite, "testcase", classname=_text(header.id), name="gates", time="0")
    missed = gates.missed(score)
    for it in missed:
        ET.SubElement(case, "failure", message=_text(it))
    return ["failure" if missed else "passed"]


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
