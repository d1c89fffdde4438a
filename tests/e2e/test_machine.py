"""A node with a kernel of its own: it is a node as any other, and its memory and its disk can be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from mmap import PROT_READ, mmap
from pathlib import Path

import docker
import pytest
import pytsk3

from lab.engine.docker import DockerEngine
from lab.engine.labels import LAB
from lab.engine.machines import monitor
from lab.engine.nodes import SeenNode
from lab.engine.shell import CommandSlow
from lab.forensics import manifest
from lab.forensics.manifest import Manifest
from lab.provision import apply
from lab.provision.confinement import wanted
from tests.e2e.answering import CASES, carrying_in, is_served
from tests.e2e.conftest import Place
from tests.support import KINDS, until

pytestmark = pytest.mark.docker

INVENTORY = """\
all:
  vars: {lab_networks: {outside: {}, inside: {}}}
  children:
    kali:  {hosts: {attacker: {lab_attach: [outside]}}}
    sshd:  {hosts: {bastion: {lab_attach: [outside, inside], machine: {memory: 256m}}}}
    plain: {hosts: {desk: {lab_attach: [inside]}}}
"""

TYPED = "python3 -c 'import socket, time; s = socket.create_server((\"\", 4455)); time.sleep(86399)' &"
"""Typed by an intruder: a process that listens."""

RULES = """
rule listens { strings: $it = "socket.create_server" condition: $it }
rule accounts { strings: $it = "maria:x:1000" condition: $it }
"""

WITHOUT_SCHEMA = """
import sys
sys.argv[0], sys.modules["jsonschema"] = "vol", None
from volatility3.cli import main
main()
"""
"""Volatility without its check of a symbol file, which takes 20 s; `tests/forensics` has one checked."""

DELETED = "planted and deleted, and on the disk all the same"
LOST = "made and removed before anything was written back"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A lab with a machine, up; the tests leave it as it was."""
    name = f"machine-{os.getpid()}"
    with closing(DockerEngine()) as engine:
        found = Place(folder=tmp_path_factory.mktemp("machine"), name=name, engine=engine, environment={})
        found.write(INVENTORY)
        try:
            found.lab("up", name, timeout=600)
            yield found
        finally:
            apply.remove(name, engine)


@pytest.fixture
def machine(lab: Place) -> SeenNode:
    return lab.node("bastion")


def said(lab: Place, node: str, *argv: str, user: str = "root") -> str:
    """Run a command that has to succeed, and return what it wrote."""
    ran = lab.engine.execute(lab.node(node), argv, user=user, timeout=60)
    assert ran.code == 0, ran.stderr
    return ran.stdout.decode()


def test_it_has_a_kernel_of_its_own_and_the_address_that_the_engine_gave(lab: Place) -> None:
    assert said(lab, "bastion", "uname", "-r") != os.uname().release
    links = json.loads(said(lab, "bastion", "ip", "-j", "-4", "addr"))
    inside = {it["local"] for link in links for it in link["addr_info"]} - {"127.0.0.1"}
    assert inside == set(lab.node("bastion").addresses.values())
    assert said(lab, "bastion", "hostname").strip() == "bastion"


def test_names_lead_to_it_and_from_it(lab: Place) -> None:
    address = lab.node("bastion").addresses["outside"]
    assert said(lab, "attacker", "getent", "hosts", "bastion").split()[0] == address
    peer = lab.node("attacker").addresses["outside"]
    assert said(lab, "bastion", "getent", "hosts", "attacker").split()[0] == peer


def test_a_command_runs_there_as_in_a_container(lab: Place, machine: SeenNode) -> None:
    ran = lab.engine.execute(
        machine,
        ("sh", "-c", "pwd; id -un; echo $WORD; cat; echo complaint >&2; exit 7"),
        user="maria",
        stdin=b"x" * 100_000,
        environment={"WORD": "given"},
        folder="/tmp",
    )
    assert ran.code == 7
    assert ran.stdout == b"/tmp\nmaria\ngiven\n" + b"x" * 100_000
    assert ran.stderr == b"complaint\n"


