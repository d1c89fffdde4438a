"""Conditions in SQL mean what Sigma means, told by hand and by an independent evaluator."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lab.detect.sigma.detector import could_match, texts_of
from lab.detect.sigma.read import read_rules
from lab.detect.sigma.rule import Rule, RuleSet
from lab.errors import BadFile
from lab.files.loader import load
from lab.telemetry.event import FIELDS, Event
from lab.telemetry.events import Events
from lab.telemetry.matching import Matcher
from tests.detect.sigma import oracle
from tests.detect.sigma.oracle import Raw
from tests.support import SAMPLES, Case, by_name, cases

PUBLIC: Final = SAMPLES / "sigma"
"""Rules of SigmaHQ, with their licence."""

ALPHABET: Final = string.ascii_letters + string.digits + " /\\-_%'\"*?.{}~=éÉß\n"


SETTINGS: Final = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,  # the same events each time, since a test wants some of them to match
    phases=[Phase.generate],  # making a failing batch smaller takes minutes
    suppress_health_check=list(HealthCheck),
)


@cache
def matcher() -> Matcher:
    return Matcher()


def read(text: str, folder: Path) -> RuleSet:
    path = folder / "rule.yml"
    path.write_text(text, encoding="utf-8")
    return read_rules([path])


def written(**parts: Raw) -> str:
    rule = {"title": "a rule", "logsource": {"product": "linux", "category": "process_creation"}, **parts}
    return json.dumps(rule)  # JSON is YAML


def event(told: Mapping[str, Raw], number: int = 0, module: str = "snoopy") -> Event:
    made: Event = {"@timestamp": number, "event.id": f"event-{number}", "event.module": module}
    made["event.action"] = "exec"
    return made | {name: tuple(it) if isinstance(it, list) else it for name, it in told.items()}


def answers(rule: Rule, events: list[Event]) -> list[bool]:
    found = set(matcher().places(Events.of(events), [rule.where])[0])
    return [row in found for row in range(len(events))]


def only(rules: RuleSet) -> Rule:
    assert rules.unusable == ()
    (rule,) = rules.rules
    return rule


@pytest.mark.parametrize("case", cases("sigma"), ids=by_name)
def test_a_construct_means_what_the_specification_says(case: Case, tmp_path: Path) -> None:
    rule = only(read(written(detection=case.raw["detection"]), tmp_path))
    told = [*case.raw["matches"], *case.raw["must_not"]]
    expected = [True] * len(case.raw["matches"]) + [False] * len(case.raw["must_not"])
    events = [event(it, number) for number, it in enumerate(told)]
    assert answers(rule, events) == expected
    assert [oracle.matches(case.raw["detection"], it) for it in events] == expected


def _texts(value: Raw) -> Iterator[Raw]:
    if isinstance(value, dict):
        for it in value.values():
            yield from _texts(it)
    elif isinstance(value, list):
        for it in value:
            yield from _texts(it)
    elif value is not None:
        yield value


def _searches(detection: Raw) -> Iterator[tuple[str, Raw]]:
    """Yield each field with its modifiers, and each value it is compared with."""
    if isinstance(detection, list):
        for it in detection:
            yield from _searches(it)
    elif isinstance(detection, dict):
        for key, value in detection.items():
            for it in _texts(value):
                yield key, it
    else:
        yield "", detection


def _near(key: str, wanted: Raw) -> st.SearchStrategy[str]:
    """Make texts that a clause matches, and some that it just fails to match."""
    if "{200,}" in str(wanted):  # hypothesis takes a minute to make one of these
        return st.integers(198, 202).map("x".__mul__)
    if "|re" in key:
        flags = re.ASCII | (re.IGNORECASE if "|i" in key else re.ASCII)
        # A line feed at the very end is where the two dialects differ in what `$` means.
        return st.from_regex(re.compile(str(wanted), flags), alphabet=ALPHABET).map(
            lambda it: it.rstrip("\n")
        )
    plain = re.sub(r"\\([*?\\])", r"\1", str(wanted))
    around = st.text(ALPHABET, max_size=3)
    fitting = st.sampled_from([plain, plain.upper(), plain.lower(), plain.swapcase(), plain[1:], plain[:-1]])
    return st.tuples(st.one_of(st.just(""), around), fitting, st.one_of(st.just(""), around)).map("".join)


def _value(field: str, strategies: list[st.SearchStrategy[str]]) -> st.SearchStrategy[Raw]:
    texts = st.lists(st.one_of(strategies), min_size=1, max_size=4).map("".join)
    if FIELDS[field] == "long":
        return texts.map(lambda it: int(re.sub("[^0-9]", "", it)[:9] or 7))
    if FIELDS[field] == "boolean":
        return st.booleans()
    if FIELDS[field] == "keywords":
        return st.lists(texts, min_size=1, max_size=3).map(tuple)
    return texts


def near_events(detection: Mapping[str, Raw]) -> st.SearchStrategy[dict[str, Raw]]:
    """Make events whose fields are near what the clauses of a rule want; each may be missing."""
    clauses: dict[str, list[st.SearchStrategy[str]]] = {}
    for name, search in detection.items():
        for key, wanted in _searches(search) if name != "condition" else ():
            field = oracle.NAMES.get(key.partition("|")[0], key.partition("|")[0]) or "event.original"
            clauses.setdefault(field, []).append(_near(key, wanted))
    fields = {field: _value(field, strategies) for field, strategies in clauses.items()}
    return st.fixed_dictionaries({}, optional=fields)


def fitting_events(detection: Mapping[str, Raw]) -> list[dict[str, Raw]]:
    """Make events that fit as many clauses at once as can be: all texts of a field in one, in their places.

    Where only one of several can stand, at an end or alone, there is an event for each; and each
    event is there again without one of its fields, for the sake of filters.
    """
    fields: dict[str, dict[str, list[str]]] = {}
    for name, search in detection.items():
        for key, wanted in _searches(search) if name != "condition" else ():
            head, _, modifiers = key.partition("|")
            places = fields.setdefault(oracle.NAMES.get(head, head) or "event.original", {})
            place = modifiers.partition("|")[0] if head else "contains"
            places.setdefault(place, []).append(re.sub(r"\\([*?\\])", r"\1", str(wanted)))
    many = max((len(it) for places in fields.values() for it in places.values()), default=0)
    whole = [{field: _fitting(field, it, number) for field, it in fields.items()} for number in range(many)]
    return whole + [{key: it[key] for key in it if key != left} for it in whole for left in fields]


def _fitting(field: str, places: Mapping[str, list[str]], number: int) -> Raw:
    start, middle, end, alone = (places.get(it) or [""] for it in ("startswith", "contains", "endswith", ""))
    ends = start[number % len(start)], end[number % len(end)]
    text = alone[number % len(alone)] or " ".join(middle).join(ends)
    if FIELDS[field] == "long":
        return int(text) if text.isdecimal() else 0
    return (text,) if FIELDS[field] == "keywords" else text


def _public() -> list[Path]:
    return sorted(PUBLIC.glob("*.yml"))


@cache
def _public_rule(path: Path) -> tuple[Rule, Mapping[str, Raw]]:
    raw = load(path)[0].plain()
    assert isinstance(raw, dict)
    detection = raw["detection"]
    assert isinstance(detection, dict)
    return only(read_rules([path])), detection


@pytest.mark.parametrize("path", _public(), ids=lambda path: path.stem)
def test_public_rules_agree_with_an_independent_evaluator(path: Path) -> None:
    rule, detection = _public_rule(path)

    @SETTINGS
    @given(st.lists(near_events(detection), min_size=30, max_size=60))
    def agree(told: list[dict[str, Raw]]) -> None:
        events = [event(it, number, rule.modules[0]) for number, it in enumerate(fitting + told)]
        events = [it | {"process.name": "sshd"} if rule.modules == ("sshd",) else it for it in events]
        expected = [oracle.matches(detection, it) for it in events]
        assert answers(rule, events) == expected
        assert all(
            could_match(rule, texts_of(Events.of([it])))
            for it, yes in zip(events, expected, strict=True)
            if yes
        )
        hits.append(sum(expected))

    hits: list[int] = []
    fitting = fitting_events(detection)
    agree()
    assert sum(hits), "no event fulfilled the rule, so nothing was compared"


_CONSTRUCTS: Final = [it for it in cases("sigma") if it.name != "blocks-of-addresses"]


@pytest.mark.parametrize("case", _CONSTRUCTS, ids=by_name)
def test_constructs_agree_with_an_independent_evaluator(case: Case, tmp_path: Path) -> None:
    detection = case.raw["detection"]
    rule = only(read(written(detection=detection), tmp_path))

    @SETTINGS
    @given(st.lists(near_events(detection), min_size=30, max_size=60))
    def agree(told: list[dict[str, Raw]]) -> None:
        events = [event(it, number) for number, it in enumerate(told)]
        expected = [oracle.matches(detection, it) for it in events]
        assert answers(rule, events) == expected
        assert all(
            could_match(rule, texts_of(Events.of([it])))
            for it, yes in zip(events, expected, strict=True)
            if yes
        )

    agree()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.ip_addresses(), st.integers(0, 128), st.lists(st.ip_addresses(), max_size=30), st.integers(0, 7))
def test_blocks_of_addresses_are_exact(
    tmp_path: Path,
    base: Raw,
    length: int,
    others: list[Raw],
    step: int,  # either version
) -> None:
    from ipaddress import ip_network

    from lab.telemetry.sources.reading import address

    block = ip_network(f"{base}/{min(length, base.max_prefixlen)}", strict=False)
    detection = {"selection": {"source.ip|cidr": str(block)}, "condition": "selection"}
    edges = (
        [block[0], block[-1], block[0] + step, block[-1] - step] if block.num_addresses > 7 else [block[0]]
    )
    outside = [int(block[0]) - 1, int(block[-1]) + 1]
    near = [type(base)(it) for it in outside if 0 <= it < 2**base.max_prefixlen]
    told = [{"source.ip": str(it)} for it in (*edges, *near, *others) if address(str(it)) == str(it)]
    events = [event(it, number) for number, it in enumerate(told)]
    rule = only(read(written(detection=detection), tmp_path))
    assert answers(rule, events) == [oracle.matches(detection, it) for it in events]


def test_all_public_rules_can_be_evaluated() -> None:
    rules = read_rules([PUBLIC])
    assert rules.unusable == ()
    assert len(rules.rules) == len(_public())


def test_a_field_no_event_has_is_named(tmp_path: Path) -> None:
    text = written(detection={"selection": {"Hashes|contains": "x"}, "condition": "selection"})
    (refused,) = read(text, tmp_path).unusable
    assert refused.why == "no event has the field 'Hashes'"


@pytest.mark.parametrize(
    ("logsource", "why"),
    [
        ({"product": "macos", "category": "file_event"}, "category file_event, product macos"),
        ({"category": "webserver", "service": "iis"}, "category webserver, service iis"),
    ],
)
def test_a_log_source_we_lack_is_named(logsource: dict[str, str], why: str, tmp_path: Path) -> None:
    detection = {"selection": {"user.name": "x"}, "condition": "selection"}
    (refused,) = read(written(logsource=logsource, detection=detection), tmp_path).unusable
    assert refused.why == f"no log source here gives {why}"


@pytest.mark.parametrize(
    ("search", "reason"),
    [({"CommandLine|re": "a(?=b)"}, "invalid perl operator"), ({"CommandLine|expand": "%x%"}, "placeholder")],
)
def test_a_construct_we_lack_is_named(search: dict[str, str], reason: str, tmp_path: Path) -> None:
    text = written(detection={"selection": search, "condition": "selection"})
    (refused,) = read(text, tmp_path).unusable
    assert reason in refused.why


def test_every_problem_of_a_folder_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("title: a\nlogsource:\n  product: linux\nlevel: dire\n", encoding="utf-8")
    (tmp_path / "b.yml").write_text("title: [unclosed\n", encoding="utf-8")
    (tmp_path / "c.yml").write_text(
        f"{written(detection={'s': {'User': 'x'}, 'condition': 's'})}\n---\ntitle: c\ndetection:\n"
        "  s: {User|nonsense: x}\n  condition: s\nlogsource: {product: linux}\n",
        encoding="utf-8",
    )
    (tmp_path / "d.yml").write_text("- a list\n", encoding="utf-8")
    expected = {("a.yml", 4), ("b.yml", 2), ("c.yml", 4), ("d.yml", 1)}
    with pytest.raises(BadFile) as caught:
        read_rules(sorted(tmp_path.iterdir()))
    assert expected <= {(Path(it.path).name, it.line) for it in caught.value.problems}
    found = read_rules([tmp_path])  # one file does not spoil the others of a folder
    assert {Path(it.path).name for it in found.unusable} == {name for name, _ in expected}
    assert [it.title for it in found.rules] == ["a rule"]


def test_documents_of_one_file_have_their_own_hashes(tmp_path: Path) -> None:
    one = "title: one\nlogsource: {product: linux}\ndetection: {s: {user.name: x}, condition: s}\n"
    both = read(f"{one}---\n{one.replace('one', 'two')}", tmp_path).rules
    alone = only(read(one, tmp_path))
    assert [it.title for it in both] == ["one", "two"]
    assert both[0].hash == alone.hash != both[1].hash


def test_a_correlation_of_what_cannot_be_evaluated_is_refused(tmp_path: Path) -> None:
    base = written(
        name="base",
        detection={"s": {"Hashes": "x"}, "condition": "s"},
        id="11111111-1111-4111-8111-111111111111",
    )
    chained = json.dumps(
        {
            "title": "chained",
            "correlation": {
                "type": "event_count",
                "rules": ["base"],
                "timespan": "1m",
                "condition": {"gte": 2},
            },
        }
    )
    refused = read(f"{base}\n---\n{chained}\n", tmp_path).unusable
    assert [it.title for it in refused] == ["a rule", "chained"]
    assert "11111111-1111-4111-8111-111111111111" in refused[1].why


@pytest.mark.parametrize("wrong", [-1, [None], {}, [[1]], "s and", "1 of", "(s", "other"])
def test_a_condition_of_any_shape_is_refused_and_not_a_crash(wrong: Raw, tmp_path: Path) -> None:
    text = written(detection={"s": {"User": "x"}, "condition": wrong})
    try:
        rules = read(text, tmp_path)
    except BadFile:
        return
    assert (len(rules.rules), len(rules.unusable)) == (0, 1)


def test_a_correlation_of_itself_is_refused(tmp_path: Path) -> None:
    counted = {"type": "event_count", "rules": ["loop"], "timespan": "1m", "condition": {"gte": 2}}
    (refused,) = read(
        json.dumps({"title": "loop", "name": "loop", "correlation": counted}), tmp_path
    ).unusable
    assert "itself" in refused.why
