"""A small lab of plain nodes to break, in a folder of its own; removed always."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.engine.docker import DockerEngine
from lab.engine.nodes import RunningLab, SeenNode
from lab.files.workplace import SHIPPED
from lab.inventory.definition import read_inventory
from lab.provision import apply, images
from tests.support import KINDS

INVENTORY = """\
all:
  vars: {lab_networks: {left: {}, right: {}}}
  children:
    plain:
      hosts:
        one: {lab_attach: [left]}
        two: {lab_attach: [left, right]}
        three: {lab_attach: [right]}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A folder with the inventory of one lab, and the engine it runs on."""

    folder: Path
    """Where commands are run."""

    name: str
    """The lab's name."""

    engine: DockerEngine
    """The engine."""

    environment: Mapping[str, str]
    """What commands see beside the environment of the tests."""

    def begin(self, *arguments: str, program: str = "") -> subprocess.Popen[str]:
        """Start a command and go on."""
        # A shell that runs these tests in the background has told its children to ignore Ctrl-C.
        heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        code = f"{heeding}\n{program or 'from lab.cli.entry import entry; entry()'}"
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lab(
        self, *arguments: str, program: str = "", code: int | None = 0, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; it has to end with the code, unless that is None."""
        begun = self.begin(*arguments, program=program)
        try:
            out, said = begun.communicate(timeout=timeout)
        finally:
            begun.kill()
        assert "Traceback" not in said, said
        assert code in {None, begun.returncode}, f"{arguments} ended with {begun.returncode}: {out}{said}"
        return subprocess.CompletedProcess(arguments, begun.returncode, out, said)

    def observe(self) -> RunningLab:
        """Read what there is of the lab."""
        return self.engine.observe(self.name)

    def node(self, name: str) -> SeenNode:
        """Return a node that has to be there."""
        found = self.observe().node(name)
        assert found is not None
        return found

    def write(self, inventory: str) -> None:
        """Define the lab anew."""
        path = self.folder / "inventories" / f"{self.name}.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(inventory, encoding="utf-8")


@pytest.fixture(scope="session")
def plain_image(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of plain nodes, baked when it is missing, as `lab up` would."""
    path = tmp_path_factory.mktemp("bake") / f"bake-{os.getpid()}.yml"
    path.write_text(INVENTORY, encoding="utf-8")
    recipes = images.recipes(read_inventory(path, KINDS).nodes, SHIPPED)
    baker = images.Baker(
        lab=path.stem,
        engine=docker_engine,
        workplace=SHIPPED,
        tell=lambda _line: None,
        stop=threading.Event(),
    )
    baker.bake(images.missing(recipes.values(), docker_engine))
    return recipes["one"].tag


@pytest.fixture
def place(tmp_path: Path, docker_engine: DockerEngine, plain_image: str) -> Iterator[Place]:
    """The lab's folder, with nothing running yet; whatever a test makes is removed."""
    del plain_image
    name = f"e2e-{os.getpid()}-{time.monotonic_ns() % 100_000}"
    found = Place(folder=tmp_path, name=name, engine=docker_engine, environment={})
    found.write(INVENTORY)
    yield found
    apply.remove(name, docker_engine)


@pytest.fixture
def standing(place: Place) -> Place:
    """The lab, up."""
    place.lab("up", place.name)
    return place
