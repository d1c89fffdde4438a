"""What detects: new events in, alerts out. One visible list, whatever the detectors are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from lab.detect.alert import Alert
from lab.moment import Moment

if TYPE_CHECKING:  # who only wants to know where the rules are need not wait for Arrow
    from lab.detect.model import Model, WindowModel
    from lab.telemetry.events import Events

OWN_RULES: Final = Path(__file__).parent / "rules"
"""The Sigma rules that ship with the program."""


class Detector(Protocol):
    """Something that notices."""

    @property
    def rules(self) -> Mapping[str, str]:
        """Rule id to content hash, of everything it can raise."""
        ...

    def feed(self, events: Events, now: Moment) -> tuple[Alert, ...]:
        """Look at new events, each once.

        Args:
            events: What has just entered the store, with `event.ingested` set.
            now: The moment that counts as the one the alerts are raised at.
        """
        ...

    def recall(self, events: Events) -> None:
        """Take note of events that were looked at before a restart, and raise nothing.

        Args:
            events: What is in the store, in the order in which it entered.
        """
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


def detectors(
    sensor_rules: str, rules: Iterable[Path] = (OWN_RULES,), models: Iterable[Model | WindowModel] = ()
) -> tuple[Detector, ...]:
    """Make every detector there is.

    Args:
        sensor_rules: Text of the rules that the lab's sensors run.
        rules: Sigma files, and folders of them.
        models: Models that are switched on.

    Raises:
        BadFile: a rule cannot be read.
    """
    from lab.detect.model import detector_of
    from lab.detect.reported import SuricataDetector
    from lab.detect.sigma.compiled import rules_of
    from lab.detect.sigma.detector import SigmaDetector

    return (
        SigmaDetector(rules_of(rules)),
        SuricataDetector(sensor_rules),
        *map(detector_of, models),
    )


def all_rules(loaded: Iterable[Detector]) -> Mapping[str, str]:
    """Return rule id to content hash, of every rule of every detector."""
    return dict(sorted((rule, digest) for it in loaded for rule, digest in it.rules.items()))
