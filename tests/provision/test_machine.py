"""A node with a kernel of its own: what is asked for it, and what of that a container has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lab.engine.facts import Wall
from lab.engine.labels import KVM
from lab.engine.memory import MemoryEngine
from lab.engine.nodes import NodeSpec, SeenNode
from lab.engine.shell import Hear
from lab.errors import EngineFault
from lab.files.workplace import SHIPPED
from lab.inventory.definition import Lab, read_inventory
from lab.provision import doctor, images
from lab.provision.blueprint import draw
from lab.provision.confinement import faults, wanted
from lab.provision.plan import plan_changes
from tests.provision.test_images import baker
from tests.support import KINDS

INVENTORY = """\
all:
  vars: {lab_networks: {outside: {}}}
  children:
    sshd:
      hosts:
        own: {lab_attach: [outside], machine: {memory: 256m}}
        shared: {lab_attach: [outside]}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    path = tmp_path / "lab.yml"
    path.write_text(INVENTORY, encoding="utf-8")
    return read_inventory(path, KINDS)


def specs(lab: Lab) -> dict[str, NodeSpec]:
    return {it.name: it for it in draw(lab, {"own": "a:1", "shared": "b:1"}).nodes}


def test_a_machine_gets_one_right_two_devices_and_room_beside_its_memory(lab: Lab) -> None:
    own, shared = specs(lab)["own"], specs(lab)["shared"]
    assert own.capabilities == ("NET_ADMIN",)
    assert own.devices == ("/dev/kvm", "/dev/net/tun")
    assert own.machine == 256 * 2**20 < own.memory
    assert (own.user, own.read_only, own.tmpfs) == ("root", False, ())
    assert shared.devices == ()
    assert shared.machine == 0


def test_it_is_told_what_its_first_process_is(lab: Lab) -> None:
    program, script, asked = specs(lab)["own"].command
    told = json.loads(asked)
    assert (program, script) == ("/usr/bin/python3", "/usr/local/sbin/machine")
    assert tuple(told["command"]) == specs(lab)["shared"].command
    assert told["memory"] == 256 * 2**20
    assert told["user"] == "root"


def test_to_become_a_machine_a_node_is_made_anew(lab: Lab) -> None:
    engine = MemoryEngine()
    for tag in ("a:1", "b:1"):
        with engine.open_baking("x:1", lab="x", role="x") as bench:
            engine.commit(bench, tag, {})
    drawn = draw(lab, {"own": "a:1", "shared": "b:1"})
    for network in drawn.networks:
        engine.create_network(network)
    for node in drawn.nodes:
        engine.create_node(node)
    assert plan_changes(drawn, engine.observe("lab")).changes == ()
    kinds = {it.name: replace(it.kind, machine=None) for it in lab.nodes}
    plain = replace(lab, nodes=tuple(replace(it, kind=kinds[it.name]) for it in lab.nodes))
    found = plan_changes(draw(plain, {"own": "a:1", "shared": "b:1"}), engine.observe("lab")).changes
    assert [(it.subject, it.action, it.reason) for it in found] == [("own", "recreate", "its limits changed")]


def test_a_device_that_no_kind_gives_is_a_fault(lab: Lab) -> None:
    kind = lab.nodes[0].kind
    wall = Wall(
        node="own", capabilities=(), drops_all=True, new_privileges=False, privileged=False,
        host_network=False, mounts=(), nameservers=("127.0.0.1",), memory=1, processes=1,
        devices=("/dev/net/tun", "/dev/sda"),
    )  # fmt: skip
    said = list(faults(wall, wanted(kind, 256 * 2**20), None))
    assert "has devices of the host: /dev/sda" in said
    assert "has devices of the host: /dev/net/tun, /dev/sda" in list(faults(wall, wanted(kind, 0), None))


def test_its_image_is_made_of_two_that_have_to_be_there_first(lab: Lab) -> None:
    found = images.recipes(lab.nodes, SHIPPED)
    own, shared = found["own"], found["shared"]
    assert own.machine is not None
    assert own.machine.files.tag == shared.tag
    assert own.tag.startswith("homerange/sshd-machine:")
    absent = [it.tag for it in images.missing([own], MemoryEngine())]
    assert absent == [own.tag, shared.tag, own.machine.kernel.tag]


class Made(MemoryEngine):
    """An engine on which a disk can be made, or not."""

    def __init__(self, *, code: int = 0, kvm: bool = False) -> None:
        super().__init__()
        self.code, self.kvm = code, kvm
        self.heard: list[bytes] = []

    @contextmanager
    def take_out(self, image: str, path: str) -> Iterator[Iterable[bytes]]:
        """Have an archive."""
        assert path == "/"
        yield [image.encode()]

    def relay(self, node: SeenNode, argv: tuple[str, ...], *, stdin: Iterable[bytes], hear: Hear) -> int:
        """Take it."""
        del node
        assert "mke2fs" in argv[2]
        self.heard += stdin
        hear(2, b"no room left\n")
        return self.code

    def succeeds(self, image: str, argv: tuple[str, ...], **_how: object) -> bool:
        """Boot a kernel, or not."""
        del image
        assert argv[-1] == "probe"
        return self.kvm


@pytest.mark.parametrize("kvm", [True, False])
def test_a_disk_is_made_of_the_files_and_it_is_kept_whether_kvm_ran(lab: Lab, *, kvm: bool) -> None:
    engine, recipe = Made(kvm=kvm), images.recipes(lab.nodes, SHIPPED)["own"]
    baker(engine).bake((recipe,))
    assert recipe.machine is not None
    assert engine.heard == [recipe.machine.files.tag.encode()]
    made = engine.image_labels(recipe.tag)
    assert made is not None
    assert made.get(KVM) == ("yes" if kvm else None)


def test_a_disk_that_cannot_be_made_says_why_and_leaves_no_image(lab: Lab) -> None:
    engine, recipe = Made(code=1), images.recipes(lab.nodes, SHIPPED)["own"]
    with pytest.raises(EngineFault, match="no room left"):
        baker(engine).bake((recipe,))
    assert engine.image_labels(recipe.tag) is None


def test_a_machine_needs_its_processor_and_taps(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> tuple[bool, str]:
        found = {it.name: it for it in doctor.examine(MemoryEngine, tmp_path, lab)}
        return found["machines"].ready, found["machines"].found

    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr(doctor, "_TUN", tmp_path)
    assert look() == (True, "x86-64, with taps")
    monkeypatch.setattr(doctor, "_TUN", tmp_path / "none")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    ready, found = look()
    assert not ready
    assert "aarch64" in found
    assert "modprobe tun" in found
