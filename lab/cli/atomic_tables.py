"""What the commands for Atomic Red Team show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.cli.screen import Screen
from lab.files import records

if TYPE_CHECKING:
    from lab.flow.atomic import Listed, Prepared
    from lab.flow.trial import Outcomes

_EFFECT = {True: "yes", False: "no", None: "not known"}


def listed(screen: Screen, found: Sequence[Listed], *, as_json: bool) -> None:
    """Show tests, a line each."""
    if as_json:
        screen.json([_described(it) for it in found])
        return
    rows = [
        (
            it.test.technique,
            str(it.test.number),
            it.test.executor,
            "root" if it.test.elevated else "",
            it.test.name,
            it.refused or "may run",
        )
        for it in found
    ]
    columns = ("technique", "test", "run by", "as", "name", "here")
    screen.table(columns, rows, right=("test",), spare=("run by",))
    screen.tell(f"{sum(not it.refused for it in found)} of {len(found)} tests may run here")


def _described(it: Listed) -> dict[str, object]:
    return {
        "technique": it.test.technique,
        "test": it.test.number,
        "name": it.test.name,
        "guid": it.test.guid,
        "platforms": it.test.platforms,
        "executor": it.test.executor,
        "elevated": it.test.elevated,
        "arguments": [
            {"name": one.name, "type": one.kind, "default": one.default, "description": one.description}
            for one in it.test.arguments
        ],
        "dependencies": [
            {"description": one.description, "check": one.check, "get": one.get}
            for one in it.test.dependencies
        ],
        "command": it.test.command,
        "cleanup": it.test.cleanup,
        "refused": it.refused,
    }


def shown(screen: Screen, found: Sequence[Listed], *, as_json: bool) -> None:
    """Show tests in full."""
    if as_json:
        screen.json([_described(it) for it in found])
        return
    for it in found:
        test = it.test
        screen.line(f"{test.technique} test {test.number}: {test.name}")
        screen.line(f"  {it.refused or 'may run here'}")
        screen.line(f"  runs on {', '.join(test.platforms)}, by {test.executor}{' as root' * test.elevated}")
        screen.line(_indented(test.description))
        for one in test.arguments:
            screen.line(f"  argument {one.name} ({one.kind}), {one.default!r}: {one.description}")
        for need in test.dependencies:
            screen.line(f"  needs: {need.description}")
        screen.line(f"  does:\n{_indented(test.command, 4)}")
        screen.line(f"  undoes:\n{_indented(test.cleanup or 'nothing', 4)}\n")


def _indented(text: str, by: int = 2) -> str:
    return "\n".join(f"{' ' * by}{line}" for line in text.strip().splitlines())


def prepared(screen: Screen, found: Prepared, *, as_json: bool) -> None:
    """Say what was baked in, and what nobody brings."""
    if as_json:
        screen.json({"image": found.image, "packages": found.packages, "lacking": found.lacking})
        return
    screen.line(f"image {found.image} has {len(found.packages)} packages more: {', '.join(found.packages)}")
    if found.lacking:
        screen.line(f"no Debian package brings {', '.join(found.lacking)}")


def outcomes(screen: Screen, found: Outcomes, *, as_json: bool) -> None:
    """Show what came of each test."""
    ran = [it for it in found.tests if it.ran]
    took = [it for it in ran if it.occurred]
    if as_json:
        screen.json(found.tests)
    else:
        rows = [
            (
                it.technique,
                str(it.test),
                it.name,
                "ran" if it.ran else "refused",
                _EFFECT[it.occurred] if it.ran else "",
                str(it.events) if it.ran else "",
                str(it.alerts) if it.ran else "",
                f"{it.seconds:.1f}",
                (", ".join(it.rules) or it.effect) if it.ran else it.refused,
            )
            for it in found.tests
        ]
        columns = ("technique", "test", "name", "ran", "effect", "events", "alerts", "seconds", "what")
        screen.table(columns, rows, right=("test", "events", "alerts", "seconds"), spare=("seconds",))
    screen.tell(
        f"{len(ran)} of {len(found.tests)} ran, {len(took)} had an effect,"
        f" {sum(it.events > 0 for it in took)} of these left events,"
        f" {sum(it.alerts > 0 for it in took)} raised an alert"
    )
    if found.minutes and ran:
        screen.tell(f"{len(found.tests) / found.minutes:.0f} tests a minute; report: {found.run.report}")


def write_layer(found: Outcomes, path: Path) -> None:
    """Write a layer for the ATT&CK Navigator."""
    from lab.report.navigator import Tried, layer

    tests = [
        Tried(technique=it.technique, name=it.name, occurred=it.occurred is True, detected=it.alerts > 0)
        for it in found.tests
        if it.ran
    ]
    made = layer(f"Atomic Red Team, {found.run.path.name}", tests)
    records.write(path, made)
