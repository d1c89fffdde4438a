"""A person at work: looks around in the web shop, then does a few things on the bastion, and again.

Runs as process 1 of the node, as an ordinary user. What is absent is tried again at the next round.
Nothing here looks like an attack: the log-ins, searches and commands are what a rule must not mind.
"""

import contextlib
import http.client
import json
import os
import pty
import random
import re
import select
import signal
import sys
import time
import urllib.parse
from pathlib import Path
from types import FrameType
from typing import Final

SETTINGS: Final = json.loads(Path("/etc/persona.json").read_text(encoding="utf-8"))
DICE: Final = random.Random(SETTINGS["seed"])  # noqa: S311 - no secret hangs on it
BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
SEARCHES: Final = ("lamp", "desk lamp", "mug", "chair", "blanket", "clock", "oak", "linen", "tea bowl")
COMMANDS: Final = (
    "ls -la",
    "cat notes.txt",
    "df -h .",
    "uptime",
    "tail -n 5 logs/sync.log",
    "wc -l notes.txt",
    "mkdir -p reports",
    "cp notes.txt reports/notes.bak",
    "echo 'stock checked, nothing missing' > reports/today.txt",
    "grep -c written logs/sync.log",
)
ABSENT: Final = (OSError, http.client.HTTPException)


def pause(factor: float = 1.0) -> None:
    """Wait as long as a person would, in seconds."""
    time.sleep(factor * DICE.uniform(*SETTINGS["pause"]))


class Browser:
    """One visit to the shop, over one connection that is kept open, with its cookie."""

    def __init__(self, host: str) -> None:
        self._connection = http.client.HTTPConnection(host, timeout=10)
        self._host, self._cookie, self._page = host, "", ""

    def get(self, path: str) -> str:
        """Load a page and look at it for a while."""
        body = self._ask("GET", path)
        self._page = f"http://{self._host}{path}"
        pause()
        return body

    def fetch(self, path: str) -> None:
        """Load what a page needs: a style sheet, a picture."""
        self._ask("GET", path)

    def post(self, path: str, **fields: str) -> str:
        """Send a form; a redirection is followed, as every browser does."""
        return self._ask("POST", path, urllib.parse.urlencode(fields))

    def _ask(self, method: str, path: str, form: str | None = None) -> str:
        response = self._answer(method, path, form)
        body = response.read().decode(errors="replace")
        if given := response.getheader("Set-Cookie"):
            self._cookie = given.partition(";")[0]
        moved = response.getheader("Location")
        return self._ask("GET", moved) if moved else body

    def _answer(self, method: str, path: str, form: str | None) -> http.client.HTTPResponse:
        try:
            self._connection.request(method, path, form, self._headers(form))
            return self._connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._connection.close()  # the server had closed it while we were reading; a browser asks again
            self._connection.request(method, path, form, self._headers(form))
            return self._connection.getresponse()

    def _headers(self, form: str | None) -> dict[str, str]:
        headers = {"User-Agent": BROWSER, "Accept": "text/html,*/*;q=0.8", "Accept-Language": "en"}
        headers |= {"Cookie": self._cookie} if self._cookie else {}
        headers |= {"Referer": self._page} if self._page else {}
        return headers | ({"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {})

    def close(self) -> None:
        """Close the window."""
        self._connection.close()


def browse(count: int) -> None:
    """Visit the shop; each third visit is logged in, and looks at the account."""
    with contextlib.closing(Browser(SETTINGS["shop"])) as browser:
        front = browser.get("/")
        browser.fetch("/style.css")
        for picture in sorted(set(re.findall(r'src="(/pictures/\w+\.svg)"', front))):
            browser.fetch(picture)
        found = browser.get("/search?" + urllib.parse.urlencode({"q": DICE.choice(SEARCHES)}))
        products = re.findall(r'href="(/product/\d+)"', found) or ["/about"]
        chosen = DICE.choice(products)
        browser.get(chosen)
        if DICE.choice((True, False)) and chosen != "/about":
            browser.post("/basket", product=chosen.rpartition("/")[2], pieces="1")
            pause()
        if count % 3 == 0:
            browser.get("/login")
            browser.post("/login", name=SETTINGS["shop_user"], password=SETTINGS["shop_password"])
            pause()


class Terminal:
    """A program in a terminal, with a person before it."""

    def __init__(self, *command: str) -> None:
        self._pid, self._screen = pty.fork()
        if self._pid == 0:
            os.execv(command[0], command)  # noqa: S606
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


def mistypes(count: int) -> bool:
    """Tell whether the password goes wrong at this log-in: at the second, then at each so many."""
    every = SETTINGS["mistype_every"]
    return every > 0 and count > 1 and (count - 2) % every == 0


def work(count: int) -> None:
    """Log in to the bastion and do a few things there."""
    account = f"{SETTINGS['user']}@{SETTINGS['bastion']}"
    with contextlib.closing(Terminal("/usr/bin/ssh", account)) as terminal:
        if not log_in(terminal, mistype=mistypes(count)):
            return
        for command in DICE.sample(COMMANDS, DICE.randint(3, 4)):
            pause()
            terminal.type(command)
            terminal.wait_for("$ ")
        pause()
        terminal.type("exit")
        terminal.wait_for("closed", seconds=2)


def log_in(terminal: Terminal, *, mistype: bool) -> bool:
    """Answer the prompt for the password, at first wrongly if told to. Tell whether a shell came up."""
    password = SETTINGS["password"]
    for typed in (password[:-1], password) if mistype else (password,):
        if terminal.wait_for("password: ") == "":
            return False
        pause(0.5)
        terminal.type(typed)
    return terminal.wait_for("$ ") != ""


def leave(_signal: int, _frame: FrameType | None) -> None:
    """Process 1 has no default for SIGTERM, so it needs this one."""
    sys.exit(0)


def main() -> None:
    """Work until the node is stopped."""
    signal.signal(signal.SIGTERM, leave)
    count = 0
    while True:
        count += 1
        for task in (browse, work):
            with contextlib.suppress(*ABSENT):
                task(count)
            pause()


if __name__ == "__main__":
    main()
