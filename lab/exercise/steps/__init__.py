"""The kinds of step there are. To add one: a module here, and its class in this list."""

from __future__ import annotations

from typing import Final

from lab.exercise.listed import by_kind
from lab.exercise.steps.atomic import Atomic
from lab.exercise.steps.base import Step
from lab.exercise.steps.command import Command
from lab.exercise.steps.health import Health
from lab.exercise.steps.http import Http
from lab.exercise.steps.listen import Listen
from lab.exercise.steps.nmap import Nmap
from lab.exercise.steps.packet import Packet
from lab.exercise.steps.playbook import Playbook
from lab.exercise.steps.ssh import Ssh
from lab.exercise.steps.traffic import Traffic
from lab.exercise.steps.wait import Wait

STEP_KINDS: Final[dict[str, type[Step]]] = by_kind(
    Atomic, Command, Health, Http, Listen, Nmap, Packet, Playbook, Ssh, Traffic, Wait
)
"""Name in a scenario to the class that does it."""

NO_ATTACK: Final = frozenset(by_kind(Health, Listen, Wait))
"""Those that need no technique: without one they are set-up, and nobody is to detect them."""
