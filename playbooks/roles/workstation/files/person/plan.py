"""What somebody does in a day, and when: drawn from a seed, and known before the day begins."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

import ordinary
import suspicious
from person import Desk, Habit

BEGINS = 8.5
"""The hour at which a day of work begins, and a plan with it."""

WORK = (8.5, 17.5)
NIGHT = (19.0, 30.0)
ANY = (8.5, 32.0)
"""Hours of one day and the night after it; 30 is six in the morning."""

SHARES = (0.05, 0.2)
"""The part of what is done beyond once a day that looks suspicious is drawn between these."""

EVERY = 12.0
"""Seconds from one thing to the next, at an intensity of 1."""


@dataclass(frozen=True)
class Kind:
    """A kind of thing that somebody does."""

    habit: Habit
    who: str
    """Letters of those who do it: clerk, administrator, developer."""

    hours: tuple[float, float] = WORK
    suspicious: bool = False
    needs: str = ""
    """What the lab must have for it, a field of `Desk`."""

    background: bool = False
    """Whether it goes on while other things are done."""

    @property
    def name(self) -> str:
        """How truth calls it."""
        return self.habit.__name__.replace("_", "-")


ORDINARY = (
    Kind(ordinary.browse_shop, "cad"),
    Kind(ordinary.search_shop, "cad"),
    Kind(ordinary.order_something, "c", ANY),
    Kind(ordinary.log_in_to_shop, "cd"),
    Kind(ordinary.use_telephone_app, "cd", ANY),
    Kind(ordinary.follow_parcel, "c"),
    Kind(ordinary.write_review, "c"),
    Kind(ordinary.work_on_server, "cad"),
    Kind(ordinary.mistype_password, "cd"),
    Kind(ordinary.list_packages, "a"),
    Kind(ordinary.read_logs, "a"),
    Kind(ordinary.restart_service, "a"),
    Kind(ordinary.use_sudo, "a"),
    Kind(ordinary.look_at_schedule, "a"),
    Kind(ordinary.run_scheduled_job, "cad", ANY),
    Kind(ordinary.back_up_over_ssh, "cad", ANY),
    Kind(ordinary.fetch_over_http, "ad", ANY),
    Kind(ordinary.look_up_names, "cad", needs="names"),
    Kind(ordinary.send_mail, "ca", needs="mail"),
    Kind(ordinary.probe_services, "a", ANY),
)
_LOOKING_BAD = (
    Kind(suspicious.look_around_as_root, "a"),
    Kind(suspicious.read_shadow, "a"),
    Kind(suspicious.add_account, "a"),
    Kind(suspicious.add_cron_job, "a"),
    Kind(suspicious.copy_key, "ad"),
    Kind(suspicious.mistype_five_times, "c"),
    Kind(suspicious.retry_expired_password, "d", NIGHT, background=True),
    Kind(suspicious.deploy, "ad"),
    Kind(suspicious.decode_base64, "d"),
    Kind(suspicious.download_and_run, "d"),
    Kind(suspicious.open_port, "d"),
    Kind(suspicious.use_tunnel, "d"),
    Kind(suspicious.search_oddly, "c"),
    Kind(suspicious.move_much_data, "a", NIGHT),
    Kind(suspicious.poll_like_a_beacon, "a", ANY, background=True),
    Kind(suspicious.ask_for_random_names, "cd", ANY, needs="names"),
    Kind(suspicious.scan_as_agreed, "a", NIGHT),
    Kind(suspicious.audit_setuid, "a"),
    Kind(suspicious.archive_and_send, "c"),
    Kind(suspicious.tidy_history, "d"),
    Kind(suspicious.look_for_secrets, "a"),
    Kind(suspicious.log_in_as_somebody_else, "d"),
    Kind(suspicious.touch_times, "d"),
)
SUSPICIOUS = tuple(replace(it, suspicious=True) for it in _LOOKING_BAD)
CHARACTERS = {"clerk": "c", "administrator": "a", "developer": "d", "everybody": "cad"}


@dataclass(frozen=True)
class Doing:
    """One thing that will be done."""

    at: float
    """Seconds after the day began."""

    kind: Kind
    number: int


def day_of(seed: str, character: str, desk: Desk, length: float, intensity: float) -> list[Doing]:
    """Draw one day: each kind once, and ordinary things between, some of them suspicious.

    Args:
        seed: What chance is drawn from; the same seed gives the same day.
        character: One of `CHARACTERS`.
        desk: What there is to work with.
        length: How many seconds a day and its night take.
        intensity: How busy it is; 1 is something each `EVERY` seconds.
    """
    dice = random.Random(seed)  # noqa: S311 - no secret hangs on it
    usual, odd = (_of(kinds, character, desk) for kinds in (ORDINARY, SUSPICIOUS))
    share = dice.uniform(*SHARES)
    more = max(0, round(intensity * length / EVERY) - len(usual) - len(odd))
    extra = [dice.choice(odd if odd and dice.random() < share else usual) for _ in range(more)]
    drawn = [(_moment(dice, kind, length), kind) for kind in (*usual, *odd, *extra)]
    drawn.sort(key=lambda it: it[0])
    return [Doing(at, kind, number) for number, (at, kind) in enumerate(drawn, 1)]


def _of(kinds: Iterable[Kind], character: str, desk: Desk) -> list[Kind]:
    letters = CHARACTERS[character]
    return [it for it in kinds if set(it.who) & set(letters) and (not it.needs or getattr(desk, it.needs))]


def _moment(dice: random.Random, kind: Kind, length: float) -> float:
    return (dice.uniform(*kind.hours) - BEGINS) / 24 * length
