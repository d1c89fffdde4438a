"""OpenSSH's server.

A user name is chosen by whoever connects and may hold blanks, `from 1.2.3.4 port 22 ssh2` and
control characters (sshd writes those as octal escapes). sshd puts the address behind the name, so
each pattern takes the name as long as it can be and the address from the right end. Where sshd puts
text of the client behind the address as well (the identity of a certificate, the user name after a
change of user), a line may read in two ways: then neither name nor address is believed.

The sentences are those of OpenSSH 5 to 10. A sentence not listed here is still an event, with its message.
"""

from __future__ import annotations

from typing import Final

from lab.telemetry.event import Event
from lab.telemetry.sources import sentences
from lab.telemetry.sources.pam import CHECK
from lab.telemetry.sources.sentences import Sentence, sentence

PROGRAMS: Final = ("sshd", "sshd-session", "sshd-auth")
"""The names OpenSSH's server logs under; the latter two since 9.8 and 10.0."""

_PEER: Final = r"(?P<ip>\S+) port (?P<port>\d{1,5})"
_USER: Final = r"(?:(?:authenticating |(?P<invalid>invalid) )?user (?P<user>.*) )?"
_ACCOUNT: Final = r"(?:(?P<invalid>invalid) user )?(?P<user>.*)"


_LOGIN_END: Final = r" from \S+ port \d{1,5} ssh2"
_LEAVE_END: Final = r" \S+ port \d{1,5}: "
_LOGIN: Final = rf"(?P<method>\S+) for {_ACCOUNT} from {_PEER}(?: ssh2)?"
_KEY_LOGIN: Final = rf"(?P<method>publickey|hostbased) for {_ACCOUNT} from {_PEER} ssh2: .*"
_SENTENCES: Final[dict[str, tuple[Sentence, ...]]] = {
    "Accepted": (
        sentence(rf"Accepted {_KEY_LOGIN}", "ssh_login", "authentication:start", "success", _LOGIN_END),
        sentence(rf"Accepted {_LOGIN}", "ssh_login", "authentication:start", "success"),
    ),
    "Failed": (
        sentence(rf"Failed {_KEY_LOGIN}", "ssh_login", "authentication:start", "failure", _LOGIN_END),
        sentence(rf"Failed {_LOGIN}", "ssh_login", "authentication:start", "failure"),
    ),
    "Invalid": (
        sentence(
            r"(?P<invalid>Invalid) user (?P<user>.*) from (?P<ip>\S+)(?: port (?P<port>\d{1,5}))?",
            "ssh_invalid_user",
            "authentication:info",
            "failure",
        ),
    ),
    "input_userauth_request:": (
        sentence(
            r"input_userauth_request: (?P<invalid>invalid) user (?P<user>.*)",
            "ssh_invalid_user",
            "authentication:info",
            "failure",
        ),
    ),
    "User": (
        sentence(
            r"User (?P<user>.*) from (?P<ip>\S+) not allowed because (?P<reason>.*)",
            "ssh_user_refused",
            "authentication:info",
            "failure",
        ),
    ),
    "maximum": (
        sentence(
            rf"maximum authentication attempts exceeded for {_ACCOUNT} from {_PEER} ssh2",
            "ssh_too_many_attempts",
            "authentication:info",
            "failure",
        ),
    ),
    "Connection": (
        sentence(
            rf"Connection from {_PEER} on (?P<to_ip>\S+) port (?P<to_port>\d{{1,5}})(?: rdomain .*)?",
            "ssh_connection",
            "network:connection,start",
        ),
        sentence(
            rf"Connection (?:closed|reset) by {_USER}{_PEER}", "ssh_disconnect", "network:connection,end"
        ),
        sentence(r"Connection (?:closed|reset) by (?P<ip>\S+)", "ssh_disconnect", "network:connection,end"),
    ),
    "Disconnected": (
        sentence(rf"Disconnected from {_USER}{_PEER}", "ssh_disconnect", "network:connection,end"),
        sentence(r"Disconnected from (?P<ip>\S+)", "ssh_disconnect", "network:connection,end"),
    ),
    "Disconnecting": (
        sentence(
            rf"Disconnecting {_USER}{_PEER}: (?P<reason>.*)",
            "ssh_disconnect",
            "network:connection,end",
            twice=_LEAVE_END,
        ),
    ),
    "Disconnecting:": (
        sentence(r"Disconnecting: (?P<reason>.*)", "ssh_disconnect", "network:connection,end"),
    ),
    "Received": (
        sentence(
            r"Received disconnect from (?P<ip>\S+)(?: port (?P<port>\d{1,5}):|: )\d+: (?P<reason>.*)",
            "ssh_disconnect",
            "network:connection,end",
        ),
    ),
    "Timeout": (
        sentence(
            rf"Timeout before authentication for (?:connection from )?{_PEER}.*",
            "ssh_timeout",
            "network:connection,end",
        ),
        sentence(
            r"Timeout before authentication for connection from (?P<ip>\S+) to .*",
            "ssh_timeout",
            "network:connection,end",
        ),
    ),
    "Bad": (
        sentence(
            rf"Bad protocol version identification .* from {_PEER}",
            "ssh_bad_banner",
            "network:protocol,denied",
        ),
    ),
    "banner": (
        sentence(
            rf"banner exchange: Connection from {_PEER}: (?P<reason>.*)",
            "ssh_bad_banner",
            "network:protocol,denied",
        ),
    ),
    "Did": (
        sentence(
            r"Did not receive identification string from (?P<ip>\S+)(?: port (?P<port>\d{1,5}))?",
            "ssh_no_banner",
            "network:protocol,denied",
        ),
    ),
    "Unable": (
        sentence(
            rf"Unable to negotiate with {_PEER}: (?P<reason>.*)",
            "ssh_no_agreement",
            "network:protocol,denied",
        ),
    ),
    "drop": (
        sentence(
            r"drop connection #\d+ from \[(?P<ip>[^\]\s]+)\]:(?P<port>\d{1,5})"
            r" on \[(?P<to_ip>[^\]\s]+)\]:(?P<to_port>\d{1,5}) (?P<reason>.*)",
            "ssh_connection_refused",
            "network:connection,denied",
        ),
    ),
    "reverse": (
        sentence(
            r"reverse mapping checking getaddrinfo for .* \[(?P<ip>[^\]\s]+)\] failed.*",
            "ssh_name_mismatch",
            "network:info",
        ),
    ),
    "Starting": (
        sentence(
            rf"Starting session: .* for (?P<user>.*) from {_PEER} id \d+", "ssh_session", "session:start"
        ),
    ),
    "Close": (
        sentence(rf"Close session: user (?P<user>.*) from {_PEER} id \d+", "ssh_session", "session:end"),
    ),
    "Server": (
        sentence(
            r"Server listening on (?P<to_ip>\S+) port (?P<to_port>\d{1,5})\.", "ssh_listening", "process:info"
        ),
    ),
    "PAM": (
        sentence(rf"PAM (?P<count>\d{{1,9}}) more {CHECK}", "pam_check", "authentication:info", "failure"),
    ),
}
"""What sshd says, by its first word."""


def understand(event: Event, message: str) -> None:
    """Add what a message of sshd means, if it is a sentence known here."""
    event["event.module"], event["event.dataset"] = "sshd", "sshd.auth"
    level, said = _without_marks(message)
    if level:
        event["log.level"] = level
    sentences.understand(event, _SENTENCES.get(said.partition(" ")[0], ()), said)


def _without_marks(message: str) -> tuple[str, str]:
    """Take `error: ` from the front and ` [preauth]` from the end."""
    level, colon, rest = message.partition(": ")
    if not colon or level not in {"error", "fatal"}:
        level, rest = "", message
    return level, rest.removesuffix(" [preauth]")
