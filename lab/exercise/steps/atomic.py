"""Run a test of Atomic Red Team, unmodified, with its prerequisites, and its cleanup at the end."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Final

from lab.engine.present import ask_present
from lab.engine.shell import Completed
from lab.engine.trace import Process
from lab.errors import NotFound
from lab.exercise.atomic.library import AtomicTest, Dependency, Library
from lab.exercise.atomic.refusal import PLACE, PLATFORM, SHELLS, TECHNIQUE, named_files, placed, refused
from lab.exercise.atomic.script import commands_of, programs_of
from lab.exercise.atomic.state import State, changes, look
from lab.exercise.finding import Finding
from lab.exercise.place import Place
from lab.exercise.steps.base import Lacking, Outcome, outputs
from lab.files.declared import Fault
from lab.moment import Moment

_LARGEST: Final = 16 * 2**20
"""Bytes of a technique's folder that are brought to a node."""

_GREP: Final = frozenset({"grep", "egrep", "fgrep", "zgrep", "diff", "cmp"})
"""Programs that end with 1 when they did their work and found nothing."""

_FACTS: Final = r"""
print "USER $1\n" if (getpwuid 1000)[0] =~ /(.+)/;
print "MODULES\n" if -e "/proc/modules";
for my $table (qw(tcp tcp6 udp udp6)) {
    open my $file, '<', "/proc/net/$table" or next;
    while (<$file>) { print "PORT ", hex $1, "\n" if /^ *\d+: [0-9A-F]+:([0-9A-F]{4}) \S+ 0[7A] / }
}
"""
"""Says who the ordinary user is, and which ports are open."""

