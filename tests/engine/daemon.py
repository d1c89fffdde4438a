"""A Docker daemon in this process: the part of its API that the engine uses, over a Unix socket, for tests.

It keeps containers, networks and images as values and runs nothing; `answer` says what a command prints.
The forms of questions and answers are those of the Engine API 1.41, as moby's api/swagger.yaml has them.
So what `lab.engine.docker` says and reads can be tested where no engine is.
"""

from __future__ import annotations

import json
import re
import select
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

Raw = dict[str, Any]
Answer = Callable[[list[str], bytes], tuple[int, bytes, bytes]]
"""A command line and its input to exit code and outputs."""

VERSION: Final = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Components": []}
INFO: Final = {
    "MemTotal": 8 * 2**30, "NCPU": 2, "DockerRootDir": "/var/lib/docker", "CgroupVersion": "2",
    "SecurityOptions": ["name=seccomp"], "SystemTime": "2026-11-23T22:00:00.5Z",
    "MemoryLimit": True, "PidsLimit": True, "CpuCfsQuota": True,
}  # fmt: skip


class Refused(Exception):
    """The daemon says no, with a status."""

    def __init__(self, status: int, said: str) -> None:
        self.status = status
        super().__init__(said)


def _quiet(_argv: list[str], _stdin: bytes) -> tuple[int, bytes, bytes]:
    return 0, b"", b""


@dataclass
class Daemon:
    """What the daemon has."""

    path: Path
    """Its socket."""

    answer: Answer = _quiet
    """What commands do."""

    faults: dict[str, Refused] = field(default_factory=dict)
    """`METHOD path` to what is said to the next such request."""

    containers: dict[str, Raw] = field(default_factory=dict)
    networks: dict[str, Raw] = field(default_factory=dict)
    images: dict[str, Raw] = field(default_factory=dict)
    execs: dict[str, Raw] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def container(self, name: str) -> Raw:
        """Find a container by its id or name."""
        found = [it for it in self.containers.values() if name in {it["Id"], it["Name"].lstrip("/")}]
        if not found:
            raise Refused(404, f"No such container: {name}")
        return found[0]

    def network(self, name: str) -> Raw:
        """Find a network by its id or name."""
        found = [it for it in self.networks.values() if name in {it["Id"], it["Name"]}]
        if not found:
            raise Refused(404, f"network {name} not found")
        return found[0]

    def image(self, tag: str) -> Raw:
        """Find an image."""
        if tag not in self.images:
            raise Refused(404, f"No such image: {tag}")
        return self.images[tag]

    def attach(self, made: Raw, name: str, wanted: str = "") -> None:
        """Give a container an address on a network."""
        network = self.network(name)
        used = sum(name in it["NetworkSettings"]["Networks"] for it in self.containers.values())
        subnet = network["IPAM"]["Config"][0]["Subnet"]
        address = f"{subnet.rpartition('.')[0]}.{int(subnet.rpartition('.')[2].partition('/')[0]) + used + 2}"
        made["NetworkSettings"]["Networks"][name] = {"IPAddress": wanted or address}


class _Handler(BaseHTTPRequestHandler):
    """One connection to the daemon."""

    protocol_version = "HTTP/1.1"
    daemon: Daemon

    def address_string(self) -> str:
        """A Unix socket has no address."""
        return "local"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _do(self) -> None:
        url = urlsplit(self.path)
        path = re.sub(r"^/v[\d.]+", "", unquote(url.path))
        query = {key: "\n".join(values) for key, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.daemon.asked.append(f"{self.command} {path}")
        try:
            said = _act(self.daemon, self.command, path, query, body)
            if isinstance(said, _Hijacked):
                self._hijack(said)
            else:
                self._say(*said)
        except Refused as refused:
            self._say(refused.status, {"message": str(refused)})

    do_GET = do_POST = do_DELETE = do_HEAD = _do  # noqa: N815  # http.server's names

    def _say(self, status: int, value: object) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if status != 204:
            self.wfile.write(content)

    def _hijack(self, said: _Hijacked) -> None:
        """Take the connection over for the command's input and outputs, as `exec start` does."""
        self.send_response(101, "UPGRADED")
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "tcp")
        self.end_headers()
        self.wfile.flush()
        if said.exec.get("Tty"):
            time.sleep(0.1)  # the client does not look for output that comes with the answer's head
            self.wfile.write(b"7\r\n")  # the shell's process id
        stdin = self._typed(said.exec)
        command, kept = _unwrapped(said.exec["Cmd"])
        code, out, err = self._kept(command, stdin) if kept else self.daemon.answer(command, stdin)
        said.exec.update(ExitCode=code, Running=False)
        with suppress(OSError):
            for channel, content in ((1, out), (2, err)):
                if content:
                    head = b"" if said.exec.get("Tty") else struct.pack(">BxxxL", channel, len(content))
                    self.wfile.write(head + content)
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _kept(self, command: list[str], stdin: bytes) -> tuple[int, bytes, bytes]:
        """Run a command until it ends or the other side hangs up, as `keeper.pl` does."""
        found: list[tuple[int, bytes, bytes]] = []
        work = threading.Thread(target=lambda: found.append(self.daemon.answer(command, stdin)), daemon=True)
        work.start()
        while not found:
            work.join(0.02)
            if select.select([self.connection], [], [], 0)[0]:
                return 137, b"", b"7\n"
        code, out, err = found[0]
        return code, out, b"7\n" + err

    def _typed(self, command: Raw) -> bytes:
        """Read a command's input: to its end, or on a terminal one line of it."""
        if not command.get("AttachStdin"):
            return b""
        if command.get("Tty"):
            return self.rfile.readline()
        _, kept = _unwrapped(command["Cmd"])
        return b"".join(self._frames()) if kept else b"".join(iter(lambda: self.rfile.read1(65536), b""))

    def _frames(self) -> Iterator[bytes]:
        """Read the input of a command that is kept: frames up to an empty one, as `keeper.pl` does."""
        while length := int(self.rfile.readline() or 0):
            yield self.rfile.read(length)


