"""What the files of a run are called, said once.

runs/<run id>/   run.json lab.json scenario.yml journal.jsonl truth.jsonl results.jsonl clock.jsonl
                 atomics.jsonl imports.jsonl collection.json sensor.rules raw/ events/*.parquet packets/*.pcap
                 alerts.jsonl triage.jsonl case.jsonl siem/ score.json report.html report.md
"""

from __future__ import annotations

from typing import Final

RUNS: Final = "runs"
"""The folder below the workplace that holds all runs."""

HEADER: Final = "run.json"
"""What the run is."""

LAB: Final = "lab.json"
"""The lab as it was when the run began."""

SCENARIO: Final = "scenario.yml"
"""The scenario as it was read."""

JOURNAL: Final = "journal.jsonl"
"""What was about to be done, written before it was done."""

TRUTH: Final = "truth.jsonl"
"""What really happened."""

RESULTS: Final = "results.jsonl"
"""What steps gave to later ones."""

ATOMICS: Final = "atomics.jsonl"
"""What came of each test of Atomic Red Team, in a run of them."""

MARKS: Final = "marks.jsonl"
"""What a person noted while a run went on, `lab mark`."""

CLOCK: Final = "clock.jsonl"
"""How far the nodes' clocks were off."""

COLLECTION: Final = "collection.json"
"""What was watched, and how well."""

SENSOR_RULES: Final = "sensor.rules"
"""The rules that the lab's sensors had."""

IMPORTS: Final = "imports.jsonl"
"""Which files were imported, in a run of such, and what came of each."""

RAW: Final = "raw"
"""Log lines, byte for byte, a folder for each node."""

PACKETS: Final = "packets"
"""Packets, a file for each network."""

EVENTS: Final = "events"
"""Events, in Parquet."""

ALERTS: Final = "alerts.jsonl"
"""What was raised."""

TRIAGE: Final = "triage.jsonl"
"""What a person made of alerts, one act a line."""

CASE: Final = "case.jsonl"
"""What a person gathered about the run, one entry a line."""

SIEM: Final = "siem"
"""What other SIEMs were sent, and what they raised, a file of each sort for each of them."""

SCORE: Final = "score.json"
"""Both sides compared."""

RESERVE: Final = ".reserve"
"""Room for the end of a run on a disk that is full by then."""

REPORT: Final = "report.html"
"""All of it for people."""

REPORT_TEXT: Final = "report.md"
"""The same in Markdown."""

RESPONSE: Final = "response.jsonl"
"""What was done against the attack, one moment of an act a line."""

PROBES: Final = "probes.jsonl"
"""What the attacker could still do, and what people could, as it was tried: one try a line."""

AFTERMATH: Final = "aftermath.json"
"""What was left when somebody had responded, as it was found on the nodes."""

AGAIN: Final = "again"
"""The folder of what happened when the attack was played once more, after the response."""

EVIDENCE: Final = "evidence"
"""What was taken of nodes, a folder for each time."""
