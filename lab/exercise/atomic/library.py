"""A checkout of Atomic Red Team, or a plain folder of its YAML files -> tests.

The format is theirs (`atomic_red_team/spec.yaml` of that project). Files are other people's, so what they
have beyond the format is passed over; what is missing makes that file a problem and no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from lab.errors import BadFile, NotFound, Problem
from lab.files import loader
from lab.files.loader import Item, Reading

_FILE: Final = re.compile(r"T\d{4}(?:\.\d{3})?\.ya?ml")
_PLACE: Final = re.compile(r"#\{([^}]+)\}")
_ROUNDS: Final = 5
"""How often defaults that name other arguments are filled in."""

LONGEST: Final = 100_000
"""Characters of one command."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """An input argument of a test."""

    name: str
    """Its name, as `#{name}` in commands."""

    kind: str
    """`path`, `string`, `url`, `integer` or `float`."""

    default: str
    """Its value when nobody gives one."""

    description: str
    """What it is, for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependency:
    """Something that has to be there before a test."""

    description: str
    """What, for people."""

    check: str
    """A command that succeeds when it is there."""

    get: str
    """A command that brings it; empty when there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AtomicTest:
    """One test, its arguments not filled in."""

    technique: str
    """ATT&CK technique id, `T1053.003`."""

    number: int
    """Its place in its file, from 1."""

    name: str
    """For people."""

    guid: str
    """Its id in Atomic Red Team."""

    description: str
    """What it does, for people."""

    platforms: tuple[str, ...]
    """Where it runs: `linux`, `macos`, `windows`, ..."""

    executor: str
    """What runs its command: `sh`, `bash`, `powershell`, `command_prompt` or `manual`."""

    elevated: bool
    """Whether it needs root."""

    command: str
    """What it does."""

    cleanup: str
    """What undoes it; empty for nothing."""

    arguments: tuple[Argument, ...] = ()
    """Its input arguments."""

    dependencies: tuple[Dependency, ...] = ()
    """What has to be there before."""

    dependency_executor: str
    """What runs the commands of its dependencies."""

    folder: Path
    """The folder of its technique, with files that it may need."""

    @property
    def id(self) -> str:
        """Technique and number, `T1053.003-2`."""
        return f"{self.technique}-{self.number}"

    @property
    def texts(self) -> tuple[str, ...]:
        """All that it would say to a shell."""
        needs = (text for it in self.dependencies for text in (it.check, it.get))
        return (self.command, self.cleanup, *needs)

    def filled(self, given: Mapping[str, str]) -> AtomicTest:
        """Return the test with its arguments filled in.

        Args:
            given: Values for some of them; the others have their defaults.

        Raises:
            BadArgument: one is unknown, or no number where it has to be one.
        """
        known = {it.name: it for it in self.arguments}
        for name, value in given.items():
            if name not in known:
                raise BadArgument(self, name, f"is none of {', '.join(sorted(known)) or 'its arguments'}")
            if known[name].kind in {"integer", "float"} and not re.fullmatch(r"-?\d+(\.\d+)?", value):
                raise BadArgument(self, name, f"must be a number, not {value!r}")
        values = {it.name: given.get(it.name, it.default) for it in self.arguments}

        def fill(text: str) -> str:
            """Put values in the place of their names; a default may name others."""
            for _ in range(_ROUNDS):
                text = _PLACE.sub(lambda it: values.get(it[1].strip(), it[0]), text)[:LONGEST]
            return text

        return replace(
            self,
            command=fill(self.command),
            cleanup=fill(self.cleanup),
            arguments=tuple(replace(it, default=fill(values[it.name])) for it in self.arguments),
            dependencies=tuple(
                Dependency(description=fill(it.description), check=fill(it.check), get=fill(it.get))
                for it in self.dependencies
            ),
        )


class BadArgument(NotFound):
    """A value for an argument of a test is wrong."""

    def __init__(self, test: AtomicTest, name: str, why: str) -> None:
        super().__init__("argument", name=name, remedy=f"{test.id}: {name} {why}")


@dataclass(frozen=True, kw_only=True)
class Library:
    """All tests of a checkout."""

    root: Path
    """The checkout, or the folder."""

    tests: tuple[AtomicTest, ...]
    """In the order of techniques and numbers."""

    problems: tuple[Problem, ...] = field(default=())
    """What is wrong with files that were passed over."""

    @cached_property
    def techniques(self) -> tuple[str, ...]:
        """The techniques that it has tests for, sorted."""
        return tuple(sorted({it.technique for it in self.tests}))

    def find(self, technique: str, number: int = 0) -> tuple[AtomicTest, ...]:
        """Return the tests of a technique, or the one of a number.

        Raises:
            BadFile: the file of the technique is damaged.
            NotFound: there is none.
        """
        wrong = [it for it in self.problems if Path(it.path).stem == technique]
        if wrong:
            raise BadFile(*wrong)
        found = tuple(it for it in self.tests if it.technique == technique and number in {0, it.number})
        if not found:
            of = [it for it in self.tests if it.technique == technique]
            remedy = f"it has {len(of)}" if of else f"techniques: {', '.join(self.techniques)}"
            raise NotFound("test", name=f"{technique}-{number}" if number else technique, remedy=remedy)
        return found


def read_library(root: Path) -> Library:
    """Read every test below a folder.

    Raises:
        NotFound: it is no folder, or has no test.
    """
    if not root.is_dir():
        raise NotFound(
            "folder", name=str(root), remedy="name a checkout of Atomic Red Team with  --from PATH"
        )
    tests: dict[str, AtomicTest] = {}
    problems: list[Problem] = []
    for path in sorted(_files(root)):
        try:
            found = read_tests(path)
        except BadFile as error:
            problems += error.problems
            continue
        tests |= {it.id: it for it in found if it.id not in tests}
    if not tests and not problems:
        remedy = "it has no file such as T1053.003.yaml"
        raise NotFound("atomic test", name=str(root), remedy=remedy)
    return Library(root=root, tests=tuple(tests.values()), problems=tuple(problems))


def _files(root: Path) -> Iterator[Path]:
    """Yield the files of techniques: of a checkout, in `atomics/T1053.003/`, or of a plain folder."""
    top = root / "atomics" if (root / "atomics").is_dir() else root
    for path in (*top.glob("*.y*ml"), *top.glob("T*/*.y*ml")):
        if _FILE.fullmatch(path.name) and path.is_file():
            yield path


def read_tests(path: Path) -> tuple[AtomicTest, ...]:
    """Read the tests of one technique.

    Raises:
        BadFile: it is not YAML, or lacks what a test needs; every problem is named with its line.
    """
    root, reading = loader.load(path)
    entries = reading.mapping(root, "a file of tests")
    technique = _text(reading, entries, "attack_technique", root)
    folder = path.parent if path.parent.name == technique else path.parent / technique
    listed = reading.sequence(entries["atomic_tests"], "atomic_tests") if "atomic_tests" in entries else []
    tests = tuple(_test(reading, item, technique, number, folder) for number, item in enumerate(listed, 1))
    if not listed:
        reading.problem(root, "has no atomic_tests", "see any file of Atomic Red Team")
    reading.finish()
    return tests


def _test(reading: Reading, item: Item, technique: str, number: int, folder: Path) -> AtomicTest:
    entries = reading.mapping(item, f"test {number}")
    run = reading.mapping(entries.get("executor", item), "executor") if "executor" in entries else {}
    if not run:
        reading.problem(item, f"test {number} has no executor")
    executor = _text(reading, run, "name", item) if run else ""
    return AtomicTest(
        technique=technique,
        number=number,
        name=_text(reading, entries, "name", item).strip(),
        guid=_said(entries, "auto_generated_guid"),
        description=_said(entries, "description").strip(),
        platforms=tuple(_texts(entries.get("supported_platforms"))),
        executor=executor,
        elevated=_said(run, "elevation_required").lower() == "true",
        command=_said(run, "command"),
        cleanup=_said(run, "cleanup_command"),
        arguments=tuple(_arguments(reading, entries)),
        dependencies=tuple(_dependencies(reading, entries)),
        dependency_executor=_said(entries, "dependency_executor_name") or executor,
        folder=folder,
    )


def _arguments(reading: Reading, entries: Mapping[str, Item]) -> Iterator[Argument]:
    if "input_arguments" not in entries:
        return
    for name, item in reading.mapping(entries["input_arguments"], "input_arguments").items():
        said = reading.mapping(item, name)
        yield Argument(
            name=name,
            kind=_said(said, "type").lower() or "string",
            default=_said(said, "default"),
            description=_said(said, "description").strip(),
        )


def _dependencies(reading: Reading, entries: Mapping[str, Item]) -> Iterator[Dependency]:
    if "dependencies" not in entries:
        return
    for item in reading.sequence(entries["dependencies"], "dependencies"):
        said = reading.mapping(item, "a dependency")
        yield Dependency(
            description=_said(said, "description").strip(),
            check=_said(said, "prereq_command"),
            get=_said(said, "get_prereq_command"),
        )


def _text(reading: Reading, entries: Mapping[str, Item], key: str, where: Item) -> str:
    if key not in entries:
        reading.problem(where, f"has no {key}")
        return ""
    return reading.text(entries[key], key)


def _said(entries: Mapping[str, Item], key: str) -> str:
    """Return what stands under a key, as text; YAML reads `755` as a number and `yes` as true."""
    value = entries[key].value if key in entries else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def _texts(item: Item | None) -> Iterable[str]:
    if item is None or not isinstance(item.value, list):
        return ()
    return [str(it.value).lower() for it in item.value]