def _unwrapped(command: list[str]) -> tuple[list[str], bool]:
    """Return what a command line runs, and whether it is kept by `keeper.pl`."""
    if command[:2] == ["perl", "-e"] and "--leash" not in command:
        return command[4:], True
    return command, False


@dataclass
class _Hijacked:
    """The answer to `exec start`."""

    exec: Raw


Said = tuple[int, object] | _Hijacked
Groups = tuple[str, ...]
Act = Callable[[Daemon, Groups, dict[str, str], bytes], Said]


def _act(daemon: Daemon, method: str, path: str, query: dict[str, str], body: bytes) -> Said:
    """Do what was asked."""
    fault = daemon.faults.pop(f"{method} {path}", None)
    if fault:
        raise fault
    for pattern, act in ROUTES.items():
        match = re.fullmatch(pattern, f"{method} {path}")
        if match:
            return act(daemon, match.groups(), query, body)
    raise Refused(404, f"page not found: {method} {path}")


def _labelled(
    things: Iterator[Raw] | list[Raw], query: dict[str, str], where: Callable[[Raw], Raw]
) -> list[Raw]:
    """Keep what has the labels that a question asks for."""
    wanted = json.loads(query.get("filters", "{}")).get("label", [])
    pairs = [it.partition("=") for it in (wanted if isinstance(wanted, list) else list(wanted))]
    return [
        thing
        for thing in things
        if all(key in where(thing) and (not sign or where(thing)[key] == value) for key, sign, value in pairs)
    ]


def _listed(container: Raw) -> Raw:
    return {
        "Id": container["Id"],
        "Names": [container["Name"]],
        "Image": container["Config"]["Image"],
        "State": container["State"]["Status"],
        "Created": 1_800_000_000,
        "Labels": container["Config"]["Labels"],
        "NetworkSettings": container["NetworkSettings"],
    }


def _create(daemon: Daemon, _: Groups, query: dict[str, str], body: bytes) -> Said:
    told = json.loads(body)
    name = query.get("name", "")
    if any(it["Name"] == f"/{name}" for it in daemon.containers.values()):
        raise Refused(409, f'Conflict. The container name "/{name}" is already in use')
    image = daemon.image(told["Image"])
    host = told.get("HostConfig") or {}
    made: Raw = {
        "Id": uuid.uuid4().hex,
        "Name": f"/{name}",
        "Config": {**told, "Labels": {**image["Config"]["Labels"], **(told.get("Labels") or {})}},
        "HostConfig": {"CapAdd": [], "CapDrop": [], "SecurityOpt": [], "Privileged": False, "NetworkMode": "",
                       "Dns": [], "Memory": 0, "PidsLimit": 0, **host},
        "Mounts": [],
        "State": {"Status": "created", "StartedAt": "2026-11-23T22:00:00.5Z"},
        "NetworkSettings": {"Networks": {}},
    }  # fmt: skip
    mode = made["HostConfig"]["NetworkMode"]
    if mode.startswith("container:"):
        daemon.container(mode.partition(":")[2])
    elif mode == "host":
        made["NetworkSettings"]["Networks"]["host"] = {"IPAddress": ""}
    elif mode:
        daemon.attach(made, mode)
    daemon.containers[made["Id"]] = made
    return 201, {"Id": made["Id"], "Warnings": []}


