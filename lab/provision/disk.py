"""What nodes write lands on this machine. Where the storage driver cannot limit it, it is watched.

There is no daemon, so the watch lives as long as a command that acts in a lab: a run, a command or a shell on
a node. What these start ends with them, so nothing of theirs writes on unwatched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from lab.engine.engine import Engine
from lab.errors import LabError
from lab.workers import together

_LOOK_EVERY: Final = 2.0
"""Seconds between two looks; each walks what the nodes have written."""


@contextmanager
def watched(
    lab: str, engine: Engine, limits: Mapping[str, int], tell: Callable[[str], None]
) -> Iterator[None]:
    """Stop nodes that write more than they may, while the body goes on, and say so.

    Args:
        lab: The lab's name.
        engine: Where.
        limits: Node name to bytes.
        tell: Hears which node was stopped, and why.
    """
    ending = threading.Event()

    def look() -> None:
        """Look now and then; an engine that does not answer is asked again."""
        while not ending.wait(_LOOK_EVERY):
            with suppress(LabError, ExceptionGroup):
                _look(lab, engine, limits, tell)

    thread = threading.Thread(target=look, daemon=True, name="disk")
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def _look(lab: str, engine: Engine, limits: Mapping[str, int], tell: Callable[[str], None]) -> None:
    nodes = [it for it in engine.observe(lab).nodes if it.state == "running" and it.name in limits]
    sizes = together([partial(engine.written, node) for node in nodes])
    for node, size in zip(nodes, sizes, strict=True):
        if size > limits[node.name]:
            engine.stop_node(node)
            said = f"wrote {size / 2**20:.0f} MB, more than the {limits[node.name] / 2**20:.0f} MB it may"
            tell(f"{node.name} {said}, and was stopped;  lab reset {node.name}  makes it anew")
