"""A person at work: does what a day's plan says, and again the next day, until the node is stopped.

Runs as process 1 of the node, as an ordinary user. How busy the day is, and what chance is drawn from, can be
ordered; what was done is written down for whoever set the exercise, and is in no log.
"""

import contextlib
import http.client
import itertools
import json
import random
import signal
import smtplib
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from person import Desk, Person
from plan import Doing, day_of

SETTINGS = json.loads(Path("/etc/person.json").read_text(encoding="utf-8"))
HERE = Path("/var/lib/person")
ORDERS, DONE = HERE / "orders.json", HERE / "done.jsonl"
ABSENT = (OSError, http.client.HTTPException, smtplib.SMTPException)
"""What is absent is tried again another time."""

_writing = threading.Lock()


def orders() -> dict[str, Any]:
    """Return how the days are to be; what was never ordered is as the node was made."""
    given: dict[str, Any] = {}
    with contextlib.suppress(FileNotFoundError, ValueError):
        given = json.loads(ORDERS.read_text(encoding="utf-8"))
    return {**SETTINGS["day"], **{name: value for name, value in given.items() if value is not None}}


def tell(**said: object) -> None:
    """Write down something about what is done."""
    with _writing, contextlib.suppress(OSError), DONE.open("a", encoding="utf-8") as file:
        file.write(json.dumps(said) + "\n")


def do(doing: Doing, seed: str, pace: float, ordered: object) -> None:
    """Do one thing, and write down that it began and that it ended."""
    who = Person(Desk(**SETTINGS["desk"]), random.Random(f"{seed} {doing.number}"), pace)  # noqa: S311
    name = f"{seed}-{doing.number}"
    base = {"ordered": ordered, "name": name, "kind": doing.kind.name, "suspicious": doing.kind.suspicious}
    tell(**base, start=time.time_ns())
    try:
        doing.kind.habit(who)
    except ABSENT as error:
        tell(**base, end=time.time_ns(), failed=str(error))
    else:
        tell(**base, end=time.time_ns())


def work(now: dict[str, Any], day: int) -> bool:
    """Live through one day; tell whether it came to its end, and not to new orders."""
    seed = f"{now['seed']}-{day}"
    plan = day_of(seed, now["character"], Desk(**SETTINGS["desk"]), now["length"], now["intensity"])
    begun = time.monotonic()
    for doing in plan:
        if not wait_until(begun + doing.at, now):
            return False
        task = (doing, seed, now["pace"], now.get("ordered"))
        if doing.kind.background:
            threading.Thread(target=do, args=task, daemon=True).start()
        else:
            do(*task)
    return wait_until(begun + now["length"], now)


def wait_until(moment: float, now: dict[str, Any]) -> bool:
    """Wait; tell whether the orders are the same still."""
    while (left := moment - time.monotonic()) > 0:
        time.sleep(min(left, 0.2))
        if orders() != now:
            return False
    return orders() == now


def leave(_signal: int, _frame: FrameType | None) -> None:
    """Process 1 has no default for SIGTERM, so it needs this one."""
    sys.exit(0)


def main() -> None:
    """Work until the node is stopped."""
    signal.signal(signal.SIGTERM, leave)
    while True:
        now = orders()
        for day in itertools.count(1):
            if not work(now, day):
                break


if __name__ == "__main__":
    main()
