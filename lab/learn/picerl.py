"""A response graded by what became true in the lab, in the order of SANS' PICERL. Pure.

Nothing here rests on what somebody says of their work: ways in were tried, files were looked for, events are
those of the attack, a manifest has the hashes that it says. What was named, and why, are graded apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from lab.exercise.respond.aftermath import Aftermath
from lab.exercise.respond.probing import Probe
from lab.learn.grade import Grade
from lab.learn.named import Named, ratio, what_there_was
from lab.learn.response import Floor, Judged, Material, Part, Proof, Response, Times
from lab.moment import SECOND, Moment
from lab.runs.response import Acted

_ACCOUNTS: Final = re.compile(r"^/etc/(passwd|shadow|group|gshadow|subuid|subgid)-?$")
"""The files in which accounts are kept, and what they were before: a change of one is a change of most."""

DESTRUCTIVE: Final = frozenset({"lock", "kill", "remove", "restore"})
"""Acts that change what evidence would show."""


def grade_response(material: Material) -> Response:
    """Grade a response."""
    named = Named.of(material)
    parts = (
        _preparation(material),
        named.judged(),
        _containment(material),
        _evidence(material),
        _eradication(material),
        _recovery(material),
        _lessons(material),
    )
    changed = "the case was changed since it was closed: its hash is another"
    return Response(
        run=material.run,
        parts=parts,
        reasons=named.reasons(),
        times=_times(material),
        floors=_floors(material),
        notes=() if material.case.untouched else (changed,),
    )


# -- preparation -------------------------------------------------------------------------------------


def _preparation(material: Material) -> Judged:
    """A plan that could be read, before there was anything to plan for."""
    plans = [it for it in material.acts if it.begun.action == "plan"]
    begun = min((it.start for it in material.truth if it.label == "attack"), default=None)
    if not plans:
        return Judged(part="preparation", value=0.0, told=(), missed=("no playbook was handed in",))
    first = plans[0].begun
    if begun is not None and first.at > begun:
        late = f"the playbook came {(first.at - begun) / SECOND:.0f} s after the attack began"
        return Judged(part="preparation", value=0.5, told=("a playbook was handed in",), missed=(late,))
    return Judged(part="preparation", value=1.0, told=(f"{first.said}, before the attack",))


# -- containment -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Course:
    """How one way went, as it was tried."""

    way: str
    tries: tuple[Probe, ...]

    @property
    def was_open(self) -> bool:
        """Whether it ever led where it is to lead."""
        return any(it.open for it in self.tries)

    @property
    def shut_at(self) -> Moment | None:
        """When a try first showed that it is shut for good; None while it is open."""
        place = max((place for place, it in enumerate(self.tries) if it.open), default=-1)
        after = self.tries[place + 1 :]
        return after[0].end if after else None


def _courses(material: Material, side: str) -> tuple[_Course, ...]:
    found: dict[str, list[Probe]] = {}
    for it in sorted(material.probes, key=lambda it: it.start):
        if it.side == side and not it.then:
            found.setdefault(it.way, []).append(it)
    return tuple(_Course(way=way, tries=tuple(tries)) for way, tries in found.items())


def _people(material: Material) -> tuple[_Course, ...]:
    """Return what people had: what never worked, nobody misses."""
    return tuple(it for it in _courses(material, "people") if it.was_open)


def _ways(material: Material) -> tuple[_Course, ...]:
    """Return the ways in that the attacker ever had."""
    return tuple(it for it in _courses(material, "attacker") if it.was_open)


def _containment(material: Material) -> Judged:
    """Each way that was open, and is shut; times how well people went on being served meanwhile."""
    ways, open_for = _ways(material), _served(material)
    shut = [it for it in ways if it.shut_at]
    if not ways:
        return Judged(part="containment", value=1.0, told=("the attacker never had a way in",))
    value = round(ratio(len(shut), len(ways)) * open_for, 3)
    told = (
        f"{len(shut)} of {len(ways)} ways in are shut, each open before and tried after",
        f"people were served in {open_for:.0%} of their tries meanwhile",
    )
    missed = tuple(f"still open: {it.way}" for it in ways if not it.shut_at)
    return Judged(part="containment", value=value, told=told, missed=missed)


def _first_act(material: Material) -> Moment | None:
    return min((it.begun.at for it in material.acts if it.begun.action != "plan"), default=None)


def _served(material: Material) -> float:
    """Return the share of people's tries that led somewhere since the first act, of what worked before it."""
    begun = _first_act(material)
    if begun is None:
        return 1.0
    tries = [it for course in _people(material) for it in course.tries if _worked(course, begun)]
    since = [it for it in tries if it.start >= begun]
    return ratio(sum(it.open for it in since), len(since)) if since else 1.0


