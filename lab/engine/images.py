"""Images: what nodes are made of, and how they are baked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import IO, Protocol

from lab.engine.nodes import SeenNode


class Images(Protocol):
    """Makes and keeps images. Every method may raise EngineUnreachable, EngineSlow or EngineFault."""

    def image_labels(self, tag: str) -> Mapping[str, str] | None:
        """Return an image's labels; None when there is no such image."""
        ...

    def registry_answers(self, image: str) -> bool:
        """Tell whether the engine reaches the registry of an image, and it has the image."""
        ...

    def pull(self, image: str) -> bool:
        """Fetch an image from its registry; False when no registry has it or none answers."""
        ...

    def take_out(self, image: str, path: str) -> AbstractContextManager[Iterable[bytes]]:
        """Read a folder of an image, as a tar archive that begins with the folder's own name."""
        ...

    def load_root(self, archive: IO[bytes], tag: str) -> None:
        """Make an image of a root file system in a tar archive, read while it is being written."""
        ...

    def open_baking(self, image: str, *, lab: str, role: str) -> AbstractContextManager[SeenNode]:
        """Run a throw-away container of an image, with a way to its distribution's packages.

        It carries the lab's label, so what a kill leaves behind is found by `lab down`.

        Yields:
            The container, as a node on which commands can be run. It is removed at the end.
        """
        ...

    def succeeds(
        self, image: str, argv: tuple[str, ...], *, devices: tuple[str, ...], lab: str, within: float
    ) -> bool:
        """Run a program in a throw-away container, and tell whether it ended well.

        Args:
            image: The image it is in.
            argv: The program, which is the container's first process.
            devices: Devices of the host that it gets; where the host has not all of them, it fails.
            lab: The lab that it works for: whoever removes that removes it as well.
            within: Seconds that it has.
        """
        ...

    def commit(self, node: SeenNode, tag: str, labelled: Mapping[str, str]) -> None:
        """Make an image of a baking container as it is now."""
        ...

    def images(self) -> Mapping[str, int]:
        """Return every image of ours: its tag to the bytes it takes; layers may be shared."""
        ...

    def remove_image(self, tag: str) -> None:
        """Remove an image; one that is gone already is no error."""
        ...
