"""Syslog lines at once: the head in SQL, and what sshd says most often, word by word.

A wording is a sentence with names where words differ. What it means is not said here: it is filled with
words that stand out, and whoever understands the program tells what becomes of them. So there is one meaning,
and reading many lines at once cannot differ from it. A name that holds blanks makes the words fit no wording:
such lines, like all that are rare, are read one by one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.moment import Moment
from lab.telemetry.event import FIELDS, Event, Quick
from lab.telemetry.sources.entry import Entry
from lab.telemetry.sources.spoken import CLOCK, IPV4, PORT, groups, quoted
from lab.telemetry.times import DAY

_CHECK: Final = "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost"

_MORE: Final = "PAM {count} more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost"

_SSHD: Final = (
    "Failed {method} for {user} from {ip} port {port} ssh2",
    "Failed {method} for invalid user {user} from {ip} port {port} ssh2",
    "Accepted {method} for {user} from {ip} port {port} ssh2",
    "Invalid user {user} from {ip}",
    "Invalid user {user} from {ip} port {port}",
    "input_userauth_request: invalid user {user}",
    "Connection closed by {ip}",
    "Connection closed by {ip} port {port}",
    "Connection closed by authenticating user {user} {ip} port {port}",
    "Connection closed by invalid user {user} {ip} port {port}",
    "Connection reset by {ip}",
    "Connection reset by {ip} port {port}",
    "Connection from {ip} port {port} on {to_ip} port {to_port}",
    "Disconnected from {ip}",
    "Disconnected from {ip} port {port}",
    "Disconnected from user {user} {ip} port {port}",
    "Disconnected from authenticating user {user} {ip} port {port}",
    "Disconnected from invalid user {user} {ip} port {port}",
    "Received disconnect from {ip}: 11: Bye Bye",
    "Received disconnect from {ip}: 11:",
    "Received disconnect from {ip}: 11: disconnected by user",
    "Received disconnect from {ip}: 11: Closed due to user request.",
    "error: Received disconnect from {ip}: 14: No more user authentication methods available.",
    "error: Received disconnect from {ip}: 3: com.jcraft.jsch.JSchException: Auth fail",
    "Received disconnect from {ip} port {port}:11: Bye Bye",
    "Received disconnect from {ip} port {port}:11:",
    "Received disconnect from {ip} port {port}:11: disconnected by user",
    "Did not receive identification string from {ip}",
    "Did not receive identification string from {ip} port {port}",
    "reverse mapping checking getaddrinfo for {any} [{ip}] failed - POSSIBLE BREAK-IN ATTEMPT!",
    "pam_unix(sshd:auth): check pass; user unknown",
    "PAM service(sshd) ignoring max retries; {any} > 3",
    f"{_MORE}={{ip}} ",
    f"{_MORE}={{ip}}",
    f"{_MORE}={{ip}}  user={{user}}",
    f"{_CHECK}={{ip}} ",
    f"{_CHECK}={{ip}}",
    f"{_CHECK}={{ip}}  user={{user}}",
    "pam_unix(sshd:session): session opened for user {user} by (uid=0)",
    "pam_unix(sshd:session): session closed for user {user}",
)
"""What sshd says most often, without ` [preauth]` at its end."""

_STANDS_OUT: Final[Mapping[str, str]] = {
    "method": "a-method",
    "user": "a-user",
    "ip": "192.0.2.1",
    "port": "40001",
    "to_ip": "192.0.2.2",
    "to_port": "40002",
    "count": "40003",
    "any": "any-text",
}
"""What a name is filled with, to see what becomes of it."""

_OF_HEAD: Final = frozenset({"@timestamp", "message", "process.name", "process.pid"})
_NAMED: Final = re.compile(r"\{(\w+)\}")
_WORD: Final = r"[^\s\v()\[\]]+"
_SHAPES: Final = {"port": PORT, "to_port": PORT, "count": r"\d{1,9}"}
_HOST: Final = r"[^\s\v:]+"
_TAG: Final = r"[^\s\v:\[(/]{1,128}"
_STAMP: Final = (
    rf"[A-Z][a-z]{{2}} (?: [1-9]|[123]\d) {CLOCK}"
    rf"|(?:19[7-9]\d|20\d\d)-\d\d-\d\dT{CLOCK}(?:\.\d{{1,9}})?(?:Z|[+-](?:0\d|1[0-3]):[0-5]\d)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wording:
    """A wording, as SQL, and what it means."""

    key: str
    """Its first word, and how many it has."""

    fits: str
    """The condition that words with this key fit it."""

    values: Mapping[str, str]
    """Field to the SQL of its value, where that is a word."""

    same: Event
    """The fields that every line of this wording has."""


def quick_syslog(understood: Callable[[Entry], Event], known: Sequence[str], sshd: Sequence[str]) -> Quick:
    """Make the reader of many syslog lines.

    Args:
        understood: Tells what an entry means.
        known: The programs that somebody understands; lines of others mean no more than they say.
        sshd: The names of sshd among them.
    """
    wordings = [_wording(text, understood) for text in _SSHD]
    plain = understood(Entry(at=Moment(0), host="", program="", message=""))
    names = [name for name in FIELDS if any(name in it.values for it in wordings)]
    begun: dict[str, list[str]] = defaultdict(list)
    for place, it in enumerate(wordings, 1):
        begun[it.key].append(f"WHEN {it.fits} THEN {place}")
    cases = " ".join(f"WHEN {quoted(key)} THEN CASE {' '.join(whens)} END" for key, whens in begun.items())
    checked = " AND ".join(
        f"(wording = 0 OR {value} IS NULL OR regexp_full_match({value}, '{IPV4}'))"
        for name in ("source.ip", "destination.ip")
        for value in (_chosen(wordings, name),)
    )
    return Quick(
        parts=(
            {
                "head": groups(
                    "line",
                    rf"^({_STAMP}) ({_HOST}) ({_TAG})(?:\[(\d{{1,9}})\])?: ",
                    "stamp",
                    "host",
                    "tag",
                    "pid",
                )
            },
            {"message": "substr(line, instr(line, ': ') + 2)", "moment": _moment("head.stamp")},
            {
                "said": "string_split(CASE WHEN suffix(message, ' [preauth]') THEN left(message, -10) "
                "ELSE message END, ' ')",
                "ours": f"head.tag IN ({', '.join(map(quoted, sshd))})",
                "others": f"head.tag NOT IN ({', '.join(map(quoted, known))}) "
                "AND NOT starts_with(message, 'pam_') AND NOT starts_with(message, 'message repeated ')",
            },
            {"key": "said[1] || len(said)"},
            {"wording": f"CASE WHEN others THEN 0 WHEN ours THEN CASE key {cases} END END"},
        ),
        takes=f"head.tag <> '' AND moment IS NOT NULL AND wording IS NOT NULL AND {checked} "
        r"AND NOT suffix(line, chr(13))",
        fields={
            "@timestamp": "moment",
            "log.syslog.hostname": "head.host",
            "process.name": "head.tag",
            "process.pid": "try_cast(head.pid AS BIGINT)",
            "message": "message",
            **{name: _chosen(wordings, name) for name in names},
        },
        sort="wording",
        sorts=(_without_head(plain), *(it.same for it in wordings)),
    )


def _moment(stamp: str) -> str:
    """Read a time with a zone, or one without zone and year: of the last year that is not in the future."""
    fraction = f"rpad(regexp_extract({stamp}, '\\.(\\d+)', 1), 9, '0')::BIGINT"
    zoned = f"epoch_ns(try_cast(regexp_replace({stamp}, '\\.\\d+', '') AS TIMESTAMPTZ)) + {fraction}"
    this, last = (
        f"epoch_ns(try_strptime(({year})::VARCHAR || ' ' || {stamp}, '%Y %b %d %H:%M:%S'))"
        for year in ("getvariable('year')", "getvariable('year') - 1")
    )
    yearless = f"CASE WHEN {this} <= getvariable('collected') + {DAY} THEN {this} ELSE {last} END"
    return f"CASE WHEN {stamp}[5] = '-' THEN {zoned} WHEN {stamp} <> '' THEN {yearless} END"


def _chosen(wordings: Sequence[_Wording], name: str) -> str:
    """Choose a field's value by the wording."""
    places: dict[str, list[str]] = defaultdict(list)
    for place, it in enumerate(wordings, 1):
        if name in it.values:
            places[it.values[name]].append(str(place))
    whens = (f"WHEN wording IN ({', '.join(them)}) THEN {value}" for value, them in places.items())
    return f"CASE {' '.join(whens)} END"


