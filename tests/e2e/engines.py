"""A second Docker engine to stop, restart and starve, so that nobody's own is harmed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import docker
import pytest

from lab.engine.docker import DockerEngine
from lab.errors import LabError
from lab.provision import apply

BRIDGE: Final = "second-engine"
"""Interface of the second engine's default network."""

_STARTS_WITHIN: Final = 60.0


@dataclass(kw_only=True)
class SecondEngine:
    """A Docker daemon with folders, a socket and containers of its own."""

    root: Path
    """Where its images, its socket and its log are."""

    state: Path
    """Where its state is; a short path, since one of a socket has 107 characters at most."""

    program: str = "dockerd"
    """Which daemon."""

    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    """The daemon, once for each start."""

    @property
    def environment(self) -> dict[str, str]:
        """What makes a command use it."""
        return {"DOCKER_HOST": f"unix://{self.root}/docker.sock"}

    def start(self) -> None:
        """Start the daemon and wait until it answers.

        The firewall stays as it is: two daemons that both write to it take each other's rules away.
        The bridge is one of its own: a daemon that is told to have none takes the other's away.
        """
        if not Path("/sys/class/net", BRIDGE).exists():
            subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=True)
            subprocess.run(["ip", "address", "add", "10.255.254.1/24", "dev", BRIDGE], check=True)
        command = [
            *(self.program, "--host", self.environment["DOCKER_HOST"]),
            *("--data-root", str(self.root / "data"), "--exec-root", str(self.state)),
            *("--pidfile", str(self.root / "pid"), "--containerd-namespace", f"homerange-{os.getpid()}"),
            *("--bridge", BRIDGE, "--iptables=false", "--ip6tables=false"),
        ]
        self._launch(command)
        until = time.monotonic() + _STARTS_WITHIN
        while time.monotonic() < until:
            if self._answers():
                return
            if self.processes[-1].poll() is not None:  # on a busy machine its containerd is late for it
                self._launch(command)
            time.sleep(0.1)
        raise AssertionError((self.root / "log").read_text(encoding="utf-8")[-2000:])

    def _launch(self, command: list[str]) -> None:
        with (self.root / "log").open("ab") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def _answers(self) -> bool:
        """Ask by hand: Docker's client forgets the sockets that it could not connect."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(5)
            try:
                line.connect(str(self.root / "docker.sock"))
                line.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in line.recv(64)
            except OSError:
                return False

    def send(self, number: signal.Signals) -> None:
        """Send the daemon a signal."""
        self.processes[-1].send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the daemon."""
        self.send(signal.SIGCONT)
        self.send(number)
        try:
            self.processes[-1].wait(30)
        except subprocess.TimeoutExpired:
            self.processes[-1].kill()
            self.processes[-1].wait()
        if number == signal.SIGKILL:
            self._kill_containerd()

    def _kill_containerd(self) -> None:
        """End the containerd that the daemon started: the next one would wait for it in vain."""
        pid = self.state / "containerd" / "containerd.pid"
        if pid.exists():
            with suppress(ProcessLookupError):
                os.kill(int(pid.read_text(encoding="ascii")), signal.SIGKILL)
            pid.unlink()

    def restart(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the daemon and start it again."""
        self.stop(number)
        self.start()

    def take(self, tag: str) -> None:
        """Copy an image from the engine of the tests."""
        with (
            closing(docker.APIClient(timeout=300)) as first,
            closing(docker.APIClient(base_url=self.environment["DOCKER_HOST"], timeout=300)) as second,
        ):
            for _ in second.load_image(first.get_image(tag)):  # type: ignore[no-untyped-call]
                pass


@contextmanager
def second_engine(root: Path, program: str = "dockerd") -> Iterator[SecondEngine]:
    """Run a second engine; all it has is removed with it."""
    root.mkdir(parents=True, exist_ok=True)
    engine = SecondEngine(root=root, state=Path(tempfile.mkdtemp(prefix="engine-")), program=program)
    try:
        engine.start()
        yield engine
    finally:
        _clear(engine)


def _clear(engine: SecondEngine) -> None:
    engine.send(signal.SIGCONT)
    with pytest.MonkeyPatch.context() as patch, suppress(LabError):  # what it had goes with its folder
        patch.setenv("DOCKER_HOST", engine.environment["DOCKER_HOST"])
        with closing(DockerEngine()) as found:
            for name in found.labs():
                apply.remove(name, found)
    engine.stop()
    subprocess.run(["ip", "link", "delete", BRIDGE], check=False, capture_output=True)
    for folder in (engine.root, engine.state):
        for mount in _mounts(folder):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _mounts(root: Path) -> list[str]:
    """List what is mounted below a folder, the innermost first."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return sorted((it.split()[1] for it in lines if it.split()[1].startswith(f"{root}/")), reverse=True)
