"""Makes the users of a node. Reads their list (role variable `sshd_users`) as JSON from standard input.

Prints one line for each thing it changed, so a second run prints nothing.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

from lab_key import private_key, public_key


class User(TypedDict, total=False):
    """One entry of the list; the role's argument specification says what each key means."""

    name: str
    password: str
    comment: str
    groups: list[str]
    files: dict[str, str]
    authorized: list[str]
    keys: dict[str, str]


def ensure_user(user: User) -> None:
    """Make the account, or leave it as it is; its password and groups are set either way."""
    name, groups = user["name"], user.get("groups") or []
    try:
        pwd.getpwnam(name)
    except KeyError:
        run("useradd", "--create-home", "--shell", "/bin/bash", "--comment", user.get("comment") or "", name)
        sys.stdout.write(f"made {name}\n")
    for group in groups:
        run("groupadd", "--force", group)
        run("usermod", "--append", "--groups", group, name)
    run("chpasswd", text=f"{name}:{user['password']}\n")


def ensure_files(user: User) -> None:
    """Write the user's files and keys, owned by the user."""
    for path, content in (user.get("files") or {}).items():
        ensure_file(user["name"], path, content)
    for path, name in (user.get("keys") or {}).items():
        ensure_file(user["name"], path, private_key(name), 0o600)
    if names := user.get("authorized"):
        ensure_file(user["name"], ".ssh/authorized_keys", "".join(map(public_key, names)), 0o600)


def ensure_file(name: str, path: str, content: str, mode: int = 0o644) -> None:
    """Write one file below a user's home."""
    account = pwd.getpwnam(name)
    home = Path(account.pw_dir)
    file = home / path
    if file.is_file() and file.read_text() == content:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    file.chmod(mode)
    for made in (file, *file.relative_to(home).parents):
        os.chown(home / made, account.pw_uid, account.pw_gid)
    sys.stdout.write(f"wrote {file}\n")


def run(*command: str, text: str = "") -> None:
    """Run a program that has to succeed; its complaint becomes the task's."""
    subprocess.run(command, input=text, text=True, check=True)


for one in json.load(sys.stdin):
    ensure_user(one)
    ensure_files(one)
