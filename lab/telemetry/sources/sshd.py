"""OpenSSH, PAM and whatever else writes to auth.log.

A user name is chosen by whoever connects and may hold blanks, `from 1.2.3.4 port 22 ssh2` and
control characters (sshd writes those as octal escapes). sshd puts the address behind the name, so
each pattern takes the name as long as it can be and the address from the right end. Where sshd puts
text of the client behind the address as well (the identity of a certificate, the user name after a
change of user), a line may read in two ways: then neither name nor address is believed.

The sentences are those of OpenSSH 5 to 10, Linux-PAM 1.0 to 1.7. A sentence not listed here is still
an event, with its message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from lab.telemetry.event import Event, Line, Source
from lab.telemetry.sources.reading import put_peer
from lab.telemetry.sources.syslog import Entry, event_of, read_entry

PROGRAMS: Final = frozenset({"sshd", "sshd-session", "sshd-auth"})
"""The names OpenSSH's server logs under; the latter two since 9.8 and 10.0."""

UNCLEAR: Final = "reads in two ways: user name and address are left out, since one may be forged"
"""`event.reason` of a line whose parts a client could have arranged."""

_REPEATED: Final = re.compile(r"message repeated (\d{1,9}) times: \[ (.*)\]", re.DOTALL)

_PEER: Final = r"(?P<ip>\S+) port (?P<port>\d{1,5})"
_USER: Final = r"(?:(?:authenticating |(?P<invalid>invalid) )?user (?P<user>.*) )?"
_ACCOUNT: Final = r"(?:(?P<invalid>invalid) user )?(?P<user>.*)"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sentence:
    """Something sshd or PAM says, and what it means."""

    pattern: re.Pattern[str]
    """Matches the whole message; its named groups become fields."""

    meaning: Event
    """The fields that every such message has."""

    twice: re.Pattern[str] | None = None
    """When this is found more than once, the message reads in two ways."""


def _sentence(pattern: str, action: str, kinds: str, outcome: str = "", twice: str = "") -> _Sentence:
    category, _, types = kinds.partition(":")
    meaning: Event = {"event.action": action, "event.category": (category,)}
    meaning["event.type"] = tuple(types.split(","))
    if outcome:
        meaning["event.outcome"] = outcome
    return _Sentence(
        pattern=re.compile(pattern, re.ASCII | re.DOTALL),
        meaning=meaning,
        twice=re.compile(twice, re.ASCII) if twice else None,
    )


_LOGIN_END: Final = r" from \S+ port \d{1,5} ssh2"
_LEAVE_END: Final = r" \S+ port \d{1,5}: "
_LOGIN: Final = rf"(?P<method>\S+) for {_ACCOUNT} from {_PEER}(?: ssh2)?"
_KEY_LOGIN: Final = rf"(?P<method>publickey|hostbased) for {_ACCOUNT} from {_PEER} ssh2: .*"
_CHECK: Final = (
    r"authentication failures?; logname=\S* uid=\d+ euid=\d+ tty=\S* ruser=.*? rhost=(?P<ip>\S*)"
    r"(?: +user=(?P<user>.*))? *"
)
_MODULE: Final = r"(?:pam_\w+\([^)\s]*\): )?"

