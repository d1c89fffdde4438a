"""The logs we read: one module a log, each listed here by hand."""

from __future__ import annotations

from typing import Final

from lab.errors import NotFound
from lab.moment import Moment
from lab.telemetry.event import Line, Source, Unparsed
from lab.telemetry.lines import cut, plain
from lab.telemetry.sources.apache import ApacheAccess, ApacheError
from lab.telemetry.sources.auditd import Auditd
from lab.telemetry.sources.dnsmasq import Dnsmasq
from lab.telemetry.sources.ecs import Ecs
from lab.telemetry.sources.journal import Journal
from lab.telemetry.sources.nginx import NginxError
from lab.telemetry.sources.snoopy import Snoopy
from lab.telemetry.sources.suricata import Suricata
from lab.telemetry.sources.syslog import AuthLog, Syslog
from lab.telemetry.sources.winlog import Winlog
from lab.telemetry.sources.zeek import Zeek


def _by_name(*makers: type[Source]) -> dict[str, type[Source]]:
    """Index the sources; two of one name would hide each other."""
    named = {maker.name: maker for maker in makers}
    if len(named) < len(makers):
        raise ValueError("two sources have the same name")
    return named


SOURCES: Final = _by_name(
    ApacheAccess,
    ApacheError,
    Auditd,
    AuthLog,
    Dnsmasq,
    Ecs,
    Journal,
    NginxError,
    Snoopy,
    Suricata,
    Syslog,
    Winlog,
    Zeek,
)
"""Every source by the name that `node.yml` and `lab import --as` use."""


MODULES: Final = tuple(sorted({*SOURCES, "accounts", "cron", "logind", "nginx", "su", "sudo", "sysmon"}))
"""Every value that `event.module` can have: a syslog has lines of many programs."""


def kind_of(head: bytes, *, path: str) -> str:
    """Tell which source reads a file, by how it begins; empty when none does.

    Args:
        head: Whole lines of it.
        path: What it is called.
    """
    texts = plain(cut(head[:_LOOKED_AT]))[:_LINES_LOOKED_AT]
    said = [(number, text) for number, text in enumerate(texts, 1) if text.strip()]
    best, name = 0, ""
    for maker in _TRIED:
        source = maker()
        read = sum(_reads(source, number, text, path) for number, text in said)
        if read > best:
            best, name = read, maker.name
    return name


def _reads(source: Source, number: int, text: str, path: str) -> bool:
    line = Line(text=text, host="", path=path, number=number, created=Moment.now())
    try:
        source.parse(line)
    except Unparsed:
        return False
    return True


_LOOKED_AT: Final = 256 * 1024
_LINES_LOOKED_AT: Final = 100
_TRIED: Final = (
    *(Suricata, Zeek, Winlog, Journal, Ecs),
    *(Auditd, NginxError, ApacheError, ApacheAccess, Dnsmasq, Syslog, Snoopy),
)
"""In this order, of which the first wins where several read the same lines; snoopy's goes on over lines."""


def source_named(name: str) -> Source:
    """Make a source for one file.

    Raises:
        NotFound: no source has that name; says which there are.
    """
    if name not in SOURCES:
        raise NotFound("log source", name=name, known=tuple(sorted(SOURCES)))
    return SOURCES[name]()
