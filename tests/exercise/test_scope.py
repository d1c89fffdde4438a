"""Nothing but an address of this lab is ever aimed at."""

from __future__ import annotations

import pytest

from lab.engine.nodes import RunningLab, SeenNetwork, SeenNode
from lab.errors import OutOfScope
from lab.exercise.scope import Scope
from lab.moment import Moment


def _node(name: str, **addresses: str) -> SeenNode:
    return SeenNode(
        lab="lab",
        name=name,
        kind="sshd",
        id=name,
        state="running",
        image="",
        definition="",
        created=Moment(0),
        addresses=addresses,
    )


ATTACKER = _node("attacker", outside="10.213.3.66")
LAB = RunningLab(
    name="lab",
    networks=(
        SeenNetwork(lab="lab", name="outside", id="1", bridge="b1", subnet="10.213.3.64/26", definition=""),
        SeenNetwork(lab="lab", name="inside", id="2", bridge="b2", subnet="10.213.29.128/26", definition=""),
    ),
    nodes=(
        ATTACKER,
        _node("bastion", inside="10.213.29.131", outside="10.213.3.67"),
        _node("desk", inside="10.213.29.130"),
        _node("sensor"),
    ),
)
SCOPE = Scope(LAB, ATTACKER)

OUTSIDE = [
    *(
        "example.invalid",
        "localhost",
        "host.docker.internal",
        "bastion.example.invalid",
        "bastion.",
        "Bastion",
        " bastion",
    ),
    *(
        "",
        " ",
        "bastion desk",
        "bastion,8.8.8.8",
        "bastion;id",
        "bastion\n8.8.8.8",
        "$(id)",
        "-iL",
        "*",
        "bastion:22",
    ),
    *("8.8.8.8", "127.0.0.1", "0.0.0.0", "255.255.255.255", "169.254.169.254", "172.17.0.1", "192.168.1.1"),
    *("10.213.3.65", "10.213.3.68", "10.213.3.127", "10.213.29.130", "10.213.29.131"),
    *(
        "0x0ad50343",
        "181732163",
        "012.0325.03.0103",
        "10.213.835",
        "10.213.3.067",
        "\uff11\uff10.213.3.67",
        "10.213.3.67%eth0",
    ),
    *("::1", "::ffff:10.213.3.67", "::ffff:8.8.8.8", "fe80::1", "[::1]", "2001:db8::1", "64:ff9b::808:808"),
    *(
        "10.213.3.0/24",
        "10.213.0.0/16",
        "0.0.0.0/0",
        "10.213.3.64/25",
        "10.213.29.128/26",
        "10.213.3.67/24",
        "::/0",
    ),
    *(
        "10.213.3.64/-1",
        "10.213.3.64/33",
        "10.213.3.64/",
        "/26",
        "10.213.3.64-70",
        "10.213.3.*",
        "10.213.3.64/26/26",
    ),
    *("http://bastion/", "http://8.8.8.8/", "//8.8.8.8", "user@bastion", "desk", "sensor", "inside/26"),
]

WORDS = [
    *(
        "http://8.8.8.8/",
        "http://bastion@8.8.8.8/",
        "http://example.invalid/",
        "https://[2001:db8::1]/",
        "--proxy=http://8.8.8.8:1",
    ),
    *(
        "ssh://8.8.8.8",
        "ftp://192.0.2.1/x",
        "HTTP://8.8.8.8",
        "http://0x08080808/",
        "http://134744072/",
        "http://desk/",
    ),
    *(
        "8.8.8.8",
        "root@8.8.8.8",
        "--host=8.8.8.8",
        "8.8.8.8:80",
        "a,8.8.8.8,b",
        "8.8.8.0/24",
        "2001:db8::1",
        "::ffff:8.8.8.8",
    ),
    *(
        "curl http://8.8.8.8",
        "-oProxyJump=x@8.8.8.8",
        "10.213.3.0/24",
        "10.213.29.130",
        "http://[::ffff:8.8.8.8]/",
        "999.8.8.8",
    ),
]


@pytest.mark.parametrize("target", OUTSIDE)
def test_a_target_outside_is_refused(target: str) -> None:
    with pytest.raises(OutOfScope):
        SCOPE.resolve(target)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_that_names_the_outside_is_refused(word: str) -> None:
    with pytest.raises(OutOfScope):
        SCOPE.check_words(["tool", word])


@pytest.mark.parametrize(
    ("target", "address", "nodes"),
    [
        ("bastion", "10.213.3.67", ["bastion"]),
        ("10.213.3.67", "10.213.3.67", ["bastion"]),
        ("attacker", "10.213.3.66", ["attacker"]),
        ("outside", "10.213.3.64/26", ["attacker", "bastion"]),
        ("10.213.3.64/30", "10.213.3.64/30", ["attacker", "bastion"]),
    ],
)
def test_what_is_of_the_lab_is_allowed(target: str, address: str, nodes: list[str]) -> None:
    found = SCOPE.resolve(target)
    assert (found.address, [node.name for node in found.nodes]) == (address, nodes)


@pytest.mark.parametrize(
    "word",
    [
        "-sS",
        "1-1024",
        "ssh://10.213.3.67",
        "http://bastion/search?q=1",
        "127.0.0.1",
        "OpenSSH_10.0p2",
        "v1.2.3",
        "12:30:05",
    ],
)
def test_a_harmless_word_passes(word: str) -> None:
    SCOPE.check_words([word])
