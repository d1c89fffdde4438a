"""A made-up run with every sort of trouble: what the tests of the report show.

Eight steps with every sort of verdict, some twenty alerts of all levels with false alarms, two
thousand events.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from lab import attack
from lab.detect.alert import Alert, Level
from lab.exercise.truth import Label, Party, Predicate, Truth
from lab.moment import SECOND, Moment
from lab.report.story import Story, bar_width, make_story
from lab.runs.header import Header
from lab.score.measures import score_run
from lab.score.values import Score
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.tally import Tally
from lab.watch.collection import Collection, LogCount

STARTED: Final = Moment.parse("2026-11-23T21:53:58.120Z")
ATTACKER: Final = "10.77.1.2"
DESK: Final = "10.77.2.5"
BASTION: Final = "10.77.1.3"


class _Step(NamedTuple):
    """An attack step: what it is, when it took place, whether it worked, what its events hold."""

    name: str
    technique: str
    start: float
    end: float
    mark: tuple[str, str] | None
    occurred: bool = True


class _Raise(NamedTuple):
    """An alert: when it was raised, what it says, what its evidence holds, how many events of it."""

    second: float
    title: str
    level: Level
    technique: str
    mark: str
    events: int


class _Line(NamedTuple):
    """A log line: when, which log on which node, whom it names, and whether something failed."""

    second: float
    module: str
    host: str
    ip: str
    text: str
    outcome: str = ""


_STEPS: Final = (
    _Step("Find hosts on the outside network", "T1018", 31, 34, ("event.module", "suricata")),
    _Step("Find open services on the bastion", "T1046", 35, 43, ("event.module", "suricata")),
    _Step("Guess the password of an account", "T1110.001", 44, 56, ("event.module", "sshd")),
    _Step("Log in with the guessed password", "T1078.003", 57, 58, ("event.module", "sshd")),
    _Step("Ask who I am", "T1033", 60, 60.4, ("process.command_line", "whoami")),
    _Step("Learn about the system", "T1082", 62, 62.5, ("process.command_line", "uname -a")),
    _Step("List the local accounts", "T1087.001", 65, 65.3, None),
    _Step("See what runs", "T1057", 68, 68.6, ("process.command_line", "ps aux"), occurred=False),
)

_UNDO: Final = _Step(
    "Undo: Log in with the guessed password",
    "",
    69.5,
    71,
    ("process.command_line", "rm -rf /tmp/.cache-maria"),
)

_RAISED: Final = (
    _Raise(12.4, "Many requests for missing pages", "medium", "T1595.003", "/missing", 14),
    _Raise(32.6, "Ping sweep", "low", "T1018", '"flow"', 12),
    _Raise(36.3, "Port scan from one source", "medium", "T1046", '"flow"', 100),
    _Raise(37.1, "Service version probe", "medium", "T1046", '"flow"', 30),
    *(
        _Raise(38 + 0.7 * n, "Connections to many closed ports", "low", "T1046", '"flow"', 25)
        for n in range(8)
    ),
    _Raise(55.9, "Password guessing over SSH", "high", "T1110.001", "Failed password", 78),
    *(_Raise(56 + 0.3 * n, "Failed SSH login", "informational", "T1110", "Failed", 1 + n) for n in range(4)),
    _Raise(57.9, "Login after many failures", "critical", "T1078", "Accepted password", 1),
    _Raise(58.3, "Login from an address never seen", "high", "", "Accepted password", 1),
    _Raise(61.1, "Account asks for its own name", "medium", "T1033", "whoami", 1),
    *(_Raise(61.2 + n, "Shell started over SSH", "low", "T1059.004", "whoami", 1) for n in range(3)),
    _Raise(70.9, "Files removed below /tmp", "low", "T1070.004", "rm -rf", 1),
)


def header() -> Header:
    """The run."""
    return Header(
        id="20261123-215358-ssh-brute-force",
        lab="starter",
        scenario="ssh-brute-force",
        summary="Find an SSH server, guess a password, log in and look around.",
        version="0.1.0",
        started=STARTED,
        ended=at(74.2),
        state="done",
        rules={f"rule-{n}": hashlib.sha256(bytes([n])).hexdigest() for n in range(12)},
    )


def at(second: float) -> Moment:
    """Return a moment of the run."""
    return Moment(STARTED + round(second * SECOND))


def truth() -> list[Truth]:
    """What happened."""
    return [
        _truth("0-benign-phase", "benign", _Step("Benign traffic alone", "", 0, 30, None)),
        _truth("0-benign-throughout", "benign", _Step("Benign traffic beside the attack", "", 0, 72, None)),
        *(_attack(f"{place}-step", step) for place, step in enumerate(_STEPS, 1)),
        _truth("4-step-revert", "cleanup", _UNDO),
    ]


def _truth(identity: str, label: Label, step: _Step) -> Truth:
    return Truth(
        run=header().id,
        step=identity,
        name=step.name,
        label=label,
        start=at(step.start),
        end=at(step.end),
        evidence=(Predicate(where={step.mark[0]: (step.mark[1],)}),) if step.mark else (),
    )


def _attack(identity: str, step: _Step) -> Truth:
    return replace(
        _truth(identity, "attack", step),
        technique=step.technique,
        tactics=attack.techniques()[step.technique].tactics,
        occurred=step.occurred,
        reason="" if step.occurred else "there is no file /tmp/.cache-maria/processes",
        sources=(Party(node="attacker", addresses=(ATTACKER,)),),
    )


def events() -> list[Event]:
    """Two thousand events: a background, a scan, guesses, and two texts that mean harm."""
    chance = random.Random(7)  # the same figures each time
    lines = (*_background(chance), *_scan(chance), *_guesses())
    return [_event(number, line) for number, line in enumerate(lines)]


def _background(chance: random.Random) -> Iterator[_Line]:
    for number in range(420):
        page = ("/", "/search?q=mug", "/cart", "/missing")[number % 4]
        line = f'{DESK} - - "GET {page} HTTP/1.1" 200 {chance.randrange(900, 9000)} "-" "Mozilla/5.0 (X11)"'
        yield _Line(chance.uniform(0, 73), "apache", "shop", DESK, line, "success")
    for _ in range(297):
        line = f"pid={chance.randrange(200, 900)} ppid=1 user=maria /usr/bin/id -un"
        yield _Line(chance.uniform(0, 73), "snoopy", "bastion", "", line)
    agent = f'{DESK} - - "GET /missing HTTP/1.1" 200 12 "-" "</code><img src=x onerror=alert(1)>"'
    yield _Line(12.1, "apache", "shop", DESK, agent, "success")


def _scan(chance: random.Random) -> Iterator[_Line]:
    for _ in range(1200):
        port = chance.randrange(1, 1024)
        line = (
            f'{{"event_type":"flow","src_ip":"{ATTACKER}","dest_ip":"{BASTION}","dest_port":{port},'
            '"proto":"TCP","flow":{"pkts_toserver":1,"pkts_toclient":1,"state":"closed"}}'
        )
        yield _Line(chance.triangular(31, 43, 36), "suricata", "sensor", ATTACKER, line)


def _guesses() -> Iterator[_Line]:
    for number in range(78):
        line = f"Failed password for maria from {ATTACKER} port {40000 + number} ssh2"
        yield _Line(44.5 + number * 0.14, "sshd", "bastion", ATTACKER, line, "failure")
    hostile = f"Invalid user <script>alert(1)</script>\x1b[31m\u202e from {ATTACKER} port 41999"
    yield _Line(55.6, "sshd", "bastion", ATTACKER, hostile, "failure")
    accepted = f"Accepted password for maria from {ATTACKER} port 41002 ssh2"
    yield _Line(57.2, "sshd", "bastion", ATTACKER, accepted, "success")
    for second, line in ((60.2, "whoami"), (62.2, "uname -a"), (70.0, "rm -rf /tmp/.cache-maria")):
        yield _Line(second, "snoopy", "bastion", "", line)


_PATHS: Final = {
    "apache": "/var/log/apache2/access.log",
    "snoopy": "/var/log/exec.log",
    "sshd": "/var/log/auth.log",
    "suricata": "/var/log/suricata/eve.json",
}


def _event(number: int, line: _Line) -> Event:
    event: Event = {
        "@timestamp": at(line.second),
        "event.id": f"e{number}",
        "event.ingested": at(line.second + 0.25),
        "event.module": line.module,
        "host.name": line.host,
        "log.file.path": _PATHS[line.module],
        "event.original": line.text,
    }
    command = line.text if line.module == "snoopy" else ""
    extra = {"source.ip": line.ip, "event.outcome": line.outcome, "process.command_line": command}
    return {**event, **{field: value for field, value in extra.items() if value}}


def alerts() -> list[Alert]:
    """What was raised."""
    seen = sorted(events(), key=_time)
    return [_alert(number, raised, seen) for number, raised in enumerate(_RAISED)]


def _time(event: Event) -> int:
    return int(str(event["@timestamp"]))


def _alert(number: int, it: _Raise, seen: list[Event]) -> Alert:
    before = [event for event in seen if _time(event) < at(it.second)]
    evidence = [event for event in before if it.mark in str(event["event.original"])][-it.events :]
    named = {field: tuple(sorted({str(event[field]) for event in evidence if field in event}))
             for field in ("host.name", "source.ip")}  # fmt: skip
    return Alert(
        id=f"a{number:03}",
        engine="suricata" if "flow" in it.mark else "sigma",
        rule_id=f"5f1c0e2a-0000-4000-8000-{number:012}",
        rule_hash=hashlib.sha256(it.title.encode()).hexdigest(),
        title=it.title,
        level=it.level,
        techniques=(it.technique,) if it.technique else (),
        first_event=Moment(_time(evidence[0])),
        ingested=at(it.second - 0.3),
        raised=at(it.second),
        entities={field: values for field, values in named.items() if values},
        event_ids=tuple(str(event["event.id"]) for event in evidence),
        evidence_count=len(evidence),
    )


def score() -> Score:
    """The score, by the real rules."""
    return score_run(
        run=header().id,
        truth=truth(),
        alerts=alerts(),
        events=events(),
        clocks=(),
        rules=header().rules,
        observed_until=at(74.2),
    )


def collection() -> Collection:
    """What was watched."""
    logs = (
        ("apache", "shop", "/var/log/apache2/access.log", 423, 421, 0),
        ("snoopy", "bastion", "/var/log/exec.log", 304, 304, 0),
        ("snoopy", "shop", "/var/log/exec.log", 0, 0, 0),
        ("sshd", "bastion", "/var/log/auth.log", 80, 79, 1),
        ("suricata", "sensor", "/var/log/suricata/eve.json", 1200, 1200, 0),
    )
    return Collection(
        logs=tuple(
            LogCount(source=source, host=host, path=path, read=read, parsed=parsed, unparsed=unparsed)
            for source, host, path, read, parsed, unparsed in logs
        ),
        notes=(
            "2026-11-23T21:55:10Z shop /var/log/exec.log: it was cut off; nothing of it is seen from here on",
        ),
    )


def tally(found: Iterable[Event]) -> Tally:
    """Count events as a store does."""
    counted = Tally()
    counted.add(Events.of(found), STARTED, bar_width(header()) * SECOND)
    return counted


def story() -> Story:
    """All of it."""
    return make_story(
        header=header(),
        truth=truth(),
        alerts=alerts(),
        score=score(),
        tally=tally(events()),
        evidence=events(),
        collection=collection(),
    )
