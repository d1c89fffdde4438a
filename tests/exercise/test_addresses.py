"""However an address that is not of the lab is written or hidden, nothing is sent to it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.engine.memory import MemoryEngine
from lab.engine.nodes import SeenNode
from lab.errors import OutOfScope
from lab.exercise.checks.file import File
from lab.exercise.journal import Act, Journal
from lab.exercise.place import Place
from lab.exercise.scope import Scope
from lab.exercise.steps.command import Command
from lab.exercise.steps.nmap import Nmap
from lab.exercise.steps.ssh import Ssh
from tests.exercise.test_scope import ATTACKER, LAB, SCOPE
from tests.world import completed

FULLWIDTH = str.maketrans("0123456789.", "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff0e")
HEX = b"198.51.100.9".hex()
BASE64 = base64.b64encode(b"ping 198.51.100.9").decode()
URLSAFE = base64.urlsafe_b64encode(b"http://198.51.100.9/?>>?").decode()

WAYS = [
    *(
        "198.51.100.9",
        "198.51.100.9/32",
        "198.51.100.0/24",
        "198.51.100.9:80",
        "root@198.51.100.9",
        "(198.51.100.9)",
    ),
    *("3325256713", "0xc6336409", "0XC6336409", "030614662011", "0xC6.0x33.0x64.0x9", "0306.063.0144.011"),
    *("198.51.25609", "198.3368969", "0xc6.3368969", "198.0x336409"),
    *("0306.51.25609", "1.1", "8.8", "1.0.1"),
    *("198.51.100.1-9", "198.51.100.*", "198.51.*.9"),
    *("198.51.100,101.9", "198-199.51.100.9", "198.51.100.-"),
    *("198.51.100.9,10.213.3.67", "10.213.3.0-255", "10.213.3.67/8", "10.213.3.67,198.51.100.9"),
    *("http://198.51.100.9/", "http://3325256713/", "http://a:b@198.51.100.9:8080/x", "http://0xc6336409"),
    *("http://198.51.100.9.nip.io/", "198.51.100.9.nip.io", "198-51-100-9.nip.io", "http://evil.example/"),
    *(
        "HTTP://EVIL.EXAMPLE",
        "ftp://evil.example",
        "http://10.213.3.67@evil.example/",
        "http://bastion@198.51.100.9",
    ),
    *(
        "http://%31%39%38.51.100.9/",
        "%31%39%38%2e51.100.9",
        "%2531%2539%2538.51.100.9",
        "http://[::ffff:c633:6409]/",
    ),
    *(
        "::ffff:198.51.100.9",
        "::ffff:c633:6409",
        "2001:db8::1",
        "[2001:db8::1]:80",
        "64:ff9b::c633:6409",
        "fe80::1%eth0",
    ),
    *(
        "198.51.100.9".translate(FULLWIDTH),
        "198\u300251\u3002100\u30029",
        "198.51.\u200b100.9",
        "\u2460\u2468\u2467.51.100.9",
    ),
    *(
        "1'98'.51.100.9",
        '198."51".100.9',
        "198\\.51\\.100\\.9",
        "$'198.51.100.9'",
        "198.51.\\\n100.9",
        "198.51.$x.9",
    ),
    *(
        "\\x31\\x39\\x38.51.100.9",
        "\\061\\071\\070.51.100.9",
        "\\u0031\\u0039\\u0038.51.100.9",
        "198.51.100.$((4+5))",
    ),
    *(
        "-h198.51.100.9",
        "--host=198.51.100.9",
        "-H3325256713",
        "-e198.51.25609",
        "host=0xc6336409",
        "/dev/tcp/198.51.100.9/80",
    ),
    *(
        "/dev/tcp/3325256713/80",
        "/dev/tcp/1.1/53",
        "ping -c1 3325256713",
        "x;ping 198.51.100.9",
        "`ping 198.51.100.9`",
    ),
    *(HEX, BASE64, URLSAFE, f"echo {BASE64} | base64 -d | sh", "198.51.100.{9,10}", "a\n198.51.100.9"),
    *("9.001.15.891", "256.300.1.2", "x" * 131_072, "224.0.0.1", "169.254.169.254"),
]

FINE = [
    *(
        "10.213.3.67",
        "http://10.213.3.67/shop?id=1",
        "http://bastion:8080/",
        "181732163",
        "0x0ad50343",
        "10.213.835",
    ),
    *("10.213.3.64/26", "10.213.3.66-67", "127.0.0.1:8080", "::1", "0.0.0.0", "255.255.255.0", "localhost"),
    *("1-1024", "22,80,443", "--min-rate", "1000", "-T4", "0.5", "sleep 1.5", "timeout 2.5 id", "HTTP/1.1"),
    *(
        "Mozilla/5.0 (X11; rv:128.0) Gecko/20100101",
        "sqlmap/1.8.2",
        "12:30:45",
        "2026-11-23T22:00:00Z",
        "@1700000000",
    ),
    *(
        "python3.11",
        "libfoo.so.1.2",
        "/tmp/.cache-maria/flag",
        "id -u; uname -a > /tmp/x",
        "aa:bb:cc:dd:ee:ff",
    ),
    *("d41d8cd98f00b204e9800998ecf8427e", "SELECT * FROM users WHERE id = 1", "202601010000", "password1"),
]


@pytest.mark.parametrize("way", FINE)
def test_what_is_of_the_lab_or_no_address_is_passed(way: str) -> None:
    SCOPE.check_words([way])


@pytest.mark.parametrize("way", WAYS, ids=range(len(WAYS)))
def test_nothing_is_sent_elsewhere(way: str, tmp_path: Path) -> None:
    ran: list[tuple[str, ...]] = []
    engine = MemoryEngine()

    def answer(_node: SeenNode, argv: tuple[str, ...]) -> object:
        ran.append(argv)
        return completed(argv)

    engine.answer = answer  # type: ignore[assignment]  # what is recorded is never reached

    def place(act: Act) -> Place:
        return Place(
            shell=engine, running=LAB, node=ATTACKER, journal=Journal(tmp_path / "journal"), step="1",
            act=act, timeout=1, pause=lambda _seconds: None,
        )  # fmt: skip

    ssh = {"user": "maria", "password": "x"}
    acts: list[Callable[[], object]] = [
        lambda: Command(argv=("ping", way)).act(place("run")),
        lambda: Command(argv=("sh", "-c", f"exec ping -c 1 {way}")).act(place("run")),
        lambda: Command(argv=("id",), targets=(way,)).act(place("run")),
        lambda: Nmap(target=way).act(place("run")),
        lambda: Nmap(target="bastion", arguments=f"-n '{way}'").act(place("run")),
        lambda: Nmap(target="bastion", ports=f"22 {way}").act(place("run")),
        lambda: Ssh(target=way, command="id", **ssh).act(place("run")),
        lambda: Ssh(target="bastion", command=f"curl {way}", **ssh).act(place("run")),
        lambda: File(node="attacker", path=way).after(place("check"), 0),
        lambda: place("check").run(("cat", way)),
        lambda: place("revert").run(("sh", "-c", f"ping {way}")),
        lambda: place("revert").run(("sh", "-s"), stdin=f"ping {way}\n".encode()),
    ]
    for number, act in enumerate(acts):
        assert _refused(act), f"act {number} was accepted"
    assert ran == []
    assert len(WAYS) >= 60


def _refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except OutOfScope:
        return True
    return False


def test_a_word_of_a_megabyte_is_refused_at_once() -> None:
    for word in ("a" * 900_000, "1." * 60_000, "1-" * 60_000, "a:" * 60_000, "://" * 40_000, "%31" * 40_000):
        with pytest.raises(OutOfScope):
            Scope(LAB, ATTACKER).check_words([word + " 198.51.100.9"])


@pytest.mark.parametrize("text", ["for i in {1..254}; do :; done", "echo {1..9}", "seq 1..5"])
def test_counting_is_no_address(text: str) -> None:
    SCOPE.check_words([text])


@pytest.mark.parametrize(
    "text", ["ping 198.51.100.{1..9}", "echo {198,199}.51.100.9", "ping 198.{51..52}.100.9"]
)
def test_an_address_that_braces_build_is_refused(text: str) -> None:
    with pytest.raises(OutOfScope):
        SCOPE.check_words([text])
