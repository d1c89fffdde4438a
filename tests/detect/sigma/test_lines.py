"""Rules over JSON lines under Sigma's own names: the same answers as an independent evaluator's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.detect.sigma.compiled import written_rules_of
from lab.detect.sigma.lines import Hit, LineDetector, shapes_of
from lab.detect.sigma.read import read_written
from lab.detect.sigma.rule import WrittenRules
from lab.detect.sigma.taxonomy import Source
from lab.errors import WrongInput
from lab.files.loader import load
from lab.moment import Moment
from lab.telemetry import written as matching
from tests.detect.sigma import oracle
from tests.detect.sigma.oracle import Raw
from tests.detect.sigma.test_sigma import (
    PUBLIC,
    SETTINGS,
    fitting_events,
    near_events,
    written,
)
from tests.support import Case, by_name, cases

SIGMA: Final = {ecs: name for name, ecs in reversed(oracle.NAMES.items())}
"""ECS fields under Sigma's names."""

PROCESS: Final = Source(product="linux", category="process_creation")


def line(told: dict[str, Raw], left: str = "") -> bytes:
    """Write an event under Sigma's names, but for those of ECS that a rule names."""
    names = {it: it if f'"{it}' in left else SIGMA.get(it, it) for it in told}
    said = {names[name]: list(it) if isinstance(it, tuple) else it for name, it in told.items()}
    return json.dumps(said).encode()


def hits(rules: WrittenRules, lines: Sequence[bytes], *, chunks: Sequence[int] = ()) -> list[Hit]:
    """Evaluate rules on lines, cut into chunks behind some of them."""
    ends = [*sorted(it for it in chunks if 0 < it < len(lines)), len(lines)]
    starts = [0, *ends[:-1]]
    pieces = [b"".join(it + b"\n" for it in lines[a:b]) for a, b in zip(starts, ends, strict=True)]
    with LineDetector(rules, shapes_of(b"\n".join(lines))) as detector:
        found = list(detector.hits(pieces))
        assert detector.lines == len(lines)
    return found


def numbers(rules: WrittenRules, lines: Sequence[bytes]) -> list[int]:
    return [it.numbers[-1] for it in hits(rules, lines)]


def read(text: str, folder: Path, source: Source | None = PROCESS) -> WrittenRules:
    path = folder / "rule.yml"
    path.write_text(text, encoding="utf-8")
    return read_written([path], source)


def _agree(rules: WrittenRules, detection: dict[str, Raw], told: list[dict[str, Raw]]) -> int:
    searches = [it for name, it in detection.items() if name != "condition"]
    entries = [entry for it in searches for entry in (it if isinstance(it, list) else [it])]
    told = [{name: tuple(it) if isinstance(it, list) else it for name, it in one.items()} for one in told]
    seen = told
    if not all(isinstance(it, dict) for it in entries):  # keywords are looked for in every value
        seen = [{**it, "event.original": "\n".join(map(str, it.values()))} for it in told]
    expected = [number for number, it in enumerate(seen, 1) if oracle.matches(detection, it)]
    assert numbers(rules, [line(it, json.dumps(detection)) for it in told]) == expected
    return len(expected)


@cache
def _public(path: Path) -> tuple[WrittenRules, dict[str, Raw]]:
    raw = load(path)[0].plain()
    assert isinstance(raw, dict)
    detection = raw["detection"]
    assert isinstance(detection, dict)
    asked = raw["logsource"]
    assert isinstance(asked, dict)
    return read_written(
        [path], Source(**{name: str(it) for name, it in asked.items() if name != "definition"})
    ), detection


@pytest.mark.parametrize("path", sorted(PUBLIC.glob("*.yml")), ids=lambda path: path.stem)
def test_public_rules_agree_with_an_independent_evaluator(path: Path) -> None:
    rules, detection = _public(path)
    assert len(rules.rules) == 1

    @SETTINGS
    @given(st.lists(near_events(detection), min_size=30, max_size=60))
    def agree(told: list[dict[str, Raw]]) -> None:
        found.append(_agree(rules, detection, fitting_events(detection) + told))

    found: list[int] = []
    agree()
    assert sum(found), "no event fulfilled the rule, so nothing was compared"


