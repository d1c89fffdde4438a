"""Stages for Atomic Red Team: find tests, say which may run, bake what they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lab.errors import NotFound
from lab.files import records
from lab.flow.context import Context
from lab.flow.labs import bake_images, plan_lab
from lab.inventory.definition import Lab, read_inventory
from lab.provision import packages
from lab.provision.images import Baker
from lab.provision.lock import locked
from lab.provision.packages import Brought

if TYPE_CHECKING:  # imported by the stages that need them, so that `lab up` is quick
    from lab.exercise.atomic.library import AtomicTest, Library

_FOLDER: Final = ".homerange"
"""Below the workplace: where the checkout is, what Debian brings, and the inventory made of it."""

LAB: Final = "atomics"
"""The lab of the throw-away nodes."""

_KIND: Final = "endpoint"
_JOBS: Final = 4
"""Tests at a time: most of one is waiting for the engine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """What is kept between commands: `.homerange/atomics.json`."""

    checkout: str = ""
    """The checkout, or the folder of tests."""

    brought: Brought = field(default_factory=Brought)
    """Which packages bring what."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Which tests are meant."""

    technique: str = ""
    """ATT&CK technique id; all when empty."""

    number: int = 0
    """The test's place in its file; all of the technique when 0."""

    arguments: Mapping[str, str] = field(default_factory=dict)
    """Values for input arguments of that test."""

    platform: str = "linux"
    """Tests for this platform; all when empty."""

    checkout: Path | None = None
    """Where the tests are; the one that was named last when None."""

    jobs: int = _JOBS
    """How many run at a time."""

    again: bool = False
    """Whether Debian is asked once more for what it did not have before."""

    resume: str = ""
    """A run of tests to go on with: its id, or how it begins; `last` for the last one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """Tests, and where they are from."""

    library: Library
    """The checkout."""

    tests: tuple[AtomicTest, ...]
    """Those that were asked for."""

    choice: Choice
    """What was asked for."""


def choose_tests(choice: Choice, context: Context) -> Chosen:
    """What is meant -> the tests of the checkout that was named now, or last."""
    from lab.exercise.atomic.library import read_library

    known = _remembered(context)
    root = context.path(choice.checkout) if choice.checkout else Path(known.checkout)
    if not choice.checkout and not known.checkout:
        remedy = "clone Atomic Red Team, and name it with  --from PATH  once"
        raise NotFound("checkout of Atomic Red Team", name="", remedy=remedy)
    library = read_library(root)
    for problem in library.problems:
        context.tell(f"passed over: {problem}")
    _remember(replace(known, checkout=str(root.resolve())), context)
    found = library.find(choice.technique, choice.number) if choice.technique else library.tests
    if not choice.number:
        found = tuple(it for it in found if choice.platform in {"", *it.platforms})
    if choice.arguments:
        for test in found:
            test.filled(choice.arguments)
    return Chosen(library=library, tests=found, choice=choice)


def library_at_hand(context: Context) -> Library | None:
    """Return the checkout that was named last; None when none ever was, or it is gone."""
    from lab.exercise.atomic.library import read_library

    root = _remembered(context).checkout
    return read_library(Path(root)) if root and Path(root).is_dir() else None


def _remembered(context: Context) -> Remembered:
    path = context.workplace.folder / _FOLDER / "atomics.json"
    return records.read(path, Remembered) if path.exists() else Remembered()


def _remember(known: Remembered, context: Context) -> None:
    folder = context.workplace.folder / _FOLDER
    folder.mkdir(exist_ok=True)
    records.write(folder / "atomics.json", known)


# -- list ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A test, and whether it may run here."""

    test: AtomicTest
    """The test."""

    refused: str
    """Why not, as far as can be told without a node; empty when it may be tried."""


def list_tests(chosen: Chosen, context: Context) -> tuple[Listed, ...]:
    """Tests -> the same, each with why it may not run here."""
    from lab.exercise.atomic.refusal import why_refused

    given, kept = chosen.choice.arguments, _capabilities(context)
    return tuple(Listed(test=it, refused=why_refused(it, given, kept)) for it in chosen.tests)


def _capabilities(context: Context) -> tuple[str, ...]:
    """Return what root can do on the nodes that tests run on."""
    kind = context.kinds.find(_KIND)
    return kind.capabilities if kind else ()


# -- prepare -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """Tests, and the lab whose image has what Debian brings for them."""

    chosen: Chosen
    """The tests."""

    lab: Lab
    """A lab of one node, of which as many are made as are needed."""

    image: str = ""
    """The image's tag."""

    packages: tuple[str, ...] = ()
    """What was baked in."""

    lacking: tuple[str, ...] = ()
    """Programs that no package brings."""


def find_packages(chosen: Chosen, context: Context) -> Prepared:
    """Tests -> the lab to run them in, with every package that brings something they need."""
    from lab.exercise.atomic.needs import packages_named, programs_needed, runnable

    context.held.enter_context(locked(LAB, doing=context.command))
    may = runnable(chosen.tests, _capabilities(context))
    programs, named = programs_needed(may), packages_named(may)
    known = _remembered(context)
    if chosen.choice.again or not all(map(known.brought.knows, programs)):
        known = replace(known, brought=_asked(context, programs, named, known.brought))
        _remember(known, context)
    wanted = tuple(sorted({it for it in known.brought.packages.values() if it}))
    lacking = tuple(it for it in programs if known.brought.packages.get(it, it) == "")
    return Prepared(chosen=chosen, lab=_lab(context, wanted), packages=wanted, lacking=lacking)


def _asked(context: Context, programs: Sequence[str], named: Sequence[str], before: Brought) -> Brought:
    engine = context.engine
    image = _baker(context).common("debian")
    with engine.open_baking(image, lab=LAB, role="packages") as node:
        found = packages.ask(engine, node, programs, named, context.tell)
    return Brought(
        packages={**before.packages, **found.packages},
        present=tuple(sorted({*before.present, *found.present})),
    )


def _baker(context: Context) -> Baker:
    return Baker(
        lab=LAB,
        engine=context.engine,
        workplace=context.workplace,
        tell=context.tell,
        stop=context.stop,
    )


def _lab(context: Context, wanted: Sequence[str]) -> Lab:
    """Write the inventory of the lab, and read it."""
    node = {"lab_attach": ["inside"], "endpoint_packages": list(wanted)}
    inventory = {
        "all": {
            "vars": {"lab_networks": {"inside": {}}},
            "children": {_KIND: {"hosts": {_KIND: node}}},
        }
    }
    path = context.workplace.folder / _FOLDER / f"{LAB}.yml"
    path.parent.mkdir(exist_ok=True)
    records.write(path, inventory)  # JSON is YAML
    return read_inventory(path, context.kinds)


def bake_endpoint(prepared: Prepared, context: Context) -> Prepared:
    """The lab -> the same, its image baked."""
    planned = bake_images(plan_lab(prepared.lab, context), context)
    return replace(prepared, image=planned.blueprint.nodes[0].image)