_SENTENCES: Final[dict[str, tuple[_Sentence, ...]]] = {
    "Accepted": (
        _sentence(rf"Accepted {_KEY_LOGIN}", "ssh_login", "authentication:start", "success", _LOGIN_END),
        _sentence(rf"Accepted {_LOGIN}", "ssh_login", "authentication:start", "success"),
    ),
    "Failed": (
        _sentence(rf"Failed {_KEY_LOGIN}", "ssh_login", "authentication:start", "failure", _LOGIN_END),
        _sentence(rf"Failed {_LOGIN}", "ssh_login", "authentication:start", "failure"),
    ),
    "Invalid": (
        _sentence(
            r"(?P<invalid>Invalid) user (?P<user>.*) from (?P<ip>\S+)(?: port (?P<port>\d{1,5}))?",
            "ssh_invalid_user",
            "authentication:info",
            "failure",
        ),
    ),
    "input_userauth_request:": (
        _sentence(
            r"input_userauth_request: (?P<invalid>invalid) user (?P<user>.*)",
            "ssh_invalid_user",
            "authentication:info",
            "failure",
        ),
    ),
    "User": (
        _sentence(
            r"User (?P<user>.*) from (?P<ip>\S+) not allowed because (?P<reason>.*)",
            "ssh_user_refused",
            "authentication:denied",
            "failure",
        ),
    ),
    "maximum": (
        _sentence(
            rf"maximum authentication attempts exceeded for {_ACCOUNT} from {_PEER} ssh2",
            "ssh_too_many_attempts",
            "authentication:denied",
            "failure",
        ),
    ),
    "Connection": (
        _sentence(
            rf"Connection from {_PEER} on (?P<to_ip>\S+) port (?P<to_port>\d{{1,5}})(?: rdomain .*)?",
            "ssh_connection",
            "network:connection,start",
        ),
        _sentence(
            rf"Connection (?:closed|reset) by {_USER}{_PEER}", "ssh_disconnect", "network:connection,end"
        ),
        _sentence(r"Connection (?:closed|reset) by (?P<ip>\S+)", "ssh_disconnect", "network:connection,end"),
    ),
    "Disconnected": (
        _sentence(rf"Disconnected from {_USER}{_PEER}", "ssh_disconnect", "network:connection,end"),
        _sentence(r"Disconnected from (?P<ip>\S+)", "ssh_disconnect", "network:connection,end"),
    ),
    "Disconnecting": (
        _sentence(
            rf"Disconnecting {_USER}{_PEER}: (?P<reason>.*)",
            "ssh_disconnect",
            "network:connection,end",
            twice=_LEAVE_END,
        ),
    ),
    "Disconnecting:": (
        _sentence(r"Disconnecting: (?P<reason>.*)", "ssh_disconnect", "network:connection,end"),
    ),
    "Received": (
        _sentence(
            r"Received disconnect from (?P<ip>\S+)(?: port (?P<port>\d{1,5}):|: )\d+: (?P<reason>.*)",
            "ssh_disconnect",
            "network:connection,end",
        ),
    ),
    "Timeout": (
        _sentence(
            rf"Timeout before authentication for (?:connection from )?{_PEER}.*",
            "ssh_timeout",
            "network:connection,end",
        ),
        _sentence(
            r"Timeout before authentication for connection from (?P<ip>\S+) to .*",
            "ssh_timeout",
            "network:connection,end",
        ),
    ),
    "Bad": (
        _sentence(
            rf"Bad protocol version identification .* from {_PEER}",
            "ssh_bad_banner",
            "network:protocol,denied",
        ),
    ),
    "banner": (
        _sentence(
            rf"banner exchange: Connection from {_PEER}: (?P<reason>.*)",
            "ssh_bad_banner",
            "network:protocol,denied",
        ),
    ),
    "Did": (
        _sentence(
            r"Did not receive identification string from (?P<ip>\S+)(?: port (?P<port>\d{1,5}))?",
            "ssh_no_banner",
            "network:protocol,denied",
        ),
    ),
    "Unable": (
        _sentence(
            rf"Unable to negotiate with {_PEER}: (?P<reason>.*)",
            "ssh_no_agreement",
            "network:protocol,denied",
        ),
    ),
    "drop": (
        _sentence(
            r"drop connection #\d+ from \[(?P<ip>[^\]\s]+)\]:(?P<port>\d{1,5})"
            r" on \[(?P<to_ip>[^\]\s]+)\]:(?P<to_port>\d{1,5}) (?P<reason>.*)",
            "ssh_connection_refused",
            "network:connection,denied",
        ),
    ),
    "reverse": (
        _sentence(
            r"reverse mapping checking getaddrinfo for .* \[(?P<ip>[^\]\s]+)\] failed.*",
            "ssh_name_mismatch",
            "network:info",
        ),
    ),
    "Starting": (
        _sentence(
            rf"Starting session: .* for (?P<user>.*) from {_PEER} id \d+", "ssh_session", "session:start"
        ),
    ),
    "Close": (
        _sentence(rf"Close session: user (?P<user>.*) from {_PEER} id \d+", "ssh_session", "session:end"),
    ),
    "Server": (
        _sentence(
            r"Server listening on (?P<to_ip>\S+) port (?P<to_port>\d{1,5})\.", "ssh_listening", "process:info"
        ),
    ),
    "PAM": (
        _sentence(rf"PAM (?P<count>\d{{1,9}}) more {_CHECK}", "pam_check", "authentication:info", "failure"),
    ),
}
"""What sshd says, by its first word."""

