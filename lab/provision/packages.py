"""Which Debian packages bring the programs that somebody's scripts need, asked of Debian's own index.

A throw-away container of the base asks `apt-file`; what it finds is remembered, for it takes half a minute.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lab.engine.nodes import SeenNode
from lab.engine.present import ask_present
from lab.engine.shell import Completed, Shell
from lab.errors import CommandFailed

_TIMEOUT: Final = 600.0
"""Seconds for one command: the index is some ten megabytes."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")

_CHOSEN: Final = {
    "awk": "mawk", "cc": "gcc", "c++": "g++", "ftp": "tnftp", "java": "default-jre-headless",
    "javac": "default-jdk-headless", "locate": "plocate", "mail": "bsd-mailx", "nc": "netcat-openbsd",
    "netcat": "netcat-openbsd", "pip": "python3-pip", "pip3": "python3-pip", "python": "python-is-python3",
    "python2": "", "telnet": "inetutils-telnet", "tftp": "tftp-hpa", "vi": "vim-tiny", "vim": "vim",
}  # fmt: skip
"""Programs that several packages bring, or none under its own name (Debian's alternatives), and our choice;
an empty one for what Debian has dropped."""

_BY_HEART: Final = {
    "ca-certificates": "update-ca-certificates", "samba": "smbstatus smbd nmbd",
    "samba-common-bin": "testparm net", "libnss3-tools": "certutil", "keyutils": "keyctl",
    "lsb-release": "lsb_release", "iptables": "iptables-save",
    "alsa-utils": "aplay arecord amixer", "apt-file": "apt-file", "auditd": "auditctl ausearch aureport",
    "bind9-dnsutils": "dig nslookup nsupdate", "bind9-host": "host",
    "binutils": "as ld nm objcopy objdump strings readelf", "bsdextrautils": "column hexdump hd rev ul",
    "bsdutils": "logger script wall", "bzip2": "bzip2 bunzip2", "cron": "crontab",
    "e2fsprogs": "chattr lsattr mkfs.ext4 debugfs", "fdisk": "fdisk sfdisk", "ftp-ssl": "ftp-ssl",
    "gnupg": "gpg gpg-agent", "golang-go": "go gofmt", "imagemagick": "convert import",
    "iproute2": "ip ss tc", "iputils-ping": "ping", "kmod": "lsmod kmod modinfo modprobe insmod rmmod",
    "ldap-utils": "ldapsearch ldapmodify", "libcap2-bin": "setcap getcap capsh",
    "libpam-modules-bin": "mkhomedir_helper", "lua5.4": "lua", "mariadb-client": "mysql mysqldump",
    "net-tools": "netstat ifconfig arp route", "nfs-common": "showmount", "nftables": "nft",
    "nodejs": "node", "openssh-client": "ssh scp sftp ssh-keygen ssh-add ssh-agent ssh-copy-id",
    "openssh-server": "sshd", "passwd": "useradd userdel usermod passwd chpasswd groupadd chsh",
    "pciutils": "lspci", "php-cli": "php", "postgresql-client": "psql",
    "procps": "ps top w uptime free pgrep pkill sysctl vmstat", "proxychains4": "proxychains4 proxychains",
    "psmisc": "killall pstree fuser", "rpcbind": "rpcinfo", "sharutils": "uuencode uudecode",
    "smbclient": "smbclient rpcclient smbget", "sysstat": "iostat mpstat sar", "upx-ucl": "upx",
    "usbutils": "lsusb", "util-linux": "lscpu lsblk dmesg findmnt mount umount unshare nsenter",
    "uuid-runtime": "uuidgen", "x11-apps": "xwd xclock", "x11-utils": "xwininfo xprop xdpyinfo",
    "xxd": "xxd", "xz-utils": "xz unxz", "7zip": "7z 7za", "zip": "zip", "at": "at atq atrm batch",
    "dnsmasq-base": "dnsmasq", "chkconfig": "chkconfig", "acl": "setfacl getfacl",
    "attr": "setfattr getfattr", "coreutils": "sha256sum shred",
}  # fmt: skip
"""Packages and programs they bring, for when Debian's index of files cannot be had."""

