"""What is done in a log-in session says who logged in, from where and since when."""

from __future__ import annotations

from typing import Final

from lab.detect.alert import entities_of
from lab.moment import Moment
from lab.telemetry.event import Event, Line
from lab.telemetry.events import Events
from lab.telemetry.lines import Lines
from lab.telemetry.reader import Reader
from lab.telemetry.sessions import Sessions
from lab.telemetry.sources import source_named

AT: Final = "2026-11-23T22:00:{:02d}.000001+00:00 bastion "
ENTITY: Final = "process.entry_leader.entity_id"
USER: Final = "process.entry_leader.user.name"
SOURCE: Final = "process.entry_leader.entry_meta.source.ip"


def read(kind: str, *texts: str, host: str = "bastion") -> Events:
    lines = [
        Line(text=text, host=host, path=f"/{kind}", number=number, created=Moment(0))
        for number, text in enumerate(texts, 1)
    ]
    reader = Reader(source_named(kind))
    return Events.all_of([reader.read(Lines.of(lines, "f")).events, reader.rest()])


def auth(*said: str) -> Events:
    return read("sshd", *(AT.format(second) + text for second, text in enumerate(said)))


def started(pid: int, parent: int, line: str, *, ssh: str = "(undefined)", second: int = 5) -> str:
    moment = int(Moment.parse("2026-11-23T22:00:00Z")) // 10**9 + second
    return (
        f"exec {moment}.5 pid={pid} ppid={parent} sid={parent} uid=1000 euid=1000 user=maria tty=/dev/pts/0"
        f" ssh={ssh} cwd=/home //exe=/usr/bin/{line.split(maxsplit=1)[0]} //cmd={line}"
    )


ACCEPTED: Final = "sshd-session[33]: Accepted password for maria from 10.0.0.9 port 40022 ssh2"
SSH: Final = "10.0.0.9 40022 10.0.0.2 22"


def joined(*batches: Events) -> list[Event]:
    sessions = Sessions()
    return [event for batch in batches for event in sessions.join(batch)]


def test_a_command_is_of_the_log_in_it_came_from() -> None:
    login, command = joined(auth(ACCEPTED), read("snoopy", started(60, 50, "id", ssh=SSH)))
    assert login[ENTITY] == command[ENTITY]
    assert (command[USER], command[SOURCE]) == ("maria", "10.0.0.9")
    assert command["process.entry_leader.start"] == login["@timestamp"]
    assert command["process.entry_leader.entry_meta.type"] == "sshd"


def test_what_a_process_of_a_session_starts_is_of_it_too() -> None:
    *_, shell, child = joined(
        auth(ACCEPTED),
        read("snoopy", started(60, 50, "bash", ssh=SSH)),
        read("snoopy", started(61, 60, "id"), started(62, 61, "cat /etc/shadow")),
    )
    assert shell[ENTITY] == child[ENTITY]
    assert child[SOURCE] == "10.0.0.9"


def test_an_alert_on_a_command_names_the_address_behind_it() -> None:
    *_, child = joined(
        auth(ACCEPTED), read("snoopy", started(60, 50, "bash", ssh=SSH), started(61, 60, "id"))
    )
    assert "source.ip" not in child
    assert entities_of([child])["source.ip"] == ("10.0.0.9",)


def test_sudo_is_of_the_only_session_of_its_user() -> None:
    sudo = "sudo: maria : TTY=pts/0 ; PWD=/home/maria ; USER=root ; COMMAND=/usr/bin/id"
    *_, found = joined(auth(ACCEPTED, sudo))
    assert found[SOURCE] == "10.0.0.9"
    other = "sshd-session[34]: Accepted password for maria from 10.0.0.8 port 40023 ssh2"
    *_, unclear = joined(auth(ACCEPTED, other, sudo))
    assert ENTITY not in unclear


def test_after_its_end_nothing_belongs_to_a_session() -> None:
    closed = "sshd-session[33]: pam_unix(sshd:session): session closed for user maria"
    login, end, later = joined(auth(ACCEPTED, closed), read("snoopy", started(40, 33, "id", second=30)))
    assert login[ENTITY] == end[ENTITY]
    assert ENTITY not in later


def test_hosts_are_kept_apart() -> None:
    _, other = joined(auth(ACCEPTED), read("snoopy", started(34, 33, "id"), host="shop"))
    assert ENTITY not in other


def test_audit_records_are_of_the_session_they_number() -> None:
    found = joined(
        read(
            "auditd",
            "type=USER_LOGIN msg=audit(1795471200.000:459): pid=720 uid=0 auid=1000 ses=4 msg='op=login"
            ' acct="maria" exe="/usr/sbin/sshd" hostname=10.0.0.9 addr=10.0.0.9 terminal=ssh res=success\'',
            "type=SYSCALL msg=audit(1795471201.000:460): arch=c000003e syscall=257 success=yes exit=3 ppid=1"
            ' pid=800 auid=1000 uid=1000 euid=1000 ses=4 comm="cat" exe="/usr/bin/cat"',
            'type=PATH msg=audit(1795471201.000:460): item=0 name="/etc/shadow" nametype=NORMAL',
            'type=PROCTITLE msg=audit(1795471201.000:460): proctitle="cat"',
        )
    )
    assert [it[SOURCE] for it in found] == ["10.0.0.9", "10.0.0.9"]
    assert found[1]["file.path"] == "/etc/shadow"


def test_a_flood_of_failures_is_passed_by() -> None:
    failed = [f"sshd[1]: Failed password for root from 10.0.0.{it % 250} port 5 ssh2" for it in range(59)]
    events = auth(*failed)
    assert Sessions().join(events) is events
