"""Put a bounded load on a node, so much a second, never more than the caps here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from lab.exercise.inside import answer_of, argv_of
from lab.exercise.place import Place
from lab.exercise.steps.base import Outcome
from lab.files import records
from lab.files.declared import Fault, Key

MOST_A_SECOND: Final = 200
MOST_SECONDS: Final = 60
MOST_BYTES: Final = 1400
"""What no file can exceed; together at most 12,000 connections and 17 MB."""

_BESIDE: Final = 16
"""Connections open at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """What the script inside the node takes."""

    address: str
    port: int
    transport: str
    count: int
    rate: float
    seconds: float
    payload: str
    path: str
    beside: int = _BESIDE


@dataclass(frozen=True, kw_only=True, slots=True)
class _Done:
    """How many got through."""

    sent: int
    answered: int
    refused: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Traffic:
    """A load on one port."""

    kind: ClassVar[str] = "traffic"
    remedy: ClassVar[str] = "write  traffic: {target: shop, port: 80, rate: 20, seconds: 10}"

    target: str
    """The node it is aimed at."""

    port: Annotated[int, Key(least=1, most=65535)]
    """Its port."""

    rate: Annotated[float, Key(least=0.1, most=MOST_A_SECOND)]
    """Connections or datagrams a second."""

    seconds: Annotated[float, Key(least=0.1, most=MOST_SECONDS)]
    """How long."""

    transport: Literal["tcp", "udp", "syn", "http", "slow-header"] = "tcp"
    """What is sent: connections, datagrams, SYN packets that open nothing, requests for `path`, or
    connections that begin a request and never finish it."""

    path: str = "/"
    """What is asked for over `http`."""

    payload: str = ""
    """What each connection or datagram says."""

    def faults(self) -> Iterator[Fault]:
        """Find a payload that no datagram carries."""
        if len(self.payload.encode()) > MOST_BYTES:
            said = f"a payload of {len(self.payload.encode())} bytes is too large"
            yield Fault(key="payload", what=said, remedy=f"{MOST_BYTES} at most")

    def act(self, place: Place) -> Outcome:
        """Send it."""
        rate, seconds = min(self.rate, MOST_A_SECOND), min(self.seconds, MOST_SECONDS, place.timeout)
        asked = _Asked(
            address=place.resolve(self.target).address,
            port=self.port,
            transport=self.transport,
            count=max(1, round(rate * seconds)),
            rate=rate,
            seconds=seconds,
            payload=self.payload[:MOST_BYTES],
            path=self.path,
        )
        stdin = records.to_json(asked).encode()
        ran = place.run(
            argv_of("load"), targets=(self.target,), stdin=stdin, packed=(asked.payload, asked.path)
        )
        done = answer_of("load", ran.completed, _Done)
        return Outcome(
            completed=ran.completed,
            command_line=f"{done.sent} {self.transport} to {self.target}:{self.port} in {seconds:g} s",
            targets=ran.targets,
            registered={"sent": done.sent, "answered": done.answered, "refused": done.refused},
        )
