"""A terminal with a person before it, who types passwords."""

import contextlib
import os
import pty
import select
import signal
import time
from collections.abc import Iterator

PROMPTS = ("$ ", "# ")
"""How a shell says that it waits."""


class Terminal:
    """A program in a terminal."""

    def __init__(self, *command: str) -> None:
        self._pid, self._screen = pty.fork()
        if self._pid == 0:
            os.execvp(command[0], command)  # noqa: S606
        self._seen = ""

    def wait_for(self, *texts: str, seconds: float = 10) -> str:
        """Read until one of the texts is on the screen; '' if the program ends or the time does."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for text in texts:
                if text in self._seen:
                    self._seen = ""
                    return text
            if not select.select([self._screen], [], [], left)[0]:
                break
            try:
                self._seen += os.read(self._screen, 65536).decode(errors="replace")
            except OSError:  # the program has closed its terminal
                break
        return ""

    def type(self, line: str) -> None:
        """Type a line, and the return key."""
        with contextlib.suppress(OSError):
            os.write(self._screen, f"{line}\n".encode())

    def close(self) -> None:
        """Close the window; the program gets a hang-up if it still runs."""
        os.close(self._screen)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGHUP)
        os.waitpid(self._pid, 0)


@contextlib.contextmanager
def logged_in(account: str, passwords: tuple[str, ...], pause: float = 0.3) -> Iterator[Terminal]:
    """Log in over SSH, typing the passwords one after the other.

    Raises:
        ConnectionError: no shell came up.
    """
    terminal = Terminal("ssh", "-o", "NumberOfPasswordPrompts=6", account)
    try:
        if not _answered(terminal, passwords, pause, PROMPTS):
            raise ConnectionError(f"{account} gave no shell")
        yield terminal
        terminal.type("exit")
        terminal.wait_for("closed", seconds=2)
    finally:
        terminal.close()


def ran(passwords: tuple[str, ...], *command: str, seconds: float = 20) -> None:
    """Run a program that asks for a password, and wait for its end.

    Raises:
        ConnectionError: it did not ask.
    """
    terminal = Terminal(*command)
    try:
        if not _answered(terminal, passwords, 0.3, ()):
            raise ConnectionError(f"{command[-1]} asked for no password")
        terminal.wait_for("\0", seconds=seconds)  # never said: until it closes its terminal
    finally:
        terminal.close()


def _answered(terminal: Terminal, passwords: tuple[str, ...], pause: float, wanted: tuple[str, ...]) -> bool:
    for typed in passwords:
        if terminal.wait_for("password: ") == "":
            return False
        time.sleep(pause)
        terminal.type(typed)
    return not wanted or terminal.wait_for(*wanted) != ""


def commands(terminal: Terminal, *lines: str, pause: float = 0.3) -> None:
    """Type lines, each when the one before has come to its end."""
    for line in lines:
        time.sleep(pause)
        terminal.type(line)
        terminal.wait_for(*PROMPTS)
