"""The report of a run: complete, safe to open, and the same for hostile texts as for harmless ones."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from itertools import cycle
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lab.detect.alert import LEVELS, Alert
from lab.exercise.recorder import Result
from lab.exercise.truth import Party
from lab.moment import SECOND, Moment
from lab.report import page, timeline
from lab.report.page import write_report
from lab.report.story import Bucket, Story, make_story
from lab.runs.folder import RunFolder
from lab.score.intervals import Rate, Share
from lab.telemetry.event import Event
from lab.text import visible
from lab.watch.collection import Collection, LogCount
from tests.report import storybook

NOTHING: Final = Share(hits=0, total=0, value=None, low=None, high=None)

HOSTILE: Final = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</code></li></ol></details><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' autofocus onfocus=alert(1) '",
    "<!-- <script>",
    "]]>",
    "&lt;b&gt;&#60;b&#62;",
    "{{ 7 * 7 }}{% raw %}",
    "\x1b[31mred\x1b[0m\x1b]8;;http://evil.example\x07click\x1b]8;;\x07",
    "maria\u202egpj.exe\u2066\u2069\u200b\ufeff",
    "a\r\n\n# heading\n\n- item\n\n| a | b |\n|---|---|\n",
    "\x00\x08\x7f\x85\u2028\u2029",
    "\ud800 lone",
    "[link](http://evil.example) ![image](x) <http://evil.example> https://evil.example www.evil.example",
    "a@evil.example",
    "``` ```` `code` ~~~",
    "a | b \\| c \\\\| d `|` \\`|`",
    "**bold** _it_ ~~no~~ # h 1. x - y + z > q $x$ [ ] [^1]",
    "1. one",
    "- one",
    "    code",
    "<b>bold</b><a href='javascript:alert(1)'>x</a><br>",
    "%{x} %{customdata[0]} $\\alpha$",
)

anything = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(), max_size=30),
    st.lists(st.sampled_from(HOSTILE), max_size=3).map("".join),
    st.text("<>/&\"'`|\\\n\r[]()!*_#-~:@.w{}% a1", max_size=30),
)


def spiked(story: Story, text: Callable[[], str]) -> Story:
    """Put a text in every place that a log, a rule or a scenario can reach."""
    names = {it.step: text() for it in story.score.steps}
    steps = tuple(
        replace(it, name=names[it.step], reason=text(), rules=(text(),), technique=text() or "T1")
        for it in story.score.steps
    )
    return replace(
        story,
        run=text(),
        lab=text(),
        scenario=text(),
        summary=text(),
        replay_of="x" + text(),
        truth=tuple(replace(it, name=names.get(it.step) or text()) for it in story.truth),
        alerts=tuple(_spiked_alert(it, text) for it in story.alerts),
        score=replace(story.score, steps=steps, rules={"x" + text(): text() for _ in range(1)}),
        totals={f"{place}{text()}": count for place, count in enumerate(story.totals.values())},
        talkers=tuple(replace(it, address=text()) for it in story.talkers),
        evidence={
            alert: tuple(
                replace(it, original=text(), host=text(), source=text()) for it in story.evidence[alert][:2]
            )
            for alert in story.evidence
        },
        collected=tuple(replace(it, source=text(), hosts=("x", text())) for it in story.collected),
        notes=tuple(text() for _ in story.notes),
    )


def _spiked_alert(alert: Alert, text: Callable[[], str]) -> Alert:
    return replace(
        alert,
        title=text(),
        rule_id=text(),
        rule_hash=text(),
        techniques=(text(),),
        entities={"user.name": ("x", text()), "source.ip": (text(),)},
    )


@cache
def small() -> Story:
    """A story that is quick to write: one alert of each standing, two logs."""
    whole = storybook.story()
    alerts = (whole.alerts[0], whole.alerts[1], whole.alerts[-1])
    return replace(
        whole,
        alerts=alerts,
        evidence={it.id: whole.evidence[it.id] for it in alerts},
        score=replace(whole.score, rules={"rule": "hash"}),
    )


# -- HTML ----------------------------------------------------------------------------------------


class Outline(HTMLParser):
    """The elements of a page with the names of their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, ...]] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.scripts: list[tuple[str | None, str]] = []
        self._script: str | None = None
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *(name for name, _ in attrs)))
        self._inside = tag
        self._script = dict(attrs).get("type")
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]

    def handle_endtag(self, tag: str) -> None:
        self.elements.append((f"/{tag}",))
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append((self._script, data))
        elif self._inside != "style":
            self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.elements.append(("comment", data[:20]))

    def handle_decl(self, decl: str) -> None:
        self.elements.append(("declaration", decl))