_PAM: Final = (
    _sentence(_MODULE + _CHECK, "pam_check", "authentication:info", "failure"),
    _sentence(
        _MODULE + r"check pass; (?P<invalid>user unknown)", "pam_check", "authentication:info", "failure"
    ),
    _sentence(
        _MODULE + r"session opened for user (?P<user>.*?)(?:\(uid=\d+\))? by .*",
        "session_opened",
        "session:start",
    ),
    _sentence(_MODULE + r"session closed for user (?P<user>.*)", "session_closed", "session:end"),
)
"""What the modules of PAM say for any program."""


class Sshd(Source):
    """Lines of auth.log: sshd's own, PAM's, and the plain syslog of the others."""

    name = "sshd"

    def parse(self, line: Line) -> Event | None:
        """Read one line; a blank one is no event."""
        if not line.text.strip():
            return None
        entry = read_entry(line)
        event = event_of(entry, "sshd.syslog")
        message = entry.message
        if repeated := _REPEATED.fullmatch(message):
            event["homerange.repeated"] = int(repeated[1])
            message = repeated[2]
        _understand(event, entry, message)
        return event


def _understand(event: Event, entry: Entry, message: str) -> None:
    """Add what the message means, if it is a sentence known here."""
    if entry.module.startswith("pam_") or message.startswith("pam_"):
        event["event.dataset"] = "sshd.pam"
        _first_match(event, _PAM, message)
    elif entry.program in PROGRAMS:
        event["event.dataset"] = "sshd.auth"
        level, said = _without_marks(message)
        if level:
            event["log.level"] = level
        _first_match(event, _SENTENCES.get(said.partition(" ")[0], ()), said)


def _without_marks(message: str) -> tuple[str, str]:
    """Take `error: ` from the front and ` [preauth]` from the end."""
    level, colon, rest = message.partition(": ")
    if not colon or level not in {"error", "fatal"}:
        level, rest = "", message
    return level, rest.removesuffix(" [preauth]")


def _first_match(event: Event, sentences: tuple[_Sentence, ...], said: str) -> None:
    for sentence in sentences:
        if match := sentence.pattern.fullmatch(said):
            event.update(sentence.meaning)
            if sentence.twice and len(sentence.twice.findall(said)) > 1:
                event["event.reason"] = UNCLEAR
            else:
                _put_parts(event, match.groupdict())
            return


def _put_parts(event: Event, parts: dict[str, str | None]) -> None:
    """Turn the named groups of a sentence into fields."""
    put_peer(event, "source", parts.get("ip"), parts.get("port"))
    put_peer(event, "destination", parts.get("to_ip"), parts.get("to_port"))
    if user := parts.get("user"):
        event["user.name"] = user
    if method := parts.get("method"):
        event["homerange.auth.method"] = method
    if count := parts.get("count"):
        event["homerange.repeated"] = int(count)
    if reason := parts.get("reason") or ("unknown user" if parts.get("invalid") else ""):
        event["event.reason"] = reason
