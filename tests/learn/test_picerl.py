"""A response, part by part: what makes it good, what makes it bad, and that words alone make nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from lab.engine.outside import Difference
from lab.exercise.respond.aftermath import Aftermath, Again, Artefact
from lab.exercise.respond.probing import Probe, Side
from lab.exercise.truth import Party, Truth
from lab.learn.grade import Grade, grade
from lab.learn.picerl import grade_response
from lab.learn.response import Judged, Material, Part, Proof, Response, Taken
from lab.learn.timeline import Noted
from lab.moment import SECOND, Moment
from lab.runs.case import CaseEntry, Frozen, closing, frozen, new_finding, opened_with
from lab.runs.response import Acted, acts
from lab.runs.response import Response as Line
from lab.score.measures import score_run

BEGUN: Final = Moment(1_800_000_000 * SECOND)


def at(seconds: float) -> Moment:
    return Moment(BEGUN + round(seconds * SECOND))


def step(name: str, technique: str, seconds: float, target: str, user: str = "") -> Truth:
    return Truth(
        run="r", step=name, name=name, label="attack", technique=technique, start=at(seconds),
        end=at(seconds + 1), occurred=True, sources=(Party(node="attacker", addresses=("10.0.0.9",)),),
        targets=(Party(node=target, addresses=("10.0.0.2",)),), users=(user,) if user else (),
    )  # fmt: skip


TRUTH: Final = (
    step("1-shell", "T1505.003", 10, "shop"),
    step("2-log-in", "T1078.003", 20, "gateway", "jens"),
    replace(step("3-nothing", "T1003.008", 30, "files"), occurred=False),
)
SHOWS: Final = {"e1": frozenset({"1-shell"}), "e2": frozenset({"2-log-in"}), "try": frozenset[str]()}

FINDINGS: Final = (
    new_finding(host="shop", technique="T1505.003", address="10.0.0.9", when=at(10), events=("e1",)),
    new_finding(host="gateway", account="jens", technique="T1078.003", when=at(20), events=("e2",)),
)


def case(*entries: CaseEntry) -> Frozen:
    every = (opened_with(("a1",)), *entries)
    return frozen((*every, closing(every)))


def probe(way: str, seconds: float, *, side: Side = "attacker", is_open: bool) -> Probe:
    return Probe(way=way, side=side, start=at(seconds), end=at(seconds + 0.5), open=is_open)


def act(action: str, node: str, seconds: float, **arguments: tuple[str, ...]) -> Acted:
    line = Line(
        id=f"{action}{seconds}", at=at(seconds), state="begun", action=action, node=node, arguments=arguments
    )
    return acts([line, replace(line, at=at(seconds + 1), state="done")])[0]


def plan(seconds: float) -> Acted:
    line = Line(id="p", at=at(seconds), state="done", action="plan", said="playbook 'x' was handed in")
    return acts([line])[0]


PROBES: Final = (
    *(probe("shell", 12 + it, is_open=it < 30) for it in range(0, 60, 3)),
    *(probe("key", 22 + it, is_open=it < 20) for it in range(0, 50, 3)),
    *(probe("shop works", 12 + it, side="people", is_open=True) for it in range(0, 60, 3)),
)

AFTER: Final = Aftermath(
    at=at(80),
    artefacts=(
        Artefact(step="1-shell", node="shop", path="/srv/x.php", gone=True),
        Artefact(step="2-log-in", node="gateway", path="/tmp/.t/id", gone=True),
    ),
    before={"shop": (Difference(path="/var/lib/s/one", how="added"),)},
    after={
        "shop": (
            Difference(path="/var/lib/s/one", how="added"),
            Difference(path="/var/lib/s/two", how="added"),
        )
    },
    again=(Again(step="1-shell", name="1-shell", occurred=False),),
)


def timeline(case: Frozen) -> Grade | None:
    noted = [
        Noted(line=1, time=it.when, technique=it.technique, indicators=(it.host,))
        for it in case.entries
        if it.sort == "finding" and it.when
    ]
    score = score_run(run="r", truth=TRUTH, alerts=(), events=(), clocks=(), rules={}, observed_until=at(90))
    return grade("r", BEGUN, noted, TRUTH, score) if noted else None


def good() -> Material:
    """Make a response that leaves nothing to be wished for."""
    written = case(*FINDINGS)
    return Material(
        run="r",
        started=BEGUN,
        truth=TRUTH,
        attackers=frozenset({"attacker"}),
        planted=frozenset({"shell"}),
        first_alert=at(10.5),
        acknowledged=at(14.5),
        case=written,
        acts=(plan(-5), act("block", "shop", 40), act("remove", "shop", 45, path=("/srv/x.php",))),
        probes=PROBES,
        aftermath=AFTER,
        evidence=(
            Taken(node="shop", at=at(35), whole=True),
            Taken(node="gateway", at=at(37), whole=True),
        ),
        shows=SHOWS,
        timeline=timeline(written),
        proofs=(
            Proof(run="r", same_seed=True, true=2, false=0),
            Proof(run="s", same_seed=False, true=1, false=0),
        ),
    )


def judged(material: Material, part: Part) -> Judged:
    return next(it for it in grade_response(material).parts if it.part == part)


def test_a_good_response_is_good_in_every_part() -> None:
    found = grade_response(good())
    assert [it.value for it in found.parts] == [1.0] * 7
    assert found.reasons.value == 1.0
    assert found.notes == ()
    assert (found.times.acknowledge, found.times.contain, found.times.recover) == (4.0, 33.0, 33.0)


def test_nothing_comes_of_nothing() -> None:
    idle = replace(
        good(), case=frozen(()), acts=(), acknowledged=None, evidence=(), timeline=None, proofs=(),
        probes=tuple(replace(it, open=True) for it in PROBES),
        aftermath=replace(
            AFTER, artefacts=tuple(replace(it, gone=False) for it in AFTER.artefacts),
            again=(replace(AFTER.again[0], occurred=True),),
        ),
    )  # fmt: skip
    found = grade_response(idle)
    assert {it.part: it.value for it in found.parts} == dict(found.floors[0].parts)
    assert all(it.value == 0 for it in found.parts)
    assert (found.times.acknowledge, found.times.contain, found.times.recover) == (None, None, None)


Change = Callable[[Material], Material]


def with_case(*entries: CaseEntry) -> Change:
    return lambda it: replace(it, case=case(*entries), timeline=timeline(case(*entries)))


def with_probes(change: Callable[[Probe], bool]) -> Change:
    return lambda it: replace(it, probes=tuple(replace(p, open=change(p)) for p in it.probes))


def with_second(*, gone: bool | None) -> Change:
    left = (AFTER.artefacts[0], replace(AFTER.artefacts[1], gone=gone))
    return lambda it: replace(it, aftermath=replace(AFTER, artefacts=left))


def with_odd(path: str) -> Change:
    after = {**AFTER.after, "gateway": (Difference(path=path, how="added"),)}
    return lambda it: replace(it, aftermath=replace(AFTER, after=after))


def shown_by(event: str) -> Change:
    return with_case(replace(FINDINGS[0], events=(event,)), FINDINGS[1])


WORSE: Final[dict[str, tuple[Part, Change, float, str]]] = {
    "no plan": ("preparation", lambda it: replace(it, acts=it.acts[1:]), 0.0, "no playbook"),
    "a plan that came later": (
        "preparation", lambda it: replace(it, acts=(plan(15), *it.acts[1:])), 0.5, "5 s after the attack",
    ),
    "everything named": (
        "identification",
        with_case(*FINDINGS, *(new_finding(host=it, events=("e1",)) for it in ("post", "dns", "files"))),
        0.8, "host dns was none",
    ),
    "named, and no event": (
        "identification", with_case(*(replace(it, events=()) for it in FINDINGS)), 0.0, "no event was given",
    ),
    "shown by the event of another step": ("identification", shown_by("e2"), 0.667, "host shop: no event"),
    "shown by ordinary work": ("identification", shown_by("else"), 0.5, "no event was given"),
    "half of it named": ("identification", with_case(FINDINGS[0]), 0.667, "host gateway was not named"),
    "one way left open": (
        "containment", with_probes(lambda it: it.open or it.way == "key"), 0.5, "still open: key",
    ),
    "one way open again": (
        "containment",
        lambda it: replace(it, probes=(*it.probes, probe("key", 90, is_open=True))),
        0.5, "still open: key",
    ),
    "people shut out": (
        "containment",
        with_probes(lambda it: it.open and not (it.side == "people" and it.start > at(40))),
        0.0,
        "",
    ),
    "nothing taken of one": ("evidence", lambda it: replace(it, evidence=it.evidence[:1]), 0.5, "of gateway"),
    "taken too late": (
        "evidence",
        lambda it: replace(it, evidence=(replace(it.evidence[0], at=at(50)), it.evidence[1])),
        0.5, "shop was changed before",
    ),
    "not what the manifest says": (
        "evidence",
        lambda it: replace(it, evidence=(replace(it.evidence[0], whole=False), it.evidence[1])),
        0.5, "not what its manifest says",
    ),
    "one thing left": ("eradication", with_second(gone=False), 0.5, "/tmp/.t/id is still on gateway"),
    "nobody could look": ("eradication", with_second(gone=None), 0.5, "/tmp/.t/id is still on gateway"),
    "a difference without a word": ("eradication", with_odd("/etc/odd"), 0.0, "/etc/odd on gateway"),
    "no look at all": ("eradication", lambda it: replace(it, aftermath=None), 0.0, "nobody looked"),
    "the attack succeeds again": (
        "recovery",
        lambda it: replace(it, aftermath=replace(AFTER, again=(replace(AFTER.again[0], occurred=True),))),
        0.0, "succeeds again: 1-shell",
    ),
    "the shop is down": (
        "recovery",
        lambda it: replace(it, probes=(*it.probes, probe("shop works", 99, side="people", is_open=False))),
        0.0, "does not work: shop works",
    ),
    "no timeline": ("lessons learned", lambda it: replace(it, timeline=None), 0.5, "no finding has a time"),
    "no rule": ("lessons learned", lambda it: replace(it, proofs=()), 0.5, "no rule written since"),
    "a rule that cries wolf": (
        "lessons learned",
        lambda it: replace(it, proofs=(replace(it.proofs[0], false=1), it.proofs[1])),
        0.75, "a run with another seed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WORSE)
def test_each_part_falls_by_what_it_is_about(name: str) -> None:
    part, change, value, said = WORSE[name]
    found = judged(change(good()), part)
    assert found.value == pytest.approx(value, abs=0.001)
    assert any(said in it for it in found.missed) or not said


def test_a_difference_that_the_case_explains_is_none() -> None:
    told = replace(new_finding(host="gateway", events=("e2",)), text="/etc/odd is the backup's")
    material = with_odd("/etc/odd/a")(replace(good(), case=case(*FINDINGS, told)))
    assert judged(material, "eradication").value == 1.0


def test_a_case_that_was_changed_since_is_noted() -> None:
    entries = (opened_with(()), *FINDINGS)
    shut = closing(entries)
    material = replace(good(), case=frozen((*entries[:-1], shut)))
    assert grade_response(material).notes == (
        "the case was changed since it was closed: its hash is another",
    )


def test_what_is_written_after_the_case_was_closed_does_not_count() -> None:
    entries = (opened_with(()), FINDINGS[0])
    assert frozen((*entries, closing(entries), FINDINGS[1])).entries == frozen(entries).entries


def test_reasons_are_graded_apart() -> None:
    silent = case(*(replace(it, technique="") for it in FINDINGS))
    found: Response = grade_response(replace(good(), case=silent))
    assert found.reasons.value == 0.0
    assert judged(replace(good(), case=silent), "identification").value > 0.7


def test_to_reset_everything_is_a_floor_and_no_plan() -> None:
    floors = {it.name: it.parts for it in grade_response(good()).floors}
    assert floors["reset everything at once"]["containment"] == 0.5, "the key opens the new node as well"
    assert floors["reset everything at once"]["eradication"] == 1.0
    assert floors["reset everything at once"]["evidence"] == 0.0


def test_an_attack_that_never_got_in_is_contained() -> None:
    shut = tuple(replace(it, open=it.side == "people") for it in PROBES)
    assert judged(replace(good(), probes=shut), "containment").value == 1.0
