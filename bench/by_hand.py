"""Changes a running lab by hand in many ways; `plan` and `verify` have to name each, and `up` to mend it.

Root and an engine on this machine are needed. The lab has a name of its own and is removed at the end. Run it
from a checkout:  .venv/bin/python bench/by_hand.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

from lab.engine import labels
from lab.engine.docker import DockerEngine

NAME: Final = f"by-hand-{os.getpid()}"
INVENTORY: Final = """\
all:
  vars: {lab_networks: {left: {}, right: {}}}
  children:
    plain:
      hosts:
        one: {lab_attach: [left]}
        two: {lab_attach: [left, right]}
        three: {lab_attach: [right]}
"""
CONF: Final = "echo {} > /proc/sys/net/{}/conf/$BR/{}"

CHANGES: Final = {
    "an address on a bridge": "ip addr add $GW dev $BR",
    "a second address on a bridge": "ip addr add 198.51.100.1/24 dev $BR",
    "ARP answered again": CONF.format(0, "ipv4", "arp_ignore"),
    "broadcast by link taken again": CONF.format(0, "ipv4", "drop_unicast_in_l2_multicast"),
    "sources no longer checked": CONF.format(0, "ipv4", "rp_filter"),
    "forwarding switched on": CONF.format(1, "ipv4", "forwarding"),
    "IPv6 switched on": CONF.format(0, "ipv6", "disable_ipv6"),
    "the firewall's rule removed": "iptables -w -D INPUT -i $BR -j DROP",
    "all rules flushed": "iptables -w -F INPUT",
    "a bridge taken down": "ip link set $BR down",
    "a veth on a bridge": "ip link add byhand0 type veth peer name byhand1; ip link set byhand0 master $BR",
    "a tunnel on a bridge": "ip link add byhand0 type vxlan id 42 dstport 4789; ip link set byhand0 master $BR",  # noqa: E501
    "an interface in a node": "ip link add byhand0 type veth peer name byhand1; ip link set byhand1 netns $PID",  # noqa: E501
    "no limit of processes": "docker update --pids-limit -1 $ONE",
    "more processes": "docker update --pids-limit 500 $ONE",
    "more memory": "docker update --memory 2g --memory-swap 2g $ONE",
    "more processors": "docker update --cpus 2 $ONE",
    "a network of somebody else": "docker network connect bridge $ONE",
    "a second network of the lab": "docker network connect lab-$LAB-right $ONE",
    "a network taken away": "docker network disconnect lab-$LAB-left $ONE",
    "a node renamed": "docker rename $ONE by-hand-renamed",
    "a node paused": "docker pause $ONE",
    "a node stopped": "docker stop -t 0 $ONE",
    "a node removed": "docker rm -f $ONE",
    "a node made by hand": (
        "docker run -d --name lab-$LAB-four --network lab-$LAB-left "
        "--label $L_LAB=$LAB --label $L_NODE=four --label $L_KIND=plain $IMAGE"
    ),
}


def main() -> None:
    """Make each change, and say who noticed it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "inventories").mkdir()
        (place / "inventories" / f"{NAME}.yml").write_text(INVENTORY, encoding="utf-8")
        lab(place, "up", NAME)
        try:
            faults = sum(_tried(place, what, how) for what, how in CHANGES.items())
        finally:
            lab(place, "down", NAME)
    say(f"{len(CHANGES)} changes, {faults} not noticed by all or not mended")
    sys.exit(bool(faults))


def _tried(place: Path, what: str, how: str) -> bool:
    """Make a change; tell whether somebody missed it."""
    with closing(DockerEngine()) as engine:
        seen = engine.observe(NAME)
        (network,) = [it for it in seen.networks if it.name == "left"]
        (node,) = [it for it in seen.nodes if it.name == "one"]
    gateway = (
        f"{network.subnet.rpartition('.')[0]}.{int(network.subnet.rpartition('.')[2].split('/')[0]) + 1}/26"
    )
    pid = subprocess.run(
        ["docker", "inspect", "-f", "{{.State.Pid}}", node.id], capture_output=True, text=True, check=True
    ).stdout.strip()
    environment = {
        **os.environ, "BR": network.bridge, "GW": gateway, "ONE": f"lab-{NAME}-one", "LAB": NAME,
        "PID": pid, "IMAGE": node.image, "L_LAB": labels.LAB, "L_NODE": labels.NODE, "L_KIND": labels.KIND,
    }  # fmt: skip
    subprocess.run(["sh", "-c", how], env=environment, capture_output=True, check=True)
    planned = json.loads(lab(place, "plan", NAME, "--format", "json"))["changes"]
    probes = json.loads(lab(place, "verify", NAME, "--format", "json"))
    holes = [it for it in probes if not it["held"]]
    lab(place, "up", NAME)
    left = json.loads(lab(place, "plan", NAME, "--format", "json"))["changes"]
    still = [it for it in json.loads(lab(place, "verify", NAME, "--format", "json")) if not it["held"]]
    subprocess.run(["ip", "link", "delete", "byhand0"], capture_output=True, check=False)
    good = bool(planned and holes) and not (left or still)
    say(
        "ok  " if good else "MISS", what, "| plan:", "; ".join(it["reason"] for it in planned) or "nothing",
        "| verify:", "; ".join(it["said"] for it in holes)[:120] or "nothing",
        "| left:", [*(it["reason"] for it in left), *(it["said"] for it in still)] or "nothing",
    )  # fmt: skip
    return not good


def say(*words: object) -> None:
    """Write a line at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def lab(place: Path, *arguments: str) -> str:
    """Run a command of ours and return what it wrote."""
    code = "from lab.cli.entry import entry; entry()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=place, capture_output=True, text=True, check=False
    ).stdout


if __name__ == "__main__":
    main()