def _worked(course: _Course, begun: Moment) -> bool:
    before = [it for it in course.tries if it.end <= begun]
    return not before or any(it.open for it in before)


# -- evidence ----------------------------------------------------------------------------------------


def _evidence(material: Material) -> Judged:
    """Of each node that the attack came to, something whole that was taken before it was changed."""
    true, _ = what_there_was(material)
    victims = sorted(which for what, which in true if what == "host")
    good, missed = 0, []
    for node in victims:
        mine = [it for it in material.evidence if it.node == node]
        changed = min((it.begun.at for it in material.acts if _destroys(it, node)), default=None)
        if not mine:
            missed.append(f"nothing was taken of {node}")
        elif not any(it.whole for it in mine):
            missed.append(f"what was taken of {node} is not what its manifest says")
        elif changed is not None and not any(it.whole and it.at <= changed for it in mine):
            missed.append(f"{node} was changed before anything was taken of it")
        else:
            good += 1
    told = (
        f"of {good} of {len(victims)} nodes that the attack came to there is evidence from before any change"
    )
    value = round(ratio(good, len(victims)), 3)
    return Judged(part="evidence", value=value, told=(told,), missed=tuple(missed))


def _destroys(act: Acted, node: str) -> bool:
    return act.begun.node == node and act.begun.action in DESTRUCTIVE


# -- eradication -------------------------------------------------------------------------------------


def _eradication(material: Material) -> Judged:
    """What the attack planted is gone; times how much of what is not as baked is explained."""
    after = material.aftermath
    if after is None:
        return Judged(part="eradication", value=0.0, told=(), missed=("nobody looked what is left",))
    gone = [it for it in after.artefacts if it.gone]
    different, explained = _differences(material, after)
    clear = ratio(len(gone), len(after.artefacts)) if after.artefacts else 1.0
    known = ratio(len(explained), len(different)) if different else 1.0
    told = (
        f"{len(gone)} of {len(after.artefacts)} things that the attack had put there are gone",
        f"{len(explained)} of {len(different)} paths that are not as baked are explained",
    )
    missed = [f"{it.path} is still on {it.node}" for it in after.artefacts if not it.gone]
    missed += [f"{path} on {node} is different, and nobody says why" for node, path in different - explained]
    value = round(clear * known, 3)
    return Judged(part="eradication", value=value, told=told, missed=tuple(sorted(missed)))


_Path = tuple[str, str]
"""A node and a path on it."""


def _differences(material: Material, after: Aftermath) -> tuple[frozenset[_Path], frozenset[_Path]]:
    """Return the paths that differ since the attack began, and those of them that are explained.

    A path needs no explanation when its folder got new files before the attack as well, as mail and sessions
    do, or when it is a folder that differs by what is in it. It is explained when the case names it, or a
    folder above it, or when a response was done to it.
    """
    written = "\n".join(it.text for it in material.case.entries)
    every, explained = set[_Path](), set[_Path]()
    for node, found in after.after.items():
        before = {it.path for it in after.before.get(node, ())}
        busy = {_folder(it.path) for it in after.before.get(node, ()) if it.how == "added"}
        new = {it.path for it in found} - before
        telling = {it for it in new if not any(other.startswith(f"{it}/") for other in new)}
        done = [path for it in material.acts if it.begun.node == node for path in _paths(it)]
        for path in telling:
            ours = PurePosixPath(path).name in material.ours
            if ours or _folder(path) in busy or path.startswith("/var/log/"):
                continue
            named = _ACCOUNTS.sub("/etc/passwd", path)
            every.add((node, named))
            if named in done or any(str(it) in written for it in _itself_and_above(named)):
                explained.add((node, named))
    return frozenset(every), frozenset(explained)


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _itself_and_above(path: str) -> list[PurePosixPath]:
    """Return a path and the folders above it, but for those of the first level."""
    whole = PurePosixPath(path)
    return [it for it in (whole, *whole.parents) if len(it.parts) > 2]  # noqa: PLR2004  # "/" and "etc"


