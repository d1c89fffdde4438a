"""Send packets that Scapy makes on the attacker's node, all to one target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from lab.engine.trace import Connection
from lab.exercise.evidence import connections
from lab.exercise.inside import answer_of, argv_of
from lab.exercise.place import Place
from lab.exercise.steps.base import Outcome
from lab.exercise.template import texts_of
from lab.files import records
from lab.files.declared import Fault, Key
from lab.files.loader import Plain

MOST_PACKETS: Final = 1000
"""Packets of one step, whatever a file says."""

_AIMS: Final = frozenset({"dst", "src", "pdst", "psrc", "hwdst", "hwsrc", "chaddr", "giaddr", "yiaddr"})
"""Fields that name an address: the target alone says where packets go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layer:
    """A layer of a packet, and its fields."""

    layer: str
    fields: Mapping[str, Plain]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """What the script inside the node takes."""

    address: str
    packets: tuple[tuple[_Layer, ...], ...]
    count: int
    interval: float
    wait: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    """A packet that came back."""

    summary: str
    load: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Done:
    """What went out and what came back."""

    sent: tuple[Connection, ...]
    answers: tuple[_Answer, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Packet:
    """Packets to one target."""

    kind: ClassVar[str] = "packet"
    remedy: ClassVar[str] = "write  packet: {target: bastion, layers: [TCP: {dport: 22, flags: S}]}"

    target: str
    """The node they go to."""

    layers: tuple[Mapping[str, Plain], ...]
    """The layers above IP, or from IP on, each a Scapy name with its fields: `TCP: {dport: 22, flags: S}`."""

    count: Annotated[int, Key(least=1, most=MOST_PACKETS)] = 1
    """How often."""

    interval: Annotated[float, Key(least=0, most=60)] = 0.0
    """Seconds between two."""

    wait: Annotated[float, Key(least=0.01, most=10)] = 0.5
    """Seconds to wait for an answer."""

    def faults(self) -> Iterator[Fault]:
        """Find layers that are no layers, and fields that would aim elsewhere."""
        for it in self.layers:
            if len(it) != 1:
                yield Fault(key="layers", what=f"{dict(it)!r} is not one layer", remedy=self.remedy)
                continue
            aims = sorted(_AIMS & set(_fields(it)))
            if aims:
                said = f"{' and '.join(aims)} would name an address"
                yield Fault(key="layers", what=said, remedy="target says where packets go")

    def act(self, place: Place) -> Outcome:
        """Send them."""
        asked = _Asked(
            address=place.resolve(self.target).address,
            packets=(tuple(_layer(it) for it in self.layers),),
            count=min(self.count, MOST_PACKETS),
            interval=self.interval,
            wait=self.wait,
        )
        stdin = records.to_json(asked).encode()
        said = tuple(texts_of(tuple(it.fields for it in asked.packets[0])))
        ran = place.run(argv_of("packets"), targets=(self.target,), stdin=stdin, packed=said)
        done = answer_of("packets", ran.completed, _Done)
        shown = "/".join(next(iter(it)) for it in self.layers)
        return Outcome(
            completed=ran.completed,
            command_line=f"{len(done.sent)} x IP/{shown} to {self.target}",
            targets=ran.targets,
            evidence=connections(done.sent, place.node),
            registered={"sent": len(done.sent), "answers": [it.summary for it in done.answers]},
        )


def _layer(written: Mapping[str, Plain]) -> _Layer:
    fields = {key: value for key, value in _fields(written).items() if key not in _AIMS}
    return _Layer(layer=next(iter(written)), fields=fields)


def _fields(written: Mapping[str, Plain]) -> Mapping[str, Plain]:
    given = next(iter(written.values()))
    return given if isinstance(given, dict) else {}
