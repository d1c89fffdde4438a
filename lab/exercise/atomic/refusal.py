"""Why a test may not run here, told before it starts. Pure: reads the test and looks into its checkout.

A script is read, not understood, so what is refused is what would fail for certain or do harm: a command
behind a condition is left to the node.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from lab.exercise.atomic.library import AtomicTest
from lab.exercise.atomic.script import Command, commands_of

PLATFORM: Final = "linux"
"""What nodes are."""

SHELLS: Final = frozenset({"sh", "bash"})
"""The executors that a node has."""

PLACE: Final = "/tmp/AtomicRedTeam/atomics"  # noqa: S108  # where the project installs itself on Linux
"""The folder on a node that stands for the checkout."""

TECHNIQUE: Final = re.compile(r"T\d{4}(?:\.\d{3})?")
"""What a folder of the checkout is called."""

_OURS: Final = re.compile(r"\$?\{?PathToAtomicsFolder\}?")
_FILE: Final = re.compile(rf"{re.escape(PLACE)}((?:/[\w.%+@-]+)+)")
_URL: Final = re.compile(
    r"\b(?:https?|ftps?|sftp|git|ssh|ldaps?)://(?:[^\s/@'\"]*@)?(\[[^\]]*\]|[^\s/:'\"$)>|;,]+)"
)
_AT_HOST: Final = re.compile(r"(?:^|[\s'\"])[\w.-]+@([A-Za-z][\w-]*(?:\.[\w-]+)*)(?=:|\s|$)")
_DOMAIN: Final = re.compile(
    r"^(?:[\w-]+\.)+(?:com|net|org|io|dev|edu|gov|info|co|us|uk|de|ru|cn|me|sh|ly|xyz)\b"
)
_HERE: Final = re.compile(r"^(?:localhost|127\.\d+\.\d+\.\d+|\[?::1\]?|0\.0\.0\.0)$")
_BOMB: Final = re.compile(r"([\w:]+)\s*\(\)\s*\{[^}]*\1\s*\|\s*\1\s*&")
_DISK: Final = re.compile(r"(?:of=|>\s*)/dev/(?:sd|hd|vd|nvme|xvd|mem\b)")

_NETWORKED: Final = frozenset(
    {"curl", "wget", "git", "ping", "nslookup", "dig", "host", "ssh", "scp", "sftp", "nc", "telnet", "ftp"}
)
_REMOTE: Final = frozenset({"ssh", "scp", "sftp", "rsync", "ssh-copy-id", "sshpass", "sshfs"})
_INSTALLERS: Final = {
    "apt": "install update", "apt-get": "install update", "yum": "install", "dnf": "install",
    "zypper": "install", "apk": "add", "pip": "install download", "pip3": "install download",
    "npm": "install i", "gem": "install", "go": "get install", "cargo": "install", "snap": "install",
    "git": "clone pull fetch",
}  # fmt: skip
"""Programs that fetch from the internet, each with the words that make them."""

_ENDS: Final = frozenset({"shutdown", "reboot", "halt", "poweroff", "telinit", "killall5"})
_SYSTEMD: Final = frozenset(
    {"systemctl", "systemd-run", "journalctl", "loginctl", "timedatectl", "hostnamectl", "networkctl"}
)
_ELSEWHERE: Final = {
    "docker": "an engine of its own", "podman": "an engine of its own", "nerdctl": "an engine of its own",
    "kubectl": "a Kubernetes cluster", "aws": "a cloud", "az": "a cloud", "gcloud": "a cloud",
    "esxcli": "a hypervisor", "vim-cmd": "a hypervisor", "virsh": "a hypervisor",
    "setenforce": "SELinux", "getenforce": "SELinux", "aa-status": "AppArmor",
    "osascript": "macOS", "defaults": "macOS", "launchctl": "macOS", "dscl": "macOS", "sw_vers": "macOS",
    "kldstat": "FreeBSD", "kldload": "FreeBSD", "chflags": "FreeBSD", "pw": "FreeBSD", "rmuser": "FreeBSD",
    "sysrc": "FreeBSD", "pkg": "FreeBSD", "lastlogin": "FreeBSD",
}  # fmt: skip
"""Programs of what a node is not."""

_ONLY_BSD: Final = ("/etc/master.passwd",)
"""Files that only FreeBSD has."""

_Asks = Callable[[tuple[str, ...]], bool]


def _any(_words: tuple[str, ...]) -> bool:
    return True


def _with(*wanted: str) -> _Asks:
    return lambda words: any(word in wanted for word in words)


def _like(pattern: str) -> _Asks:
    return lambda words: any(re.fullmatch(pattern, word) for word in words)


_CAPABILITIES: Final[dict[str, tuple[_Asks, str]]] = {
    **dict.fromkeys(("insmod", "modprobe", "rmmod", "depmod"), (_any, "SYS_MODULE")),
    **dict.fromkeys(
        ("iptables", "ip6tables", "nft", "ufw", "ebtables", "tc", "firewall-cmd"), (_any, "NET_ADMIN")
    ),
    **dict.fromkeys(("unshare", "nsenter", "losetup", "swapon", "swapoff", "umount"), (_any, "SYS_ADMIN")),
    **dict.fromkeys(("auditctl", "auditd"), (_any, "AUDIT_CONTROL")),
    "mount": (_like(r"-o|-t|--bind|/.*"), "SYS_ADMIN"),
    "sysctl": (_like(r"-w|-p|.*=.*"), "SYS_ADMIN"),
    "hostname": (_like(r"[A-Za-z0-9][\w.-]*"), "SYS_ADMIN"),
    "ip": (_with("add", "del", "set", "change", "replace"), "NET_ADMIN"),
    "ifconfig": (_with("up", "down", "promisc", "-promisc", "add", "netmask"), "NET_ADMIN"),
    "arp": (_with("-s", "-d"), "NET_ADMIN"),
    "date": (_like(r"-s|--set.*"), "SYS_TIME"),
    "hwclock": (_any, "SYS_TIME"),
    "dmesg": (_any, "SYSLOG"),
    "mknod": (_with("b", "c"), "MKNOD"),
    "chattr": (_like(r"[+=-][A-Za-z]*[ia][A-Za-z]*"), "LINUX_IMMUTABLE"),
    "gdb": (_like(r"-p|--pid.*|attach"), "SYS_PTRACE"),
    "strace": (_like(r"-p\d*"), "SYS_PTRACE"),
}
"""Programs, the arguments with which they need a capability, and which."""


def placed(test: AtomicTest) -> AtomicTest:
    """Return a test in which the checkout is where it is on a node."""

    def at_place(text: str) -> str:
        """Put the folder in the place of its name."""
        return _OURS.sub(PLACE, text)

    return replace(
        test,
        command=at_place(test.command),
        cleanup=at_place(test.cleanup),
        dependencies=tuple(
            replace(it, check=at_place(it.check), get=at_place(it.get)) for it in test.dependencies
        ),
        arguments=tuple(replace(it, default=at_place(it.default)) for it in test.arguments),
    )


def refused(test: AtomicTest, *, platform: str, capabilities: Collection[str]) -> str:
    """Say why a test may not run; nothing when it may be tried.

    Args:
        test: The test, its arguments filled in and its checkout placed.
        platform: What the node is, `linux`.
        capabilities: What root can do there.
    """
    if platform not in test.platforms:
        return f"runs on {', '.join(test.platforms) or 'no platform that it names'}, not on {platform}"
    if test.executor == "manual":
        return "has to be done by hand"
    if test.executor not in SHELLS:
        return f"is run by {test.executor}, and a node has sh and bash"
    if not test.command.strip():
        return "has no command"
    commands = commands_of(test.command)
    return next(_reasons(test, commands, capabilities), "")


def why_refused(test: AtomicTest, given: Mapping[str, str], capabilities: Collection[str]) -> str:
    """Say why a test may not run on a node, as it stands in its file.

    Args:
        test: The test.
        given: Values for its arguments.
        capabilities: What root can do there.
    """
    return refused(placed(test.filled(given)), platform=PLATFORM, capabilities=capabilities)


def _reasons(test: AtomicTest, commands: tuple[Command, ...], kept: Collection[str]) -> Iterator[str]:
    yield from _harm(test.command, commands)
    yield from _internet(test.command, commands)
    yield from _hosts(test, commands)
    certain = [it for it in commands if it.certain]
    yield from _not_a_node(certain)
    for it in certain:
        asks, capability = _CAPABILITIES.get(_name(it.program), (None, ""))
        if asks and capability not in kept and asks(it.words[1:]):
            yield f"{it.program} wants the capability {capability}, which a node does not have"
    yield from (f"the checkout lacks {it}" for it in lacking_files(test))


def _name(program: str) -> str:
    return program.rpartition("/")[2]


def _harm(text: str, commands: Iterable[Command]) -> Iterator[str]:
    if _BOMB.search(text):
        yield "starts processes without end"
    if _DISK.search(text):
        yield "writes to a disk of the machine"
    if "sysrq-trigger" in text:
        yield "shuts the machine down"
    for it in commands:
        name, words = _name(it.program), it.words[1:]
        stops = name == "systemctl" and {"reboot", "poweroff", "halt", "kexec"} & set(words)
        if name in _ENDS or stops or (name == "init" and words[:1] in {("0",), ("6",)}):
            yield f"{name} shuts the node down"
        if name == "kill" and {"-1", "1"} & set(words[1:] if words[:1] != ("1",) else words):
            yield "ends every process of the node"
        if name == "rm" and {"/", "/*"} & set(words) and re.search(r"-\w*[rR]", " ".join(words)):
            yield "removes all that the node has"


def _internet(text: str, commands: Iterable[Command]) -> Iterator[str]:
    for host in _URL.findall(text):
        if not _HERE.match(host):
            yield f"needs {host}, and a node reaches no address outside its lab"
    for it in commands:
        name = _name(it.program)
        if set(_INSTALLERS.get(name, "").split()) & set(it.words[1:]):
            yield f"{name} {' '.join(it.words[1:3])} needs the internet, which a node does not reach"
        if name in _NETWORKED:
            named = [word for word in it.words[1:] if _DOMAIN.match(word.rpartition("@")[2])]
            yield from (f"needs {word}, and a node reaches no address outside its lab" for word in named)


def _hosts(test: AtomicTest, commands: Iterable[Command]) -> Iterator[str]:
    """Find hosts that a test is aimed at and that are no node, such as `victim-host`."""
    asked = f"{test.command}\n{test.cleanup}"
    remote = (it for it in commands if _name(it.program) in _REMOTE)
    for host in (host for it in remote for host in _AT_HOST.findall(" ".join(it.words))):
        if not _HERE.match(host):
            given = [it.name for it in test.arguments if it.default == host]
            named = f": give  {given[0]}  a node's address" if given else ""
            yield f"is aimed at {host}, which is no node of the lab{named}"
    for it in test.arguments:
        names_one = re.search(r"(?:^|_)(?:host|server|domain|ip|target|address)(?:$|_|name)", it.name.lower())
        looks = re.fullmatch(
            r"[A-Za-z][\w-]*(?:\.[\w-]+)+|[a-z]+-(?:host|server)|\d+(?:\.\d+){3}", it.default
        )
        if names_one and looks and it.default in asked and not _HERE.match(it.default):
            why = "which is no node of the lab"
            yield f"is aimed at {it.default}, {why}: give  {it.name}  a node's address"


def _not_a_node(certain: Iterable[Command]) -> Iterator[str]:
    for it in certain:
        name = _name(it.program)
        if name in _SYSTEMD:
            yield f"{name} needs systemd as the first process, and a node has none"
        if name in _ELSEWHERE:
            yield f"{name} needs {_ELSEWHERE[name]}, which a node is not and does not have"
        missing = [word for word in it.words[1:] if word in _ONLY_BSD]
        yield from (f"is about {word}, which only FreeBSD has" for word in missing)


# -- files of the checkout -------------------------------------------------------------------------


def named_files(test: AtomicTest) -> tuple[str, ...]:
    """Name the paths below the checkout that a test speaks of, `T1222.002/src/chown.c`."""
    found = (path.lstrip("/") for text in test.texts for path in _FILE.findall(text))
    return tuple(dict.fromkeys(found))


def lacking_files(test: AtomicTest) -> tuple[str, ...]:
    """Name the files that a test takes from its checkout and that are not there.

    What is not below `src` or `bin` a test may make itself.
    """
    root = test.folder.parent
    return tuple(
        it for it in named_files(test) if re.match(r"T[\d.]+/(?:src|bin)/", it) and not _there(root, it)
    )


def _there(root: Path, name: str) -> bool:
    path = root / name
    return ".." not in Path(name).parts and path.exists()