def _wording(text: str, understood: Callable[[Entry], Event]) -> _Wording:
    filled = _NAMED.sub(lambda match: _STANDS_OUT[match[1]], text)
    meant = _without_head(understood(Entry(at=Moment(0), host="", program="sshd", message=filled)))
    words = {_STANDS_OUT[name]: sql for name, sql in _places(text).items()}
    return _Wording(
        key=f"{text.partition(' ')[0]}{text.count(' ') + 1}",
        fits=_fits(text),
        values={name: words[str(value)] for name, value in meant.items() if str(value) in words},
        same={name: value for name, value in meant.items() if str(value) not in words},
    )


def _without_head(event: Event) -> Event:
    return {name: value for name, value in event.items() if name not in _OF_HEAD}


def _places(text: str) -> dict[str, str]:
    """Return the SQL of each named word."""
    found = {}
    for place, word in enumerate(text.split(" "), 1):
        if match := _NAMED.search(word):
            before, after = len(word[: match.start()]), len(word[match.end() :])
            found[match[1]] = (
                f"said[{place}][{before + 1}:-{after + 1}]" if before or after else f"said[{place}]"
            )
    return found


def _fits(text: str) -> str:
    """Return the condition that the words of a message are those of a wording."""
    conditions = []
    for place, word in enumerate(text.split(" ")[1:], 2):
        match = _NAMED.search(word)
        if match is None:
            conditions.append(f"said[{place}] = {quoted(word)}")
            continue
        before, after = word[: match.start()], word[match.end() :]
        pattern = f"{re.escape(before)}{_SHAPES.get(match[1], _WORD)}{re.escape(after)}"
        conditions.append(f"regexp_full_match(said[{place}], {quoted(pattern)})")
    return "(" + " AND ".join(conditions) + ")"
