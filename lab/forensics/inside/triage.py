"""Collects what is volatile of the node beside which this runs, and what is telling, as a tar archive.

The layout is that of UAC, the Unix-like Artifacts Collector: live_response/, bodyfile/, hash_executables/,
system/, and collected files below [root]/. Nothing is started on the node, and nothing is written there.
"""

from __future__ import annotations

import glob
import hashlib
import io
import os
import pwd
import stat
import subprocess
import sys
import tarfile
import time

ROOT = "/proc/1/root"
LARGEST = 16 * 2**20
MOST = 192 * 2**20
HASHED = 64 * 2**20
SKIPPED = {f"{ROOT}/proc", f"{ROOT}/sys", f"{ROOT}/dev"}
TELLING = (
    *("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/sudoers", "/etc/sudoers.d/*", "/etc/hosts"),
    *(
        "/etc/resolv.conf",
        "/etc/crontab",
        "/etc/cron*/*",
        "/var/spool/cron/**",
        "/etc/ssh/**",
        "/etc/pam.d/*",
    ),
    *("/etc/ld.so.preload", "/etc/profile", "/etc/profile.d/*", "/etc/bash.bashrc", "/etc/rc.local"),
    *("/etc/systemd/system/**", "/usr/lib/systemd/system/*.service", "/etc/init.d/*", "/etc/os-release"),
    *("/root/.*history", "/home/*/.*history", "/root/.ssh/**", "/home/*/.ssh/**", "/var/lib/*/.ssh/**"),
    *("/root/.bash*", "/root/.profile", "/home/*/.bash*", "/home/*/.profile"),
    *("/var/log/**", "/run/utmp", "/var/run/utmp"),
)
SUSPECT = ("/tmp/**", "/var/tmp/**", "/dev/shm/**", "/root/.*/**")

taken = 0
now = time.time()
archive = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT)
notes: list[str] = []


def add(name: str, content: bytes, changed: float = now) -> None:
    """Add a file to the archive."""
    global taken  # noqa: PLW0603  # one script, one budget
    head = tarfile.TarInfo(name)
    head.size, head.mode, head.mtime = len(content), 0o600, changed
    taken += len(content)
    archive.addfile(head, io.BytesIO(content))


def text(name: str, lines: list[str]) -> None:
    """Add a text, whatever is in it."""
    add(name, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))


def read(path: str, most: int = LARGEST) -> bytes:
    """Read a file up to a limit; nothing where it cannot be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOATIME)
    except OSError:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return b""
    with os.fdopen(handle, "rb") as file:
        return file.read(most)


def said(*argv: str) -> list[str]:
    """Run a program of the clean image that reads this network and these processes."""
    ran = subprocess.run(argv, capture_output=True, check=False)
    return ran.stdout.decode("utf-8", "surrogateescape").splitlines()


def processes() -> list[int]:
    """List the processes of the node: what shares our root is ours."""
    ours, found = os.stat("/proc/self/root"), []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                root = os.stat(f"/proc/{name}/root")
            except OSError:
                continue
            if (root.st_dev, root.st_ino) != (ours.st_dev, ours.st_ino):
                found.append(int(name))
    return sorted(found)


def accounts() -> dict[int, str]:
    """Return the node's names of accounts."""
    lines = read(f"{ROOT}/etc/passwd").decode("utf-8", "replace").splitlines()
    parts = [line.split(":") for line in lines]
    return {int(it[2]): it[0] for it in parts if len(it) > 2 and it[2].isdigit()}


def begun(process: int) -> str:
    """Return when a process was started."""
    ticks = int(read(f"/proc/{process}/stat").rpartition(b")")[2].split()[19])
    up = float(read("/proc/uptime").split()[0])
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - up + ticks / os.sysconf("SC_CLK_TCK")))