def _state(status: str) -> Act:
    def change(daemon: Daemon, groups: Groups, _: dict[str, str], __: bytes) -> Said:
        daemon.container(groups[0])["State"]["Status"] = status
        return 204, b""

    return change


def _kill(daemon: Daemon, groups: Groups, _: dict[str, str], __: bytes) -> Said:
    found = daemon.container(groups[0])
    if found["State"]["Status"] != "running":
        raise Refused(409, f"Container {groups[0]} is not running")
    found["State"]["Status"] = "exited"
    return 204, b""


def _remove(daemon: Daemon, groups: Groups, _: dict[str, str], __: bytes) -> Said:
    del daemon.containers[daemon.container(groups[0])["Id"]]
    return 204, b""


def _create_network(daemon: Daemon, _: Groups, __: dict[str, str], body: bytes) -> Said:
    told = json.loads(body)
    made = {
        **told,
        "Id": uuid.uuid4().hex,
        "Options": told.get("Options") or {},
        "Labels": told.get("Labels") or {},
    }
    made.setdefault("IPAM", {"Config": [{"Subnet": f"172.30.{len(daemon.networks)}.0/24"}]})
    daemon.networks[made["Id"]] = made
    return 201, {"Id": made["Id"], "Warning": ""}


def _list_networks(daemon: Daemon, _: Groups, query: dict[str, str], __: bytes) -> Said:
    names = json.loads(query.get("filters", "{}")).get("name", [])
    found = _labelled(iter(daemon.networks.values()), query, lambda it: it["Labels"])
    return 200, [it for it in found if not names or any(name in it["Name"] for name in names)]


def _inspect_network(daemon: Daemon, groups: Groups, _: dict[str, str], __: bytes) -> Said:
    network = daemon.network(groups[0])
    held = {
        it["Id"]: {"Name": it["Name"].lstrip("/")}
        for it in daemon.containers.values()
        if network["Name"] in it["NetworkSettings"]["Networks"]
    }
    return 200, {**network, "Containers": held}


def _remove_network(daemon: Daemon, groups: Groups, _: dict[str, str], __: bytes) -> Said:
    network = daemon.network(groups[0])
    if any(network["Name"] in it["NetworkSettings"]["Networks"] for it in daemon.containers.values()):
        raise Refused(403, f"error while removing network: network {network['Name']} has active endpoints")
    del daemon.networks[network["Id"]]
    return 204, b""


def _connect(daemon: Daemon, groups: Groups, _: dict[str, str], body: bytes) -> Said:
    told = json.loads(body)
    wanted = ((told.get("EndpointConfig") or {}).get("IPAMConfig") or {}).get("IPv4Address", "")
    daemon.attach(daemon.container(told["Container"]), groups[0], wanted)
    return 200, b""


def _rename(daemon: Daemon, groups: Groups, query: dict[str, str], _: bytes) -> Said:
    if any(it["Name"] == f"/{query['name']}" for it in daemon.containers.values()):
        raise Refused(409, f'Conflict. The container name "/{query["name"]}" is already in use')
    daemon.container(groups[0])["Name"] = f"/{query['name']}"
    return 204, b""


def _disconnect(daemon: Daemon, groups: Groups, _: dict[str, str], body: bytes) -> Said:
    network = daemon.network(groups[0])
    daemon.container(json.loads(body)["Container"])["NetworkSettings"]["Networks"].pop(network["Name"], None)
    return 200, b""


def _exec(daemon: Daemon, groups: Groups, _: dict[str, str], body: bytes) -> Said:
    made = {
        "Id": uuid.uuid4().hex,
        "Container": daemon.container(groups[0])["Id"],
        "ExitCode": None,
        "Running": True,
    }
    daemon.execs[made["Id"]] = {**json.loads(body), **made}
    return 201, {"Id": made["Id"]}


def _start_exec(daemon: Daemon, groups: Groups, _: dict[str, str], body: bytes) -> Said:
    if json.loads(body).get("Detach"):
        return 200, b""
    return _Hijacked(daemon.execs[groups[0]])


def _put_image(daemon: Daemon, tag: str, labels: dict[str, str]) -> Said:
    daemon.images[tag] = {
        "Id": uuid.uuid4().hex, "RepoTags": [tag], "Size": 1000, "Config": {"Labels": labels},
    }  # fmt: skip
    return 201, {"Id": daemon.images[tag]["Id"]}


