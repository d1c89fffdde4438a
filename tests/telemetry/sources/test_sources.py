"""Every source: real lines in, ECS out; and nothing an attacker writes breaks one."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import NotFound
from lab.moment import Moment
from lab.telemetry.event import FIELDS, Event, Line, Source, Unparsed
from lab.telemetry.lines import Lines
from lab.telemetry.reader import AtOnce, Reader
from lab.telemetry.sources import MODULES, SOURCES, snoopy, source_named
from tests.support import SAMPLES, Case, by_name, cases

COLLECTED = Moment.parse("2026-11-23T23:00:00Z")
CASES = cases("telemetry")
LOGHUB = {"openssh": "sshd", "linux": "sshd", "apache_error": "apache_error"}


def line(text: str, number: int = 1) -> Line:
    return Line(text=text, host="node", path="/log", number=number, created=COLLECTED)


def shown(event: Event) -> dict[str, object]:
    """Write an event as the cases do: times as text, tuples as lists."""
    return {field: _shown(value) for field, value in event.items()}


def _shown(value: object) -> object:
    if isinstance(value, Moment):
        return value.iso()
    return list(value) if isinstance(value, tuple) else value


def outcome(source: Source, text: str, number: int) -> dict[str, object] | None:
    try:
        event = source.parse(line(text, number))
    except Unparsed as error:
        return {"unparsed": str(error)}
    return None if event is None else shown(event)


def sample_lines(name: str) -> list[str]:
    return (SAMPLES / "loghub" / f"{name}.log").read_text("utf-8").splitlines()


def samples_of(kind: str) -> list[str]:
    """Return the lines that the cases and samples have of a source."""
    own = [text for case in CASES if case.raw["source"] == kind for text in case.raw["lines"]]
    return own + [text for name, source in LOGHUB.items() if source == kind for text in sample_lines(name)]


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_a_line_becomes_the_expected_event(case: Case) -> None:
    source = source_named(case.raw["source"])
    found = [outcome(source, text, number) for number, text in enumerate(case.raw["lines"], 1)]
    assert found == case.raw["expected"]
    assert [shown(event) for event in source.rest()] == case.raw.get("rest", [])


@pytest.mark.parametrize("kind", SOURCES)
def test_each_source_has_cases_that_parse_and_that_do_not(kind: str) -> None:
    found = [outcome(source_named(kind), text, 1) for text in samples_of(kind)]
    assert sum(1 for one in found if one and "unparsed" not in one) > 1
    assert kind in {"apache_error", "sshd"} or any(one and "unparsed" in one for one in found)


@pytest.mark.parametrize(("name", "kind"), LOGHUB.items())
def test_real_logs_parse_to_the_last_line(name: str, kind: str) -> None:
    source = source_named(kind)
    events = [source.parse(line(text, number)) for number, text in enumerate(sample_lines(name), 1)]
    assert all(event is not None and int(str(event["@timestamp"])) <= COLLECTED for event in events)


def test_failures_of_a_real_log_agree_with_the_text() -> None:
    lines = sample_lines("openssh")
    source = source_named("sshd")
    events = [source.parse(line(text)) or {} for text in lines]
    failed = [event for event in events if event.get("event.action") == "ssh_login"]
    assert len(failed) == sum("Failed password" in text or "Failed none" in text for text in lines) > 0
    assert all("source.ip" in event and "user.name" in event for event in failed)


def test_an_unknown_source_names_the_known_ones() -> None:
    with pytest.raises(NotFound, match="there is: apache, apache_error, auditd, dnsmasq, ecs, journal"):
        source_named("diary")


def check(kind: str, texts: list[str]) -> None:
    """Parse lines; whatever parses must be whole, within the schema and fit into the store."""
    source = source_named(kind)
    for number, text in enumerate(texts, 1):
        with suppress(Unparsed):
            found = source.parse(line(text, number))
            if found is None:
                continue
            assert {"@timestamp", "event.dataset"} <= found.keys() <= FIELDS.keys()
            assert "" not in found.values()
            assert () not in found.values()


def read(kind: str, texts: list[str], *, at_once_from: int) -> list[Event]:
    """Read lines to whole events."""
    if not texts:
        return []
    source = source_named(kind)
    at_once, reader = AtOnce(source, worthwhile=at_once_from), Reader(source)
    lines = Lines.of([line(text, number) for number, text in enumerate(texts, 1)], "a-file")
    (quick,) = at_once.read([lines])
    found = [*reader.read(lines, quick).events, *reader.rest()]
    at_once.close()
    return found


@pytest.mark.parametrize("kind", [kind for kind in SOURCES if SOURCES[kind].quick])
def test_reading_lines_at_once_gives_what_reading_them_one_by_one_does(kind: str) -> None:
    texts = samples_of(kind)
    assert read(kind, texts, at_once_from=1) == read(kind, texts, at_once_from=1_000_000)


@pytest.mark.parametrize("kind", ["apache", "syslog"])
@given(picks=st.data())
@settings(max_examples=15, deadline=None)
def test_damaged_lines_read_at_once_are_those_read_one_by_one(kind: str, picks: st.DataObject) -> None:
    texts = picks.draw(st.lists(damaged(samples_of(kind)), min_size=20, max_size=40))
    assert read(kind, texts, at_once_from=1) == read(kind, texts, at_once_from=1_000_000)


def test_a_connection_through_a_proxy_names_no_path_however_it_is_read() -> None:
    texts = [
        f'10.0.0.2 - - [23/Nov/2026:22:00:00 +0000] "CONNECT {it} HTTP/1.1" 405 5' for it in ("/3", "a:443")
    ]
    for event in (*read("apache", texts, at_once_from=1), *read("apache", texts, at_once_from=1_000_000)):
        assert "url.path" not in event


@pytest.mark.parametrize("kind", ["apache", "syslog"])
def test_an_event_is_of_its_line_however_many_there_are(kind: str) -> None:
    forms = {
        "apache": '10.0.0.5 - - [23/Nov/2026:22:00:00 +0000] "GET /page-{} HTTP/1.1" 200 5',
        "syslog": "Dec 10 06:55:46 LabSZ app[7]: said {} times",
    }
    events = read(kind, [forms[kind].format(number) for number in range(60_000)], at_once_from=1)
    assert len(events) == 60_000
    said = [str(it["message"]) for it in events]
    assert all(f"page-{at} " in it or f"said {at} " in it for at, it in enumerate(said))


def test_every_module_an_event_names_is_listed() -> None:
    named = {
        str(event["event.module"])
        for case in CASES
        for event in case.raw["expected"]
        if event and "event.module" in event
    }
    assert named <= set(MODULES)


@pytest.mark.parametrize("kind", SOURCES)
@given(texts=st.lists(st.text(max_size=300), max_size=5))
@settings(max_examples=100, deadline=None)
def test_any_text_parses_or_says_why_not(kind: str, texts: list[str]) -> None:
    check(kind, texts)


@pytest.mark.parametrize("kind", SOURCES)
@given(picks=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_line_parses_or_says_why_not(kind: str, picks: st.DataObject) -> None:
    texts = picks.draw(st.lists(damaged(samples_of(kind)), min_size=1, max_size=4))
    check(kind, texts)


def damaged(samples: list[str]) -> st.SearchStrategy[str]:
    """Replace a piece of a real line by something else: text, digits, or a piece of another line."""
    something = st.one_of(
        st.text(max_size=20),
        st.text("0123456789", max_size=30),
        st.sampled_from(
            ["\0", "\r", "\n", "\\", '"', " from 1.2.3.4 port 99999999 ssh2", " //exe=", "[", "-"]
        ),
        st.sampled_from(samples),
    )
    cut = st.floats(0, 1)
    return st.builds(_spliced, st.sampled_from(samples), cut, cut, something)


def _spliced(text: str, start: float, end: float, piece: str) -> str:
    first, last = sorted((int(start * len(text)), int(end * len(text))))
    return text[:first] + piece + text[last:]


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize(
    "filler",
    ["a", "a=", "a-", "=", "'", "(", "{", " a", '"', "\\", "a from ", "user=", ":", "1", "[", " //exe="],
)
def test_a_very_long_line_takes_no_longer_than_its_length(kind: str, filler: str) -> None:
    """A pattern that tries every split twice would not return from this."""
    head = samples_of(kind)[0][:60]
    check(kind, [head + filler * (100_000 // len(filler))])


@given(name=st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=100))
def test_no_user_name_forges_an_address(name: str) -> None:
    said = f"Failed password for invalid user {name} from 10.0.0.9 port 5555 ssh2"
    event = source_named("sshd").parse(line(f"2026-11-23T22:00:00+00:00 bastion sshd-session[1]: {said}"))
    assert event is not None
    assert (event["source.ip"], event["source.port"], event["user.name"]) == ("10.0.0.9", 5555, name)


def test_snoopy_forgets_the_oldest_process_first() -> None:
    source = source_named("snoopy")
    record = (
        "exec 1795471200.1 pid={} ppid={} sid=1 uid=0 euid=0 user=root tty=(none)"
        " cwd=/ //exe=/bin/p{} //cmd=p"
    )
    for pid in range(10, 10 + 4096 + 1):
        source.parse(line(record.format(pid, 1, pid)))
    of_oldest = source.parse(line(record.format(9000, 10, 9000))) or {}
    of_newest = source.parse(line(record.format(9001, 4106, 9001))) or {}
    assert "process.parent.name" not in of_oldest
    assert of_newest["process.parent.name"] == "p4106"


def test_a_file_of_line_feeds_does_not_grow() -> None:
    source = source_named("snoopy")
    begin = (
        "exec 1795471200.268402 pid=616 ppid=610 sid=610 uid=0 euid=0 user=root tty=(none) cwd=/"
        " //exe=/usr/bin/bash //cmd="
    )
    texts = [f"{begin}{'a' * 100_000}", *(f"{number:06d}{'b' * 1000}" for number in range(200)), "the end"]
    found = [source.parse(line(text, number)) for number, text in enumerate(texts, 1)]
    last = str(found[-1] and found[-1]["process.command_line"])
    assert last.startswith("aaa")
    assert last.endswith("\nthe end")
    assert max(len(str(it and it["process.command_line"])) for it in found[1:]) <= snoopy.LONGEST
    child = source.parse(line(begin.replace("ppid=610", "ppid=616") + "id", 999))
    assert child is not None
    assert len(str(child["process.parent.command_line"])) <= snoopy.LONGEST_OF_PARENT
    assert str(child["process.parent.command_line"]).endswith("\nthe end")
