"""Stages that evaluate rules on files, without a lab and without a run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from lab.errors import BadFile, NotFound, Problem
from lab.flow.context import Context
from lab.moment import Moment

if TYPE_CHECKING:  # imported by the stages that need them: to start takes longer than to read a small file
    from pathlib import Path

    from lab.detect.sigma.correlation import Match
    from lab.detect.sigma.rule import Named, RuleSet, Unusable, WrittenRules
    from lab.detect.sigma.taxonomy import Source
    from lab.telemetry.inputs import Input, Inputs

_PLANNING: Final = 8 * 2**10
"""Bytes that one more rule lets the pieces of a file grow by, since each piece is planned for anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One match of a rule."""

    rule: str
    """The rule's id."""

    title: str
    """Its title."""

    level: str
    """Its level."""

    tags: tuple[str, ...]
    """Its tags."""

    file: str
    """The file that the event is in."""

    event: int
    """Number of the event in its file, from 1: its line, or its record; of several, that of the last."""

    time: Moment | None
    """When it happened; None where it does not say."""

    evidence: tuple[int, ...] = ()
    """For a correlation: numbers of all its events."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """What to evaluate on what."""

    paths: tuple[Path, ...]
    """Files and folders."""

    rules: tuple[Path, ...]
    """Sigma files, and folders of them; ours when empty."""

    source: str = ""
    """What the files are: a log source of Sigma, or a parser of ours; found by content when empty."""

    pipelines: tuple[Path, ...] = ()
    """pySigma's pipeline files."""

    on_match: Callable[[Found], None] = lambda _found: None
    """Hears of each match."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What came of the files."""

    events: int
    """How many events there were."""

    matches: int
    """How often a rule matched."""

    rules: int
    """How many rules were asked."""

    elsewhere: int
    """How many rules ask for another log source."""

    unusable: tuple[Unusable, ...]
    """Rules that could not be evaluated, each with its reason."""

    levels: tuple[str, ...]
    """The levels of the rules that matched, each once, the least urgent first."""


def detect_in_files(order: Detection, context: Context) -> Look:
    """Files and rules -> what matched; each match is told as it is found.

    Raises:
        BadFile: no file could be read, or a rule is not Sigma; every problem is named.
        NotFound: there is no such log source.
    """
    from lab.telemetry.inputs import Inputs

    order = replace(
        order,
        paths=tuple(map(context.path, order.paths)),
        rules=tuple(map(context.path, order.rules)),
        pipelines=tuple(map(context.path, order.pipelines)),
    )
    opened = Inputs()
    context.held.callback(opened.close)
    looking = _Looking(order, context)
    looking.all_of(opened)
    if opened.refused and not looking.files:
        raise BadFile(*opened.refused)
    for it in opened.refused:
        context.tell(f"left out: {it.path} {it.what.splitlines()[0]}")
    return looking.look()


