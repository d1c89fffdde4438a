"""Change a node with tasks of Ansible, as an attacker who has its keys would, or to set a stage."""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from lab.engine.nodes import SeenNode
from lab.engine.shell import Completed
from lab.exercise.place import Place
from lab.exercise.steps.base import Outcome
from lab.files import records
from lab.files.declared import Fault
from lab.files.loader import Plain
from lab.files.workplace import logs
from lab.moment import Moment

MODULES: Final = frozenset(
    {
        "blockinfile", "command", "copy", "cron", "file", "getent", "get_url", "group", "known_hosts",
        "lineinfile", "replace", "service", "service_facts", "shell", "stat", "tempfile", "uri", "user",
        "wait_for",
    }
)  # fmt: skip
"""Modules that do all of their work on the node. Others read or write this machine, where Ansible runs, or
evaluate expressions here, as `debug` and `assert` do."""

_KEYS: Final = frozenset({"name", "args", "become", "become_user", "ignore_errors", "environment"})
_TEMPLATE: Final = re.compile(r"\{[{%#]")
_TAKES: Final = frozenset({"copy", "uri"})
"""Modules that can take a file from this machine, with an argument `src`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Playbook:
    """Tasks for the node that the step is from, as root."""

    kind: ClassVar[str] = "playbook"
    remedy: ClassVar[str] = "write  playbook: {tasks: [{name: Add a user, user: {name: eve}}]}"

    tasks: tuple[Mapping[str, Plain], ...]
    """As in a play; templates are the scenario's own, and are filled in before."""

    def faults(self) -> Iterator[Fault]:
        """Find tasks that would act on this machine."""
        if not self.tasks:
            yield Fault(key="tasks", what="a playbook needs at least one task", remedy=self.remedy)
        for it in self.tasks:
            yield from (Fault(key="tasks", what=said, remedy=self.remedy) for said in _wrong(it))

    def act(self, place: Place) -> Outcome:
        """Run them."""
        from lab.errors import BakeFailed, OutOfScope
        from lab.provision.connection import serving
        from lab.provision.playbook import run_playbook

        for it in self.tasks:  # a template may have brought what the file did not show
            for said in (*_wrong(it), *(_templated(it))):
                raise OutOfScope(str(it)[:80], lab=place.node.lab, why=said)
        words = tuple(_texts(self.tasks))
        place.run(("true",), packed=words)  # what may not be said is refused before Ansible begins
        start, told = Moment.now(), threading.Event()
        play = [{"hosts": "all", "gather_facts": False, "tasks": [dict(it) for it in self.tasks]}]
        code, said = 0, ""
        with (
            tempfile.TemporaryDirectory(prefix="homerange-") as folder,
            serving(_Through(place, words), place.node) as way,
        ):
            path = Path(folder) / "tasks.yml"
            path.write_text(records.to_json(play), encoding="utf-8")
            try:
                run_playbook(
                    path,
                    role="step",
                    inventory={"all": {"hosts": {place.node.name: way}}},
                    variables={},
                    log=logs() / "step.log",
                    tell=lambda _task: None,
                    stop=told,
                )
            except BakeFailed as error:
                code, said = 2, f"{error.task}: {error.said}"
        done = Completed(
            argv=("ansible-playbook",),
            code=code,
            stdout=b"",
            stderr=said.encode(),
            start=start,
            end=Moment.now(),
        )
        return Outcome(
            completed=done,
            command_line="; ".join(str(it.get("name") or next(iter(it))) for it in self.tasks),
            users=("root",),
            registered={"rc": code, "msg": said},
        )


@dataclass(frozen=True, slots=True)
class _Through:
    """Runs what Ansible wants run through the door. Its modules come packed, so the tasks' words are read."""

    place: Place
    words: tuple[str, ...]

    def execute(
        self,
        node: SeenNode,
        argv: tuple[str, ...],
        *,
        user: str = "root",
        stdin: bytes = b"",
        timeout: float = 60,
    ) -> Completed:
        """Run a command."""
        del node, timeout
        return self.place.run(argv, user=user, stdin=stdin, packed=self.words).completed


def _wrong(task: Mapping[str, Plain]) -> Iterator[str]:
    named = [it for it in task if it.rpartition(".")[2] in MODULES]
    unknown = sorted(set(task) - _KEYS - set(named))
    if unknown:
        yield f"{', '.join(unknown)}: no module that works on the node alone, nor a key that may stand here"
    if len(named) != 1 and not unknown:
        yield f"a task has one module, not {len(named)}"
    if "args" in task and not {it.rpartition(".")[2] for it in named} & {"command", "shell"}:
        yield "args may stand beside command and shell alone"
    for it in named:
        given = task[it]
        named_one = "src" in given if isinstance(given, dict) else re.search(r"\bsrc\s*=", str(given))
        if it.rpartition(".")[2] in _TAKES and named_one:
            yield f"{it} would take src from this machine"


def _templated(task: Mapping[str, Plain]) -> Iterator[str]:
    if any(_TEMPLATE.search(text) for text in _texts(task)):
        yield "a template that is left would be filled in on this machine"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, it in value.items():
            yield str(name)
            yield from _texts(it)
    elif isinstance(value, list | tuple):
        for it in value:
            yield from _texts(it)
