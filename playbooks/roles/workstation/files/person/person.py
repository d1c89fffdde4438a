"""Somebody at work: what they have at hand, and how they do things."""

import contextlib
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from browser import Browser
from terminal import Terminal, commands, logged_in, ran


@dataclass(frozen=True)
class Desk:
    """What somebody works with: names of nodes, and accounts. What a lab has not is empty."""

    shop: str
    shop_user: str
    shop_password: str
    bastion: str
    user: str
    password: str
    files: str
    files_user: str
    files_password: str
    root_password: str
    names: str
    mail: str


@dataclass(frozen=True)
class Person:
    """Somebody who does one thing, with chance of its own."""

    desk: Desk
    dice: random.Random
    pace: float
    """How long pauses are, as a factor."""

    @contextlib.contextmanager
    def browser(self) -> Iterator[Browser]:
        """Open the shop in a browser."""
        browser = Browser(self.desk.shop, self.dice, self.pace)
        with contextlib.closing(browser):
            yield browser

    @contextlib.contextmanager
    def session(self, *mistyped: str) -> Iterator[Terminal]:
        """Log in to the bastion as oneself, after passwords that were mistyped."""
        account = f"{self.desk.user}@{self.desk.bastion}"
        with logged_in(account, (*mistyped, self.desk.password), 0.3 * self.pace) as terminal:
            yield terminal

    @contextlib.contextmanager
    def root(self) -> Iterator[Terminal]:
        """Log in to the bastion as whoever administers it."""
        with logged_in(f"root@{self.desk.bastion}", (self.desk.root_password,), 0.3 * self.pace) as terminal:
            yield terminal

    def copy(self, source: str, target: str) -> None:
        """Copy a file to or from where the papers are; `HOST` stands for the account there."""
        account = f"{self.desk.files_user}@{self.desk.files}"
        ends = [it.replace("HOST", account) for it in (source, target)]
        ran((self.desk.files_password,), "scp", "-q", *ends)

    def remove(self, name: str) -> None:
        """Remove what was copied there, as it becomes too old."""
        account = f"{self.desk.files_user}@{self.desk.files}"
        with logged_in(account, (self.desk.files_password,)) as terminal:
            commands(terminal, f"ls -l {name}", f"rm {name}")

    def pause(self, factor: float = 1.0) -> None:
        """Think."""
        time.sleep(min(5.0, factor * self.pace * self.dice.uniform(0.4, 1.6)))

    def run(self, *command: str, seconds: float = 20) -> str:
        """Run a program on one's own machine."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(command, capture_output=True, check=False, timeout=seconds)
            return done.stdout.decode(errors="replace")
        return ""

    def mistyped(self) -> str:
        """Return one's password with a slip of the finger."""
        password = self.desk.password
        place = self.dice.randrange(len(password) - 1)
        return password[:place] + password[place + 1 :]


Habit = Callable[[Person], None]
"""One kind of thing that somebody does."""
