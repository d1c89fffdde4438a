"""Serve files and take what is sent, on a node of the attacker's, until the run ends."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final

from lab.engine.shell import Completed
from lab.errors import LabError
from lab.exercise.inside import argv_of
from lab.exercise.place import Place
from lab.exercise.steps.base import Outcome
from lab.files import records
from lab.files.declared import Fault, Key
from lab.moment import Moment

_TRIES: Final = 100
"""Looks whether it listens, a tenth of a second apart."""

_Port = Annotated[int, Key(least=0, most=65535)]


class DoesNotListen(LabError):
    """A listener did not come up."""

    def message(self) -> str:
        """Say why that may be."""
        return "nothing listens: is one of the ports taken on that node?"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """What the script inside the node takes."""

    folder: str
    http: int
    dns: int
    tcp: int
    files: Mapping[str, str]
    ready: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Listen:
    """A listener: it sends nothing of its own, answers who asks, and keeps what it is given.

    It writes `http.log`, `dns.log` and `tcp.log` into its folder, and what came into `received/`.
    """

    kind: ClassVar[str] = "listen"
    remedy: ClassVar[str] = "write  listen: {folder: /root/c2, http: 8080, dns: 53}"

    folder: str
    """Where it writes; removed when the run ends."""

    http: _Port = 0
    """Its port for HTTP; 0 for none."""

    dns: _Port = 0
    """Its port for DNS over UDP; 0 for none."""

    tcp: _Port = 0
    """Its port for anything over TCP; 0 for none."""

    files: Mapping[str, str] = field(default_factory=dict)
    """What it serves over HTTP: path without the first slash to content."""

    def faults(self) -> Iterator[Fault]:
        """Find that it would listen nowhere."""
        if not (self.http or self.dns or self.tcp):
            yield Fault(key="http", what="listens on no port", remedy=self.remedy)

    def act(self, place: Place) -> Outcome:
        """Begin to listen."""
        start = Moment.now()
        asked = _Asked(
            folder=self.folder,
            http=self.http,
            dns=self.dns,
            tcp=self.tcp,
            files=self.files,
            ready=f"ready-{int(start)}",  # another than that of a run that was killed
        )
        packed = base64.b64encode(records.to_json(asked).encode()).decode()
        said = (self.folder, *self.files, *self.files.values())
        place.hold((*argv_of("listener"), packed), targets=(), leaves=(self.folder,), packed=said)
        for _ in range(_TRIES):
            if place.run(("test", "-e", f"{self.folder}/{asked.ready}")).completed.code == 0:
                break
            place.pause(0.1)
        else:
            raise DoesNotListen
        done = Completed(argv=("listen",), code=0, stdout=b"", stderr=b"", start=start, end=Moment.now())
        ports = [f"{name} {port}" for name in ("http", "dns", "tcp") if (port := getattr(self, name))]
        return Outcome(completed=done, command_line=f"listen on {', '.join(ports)}")
