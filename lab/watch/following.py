"""What goes on in a run, seen from its files: also by who does not watch it himself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from lab.detect.alert import Alert, read_alerts
from lab.moment import SECOND, Moment
from lab.runs.noticed import Noticed
from lab.telemetry.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Glance:
    """What came since the last glance."""

    events: int
    """How many events are stored by now."""

    rates: Mapping[str, float]
    """Events a second by log, the busiest first."""

    alerts: tuple[Alert, ...]
    """What was raised."""

    raised: int
    """How often a rule has been raised by now."""

    delay: float
    """Seconds from an event until it was stored, of the slowest new one; 0 when there is none."""

    def __str__(self) -> str:
        """Say it in one line."""
        rates = ", ".join(f"{name} {rate:.1f}" for name, rate in self.rates.items())
        came = f"; a second: {rates}; stored within {self.delay:.1f} s" if rates else ""
        return f"{self.events} events, {self.raised} alerts{came}"


class Following:
    """A run that is being looked at."""

    def __init__(self, noticed: Noticed) -> None:
        self._noticed = noticed
        self._store = Store(noticed.events)
        self._looked = Moment(0)
        self._seen = 0
        self._since = Moment.now()

    def look(self) -> Glance:
        """Look once more."""
        now = Moment.now()
        modules, delay, latest = Counter[str](), 0.0, self._looked
        for events in self._store.stored_after(self._looked):
            ingested = events.column("event.ingested")
            modules.update(str(it) for it in events.column("event.module"))
            pairs = zip(ingested, events.column("@timestamp"), strict=True)
            delay = max(delay, *((stored - happened) / SECOND for stored, happened in pairs))
            latest = Moment(max(latest, *ingested))
        passed = max(0.001, (now - self._since) / SECOND)
        alerts = read_alerts(self._noticed)
        glance = Glance(
            events=self._store.count(),
            rates={name: count / passed for name, count in modules.most_common()},
            alerts=alerts[self._seen :],
            raised=len(alerts),
            delay=delay,
        )
        self._looked, self._since, self._seen = latest, now, len(alerts)
        return glance
