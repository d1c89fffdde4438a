"""What can go wrong, as values.

    LabError                    exit code 4, unless a branch says otherwise
    |-- WrongInput              2: the command or a file is wrong; nothing was changed
    |   |-- BadFile             problems of a file, all at once, each with its line
    |   |-- NotFound            no lab, run, node or file of that name
    |   |-- BadQuery            a question in SQL is wrong, not allowed, or took too much
    |   `-- OutOfScope          a step wanted to touch an address that is not of this lab
    |-- NotReady                3: the machine is not ready; `lab doctor` says what to do
    |   |-- EngineUnreachable   nothing answers on the engine's socket
    |   |-- NoRights            the engine's socket, or this folder, is not for this user
    |   |-- NoBase              no registry in reach and no base can be built here
    |   |-- NoProgram           a vendor's program cannot be had here
    |   `-- DiskFull            no space left
    |-- Leak                    1: a wall of the lab let something through
    |-- EngineFault             the engine refused or failed
    |   |-- NameTaken           somebody else's container or network has the name
    |   `-- EngineSlow          no answer in time
    |-- Busy                    another command is changing the lab, or plays in it
    |-- BakeFailed              a role did not apply to its image
    |-- NodeNotReady            a node's health check did not pass in time
    |-- CommandFailed           a command inside a node failed: argv, code, output
    `-- Stopped                 the user pressed Ctrl-C

An error carries fields; its sentence is made in `message` and shown by the command line.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


class LabError(Exception):
    """Anything this program expects to go wrong."""

    exit_code: ClassVar[int] = 4
    """What the process ends with when nobody handles the error."""

    def message(self) -> str:
        """Say what happened, where, and what to do, for a terminal."""
        return str(self)

    def __str__(self) -> str:
        """Show the same sentence wherever Python prints an exception."""
        return self.message() if type(self).message is not LabError.message else super().__str__()


class WrongInput(LabError):
    """The command or a file is wrong; nothing was changed."""

    exit_code = 2


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Problem:
    """One thing that is wrong in a file."""

    path: str
    """The file, as the user named it."""

    line: int
    """Line number, from 1; 0 when the file as a whole is meant."""

    what: str
    """What is wrong, in lower case."""

    remedy: str = ""
    """What would be right."""

    def __str__(self) -> str:
        """Write `file:line: what`, and the remedy below it."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.what}" + (f"\n    {self.remedy}" if self.remedy else "")


class BadFile(WrongInput):
    """A file the user wrote has problems; all of them are here."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__(*self.problems)

    def message(self) -> str:
        """List every problem, in the order of the lines."""
        return "\n".join(str(problem) for problem in self.problems)


class NotFound(WrongInput):
    """Nothing has that name."""

    def __init__(self, what: str, *, name: str, known: tuple[str, ...] = (), remedy: str = "") -> None:
        self.what = what
        self.name = name
        self.known = known
        self.remedy = remedy
        super().__init__(what, name)

    def message(self) -> str:
        """Name what was asked for and what there is."""
        head = f"no {self.what} {self.name!r}" if self.name else f"no {self.what}"
        lines = [head]
        if self.known:
            lines.append(f"    there is: {', '.join(self.known)}")
        if self.remedy:
            lines.append(f"    {self.remedy}")
        return "\n".join(lines)


class BadQuery(WrongInput):
    """A question in SQL is wrong, not allowed, or took too much time or memory."""

    def __init__(self, sql: str, *, said: str) -> None:
        self.sql = sql
        self.said = said
        super().__init__(sql, said)

    def message(self) -> str:
        """Show what the database said about it."""
        return f"cannot answer: {self.said}"


class OutOfScope(WrongInput):
    """A target is not an address of this lab, so the step is refused."""

    def __init__(self, target: str, *, lab: str, why: str) -> None:
        self.target = target
        self.lab = lab
        self.why = why
        super().__init__(target, lab, why)

    def message(self) -> str:
        """Say which target, and why it is refused."""
        return f"refused: {self.target} is not of lab {self.lab}: {self.why}"


class NotReady(LabError):
    """The machine is not ready."""

    exit_code = 3

    def __init__(self, what: str, *, remedy: str = "lab doctor  says what is missing.") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(what)

    def message(self) -> str:
        """Say what is missing, and the remedy."""
        return f"{self.what}\n    {self.remedy}"


class EngineUnreachable(NotReady):
    """Nothing answers on the engine's socket."""


class NoRights(NotReady):
    """The engine's socket, or a folder, is not for this user."""


