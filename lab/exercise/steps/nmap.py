"""Scan with Nmap on a node of the lab; python-nmap reads the result. Only importer of nmap."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import nmap

from lab.engine.shell import Completed
from lab.exercise.steps.base import Outcome, Place, outputs, traffic
from lab.files.loader import Item, Reading

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

    target: str
    """Node, network, address or block."""

    ports: str = ""
    """Ports as Nmap writes them, `1-1024`; empty for none or Nmap's choice."""

    arguments: str = ""
    """Further options, as on a command line; hosts among them are refused."""

    @classmethod
    def from_item(cls, reading: Reading, item: Item) -> Self:
        """Read its arguments, noting every problem."""
        keys = ("target", "ports", "arguments")
        entries = reading.mapping(item, "nmap", keys)
        if "target" not in entries:
            reading.problem(item, "nmap needs a target", "write  nmap: {target: bastion}")
        step = cls(**{key: reading.text(entries[key], key) if key in entries else "" for key in keys})
        for word in _words(reading, item, step.arguments):
            if word.startswith(_FORBIDDEN):
                reading.problem(
                    item, f"nmap's option {word} is not allowed in arguments", "use target and ports"
                )
            elif not word.startswith("-") and not word.replace(",", "").isdecimal() and "{{" not in word:
                reading.problem(
                    item, f"{word!r} in nmap's arguments could name a host", "use target and ports"
                )
        return step

    def texts(self) -> tuple[str, ...]:
        """Return every argument that may hold a template."""
        return (self.target, self.ports, self.arguments)

    def act(self, place: Place) -> Outcome:
        """Scan."""
        target = place.scope.resolve(place.fill(self.target))
        options = shlex.split(place.fill(self.arguments))
        ports = place.fill(self.ports)
        place.scope.check_words(options)
        argv = ("nmap", "-oX", "-", *(("-p", ports) if ports else ()), *options, target.address)
        completed = place.engine.execute(place.source, argv, user="root", timeout=place.timeout)
        return Outcome(
            completed=completed,
            command_line=shlex.join(argv),
            targets=(target,),
            evidence=traffic(place.source, (target,)),
            registered={**outputs(completed), "hosts": read_results(completed)},
        )


def _words(reading: Reading, item: Item, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        reading.problem(item, f"nmap's arguments cannot be read: {error}", "close the quotes")
        return []


def read_results(completed: Completed) -> list[dict[str, object]]:
    """Return the hosts that answered, each with its address and its open TCP ports."""
    results = _Results()
    try:
        results.analyse_nmap_xml_scan(completed.stdout.decode("utf-8", "replace"))
    except nmap.PortScannerError:
        return []
    return [
        {
            "address": host,
            "ports": [it for it in results[host].all_tcp() if results[host]["tcp"][it]["state"] == "open"],
        }
        for host in results.all_hosts()
        if results[host].state() == "up"
    ]