_MODULES: Final = frozenset({"lsmod", "kmod", "modinfo"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Atomic:
    """One test of a checkout that was named with `--from`."""

    kind: ClassVar[str] = "atomic"
    remedy: ClassVar[str] = "write  atomic: {technique: T1053.003, test: 2}"

    technique: str
    """ATT&CK technique id, `T1053.003`."""

    test: int
    """Its place in the file of the technique, from 1."""

    arguments: Mapping[str, str] = field(default_factory=dict)
    """Values for its input arguments; the others have their defaults."""

    elevated: bool = False
    """Whether it is run as root even where the test does not ask for it."""

    bound: AtomicTest | None = field(default=None, metadata={"written": False})
    """The test itself."""

    def faults(self) -> Iterator[Fault]:
        """Find a number that no test has."""
        if self.test < 1:
            yield Fault(key="test", what="tests are counted from 1")

    def found_in(self, library: Library) -> Atomic:
        """Return the same, with the test itself.

        Raises:
            NotFound: the checkout has no such test.
            BadArgument: it has no such argument.
        """
        (test,) = library.find(self.technique, self.test)
        test.filled({name: it for name, it in self.arguments.items() if "{{" not in it})
        return replace(self, bound=test)

    def _filled(self) -> AtomicTest:
        if self.bound is None:
            raise NotFound("test", name=f"{self.technique}-{self.test}", remedy="lab atomic list --from PATH")
        return placed(self.bound.filled(self.arguments))

    def prepare(self, place: Place, capabilities: Collection[str]) -> ReadyAtomic:
        """Bring what the test needs, and look at the node."""
        test = self._filled()
        if said := refused(test, platform=PLATFORM, capabilities=capabilities):
            raise Lacking(said)
        commands = commands_of(test.command)
        found = _ask(place, test, programs_of([it for it in commands if it.certain]))
        if found.missing:
            brought = "which no Debian package brought to"
            raise Lacking(f"needs {', '.join(found.missing)}, {brought} {place.node.name}")
        if not found.modules and _MODULES & {it.program for it in commands if it.certain}:
            raise Lacking("needs the list of kernel modules, which this machine's kernel does not have")
        if port := _unheard(test, found.ports):
            raise Lacking(f"nothing listens on port {port} of the node itself, which it is aimed at")
        if files := folders_of(test):
            place.run(("tar", "-x", "-C", "/"), stdin=files)
        user = "root" if test.elevated or self.elevated else found.user
        _prerequisites(place, test, user)
        return ReadyAtomic(test=test, user=user, before=look(place))

    def act(self, place: Place) -> Outcome:
        """Do nothing: it was not made ready."""
        raise Lacking(f"{self.technique}-{self.test} was not made ready on {place.node.name}")


@dataclass(kw_only=True, slots=True)
class ReadyAtomic:
    """A test that may run."""

    test: AtomicTest
    """With its arguments filled in."""

    user: str
    """Who runs it."""

    before: State
    """What the node was like."""

    changed: tuple[str, ...] = ()
    """What the test changed there."""

    @property
    def undo(self) -> tuple[str, tuple[str, ...]] | None:
        """Return the test's own cleanup."""
        if not self.test.cleanup.strip():
            return None
        return self.user, (self.test.executor, "-c", self.test.cleanup)

    def act(self, place: Place) -> Outcome:
        """Run it."""
        ran = _run(place, self.test.executor, self.test.command, self.user)
        return Outcome(
            completed=ran,
            command_line=self.test.command.strip(),
            users=(self.user,),
            registered=outputs(ran),
        )

    def finding(self, place: Place, outcome: Outcome) -> Finding:
        """Look what it changed, and what its programs did."""
        self.changed = changes(self.before, look(place))
        return effect(self.test, self.changed, outcome.completed)

    def left(self, place: Place) -> str:
        """Look what its cleanup left."""
        return left_over(self.before, look(place))


def left_over(before: State, after: State) -> str:
    """Say what of a node is not as before, in short."""
    found = changes(before, after)
    return f"its cleanup left {_some(found)}" if found else ""


def _some(found: Sequence[str]) -> str:
    more = f" and {len(found) - _FEW} more" if len(found) > _FEW else ""
    return ", ".join(found[:_FEW]) + more


def _prerequisites(place: Place, test: AtomicTest, user: str) -> None:
    """Make sure that what a test needs is there.

    Raises:
        Lacking: it is not, and cannot be brought.
    """
    shell = test.dependency_executor if test.dependency_executor in SHELLS else "sh"
    for it in test.dependencies:
        if not it.check.strip() or _run(place, shell, it.check, user).code == 0:
            continue
        if said := _get_refused(test, it.get) if it.get.strip() else "":
            raise Lacking(f"its prerequisite {said}: {_short(it.description)}")
        if not any(_brought(place, shell, it, who) for who in dict.fromkeys((user, "root"))):
            raise Lacking(f"its prerequisite is not met: {_short(it.description)}")


def _brought(place: Place, shell: str, need: Dependency, user: str) -> bool:
    """Bring something that a test needs, as a user; tell whether it is there then."""
    if need.get.strip():
        _run(place, shell, need.get, user)
    return _run(place, shell, need.check, user).code == 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """What a node has of what a test wants."""

    missing: tuple[str, ...]
    user: str
    modules: bool
    ports: frozenset[str]


def _unheard(test: AtomicTest, heard: frozenset[str]) -> str:
    """Return the port of the node itself that a test is aimed at and that nobody listens on."""
    values = {it.name.lower(): it.default for it in test.arguments if it.default in test.command}
    here = any("host" in name and value in {"localhost", "127.0.0.1"} for name, value in values.items())
    ports = [value for name, value in values.items() if "port" in name and value.isdigit()]
    return next((it for it in ports if here and it not in heard), "")


def _ask(place: Place, test: AtomicTest, programs: tuple[str, ...]) -> _Found:
    """Ask the node; an address among what the test would say to a shell refuses it before it begins."""
    ran = place.run(ask_present(*programs, more=_FACTS), packed=test.texts)
    told = ran.completed.stdout.decode("utf-8", "replace")
    lines = told.splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    missing = tuple(it for it in programs if it not in lines)
    ports = frozenset(line.split()[1] for line in lines if line.startswith("PORT "))
    return _Found(
        missing=missing, user=users[0] if users else "root", modules="MODULES" in lines, ports=ports
    )


def effect(test: AtomicTest, changed: tuple[str, ...], ran: Completed) -> Finding:
    """Say whether a test had an effect, by what the kernel told and what its node is like.

    Something changed, be it only a process that goes on; or a program of it did its work. The exit code of
    the whole tells nothing: a script that failed half-way often ends well.
    """
    told = [it for it in changed if not it.endswith("(empty)")]
    if told:
        return Finding(occurred=True, said=f"changed {_some(told)}")
    if ran.trace is None:
        return Finding(occurred=None, said="nobody could follow what it started, and nothing changed")
    programs = [it for it in ran.trace.processes if it.command_line and _program(it) not in SHELLS]
    if not programs and ran.trace.connections:
        return Finding(occurred=True, said=f"the shell aimed at {len(ran.trace.connections)} ports itself")
    if not programs:
        return Finding(occurred=None, said="the shell did all of it, and nothing changed that could be seen")
    decides = _deciding(test, programs)
    ended = "was still at work" if decides.code is None else f"ended with {decides.code}"
    words = ran.stderr.decode("utf-8", "replace").strip().splitlines()
    why = f": {_short(words[0])}" if words and not _well(decides) else ""
    return Finding(occurred=_well(decides), said=f"{_short(decides.command_line)} {ended}{why}")


def _deciding(test: AtomicTest, programs: Sequence[Process]) -> Process:
    """Choose the program that tells whether a test did its work.

    The first one, where the script always starts it: what comes later may only show what the first one wrote.
    Else the first that did its work.
    """
    certain = {it.program.rpartition("/")[2] for it in commands_of(test.command) if it.certain}
    first = programs[0]
    if _program(first) in certain:
        return first
    return next((it for it in programs if _well(it)), first)


def _program(process: Process) -> str:
    return process.command_line.split(" ")[0].rpartition("/")[2]


def _well(process: Process) -> bool:
    """Tell whether a program did its work; one that was still at it when the test was over did."""
    return process.code in {0, None} or (process.code == 1 and _program(process) in _GREP)


_FEW: Final = 3
_SHOWN: Final = 120


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


def _run(place: Place, shell: str, text: str, user: str) -> Completed:
    home = "/root" if user == "root" else f"/home/{user}"
    environment = {"USER": user, "LOGNAME": user, "HOME": home, "TERM": "xterm"}
    return place.run((shell, "-c", text), user=user, environment=environment, folder=home).completed


def _get_refused(test: AtomicTest, get: str) -> str:
    alone = replace(test, command=get, cleanup="", dependencies=(), executor="sh", arguments=())
    return refused(alone, platform=PLATFORM, capabilities=())


def folders_of(test: AtomicTest) -> bytes:
    """Pack the folders of the checkout that a test speaks of, as they are to be on the node."""
    names = {it.partition("/")[0] for it in named_files(test)}
    names = {it for it in names if TECHNIQUE.fullmatch(it)}  # `..` would be a folder of this machine
    root = test.folder.parent
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in sorted(names):
            for path in _inside(root, name):
                inside = path.name if path == _alone(root, name) else path.relative_to(root / name)
                archive.add(path, f"{PLACE}/{name}/{inside}"[1:], recursive=False, filter=_as_root)
    return packed.getvalue() if names else b""


def _alone(root: Path, name: str) -> Path:
    return root / f"{name}.yaml"


def _inside(root: Path, name: str) -> Iterator[Path]:
    """Yield the plain files of a technique: of its folder, or its one file in a plain folder."""
    size = 0
    found = sorted((root / name).rglob("*")) if (root / name).is_dir() else [_alone(root, name)]
    for path in found:
        if path.is_file() and not path.is_symlink():
            size += path.stat().st_size
            if size > _LARGEST:
                return
            yield path


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = int(Moment(0))
    return member
