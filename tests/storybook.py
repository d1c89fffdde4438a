"""A made-up run with every sort of trouble: what the tests of the report show.

Eight steps with every sort of verdict, some twenty alerts of all levels with false alarms, two
thousand events.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from lab import attack
from lab.detect.alert import Alert, Level
from lab.folder import Collection, Header, Sight
from lab.moment import SECOND, Moment
from lab.report import Story, make_story
from lab.score import Score, score_run
from lab.telemetry.event import Event
from lab.truth import Label, Party, Predicate, Truth

STARTED: Final = Moment.parse("2026-11-23T21:53:58.120Z")
ATTACKER: Final = "10.77.1.2"
DESK: Final = "10.77.2.5"
BASTION: Final = "10.77.1.3"

_STEPS: Final[tuple[tuple[str, str, float, float, bool, tuple[str, str] | None], ...]] = (
    ("Find hosts on the outside network", "T1018", 31, 34, True, ("event.module", "suricata")),
    ("Find open services on the bastion", "T1046", 35, 43, True, ("event.module", "suricata")),
    ("Guess the password of an account", "T1110.001", 44, 56, True, ("event.module", "sshd")),
    ("Log in with the guessed password", "T1078.003", 57, 58, True, ("event.module", "sshd")),
    ("Ask who I am", "T1033", 60, 60.4, True, ("process.command_line", "whoami")),
    ("Learn about the system", "T1082", 62, 62.5, True, ("process.command_line", "uname -a")),
    ("List the local accounts", "T1087.001", 65, 65.3, True, None),
    ("See what runs", "T1057", 68, 68.6, False, ("process.command_line", "ps aux")),
)
"""Name, technique, start, end, whether it took effect, and what its events hold."""

_RAISED: Final[tuple[tuple[float, str, Level, str, str, int], ...]] = (
    (12.4, "Many requests for missing pages", "medium", "T1595.003", "/missing", 14),
    (32.6, "Ping sweep", "low", "T1018", '"flow"', 12),
    (36.3, "Port scan from one source", "medium", "T1046", '"flow"', 100),
    (37.1, "Service version probe", "medium", "T1046", '"flow"', 30),
    *((38.0 + 0.7 * n, "Connections to many closed ports", "low", "T1046", '"flow"', 25) for n in range(8)),
    (55.9, "Password guessing over SSH", "high", "T1110.001", "Failed password", 78),
    *((56.0 + 0.3 * n, "Failed SSH login", "informational", "T1110", "Failed password", 1 + n) for n in range(4)),
    (57.9, "Login after many failures", "critical", "T1078", "Accepted password", 1),
    (58.3, "Login from an address never seen", "high", "", "Accepted password", 1),
    (61.1, "Account asks for its own name", "medium", "T1033", "whoami", 1),
    *((61.2 + n, "Shell started over SSH", "low", "T1059.004", "whoami", 1) for n in range(3)),
    (70.9, "Files removed below /tmp", "low", "T1070.004", "rm -rf", 1),
)
"""When, title, level, technique, what its evidence holds, and how many events of it."""


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
        _truth("0-benign-phase", "Benign traffic alone", "benign", 0, 30),
        _truth("0-benign-throughout", "Benign traffic beside the attack", "benign", 0, 72),
        *(_attack(place, *step) for place, step in enumerate(_STEPS, 1)),
        _truth("4-step-revert", "Undo: Log in with the guessed password", "cleanup", 69.5, 71,
               ("process.command_line", "rm -rf /tmp/.cache-maria")),
    ]  # fmt: skip


def _truth(
    step: str, name: str, label: Label, start: float, end: float, mark: tuple[str, str] | None = None
) -> Truth:
    evidence = (Predicate(where={mark[0]: (mark[1],)}),) if mark else ()
    return Truth(
        run=header().id, step=step, name=name, label=label, start=at(start), end=at(end), evidence=evidence
    )


def _attack(
    place: int, name: str, technique: str, start: float, end: float, occurred: bool, mark: tuple[str, str] | None
) -> Truth:
    record = _truth(f"{place}-step", name, "attack", start, end, mark)
    return replace(
        record,
        technique=technique,
        tactics=attack.techniques()[technique].tactics,
        occurred=occurred,
        reason="" if occurred else "there is no file /tmp/.cache-maria/processes",
        sources=(Party(node="attacker", addresses=(ATTACKER,)),),
    )


def events() -> list[Event]:
    """Two thousand events: a background, a scan, guesses, and two texts that mean harm."""
    chance = random.Random(7)  # noqa: S311  # the same figures each time
    return [_event(number, *it) for number, it in enumerate((*_background(chance), *_attacks(chance)))]


def _background(chance: random.Random) -> Iterator[tuple[float, str, str, str, str, str]]:
    for number in range(420):
        page = ("/", "/search?q=mug", "/cart", "/missing")[number % 4]
        line = f'{DESK} - - "GET {page} HTTP/1.1" 200 {chance.randrange(900, 9000)} "-" "Mozilla/5.0 (X11)"'
        yield chance.uniform(0, 73), "apache", "shop", DESK, line, "success"
    for _ in range(297):
        line = f"pid={chance.randrange(200, 900)} ppid=1 user=maria /usr/bin/id -un"
        yield chance.uniform(0, 73), "snoopy", "bastion", "", line, ""
    agent = f'{DESK} - - "GET /missing HTTP/1.1" 200 12 "-" "</code><img src=x onerror=alert(1)>"'
    yield 12.1, "apache", "shop", DESK, agent, "success"


def _attacks(chance: random.Random) -> Iterator[tuple[float, str, str, str, str, str]]:
    for _ in range(1200):
        port = chance.randrange(1, 1024)
        line = (
            f'{{"event_type":"flow","src_ip":"{ATTACKER}","dest_ip":"{BASTION}","dest_port":{port},'
            '"proto":"TCP","flow":{"pkts_toserver":1,"pkts_toclient":1,"state":"closed"}}'
        )
        yield chance.triangular(31, 43, 36), "suricata", "sensor", ATTACKER, line, ""
    for number in range(78):
        line = f"Failed password for maria from {ATTACKER} port {40000 + number} ssh2"
        yield 44.5 + number * 0.14, "sshd", "bastion", ATTACKER, line, "failure"
    hostile = "Invalid user <script>alert(1)</script>\x1b[31m\u202e from 10.77.1.2 port 41999"
    yield 55.6, "sshd", "bastion", ATTACKER, hostile, "failure"
    accepted = f"Accepted password for maria from {ATTACKER} port 41002 ssh2"
    yield 57.2, "sshd", "bastion", ATTACKER, accepted, "success"
    for second, line in ((60.2, "whoami"), (62.2, "uname -a"), (70.0, "rm -rf /tmp/.cache-maria")):
        yield second, "snoopy", "bastion", "", line, ""


def _event(number: int, second: float, module: str, host: str, ip: str, line: str, outcome: str) -> Event:
    event: Event = {
        "@timestamp": at(second),
        "event.id": f"e{number}",
        "event.ingested": at(second + 0.25),
        "event.module": module,
        "host.name": host,
        "event.original": line,
    }
    extra = {"source.ip": ip, "event.outcome": outcome}
    if module == "snoopy":
        extra["process.command_line"] = line
    return {**event, **{field: value for field, value in extra.items() if value}}


def alerts() -> list[Alert]:
    """What was raised."""
    seen = sorted(events(), key=_time)
    return [_alert(number, seen, *it) for number, it in enumerate(_RAISED)]


def _time(event: Event) -> int:
    return int(str(event["@timestamp"]))


def _alert(
    number: int, seen: list[Event], raised: float, title: str, level: Level, technique: str, mark: str, count: int
) -> Alert:
    evidence = [it for it in seen if mark in str(it["event.original"]) and _time(it) < at(raised)][-count:]
    addresses = tuple(sorted({str(it["source.ip"]) for it in evidence if "source.ip" in it}))
    return Alert(
        id=f"a{number:03}",
        engine="suricata" if "flow" in mark else "sigma",
        rule_id=f"5f1c0e2a-0000-4000-8000-{number:012}",
        rule_hash=hashlib.sha256(title.encode()).hexdigest(),
        title=title,
        level=level,
        techniques=(technique,) if technique else (),
        first_event=Moment(_time(evidence[0])),
        ingested=at(raised - 0.3),
        raised=at(raised),
        entities={"host.name": (str(evidence[0]["host.name"]),), **({"source.ip": addresses} if addresses else {})},
        event_ids=tuple(str(it["event.id"]) for it in evidence),
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


def sight() -> Sight:
    """What was watched."""
    logs = (
        ("apache", "shop", "/var/log/apache2/access.log", 423, 421, 0),
        ("snoopy", "bastion", "/var/log/exec.log", 180, 180, 0),
        ("snoopy", "shop", "/var/log/exec.log", 124, 124, 0),
        ("sshd", "bastion", "/var/log/auth.log", 80, 79, 1),
        ("suricata", "sensor", "/var/log/suricata/eve.json", 1200, 1200, 0),
    )
    return Sight(
        collected=tuple(
            Collection(source=source, host=host, path=path, read=read, parsed=parsed, unparsed=unparsed)
            for source, host, path, read, parsed, unparsed in logs
        ),
        notes=("2026-11-23T21:55:10Z shop /var/log/exec.log: it was cut off; nothing of it is seen from here on",),
    )


def story() -> Story:
    """All of it."""
    return make_story(
        header=header(), truth=truth(), alerts=alerts(), score=score(), events=events(), sight=sight()
    )
