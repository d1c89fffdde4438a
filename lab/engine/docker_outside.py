"""What is done to containers from outside, through the Docker Engine API: a part of `DockerEngine`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import docker.errors

from lab.engine import labels, translation
from lab.engine.faults import engine_errors
from lab.engine.nodes import SeenNode
from lab.engine.outside import Difference
from lab.engine.shell import Completed
from lab.errors import EngineFault, LabError

_HELPER_MEMORY: Final = 512 * 2**20
_BENCH_MEMORY: Final = 2 * 2**30
_HELPER_PROCESSES: Final = 64
"""Limits of a container that works on a node from outside."""


_COMPARE: Final = Path(__file__).with_name("compare_roots.py")
"""Finds what a machine's disk holds that it did not when it was baked."""

_COMPARED: Final = 60.0
"""Seconds for that; a small server's files take three."""

_BENCH: Final = "evidence"
"""What a workbench is said to work on."""


class DockerOutside:
    """Implements `Outside`."""

    _api: Any
    execute: Callable[..., Completed]
    stop_node: Callable[[SeenNode], None]

    def detach(self, node: SeenNode, network: str) -> None:
        """Take a node off a network."""
        with engine_errors(f"taking {node.name} off {network}"), suppress(docker.errors.NotFound):
            name = translation.network_name(node.lab, network)
            if name in self._networks_of(node):
                self._api.disconnect_container_from_network(node.id, name, force=True)

    def attach(self, node: SeenNode, network: str, address: str) -> None:
        """Put a node on a network, under an address."""
        with engine_errors(f"putting {node.name} on {network}"):
            name = translation.network_name(node.lab, network)
            if name not in self._networks_of(node):
                self._api.connect_container_to_network(
                    node.id, name, ipv4_address=address or None, aliases=[node.name]
                )

    def _networks_of(self, node: SeenNode) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._api.inspect_container(node.id)["NetworkSettings"]["Networks"]
        return found

    @contextmanager
    def beside(self, node: SeenNode, capabilities: tuple[str, ...], *, image: str = "") -> Iterator[SeenNode]:
        """Have a container of the node's image in its network and among its processes.

        In a machine there can be none: there it is a view of its own, with the disk as baked for root.
        """
        if node.machine:
            if image:
                raise EngineFault(
                    doing=f"working on {node.name}", said="no container can look into a machine"
                )
            yield translation.pristine_view(node)
            return
        inside = f"container:{node.id}"
        host = self._api.create_host_config(
            network_mode=inside,
            pid_mode=inside,
            cap_drop=["ALL"],
            cap_add=list(capabilities),
            security_opt=["no-new-privileges"],
            mem_limit=_HELPER_MEMORY,
            pids_limit=_HELPER_PROCESSES,
        )
        with self._helper(image or node.image, node.lab, node.name, host) as made:
            yield translation.helping_node(made, node)

    @contextmanager
    def workbench(self, image: str, lab: str) -> Iterator[SeenNode]:
        """Have a container to work in."""
        host = self._apart(_BENCH_MEMORY)
        with self._helper(image, lab, _BENCH, host, ("sh", "-c", "mkdir /w && exec sleep infinity")) as made:
            yield translation.baking_node(made, image, lab=lab, role=_BENCH)

    def succeeds(
        self, image: str, argv: tuple[str, ...], *, devices: tuple[str, ...], lab: str, within: float
    ) -> bool:
        """Run a program in a throw-away container, and tell whether it ended well."""
        host = self._apart(_HELPER_MEMORY, devices)
        try:
            with self._helper(image, lab, _BENCH, host, argv) as made, engine_errors(f"trying {argv[-1]}"):
                return bool(self._api.wait(made, timeout=within)["StatusCode"] == 0)
        except LabError:
            return False

    def _apart(self, memory: int, devices: tuple[str, ...] = ()) -> Mapping[str, Any]:
        """Confine a container that has no network and no right."""
        host: Mapping[str, Any] = self._api.create_host_config(
            network_mode="none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit=memory,
            pids_limit=_HELPER_PROCESSES,
            devices=[f"{it}:{it}" for it in devices],
        )
        return host

    @contextmanager
    def _helper(
        self,
        image: str,
        lab: str,
        helped: str,
        host: Mapping[str, Any],
        command: tuple[str, ...] = ("sleep", "infinity"),
    ) -> Iterator[str]:
        """Run a throw-away container, and return its id."""
        doing = f"working on {helped} from outside"
        with engine_errors(doing):
            made = self._api.create_container(
                image,
                command=list(command),
                user="0",
                labels={labels.LAB: lab, labels.HELPING: helped},
                host_config=host,
            )
        try:
            with engine_errors(doing):
                self._api.start(made["Id"])
            yield str(made["Id"])
        finally:
            with engine_errors(doing), suppress(docker.errors.NotFound):
                self._api.remove_container(made["Id"], v=True, force=True)

    @contextmanager
    def root_of(self, node: SeenNode) -> Iterator[Iterable[bytes]]:
        """Read a node's root file system as a tar archive."""
        with engine_errors(f"reading the files of {node.name}"):
            yield self._api.export(node.id)

    def differences(self, node: SeenNode) -> tuple[Difference, ...]:
        """Say what of a node's root file system is not as in its image."""
        doing = f"comparing {node.name} with its image"
        with engine_errors(doing):
            told = self._compared(node, doing) if node.machine else self._api.diff(node.id) or ()
        return tuple(sorted(map(translation.difference, told), key=lambda it: it.path))

    def _compared(self, node: SeenNode, doing: str) -> list[dict[str, Any]]:
        """Have a machine compare its disk with what was baked; told as the engine tells of containers."""
        with self.beside(node, ()) as helper:
            argv = ("python3", "-I", "-c", _COMPARE.read_text(encoding="utf-8"))
            ran = self.execute(helper, argv, user="root", timeout=_COMPARED)
        if ran.code:
            raise EngineFault(doing=doing, said=ran.stderr.decode("utf-8", "backslashreplace").strip())
        return [{"Path": path, "Kind": kind} for path, kind in json.loads(ran.stdout)]

    def set_aside(self, node: SeenNode) -> None:
        """Take a node off its networks, stop it and give its name free."""
        with engine_errors(f"setting {node.name} aside"):
            for network in node.addresses:
                self.detach(node, network)
        self.stop_node(node)
        with engine_errors(f"setting {node.name} aside"):
            self._api.rename(node.id, translation.aside_name(node))

    def bring_back(self, node: SeenNode) -> None:
        """Have a node again that was set aside."""
        with engine_errors(f"bringing {node.name} back"):
            self._api.rename(node.id, translation.container_name(node.lab, node.name))
            for network, address in node.addresses.items():
                self.attach(node, network, address)
            self._api.start(node.id)
