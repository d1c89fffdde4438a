"""First process of a machine's container: gives a virtual machine the container's networks, and runs it.

The container needs NET_ADMIN, to put its networks' interfaces and the machine's on common bridges, and
/dev/net/tun. The machine has the addresses that the engine gave; the container keeps none of them. Names are
asked from the engine's resolver, which answers in the container.

    machine JSON           run a machine: what the node is to be
    machine probe          tell whether KVM runs a kernel here
    machine secure FOLDER  stop the machine, keep its memory and its disk of that moment, let it go on;
                           print for how many seconds it stood still
    machine symbols FOLDER start the kernel once, and keep there what it says of itself
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

LINES = 12
"""Commands that can run in the machine at a time."""

FOLDER = Path("/run/lab")
"""Where the lines to the machine end, and what watches it."""

IMAGE = Path("/lab")
"""What the image brings: kernel, programs, disk as baked."""

OWN = Path("/lab/own.qcow2")
"""What the machine wrote to its disk."""

MEMORY = "memory.elf"
DISK = "own.qcow2"
"""What is kept of a machine, in a folder: all of its memory, and what it wrote to its disk."""

FETCHED_WITHIN = 600
"""Seconds after which what was kept of a machine, and is still there, is nobody's."""

STILL = "still"
"""The file, among the lines, with the number of the process for which the machine stands still."""

NUMBERS = 4
"""Bytes before a question for a name: its number and its length, two each."""

CPU = "max,la57=off"
"""All that can be had without KVM, but for tables of five levels, with which Volatility finds no process."""

PROBED_WITHIN = 10
"""Seconds in which a kernel says that it lives, if KVM runs it."""

STARTED_WITHIN = 50
"""Seconds in which it does without; it takes four."""

TOLD = 64 * 2**20
"""Bytes of a disk for what a kernel says of itself."""

KNOWN = Path("/lab/networks.json")
"""The interfaces that the machine has, for the next start: an address may be off its network by then."""

RESOLVER = ("127.0.0.11", 53)
"""Where an engine answers for the names of a network's nodes."""

LOOK_EVERY = 0.25
"""Seconds between two looks at what interfaces there are."""


def run(*argv: str) -> str:
    """Run a command; what it wrote."""
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def interfaces() -> list[dict[str, str]]:
    """List what the engine plugged in and nobody took yet: name, hardware address, address, gateway."""
    routes = json.loads(run("ip", "-j", "route", "show", "default"))
    found = []
    for link in json.loads(run("ip", "-j", "addr", "show")):
        told = next((it for it in link["addr_info"] if it["family"] == "inet"), None)
        if not link["ifname"].startswith("eth") or "master" in link or told is None:
            continue
        via = [it["gateway"] for it in routes if it.get("dev") == link["ifname"] and "gateway" in it]
        address = f"{told['local']}/{told['prefixlen']}"
        found.append(
            {"name": link["ifname"], "mac": link["address"], "address": address, "via": "".join(via[:1])}
        )
    return sorted(found, key=lambda it: it["name"])


def plug(link: dict[str, str], number: int) -> None:
    """Join one of the container's interfaces with one of the machine's, which takes its addresses."""
    name, bridge = link["name"], f"br{number}"
    other = "06" + os.urandom(5).hex()
    run("ip", "addr", "flush", "dev", name)
    run("ip", "link", "set", name, "down", "address", ":".join(re.findall("..", other)))
    run("ip", "link", "set", name, "master", bridge, "up")


class Networks:
    """The machine's interfaces, by their addresses."""

    def __init__(self) -> None:
        plugged = interfaces()
        before = json.loads(KNOWN.read_text()) if KNOWN.exists() else []
        known = {it["address"]: it for it in before} | {it["address"]: it for it in plugged}
        self.all = list(known.values())
        KNOWN.write_text(json.dumps(self.all))
        for number in range(len(self.all)):
            run("ip", "link", "add", f"br{number}", "type", "bridge")
            run("ip", "tuntap", "add", f"tap{number}", "mode", "tap")
            run("ip", "link", "set", f"tap{number}", "master", f"br{number}", "up")
            run("ip", "link", "set", f"br{number}", "up")
        self.look(plugged)

    def look(self, plugged: list[dict[str, str]]) -> None:
        """Join what was plugged in."""
        for link in plugged:
            for number, it in enumerate(self.all):
                if it["address"] == link["address"]:
                    plug(link, number)

    def changed(self) -> bool:
        """Tell whether there is an interface that nobody took."""
        return any(not (it / "master").exists() for it in Path("/sys/class/net").glob("eth*"))


