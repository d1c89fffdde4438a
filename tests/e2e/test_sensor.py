"""Every rule of the sensor fires on what it is for, seen by Suricata on real traffic, and not on its like."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest

from lab.engine.docker import DockerEngine
from lab.engine.nodes import RunningLab, SeenNode
from lab.files.workplace import SHIPPED
from lab.provision import apply

pytestmark = pytest.mark.docker

LAB: Final = f"sensor-{os.getpid()}"
PING: Final = "nmap -sn -n -PE --disable-arp-ping"
NETCAT: Final = r"printf 'SSH-2.0-client\r\n' | nc -w 1 bastion 22 >/dev/null"

CONNECT: Final = (
    "python3 -c \"import socket\nfor _ in range({}): socket.create_connection(('shop', 80)).close()\""
)
ASK: Final = (
    "python3 -c \"import http.client as h\nc = h.HTTPConnection('shop')\n"
    "for _ in range({}): c.request('GET', '/style.css'); c.getresponse().read()\""
)
HALF: Final = (
    "python3 -c \"import socket\nopen = [socket.create_connection(('shop', 80)) for _ in range({})]\n"
    "for it in open: it.send(b'GET /?x')\""
)

RULES: Final = {
    "Ping without payload, as a host scanner sends": (f"{PING} bastion", f"{PING} --data-length 32 bastion"),
    "ICMP timestamp request": (
        "nmap -sn -n -PP --disable-arp-ping bastion",
        f"{PING} --data-length 32 bastion",
    ),
    "Many pings from one source": (
        f"for i in $(seq 24); do {PING} --data-length 32 bastion & done; wait",
        f"for i in 1 2 3; do {PING} --data-length 32 bastion; done",
    ),
    "Connections to many ports from one source": (
        "nmap -sT -n -Pn -p 1-200 bastion",
        "nmap -sT -n -Pn -p 22,80,443 bastion",
    ),
    "SYN packets made by a scanner": ("nmap -sS -n -Pn -p 1-20 bastion", "nmap -sT -n -Pn -p 1-20 bastion"),
    "SYN packets made by a scanner, to one machine": (
        "sleep 11; nmap -sS -n -Pn -p 1-20 bastion",
        "nmap -sT -n -Pn -p 1-20 bastion",
    ),
    "Several services asked for on UDP": (
        "nmap -sU -n -Pn --max-retries 1 -p 69,123,161 bastion",
        "nmap -sU -n -Pn --max-retries 1 -p 53 bastion",
    ),
    "TCP packet with flags that exclude each other": (
        "nmap -n -Pn -p 22 --scanflags SYNFINPSHURG bastion",
        "nmap -sS -n -Pn -p 22 bastion",
    ),
    "TCP packet without flags": ("nmap -sN -n -Pn -p 22 bastion", "nmap -sS -n -Pn -p 22 bastion"),
    "Bare HTTP request, as a service scanner sends": (
        r"printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 1 shop 80",
        "curl -s --http1.0 http://shop/",
    ),
    "Nmap scripting engine": (
        "curl -s -A 'Mozilla/5.0 (compatible; Nmap Scripting Engine)' http://shop/",
        "curl -s -A 'Mozilla/5.0' http://shop/",
    ),
    "Nmap asks for a page that cannot exist": (
        "curl -s 'http://shop/nice%20ports%2C/Tri%6Eity.txt%2ebak'",
        "curl -s http://shop/nice%20ports",
    ),
    "Many SSH connections from one source": (
        f"for i in 1 2 3 4 5 6; do {NETCAT} & done; wait",
        f"for i in 1 2 3; do {NETCAT} & done; wait",
    ),
    "sqlmap": (
        "curl -s -A 'sqlmap/1.9 (https://sqlmap.org)' http://shop/",
        "curl -s -A 'about sqlmap' http://shop/",
    ),
    "UNION SELECT in a web address": (
        "curl -s 'http://shop/search?q=x%20union%20all%20select%201,2'",
        "curl -s 'http://shop/search?q=union+select+committee'",
    ),
    "SQL in a web form": (
        """curl -s -d "name=admin' -- &password=x" http://shop/login""",
        """curl -s -d "name=o'brien&password=x" http://shop/login""",
    ),
    "PHP code in what is uploaded": (
        """printf '<?php system($_GET["c"]);' | curl -s -F 'photo=@-;filename=x.php' http://shop/nothing""",
        "printf '<?php echo 1; ?> is how one writes it' | curl -s -F 'photo=@-' http://shop/nothing",
    ),
    "Program that looks for hidden paths": (
        "curl -s -A gobuster/3.6 http://shop/",
        "curl -s -A 'about gobuster' http://shop/",
    ),
    "Signed token without a signature": (
        "curl -s -H 'Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOjF9.' http://shop/api/me",
        "curl -s -H 'Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOjF9.c2ln' http://shop/api/me",
    ),
    "Flood of connections to one machine": (CONNECT.format(700), CONNECT.format(60)),
    "Flood of requests from one source": (ASK.format(400), ASK.format(40)),
    "Many requests whose headers do not end": (HALF.format(30), HALF.format(3)),
}
"""Title of a rule to a command that it is for, and one that looks alike."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, docker_engine: DockerEngine) -> Iterator[RunningLab]:
    place = tmp_path_factory.mktemp("sensor")
    (place / "inventories").mkdir()
    starter = SHIPPED.find("inventories", "starter").read_text(encoding="utf-8")
    (place / "inventories" / f"{LAB}.yml").write_text(starter, encoding="utf-8")
    try:
        command = [sys.executable, "-c", "from lab.cli.main import main; main()", "up", LAB]
        subprocess.run(command, cwd=place, capture_output=True, check=True, timeout=600)
        yield docker_engine.observe(LAB)
    finally:
        apply.remove(LAB, docker_engine)


def _node(running: RunningLab, name: str) -> SeenNode:
    node = running.node(name)
    assert node is not None
    return node


def _raised(engine: DockerEngine, running: RunningLab, title: str, address: str) -> int:
    """Count how often a rule has fired on the attacker's traffic."""
    log = engine.execute(_node(running, "sensor"), ("cat", "/var/log/suricata/eve.json"), user="root").stdout
    events = [json.loads(line) for line in log.splitlines() if b'"event_type":"alert"' in line]
    return sum(it["alert"]["signature"] == title and it["src_ip"] == address for it in events)


