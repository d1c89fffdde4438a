"""Each wall is opened on purpose, and `verify` finds the hole. All packets stay on this machine."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types
import pytest

from lab.engine import labels
from lab.files.workplace import SHIPPED
from tests.e2e.conftest import Place

pytestmark = pytest.mark.docker


@pytest.fixture
def client() -> Iterator[docker.APIClient]:
    with closing(docker.APIClient()) as found:
        yield found


def holes(place: Place, *, code: int = 1) -> set[tuple[str, str]]:
    """Verify, and return what got through: the node and the wall."""
    probes = json.loads(place.lab("verify", place.name, "--format", "json", code=code).stdout)
    assert probes
    return {(it["node"], it["wall"]) for it in probes if not it["held"]}


@contextmanager
def network(client: docker.APIClient, place: Place, **options: Any) -> Iterator[str]:  # noqa: ANN401  # Docker's
    """Make a network of the lab as somebody careless would."""
    marks = {labels.LAB: place.name, labels.NETWORK: "open"}
    made = client.create_network(f"lab-{place.name}-open", labels=marks, **options)
    try:
        yield made["Id"]
    finally:
        for node in place.observe().nodes:
            if node.name == "open":
                place.engine.remove_nodes([node])
        client.remove_network(made["Id"])


def container(client: docker.APIClient, place: Place, image: str, **host: Any) -> str:  # noqa: ANN401  # Docker's
    """Make a node of the lab as somebody careless would; all that is not named is as it should be."""
    marks = {labels.LAB: place.name, labels.NODE: "open", labels.KIND: "plain"}
    confinement = {
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "mem_limit": "32m",
        "pids_limit": 32,
        "dns": ["127.0.0.1"],
        "sysctls": {"net.ipv6.conf.all.disable_ipv6": "1"},
        "network_mode": f"lab-{place.name}-left",
        **host,
    }
    config = client.create_host_config(**{key: it for key, it in confinement.items() if it is not None})
    made = client.create_container(
        image, ["sleep", "infinity"], name=f"lab-{place.name}-open", labels=marks, host_config=config
    )
    client.start(made["Id"])
    return str(made["Id"])


def test_a_lab_as_it_should_be_has_no_hole(standing: Place) -> None:
    ran = standing.lab("verify", standing.name)
    assert "none got through" in ran.stderr
    walls = {line.split("\t")[1] for line in ran.stdout.splitlines()}
    assert walls == {
        "host",
        "gateway",
        "engine",
        "route",
        "dns",
        "other networks",
        "confinement",
        "raw frames",
        "bridge",
    }
    tried = {line.split("\t")[2].split()[0] for line in ran.stdout.splitlines()}
    assert {"TCP", "UDP", "ICMP", "ARP", "IPv6"} <= tried


def test_a_bridge_with_an_address_of_the_host_is_found(
    standing: Place, client: docker.APIClient, plain_image: str
) -> None:
    with network(client, standing, internal=True):
        container(client, standing, plain_image, network_mode=f"lab-{standing.name}-open")
        assert {("open", "host"), ("open", "gateway")} <= holes(standing)


def test_a_way_to_the_internet_is_found_without_using_it(
    standing: Place, client: docker.APIClient, plain_image: str
) -> None:
    with network(client, standing, internal=False):
        container(client, standing, plain_image, network_mode=f"lab-{standing.name}-open")
        assert ("open", "route") in holes(standing)


def test_ipv6_is_found(standing: Place, client: docker.APIClient, plain_image: str) -> None:
    pool = docker.types.IPAMPool(subnet="fd00:213::/64")
    ipam = docker.types.IPAMConfig(pool_configs=[pool])
    with network(client, standing, internal=True, enable_ipv6=True, ipam=ipam):
        container(client, standing, plain_image, network_mode=f"lab-{standing.name}-open", sysctls=None)
        time.sleep(3)  # until the node knows that nobody else has its address (RFC 4862, 5.4)
        probes = json.loads(standing.lab("verify", standing.name, "--format", "json", code=1).stdout)
        open_ways = [it["target"] for it in probes if not it["held"] and it["node"] == "open"]
        for protocol in ("TCP", "UDP", "ICMP"):
            assert any(it.startswith(protocol) and "fd00:213::" in it for it in open_ways), open_ways
        assert any(it.startswith("IPv6") for it in open_ways)


def test_a_resolver_that_asks_the_host_is_found_without_asking_it(
    standing: Place, client: docker.APIClient, plain_image: str
) -> None:
    container(client, standing, plain_image, dns=None)
    assert holes(standing) == {("open", "confinement"), ("open", "definition")}


def test_the_engines_socket_is_found(
    standing: Place, client: docker.APIClient, plain_image: str, tmp_path: Path
) -> None:
    bait = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(bait))
        container(client, standing, plain_image, binds=[f"{bait}:/var/run/docker.sock"])
        assert {("open", "engine"), ("open", "confinement")} <= holes(standing)


def test_the_engines_api_is_found(standing: Place, client: docker.APIClient, plain_image: str) -> None:
    with network(client, standing, internal=True), socket.create_server(("", 2375)):
        container(client, standing, plain_image, network_mode=f"lab-{standing.name}-open")
        assert ("open", "engine") in holes(standing)


def test_another_network_in_reach_is_found(standing: Place, client: docker.APIClient) -> None:
    """A node that somebody attached to a network of another lab reaches what is on it."""
    other = f"{standing.name}-b"
    try:
        (standing.folder / "inventories" / f"{other}.yml").write_text(
            (standing.folder / "inventories" / f"{standing.name}.yml").read_text(encoding="utf-8"),
            encoding="utf-8",
        )
        standing.lab("up", other)
        client.connect_container_to_network(standing.node("one").id, f"lab-{other}-right")
        assert ("one", "other networks") in holes(standing)
    finally:
        standing.lab("down", other)


@pytest.mark.parametrize(
    ("careless", "said"),
    [
        ({"cap_add": ["SYS_ADMIN"]}, "SYS_ADMIN"),
        ({"cap_drop": None}, "keeps capabilities"),
        ({"security_opt": None}, "may gain privileges"),
        ({"mem_limit": None}, "no memory limit"),
        ({"pids_limit": None}, "no limit of processes"),
        ({"binds": ["/tmp:/host"]}, "folders of the host"),
        ({"network_mode": "host", "dns": None, "sysctls": None}, "shares the host's network"),
    ],
    ids=lambda it: next(iter(it)) if isinstance(it, dict) else "",
)
def test_a_node_that_is_not_confined_is_found(
    standing: Place, client: docker.APIClient, plain_image: str, careless: dict[str, Any], said: str
) -> None:
    container(client, standing, plain_image, **careless)
    probes = json.loads(standing.lab("verify", standing.name, "--format", "json", code=1).stdout)
    assert [it["node"] for it in probes if it["wall"] == "confinement" and said in it["said"]] == ["open"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may seal a bridge, and unseal it")
def test_raw_frames_are_heard_on_a_bridge_that_is_not_sealed_and_up_seals_it(
    place: Place, client: docker.APIClient, plain_image: str
) -> None:
    place.lab("up", place.name)
    container(client, place, plain_image, cap_add=["NET_RAW"])
    [left] = [network for network in place.observe().networks if network.name == "left"]
    assert left.sealed
    assert holes(place) == {("open", "confinement"), ("open", "definition")}
    for setting, value in (
        (f"ipv4/conf/{left.bridge}/arp_ignore", "0"),
        (f"ipv4/conf/{left.bridge}/drop_unicast_in_l2_multicast", "0"),
        (f"ipv4/conf/{left.bridge}/rp_filter", "0"),
        (f"ipv6/conf/{left.bridge}/disable_ipv6", "0"),
    ):
        Path("/proc/sys/net", setting).write_text(value, encoding="ascii")
    assert ("open", "raw frames") in holes(place)
    assert "seal\tnetwork\tleft" in place.lab("plan", place.name).stdout
    place.lab("up", place.name)
    place.lab("verify", place.name)


@pytest.mark.parametrize("name", sorted({path.stem for path in SHIPPED.inventories()}))
def test_no_probe_gets_through_in_any_lab_that_ships(place: Place, name: str) -> None:
    place.write(SHIPPED.find("inventories", name).read_text(encoding="utf-8"))
    place.lab("up", place.name)
    assert holes(place, code=0) == set()
