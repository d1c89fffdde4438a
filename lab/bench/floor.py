"""The bare SDK: what no program that uses the engine can undercut. `lab bench up` measures it.

It makes the same containers on the same internal network as a lab of plain nodes, eight at a time,
and checks, waits for and proves nothing. Run as a program: `python -m lab.bench.floor up NAME NODES IMAGE`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import docker
import docker.errors

_WORKERS: Final = 8
_LABEL: Final = "homerange.floor"
_TRIES: Final = 20


def up(name: str, nodes: int, image: str) -> None:
    """Make a network and containers on it."""
    client = _connect()
    # Now and then the engine keeps an endpoint of a container that is gone, and the network with it
    # until the engine is restarted; another name lets the next round go on.
    wire = f"{name}-{time.time_ns()}"
    client.networks.create(
        wire,
        internal=True,
        labels={_LABEL: name},
        options={"com.docker.network.bridge.inhibit_ipv4": "true"},
    )

    def _make(number: int) -> None:
        client.containers.run(
            image,
            ["sleep", "infinity"],
            name=f"{name}-{number}",
            hostname=f"node{number}",
            detach=True,
            network=wire,
            labels={_LABEL: name},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit="16m",
            memswap_limit="16m",
            nano_cpus=500_000_000,
            pids_limit=16,
            dns=["127.0.0.1"],
            sysctls={"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"},
        )

    _all(_make, range(1, nodes + 1))
    client.close()


def down(name: str) -> None:
    """Remove the containers, then the network."""
    client = _connect()
    found = client.containers.list(all=True, filters={"label": f"{_LABEL}={name}"}, sparse=True)
    _all(lambda container: container.remove(force=True), found)
    for network in client.networks.list(filters={"label": f"{_LABEL}={name}"}):
        for _ in range(_TRIES):
            try:
                network.remove()
                break
            except docker.errors.APIError:
                time.sleep(0.1)
    client.close()


def _connect() -> docker.DockerClient:
    return docker.from_env(max_pool_size=_WORKERS, timeout=300)


def _all(act: Callable[..., None], things: Iterable[object]) -> None:
    with ThreadPoolExecutor(_WORKERS) as pool:
        list(pool.map(act, things))


if __name__ == "__main__":
    if sys.argv[1] == "up":
        up(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        down(sys.argv[2])
