"""What a set of tests needs from Debian: programs, and packages that their prerequisites would install."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from lab.exercise.atomic.library import AtomicTest
from lab.exercise.atomic.refusal import SHELLS, why_refused
from lab.exercise.atomic.script import commands_of, programs_of

_APT = frozenset({"apt", "apt-get"})


def runnable(tests: Iterable[AtomicTest], capabilities: Collection[str]) -> tuple[AtomicTest, ...]:
    """Return the tests that nothing speaks against before a node is asked."""
    return tuple(it for it in tests if not why_refused(it, {}, capabilities))


def programs_needed(tests: Iterable[AtomicTest]) -> tuple[str, ...]:
    """Name every program that tests, their prerequisites and their cleanups start."""
    return tuple(sorted({name for test in tests for text in _texts(test) for name in _programs(text)}))


def packages_named(tests: Iterable[AtomicTest]) -> tuple[str, ...]:
    """Name the packages that prerequisites would install with apt."""
    return tuple(sorted({name for test in tests for it in test.dependencies for name in _installed(it.get)}))


def _texts(test: AtomicTest) -> Iterator[str]:
    whole = test.filled({})
    yield from whole.texts if whole.dependency_executor in SHELLS else (whole.command, whole.cleanup)


def _programs(text: str) -> tuple[str, ...]:
    """Name the programs of a script, and those it merely asks for: `which lsof`, `command -v rsync`."""
    commands = commands_of(text)
    asked = {
        word
        for it in commands
        if it.words[0] in {"which", "command", "type", "hash"}
        for word in it.words[1:]
        if not word.startswith("-")
    }
    return (*programs_of(commands), *(it for it in asked if it.replace("-", "").replace("_", "").isalnum()))


def _installed(text: str) -> Iterator[str]:
    for it in commands_of(text):
        if it.words[0] in _APT and "install" in it.words:
            yield from (word for word in it.words[it.words.index("install") + 1 :] if word[:1].isalnum())
