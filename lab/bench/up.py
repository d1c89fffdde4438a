"""Measures `lab up` and `lab down` beside others, in one go and in alternation.

Every contender is a whole process, from its start to its end, and makes the same plain nodes on one
network without a way out. Ours also checks the machine, plans, waits, and proves the walls; the bare
engine does nothing but make and remove. Whatever of the others is on the path takes part.
"""

from __future__ import annotations

import json
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psutil

from lab.engine.facts import About
from lab.errors import NotReady
from lab.provision.images import Tell

_LAB: Final = "bench"
MOST: Final = 1000
"""Nodes that a contest may have."""

_LIMIT: Final = 1800.0
"""Seconds that one command may take."""

_INVENTORY: Final = """\
all:
  vars: {{lab_networks: {{wire: {{}}}}}}
  children:
    plain: {{hosts: {{"node[1:{nodes}]": {{lab_attach: [wire]}}}}}}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """Something that can make nodes and take them away."""

    name: str
    """For people."""

    up: tuple[str, ...]
    """The command that makes them."""

    down: tuple[str, ...]
    """The command that takes them away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """What one contender needed for one number of nodes."""

    contender: str
    """Its name."""

    nodes: int
    """How many."""

    doing: str
    """`up` or `down`."""

    seconds: tuple[float, ...]
    """One for each round."""

    ratio: float
    """Its median in those of the bare engine."""

    failed: int
    """Rounds that ended with an error, such as a network that the engine would not remove."""

    @property
    def median(self) -> float:
        """The median of the rounds, in seconds."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Contest:
    """Everything that was measured, and on what."""

    machine: str
    """Processors, memory, kernel, engine."""

    figures: tuple[Figure, ...]
    """By nodes, then up before down, then contender."""


FLOOR: Final = "bare engine"
OURS: Final = "homerange"


def contenders(folder: Path, nodes: int, image: str, turn: int) -> tuple[Contender, ...]:
    """Write what each contender reads, and return those that are on this machine.

    Args:
        folder: Where their files go.
        nodes: How many nodes they are to make.
        image: The image of plain nodes.
        turn: The round; names differ in each, so that what one could not remove is not in the next one's way.
    """
    lab = (sys.executable, "-c", "from lab.cli.entry import entry; entry()")
    floor = (sys.executable, "-m", "lab.bench.floor")
    path = write_inventory(folder, nodes, turn)
    found = [
        Contender(name=OURS, up=(*lab, "up", str(path)), down=(*lab, "down", path.stem)),
        Contender(
            name=FLOOR,
            up=(*floor, "up", f"floor-{nodes}-{turn}", str(nodes), image),
            down=(*floor, "down", f"floor-{nodes}-{turn}"),
        ),
    ]
    if _has_compose():
        found.append(_compose(folder, nodes, image, turn))
    if shutil.which("containerlab"):
        found.append(_containerlab(folder, nodes, image, turn))
    return tuple(found)


def write_inventory(folder: Path, nodes: int, turn: int) -> Path:
    """Write the inventory of a lab of plain nodes; return its path."""
    path = folder / f"{_LAB}-{nodes}-{turn}.yml"
    path.write_text(_INVENTORY.format(nodes=nodes), encoding="utf-8")
    return path


def _has_compose() -> bool:
    client = shutil.which("docker")
    if client is None:
        return False
    argv = (client, "compose", "version")
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _compose(folder: Path, nodes: int, image: str, turn: int) -> Contender:
    service = {
        "image": image,
        "command": ["sleep", "infinity"],
        "networks": ["wire"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "mem_limit": "16m",
        "memswap_limit": "16m",
        "cpus": 0.5,
        "pids_limit": 16,
        "dns": "127.0.0.1",
        "sysctls": {"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"},
    }
    wire = {
        "internal": True,
        "driver_opts": {"com.docker.network.bridge.inhibit_ipv4": "true"},
    }
    told = {
        "name": f"compose-{nodes}-{turn}",
        "services": {f"node{number}": service for number in range(1, nodes + 1)},
        "networks": {"wire": wire},
    }
    path = folder / f"compose-{nodes}-{turn}.yml"
    path.write_text(json.dumps(told), encoding="utf-8")  # every JSON is YAML
    compose = ("docker", "compose", "--file", str(path))
    return Contender(
        name="Docker Compose", up=(*compose, "up", "--detach"), down=(*compose, "down", "--timeout", "0")
    )


def _containerlab(folder: Path, nodes: int, image: str, turn: int) -> Contender:
    """Describe the same nodes to containerlab, whose nodes are on one network of its own."""
    node = {"kind": "linux", "image": image, "cmd": "sleep infinity", "memory": "16MiB"}
    told = {
        "name": f"clab-{nodes}-{turn}",
        "mgmt": {"network": f"clab-{nodes}-{turn}"},
        "topology": {"nodes": {f"node{number}": node for number in range(1, nodes + 1)}},
    }
    path = folder / f"clab-{nodes}-{turn}.clab.yml"
    path.write_text(json.dumps(told), encoding="utf-8")
    return Contender(
        name="containerlab",
        up=("containerlab", "deploy", "--topo", str(path)),
        down=("containerlab", "destroy", "--topo", str(path), "--cleanup"),
    )


def measure(  # noqa: PLR0913  # what a contest is made of
    sizes: Sequence[int], rounds: int, *, image: str, folder: Path, machine: str, tell: Tell
) -> Contest:
    """Let the contenders run in turn, round by round; who begins moves on with each round."""
    figures: list[Figure] = []
    for nodes in sizes:
        times: dict[tuple[str, str], list[float]] = {}
        failed: list[tuple[str, str]] = []
        for turn in range(rounds):
            field = contenders(folder, nodes, image, turn)
            for contender in (*field[turn % len(field) :], *field[: turn % len(field)]):
                for doing, argv in (("up", contender.up), ("down", contender.down)):
                    took, fine = _time(argv)
                    failed += () if fine else ((doing, contender.name),)
                    times.setdefault((doing, contender.name), []).append(took)
                    tell(f"{nodes} nodes, round {turn + 1}: {contender.name} {doing} {took:.2f} s")
        figures += _figures(nodes, times, failed)
    return Contest(machine=machine, figures=tuple(figures))


def _time(argv: tuple[str, ...]) -> tuple[float, bool]:
    """Time a command; one that fails counts as failed, and the contest goes on."""
    begun = time.perf_counter()
    ran = subprocess.run(argv, capture_output=True, check=False, timeout=_LIMIT)
    return time.perf_counter() - begun, ran.returncode == 0


def _figures(
    nodes: int, times: dict[tuple[str, str], list[float]], failed: Sequence[tuple[str, str]]
) -> list[Figure]:
    return [
        Figure(
            contender=name,
            nodes=nodes,
            doing=doing,
            seconds=tuple(round(it, 3) for it in seconds),
            ratio=round(statistics.median(seconds) / statistics.median(times[doing, FLOOR]), 3),
            failed=failed.count((doing, name)),
        )
        for (doing, name), seconds in sorted(times.items(), key=lambda it: it[0][0], reverse=True)
    ]


def describe(told: About) -> str:
    """Describe the machine that a contest is run on."""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{told.cpus} processors, {memory:.0f} GB, {platform.system()} {platform.release()}, "
        f"{told.name} {told.version}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}"
    )


def require_plotly() -> None:
    """Find out whether a picture can be drawn, before anything is measured.

    Raises:
        NotReady: plotly is not installed.
    """
    if find_spec("plotly") is None:
        raise NotReady(
            "plotly draws the picture, and is not installed", remedy="pip install 'homerange[bench]'"
        )


def picture(contest: Contest, path: Path) -> None:
    """Draw the medians, with the spread from the fastest to the slowest round, as a page of its own."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    sizes = sorted({it.nodes for it in contest.figures})
    drawn = make_subplots(
        rows=2,
        cols=len(sizes),
        subplot_titles=[f"{doing}, {n} nodes" for doing in ("up", "down") for n in sizes],
    )
    for it in contest.figures:
        spread = {
            "type": "data",
            "array": [max(it.seconds) - it.median],
            "arrayminus": [it.median - min(it.seconds)],
        }
        bar = go.Bar(
            x=[it.contender],
            y=[it.median],
            error_y=spread,
            text=[f"{it.median:.2f} s"],
            insidetextanchor="start",
            marker_color=_COLOURS.get(it.contender, "#999"),
            showlegend=False,
        )
        drawn.add_trace(bar, row=1 if it.doing == "up" else 2, col=sizes.index(it.nodes) + 1)
    drawn.update_yaxes(title_text="seconds", rangemode="tozero")
    drawn.update_layout(title=contest.machine, template="plotly_white", height=700)
    drawn.write_html(path, include_plotlyjs=True)


_COLOURS: Final = {OURS: "#1b6ca8", FLOOR: "#888888", "Docker Compose": "#d9822b", "containerlab": "#6a4c93"}
