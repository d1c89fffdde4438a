"""Stages that measure `lab` beside others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import WrongInput
from lab.files import records
from lab.flow.context import Context
from lab.flow.labs import bake_images, plan_lab
from lab.inventory.definition import read_inventory

if TYPE_CHECKING:
    from lab.bench.detect import Race
    from lab.bench.up import Contest


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What to measure, and where the figures go."""

    nodes: str
    """Numbers of nodes, separated by commas."""

    rounds: int
    """How often each contender runs."""

    to: Path | None = None
    """A folder that gets `up.json` and `up.html`; nothing is kept without."""


def measure_up(measurement: Measurement, context: Context) -> Contest:
    """What to measure -> the figures of `up` and `down` beside those of others.

    Raises:
        WrongInput: that is not a list of numbers.
    """
    import tempfile

    from lab.bench import up

    if measurement.to is not None:
        up.require_plotly()
    sizes = _numbers("--nodes", measurement.nodes, up.MOST)
    with tempfile.TemporaryDirectory(prefix="homerange-bench-") as folder:
        lab = read_inventory(up.write_inventory(Path(folder), 1, 0), context.kinds)
        planned = bake_images(plan_lab(lab, context), context)
        contest = up.measure(
            sizes,
            measurement.rounds,
            image=planned.blueprint.nodes[0].image,
            folder=Path(folder),
            machine=up.describe(context.engine.about()),
            tell=context.tell,
        )
    if measurement.to is not None:
        _keep(contest, context.path(measurement.to))
    return contest


def _keep(contest: Contest, folder: Path) -> None:
    from lab.bench import up

    folder.mkdir(parents=True, exist_ok=True)
    records.write(folder / "up.json", contest)
    up.picture(contest, folder / "up.html")


@dataclass(frozen=True, kw_only=True, slots=True)
class RaceOrder:
    """What to measure of rules on files, and where the figures go."""

    events: str
    """Numbers of events, separated by commas."""

    rules: str
    """Numbers of rules, separated by commas."""

    rounds: int
    """How often each contender runs."""

    paths: tuple[Path, ...]
    """Sigma files, and folders of them; ours when empty."""

    to: Path | None = None
    """A folder that gets `detect.json` and `detect.html`; nothing is kept without."""


def measure_detect(order: RaceOrder, context: Context) -> Race:
    """What to measure -> the figures of `lab detect` beside those of others.

    The first number of rules is measured with each number of events, and the first number of events with each
    number of rules.

    Raises:
        WrongInput: that is not a list of numbers.
    """
    import tempfile

    from lab.bench import detect
    from lab.bench.up import require_plotly
    from lab.detect.sigma.compiled import rule_files
    from lab.flow.rules import rule_paths

    if order.to is not None:
        require_plotly()
    events = _numbers("--events", order.events, detect.MOST_EVENTS)
    rules = _numbers("--rules", order.rules, detect.MOST_RULES)
    sizes = dict.fromkeys([*((it, rules[0]) for it in events), *((events[0], it) for it in rules)])
    paths = [context.path(it) for it in order.paths] or rule_paths(context)
    own = [file for path in paths for file in rule_files(path)]
    with tempfile.TemporaryDirectory(prefix="homerange-bench-") as folder:
        result = detect.race(Path(folder), own, list(sizes), order.rounds, context.tell)
    if order.to is not None:
        place = context.path(order.to)
        place.mkdir(parents=True, exist_ok=True)
        records.write(place / "detect.json", result)
        detect.picture(result, place / "detect.html")
    return result


def _numbers(option: str, text: str, most: int) -> list[int]:
    found = [int(it) if it.strip().isdecimal() else 0 for it in text.split(",")]
    if not all(0 < it <= most for it in found):
        raise WrongInput(f"{option} {text}: write numbers from 1 to {most}, separated by commas")
    return found