def test_a_command_that_has_no_time_left_is_gone_there(lab: Place, machine: SeenNode) -> None:
    with pytest.raises(CommandSlow):
        lab.engine.execute(machine, ("sleep", "4711"), timeout=2)
    assert lab.engine.execute(machine, ("pgrep", "-f", "[s]leep 4711")).code == 1


def test_more_commands_than_lines_wait_for_their_turn(lab: Place, machine: SeenNode) -> None:
    streams = [lab.engine.stream(machine, ("sh", "-c", f"sleep 1; echo {it}")) for it in range(20)]
    heard = sorted(int(b"".join(it)) for it in streams)
    assert heard == list(range(20))


def test_its_walls_hold_from_inside_with_all_rights_of_root(lab: Place) -> None:
    told = json.loads(lab.lab("verify", lab.name, "--format", "json", timeout=300).stdout)
    probes = [it for it in told if it["node"] == "bastion"]
    assert {it["wall"] for it in probes} >= {"host", "gateway", "raw frames", "route", "engine", "dns"}
    assert all(it["held"] for it in probes), [it for it in probes if not it["held"]]
    frames = [it["said"] for it in probes if it["wall"] == "raw frames"]
    assert frames
    assert not any("may not write" in it for it in frames), "root of a machine can write frames"


def test_its_container_has_one_right_and_one_device(lab: Place) -> None:
    wall = next(it for it in lab.engine.walls(lab.name) if it.node == "bastion")
    kind = KINDS.find("sshd")
    assert kind is not None
    assert wall.capabilities == ("NET_ADMIN",)
    assert set(wall.devices) - {"/dev/kvm"} == {"/dev/net/tun"}
    assert wall.memory == wanted(kind, lab.node("bastion").machine).memory
    assert not wall.privileged


def test_a_program_is_tried_in_a_container_of_a_moment(lab: Place, machine: SeenNode) -> None:
    def succeeds(*argv: str, devices: tuple[str, ...] = (), within: float = 20) -> bool:
        return lab.engine.succeeds(machine.image, argv, devices=devices, lab=lab.name, within=within)

    assert succeeds("true")
    assert not succeeds("false")
    assert not succeeds("sleep", "60", within=1)
    assert not succeeds("true", devices=("/dev/no-such-thing",))
    assert succeeds("test", "-c", "/dev/net/tun", devices=("/dev/net/tun",))
    assert not any(it.passing for it in lab.observe().nodes)


def test_what_differs_from_the_baked_image_is_seen_from_beside_it(lab: Place, machine: SeenNode) -> None:
    said(lab, "bastion", "sh", "-c", "echo x >/root/new; rm /etc/issue; chmod 600 /etc/motd")
    found = {(it.path, it.how) for it in lab.engine.differences(machine)}
    assert found >= {("/root/new", "added"), ("/etc/issue", "removed"), ("/etc/motd", "changed")}
    ours = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/proc", "/lost+found"}
    assert not ours & {path for path, _ in found}


def test_what_is_beside_it_has_the_disk_as_it_was_baked(lab: Place, machine: SeenNode) -> None:
    said(
        lab,
        "bastion",
        "sh",
        "-c",
        "mv /usr/bin/id /usr/bin/id.true; echo 'echo forged' >/usr/bin/id; chmod 755 /usr/bin/id",
    )
    try:
        with lab.engine.beside(machine, ()) as helper:
            clean = lab.engine.execute(helper, ("id", "-u"))
            forged = lab.engine.execute(helper, ("cat", "/proc/1/root/usr/bin/id"))
        assert clean.stdout == b"0\n"
        assert forged.stdout == b"echo forged\n"
    finally:
        said(lab, "bastion", "mv", "/usr/bin/id.true", "/usr/bin/id")


