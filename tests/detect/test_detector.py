"""The whole of detection over a stream: alerts, their evidence, and that batches do not matter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.detect.alert import Alert
from lab.detect.detector import OWN_RULES
from lab.detect.queue import Queue
from lab.detect.sigma.detector import SigmaDetector
from lab.detect.sigma.read import read_rules
from lab.detect.sigma.rule import RuleSet
from lab.moment import Moment
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from tests.detect.events import event

NOW: Final = Moment(1)


@cache
def rules() -> RuleSet:
    return read_rules([OWN_RULES])


def alerts(batches: Sequence[Sequence[Event]]) -> list[Alert]:
    detector = SigmaDetector(rules())
    return [alert for batch in batches for alert in detector.feed(Events.of(batch), NOW)]


def titles(batches: Sequence[Sequence[Event]]) -> list[str]:
    return [alert.title for alert in alerts(batches)]


def failures(count: int, source: str = "10.0.0.5", at: float = 0) -> list[Event]:
    return [
        event(
            {"ssh": "failure", "source": source, "user": "anna", "at": at + number, "port": 40_000 + number}
        )
        for number in range(count)
    ]


def test_evidence_of_one_batch_about_the_same_entities_is_one_alert() -> None:
    batch = [event({"run": "chmod u+s x", "user": user, "at": at}) for at, user in enumerate("aab")]
    found = alerts([batch])
    assert [it.event_ids for it in found] == [
        (batch[0]["event.id"], batch[1]["event.id"]),
        (batch[2]["event.id"],),
    ]
    assert [it.entities["user.name"] for it in found] == [("a",), ("b",)]


def test_the_same_rule_a_batch_later_is_an_alert_with_its_own_evidence() -> None:
    first, second = event({"run": "chmod u+s x"}), event({"run": "chmod u+s x", "at": 20})
    assert [it.event_ids for it in alerts([[first], [second]])] == [
        (first["event.id"],),
        (second["event.id"],),
    ]


def test_an_alert_says_when() -> None:
    seen = event({"run": "chmod u+s x", "at": 3})
    (alert,) = alerts([[seen]])
    assert (alert.first_event, alert.ingested, alert.raised) == (
        seen["@timestamp"],
        seen["event.ingested"],
        NOW,
    )


def test_guessing_then_a_log_in_is_found_across_batches() -> None:
    login = event({"ssh": "success", "source": "10.0.0.5", "user": "anna", "at": 30})
    found = titles([[it] for it in [*failures(6), login]])
    assert [it for it in found if it.startswith("SSH")] == [
        "SSH password guessing from one address",
        "SSH log-in after password guessing",
    ]


def test_each_log_in_after_guessing_is_news_in_whichever_batch() -> None:
    logins = [event({"ssh": "success", "source": "10.0.0.5", "user": "anna", "at": at}) for at in (30, 40)]
    found = titles([[it] for it in [*failures(4), *logins]])
    assert found.count("SSH log-in after password guessing") == 2


def test_one_mistyped_password_is_no_alert() -> None:
    login = event({"ssh": "success", "source": "10.0.0.5", "user": "anna", "at": 5})
    assert titles([[*failures(1), login]]) == []


def test_rules_that_only_serve_correlations_raise_nothing() -> None:
    assert titles([failures(2)]) == []
    assert titles([[event({"run": "uname -a"})]]) == []


def test_a_flood_is_one_alert_with_bounded_evidence() -> None:
    batch = [event({"run": "chmod u+s x", "at": number / 100}) for number in range(500)]
    (alert,) = alerts([batch])
    assert (len(alert.event_ids), alert.evidence_count) == (100, 500)


def test_a_person_at_work_raises_nothing() -> None:
    lines = [
        "ls -la",
        "cat notes.txt",
        "df -h",
        "uptime",
        "tail -f notes.txt",
        "vi report.md",
        "ssh bastion",
        "curl http://shop/",
        "id -u",
        "date",
        "grep -r invoice .",
        "mkdir -p drafts",
        "less README",
        "git status",
        "ping -c1 shop",
    ]
    assert titles([[event({"run": line, "at": number}) for number, line in enumerate(lines)]]) == []


def test_the_hashes_of_all_rules_are_told() -> None:
    known = SigmaDetector(rules()).rules
    assert set(known) == {*(it.id for it in rules().rules), *(it.id for it in rules().correlations)}
    assert all(known.values())


TOLD: Final = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "run": st.sampled_from(["whoami", "uname -a", "ps aux", "ss -t", "ls", "cat /etc/shadow"]),
                "user": st.sampled_from(["maria", "tom"]),
                "at": st.integers(0, 200),
            }
        ),
        st.fixed_dictionaries(
            {
                "ssh": st.sampled_from(["failure", "failure", "failure", "success"]),
                "source": st.sampled_from(["10.0.0.5", "10.0.0.6"]),
                "user": st.sampled_from(["a", "b", "c", "d", "e"]),
                "at": st.integers(0, 200),
            }
        ),
    ),
    max_size=60,
)


def merged(found: Sequence[Alert]) -> dict[object, set[str]]:
    """Put the evidence of alerts of one rule and the same entities together."""
    together: dict[object, set[str]] = defaultdict(set)
    for alert in found:
        together[alert.rule_id, *sorted(alert.entities.items())].update(alert.event_ids)
    return together


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(told=TOLD, cuts=st.lists(st.integers(0, 60), max_size=3))
def test_cutting_the_stream_changes_nothing(told: list[dict[str, object]], cuts: list[int]) -> None:
    events = [event(it) for it in told]
    edges = [0, *sorted(cuts), len(events)]
    batches = [events[start:end] for start, end in pairwise(edges)]
    whole, parts = alerts([events]), alerts(batches)
    assert merged(parts) == merged(whole)
    assert shown(parts) == shown(whole)


def shown(found: Sequence[Alert]) -> list[tuple[object, ...]]:
    """Return what a person is shown of alerts."""
    return sorted(
        (it.first.rule_id, it.evidence, sorted(it.entities.items()), it.began) for it in Queue(found).entries
    )


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(told=TOLD, cut=st.integers(0, 60))
def test_a_restart_changes_nothing(told: list[dict[str, object]], cut: int) -> None:
    events = [event(it) for it in told]
    before, after = events[:cut], events[cut:]
    first, second = SigmaDetector(rules()), SigmaDetector(rules())
    early = first.feed(Events.of(before), Moment(1))
    second.recall(Events.of(before))
    late = second.feed(Events.of(after), Moment(2))
    assert late == first.feed(Events.of(after), Moment(2))
    assert merged([*early, *late]) == merged(alerts([before, after]))
    first.close()
    second.close()