def _commit(daemon: Daemon, _: Groups, query: dict[str, str], __: bytes) -> Said:
    daemon.container(query["container"])
    changes = re.findall(r'LABEL "([^"]*)"="([^"]*)"', query.get("changes", ""))
    return _put_image(daemon, f"{query['repo']}:{query['tag']}", dict(changes))


def _make_image(daemon: Daemon, _: Groups, query: dict[str, str], __: bytes) -> Said:
    if "fromImage" in query:
        raise Refused(404, f"manifest for {query['fromImage']} not found")
    _put_image(daemon, f"{query['repo']}:{query['tag']}", {})
    return 200, {"status": "sha256:0"}


def _list_images(daemon: Daemon, _: Groups, query: dict[str, str], __: bytes) -> Said:
    return 200, _labelled(iter(daemon.images.values()), query, lambda it: it["Config"]["Labels"])


def _remove_image(daemon: Daemon, groups: Groups, _: dict[str, str], __: bytes) -> Said:
    daemon.image(groups[0])
    del daemon.images[groups[0]]
    return 200, []


def _stats(daemon: Daemon, groups: Groups, _: dict[str, str], __: bytes) -> Said:
    daemon.container(groups[0])
    return 200, {
        "read": "2026-11-23T22:00:01.5Z",
        "cpu_stats": {"cpu_usage": {"total_usage": 5}},
        "memory_stats": {"usage": 3000, "stats": {"inactive_file": 1000}},
    }


ROUTES: Final[dict[str, Act]] = {
    "GET /version": lambda *_: (200, VERSION),
    "GET /info": lambda *_: (200, INFO),
    "GET /volumes": lambda *_: (200, {"Volumes": [{"Name": "theirs"}]}),
    "GET /containers/json": lambda d, _, q, __: (
        200,
        [_listed(it) for it in _labelled(iter(d.containers.values()), q, lambda it: it["Config"]["Labels"])],
    ),
    "GET /networks": _list_networks,
    "POST /networks/create": _create_network,
    "GET /networks/([^/]+)": _inspect_network,
    "DELETE /networks/([^/]+)": _remove_network,
    "POST /networks/([^/]+)/connect": _connect,
    "POST /networks/([^/]+)/disconnect": _disconnect,
    "POST /containers/create": _create,
    "POST /containers/([^/]+)/start": _state("running"),
    "POST /containers/([^/]+)/pause": _state("paused"),
    "POST /containers/([^/]+)/unpause": _state("running"),
    "POST /containers/([^/]+)/kill": _kill,
    "POST /containers/([^/]+)/stop": _state("exited"),
    "POST /containers/([^/]+)/rename": _rename,
    "GET /containers/([^/]+)/changes": lambda d, g, *_: (
        200, [{"Path": "/tmp/new", "Kind": 1}, {"Path": "/tmp", "Kind": 0}] if d.container(g[0]) else [],
    ),
    "GET /containers/([^/]+)/export": lambda d, g, *_: (200, bytes(10240) if d.container(g[0]) else b""),
    "POST /containers/([^/]+)/wait": lambda *_: (200, {"StatusCode": 137}),
    "GET /containers/([^/]+)/json": lambda d, g, *_: (200, d.container(g[0])),
    "GET /containers/([^/]+)/logs": lambda d, g, *_: (
        200, struct.pack(">BxxxL", 1, 11) + b"last words\n" if d.container(g[0]) else b"",
    ),
    "GET /containers/([^/]+)/stats": _stats,
    "DELETE /containers/([^/]+)": _remove,
    "POST /containers/([^/]+)/exec": _exec,
    "POST /exec/([^/]+)/start": _start_exec,
    "POST /exec/([^/]+)/resize": lambda *_: (200, b""),
    "GET /exec/([^/]+)/json": lambda d, g, *_: (200, d.execs[g[0]]),
    "GET /images/json": _list_images,
    "GET /images/(.+)/json": lambda d, g, *_: (200, d.image(g[0])),
    "DELETE /images/(.+)": _remove_image,
    "POST /images/create": _make_image,
    "POST /commit": _commit,
    "GET /distribution/(.+)/json": lambda *_: (403, {"message": "no registry"}),
}  # fmt: skip
"""What the daemon can be asked."""


class _Server(ThreadingUnixStreamServer):
    """Takes many connections at once, and waits for none of them at its end."""

    request_queue_size = 64
    daemon_threads = True


@contextmanager
def scripted_daemon(path: Path) -> Iterator[Daemon]:
    """Run a daemon on a socket until the body ends."""
    daemon = Daemon(path=path)
    handler = type("Handler", (_Handler,), {"daemon": daemon})
    with _Server(str(path), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield daemon
        finally:
            server.shutdown()
            thread.join()