class _Looking:
    """One evaluation going on."""

    def __init__(self, order: Detection, context: Context) -> None:
        self._order = order
        self._context = context
        self._source, self._parser = _told(order.source)
        self._written: WrittenRules | None = None
        self._ours: RuleSet | None = None
        self._events = 0
        self._matches = 0
        self._levels: set[str] = set()
        self.files = 0

    def all_of(self, opened: Inputs) -> None:
        """Evaluate on every file."""
        from lab.telemetry.jsonlines import head_of

        logs: list[Input] = []
        for given in opened.below(list(self._order.paths)):
            head = head_of(given) if given.form == "text" and not self._parser else b""
            if self._is_written(given, head):
                self._in_lines(given, head, opened)
            else:
                logs.append(given)
        if logs:
            self._in_logs(logs, opened)

    def look(self) -> Look:
        """Say what came of it."""
        from lab.detect.alert import LEVELS

        sets = [it for it in (self._written, self._ours) if it]
        return Look(
            events=self._events,
            matches=self._matches,
            rules=max((len(it.rules) + len(it.correlations) for it in sets), default=0),
            elsewhere=len(self._written.elsewhere) if self._written else 0,
            unusable=tuple(dict.fromkeys(it for known in sets for it in known.unusable)),
            levels=tuple(it for it in LEVELS if it in self._levels),
        )

    def _is_written(self, given: Input, head: bytes) -> bool:
        """Tell whether a file's events are taken as they are."""
        from lab.detect.sigma.lines import fields_of
        from lab.detect.sigma.taxonomy import NAMES
        from lab.telemetry.jsonlines import first_object, is_json

        if self._source:
            return True
        if self._parser or not is_json(head):
            return False
        if fields_of(first_object(head)) & NAMES:
            return True
        from lab.telemetry.sources import kind_of

        return not kind_of(head.rpartition(b"\n")[0] or head, path=given.name)

    def _in_lines(self, given: Input, head: bytes, opened: Inputs) -> None:
        from lab.detect.sigma.compiled import written_rules_of
        from lab.detect.sigma.lines import LineDetector, shapes_of
        from lab.telemetry.inputs import CHUNK, Content
        from lab.telemetry.jsonlines import first_object, is_json, objects_of

        if head.strip() and not is_json(head):
            what = "holds no JSON objects, which events of a log source of Sigma are read as"
            opened.refused.append(Problem(path=given.name, line=1, what=what))
            return
        if self._written is None:
            self._written = written_rules_of(self._rules(), self._source, self._order.pipelines)
        size = CHUNK + _PLANNING * len(self._written.rules)
        content = Content()
        with LineDetector(self._written, shapes_of(first_object(head))) as detector:
            try:
                for hit in detector.hits(objects_of(given, head, content, size)):
                    self._tell(hit.rule, given.name, hit.numbers, hit.time)
            except ValueError as error:
                opened.refused.append(Problem(path=given.name, line=0, what=f"is no whole JSON: {error}"))
                return
            self.files += 1
            self._events += detector.lines - len(detector.broken)
            if detector.broken:
                places = ", ".join(map(str, detector.broken[:3]))
                self._context.tell(
                    f"{given.name}: {len(detector.broken)} lines are no JSON object and left out: {places}"
                )
        if content.fault:
            self._context.tell(f"{given.name}: {content.fault}")

    def _in_logs(self, logs: list[Input], opened: Inputs) -> None:
        """Read what has a parser of ours into a folder that is removed again, and evaluate on that."""
        import tempfile
        from pathlib import Path

        from lab.detect.sigma.compiled import rules_of
        from lab.detect.sigma.detector import SigmaDetector
        from lab.flow.packets import packet_lines
        from lab.runs.noticed import Noticed
        from lab.telemetry.store import Store
        from lab.watch.importing import Importer, chosen

        files = chosen(logs, opened.refused, self._parser)
        self._ours = rules_of(self._rules(), self._order.pipelines)
        with tempfile.TemporaryDirectory(prefix="homerange-detect-") as folder:
            noticed = Noticed(Path(folder))
            importer = Importer(
                noticed=noticed, host="imported", packets=partial(packet_lines, self._context)
            )
            read = importer.run(files)
            self.files += len(read)
            self._events += sum(it.parsed for it in read)
            for it in read:
                if it.unparsed:
                    self._context.tell(f"{it.name}: {it.unparsed} of {it.lines} lines could not be read")
                if it.fault:
                    self._context.tell(f"{it.name}: {it.fault}")
            with closing(SigmaDetector(self._ours)) as detector:
                for events in Store(noticed.events).in_order():
                    for rule, match in detector.hits(events):
                        self._tell_match(rule, match)

    def _tell_match(self, rule: Named, match: Match) -> None:
        last = match.events[-1]
        numbers = tuple(int(str(it.get("homerange.line", 0))) for it in match.events)
        self._tell(rule, str(last.get("log.file.path", "")), numbers, Moment(match.time))

    def _tell(self, rule: Named, file: str, numbers: tuple[int, ...], time: Moment | None) -> None:
        self._matches += 1
        self._levels.add(rule.level)
        self._order.on_match(
            Found(
                rule=rule.id,
                title=rule.title,
                level=rule.level,
                tags=rule.tags,
                file=file,
                event=numbers[-1],
                time=time,
                evidence=numbers if len(numbers) > 1 else (),
            )
        )

    def _rules(self) -> tuple[Path, ...]:
        from lab.flow.rules import rule_paths

        return self._order.rules or rule_paths(self._context)


def _told(text: str) -> tuple[Source | None, str]:
    """Read `--as`: a log source of Sigma, or the name of a parser of ours.

    Raises:
        NotFound: it is neither.
    """
    from lab.detect.sigma.taxonomy import CATEGORIES, Source

    if not text:
        return None, ""
    if "/" in text or text.lower() in CATEGORIES:
        return Source.parse(text), ""
    from lab.telemetry.sources import SOURCES

    if text not in SOURCES:
        known = (*sorted(SOURCES), "linux/process_creation", "windows/security", "webserver")
        raise NotFound("log source", name=text, known=known)
    return None, text
