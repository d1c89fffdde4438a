"""Containers through the Docker Engine API. Beside `floor`, the only module that imports docker."""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from typing import IO, Any, Final

import docker
import docker.errors
import docker.types
import docker.utils.socket
import requests
import requests.exceptions

from lab.engine import bridge, labels, machines, namespace, terminal, translation
from lab.engine.addresses import free_subnet, routed
from lab.engine.conversation import Conversation, Heard, kept, leash, not_started, release
from lab.engine.docker_outside import DockerOutside
from lab.engine.facts import About, Belongings, Vitals, Wall
from lab.engine.faults import HTTP_CONFLICT, engine_errors
from lab.engine.happenings import Told
from lab.engine.nodes import NetworkSpec, NodeSpec, RunningLab, SeenNetwork, SeenNode
from lab.engine.shell import CommandSlow, Completed, Hear, Traced
from lab.errors import EngineFault, EngineUnreachable, LabError, NameTaken
from lab.moment import Moment
from lab.workers import Stop, together

_TIMEOUT: Final = 60
"""Seconds the engine may take for one answer, unless `DOCKER_CLIENT_TIMEOUT` says otherwise."""

_REMOVAL_TRIES: Final = 8
"""How often a network is tried; an endpoint of a container just removed lingers for some 100 ms."""

_STUCK: Final = (
    "the engine counts an endpoint of a container that is gone; only its restart frees the network: "
    "systemctl restart docker  and repeat the command"
)
"""Docker 20.10 loses count when many containers leave at once, with any client; seldom with fifty."""

_CROWD: Final = 100
"""With more nodes than this, they leave their networks one after the other before they are killed. For 250
nodes it took 21 s and not 16, and the engine kept count in all three removals; before, in three of six."""

_SUBNET_TRIES: Final = 20
"""How many subnets the engine may refuse, although it lists no network that has them."""

_ENDS_WITHIN: Final = 5.0
"""Seconds for a command to be gone once we hung up; its keeper needs some hundredths."""

_SAVED_WITHIN: Final = 10.0
"""Seconds for a machine to write to its disk what it holds for that."""

_SHELL: Final = "echo $$; exec bash -l"
"""Says its process id first, so that its keeper knows whom to keep."""


