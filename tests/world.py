"""The starter lab in memory, whose nodes answer as real ones do: for tests of the whole without an engine.

Nothing runs and nothing is sent. What a command would do is scripted: counters grow, files are there, and
what the attack does is written into the nodes' logs, which are followed as real ones are.
"""

from __future__ import annotations

import json
import queue
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from lab.engine.labels import BAKED, BASE
from lab.engine.memory import MemoryEngine
from lab.engine.nodes import RunningLab, SeenNode
from lab.engine.shell import Completed, Stream
from lab.files.workplace import SHIPPED
from lab.inventory.definition import Lab, read_inventory
from lab.moment import Moment
from lab.provision import apply, images
from lab.provision.blueprint import draw
from lab.provision.plan import plan_changes
from tests.support import KINDS

SCAN: Final = """<?xml version="1.0"?><nmaprun scanner="nmap" args="nmap" start="1" version="7.95">
<scaninfo type="syn" protocol="tcp" numservices="1" services="22"/>
<host><status state="up" reason="echo-reply"/><address addr="10.1.0.3" addrtype="ipv4"/>
<ports><port protocol="tcp" portid="22"><state state="open" reason="syn-ack"/><service name="ssh"/></port>
<port protocol="tcp" portid="23"><state state="closed" reason="reset"/></port></ports></host>
<runstats><finished time="2" timestr="x" elapsed="1"/><hosts up="1" down="0" total="1"/></runstats>
</nmaprun>"""
"""What Nmap prints: one host, one open port."""

EVE: Final = "/var/log/suricata/eve.json"

PCAP: Final = b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + b"\0" * 16
"""The head of a capture file."""


class Followed:
    """A log that is being followed: what is written to it comes out, until it is closed."""

    def __init__(self) -> None:
        self._chunks: queue.Queue[bytes | None] = queue.Queue()

    def write(self, chunk: bytes) -> None:
        """Add to it."""
        self._chunks.put(chunk)

    def __iter__(self) -> Iterator[bytes]:
        """Yield what is written."""
        while (chunk := self._chunks.get()) is not None:
            yield chunk

    def close(self) -> None:
        """End it."""
        self._chunks.put(None)


def completed(argv: tuple[str, ...], out: str = "", *, code: int = 0, said: str = "") -> Completed:
    """Make the result of a command."""
    now = Moment.now()
    return Completed(argv=argv, code=code, stdout=out.encode(), stderr=said.encode(), start=now, end=now)


