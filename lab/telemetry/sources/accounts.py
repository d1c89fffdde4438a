"""useradd and its kin: accounts and groups that were made, changed or removed. shadow 4."""

from __future__ import annotations

from typing import Final

from lab.telemetry.event import Event
from lab.telemetry.sources import sentences
from lab.telemetry.sources.sentences import sentence

PROGRAMS: Final = (
    *("useradd", "userdel", "usermod", "groupadd", "groupdel", "groupmod", "gpasswd"),
    *("passwd", "chpasswd", "chage", "chsh", "chfn", "newusers", "adduser", "deluser"),
)
"""What they log under."""

_NAME: Final = r"'?(?P<target>[^'\s,]+)'?"
_GROUP: Final = r"'?(?P<group>[^'\s,]+)'?"

_SENTENCES: Final = (
    sentence(
        rf"new user: name={_NAME}, UID=(?P<target_id>\d+), GID=(?P<group_id>\d+).*",
        "user_added",
        "iam:user,creation",
        "success",
    ),
    sentence(
        rf"new group: name={_GROUP}, GID=(?P<group_id>\d+).*", "group_added", "iam:group,creation", "success"
    ),
    sentence(
        rf"group added to \S+: name={_GROUP}(?:, GID=(?P<group_id>\d+))?.*",
        "group_added",
        "iam:group,creation",
        "success",
    ),
    sentence(rf"failed adding user {_NAME}(?P<reason>.*)", "user_added", "iam:user,creation", "failure"),
    sentence(
        rf"add {_NAME} to (?:shadow )?group {_GROUP}.*", "user_added_to_group", "iam:group,change", "success"
    ),
    sentence(
        r"user (?P<target>\S+) added by (?P<user>\S+) to group (?P<group>\S+)",
        "user_added_to_group",
        "iam:group,change",
        "success",
    ),
    sentence(
        rf"(?:delete|remove) {_NAME} from (?:shadow )?group {_GROUP}.*",
        "user_removed_from_group",
        "iam:group,change",
        "success",
    ),
    sentence(
        r"user (?P<target>\S+) removed by (?P<user>\S+) from group (?P<group>\S+)",
        "user_removed_from_group",
        "iam:group,change",
        "success",
    ),
    sentence(rf"delete user {_NAME}", "user_deleted", "iam:user,deletion", "success"),
    sentence(
        rf"(?:removed (?:shadow )?group|group) {_GROUP}(?: owned by .*| removed.*)",
        "group_deleted",
        "iam:group,deletion",
        "success",
    ),
    sentence(rf"(?:un)?lock user {_NAME} password", "user_changed", "iam:user,change", "success"),
    sentence(rf"changed? user {_NAME} (?P<reason>.+)", "user_changed", "iam:user,change", "success"),
    sentence(rf"changed password expiry for {_NAME}", "user_changed", "iam:user,change", "success"),
    sentence(
        rf"password for {_NAME} changed by (?P<user>.+)", "password_changed", "iam:user,change", "success"
    ),
)


def understand(event: Event, message: str) -> None:
    """Add what a message means, if it is a sentence known here."""
    event["event.module"], event["event.dataset"] = "accounts", "accounts.log"
    sentences.understand(event, _SENTENCES, message)