def outline(story: Story) -> Outline:
    """Read the page of a story."""
    found = Outline()
    found.feed(page._html(story))  # noqa: SLF001  # the page itself, without writing five megabytes
    found.close()
    return found


def shapes(elements: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Leave out what rightly depends on the content: whether a technique is known and so has a link."""
    return [it for it in elements if it[0] not in {"a", "/a"}]


quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@quick
@given(st.lists(anything, min_size=1, max_size=5))
def test_no_text_changes_the_elements_of_the_page(texts: list[str]) -> None:
    harmless = outline(spiked(small(), lambda: "plain"))
    hostile = outline(spiked(small(), cycle(texts).__next__))
    assert shapes(hostile.elements) == shapes(harmless.elements)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_changes_no_element_and_adds_no_link(text: str) -> None:
    harmless = outline(spiked(small(), lambda: "plain"))
    hostile = outline(spiked(small(), lambda: text))
    assert hostile.elements == harmless.elements
    assert hostile.links == harmless.links
    assert [kind for kind, _ in hostile.scripts] == [kind for kind, _ in harmless.scripts]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_reader_would_not_see_is_shown(text: str) -> None:
    written = page._html(spiked(small(), lambda: text))  # noqa: SLF001
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", written
    )
    assert written.encode("utf-8")


def test_a_hostile_user_name_is_shown_as_it_was_typed() -> None:
    story = storybook.story()
    evidence = {it.id: tuple(known for known in story.evidence[it.id][:1]) for it in story.alerts}
    evidence = {key: tuple(replace(it, original="<script>alert(1)</script>\x1b[31m") for it in value)
                for key, value in evidence.items()}  # fmt: skip
    assert r"<script>alert(1)</script>\x1b[31m" in outline(replace(story, evidence=evidence)).text


def test_links_lead_to_attack_and_into_the_page_only() -> None:
    links = outline(storybook.story()).links
    assert "https://attack.mitre.org/techniques/T1110/001/" in links
    assert all(it.startswith(("https://attack.mitre.org/techniques/T", "#alert-")) for it in links)


def test_the_policy_allows_the_script_of_the_page_and_no_other(tmp_path: Path) -> None:
    written = write_report(RunFolder(tmp_path), storybook.story()).read_text(encoding="utf-8")
    found = Outline()
    found.feed(written)
    scripts = re.findall(r"<script>(.*?)</script>", written, re.DOTALL)
    hashes = {base64.b64encode(hashlib.sha256(it.encode()).digest()).decode() for it in scripts}
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', written)[0])
    assert len(scripts) == 1
    assert set(re.findall(r"'sha256-([^']*)'", policy)) == hashes
    assert policy.startswith("default-src 'none'; ")
    assert "'unsafe-inline'" not in re.findall("script-src [^;]*", policy)[0]


def test_the_page_loads_nothing_and_is_small(tmp_path: Path) -> None:
    path = write_report(RunFolder(tmp_path), storybook.story())
    written = path.read_text(encoding="utf-8")
    found = Outline()
    found.feed(written)
    assert not {it[0] for it in found.elements} & {"link", "iframe", "object", "img", "embed", "form"}
    assert not any("src" in it[1:] for it in found.elements)
    assert not re.search(r"@import|url\((?!#missed\))", written)
    assert path.stat().st_size < 400_000
    assert sorted(it.name for it in tmp_path.iterdir()) == ["report.html", "report.md"]


def test_a_failed_write_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(RunFolder(tmp_path), small())
    before = (tmp_path / "report.html").read_bytes()

    def broken(_file: int) -> None:
        raise OSError

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match=r"^$"):
        write_report(RunFolder(tmp_path), replace(small(), lab="other"))
    assert (tmp_path / "report.html").read_bytes() == before


def test_the_parts_come_in_the_promised_order() -> None:
    titles = re.findall(r"<h2 [^>]*>([^<]*)<", page._html(storybook.story()))  # noqa: SLF001
    assert titles == [
        "In figures", "Timeline", "Attack steps", "Measures", "False alarms", "Top sources",
        "Incidents", "Alerts and their evidence", "What was collected", "How to read this",
    ]  # fmt: skip


def test_every_miss_says_why_in_words() -> None:
    text = " ".join(outline(storybook.story()).text)
    assert "missed: no rule fired" in text
    assert "missed: nothing was seen" in text
    missed = [it for it in storybook.score().steps if it.verdict in {"telemetry_only", "no_telemetry"}]
    assert len(missed) == 2
    assert all(it.reason and it.reason in text for it in missed)


def test_a_replay_says_so_first_of_all() -> None:
    written = page._html(replace(small(), replay_of="20260101-original"))  # noqa: SLF001
    body = written[written.index("<body>") :]
    assert body.index("REPLAY") < body.index("<h1>")
    assert "20260101-original" in body[: body.index("<h1>")]
    assert "REPLAY" not in page._html(small())  # noqa: SLF001


def test_a_run_without_anything_has_a_report(tmp_path: Path) -> None:
    bare = make_story(
        header=replace(storybook.header(), ended=None, state="stopped"), truth=(), alerts=(),
        score=replace(
            storybook.score(), steps=(), summary=None, recall=NOTHING, visibility=NOTHING, precision=NOTHING,
            false_positives=Rate(count=0, hours=0, value=None, low=None, high=None), false_alerts=(),
        ),
        tally=storybook.tally(()), evidence=(), collection=replace(storybook.collection(), logs=(), notes=()),
    )  # fmt: skip
    write_report(RunFolder(tmp_path), bare)
    assert "nothing could be detected; no benign traffic was watched" in bare.headline()
    assert "No alert was raised." in (tmp_path / "report.html").read_text(encoding="utf-8")


# -- the timeline --------------------------------------------------------------------------------


def test_everything_is_drawn_within_the_picture() -> None:
    drawn = timeline.draw(storybook.story())
    assert all(0 <= it.left <= 100 and 0 <= it.left + it.width <= 100.001 for it in drawn.bars)
    assert all(it.top > 0 and it.top + it.height <= drawn.foot for it in drawn.bars)
    assert all(0 <= it.left <= 100 and 0 < it.top < drawn.foot for it in drawn.marks)
    assert len(drawn.marks) == len(storybook.story().alerts)


def test_every_event_is_drawn_in_a_bar_of_its_source() -> None:
    story = storybook.story()
    words = [it.words for it in timeline.draw(story).bars if it.role.startswith("source")]
    counted = {
        source: sum(int(it[1].split()[0]) for it in words if it[0] == source) for source in story.totals
    }
    assert counted == dict(story.totals)


def test_a_long_run_has_no_more_bars_than_can_be_seen() -> None:
    story = storybook.story()
    buckets = tuple(Bucket(source="sshd", second=second, count=1) for second in range(7200))
    long = replace(story, buckets=buckets, ended=Moment(story.started + 7200 * SECOND))
    drawn = timeline.draw(long)
    bars = [it for it in drawn.bars if it.role.startswith("source")]
    assert 300 < len(bars) <= 361
    assert "Events per 20 seconds" in {row.title.partition(",")[0] for row in drawn.rows}


def test_what_is_pointed_at_says_what_it_is(tmp_path: Path) -> None:
    written = write_report(RunFolder(tmp_path), storybook.story()).read_text(encoding="utf-8")
    titles = re.findall(r"<title>([^<]*)</title>", written)[1:]
    assert len(titles) == written.count('class="shape ')
    assert all(len(it.split(chr(10))) in {3, 4} for it in titles)


def test_the_legend_names_every_step_state_log_and_level() -> None:
    story = storybook.story()
    keys = [key.label for key in timeline.draw(story).keys]
    levels = [f"{level} alert" for level in reversed(LEVELS)]
    logs = [f"{source} events" for source in story.totals]
    states = ["benign traffic", "step, detected", "step, missed", "step without effect", "clean-up"]
    assert keys == [*states, *logs, *levels]


# -- Markdown ------------------------------------------------------------------------------------

COMMONMARK: Final = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def blocks(written: str) -> list[tuple[str, str]]:
    """Name the blocks and inline elements of a text; whether a text is shown as code is our choice."""
    found = []
    for token in COMMONMARK.parse(written):
        found.append((token.type, token.tag))
        found += [(it.type, it.tag) for it in token.children or () if it.type not in {"text", "code_inline"}]
    return found


@quick
@given(st.lists(anything, min_size=1, max_size=5))
def test_no_text_changes_the_elements_of_the_markdown(texts: list[str]) -> None:
    harmless = page._markdown(spiked(small(), lambda: "plain"))  # noqa: SLF001
    hostile = page._markdown(spiked(small(), cycle(texts).__next__))  # noqa: SLF001
    assert blocks(hostile) == blocks(harmless)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_makes_no_link_html_or_heading(text: str) -> None:
    kinds = {kind for kind, _ in blocks(page._markdown(spiked(small(), lambda: text)))}  # noqa: SLF001
    assert not kinds & {
        "link_open",
        "image",
        "html_inline",
        "html_block",
        "softbreak",
        "hardbreak",
        "em_open",
    }


@given(anything)
def test_text_in_markdown_says_what_the_reader_would_see_in_html(text: str) -> None:
    shown = visible(text)
    written = page._as_text(text)  # noqa: SLF001
    inline = COMMONMARK.parseInline(f"x {written} x")[0].children or []
    assert "".join(it.content for it in inline) == f"x {shown} x"


@pytest.mark.parametrize("text", ["http://evil.example", "WWW.evil.example", "a@b.example", "mailto:a"])
def test_what_github_would_link_is_code(text: str) -> None:
    assert str(page._as_text(text)).startswith("`")  # noqa: SLF001


@given(st.lists(anything, min_size=1))
def test_a_fence_is_longer_than_any_run_inside(lines: list[str]) -> None:
    tokens = COMMONMARK.parse(page._fenced(lines))  # noqa: SLF001
    assert [it.type for it in tokens] == ["fence"]
    assert tokens[0].content == "".join(f"{visible(it)}\n" for it in lines)


# -- the story -----------------------------------------------------------------------------------


def test_the_headline_says_what_happened() -> None:
    story = storybook.story()
    assert story.headline() == (
        "5 of the 7 attack steps that took effect detected; 1 had no effect; "
        "1 false alarm in 72 s of benign traffic"
    )
    score = replace(story.score, steps=story.score.steps[:7])
    none = replace(score, false_positives=replace(score.false_positives, count=0, hours=62 / 3600))
    headline = replace(story, score=none).headline()
    assert headline == "5 of 7 attack steps detected; no false alarm in 62 s of benign traffic"


def test_the_parts_add_up_to_the_summary() -> None:
    story = storybook.story()
    assert sum(it.weight for it in story.score.parts) == 100
    assert sum(it.weight * it.value for it in story.score.parts) == pytest.approx(story.score.summary)


def test_events_are_counted_by_source_and_second() -> None:
    story = storybook.story()
    assert sum(it.count for it in story.buckets) == sum(story.totals.values()) == len(storybook.events())
    assert story.totals["sshd"] == 80
    assert [it.second for it in story.buckets if it.source == "sshd"] == [*range(44, 56), 57]


def test_top_sources_count_events_failures_and_alerts() -> None:
    first, second = storybook.story().talkers
    assert (first.address, first.failures, second.address, second.alerts) == (
        storybook.ATTACKER, 79, storybook.DESK, 1,
    )  # fmt: skip


def test_at_most_twenty_events_stand_for_an_alert() -> None:
    story = storybook.story()
    assert max(it.evidence_count for it in story.alerts) == 100
    assert max(map(len, story.evidence.values())) == 20


def test_what_was_parsed_and_is_not_stored_was_lost() -> None:
    lost = {it.source: it.lost for it in storybook.story().collected}
    assert lost == {"apache": 0, "snoopy": 4, "sshd": 0, "suricata": 0}


def test_events_that_name_another_module_than_their_source_are_not_lost() -> None:
    told = {"event.id": "e", "host.name": "shop", "log.file.path": "/var/log/apache2/error.log"}
    event: Event = {"@timestamp": storybook.at(1), "event.module": "apache", **told}
    log = LogCount(
        source="apache_error", host="shop", path="/var/log/apache2/error.log", read=1, parsed=1, unparsed=0
    )
    (found,) = make_story(
        header=storybook.header(), truth=(), alerts=(), score=storybook.score(),
        tally=storybook.tally([event]), evidence=[event], collection=Collection(logs=(log,), notes=()),
    ).collected  # fmt: skip
    assert found.lost == 0


def test_the_order_of_records_does_not_matter() -> None:
    again = make_story(
        header=storybook.header(), truth=storybook.truth()[::-1], alerts=storybook.alerts()[::-1],
        score=storybook.score(), tally=storybook.tally(storybook.events()[::-1]),
        evidence=storybook.events()[::-1], collection=storybook.collection(),
    )  # fmt: skip
    assert again == storybook.story()


def test_commands_quote_what_a_shell_would_read() -> None:
    assert "lab run 'a; rm -rf ~'" in page._commands(replace(small(), scenario="a; rm -rf ~"))  # noqa: SLF001


def test_a_report_says_where_evidence_is_wide_and_what_was_not_undone(tmp_path: Path) -> None:
    story = storybook.story()
    step = next(it for it in story.truth if it.label == "attack")
    said = ("packets of icmp have no ports", "exit 1; bastion is made anew after the run")
    wide = replace(step, wide=said[:1])
    undo = replace(step, step=f"{step.step}-revert", label="cleanup", reason=said[1], technique="", wide=())
    changed = replace(story, truth=(*(wide if it is step else it for it in story.truth), undo))
    assert changed.caveats(step.step) == (said[0], f"not undone: {said[1]}")
    assert all(it in " ".join(outline(changed).text) for it in said)
    run = RunFolder(tmp_path)
    write_report(run, changed)
    assert all(it in run.report_text.read_text(encoding="utf-8") for it in said)


# -- what happened, what scans found, what people did ---------------------------------------------

SSH = {"port": 22, "protocol": "tcp", "product": "<b>ssh", "version": "9"}
HOSTS = [{"address": storybook.BASTION, "services": [SSH]}, {"address": "10.77.1.9", "services": []}]


def _told() -> Story:
    records = storybook.truth()
    scan = next(it for it in records if it.technique == "T1046")
    noted = tuple(replace(it, note="as in a plan") if it is scan else it for it in records)
    work = replace(
        records[0], step="0-desk-1", label="benign", technique="", action="read-shadow", name="read shadow",
        suspicious=True, occurred=True,
    )  # fmt: skip
    visitor = replace(
        records[0], step="9-visitor", label="setup", name="A visitor", technique="",
        processes=("9 of 9 answered",), sources=scan.sources or (Party(node="desk"),),
    )  # fmt: skip
    return make_story(
        header=replace(storybook.header(), story="A stranger <i>comes</i> by."),
        truth=(*noted, work, visitor),
        alerts=storybook.alerts(),
        score=storybook.score(),
        tally=storybook.tally(storybook.events()),
        evidence=storybook.events(),
        collection=storybook.collection(),
        results=(Result(step=scan.step, name="scan", value={"hosts": HOSTS}),),
    )


def test_the_story_stands_first_and_each_step_in_it() -> None:
    story = _told()
    written = page._html(story)  # noqa: SLF001
    assert written.index('id="told"') < written.index('id="figures"')
    assert "A stranger &lt;i&gt;comes&lt;/i&gt; by." in written
    assert "as in a plan" in written
    steps = [record.name for _, record in story.told_steps()]
    assert steps == [
        it.name for it in sorted(storybook.truth(), key=lambda it: it.start) if it.label == "attack"
    ]
    assert "as in a plan" in page._markdown(story)  # noqa: SLF001


def test_what_scans_found_is_drawn_and_a_banner_is_text() -> None:
    story = _told()
    assert story.scan is not None
    assert [(it.address, len(it.services)) for it in story.scan.hosts] == [
        (storybook.BASTION, 1),
        ("10.77.1.9", 0),
    ]
    assert all(it.top + it.height <= story.scan.height for it in story.scan.hosts)
    written = page._html(story)  # noqa: SLF001
    assert "&lt;b&gt;ssh 9" in written
    assert "<b>ssh" not in written


def test_what_people_did_is_counted_apart() -> None:
    story = _told()
    assert story.work(suspicious=True) == {"read shadow": 1}
    assert story.work(suspicious=False) == {}
    assert "Looks bad, and is not: 1 kinds" in page._html(story)  # noqa: SLF001


def test_what_was_measured_beside_is_shown() -> None:
    assert "9 of 9 answered" in page._html(_told())  # noqa: SLF001


def test_a_run_without_story_scan_and_people_has_none_of_it() -> None:
    written = page._html(small())  # noqa: SLF001
    for part in ("told", "scan", "work"):
        assert f'id="{part}"' not in written
