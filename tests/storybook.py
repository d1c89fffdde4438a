"""A made-up run with every sort of trouble: what the tests of the report show.

Eight steps with every sort of verdict, some thirty alerts of all levels with one false alarm, two
thousand events.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from lab.detect.alert import Alert, Level
from lab.folder import Collection, Header, Sight
from lab.moment import SECOND, Moment
from lab.score import Delay, Floor, Modifier, Rate, Score, Share, StepScore, Verdict
from lab.telemetry.event import Event
from lab.truth import Label, Truth

STARTED: Final = Moment.parse("2026-11-23T21:53:58.120Z")
ATTACKER: Final = "10.77.1.2"
DESK: Final = "10.77.2.5"
BASTION: Final = "10.77.1.3"

_STEPS: Final[tuple[tuple[str, str, float, float, Verdict, tuple[Modifier, ...], str], ...]] = (
    ("Find hosts on the outside network", "T1018", 31, 34, "technique", (), ""),
    ("Find open services on the bastion", "T1046", 35, 43, "technique", (), ""),
    ("Guess the password of an account", "T1110.001", 44, 56, "technique", ("late",), ""),
    ("Log in with the guessed password", "T1078.003", 57, 58, "tactic", ("partial_entity",), ""),
    ("Ask who I am", "T1033", 60, 60.4, "technique", (), ""),
    ("Learn about the system", "T1082", 62, 62.5, "telemetry_only", (),
     "3 events show this step and no rule fired on them: a rule for T1082 is missing."),
    ("List the local accounts", "T1087.001", 65, 65.3, "no_telemetry", (),
     "The step took effect and no event shows it: look for a sensor that would."),
    ("See what runs", "T1057", 68, 68.6, "no_effect", (),
     "The check found no effect: there is no file /tmp/.cache-maria/processes."),
)  # fmt: skip

_RAISED: Final[tuple[tuple[float, str, Level, str, int | None, int], ...]] = (
    (12.4, "Many requests for missing pages", "medium", "T1595.003", None, 14),
    (31.6, "Ping sweep", "low", "T1018", 1, 12),
    (35.3, "Port scan from one source", "medium", "T1046", 2, 100),
    (36.1, "Service version probe", "medium", "T1046", 2, 30),
    *((37.0 + 0.7 * n, "Connections to many closed ports", "low", "T1046", 2, 25) for n in range(8)),
    *((46.2 + 2.1 * n, "Failed SSH login", "informational", "T1110", 3, 1) for n in range(5)),
    (55.0, "Password guessing over SSH", "high", "T1110.001", 3, 44),
    (57.4, "Login after many failures", "critical", "T1078", 4, 45),
    (57.9, "Login from an address never seen", "high", "", 4, 1),
    (60.9, "Account asks for its own name", "medium", "T1033", 5, 1),
    *((61.2 + n, "Shell started over SSH", "low", "T1059.004", 5, 2) for n in range(3)),
    (70.5, "Files removed below /tmp", "low", "T1070.004", 0, 3),
)


def share(hits: int, total: int, low: float, high: float) -> Share:
    """Make a share."""
    return Share(hits=hits, total=total, value=hits / total if total else None, low=low, high=high)


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
        rules={f"rule-{n}": f"{n:064x}" for n in range(12)},
    )


def at(second: float) -> Moment:
    """Return a moment of the run."""
    return Moment(STARTED + round(second * SECOND))


def truth() -> list[Truth]:
    """What happened."""
    return [
        _truth("0-benign-phase", "Benign traffic alone", "benign", 0, 30),
        _truth("0-benign-throughout", "Benign traffic beside the attack", "benign", 0, 72),
        *(
            replace(_truth(f"{place}-step", name, "attack", start, end), technique=technique, occurred=True)
            for place, (name, technique, start, end, *_) in enumerate(_STEPS, 1)
        ),
        _truth("4-step-revert", "Undo: Log in with the guessed password", "cleanup", 69.5, 71),
    ]


def _truth(step: str, name: str, label: Label, start: float, end: float) -> Truth:
    return Truth(run=header().id, step=step, name=name, label=label, start=at(start), end=at(end))


def events() -> list[Event]:
    """Two thousand events: a background, a scan, guesses, and two texts that mean harm."""
    random_ = random.Random(7)  # noqa: S311  # the same figures each time
    return [_event(number, *it) for number, it in enumerate(_lines(random_))]


def _lines(chance: random.Random) -> Iterator[tuple[float, str, str, str, str, str]]:
    for _ in range(420):
        when, page = chance.uniform(0, 73), chance.choice(("/", "/search?q=mug", "/cart", "/missing"))
        line = f'{DESK} - - "GET {page} HTTP/1.1" 200 {chance.randrange(900, 9000)} "-" "Mozilla/5.0 (X11)"'
        yield when, "apache", "shop", DESK, line, "success"
    for _ in range(300):
        line = f"pid={chance.randrange(200, 900)} ppid=1 user=maria /usr/bin/id -un"
        yield chance.uniform(0, 73), "snoopy", "bastion", "", line, ""
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
    agent = f'{ATTACKER} - - "GET / HTTP/1.1" 200 12 "-" "</code><img src=x onerror=alert(1)>"'
    yield 12.1, "apache", "shop", DESK, agent, "success"


def _event(number: int, second: float, module: str, host: str, ip: str, line: str, outcome: str) -> Event:
    event: Event = {
        "@timestamp": at(second),
        "event.id": f"e{number}",
        "event.module": module,
        "host.name": host,
        "event.original": line,
    }
    extra = {"source.ip": ip, "event.outcome": outcome}
    return {**event, **{field: value for field, value in extra.items() if value}}


def alerts() -> list[Alert]:
    """What was raised."""
    seen = sorted(events(), key=lambda it: int(str(it["@timestamp"])))
    return [_alert(number, seen, *it) for number, it in enumerate(_RAISED)]


def _alert(
    number: int, seen: list[Event], raised: float, title: str, level: Level, technique: str,
    step: int | None, count: int,
) -> Alert:  # fmt: skip
    module = (
        "apache" if step is None else "sshd" if step in {3, 4} else "snoopy" if step in {0, 5} else "suricata"
    )
    before = [it for it in seen if it["event.module"] == module and int(str(it["@timestamp"])) < at(raised)]
    evidence = before[-count:]
    return Alert(
        id=f"a{number:03}",
        engine="suricata" if module == "suricata" else "sigma",
        rule_id=f"5f1c0e2a-0000-4000-8000-{number:012}",
        rule_hash=f"{number + 11:064x}",
        title=title,
        level=level,
        techniques=(technique,) if technique else (),
        first_event=Moment(int(str(evidence[0]["@timestamp"]))),
        ingested=at(raised - 0.3),
        raised=at(raised),
        entities={
            "host.name": (str(evidence[0]["host.name"]),),
            "source.ip": (DESK if step is None else ATTACKER,),
        },
        event_ids=tuple(str(it["event.id"]) for it in evidence),
        evidence_count=count,
    )


def score() -> Score:
    """The score, made by hand."""
    return Score(
        run=header().id,
        rules=header().rules,
        steps=tuple(_step(place, *it) for place, it in enumerate(_STEPS, 1)),
        visibility=share(6, 7, 0.49, 0.97),
        recall=share(5, 7, 0.36, 0.92),
        precision=share(9, 10, 0.6, 0.98),
        raw_precision=share(24, 25, 0.8, 0.99),
        false_positives=Rate(count=1, hours=0.02, value=50, low=1.3, high=278.6),
        false_alerts=("a000",),
        ignored_alerts=(f"a{len(_RAISED) - 1:03}",),
        time_to_detect=Delay(observed=5, censored=2, median=0.9, p90=None),
        steps_before_first_alert=0,
        floors=(
            Floor(policy="never alerts", recall=share(0, 7, 0, 0.35), precision=_nothing()),
            Floor(
                policy="alerts on everything",
                recall=share(6, 7, 0.49, 0.97),
                precision=share(6, 60, 0.05, 0.2),
            ),
        ),
        summary=71.4,
    )


def _nothing() -> Share:
    return Share(hits=0, total=0, value=None, low=None, high=None)


def _step(
    place: int, name: str, technique: str, start: float, end: float, verdict: Verdict,
    modifiers: tuple[Modifier, ...], reason: str,
) -> StepScore:  # fmt: skip
    del start, end
    mine = [(number, it) for number, it in enumerate(_RAISED) if it[4] == place]
    found = bool(mine)
    return StepScore(
        step=f"{place}-step",
        name=name,
        technique=technique,
        verdict=verdict,
        modifiers=modifiers,
        reason=reason or f"{mine[0][1][1]} named the step.",
        events=0 if verdict in {"no_telemetry", "no_effect"} else 3 * place,
        alerts=tuple(f"a{number:03}" for number, _ in mine),
        rules=tuple(sorted({it[1] for _, it in mine})),
        time_to_detect=(11.0 if place == 3 else 0.6 + place / 10) if found else None,
        sensor_delay=0.2 + place / 50 if found else None,
        evaluation_delay=0.4 + place / 100 if found else None,
    )


def sight() -> Sight:
    """What was watched."""
    return Sight(
        collected=(
            Collection(source="apache", host="shop", path="/var/log/apache2/access.log", read=423, parsed=421, unparsed=0),
            Collection(source="snoopy", host="bastion", path="/var/log/exec.log", read=180, parsed=180, unparsed=0),
            Collection(source="snoopy", host="shop", path="/var/log/exec.log", read=124, parsed=124, unparsed=0),
            Collection(source="sshd", host="bastion", path="/var/log/auth.log", read=80, parsed=79, unparsed=1),
            Collection(source="suricata", host="sensor", path="/var/log/suricata/eve.json", read=1200, parsed=1200, unparsed=0),
        ),
        notes=("2026-11-23T21:55:10Z shop /var/log/exec.log: the container stopped; nothing of it is seen from here on",),
    )  # fmt: skip
