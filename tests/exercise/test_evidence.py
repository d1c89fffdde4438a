"""What a step did is told from what others do at the same place and time."""

from __future__ import annotations

from dataclasses import replace

from lab.engine.shell import Completed
from lab.engine.trace import Connection, Process, Trace
from lab.exercise.evidence import Evidence, evidence_of
from lab.exercise.scope import Target
from lab.exercise.truth import Truth
from lab.moment import SECOND, Moment
from lab.score.evidence import LINGERS, EvidenceIndex
from lab.telemetry.event import Event
from tests.exercise.test_scope import ATTACKER, LAB

START, END = Moment(100 * SECOND), Moment(110 * SECOND)
MINE, THEIRS = 40_000, 40_001


def ran(*connections: Connection, missed: tuple[str, ...] = ()) -> Completed:
    process = Process(pid=50, parent=1, started=START, code=0, command_line="ssh")
    trace = Trace(processes=(process,), connections=connections, missed=missed, end=END)
    return Completed(argv=("ssh",), code=0, stdout=b"", stderr=b"", start=START, end=END, trace=trace)


def to_bastion(port: int, *, transport: str = "tcp") -> Connection:
    return Connection(
        transport=transport, source="10.213.3.66", source_port=port,
        destination="10.213.3.67", destination_port=22 if transport == "tcp" else 0,
    )  # fmt: skip


def owned(evidence: Evidence, *events: Event, at: int = START + SECOND) -> list[bool]:
    record = Truth(
        run="r", step="s", name="s", label="attack", start=START, end=END, evidence=evidence.predicates
    )
    index = EvidenceIndex([record], ())
    whole: list[Event] = [{"@timestamp": at, "event.id": str(n), **it} for n, it in enumerate(events)]
    index.learn(whole)
    return [bool(index.records_of(it)) for it in whole]


def test_a_connection_is_told_by_its_own_port() -> None:
    evidence = evidence_of(ATTACKER, [ran(to_bastion(MINE))], ())
    flow: Event = {"source.ip": "10.213.3.66", "destination.ip": "10.213.3.67", "destination.port": 22}
    back: Event = {"source.ip": "10.213.3.67", "destination.ip": "10.213.3.66", "source.port": 22}
    assert owned(
        evidence,
        {**flow, "source.port": MINE},
        {**flow, "source.port": THEIRS},
        {**back, "destination.port": MINE},
        {**back, "destination.port": THEIRS},
    ) == [True, False, True, False]
    assert evidence.wide == ()


def test_a_servers_other_lines_of_a_connection_belong_as_well() -> None:
    evidence = evidence_of(ATTACKER, [ran(to_bastion(MINE))], ())
    here: Event = {"host.name": "bastion"}
    named: Event = {**here, "source.ip": "10.213.3.66"}
    assert owned(
        evidence,
        {**named, "process.pid": 7, "source.port": MINE},
        {**here, "process.pid": 7},
        {**named, "process.pid": 7},
        {**named, "process.pid": 8, "source.port": THEIRS},
        {**here, "process.pid": 8},
        {**named, "process.pid": 7, "source.port": THEIRS},
    ) == [True, True, True, False, False, False]


def test_what_runs_in_a_session_belongs_by_its_session() -> None:
    evidence = evidence_of(ATTACKER, [ran(to_bastion(MINE))], ())
    here: Event = {"host.name": "bastion", "user.name": "maria", "source.ip": "10.213.3.66"}
    assert owned(
        evidence,
        {**here, "process.pid": 20, "process.session_leader.pid": 20, "source.port": MINE},
        {"host.name": "bastion", "process.pid": 21, "process.session_leader.pid": 20},
        {**here, "process.pid": 30, "process.session_leader.pid": 30, "source.port": THEIRS},
        {"host.name": "bastion", "process.pid": 31, "process.session_leader.pid": 30},
    ) == [True, True, False, False]


def test_processes_are_those_that_were_started_and_no_others() -> None:
    evidence = evidence_of(ATTACKER, [ran()], ())
    assert owned(
        evidence,
        {"host.name": "attacker", "process.pid": 50},
        {"host.name": "attacker", "process.pid": 51, "process.parent.pid": 50},
        {"host.name": "bastion", "process.pid": 50},
    ) == [True, False, False]


def test_what_is_exact_may_be_written_a_moment_later_and_what_is_wide_may_not() -> None:
    exact = evidence_of(ATTACKER, [ran(to_bastion(MINE))], ())
    flow: Event = {"source.ip": "10.213.3.66", "destination.ip": "10.213.3.67", "source.port": MINE}
    assert owned(exact, flow, at=END + LINGERS) == [True]
    assert owned(exact, flow, at=END + LINGERS + 1) == [False]
    target = Target(name="bastion", address="10.213.3.67", nodes=LAB.nodes[1:2])
    wide = evidence_of(ATTACKER, [replace(ran(), trace=None)], (target,))
    assert owned(wide, flow, at=END) == [True]
    assert owned(wide, flow, at=END + 1) == [False]


def test_wherever_evidence_is_wide_it_says_why() -> None:
    assert evidence_of(ATTACKER, [ran(to_bastion(0))], ()).wide == (
        "1 connections are known by where they went alone: their own port was given back",
    )
    assert evidence_of(ATTACKER, [ran(to_bastion(0, transport="icmp"))], ()).wide == (
        "packets of icmp have no ports: they are known by their addresses alone",
    )
    assert evidence_of(ATTACKER, [ran(missed=("more than 4096 processes",))], ()).wide == (
        "more than 4096 processes",
    )
    assert evidence_of(ATTACKER, [replace(ran(), trace=None)], ()).wide == (
        "what ran on attacker could not be followed: all between it and its targets counts",
    )


def test_what_stays_on_the_node_itself_is_no_traffic() -> None:
    loopback = Connection(
        transport="tcp", source="127.0.0.1", source_port=MINE, destination="127.0.0.1", destination_port=80
    )
    assert len(evidence_of(ATTACKER, [ran(loopback)], ()).predicates) == 1


def test_what_a_session_shows_later_is_of_the_step_that_did_it() -> None:
    evidence = evidence_of(ATTACKER, [ran(to_bastion(MINE))], ()).prompt()
    flow: Event = {"source.ip": "10.213.3.66", "destination.ip": "10.213.3.67", "source.port": MINE}
    assert owned(evidence, flow, at=END) == [True]
    assert owned(evidence, flow, at=END + 1) == [False]
