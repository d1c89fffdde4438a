"""A file comes over whole, however it comes, and what is empty in it takes no room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from lab.engine.memory import MemoryEngine
from lab.engine.nodes import SeenNode
from lab.engine.shell import Hear
from lab.errors import EngineFault
from lab.forensics import reach
from lab.moment import Moment

PLACE = SeenNode(
    lab="x", name="n", kind="", id="1", state="running", image="i", definition="", created=Moment(0)
)


class Here(MemoryEngine):
    """An engine on which what is run really runs, and says what it writes in pieces of some length."""

    def __init__(self, piece: int = 1000) -> None:
        super().__init__()
        self.piece = piece

    def relay(self, node: SeenNode, argv: tuple[str, ...], *, stdin: Iterable[bytes], hear: Hear) -> int:
        """Run it."""
        del node
        ran = subprocess.run(argv, input=b"".join(stdin), capture_output=True, check=False)
        for at in range(0, len(ran.stdout), self.piece):
            hear(1, ran.stdout[at : at + self.piece])
        hear(2, ran.stderr)
        return ran.returncode


@pytest.mark.parametrize("piece", [1, 7, 16, 100_000])
@pytest.mark.parametrize(
    "parts",
    [[], [(0, b"begin")], [(0, b"begin"), (4 << 20, b"middle")], [(8 << 20, b"the end")]],
    ids=["empty", "no hole", "a hole", "a hole first"],
)
def test_a_file_with_holes_comes_over(tmp_path: Path, piece: int, parts: list[tuple[int, bytes]]) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        for at, data in parts:
            file.seek(at)
            file.write(data)
        file.truncate(file.tell() + (1 << 20 if parts else 0))
    target = reach.fetch(Here(piece), PLACE, str(source), tmp_path / "target")
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_blocks <= source.stat().st_blocks + 16


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineFault, match="No such file"):
        reach.fetch(Here(), PLACE, str(tmp_path / "none"), tmp_path / "target")