@pytest.mark.parametrize("case", cases("sigma"), ids=by_name)
def test_a_construct_means_what_the_specification_says(case: Case, tmp_path: Path) -> None:
    detection = case.raw["detection"]
    rules = read(written(detection=detection), tmp_path)
    assert rules.unusable == ()
    _agree(rules, detection, [*case.raw["matches"], *case.raw["must_not"]])


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask after every chunk, however small."""
    monkeypatch.setattr(matching, "_TOGETHER", 1)


CHAINED: Final = "\n---\n".join(
    (
        written(
            title="a sign",
            name="sign",
            detection={"s": {"CommandLine|contains": "whoami"}, "condition": "s"},
        ),
        json.dumps(
            {
                "title": "many signs",
                "correlation": {
                    "type": "event_count",
                    "rules": ["sign"],
                    "group-by": ["User"],
                    "timespan": "10s",
                    "condition": {"gte": 3},
                },
            }
        ),
    )
)


@pytest.mark.usefixtures("together")
@given(cuts=st.lists(st.integers(0, 40), max_size=6))
@SETTINGS
def test_cutting_the_lines_changes_nothing(cuts: list[int], tmp_path: Path) -> None:
    rules = read(CHAINED, tmp_path)
    lines = [
        line(
            {
                "CommandLine": "whoami" if it % 3 else "id",
                "User": f"u{it % 2}",
                "UtcTime": f"2026-11-24 10:00:{it:02}",
            }
        )
        for it in range(40)
    ]
    whole = hits(rules, lines)
    assert [it.rule.title for it in whole][:1] == ["many signs"]
    assert hits(rules, lines, chunks=cuts) == whole


def test_what_is_no_object_is_named_by_its_line(tmp_path: Path) -> None:
    rules = read(written(detection={"s": {"User": "x"}, "condition": "s"}), tmp_path)
    lines = [b'{"User": "x"}', b"", b"{broken", b"  ", b"[1]", b"7", b' {"User": "X"}\r']
    with LineDetector(rules, ("",)) as detector:
        assert [it.numbers for it in detector.hits([b"\n".join(lines)])] == [(1,), (7,)]
        assert detector.broken == [3, 5, 6]
        assert detector.lines == 7


@pytest.mark.parametrize(
    ("said", "matches"),
    [
        ({"User": ["a", "x"]}, 1),
        ({"User": {"x": "x"}}, 0),
        ({"User": None}, 0),
        ({"user": "x"}, 0),
        ({"Event": {"EventData": {"User": "x"}}}, 1),
        ({"winlog": {"event_data": {"User": "x"}}}, 1),
        ({"User": "\\u0078 ".strip()}, 0),
    ],
)
def test_fields_are_found_where_they_lie(said: dict[str, Raw], matches: int, tmp_path: Path) -> None:
    rules = read(written(detection={"s": {"User": "x"}, "condition": "s"}), tmp_path)
    assert len(hits(rules, [json.dumps(said).encode()])) == matches


def test_escaped_text_is_the_text_it_stands_for(tmp_path: Path) -> None:
    rules = read(written(detection={"s": {"Image|endswith": "/evil"}, "condition": "s"}), tmp_path)
    assert numbers(rules, [b'{"Image": "\\u002ftmp\\/\\u0065vil"}', b'{"Image": "x\\\\evil"}']) == [1]


def test_names_with_dots_lead_into_objects(tmp_path: Path) -> None:
    rules = read(written(detection={"s": {"a.b.c|exists": True}, "condition": "s"}), tmp_path)
    assert numbers(rules, [b'{"a": {"b": {"c": 1}}}', b'{"a.b.c": 1}', b'{"a": {"b": 1}}']) == [1, 2]


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("linux/process_creation", Source(product="linux", category="process_creation")),
        ("Windows/Security", Source(product="windows", service="security")),
        ("webserver", Source(category="webserver")),
        ("security", Source(product="windows", service="security")),
        ("linux/auditd", Source(product="linux", service="auditd")),
    ],
)
def test_a_log_source_is_read(text: str, source: Source) -> None:
    assert Source.parse(text) == source


@pytest.mark.parametrize("text", ["a/b/c", "/process_creation", "linux/"])
def test_what_names_no_log_source_is_told(text: str) -> None:
    with pytest.raises(WrongInput, match="product/category"):
        Source.parse(text)


ASKED: Final = {
    "linux start": {"product": "linux", "category": "process_creation"},
    "any start": {"category": "process_creation"},
    "windows start": {"product": "windows", "category": "process_creation"},
    "windows security": {"product": "windows", "service": "security"},
    "windows file": {"product": "windows", "category": "file_event"},
    "windows dns": {"product": "windows", "category": "dns_query"},
    "web": {"category": "webserver"},
    "aws": {"product": "aws", "service": "cloudtrail"},
}

SEEN: Final[list[tuple[dict[str, Raw], set[str]]]] = [
    ({"Image": "/bin/id", "CommandLine": "id"}, {"linux start", "any start"}),
    ({"Image": "C:\\a.exe", "CommandLine": "a"}, {"windows start", "any start"}),
    (
        {"EventID": 4688, "Channel": "Security", "CommandLine": "a"},
        {"windows start", "any start", "windows security"},
    ),
    ({"EventID": 4624, "Channel": "Security"}, {"windows security"}),
    (
        {"EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "Image": "C:\\a.exe"},
        {"windows start", "any start"},
    ),
    ({"EventID": 11, "Channel": "Microsoft-Windows-Sysmon/Operational", "Image": "C:\\a"}, {"windows file"}),
    ({"Image": "C:\\a.exe", "TargetFilename": "C:\\b"}, {"windows file"}),
    ({"Image": "C:\\a.exe", "QueryName": "x"}, {"windows dns"}),
    ({"cs-method": "GET", "cs-uri-query": "a=b"}, {"web"}),
    ({"eventSource": "iam"}, set()),
]


@pytest.mark.parametrize(("said", "fitting"), SEEN)
def test_a_log_source_is_found_from_the_fields(
    said: dict[str, Raw], fitting: set[str], tmp_path: Path
) -> None:
    text = "\n---\n".join(
        written(title=title, logsource=asked, detection={"s": {"mark": 1}, "condition": "s"})
        for title, asked in ASKED.items()
    )
    found = hits(read(text, tmp_path, None), [json.dumps({**said, "mark": 1}).encode()])
    # What no field tells apart is asked of every event: services of clouds, and Windows without a channel.
    open_ones = {"aws", *(() if "Channel" in said else ("windows security",))}
    assert {it.rule.title for it in found} == fitting | open_ones


def test_a_rule_for_another_log_source_is_counted(tmp_path: Path) -> None:
    text = "\n---\n".join(
        written(title=title, logsource=asked, detection={"s": {"User": "x"}, "condition": "s"})
        for title, asked in ASKED.items()
    )
    rules = read(text, tmp_path)
    assert [it.title for it in rules.rules] == ["linux start", "any start"]
    assert len(rules.elsewhere) == 6


@pytest.mark.parametrize(
    ("said", "time"),
    [
        ({"UtcTime": "2026-11-24 10:00:01.5"}, "2026-11-24T10:00:01.5Z"),
        ({"@timestamp": "2026-11-24T10:00:01Z"}, "2026-11-24T10:00:01Z"),
        ({"ts": 1_790_000_000}, "2026-09-21T14:13:20Z"),
        ({"time": 1_790_000_000_000}, "2026-09-21T14:13:20Z"),
        (
            {"Event": {"System": {"TimeCreated": {"#attributes": {"SystemTime": "2026-11-24T10:00:01Z"}}}}},
            "2026-11-24T10:00:01Z",
        ),
        ({"time": "yesterday"}, None),
        ({}, None),
    ],
)
def test_a_match_says_when_it_happened(said: dict[str, Raw], time: str | None, tmp_path: Path) -> None:
    rules = read(written(detection={"s": {"mark": 1}, "condition": "s"}), tmp_path)
    (hit,) = hits(rules, [json.dumps({"mark": 1, **said}).encode()])
    assert hit.time == (Moment.parse(time) if time else None)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "homerange" / "rules"


def test_rules_are_converted_once(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rule.yml"
    path.write_text(CHAINED, encoding="utf-8")
    first = written_rules_of([path], PROCESS)
    with monkeypatch.context() as patched:
        patched.setattr("lab.detect.sigma.read.read_written", lambda *_: pytest.fail("converted again"))
        assert written_rules_of([path], PROCESS) == first
    path.write_text(CHAINED.replace("whoami", "uname"), encoding="utf-8")
    assert written_rules_of([path], PROCESS) != first
    assert written_rules_of([path], None) != first
    assert len(list(kept.glob("*.json"))) == 3


def test_a_torn_file_of_kept_rules_is_made_anew(kept: Path, tmp_path: Path) -> None:
    path = tmp_path / "rule.yml"
    path.write_text(CHAINED, encoding="utf-8")
    first = written_rules_of([path], PROCESS)
    (file,) = kept.glob("*.json")
    file.write_bytes(file.read_bytes()[:99])
    assert written_rules_of([path], PROCESS) == first
    assert file.stat().st_size > 99
