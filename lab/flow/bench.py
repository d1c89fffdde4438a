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
    sizes = [int(it) if it.strip().isdecimal() else 0 for it in measurement.nodes.split(",")]
    if not all(0 < it <= up.MOST for it in sizes):
        raise WrongInput(f"--nodes {measurement.nodes}: write numbers from 1 to {up.MOST}, as  6,50,250")
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