def link(path: str) -> str:
    """Return where a link leads; nothing where nobody may know."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def live() -> None:
    """Collect processes, what they have open, and the network."""
    names, hashes = accounts(), dict[str, str]()
    table, opened, deleted = list[str](), list[str](), list[str]()
    for it in processes():
        here, to = f"/proc/{it}", f"live_response/process/proc/{it}"
        try:
            status = dict(
                line.split(":\t", 1)
                for line in read(f"{here}/status").decode("utf-8", "replace").splitlines()
                if ":\t" in line
            )
            started = begun(it)
        except (ValueError, IndexError):
            continue
        line = read(f"{here}/cmdline").replace(b"\0", b" ").strip().decode("utf-8", "backslashreplace")
        owner = int(status["Uid"].split()[0])
        program = link(f"{here}/exe")
        state, parent = status["State"].strip(), status["PPid"].strip()
        who = names.get(owner, str(owner))
        table.append("\t".join((who, str(it), parent, started, state, program, line)))
        for name in ("cmdline", "environ", "maps", "status"):
            add(f"{to}/{name}.txt", read(f"{here}/{name}").replace(b"\0", b"\n"))
        text(
            f"{to}/where.txt",
            [f"exe {program}", f"cwd {link(f'{here}/cwd')}", f"root {link(f'{here}/root')}"],
        )
        if program:
            hashes.setdefault(program, hashed(f"{here}/exe", follow=True))
        if program.endswith(" (deleted)"):
            deleted.append(f"{it}\texe\t{program}")
            add(f"{to}/recovered/exe", held(f"{here}/exe"))
        try:
            numbers = sorted(os.listdir(f"{here}/fd"), key=int)
        except OSError:
            numbers = []
        for number in numbers:
            where = link(f"{here}/fd/{number}")
            opened.append(f"{names.get(owner, owner)}\t{it}\t{number}\t{where}")
            if (
                where.endswith(" (deleted)")
                and where.startswith("/")
                and not where.startswith(("/dev/", "/memfd:"))
            ):
                deleted.append(f"{it}\t{number}\t{where}")
                add(f"{to}/recovered/fd_{number}", held(f"{here}/fd/{number}"))
    text("live_response/process/ps.txt", ["user\tpid\tppid\tstarted\tstate\texe\tcmdline", *table])
    text("live_response/process/open_files.txt", ["user\tpid\tfd\tpath", *opened])
    text("live_response/process/deleted_open_files.txt", ["pid\tfd\tpath", *deleted])
    text(
        "hash_executables/hash_executables.sha256",
        [f"{value}  {name}" for name, value in sorted(hashes.items()) if value],
    )
    for name, argv in (
        ("ss_-tanup.txt", ("ss", "-tanup")),
        ("ss_-xanp.txt", ("ss", "-xanp")),
        ("ip_addr.txt", ("ip", "addr")),
        ("ip_route.txt", ("ip", "route", "show", "table", "all")),
        ("ip_neigh.txt", ("ip", "neigh")),
    ):
        text(f"live_response/network/{name}", said(*argv))
    text("live_response/system/date.txt", [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))])
    text("live_response/system/uptime.txt", read("/proc/uptime").decode().splitlines())
    text("live_response/system/mounts.txt", read("/proc/1/mounts").decode("utf-8", "replace").splitlines())


def held(path: str) -> bytes:
    """Read what a process still has of a file that is deleted."""
    try:
        with open(path, "rb") as file:
            return file.read(LARGEST)
    except OSError:
        return b""


def hashed(path: str, *, follow: bool = False) -> str:
    """Return the SHA-256 of a file; nothing where it is too large, or cannot be read."""
    found = hashlib.sha256()
    try:
        flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
        with os.fdopen(os.open(path, flags), "rb") as file:
            if os.fstat(file.fileno()).st_size > HASHED:
                return ""
            while block := file.read(1 << 18):
                found.update(block)
    except OSError:
        return ""
    return found.hexdigest()


def files() -> None:
    """Write the body file of The Sleuth Kit, and the files that run with another's rights."""
    body, setuid, setgid, waiting = [], [], [], [ROOT]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda it: it.name)
        except OSError:
            continue
        for entry in entries:
            if entry.path in SKIPPED:
                continue
            try:
                it = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            name = entry.path[len(ROOT) :]
            shown = name.replace("\n", "\\n").replace("|", "\\x7c")
            if stat.S_ISLNK(it.st_mode):
                shown += f" -> {link(entry.path)}".replace("\n", "\\n").replace("|", "\\x7c")
            kind = {stat.S_IFDIR: "d", stat.S_IFREG: "r", stat.S_IFLNK: "l"}.get(stat.S_IFMT(it.st_mode), "-")
            mode = f"{kind}/{stat.filemode(it.st_mode)}"
            times = (it.st_atime, it.st_mtime, it.st_ctime)
            body.append(
                "|".join(
                    (
                        "0",
                        shown,
                        str(it.st_ino),
                        mode,
                        str(it.st_uid),
                        str(it.st_gid),
                        str(it.st_size),
                        *(str(int(one)) for one in times),
                        "0",
                    )
                )
            )
            if stat.S_ISREG(it.st_mode) and it.st_mode & stat.S_ISUID:
                setuid.append(f"{hashed(entry.path)}  {name}")
            if stat.S_ISREG(it.st_mode) and it.st_mode & stat.S_ISGID:
                setgid.append(f"{hashed(entry.path)}  {name}")
            if stat.S_ISDIR(it.st_mode):
                waiting.append(entry.path)
    text("bodyfile/bodyfile.txt", sorted(body))
    text("system/suid.txt", setuid)
    text("system/sgid.txt", setgid)


def telling(patterns: tuple[str, ...]) -> None:
    """Collect files as they are."""
    for pattern in patterns:
        for path in sorted(glob.glob(ROOT + pattern, recursive=True, include_hidden=True)):
            try:
                it = os.lstat(path)
            except OSError:
                continue
            if not stat.S_ISREG(it.st_mode) or path in seen:
                continue
            seen.add(path)
            if taken + min(it.st_size, LARGEST) > MOST:
                notes.append(f"left out, for want of room: {path[len(ROOT) :]}")
                continue
            if it.st_size > LARGEST:
                notes.append(f"cut after {LARGEST} bytes: {path[len(ROOT) :]}")
            content = read(path)
            sums.append(f"{hashlib.sha256(content).hexdigest()}  {path[len(ROOT) :]}")
            add(f"[root]{path[len(ROOT) :]}", content, it.st_mtime)


seen: set[str] = set()
sums: list[str] = []
live()
telling(TELLING)
telling(SUSPECT)
files()
text("collected.sha256", sums)
text(
    "uac.log",
    [
        f"collected from outside the node, {pwd.getpwuid(os.geteuid()).pw_name} in its process name space",
        *notes,
    ],
)
archive.close()