_HEAVY: Final = frozenset({"systemd", "systemd-sysv", "docker.io", "podman", "gdm3", "lightdm"})
"""Packages that would make a node something else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Brought:
    """What is known of programs."""

    packages: Mapping[str, str] = field(default_factory=dict)
    """Program to the package that brings it; empty for one that no package brings."""

    present: tuple[str, ...] = ()
    """Programs that every node has."""

    def knows(self, program: str) -> bool:
        """Tell whether a program was asked for before."""
        return program in self.packages or program in self.present


def ask(
    shell: Shell, node: SeenNode, programs: Iterable[str], names: Iterable[str], tell: Callable[[str], None]
) -> Brought:
    """Ask in a container which packages bring programs.

    Args:
        shell: Runs commands there.
        node: The container; it must reach Debian's mirror.
        programs: What is wanted.
        names: Packages that somebody names himself; those that exist are taken as they are.
        tell: Hears what is going on.

    Raises:
        CommandFailed: the mirror does not answer.
    """
    wanted = tuple(dict.fromkeys(it for it in programs if _NAME.fullmatch(it)))
    there = set(_lines(_run(shell, node, ask_present(*wanted))))
    tell("asking Debian which packages bring what is missing")
    _run(shell, node, ("apt-get", "-qq", "update"))
    known = frozenset(_lines(_run(shell, node, ("apt-cache", "pkgnames"))))
    missing = [it for it in wanted if it not in there]
    found = {it: _CHOSEN[it] for it in missing if it in _CHOSEN}
    found |= _searched(shell, node, [it for it in missing if it not in found], known, tell)
    found |= {f"package {it}": it for it in names if it in known - _HEAVY}
    return Brought(packages={**dict.fromkeys(missing, ""), **found}, present=tuple(sorted(there)))


def _searched(
    shell: Shell,
    node: SeenNode,
    programs: Sequence[str],
    known: frozenset[str],
    tell: Callable[[str], None],
) -> dict[str, str]:
    """Look in Debian's index of files; where it cannot be had, go by what packages are called."""
    if not programs:
        return {}
    try:
        _run(shell, node, ("apt-get", "-qq", "install", "-y", "apt-file"))
        _run(shell, node, ("apt-file", "update"))
    except CommandFailed:
        tell("Debian's index of files cannot be had now: going by the names of packages")
        return _by_name(programs, known)
    pattern = f"^/(usr/)?(local/)?s?bin/({'|'.join(map(re.escape, programs))})$"
    found: dict[str, set[str]] = {}
    for line in _lines(_run(shell, node, ("apt-file", "search", "--regexp", pattern), fine={0, 1})):
        package, _, path = line.partition(": ")
        found.setdefault(path.rpartition("/")[2], set()).add(package)
    chosen = {name: _best(name, packages - _HEAVY) for name, packages in found.items()}
    return {name: package for name, package in chosen.items() if package}


def _by_name(programs: Sequence[str], known: frozenset[str]) -> dict[str, str]:
    by_heart = {program: package for package, line in _BY_HEART.items() for program in line.split()}
    found = {it: by_heart.get(it, it) for it in programs}
    return {program: package for program, package in found.items() if package in known - _HEAVY}


def _best(program: str, packages: Iterable[str]) -> str:
    """Choose among packages: the one of the program's own name, else the shortest name."""
    return min(packages, key=lambda it: (it != program, program not in it, len(it), it), default="")


def _lines(ran: Completed) -> list[str]:
    return ran.stdout.decode("utf-8", "replace").splitlines()


def _run(shell: Shell, node: SeenNode, argv: tuple[str, ...], fine: Iterable[int] = (0,)) -> Completed:
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    ran = shell.execute(node, argv, user="root", timeout=_TIMEOUT, environment=environment)
    if ran.code not in fine:
        said = ran.stderr.decode("utf-8", "replace")
        raise CommandFailed(node=node.name, argv=argv[:3], code=ran.code, output=said)
    return ran
