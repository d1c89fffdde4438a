"""A program that a web application starts says for which visitor."""

from __future__ import annotations

from lab.moment import Moment
from lab.telemetry.event import Line
from lab.telemetry.sources.snoopy import Snoopy

HEAD = (
    "exec 1795472627.268402 pid=616 ppid=610 sid=610 uid=33 euid=33 user=www-data tty=(none) ssh=(undefined)"
)
TAIL = " cwd=/srv //exe=/usr/bin/id //cmd=id"


def parsed(middle: str) -> dict[str, object]:
    line = Line(text=HEAD + middle + TAIL, host="shop", path="/var/log/exec.log", number=1, created=Moment(0))
    return dict(Snoopy().parse(line) or {})


def test_the_visitor_is_the_source() -> None:
    found = parsed(" web=10.1.0.5:40312")
    assert (found["source.ip"], found["source.port"]) == ("10.1.0.5", 40312)


def test_without_one_there_is_no_source() -> None:
    for middle in ("", " web=(undefined):(undefined)", " web=:"):
        found = parsed(middle)
        assert "source.ip" not in found
        assert found["process.name"] == "id"
