"""The exercises that ship, on a real engine: each step has its effect, is undone, and its check can fail."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from lab.engine.docker import DockerEngine
from lab.exercise.checks.counter import snmp_counters
from lab.exercise.inside import argv_of
from lab.exercise.truth import Truth, read_truth
from lab.files.workplace import SHIPPED
from lab.provision import apply
from lab.runs.folder import RunFolder
from tests.e2e.conftest import Place

pytestmark = pytest.mark.docker

INVENTORY = """\
all:
  vars: {lab_networks: {outside: {}, inside: {}}}
  children:
    kali: {hosts: {attacker: {lab_attach: [outside]}, desk: {lab_attach: [inside]}}}
    sshd: {hosts: {bastion: {lab_attach: [outside, inside]}}}
    webshop: {hosts: {shop: {lab_attach: [outside, inside]}}}
"""
"""The nodes of `starter` without a sensor, and with nobody at work, who would change files meanwhile."""

HARDENED = """\
all:
  vars: {lab_networks: {outside: {}}}
  children:
    kali: {hosts: {attacker: {lab_attach: [outside]}}}
    webshop: {hosts: {shop: {lab_attach: [outside], webshop_hardened: true}}}
"""

ON_STARTER = tuple(
    path.stem
    for path in sorted(SHIPPED.find("scenarios", "recon").parent.glob("*.yml"))
    if "lab: office" not in path.read_text("utf-8")
)
WEB = ("api-abuse", "sql-injection", "web-recon", "web-shell")
MAY_CHANGE = (
    "/var/log/",
    "/run/",
    "/var/lib/shop/",  # what the shop keeps: sessions, orders, failed log-ins
    "/var/lib/lastlog",
    "/var/lib/wtmpdb",
)
"""Where a visit leaves what it leaves, attack or not."""


BACKUPS = frozenset(f"/etc/{it}-" for it in ("group", "gshadow", "passwd", "shadow", "subgid", "subuid"))
"""Where `useradd` and `userdel` keep what was before; there is no undoing of that."""


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory, docker_engine: DockerEngine) -> Iterator[Place]:
    yield from _standing("lib", INVENTORY, tmp_path_factory, docker_engine)


@pytest.fixture(scope="module")
def hardened(tmp_path_factory: pytest.TempPathFactory, docker_engine: DockerEngine) -> Iterator[Place]:
    yield from _standing("hard", HARDENED, tmp_path_factory, docker_engine)


def _standing(
    name: str, inventory: str, tmp_path_factory: pytest.TempPathFactory, engine: DockerEngine
) -> Iterator[Place]:
    place = Place(
        folder=tmp_path_factory.mktemp(name), name=f"{name}-{os.getpid()}", engine=engine, environment={}
    )
    place.write(inventory)
    try:
        place.lab("up", place.name, timeout=900)
        yield place
    finally:
        apply.remove(place.name, engine)


def shipped(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(SHIPPED.find("scenarios", name).read_text("utf-8"))
    return found


def played(place: Place, scenario: dict[str, Any], code: int = 0) -> tuple[Truth, ...]:
    """Play a scenario without a benign phase, and return its attack steps; `lab` has to end with the code."""
    path = place.folder / f"{scenario['name']}.yml"
    path.write_text(
        yaml.safe_dump({**scenario, "benign": "0s", "after": "0s"}, sort_keys=False), encoding="utf-8"
    )
    place.lab("run", f"./{path.name}", "--lab", place.name, code=code)
    return tuple(it for it in read_truth(last(place).happened) if it.label == "attack")


def last(place: Place) -> RunFolder:
    return RunFolder(max((place.folder / "runs").iterdir(), key=lambda it: it.stat().st_mtime))


def state_of(place: Place, node: str) -> dict[str, object]:
    """Return files, accounts, jobs, processes and open ports of a node, but for what any visit changes."""
    ran = place.engine.execute(place.node(node), argv_of("look"), timeout=120)
    seen = json.loads(zlib.decompress(ran.stdout))
    ports = place.engine.execute(place.node(node), ("ss", "-Hlntu")).stdout.decode()
    files = {
        path: (it["mode"], it["owner"], it["content"])
        for path, it in seen["paths"].items()
        if not path.startswith(MAY_CHANGE) and path not in BACKUPS
    }
    usual = sorted(line for line in seen["processes"].values() if "apache2" not in line and "ssh" not in line)
    return {
        **files,
        "processes": usual,
        "ports": sorted(" ".join(it.split()[:5]) for it in ports.splitlines()),
    }


@pytest.mark.parametrize("name", ON_STARTER)
def test_each_step_has_its_effect_and_the_lab_is_left_as_found(starter: Place, name: str) -> None:
    before = {node: state_of(starter, node) for node in ("attacker", "bastion", "shop")}
    truth = played(starter, shipped(name))
    reached = {it.step: False for it in truth} | {it.step: True for it in truth if it.occurred}
    assert reached
    assert [step for step, had_effect in reached.items() if not had_effect] == []
    for node, was in before.items():
        now = state_of(starter, node)
        changed = {path for path in was.keys() | now.keys() if was.get(path) != now.get(path)}
        assert changed == set(), f"left on {node}"


def test_a_step_that_does_nothing_has_no_effect(starter: Place) -> None:
    """Every check of every exercise, with its step put out of action."""
    steps = [it for name in ON_STARTER for it in shipped(name)["steps"] if it.get("technique")]
    values = {key: it for name in ON_STARTER for key, it in shipped(name).get("vars", {}).items()}
    idle = []
    for number, it in enumerate(steps):
        kept = {key: value for key, value in it.items() if key in {"technique", "from", "check", "loop"}}
        if isinstance(kept.get("loop"), list):
            kept["loop"] = kept["loop"][-1:]
        idle.append(
            {"name": f"{number} {it['name']}", **kept, "command": {"argv": ["true"]}, "revert": "none"}
        )
    variables = {**values, "password": "x", "loot": "/tmp/.nothing", "log": "/var/log/apache2/access.log"}
    truth = played(starter, {"name": "idle", "vars": variables, "steps": idle}, code=1)
    assert len({it.step for it in truth}) == len(idle)
    assert [(it.name, it.reason) for it in truth if it.occurred is not False] == []


@pytest.mark.parametrize("name", WEB)
def test_the_hardened_shop_resists(hardened: Place, name: str) -> None:
    truth = played(hardened, shipped(name), code=1)
    assert truth
    assert [(it.name, it.reason) for it in truth if it.occurred] == []


@pytest.mark.parametrize(("transport", "most"), [("udp", 600), ("syn", 1200)])
def test_a_flood_stays_below_its_caps(starter: Place, transport: str, most: int) -> None:
    """Counted by the kernel of the target: a SYN is answered, and the answer is reset."""

    def counted() -> int:
        table = starter.engine.execute(starter.node("shop"), ("cat", "/proc/net/snmp")).stdout.decode()
        names = ("Udp.NoPorts", "Udp.InDatagrams") if transport == "udp" else ("Tcp.InSegs",)
        return sum(snmp_counters(table)[name] for name in names)

    traffic = {"target": "shop", "port": 80, "rate": 200, "seconds": 3, "transport": transport}
    step = {
        "name": "Flood",
        "technique": "T1498.001",
        "from": "attacker",
        "traffic": traffic,
        "revert": "none",
    }
    before = counted()
    played(starter, {"name": f"flood-{transport}", "steps": [step]})
    assert most // 4 < counted() - before <= most + 50


def test_what_a_listener_is_given_is_kept_and_removed_at_the_end(starter: Place) -> None:
    def there(path: str) -> bool:
        return starter.engine.execute(starter.node("attacker"), ("test", "-e", path)).code == 0

    listen = {"folder": "/root/ear", "http": 8099, "files": {"a": "hello"}}
    ask = {
        "argv": ["sh", "-c", "curl -s http://{{ nodes.attacker.address }}:8099/a > /tmp/a"],
        "targets": ["attacker"],
    }
    check = {"file": {"node": "bastion", "path": "/tmp/a", "contains": "hello"}}
    revert = {"node": "bastion", "argv": ["rm", "-f", "/tmp/a"]}
    steps = [
        {"name": "Listen", "from": "attacker", "listen": listen, "revert": "none"},
        {
            "name": "Ask",
            "technique": "T1105",
            "from": "bastion",
            "command": ask,
            "check": check,
            "revert": revert,
        },
    ]
    (truth,) = played(starter, {"name": "ear", "steps": steps})
    assert truth.occurred
    assert not there("/root/ear")


PEOPLE = """\
all:
  vars: {lab_networks: {outside: {}}}
  children:
    sshd: {hosts: {bastion: {lab_attach: [outside]}}}
    webshop: {hosts: {shop: {lab_attach: [outside]}}}
    workstation: {hosts: {desk: {lab_attach: [outside]}}}
"""


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, docker_engine: DockerEngine) -> Iterator[Place]:
    yield from _standing("people", PEOPLE, tmp_path_factory, docker_engine)


def test_the_same_seed_is_the_same_day(people: Place) -> None:
    def day(seed: int) -> list[str]:
        scenario = {"benign": "12s", "people": {"day": "60s", "pace": 0.2}, "seed": seed, "steps": []}
        path = people.folder / f"day-{seed}.yml"
        path.write_text(yaml.safe_dump({"name": f"day-{seed}", **scenario}), encoding="utf-8")
        people.lab("run", f"./{path.name}", "--lab", people.name)
        return [it.action for it in read_truth(last(people).happened) if it.action]

    first, again, other = day(1), day(1), day(2)
    shortest = min(len(first), len(again), len(other))
    assert shortest >= 3
    assert first[:shortest] == again[:shortest]
    assert first[:shortest] != other[:shortest]
