"""People in the lab: how their day is to be, told before a run, and what they did, read after it.

They write down what they do in a folder of their own (`people` of their kind's `node.yml`). No log has it, so
detection never sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from lab.engine.nodes import RunningLab, SeenNode
from lab.errors import LabError
from lab.exercise.place import Place
from lab.exercise.recorder import Recorder, party
from lab.exercise.truth import Truth
from lab.exercise.written import People
from lab.files import records
from lab.inventory.definition import Lab
from lab.moment import SECOND, Moment

_ORDER: Final = 'cat >"$1/orders.new" && : >"$1/done.jsonl" && mv "$1/orders.new" "$1/orders.json"'
_LARGEST: Final = 4 * 2**20
"""Bytes read of what somebody wrote down: hours of it, and no more than that of an attacker's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Orders:
    """How a day is to be, as a person takes it: what is None stays as the node was made."""

    ordered: int
    seed: str
    length: float
    intensity: float
    pace: float
    character: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """A line of what somebody wrote down: one when they begin something, one when it is done."""

    name: str
    kind: str
    suspicious: bool
    ordered: int | None = None
    start: int | None = None
    end: int | None = None
    failed: str = ""


class Household:
    """The people of one lab."""

    def __init__(
        self, lab: Lab, running: RunningLab, open_door: Callable[[SeenNode], Place], recorder: Recorder
    ) -> None:
        self._homes = {it.name: it.kind for it in lab.nodes if it.kind.people}
        self._nodes = tuple(it for it in running.nodes if it.name in self._homes and it.state == "running")
        self._door = open_door
        self._recorder = recorder

    def begin(self, people: People, seed: int) -> None:
        """Let everybody begin a day.

        Raises:
            LabError: somebody could not be told.
        """
        for node in self._nodes:
            kind = self._homes[node.name]
            orders = records.to_json(_orders(people, seed, node.name)).encode()
            self._door(node).run(
                ("sh", "-c", _ORDER, "sh", kind.people), user=kind.user, stdin=orders, packed=()
            )

    def write_down(self) -> None:
        """Write into truth what everybody did since."""
        for node in self._nodes:
            for it in sorted(self._done(node), key=lambda it: it.start):
                self._recorder.write(it)

    def _done(self, node: SeenNode) -> Iterator[Truth]:
        kind = self._homes[node.name]
        try:
            ran = self._door(node).run(
                ("tail", "-c", str(_LARGEST), f"{kind.people}/done.jsonl"), user=kind.user
            )
        except LabError:
            return  # it died; what its person did up to then is in the logs alone
        found: dict[str, _Said] = {}
        for line in ran.completed.stdout.split(b"\n"):
            said = _read(line)
            if said and said.start is not None:
                found[said.name] = said
            elif said and said.end is not None and said.name in found:
                yield self._truth(node, found.pop(said.name), said)
        for begun in found.values():
            yield self._truth(node, begun, None)

    def _truth(self, node: SeenNode, begun: _Said, ended: _Said | None) -> Truth:
        now = Moment.now()
        return Truth(
            run=self._recorder.run,
            step=f"0-{node.name}-{begun.name}",
            name=begun.kind.replace("-", " "),
            label="benign",
            action=begun.kind,
            suspicious=begun.suspicious,
            start=Moment(begun.start or now),
            end=Moment(ended.end or now) if ended else now,
            occurred=None if ended is None else not ended.failed,
            reason=ended.failed if ended else "under way when the run ended",
            sources=(party(node),),
        )


def _orders(people: People, seed: int, node: str) -> _Orders:
    return _Orders(
        ordered=int(Moment.now()),
        seed=f"{seed}-{node}",
        length=people.day / SECOND,
        intensity=people.intensity,
        pace=people.pace,
        character=people.cast.get(node),
    )


def _read(line: bytes) -> _Said | None:
    try:
        return records.from_json(line, _Said)
    except ValueError:
        return None  # torn, or an attacker's
