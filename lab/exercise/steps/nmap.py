"""Scan with Nmap on a node of the lab; python-nmap reads the result. Only importer of nmap."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import nmap

from lab.engine.shell import Completed
from lab.errors import OutOfScope
from lab.exercise.place import Place
from lab.exercise.steps.base import Outcome, outputs
from lab.files.declared import Fault

_FORBIDDEN: Final = (
    "-iL",
    "-iR",
    "--resume",
    "--proxies",
    "-oA",
    "-oG",
    "-oN",
    "-oS",
    "-oX",
    "-sI",
    "-b",
    "-D",
    "-S",
)
"""Options that name other hosts, pretend to be one, or write files where results are expected."""


class _Results(nmap.PortScanner):  # type: ignore[misc]  # python-nmap has no types
    """python-nmap's reader of results without its search for a program on this machine.

    Nmap runs on the attacker's node; what is needed here is only what comes back.
    """

    def __init__(self) -> None:  # the base class would start nmap here
        self._scan_result: dict[str, object] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Nmap:
    """A scan of one target."""

    kind: ClassVar[str] = "nmap"
    remedy: ClassVar[str] = "write  nmap: {target: bastion}"

    target: str
    """Node, network, address or block."""

    ports: str = ""
    """Ports as Nmap writes them, `1-1024`; empty for none or Nmap's choice."""

    arguments: str = ""
    """Further options, as on a command line; hosts among them are refused."""

    def faults(self) -> Iterator[Fault]:
        """Find options that would aim elsewhere than at the target."""
        try:
            words = shlex.split(self.arguments)
        except ValueError as error:
            said = f"nmap's arguments cannot be read: {error}"
            yield Fault(key="arguments", what=said, remedy="close the quotes")
            return
        for said in _aimed_elsewhere(words):
            yield Fault(key="arguments", what=said, remedy="use target and ports")

    def act(self, place: Place) -> Outcome:
        """Scan."""
        address = place.resolve(self.target).address
        options = self._options(place)
        argv = ("nmap", "-oX", "-", *(("-p", self.ports) if self.ports else ()), *options, address)
        ran = place.run(argv, targets=(self.target,))
        return Outcome(
            completed=ran.completed,
            command_line=shlex.join(argv),
            targets=ran.targets,
            registered={**outputs(ran.completed), "hosts": read_results(ran.completed)},
        )

    def _options(self, place: Place) -> tuple[str, ...]:
        """Return the further options; a template may have brought some that the file did not show.

        Raises:
            OutOfScope: they would aim elsewhere.
        """
        try:
            words = tuple(shlex.split(self.arguments))
            said = next(_aimed_elsewhere(words), "")
        except ValueError as error:
            said = f"nmap's arguments cannot be read: {error}"
        if said:
            raise OutOfScope(self.arguments, lab=place.node.lab, why=said)
        return words


def _aimed_elsewhere(words: Iterable[str]) -> Iterator[str]:
    """Say which options name hosts, or could."""
    for word in words:
        if word.startswith(_FORBIDDEN):
            yield f"nmap's option {word} is not allowed in arguments"
        elif not word.startswith("-") and not word.replace(",", "").isdecimal() and "{{" not in word:
            yield f"{word!r} in nmap's arguments could name a host"


def _services(host: Mapping[str, Mapping[int, Mapping[str, str]]]) -> Iterator[dict[str, object]]:
    """Yield what is open on a host, with what Nmap says it is."""
    for protocol in ("tcp", "udp"):
        for port, it in sorted(host.get(protocol, {}).items()):
            if it["state"] == "open":
                said = {name: it[name] for name in ("name", "product", "version", "extrainfo")}
                yield {"port": port, "protocol": protocol, **said}


def read_results(completed: Completed) -> list[dict[str, object]]:
    """Return the hosts that answered: address, open TCP ports, and what listens where in which version."""
    results = _Results()
    try:
        results.analyse_nmap_xml_scan(completed.stdout.decode("utf-8", "replace"))
    except nmap.PortScannerError:
        return []
    return [
        {
            "address": host,
            "ports": [it for it in results[host].all_tcp() if results[host]["tcp"][it]["state"] == "open"],
            "services": list(_services(results[host])),
        }
        for host in results.all_hosts()
        if results[host].state() == "up"
    ]