@pytest.mark.parametrize("name", [it for it in CASES if it != "restore"])
def test_a_response_shuts_a_way_into_a_machine(lab: Place, tmp_path: Path, name: str) -> None:
    action, prepare, is_open, returns = CASES[name]
    with carrying_in(lab, tmp_path) as carrying:
        prepare(lab)
        until(lambda: is_open(lab), seconds=20)
        carrying.carry_out(action)
        assert not is_open(lab), "the way is still open"
        assert is_served(lab), "people are shut out"
        carrying.take_back()
        if returns:
            until(lambda: is_open(lab), seconds=20)
    said(lab, "bastion", "sh", "-c", "rm -f /root/.planted; pkill -f '[s]leep 4321'; true")


@pytest.fixture(scope="module")
def evidence(lab: Place) -> tuple[Path, Manifest]:
    """Take evidence of the machine while an intruder is in it, by its password."""
    typing = subprocess.Popen(
        ["docker", "exec", "-i", lab.node("attacker").id, "sshpass", "-p", "summer2026", "ssh", "-tt",
         "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "maria@bastion"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert typing.stdin is not None
    typing.stdin.write(f"{TYPED}\n".encode())
    typing.stdin.flush()
    listens = ("sh", "-c", "ss -ltn | grep -q :4455")
    until(lambda: lab.engine.execute(lab.node("bastion"), listens).code == 0, seconds=30)
    deleted = f"echo '{DELETED}' >/root/plan; sync; rm /root/plan; sync; echo '{LOST}' >/tmp/x; rm /tmp/x"
    said(lab, "bastion", "sh", "-c", deleted)
    lab.lab("watch", "--lab", lab.name, "--for", "1", timeout=100)
    log = ("cat", "/var/log/exec.log")
    before = lab.engine.execute(lab.node("bastion"), log).stdout
    (lab.folder / "rules.yar").write_text(RULES, encoding="utf-8")
    looking = ("--e01", "--yara", "rules.yar")
    told = lab.lab("evidence", "bastion", "--lab", lab.name, *looking, timeout=300).stdout
    after = lab.engine.execute(lab.node("bastion"), log).stdout
    typing.kill()
    typing.communicate()
    assert after == before, "collecting wrote into the node's own log"
    folder = Path(told.splitlines()[0])
    return folder, manifest.read(folder)


def test_evidence_of_a_machine_says_what_it_is(evidence: tuple[Path, Manifest]) -> None:
    folder, found = evidence
    names = {it.path: it.what for it in found.items}
    assert names == {
        "bodyfile.txt": "timeline",
        "disk.E01": "disk",
        "disk.raw": "disk",
        "memory.elf": "memory",
        "triage.tar": "triage",
        "yara.txt": "yara",
    }
    assert not found.reconstructed
    assert found.stood_still is not None
    assert list(manifest.faults(folder, found)) == []
    assert any("not written back" in it for it in found.cannot)
    matches = (folder / "yara.txt").read_text(encoding="utf-8").splitlines()
    assert any(it.startswith("memory: listens") for it in matches)
    assert any(it.startswith("file: accounts ") and it.endswith("/etc/passwd") for it in matches)


def test_volatility_finds_the_process_the_command_and_the_listener(
    lab: Place, evidence: tuple[Path, Manifest]
) -> None:
    lab.lab("evidence", "symbols", timeout=300)
    rows = {
        plugin: _volatility(lab.folder / "symbols", evidence[0] / "memory.elf", plugin)
        for plugin in ("linux.pslist.PsList", "linux.bash.Bash", "linux.sockstat.Sockstat")
    }
    processes, typed, sockets = rows.values()
    listening = [it for it in sockets if str(it["Source Port"]) == "4455"]
    assert [it["State"] for it in listening] == ["LISTEN"]
    assert [it["COMM"] for it in processes if it["PID"] == listening[0]["PID"]] == ["python3"]
    assert TYPED in [it["Command"] for it in typed]
    assert len(processes) > 20


def _volatility(symbols: Path, memory: Path, plugin: str) -> list[dict[str, object]]:
    argv = [sys.executable, "-c", WITHOUT_SCHEMA]
    argv += [str(it) for it in ("-q", "-r", "json", "-s", symbols, "-f", memory, plugin)]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found: list[dict[str, object]] = json.loads(ran.stdout[ran.stdout.index("[") :])
    return found


def test_the_disk_of_a_machine_has_what_was_deleted_on_it(
    lab: Place, evidence: tuple[Path, Manifest]
) -> None:
    folder, found = evidence
    with (folder / "disk.raw").open("rb") as file, mmap(file.fileno(), 0, prot=PROT_READ) as raw:
        assert raw.find(DELETED.encode()) > 0
        assert raw.find(LOST.encode()) == -1, "what was never written back is lost"
    with lab.engine.workbench(found.image, lab.name) as bench:
        wrapped = (folder / "disk.E01").read_bytes()
        verify = ("sh", "-c", "cat >/w/d.E01; ewfverify -q /w/d.E01")
        assert lab.engine.relay(bench, verify, stdin=[wrapped], hear=lambda *_: None) == 0
        listed = lab.engine.execute(bench, ("sh", "-c", "stdbuf -oL fls -rp /w/d.E01 | wc -l")).stdout
        free = lab.engine.execute(bench, ("sh", "-c", f"blkls /w/d.E01 | grep -ac '{DELETED}'")).stdout
    assert int(free) >= 1, "it is in no file that there is"
    assert int(listed) == _entries(folder / "disk.raw")


def _entries(path: Path) -> int:
    """Count what `fls -r` lists, by the library for Python."""
    system = pytsk3.FS_Info(pytsk3.Img_Info(str(path)))

    def below(folder: pytsk3.Directory) -> int:
        count = 0
        for it in folder:
            if it.info.name.name in {b".", b".."}:
                continue
            count += 1
            meta = it.info.meta
            if meta and meta.type in {pytsk3.TSK_FS_META_TYPE_DIR, pytsk3.TSK_FS_META_TYPE_VIRT_DIR}:
                count += below(it.as_directory())
        return count

    return below(system.open_dir("/"))


FREEZE = """
import json, socket
open("/run/lab/still", "w").write("999999")
line = socket.socket(socket.AF_UNIX)
line.connect("/run/lab/qmp")
for what in ("qmp_capabilities", "stop"):
    line.sendall(json.dumps({"execute": what}).encode())
    line.recv(65536)
"""
"""Stops the machine and ends without letting it go on, as whoever is killed while evidence is taken."""


def test_a_machine_goes_on_when_who_stopped_it_is_gone(lab: Place, machine: SeenNode) -> None:
    frozen = lab.engine.execute(monitor(machine), ("python3", "-c", FREEZE))
    assert frozen.code == 0, frozen.stderr
    assert lab.engine.execute(machine, ("true",), timeout=30).code == 0


def test_it_comes_back_with_its_disk_and_goes_with_its_container(lab: Place, machine: SeenNode) -> None:
    said(lab, "bastion", "sh", "-c", "echo kept >/root/kept")
    lab.engine.restart_node(machine)
    apply.await_node(machine, ("test", "-s", "/run/sshd.pid"), lab.engine, lambda _line: None)
    assert said(lab, "bastion", "cat", "/root/kept") == "kept\n"
    with carrying_in(lab, lab.folder) as carrying:
        carrying.carry_out(CASES["restore"][0])
        assert lab.engine.execute(lab.node("bastion"), ("test", "-e", "/root/kept")).code == 1
        carrying.take_back()
    assert said(lab, "bastion", "cat", "/root/kept") == "kept\n"


def test_a_kill_while_it_starts_leaves_nothing_that_down_does_not_remove(place: Place) -> None:
    place.write(INVENTORY)
    begun = place.begin("up", place.name)
    until(lambda: place.observe().node("bastion") is not None, seconds=60)
    begun.kill()
    begun.communicate()
    receipt = place.lab("down", place.name).stdout
    assert "left\t0" in receipt
    with closing(docker.APIClient()) as client:
        assert client.containers(all=True, filters={"label": f"{LAB}={place.name}"}) == []