@pytest.mark.parametrize("title", RULES)
def test_a_rule_fires_on_what_it_is_for_and_not_on_its_like(
    title: str, running: RunningLab, docker_engine: DockerEngine
) -> None:
    attack, alike = RULES[title]
    attacker = _node(running, "attacker")
    address = attacker.addresses["outside"]
    before = _raised(docker_engine, running, title, address)
    docker_engine.execute(attacker, ("bash", "-c", alike), user="root")
    time.sleep(1)
    assert _raised(docker_engine, running, title, address) == before
    docker_engine.execute(attacker, ("bash", "-c", attack), user="root")
    for _ in range(50):
        if _raised(docker_engine, running, title, address) > before:
            break
        time.sleep(0.1)
    assert _raised(docker_engine, running, title, address) > before


def test_what_is_no_tls_is_told_on_its_port(running: RunningLab, docker_engine: DockerEngine) -> None:
    title = "No TLS on the port of TLS"
    attacker, bastion = _node(running, "attacker"), _node(running, "bastion")
    listen = partial(docker_engine.execute, bastion, ("timeout", "10", "nc", "-l", "-p", "443"), user="root")
    listener = threading.Thread(target=listen)  # what a command starts ends with it
    listener.start()
    said = "for _ in 1 2 3 4 5 6; do (echo hello; sleep 1) | nc -w 1 bastion 443 && break; sleep 0.5; done"
    docker_engine.execute(attacker, ("sh", "-c", said), user="root")
    listener.join()
    for _ in range(50):
        if _raised(docker_engine, running, title, attacker.addresses["outside"]):
            return
        time.sleep(0.1)
    raise AssertionError(title)


def test_every_rule_of_the_sensor_is_tried() -> None:
    text = (SHIPPED.roles()["suricata"] / "files" / "homerange.rules").read_text(encoding="utf-8")
    rules = [it for it in text.splitlines() if it.startswith("alert ") and "noalert;" not in it]
    titles = {it.partition('msg:"')[2].partition('"')[0] for it in rules}
    assert titles == {*RULES, "No TLS on the port of TLS"}
