"""Playbooks on nodes and machines. The only module that imports ansible_runner."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import ansible_runner

from lab.errors import BakeFailed, DiskFull, NotReady
from lab.files.loader import Plain
from lab.files.workplace import PLUGINS

Tell = Callable[[str], None]
"""Takes one line about what is going on."""

_QUIET: Final = {
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_RETRY_FILES_ENABLED": "0",
    "ANSIBLE_HOST_KEY_CHECKING": "0",
    "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
    "ANSIBLE_LOCALHOST_WARNING": "0",
    "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
    "ANSIBLE_DEPRECATION_WARNINGS": "0",
    "ANSIBLE_PIPELINING": "1",
}


_OF_ANSIBLES_OWN: Final = ("Validating arguments", "Apply the role")
"""Tasks that say nothing to a person who waits."""


@dataclass(slots=True)
class _Watch:
    """Follows a playbook: which task runs, which one failed and with what words."""

    tell: Tell
    task: str = ""
    failure: str = ""

    def __call__(self, event: dict[str, Any]) -> bool:
        told = event.get("event_data", {})
        if event["event"] == "playbook_on_task_start":
            self.task = str(told.get("name") or told.get("task") or "").rpartition(" : ")[2]
            if not self.task.startswith(_OF_ANSIBLES_OWN):
                self.tell(self.task)
        if event["event"] in {"runner_on_failed", "runner_on_unreachable"} and not told.get("ignore_errors"):
            self.failure = self.failure or f"{told.get('task', self.task)}\0{_words(told.get('res', {}))}"
        return True


def _words(result: Mapping[str, Any]) -> str:
    """Find what a failed task has to say: its own message, else the last line of what it ran."""
    for key in ("stderr", "module_stderr", "stdout", "msg"):
        lines = str(result.get(key, "")).strip().splitlines()
        if lines and key == "msg":
            return lines[0]
        if lines:
            return f"{str(result.get('msg', '')).strip()} {lines[-1]}".strip()
    return "no message"


def run_playbook(  # noqa: PLR0913  # one place for all that a playbook run needs
    playbook: Path,
    *,
    role: str,
    inventory: Mapping[str, object],
    variables: Mapping[str, Plain],
    log: Path,
    tell: Tell,
    stop: threading.Event,
    roles: Path | None = None,
) -> None:
    """Run a playbook to its end.

    Args:
        playbook: The file; roles are looked for beside it.
        role: What is being configured, for messages.
        inventory: An Ansible inventory, as its YAML form has it.
        variables: Extra variables.
        log: Where Ansible's whole output goes.
        tell: Hears the name of each task as it starts.
        stop: Ends it, once it is set.
        roles: A further folder of roles, looked in first: a user's own.

    Raises:
        BakeFailed: a task failed; names it, its message and the log.
        DiskFull: it failed for want of space.
    """
    watch = _Watch(tell)
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="homerange-ansible-") as folder:
        ran = ansible_runner.run(
            private_data_dir=folder,
            playbook=str(playbook.resolve()),
            inventory=inventory,
            extravars=dict(variables),
            envvars=_environment(playbook, folder, roles),
            event_handler=watch,
            cancel_callback=stop.is_set,
            quiet=True,
            settings={"suppress_ansible_output": True},
        )
        with ran.stdout as written:
            log.write_text(written.read(), encoding="utf-8", errors="backslashreplace")
    if ran.status != "successful":
        task, _, said = (watch.failure or f"{watch.task}\0ansible-playbook ended with {ran.rc}").partition(
            "\0"
        )
        if os.strerror(errno.ENOSPC) in said:
            raise DiskFull(f"role {role}: task {task!r}: {said}", remedy="make room, then repeat the command")
        raise BakeFailed(role=role, task=task, said=said, log=log)


def _environment(playbook: Path, folder: str, roles: Path | None) -> dict[str, str]:
    """Set what Ansible needs whatever the user's own configuration says.

    The programs beside this Python come first on the path: `lab` may run without its venv activated.
    """
    Path(folder, "ansible.cfg").touch()
    found = (*((roles,) if roles else ()), playbook.parent / "roles")
    return {
        **_QUIET,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "ANSIBLE_CONNECTION_PLUGINS": str(PLUGINS / "connection"),
        "ANSIBLE_ROLES_PATH": os.pathsep.join(dict.fromkeys(str(it.resolve()) for it in found)),
        "ANSIBLE_CONFIG": f"{folder}/ansible.cfg",
        "ANSIBLE_LOCAL_TEMP": folder,
        "LC_ALL": "C.UTF-8",
    }


def prepare_machine(playbook: Path, log: Path, tell: Tell, stop: threading.Event) -> None:
    """Install and start an engine on this machine, as root.

    Raises:
        NotReady: a task failed.
    """
    here = {"ansible_connection": "local", "ansible_python_interpreter": _system_python()}
    try:
        run_playbook(
            playbook,
            role="host",
            inventory={"all": {"hosts": {"localhost": here}}},
            variables={},
            log=log,
            tell=tell,
            stop=stop,
        )
    except BakeFailed as error:
        raise NotReady(
            f"preparing this machine: {error.task}: {error.said}", remedy=f"whole log: {log}"
        ) from error


def _system_python() -> str:
    """Name the distribution's Python: apt's bindings are in no other."""
    return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