class DockerEngine(DockerOutside):
    """An engine that speaks to a Docker daemon, of version 20.10 or later."""

    def __init__(self, *, changed: Callable[[str], None] = lambda _what: None) -> None:
        """Connect to the daemon that the environment names, as the docker command does.

        Args:
            changed: Hears of each change just after the daemon made it, as `POST /containers/create`.

        Raises:
            EngineUnreachable: nothing answers.
            NoRights: this user may not.
            EngineSlow: something is there, and does not answer.
        """
        timeout = os.environ.get("DOCKER_CLIENT_TIMEOUT", "")
        self._timeout = int(timeout) if timeout.isdecimal() and int(timeout) else _TIMEOUT
        with engine_errors("connecting to Docker"):
            self._client = docker.from_env(timeout=self._timeout, max_pool_size=32, version="auto")
        # The published stubs know half of the low-level API, and some of it wrongly.
        self._api: Any = self._client.api
        with engine_errors("connecting to Docker"):
            self._told = self._api.version()
        self._api.hooks["response"].append(lambda response, *_, **__: _report(response, changed))

    @cached_property
    def _limits_disk(self) -> bool:
        return self.about().limits_disk

    def close(self) -> None:
        """Give the connections to the daemon back."""
        self._client.close()

    def about(self) -> About:
        """Say which engine it is, and on what machine."""
        with engine_errors("asking about the engine"):
            return translation.about(self._told, self._api.info())

    def labs(self) -> tuple[str, ...]:
        """Name every lab that something is left of, sorted.

        Somebody else's container of an image of ours inherits the label with no value; it is not ours.
        """
        with engine_errors("listing labs"):
            labelled = {"label": labels.LAB}
            found = [*self._api.containers(all=True, filters=labelled), *self._api.networks(filters=labelled)]
        return tuple(
            sorted({it["Labels"][labels.LAB] for it in found if translation.is_ours(it["Labels"])} - {""})
        )

    def belongings(self) -> Belongings:
        """Name all that the engine has, ours or not."""
        with engine_errors("listing what the engine has"):
            return Belongings(
                containers=frozenset(it["Id"] for it in self._api.containers(all=True)),
                networks=frozenset(it["Id"] for it in self._api.networks()),
                volumes=frozenset(it["Name"] for it in self._api.volumes()["Volumes"] or ()),
            )

    def _containers(self, lab: str) -> list[dict[str, Any]]:
        found = self._api.containers(all=True, filters={"label": f"{labels.LAB}={lab}"})
        return [it for it in found if translation.is_ours(it["Labels"])]

    def _networks(self, lab: str) -> list[dict[str, Any]]:
        found = self._api.networks(filters={"label": f"{labels.LAB}={lab}"})
        return [it for it in found if translation.is_ours(it["Labels"])]

    def observe(self, lab: str) -> RunningLab:
        """Read what there is of a lab; nothing at all is an empty lab."""
        if not lab:
            return RunningLab(name=lab)
        with engine_errors(f"looking at lab {lab}"):
            networks = self._networks(lab)
            containers = self._containers(lab)
        ours = {it["Name"]: it["Labels"][labels.NETWORK] for it in networks}
        nodes = sorted((translation.seen_node(it, ours) for it in containers), key=lambda it: it.name)
        seen = sorted((translation.seen_network(it) for it in networks), key=lambda it: it.name)
        dropped = bridge.firewall() if seen else None
        return RunningLab(
            name=lab, networks=tuple(bridge.looked_at(it, nodes, dropped) for it in seen), nodes=tuple(nodes)
        )

    def create_network(self, spec: NetworkSpec) -> None:
        """Make a network; unless it may reach the internet, the host is deaf on it."""
        name = translation.network_name(spec.lab, spec.name)
        doing = f"creating network {spec.name}"
        with engine_errors(doing):
            if any(it["Name"] == name for it in self._api.networks(names=[name])):
                raise NameTaken(doing=doing, said=f"the name {name} is already in use")
        refused: list[ipaddress.IPv4Network] = []
        while True:
            subnet = free_subnet(spec.prefix, [*self.subnets(), *routed(), *refused], seed=spec.bridge)
            try:
                with engine_errors(doing):
                    self._create_network(name, spec, subnet)
            except EngineFault as error:
                # Somebody took it just now, or the engine still holds it for a network that is gone.
                if subnet is None or "overlaps" not in error.said or len(refused) == _SUBNET_TRIES:
                    raise
                refused.append(ipaddress.IPv4Network(subnet))
            else:
                break
        if not spec.internet:
            bridge.seal(spec.bridge)

    def _create_network(self, name: str, spec: NetworkSpec, subnet: str | None) -> None:
        self._api.create_network(
            name,
            driver="bridge",
            ipam=docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet=subnet)])
            if subnet
            else None,
            options=translation.network_options(spec, self._told["ApiVersion"]),
            internal=not spec.internet,
            labels=translation.network_labels(spec),
            check_duplicate=True,
        )

    def seal_network(self, network: SeenNetwork) -> None:
        """Make the host deaf on a network's bridge, where it is not."""
        bridge.seal(network.bridge)

    def subnets(self) -> tuple[ipaddress.IPv4Network, ...]:
        """List the IPv4 blocks of all networks the engine has, ours or not."""
        with engine_errors("listing networks"):
            told = [it["IPAM"]["Config"] or () for it in self._api.networks()]
        pools = (pool.get("Subnet", "") for pools in told for pool in pools)
        return tuple(ipaddress.IPv4Network(pool) for pool in pools if pool and ":" not in pool)

    def create_node(self, spec: NodeSpec) -> None:
        """Make a node, attach it and start it."""
        with engine_errors(f"creating {spec.name}"):
            made = self._api.create_container(
                spec.image,
                command=list(spec.command),
                name=translation.container_name(spec.lab, spec.name),
                hostname=None if spec.host_network else spec.name,
                user=spec.user,
                environment=dict(spec.environment),
                labels=translation.node_labels(spec),
                host_config=self._confinement(spec),
                networking_config=self._first_network(spec),
            )
            for network in spec.networks[1:]:
                self._api.connect_container_to_network(
                    made["Id"], translation.network_name(spec.lab, network), aliases=[spec.name]
                )
            self._api.start(made["Id"])

    def _confinement(self, spec: NodeSpec) -> dict[str, Any]:
        apart: dict[str, Any] = {"network_mode": "host"}
        if not (spec.host_network or spec.networks):
            apart = {"network_mode": "none"}
        elif not spec.host_network:
            apart = {
                "network_mode": translation.network_name(spec.lab, spec.networks[0]),
                # The engine's resolver would ask the host's name servers; this leads it nowhere.
                "dns": ["127.0.0.1"],
                # The walls are made of IPv4 rules; without addresses there is no IPv6 to wall.
                "sysctls": {"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"},
            }
        config: dict[str, Any] = self._api.create_host_config(
            cap_drop=["ALL"],
            cap_add=list(spec.capabilities),
            security_opt=["no-new-privileges"],
            mem_limit=spec.memory,
            memswap_limit=spec.memory,
            nano_cpus=int(spec.cpus * 1e9),
            pids_limit=spec.processes,
            devices=[f"{it}:{it}" for it in self._devices(spec)],
            read_only=spec.read_only,
            # A file at most, where the storage driver cannot limit all of them together.
            ulimits=[docker.types.Ulimit(name="fsize", soft=spec.disk, hard=spec.disk)],
            storage_opt={"size": str(spec.disk)} if self._limits_disk and not spec.read_only else None,
            tmpfs=dict(translation.tmpfs(entry) for entry in spec.tmpfs),
            log_config={"Type": "json-file", "Config": {"max-size": "10m", "max-file": "1"}},
            **apart,
        )
        return config

    def _devices(self, spec: NodeSpec) -> tuple[str, ...]:
        """Return those that it has a use for: whether KVM runs machines was seen when its image was made."""
        accelerated = spec.devices and (self.image_labels(spec.image) or {}).get(labels.KVM) == "yes"
        return tuple(it for it in spec.devices if it != machines.KVM or accelerated)

    def _first_network(self, spec: NodeSpec) -> dict[str, Any] | None:
        if spec.host_network or not spec.networks:
            return None
        endpoint = self._api.create_endpoint_config(aliases=[spec.name])
        config: dict[str, Any] = self._api.create_networking_config(
            {translation.network_name(spec.lab, spec.networks[0]): endpoint}
        )
        return config

    def start_node(self, node: SeenNode) -> None:
        """Start a node that stopped, or wake one that was paused."""
        with engine_errors(f"starting {node.name}"):
            if node.state == "paused":
                self._api.unpause(node.id)
            else:
                self._api.start(node.id)

    def stop_node(self, node: SeenNode) -> None:
        """Stop a node at once."""
        self._save_disk(node)
        with engine_errors(f"stopping {node.name}"), suppress(docker.errors.NotFound):
            self._api.stop(node.id, timeout=0)

    def written(self, node: SeenNode) -> int:
        """Return how many bytes a node has written to its root file system."""
        with engine_errors(f"measuring {node.name}"):
            found = self._api.containers(all=True, size=True, filters={"id": node.id})
        return int(found[0].get("SizeRw") or 0) if found else 0

    def _save_disk(self, node: SeenNode) -> None:
        """Have a machine write to its disk what it holds for that; one that does not answer loses it."""
        if node.machine and node.state == "running":
            with suppress(LabError):
                self.execute(node, ("sync",), timeout=_SAVED_WITHIN)

    def restart_node(self, node: SeenNode) -> None:
        """Start a node anew."""
        self._save_disk(node)
        with engine_errors(f"restarting {node.name}"):
            self._api.restart(node.id, timeout=0)

    def remove_nodes(self, nodes: Iterable[SeenNode]) -> None:
        """Remove nodes with all they wrote.

        All are killed before the first is removed, so the engine takes down their endpoints while
        it still knows the containers: removing what runs is where networks get stuck.
        """
        found = tuple(nodes)
        leaving = threading.Lock() if len(found) > _CROWD else None
        together([partial(self._kill, node, leaving) for node in found])
        together([partial(self._remove, node) for node in found])

    def _kill(self, node: SeenNode, leaving: threading.Lock | None) -> None:
        with engine_errors(f"stopping {node.name}"), suppress(docker.errors.NotFound):
            if leaving:
                with leaving:
                    self._detach(node)
            try:
                self._api.kill(node.id)
            except docker.errors.APIError as error:
                if error.status_code != HTTP_CONFLICT:  # it does not run
                    raise
            self._api.wait(node.id, timeout=self._timeout)

    def _detach(self, node: SeenNode) -> None:
        for network in node.addresses:
            name = translation.network_name(node.lab, network)
            self._api.disconnect_container_from_network(node.id, name, force=True)

    def _remove(self, node: SeenNode) -> None:
        with engine_errors(f"removing {node.name}"), suppress(docker.errors.NotFound):
            try:
                self._api.remove_container(node.id, v=True, force=True)
            except docker.errors.APIError as error:
                if "already in progress" not in str(error.explanation):
                    raise

    def remove_network(self, network: SeenNetwork) -> None:
        """Remove a network; endpoints that outlive their containers are disconnected by force."""
        doing = f"removing network {network.name}"
        bridge.unseal(network.bridge)
        for attempt in range(_REMOVAL_TRIES):
            try:
                with engine_errors(doing), suppress(docker.errors.NotFound):
                    self._api.remove_network(network.id)
            except EngineFault as error:
                if "active endpoints" not in error.said:
                    raise
                if attempt == _REMOVAL_TRIES - 1:
                    raise EngineFault(doing=doing, said=_STUCK) from error
                self._free(network)
                threading.Event().wait(0.05 * 2**attempt)
            else:
                bridge.unseal(network.bridge)  # somebody may have sealed it meanwhile
                return

    def _free(self, network: SeenNetwork) -> None:
        with engine_errors(f"freeing network {network.name}"), suppress(docker.errors.APIError):
            held = self._api.inspect_network(network.id)["Containers"]
            for endpoint in held.values():
                with suppress(docker.errors.APIError):
                    self._api.disconnect_container_from_network(endpoint["Name"], network.id, force=True)

    def execute(  # noqa: PLR0913  # what a command needs, each with a default
        self,
        node: SeenNode,
        argv: tuple[str, ...],
        *,
        user: str = "",
        stdin: bytes = b"",
        timeout: float = 60,
        environment: Mapping[str, str] | None = None,
        folder: str = "",
        traced: Traced = "no",
        stop: Stop | None = None,
    ) -> Completed:
        """Run a command inside a node and wait for it, no longer than the time-out."""
        start = Moment.now()
        doing = f"running {argv[0]} on {node.name}"
        heard = Heard()
        with engine_errors(doing):
            talk = self._converse(node, kept(argv, traced=traced), user, environment, folder)
            by_itself = talk.relay((stdin,), heard.hear, timeout=timeout, stop=stop)
            code = self._ended(talk.id)
        stopped = stop is not None and stop.is_set()
        stderr, trace = heard.stderr(traced=traced != "no")
        if by_itself and code is None:
            raise EngineFault(doing=doing, said="the connection to it broke")
        if by_itself and code and not talk.process:  # code 0: it did start, and its first line was lost
            raise EngineFault(doing=doing, said=not_started(node, code, stderr or heard.stdout))
        ran = Completed(
            argv=argv,
            code=-1 if code is None else code,
            stdout=heard.stdout,
            stderr=stderr,
            start=start,
            end=Moment.now(),
            timed_out=not (by_itself or stopped),
            process=talk.process,
            heard=bool(talk.process) or not by_itself,
            trace=trace,
        )
        if ran.timed_out:
            what = "it could not be stopped" if code is None else "it was stopped"
            raise CommandSlow(ran, doing=doing, said=f"did not end within {timeout:g} s; {what}")
        return ran

    def _ended(self, exec_id: str) -> int | None:
        """Return a command's exit code; None when it still runs although we hung up."""
        end = time.monotonic() + _ENDS_WITHIN
        while (told := self._api.exec_inspect(exec_id))["Running"]:
            if time.monotonic() > end:
                return None
            time.sleep(0.02)
        return int(told["ExitCode"])

    def _converse(
        self,
        node: SeenNode,
        command: list[str],
        user: str = "root",
        environment: Mapping[str, str] | None = None,
        folder: str = "",
    ) -> Conversation:
        asked = machines.started(node, command, user, environment, folder)
        made = self._api.exec_create(node.id, stdin=True, **asked.arguments())
        stream = self._api.exec_start(made["Id"], socket=True)
        frames = docker.utils.socket.frames_iter(stream, tty=False)  # type: ignore[no-untyped-call]
        return Conversation(made["Id"], stream, frames)

    def relay(self, node: SeenNode, argv: tuple[str, ...], *, stdin: Iterable[bytes], hear: Hear) -> int:
        """Run a command inside a node, with input and outputs passed on as they come."""
        doing = f"running {argv[0]} on {node.name}"
        with engine_errors(doing):
            talk = self._converse(node, kept(argv))
            talk.relay(stdin, hear)
            code = self._ended(talk.id)
        if code is None:
            raise EngineFault(doing=doing, said="the connection to it broke")
        if code and not talk.process:
            raise EngineFault(doing=doing, said=not_started(node, code, b"see above"))
        return code

    def dial(self, node: SeenNode, port: int) -> socket.socket | None:
        """Connect to a port of a node's loopback address, past the daemon where this user may."""
        if node.machine:
            return None  # its loopback address is not its container's
        with engine_errors(f"looking for {node.name}"):
            return namespace.dial(self._api.inspect_container(node.id)["State"]["Pid"], port)

    def open_shell(self, node: SeenNode) -> int:
        """Give this terminal a shell on a node until it ends; return its exit code."""
        with engine_errors(f"opening a shell on {node.name}"):
            terminal_is = {"TERM": os.environ.get("TERM", "xterm")}
            asked = machines.started(node, ["sh", "-c", _SHELL], environment=terminal_is, tty=True)
            made = self._api.exec_create(node.id, stdin=True, tty=True, **asked.arguments())
            stream = self._api.exec_start(made["Id"], socket=True, tty=True)
            with socket.socket(fileno=os.dup(stream.fileno())) as line:
                release(stream)
                line.settimeout(None)
                with self._leash(node, terminal.first_line(line)):
                    terminal.join(
                        line, lambda rows, columns: self._api.exec_resize(made["Id"], rows, columns)
                    )
            return self._ended(made["Id"]) or 0

    @contextmanager
    def _leash(self, node: SeenNode, process: str) -> Iterator[None]:
        """End a shell with us: a terminal that hangs up is not told to what runs on it."""
        talk = self._converse(node, leash(process))
        reader = threading.Thread(target=lambda: deque(talk, maxlen=0), daemon=True)
        reader.start()
        try:
            yield
        finally:
            talk.close()
            reader.join()

    def stream(self, node: SeenNode, argv: tuple[str, ...]) -> Conversation:
        """Run a command inside a node and read its standard output, as it comes."""
        with engine_errors(f"running {argv[0]} on {node.name}"):
            return self._converse(node, kept(argv))

    def walls(self, lab: str) -> tuple[Wall, ...]:
        """Read how each node of a lab is confined."""
        with engine_errors(f"looking at the walls of lab {lab}"):
            return tuple(
                translation.wall(self._api.inspect_container(it["Id"])) for it in self._containers(lab)
            )

    def log_tail(self, node: SeenNode, lines: int) -> str:
        """Return the last lines the node's first process wrote."""
        with engine_errors(f"reading the log of {node.name}"):
            written: bytes = self._api.logs(node.id, tail=lines)
        return written.decode("utf-8", "backslashreplace")

    def image_labels(self, tag: str) -> Mapping[str, str] | None:
        """Return an image's labels; None when there is no such image."""
        with engine_errors(f"looking at image {tag}"):
            try:
                return self._api.inspect_image(tag)["Config"].get("Labels") or {}
            except docker.errors.ImageNotFound:
                return None

    def pull(self, image: str) -> bool:
        """Fetch an image from its registry; False when no registry has it or none answers."""
        try:
            with engine_errors(f"pulling {image}"):
                self._client.images.pull(image)
        except (EngineFault, EngineUnreachable):
            return False
        return True

    @contextmanager
    def take_out(self, image: str, path: str) -> Iterator[Iterable[bytes]]:
        """Read a folder of an image; the container that this takes is never started."""
        doing = f"reading {path} of {image}"
        with engine_errors(doing):
            made = self._api.create_container(image, command=["true"], labels={labels.LAB: ""})
        try:
            with engine_errors(doing):
                archive, _ = self._api.get_archive(made["Id"], path)
                yield archive
        finally:
            with engine_errors(doing), suppress(docker.errors.NotFound):
                self._api.remove_container(made["Id"], v=True, force=True)

    def load_root(self, archive: IO[bytes], tag: str) -> None:
        """Make an image of a root file system in a tar archive."""
        repository, _, version = tag.rpartition(":")
        with engine_errors(f"loading {tag}"):
            self._api.import_image_from_stream(archive, repository=repository, tag=version)
            self._api.inspect_image(tag)  # the import reports its failures inside an answer of 200

    @contextmanager
    def open_baking(self, image: str, *, lab: str, role: str) -> Iterator[SeenNode]:
        """Run a throw-away container of an image, with a way to its distribution's packages."""
        name = translation.container_name(lab, f"bake-{role}")
        with engine_errors(f"starting to bake {role}"):
            with suppress(docker.errors.NotFound):
                self._remove_left_over(name, lab)
            made = self._api.create_container(
                image, command=["sleep", "infinity"], name=name, labels={labels.LAB: lab, labels.BAKING: role}
            )
        try:
            with engine_errors(f"starting to bake {role}"):
                self._api.start(made["Id"])
            yield translation.baking_node(made["Id"], image, lab=lab, role=role)
        finally:
            with engine_errors(f"ending to bake {role}"), suppress(docker.errors.NotFound):
                self._api.remove_container(made["Id"], v=True, force=True)

    def _remove_left_over(self, name: str, lab: str) -> None:
        """Remove what an earlier, killed bake left; somebody else's container of that name stays."""
        if self._api.inspect_container(name)["Config"]["Labels"].get(labels.LAB) == lab:
            self._api.remove_container(name, v=True, force=True)

    def commit(self, node: SeenNode, tag: str, labelled: Mapping[str, str]) -> None:
        """Make an image of a baking container as it is now."""
        repository, _, version = tag.rpartition(":")
        # The baking container's own labels would make each container of the image look like one.
        plain = {labels.LAB: "", labels.BAKING: "", **labelled}
        changes = [f'LABEL "{key}"="{value}"' for key, value in plain.items()]
        with engine_errors(f"saving {tag}"):
            self._api.commit(node.id, repository=repository, tag=version, changes=changes)

    def images(self) -> Mapping[str, int]:
        """Return every image of ours: its tag to the bytes it takes."""
        with engine_errors("listing images"):
            found = self._api.images(filters={"label": labels.BAKED})
        return {tag: it["Size"] for it in found for tag in it["RepoTags"] or ()}

    def remove_image(self, tag: str) -> None:
        """Remove an image; one that is gone already is no error."""
        with engine_errors(f"removing image {tag}"), suppress(docker.errors.ImageNotFound):
            self._api.remove_image(tag)

    def registry_answers(self, image: str) -> bool:
        """Tell whether the engine reaches the registry of an image, and it has the image."""
        try:
            with engine_errors(f"asking the registry for {image}"):
                self._api.inspect_distribution(image)
        except (EngineFault, EngineUnreachable):
            return False
        return True

    def happenings(self, lab: str) -> Told:
        """Tell of every change of a lab's nodes and networks from now on."""
        with engine_errors("listening to the engine"):
            return Told(self._api.events(decode=True), lab)

    def vitals(self, node: SeenNode) -> Vitals:
        """Measure a running node."""
        with engine_errors(f"measuring {node.name}"):
            started = self._api.inspect_container(node.id)["State"]["StartedAt"]
            return translation.vitals(self._api.stats(node.id, stream=False, one_shot=True), started)


def _report(response: requests.Response, changed: Callable[[str], None]) -> None:
    """Tell of a change; questions change nothing, and commands change no container or network."""
    method, path = response.request.method, response.request.path_url.partition("?")[0]
    if method in {"POST", "DELETE"} and not any(f"/{word}" in path for word in ("exec", "wait")):
        changed(f"{method} {path}")
