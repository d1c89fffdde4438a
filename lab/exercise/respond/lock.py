"""Lock an account: password, key and open session are three doors, and each is shut by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal, get_args

from lab.exercise.respond.base import Done, Hand, NotDone, WrongResponse
from lab.exercise.respond.kill import end_processes
from lab.files import records

Door = Literal["password", "key", "session"]
"""A way into an account."""

DOORS: Final[tuple[Door, ...]] = get_args(Door)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """How an account stands in `/etc/shadow`."""

    there: bool
    """Whether there is such an account."""

    password: str
    """The field of its password, as it was."""

    expires: str
    """The field of the day on which it expires, as it was."""

    shut: tuple[Door, ...]
    """Which of its doors are shut now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lock:
    """An account that nobody can use."""

    kind: ClassVar[str] = "lock"
    react: ClassVar[str] = "RA3601"

    node: str
    """Which node."""

    user: str
    """The account."""

    door: tuple[Door, ...] = DOORS
    """Which doors; to leave one open is a lesson."""

    def act(self, hand: Hand) -> Done:
        """Shut its doors."""
        if unknown := sorted(set(self.door) - set(DOORS)):
            raise WrongResponse(f"an account has no door {', '.join(unknown)}; it has: {', '.join(DOORS)}")
        before = self._asked(hand, "look")
        if not before.there:
            raise WrongResponse(f"{self.node} has no account {self.user!r}")
        kept = records.to_json(before)
        hand.keep(kept)
        after = self._asked(hand, "shut")
        ended = len(end_processes(hand, user=self.user)) if "session" in self.door else 0
        if still := sorted(set(self.door) - {"session"} - set(after.shut)):
            raise NotDone(f"{self.user} on {self.node} can still come in by {' and '.join(still)}")
        return Done(said=self._told(ended), kept=kept)

    def _told(self, ended: int) -> str:
        left = [it for it in DOORS if it not in self.door]
        more = f"; {' and '.join(left)} left open" if left else ""
        counted = f", {ended} processes ended" if "session" in self.door else ""
        return f"{self.user} on {self.node}: {' and '.join(self.door)} shut{counted}{more}"

    def _asked(self, hand: Hand, do: str) -> Account:
        return hand.ask("hold_account", {"do": do, "user": self.user, "doors": self.door}, Account)

    def undo(self, hand: Hand, kept: str) -> str:
        """Give password and keys their use back; sessions that were ended stay so."""
        was = records.from_json(kept, Account)
        asked = {"do": "open", "user": self.user, "password": was.password, "expires": was.expires}
        hand.ask("hold_account", asked, Account)
        now = self._asked(hand, "look")
        if (now.password, now.expires) != (was.password, was.expires):
            raise NotDone(f"{self.user} on {self.node} is not as it was")
        return f"{self.user} on {self.node} is as before; ended sessions have to be opened anew"
