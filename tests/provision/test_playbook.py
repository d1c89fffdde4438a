"""Ansible on a node, through the socket: the real ansible-playbook, and a shell that runs commands here."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.engine.memory import MemoryEngine
from lab.engine.nodes import SeenNode
from lab.engine.shell import Completed, Hear, Shell, Stream, Traced
from lab.errors import BakeFailed, DiskFull, EngineFault, NotReady
from lab.moment import Moment
from lab.provision.connection import PLUGIN, serving
from lab.provision.playbook import prepare_machine, run_playbook
from lab.workers import Stop


@dataclass
class ShellHere:
    """Runs commands on this machine, in a folder; a test gives it nothing that leaves that."""

    folder: Path
    refused: str = ""
    ran: list[tuple[str, ...]] = field(default_factory=list)

    def execute(  # noqa: PLR0913  # the contract's
        self,
        node: SeenNode,
        argv: tuple[str, ...],
        *,
        user: str = "",
        stdin: bytes = b"",
        timeout: float = 60,
        environment: Mapping[str, str] | None = None,
        folder: str = "",
        traced: Traced = "no",
        stop: Stop | None = None,
    ) -> Completed:
        """Run a command in the folder."""
        assert (user, environment, folder, traced, stop) == ("root", None, "", "no", None)
        if self.refused:
            raise EngineFault(doing=f"running {argv[0]} on {node.name}", said=self.refused)
        self.ran.append(argv)
        start = Moment.now()
        ran = subprocess.run(
            argv, input=stdin, capture_output=True, cwd=self.folder, timeout=timeout, check=False
        )
        return Completed(
            argv=argv,
            code=ran.returncode,
            stdout=ran.stdout,
            stderr=ran.stderr,
            start=start,
            end=Moment.now(),
        )

    def relay(self, node: SeenNode, argv: tuple[str, ...], *, stdin: Iterable[bytes], hear: Hear) -> int:
        """Nobody looks on."""
        raise NotImplementedError

    def stream(self, node: SeenNode, argv: tuple[str, ...]) -> Stream:
        """Nothing is followed while a node is configured."""
        raise NotImplementedError

    def open_shell(self, node: SeenNode) -> int:
        """Nobody sits at it."""
        raise NotImplementedError


@pytest.fixture
def node() -> SeenNode:
    with MemoryEngine().open_baking("scratch:latest", lab="x", role="x") as found:
        return found


def play(tasks: str, shell: Shell, node: SeenNode, folder: Path) -> list[str]:
    """Run tasks on a node; return what was told."""
    playbook = folder / "play.yml"
    playbook.write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}", encoding="utf-8")
    told: list[str] = []
    with serving(shell, node) as way:
        assert way["ansible_connection"] == PLUGIN
        run_playbook(
            playbook,
            role="role",
            inventory={"all": {"hosts": {node.name: {**way, "ansible_python_interpreter": sys.executable}}}},
            variables={"words": 'it\'s "quoted" $here'},
            log=folder / "log",
            tell=told.append,
            stop=threading.Event(),
        )
    return told


COPY = """
    - name: Write what was said
      ansible.builtin.copy: {content: "{{ words }}", dest: "{{ playbook_dir }}/written"}
    - name: Read it back
      ansible.builtin.fetch: {src: "{{ playbook_dir }}/written", dest: "{{ playbook_dir }}/got", flat: true}
    - name: Look at it
      ansible.builtin.command: cat written - # and reads what it is handed, or writing to it may fail
      args: {stdin: "x", creates: none}
"""


def test_commands_modules_and_files_go_through_the_socket(node: SeenNode, tmp_path: Path) -> None:
    shell = ShellHere(tmp_path)
    told = play(COPY, shell, node, tmp_path)
    assert told == ["Write what was said", "Read it back", "Look at it"]
    assert (tmp_path / "written").read_text("utf-8") == 'it\'s "quoted" $here'
    assert (tmp_path / "got").read_bytes() == (tmp_path / "written").read_bytes()
    assert all(argv[:2] == ("/bin/sh", "-c") or argv[0] == "cat" for argv in shell.ran)


def test_a_task_that_fails_is_named_with_its_words_and_the_log(node: SeenNode, tmp_path: Path) -> None:
    tasks = "    - name: Break\n      ansible.builtin.shell: echo 'too bad' >&2; exit 3\n"
    with pytest.raises(BakeFailed) as caught:
        play(tasks, ShellHere(tmp_path), node, tmp_path)
    assert (caught.value.role, caught.value.task) == ("role", "Break")
    assert "too bad" in caught.value.said
    assert "Break" in caught.value.log.read_text("utf-8")


def test_a_full_disk_is_no_fault_of_the_role(node: SeenNode, tmp_path: Path) -> None:
    tasks = "    - name: Fill\n      ansible.builtin.shell: echo 'No space left on device' >&2; exit 1\n"
    with pytest.raises(DiskFull, match="make room"):
        play(tasks, ShellHere(tmp_path), node, tmp_path)


def test_what_the_engine_says_reaches_the_user(node: SeenNode, tmp_path: Path) -> None:
    tasks = "    - name: Ask\n      ansible.builtin.raw: id\n"
    with pytest.raises(BakeFailed, match="the engine is gone"):
        play(tasks, ShellHere(tmp_path, refused="the engine is gone"), node, tmp_path)


def test_a_playbook_that_was_stopped_ends(node: SeenNode, tmp_path: Path) -> None:
    playbook = tmp_path / "play.yml"
    playbook.write_text("- hosts: all\n  gather_facts: false\n  tasks: [{raw: sleep 3}]\n", encoding="utf-8")
    stop = threading.Event()
    stop.set()
    with serving(ShellHere(tmp_path), node) as way, pytest.raises(BakeFailed):
        run_playbook(
            playbook,
            role="role",
            inventory={"all": {"hosts": {node.name: way}}},
            variables={},
            log=tmp_path / "log",
            tell=lambda _line: None,
            stop=stop,
        )


def test_a_machine_that_cannot_be_prepared_is_not_ready(tmp_path: Path) -> None:
    playbook = tmp_path / "host.yml"
    task = "{name: Give up, ansible.builtin.fail: {msg: not here}}"
    playbook.write_text(f"- hosts: localhost\n  gather_facts: false\n  tasks: [{task}]\n", encoding="utf-8")
    with pytest.raises(NotReady, match="preparing this machine: Give up: not here"):
        prepare_machine(playbook, tmp_path / "log", lambda _line: None, threading.Event())


def test_the_socket_goes_with_the_playbook(node: SeenNode, tmp_path: Path) -> None:
    with serving(ShellHere(tmp_path), node) as way:
        path = Path(way["lab_shell_socket"])
        assert path.is_socket()
        assert path.parent.stat().st_mode & 0o077 == 0
    assert not path.parent.exists()
