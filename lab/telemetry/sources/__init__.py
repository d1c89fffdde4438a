"""The logs we read: one module a log, each listed here by hand."""

from __future__ import annotations

from typing import Final

from lab.errors import NotFound
from lab.telemetry.event import Source
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


def source_named(name: str) -> Source:
    """Make a source for one file.

    Raises:
        NotFound: no source has that name; says which there are.
    """
    if name not in SOURCES:
        raise NotFound("log source", name=name, known=tuple(sorted(SOURCES)))
    return SOURCES[name]()