def _paths(act: Acted) -> tuple[str, ...]:
    if act.begun.action == "lock":
        return ("/etc/passwd",)
    return act.begun.arguments.get("path", ())


# -- recovery ----------------------------------------------------------------------------------------


def _recovery(material: Material) -> Judged:
    """People are served at the end, and the attack, played once more, fails."""
    served = _people(material)
    works = [it for it in served if it.tries[-1].open]
    again = material.aftermath.again if material.aftermath else ()
    failed = [it for it in again if not it.occurred]
    held = ratio(len(failed), len(again))
    value = round((ratio(len(works), len(served)) if served else 1.0) * held, 3)
    told = (
        f"{len(works)} of {len(served)} things that people need work at the end",
        f"{len(failed)} of {len(again)} steps by which the attacker came in fail, played once more",
    )
    missed = [f"does not work: {it.way}" for it in served if not it.tries[-1].open]
    missed += [f"succeeds again: {it.name}" for it in again if it.occurred]
    return Judged(part="recovery", value=value, told=told, missed=tuple(missed))


# -- lessons learned ---------------------------------------------------------------------------------


def _lessons(material: Material) -> Judged:
    """Half for a timeline that tells what happened, half for a rule that finds it, here and elsewhere."""
    line, told_of_line = _timeline(material.timeline)
    rule, told_of_rule = _rule(material.proofs)
    wanting = [it for it, value in ((told_of_line, line), (told_of_rule, rule)) if value < 1]
    return Judged(
        part="lessons learned",
        value=round((line + rule) / 2, 3),
        told=(told_of_line, told_of_rule),
        missed=tuple(wanting),
    )


def _timeline(found: Grade | None) -> tuple[float, str]:
    if found is None:
        return 0.0, "no finding has a time"
    recall, precision = found.recall.value or 0.0, found.precision.value or 0.0
    value = 2 * recall * precision / (recall + precision) if recall + precision else 0.0
    said = f"the findings with a time tell {found.recall.hits} of {found.recall.total} steps"
    return value, f"{said}, and {found.precision.hits} of {found.precision.total} of them are steps"


def _rule(proofs: Iterable[Proof]) -> tuple[float, str]:
    good = [it for it in proofs if it.true and not it.false]
    here, elsewhere = any(it.same_seed for it in good), any(not it.same_seed for it in good)
    value = here / 2 + elsewhere / 2
    where = [name for name, holds in (("this run", here), ("a run with another seed", elsewhere)) if holds]
    if not where:
        return value, "no rule written since finds the attack without a false alarm"
    return value, f"a rule written since finds the attack in {' and '.join(where)}, without a false alarm"


# -- times and floors --------------------------------------------------------------------------------


def _times(material: Material) -> Times:
    first = material.first_alert
    ways = _ways(material)
    shut = [it.shut_at for it in ways]
    contained = max((it for it in shut if it), default=None) if all(shut) else None
    return Times(
        acknowledge=_since(first, material.acknowledged),
        contain=_since(first, contained),
        recover=_since(first, _recovered(material, contained)),
    )


def _recovered(material: Material, contained: Moment | None) -> Moment | None:
    """Return when the last of what people need worked again, once all was shut."""
    courses = _people(material)
    if contained is None or not all(it.tries[-1].open for it in courses):
        return None
    failing = [place for it in courses for place in it.tries if not place.open]
    if not failing:
        return contained
    last = max(it.start for it in failing)
    again = [it.end for course in courses for it in course.tries if it.open and it.start > last]
    return Moment(max(contained, min(again, default=contained)))


def _since(first: Moment | None, then: Moment | None) -> float | None:
    return None if first is None or then is None else round((then - first) / SECOND, 1)


def _floors(material: Material) -> tuple[Floor, ...]:
    """Say what comes of doing nothing, and of making every node anew at the first alert."""
    ways = _ways(material)
    gone = ratio(sum(it.way in material.planted for it in ways), len(ways)) if ways else 1.0
    none: dict[Part, float] = dict.fromkeys(
        ("preparation", "identification", "containment", "evidence", "eradication", "recovery"), 0.0
    )
    none["lessons learned"] = 0.0
    if not ways:
        none["containment"] = 1.0
    anew = {**none, "containment": round(gone, 3), "eradication": 1.0}
    return (Floor(name="do nothing", parts=none), Floor(name="reset everything at once", parts=anew))