@dataclass
class World:
    """One engine, and what its nodes do."""

    engine: MemoryEngine = field(default_factory=MemoryEngine)
    """Give this one to the command line."""

    found: dict[str, object] = field(default_factory=dict)
    """What the probe of the walls finds beside nothing at all."""

    special: Callable[[SeenNode, tuple[str, ...]], Completed | None] = lambda _node, _argv: None
    """Answers what a test wants answered otherwise."""

    ran: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """Every command, with its node."""

    followed: dict[tuple[str, str], Followed] = field(default_factory=dict)
    """Logs by node and path."""

    captures: list[Followed] = field(default_factory=list)
    """Packets that are being captured."""

    silent: set[tuple[str, str]] = field(default_factory=set)
    """Logs by node and path that say nothing."""

    counters: Counter[str] = field(default_factory=Counter)
    """How often a node was asked for its counters."""

    def __post_init__(self) -> None:
        """Let the engine ask us, and have the images that the starter lab needs."""
        self.engine.answer = self.answer
        self.engine.follow = self.follow
        self.bake(starter())

    def bake(self, lab: Lab) -> None:
        """Have the images of a lab."""
        for recipe in images.recipes(lab.nodes, SHIPPED).values():
            with self.engine.open_baking("scratch:latest", lab="none", role=recipe.kind.name) as node:
                self.engine.commit(node, recipe.tag, {BAKED: "0", BASE: "memory"})

    def stand_up(self) -> RunningLab:
        """Have the starter lab run."""
        lab = starter()
        recipes = images.recipes(lab.nodes, SHIPPED)
        drawn = draw(lab, {name: it.tag for name, it in recipes.items()})
        plan = plan_changes(drawn, self.engine.observe(lab.name))
        return apply.apply_plan(drawn, plan, self.engine)

    def answer(self, node: SeenNode, argv: tuple[str, ...]) -> Completed:
        """Do what a command does."""
        self.ran.append((node.name, argv))
        if token := re.search(r"canary-[0-9a-f]+", " ".join(argv)):
            self._sing(node.name, argv, token[0])
            return completed(argv)
        return self.special(node, argv) or self._usual(node, argv)

    def _usual(self, node: SeenNode, argv: tuple[str, ...]) -> Completed:
        begun = Moment.now()
        program = argv[0].rpartition("/")[2]
        if program == "python3":
            return completed(argv, json.dumps({**NOTHING, **self.found}))
        if program in {"sshpass", "hydra", "nmap"}:
            self._attack(program, argv)
        self.counters[node.name] += 1
        grown = 1000 * self.counters[node.name]
        out = {
            "date": str(int(Moment.now())),
            "nmap": SCAN,
            "hydra": "[22][ssh] host: bastion   login: maria   password: sunshine",
            "stat": "maria 5",
            "tail": "the last line\n",
            "cat": f"Icmp: InEchos\nIcmp: {grown}\nTcp: OutRsts PassiveOpens\nTcp: {grown} {grown}\n",
        }
        return replace(completed(argv, out.get(program, "")), start=begun)

    def _attack(self, program: str, argv: tuple[str, ...]) -> None:
        """Write into the logs what the attack would leave there."""
        source = next(iter(self._node("attacker").addresses.values()))
        if program == "nmap":
            target = self._node("bastion").addresses["outside"]
            technique = "T1018" if "-sn" in argv else "T1046"
            self.log("sensor", "/var/log/suricata/eve.json", _reported(source, target, technique))
            return
        stamp = Moment.now().iso()[:26] + "+00:00"
        head = f"{stamp} bastion sshd-session[100]:"
        if program == "hydra":
            for port in range(5, 11):
                self.log(
                    "bastion",
                    "/var/log/auth.log",
                    f"{head} Failed password for maria from {source} port {port} ssh2",
                )
        self.log(
            "bastion", "/var/log/auth.log", f"{head} Accepted password for maria from {source} port 5 ssh2"
        )
        if program == "sshpass":
            self.log("bastion", "/var/log/exec.log", _execution(argv[-1].split(" ")[0], argv[-1]))

    def _sing(self, node: str, argv: tuple[str, ...], token: str) -> None:
        """Write a canary where its log expects it; a sensor's for each network, with its packets."""
        program = argv[0].rpartition("/")[2]
        path = {"logger": "/var/log/auth.log", "perl": "/var/log/apache2/access.log", "canary": EVE}.get(
            program, argv[-1] if len(argv) == 6 else "/var/log/exec.log"
        )
        if (node, path) in self.silent:
            return
        for _ in range(2 if path == EVE else 1):
            self.log(node, path, f"a line with {token}")
        for capture in self.captures if path == EVE else ():
            capture.write(PCAP)

    def log(self, node: str, path: str, line: str) -> None:
        """Write a line into a log, if it is being followed."""
        if (node, path) in self.followed:
            self.followed[node, path].write(line.encode() + b"\n")

    def _node(self, name: str) -> SeenNode:
        found = (self.engine.observe(lab).node(name) for lab in self.engine.labs())
        return next(node for node in found if node)

    def follow(self, node: SeenNode, argv: tuple[str, ...]) -> Stream | None:
        """Follow a log, or capture packets."""
        stream = Followed()
        if argv[:2] == ("tail", "-c"):
            self.followed[node.name, argv[-1]] = stream
            return stream
        if "capture" in argv[0]:
            self.captures.append(stream)
            return stream
        return None


NOTHING: Final[dict[str, object]] = {
    "reached": [], "raw": None, "hops": {}, "sockets": [], "nameservers": ["127.0.0.11"], "ipv6": [],
    "resolved": False,
}  # fmt: skip
"""What the probe of the walls finds where all of them hold."""


def _reported(source: str, target: str, technique: str) -> str:
    """Write an alert as Suricata does."""
    alert = {
        "gid": 1, "signature_id": 1000001, "rev": 1, "signature": f"Scan ({technique})", "severity": 2,
        "category": "", "action": "allowed", "metadata": {"mitre_technique_id": [technique]},
    }  # fmt: skip
    stamp = Moment.now().iso()[:26] + "+0000"
    record = {"timestamp": stamp, "event_type": "alert", "src_ip": source, "dest_ip": target, "proto": "TCP"}
    return json.dumps({**record, "alert": alert})


def _execution(program: str, line: str) -> str:
    """Write a line as Snoopy does."""
    seconds, rest = divmod(Moment.now(), 10**9)
    who = "uid=1001 euid=1001 user=maria tty=(none) cwd=/home/maria"
    return f"exec {seconds}.{rest // 1000:06d} pid=7 ppid=6 sid=6 {who} //exe=/usr/bin/{program} //cmd={line}"


def starter() -> Lab:
    """Read the lab that ships."""
    return read_inventory(SHIPPED.find("inventories", "starter"), KINDS)