class NoBase(NotReady):
    """No image to build on can be had."""


class NoProgram(NotReady):
    """A vendor's program cannot be had here."""


class DiskFull(NotReady):
    """No space is left on the device."""


class Leak(LabError):
    """A wall of the lab let something through."""

    exit_code = 1

    def __init__(self, *holes: str) -> None:
        self.holes = holes
        super().__init__(*holes)

    def message(self) -> str:
        """List each way out that was found."""
        lines = "\n".join(f"    {hole}" for hole in self.holes)
        return f"the lab is not isolated:\n{lines}\n    lab down  removes it; please report this."


class EngineFault(LabError):
    """The engine refused or failed, in its own words."""

    def __init__(self, *, doing: str, said: str) -> None:
        self.doing = doing
        self.said = said
        super().__init__(doing, said)

    def message(self) -> str:
        """Say what was being done, and what the engine answered."""
        return f"{self.doing}: {self.said}"


class NameTaken(EngineFault):
    """Somebody else's container or network has the name; it is left alone."""


class EngineSlow(EngineFault):
    """The engine did not answer in time."""


class Busy(LabError):
    """Another command is changing the lab, or plays in it."""

    def __init__(self, *, lab: str, process: int, doing: str, waited: float = 0) -> None:
        self.lab = lab
        self.process = process
        self.doing = doing
        self.waited = waited
        super().__init__(lab, process)

    def message(self) -> str:
        """Name the process that is at work, and what it does."""
        whose = f"process {self.process}, {self.doing}" if self.process else "another command"
        if self.waited:
            head = f"lab {self.lab} is in the hands of {whose}, which did not stop within {self.waited:.0f} s"
            return f"{head}\n    kill -9 {self.process}  ends it;  lab down {self.lab}  then removes the lab"
        head = f"lab {self.lab} is in the hands of {whose}"
        return f"{head}\n    wait for it, or end it:  lab down {self.lab}"


class BakeFailed(LabError):
    """A role did not apply to its image."""

    def __init__(self, *, role: str, task: str, said: str, log: Path) -> None:
        self.role = role
        self.task = task
        self.said = said
        self.log = log
        super().__init__(role, task, said)

    def message(self) -> str:
        """Name the role, the task, its message and the whole log."""
        return f"role {self.role}: task {self.task!r} failed: {self.said}\n    whole log: {self.log}"


class NodeNotReady(LabError):
    """A node's health check did not pass in time."""

    def __init__(self, *, node: str, waited: float, argv: tuple[str, ...], said: str) -> None:
        self.node = node
        self.waited = waited
        self.argv = argv
        self.said = said
        super().__init__(node, waited)

    def message(self) -> str:
        """Name the node, its check, and the last words of both."""
        head = f"{self.node} was not ready after {self.waited:.0f} s"
        return f"{head}: {shlex.join(self.argv)}\n    {self.said}"


class SiemFault(LabError):
    """A SIEM is not there, refused or failed."""

    def __init__(self, siem: str, *, doing: str, said: str, remedy: str) -> None:
        self.siem = siem
        self.doing = doing
        self.said = said
        self.remedy = remedy
        super().__init__(siem, doing, said)

    def message(self) -> str:
        """Say which SIEM, what was being done, what it answered, and what to do."""
        return f"{self.siem}: {self.doing}: {self.said}\n    {self.remedy}"


class SiemBusy(SiemFault):
    """A SIEM could not take more just now; the same again may work."""


class WrongProduct(SiemFault):
    """Something else answers where a SIEM was expected."""


class CommandFailed(LabError):
    """A command inside a node failed."""

    def __init__(self, *, node: str, argv: tuple[str, ...], code: int, output: str) -> None:
        self.node = node
        self.argv = argv
        self.code = code
        self.output = output
        super().__init__(node, argv, code)

    def message(self) -> str:
        """Show the command, its exit code and the last line it wrote."""
        last = self.output.strip().splitlines()[-1:] or ["(no output)"]
        return f"{self.node}: {shlex.join(self.argv)} ended with {self.code}: {last[0]}"


class Stopped(LabError):
    """The user pressed Ctrl-C; what was written stays."""

    exit_code = 130

    def __init__(self, *, doing: str, next_command: str) -> None:
        self.doing = doing
        self.next_command = next_command
        super().__init__(doing)

    def message(self) -> str:
        """Say what was stopped, and the command that carries on or cleans up."""
        return f"stopped: {self.doing}\n    {self.next_command}"