def archive(files: dict[str, bytes]) -> bytes:
    """Write an archive as the kernel unpacks one into its first root: cpio(5), the new format."""
    parts = []
    for number, (name, content) in enumerate([("lab", b""), *files.items(), ("TRAILER!!!", b"")]):
        mode = 0o40755 if name == "lab" else 0o100644
        fields = (number + 1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08x" % it for it in fields) + name.encode() + b"\0"
        parts += [head, b"\0" * (-len(head) % 4), content, b"\0" * (-len(content) % 4)]
    return b"".join(parts)


def settings(asked: dict[str, object], networks: Networks) -> dict[str, bytes]:
    """Say to the machine's first program what the node is."""
    command = [str(asked["user"]), *asked["command"]]
    lines = [f"{it['mac']} {it['address']} {it['via']}" for it in networks.all]
    passed = [f"{name}={it}" for name, it in os.environ.items() if name not in ("HOME", "HOSTNAME")]
    resolver = Path("/etc/resolv.conf").read_bytes()
    return {
        "lab/command": "\0".join(command).encode(),
        "lab/environment": "\0".join(passed).encode(),
        "lab/networks": "".join(f"{it}\n" for it in lines).encode(),
        "lab/tmpfs": "".join(it.replace(":", " ", 1) + "\n" for it in asked["tmpfs"]).encode(),
        "lab/root": b"ro" if asked["read_only"] else b"rw",
        "lab/hostname": socket.gethostname().encode() + b"\n",
        "lab/hosts": Path("/etc/hosts").read_bytes(),
        "lab/resolv.conf": resolver,
        "lab/guest.pl": (IMAGE / "guest.pl").read_bytes(),
    }


def arguments(asked: dict[str, object], networks: Networks) -> list[str]:
    """Write the command line of the virtual machine."""
    accelerated = Path("/dev/kvm").exists()
    argv = [
        *("qemu-system-x86_64", "-name", socket.gethostname(), "-nodefaults", "-no-user-config"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-display", "none", "-no-reboot", "-machine", "q35,usb=off,smm=off,hpet=off", "-smp", "1"),
        *(("-accel", "kvm") if accelerated else ("-accel", "tcg,tb-size=48")),
        *("-cpu", "host" if accelerated else CPU, "-m", f"{asked['memory'] // 2**20}M"),
        *("-rtc", "base=utc,clock=host", "-qmp", f"unix:{FOLDER}/qmp,server=on,wait=off"),
        *("-kernel", str(IMAGE / "vmlinuz"), "-initrd", str(FOLDER / "initrd")),
        "-append",
        "console=ttyS0 quiet loglevel=3 panic=-1 random.trust_cpu=on no_timer_check mitigations=off",
    ]
    for name, path, options in (
        ("own", OWN, "cache=unsafe,discard=ignore"),
        ("baked", IMAGE / "disk.qcow2", "readonly=on"),
    ):
        argv += ["-drive", f"if=none,id={name},file={path},format=qcow2,{options}"]
        argv += ["-device", f"virtio-blk-pci,drive={name},serial={name}"]
    for number, it in enumerate(networks.all):
        argv += ["-netdev", f"tap,id=net{number},ifname=tap{number},script=no,downscript=no"]
        argv += ["-device", f"virtio-net-pci,netdev=net{number},mac={it['mac']},romfile="]
    argv += ["-chardev", "stdio,id=out,signal=off", "-serial", "chardev:out"]
    argv += ["-device", "virtio-serial-pci,max_ports=31"]
    for name in ("names", *map(str, range(LINES))):
        argv += ["-chardev", f"socket,id=line{name},path={FOLDER}/{name}.line,server=on,wait=off"]
        argv += ["-device", f"virtserialport,chardev=line{name},name=lab.{name}"]
    return argv


class Names:
    """Carries questions for names from the machine to the engine's resolver, and its answers back."""

    def __init__(self) -> None:
        self.line = socket.socket(socket.AF_UNIX)
        self.line.connect(str(FOLDER / "names.line"))
        self.asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.held = b""
        self.asked: dict[int, tuple[int, bytes]] = {}
        self.number = 0

    def hear(self) -> None:
        """Ask what the machine asks, under a number of our own: its questions may have equal ones."""
        self.held += self.line.recv(65536)
        while len(self.held) >= NUMBERS:
            of, length = (int.from_bytes(self.held[at : at + 2], "big") for at in (0, 2))
            question = self.held[4 : 4 + length]
            if len(question) < length:
                return
            self.held = self.held[4 + length :]
            self.number = (self.number + 1) % 65536
            self.asked[self.number] = (of, question[:2])
            with contextlib.suppress(OSError):  # one that is too long gets no answer, as anywhere
                self.asking.sendto(self.number.to_bytes(2, "big") + question[2:], RESOLVER)

    def answer(self) -> None:
        """Pass an answer on."""
        said = self.asking.recv(65536)
        of, number = self.asked.pop(int.from_bytes(said[:2], "big"), (None, b""))
        if of is not None:
            answer = number + said[2:]
            self.line.sendall(of.to_bytes(2, "big") + len(answer).to_bytes(2, "big") + answer)


class Monitor:
    """Speaks to what runs the machine, in its own language (QMP)."""

    def __init__(self) -> None:
        self.line = socket.socket(socket.AF_UNIX)
        self.line.connect(str(FOLDER / "qmp"))
        self.said = self.line.makefile("rb")
        self.said.readline()
        self.ask("qmp_capabilities")

    def ask(self, what: str, **how: object) -> None:
        """Have something done, and wait until it is."""
        self.line.sendall(json.dumps({"execute": what, "arguments": how}).encode() + b"\n")
        while "return" not in (told := json.loads(self.said.readline())):
            if "error" in told:
                sys.exit(f"{what}: {told['error']['desc']}")


def secure(folder: Path) -> float:
    """Keep the memory and the disk of one moment; the seconds for which the machine stood still."""
    for it in folder.parent.glob(f"{folder.name.partition('-')[0]}-*"):
        if time.time() - it.stat().st_mtime > FETCHED_WITHIN:  # who was to fetch it was killed
            shutil.rmtree(it)
    folder.mkdir(parents=True)
    monitor = Monitor()
    begun = time.monotonic()
    (FOLDER / STILL).write_text(str(os.getpid()))
    monitor.ask("stop")  # what it has written to its disk is in the file by then
    try:
        monitor.ask("dump-guest-memory", paging=False, protocol=f"file:{folder / MEMORY}")
        shutil.copyfile(OWN, folder / DISK)
    finally:
        stood = let_go(monitor) - begun
    return stood


def let_go(monitor: Monitor) -> float:
    """Let a machine go on that was stopped, and give it the right time; when it went on."""
    monitor.ask("cont")
    went = time.monotonic()
    (FOLDER / STILL).unlink(missing_ok=True)
    subprocess.run(["/usr/local/sbin/reach", "--clock"], check=False, stdin=subprocess.DEVNULL)
    return went


def is_forsaken() -> bool:
    """Tell whether somebody stopped the machine and was killed before it could go on."""
    try:
        return not Path("/proc", (FOLDER / STILL).read_text()).exists()
    except FileNotFoundError:
        return False


def probe() -> int:
    """Tell whether a kernel says a word with KVM; some hosts offer it and cannot."""
    return b"lab: alive" not in once("kvm", "lab.probe")


def once(accelerator: str, word: str, *more: str) -> bytes:
    """Start the kernel without a node's disk, with a word for its first program; what it wrote."""
    argv = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-machine", "q35", "-accel", accelerator, "-cpu", "host" if accelerator == "kvm" else CPU]
    argv += ["-m", "256M", "-serial", "stdio", "-kernel", str(IMAGE / "vmlinuz")]
    argv += ["-initrd", str(IMAGE / "initrd"), "-append", f"console=ttyS0 quiet panic=-1 {word}", *more]
    within = PROBED_WITHIN if accelerator == "kvm" else STARTED_WITHIN
    try:
        return subprocess.run(argv, capture_output=True, timeout=within, check=False).stdout
    except subprocess.TimeoutExpired:
        return b""


def symbols(folder: Path) -> int:
    """Have the kernel write what it says of itself to a disk, as an archive, and unpack that."""
    told = folder / "told.tar"
    with told.open("wb") as file:
        file.truncate(TOLD)
    disk = ("-drive", f"if=none,id=told,file={told},format=raw", "-device", "virtio-blk-pci,drive=told")
    once("tcg", "lab.symbols", *disk)
    run("tar", "-xf", str(told), "-C", str(folder))
    told.unlink()
    return 0


def run_machine(asked: dict[str, object]) -> int:
    """Run the machine until it ends."""
    FOLDER.mkdir(exist_ok=True)
    for it in FOLDER.iterdir():
        it.unlink()
    networks = Networks()
    base = (IMAGE / "initrd").read_bytes()
    (FOLDER / "initrd").write_bytes(base + b"\0" * (-len(base) % 4) + archive(settings(asked, networks)))
    if not OWN.exists():
        backing = str(IMAGE / "disk.qcow2")
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", "qcow2", str(OWN))
    machine = subprocess.Popen(arguments(asked, networks))
    for it in (signal.SIGTERM, signal.SIGINT):
        signal.signal(it, lambda *_: machine.kill())
    while not (FOLDER / "names.line").exists() and machine.poll() is None:
        time.sleep(0.02)
    clock = subprocess.Popen(["/usr/local/sbin/reach", "--clock"], stdin=subprocess.DEVNULL)
    names = Names()
    while machine.poll() is None:
        for it in select.select([names.line, names.asking], [], [], LOOK_EVERY)[0]:
            if it is names.line:
                names.hear()
            else:
                names.answer()
        if networks.changed():
            networks.look(interfaces())
        if is_forsaken():
            let_go(Monitor())
        clock.poll()
    return machine.returncode


def main() -> int:
    """Do what is asked for."""
    match sys.argv[1:]:
        case ["probe"]:
            return probe()
        case ["secure", folder]:
            sys.stdout.write(f"{secure(Path(folder)):.3f}\n")
            return 0
        case ["symbols", folder]:
            return symbols(Path(folder))
        case [asked]:
            return run_machine(json.loads(asked))
    return 2


if __name__ == "__main__":
    sys.exit(main())
