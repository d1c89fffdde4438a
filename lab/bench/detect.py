"""Measures `lab detect` beside others: same rules, same events, in one go and in alternation.

Every contender is a whole process, from its start to its end. Rules that others would have to be given are
those of the user; copies of them with other texts make larger sets. Events are program starts under Sigma's
names: most are ordinary, and some hold what the rules look for. Whatever of the others is on the
path takes part.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.errors import NotReady

MOST_EVENTS: Final = 10_000_000
MOST_RULES: Final = 5000

_LIMIT: Final = 3600.0
"""Seconds that one command may take."""

OURS: Final = "homerange"

_PROGRAMS: Final = tuple(
    f"/usr/bin/{it}"
    for it in ("ls", "cat", "git", "vim", "make", "gcc", "awk", "node", "java", "python3", "grep")
)
_HITS: Final = 50
"""One event in so many holds what a rule looks for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """What one contender needed."""

    contender: str
    """Its name."""

    events: int
    """Of how many events."""

    rules: int
    """With how many rules."""

    seconds: tuple[float, ...]
    """One for each round."""

    matches: int
    """How often a rule matched."""

    memory: float
    """Most memory held, in MB."""

    failed: bool
    """Whether it ended with an error."""

    @property
    def median(self) -> float:
        """The median of the rounds, in seconds."""
        return statistics.median(self.seconds) if self.seconds else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Race:
    """Everything that was measured."""

    figures: tuple[Timed, ...]
    """By events, then rules, then contender."""

    differing: tuple[str, ...]
    """Rules that two contenders matched on a different number of events."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """Something that evaluates rules on events."""

    name: str
    """For people."""

    command: Callable[[Path, Path, Path], tuple[str, ...]]
    """From events, rules and a file for what is found to the command."""

    count: Callable[[Path], dict[str, int]]
    """Reads how often each rule matched."""


def _lines(path: Path, key: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        rule = str(json.loads(line)[key])
        found[rule] = found.get(rule, 0) + 1
    return found


def _zircolite(path: Path) -> dict[str, int]:
    return {str(it["id"]): int(it["count"]) for it in json.loads(path.read_text(encoding="utf-8"))}


def contenders() -> tuple[Contender, ...]:
    """Return who takes part: us, and those that are on the path."""
    lab = (sys.executable, "-c", "from lab.cli.entry import entry; entry()")
    source = ("--as", "linux/process_creation", "--format", "json")
    found = [
        Contender(
            name=OURS,
            command=lambda events, rules, _: (*lab, "detect", str(events), "--rules", str(rules), *source),
            count=lambda path: _lines(path, "rule"),
        )
    ]
    if rsigma := shutil.which("rsigma"):
        found.append(
            Contender(
                name="rsigma",
                command=lambda events, rules, _: (
                    *(rsigma, "engine", "eval", "-r", str(rules), "-e", f"@{events}"),
                    *("--output-format", "ndjson"),
                ),
                count=lambda path: _lines(path, "rule_id"),
            )
        )
    if zircolite := shutil.which("zircolite") or shutil.which("zircolite.py"):
        found.append(
            Contender(
                name="Zircolite",
                command=lambda events, rules, out: (
                    zircolite,
                    *("-e", str(events), "-r", str(rules), "-j", "-o", str(out)),
                ),
                count=_zircolite,
            )
        )
    return tuple(found)


def race(
    folder: Path,
    own: Sequence[Path],
    sizes: Sequence[tuple[int, int]],
    rounds: int,
    tell: Callable[[str], None],
) -> Race:
    """Let all run, in turns.

    Args:
        folder: Where files may be made.
        own: Files of Sigma rules on starts of programs on Linux.
        sizes: Numbers of events, and of rules.
        rounds: How often each runs.
        tell: Hears what goes on.
    """
    figures: list[Timed] = []
    differing: set[str] = set()
    for events, rules in sizes:
        given, asked = folder / f"{events}.json", folder / f"rules-{rules}"
        texts = write_rules(asked, own, rules)
        if not given.exists():
            write_events(given, events, texts)
        found, counts = _contest(folder, given, asked, rounds, tell)
        figures += [_timed(it, events, rules, found[it.name], counts[it.name]) for it in contenders()]
        known = [it for it in counts.values() if it]
        differing |= {
            rule for one in known for rule in one for other in known if one[rule] != other.get(rule, 0)
        }
    return Race(figures=tuple(figures), differing=tuple(sorted(differing)))


def _contest(
    folder: Path, events: Path, rules: Path, rounds: int, tell: Callable[[str], None]
) -> tuple[dict[str, list[tuple[float, float]]], dict[str, dict[str, int]]]:
    taking_part = contenders()
    found: dict[str, list[tuple[float, float]]] = {it.name: [] for it in taking_part}
    counts: dict[str, dict[str, int]] = {it.name: {} for it in taking_part}
    for turn in range(rounds + 1):  # the first makes files warm, and ours keeps what it made of the rules
        for it in taking_part:
            out = folder / f"{it.name}.out"
            took, memory, code = _run(it.command(events, rules, out), out)
            if code:
                continue
            if turn:
                found[it.name].append((took, memory))
                tell(f"{it.name}: {took:.2f} s, {memory:.0f} MB")
            counts[it.name] = it.count(out)
    return found, counts


def _run(command: Sequence[str], out: Path) -> tuple[float, float, int]:
    """Run a command, with its output in a file; return seconds, MB and exit code."""
    begun = time.perf_counter()
    with out.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - begun, used.ru_maxrss / 1024, process.returncode


def _timed(
    it: Contender, events: int, rules: int, rounds: Sequence[tuple[float, float]], counts: dict[str, int]
) -> Timed:
    return Timed(
        contender=it.name,
        events=events,
        rules=rules,
        seconds=tuple(round(took, 3) for took, _ in rounds),
        matches=sum(counts.values()),
        memory=max((held for _, held in rounds), default=0.0),
        failed=not rounds,
    )


def write_rules(folder: Path, own: Sequence[Path], wanted: int) -> list[tuple[str, str]]:
    """Write so many rules: the user's, then copies of these that look for other texts.

    Returns:
        Fields and texts of which each event that a rule matches holds one.

    Raises:
        NotReady: there is no rule on starts of programs on Linux.
    """
    from lab.detect.sigma.compiled import written_rules_of
    from lab.detect.sigma.taxonomy import Source

    source = Source(product="linux", category="process_creation")
    kept = sorted({Path(it.path) for it in written_rules_of(own, source).rules})
    if not kept:
        raise NotReady("no rule on program starts on Linux", remedy="name Sigma rules that are")
    folder.mkdir(exist_ok=True)
    for number in range(wanted):
        text = kept[number % len(kept)].read_text(encoding="utf-8")
        if copy := number // len(kept):
            name = uuid.uuid5(uuid.NAMESPACE_OID, f"{number}")
            text = re.sub(r"(?m)^id: .*$", f"id: {name}", text)
            text = re.sub(r"(- |: )'([^'\n]{5,})'", rf"\g<1>'\g<2>{copy:x}q'", text)
        (folder / f"{number:04d}.yml").write_text(text, encoding="utf-8")
    found = written_rules_of([folder], source)
    return sorted({clue for it in found.rules for clue in it.question.clues})


def write_events(path: Path, count: int, texts: Sequence[tuple[str, str]]) -> None:
    """Write program starts under Sigma's names, one JSON object a line; the same for the same count."""
    chance = random.Random(count)  # noqa: S311 -- events for a measurement
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            file.write(json.dumps(_event(number, chance, texts)) + "\n")


def _event(number: int, chance: random.Random, texts: Sequence[tuple[str, str]]) -> dict[str, object]:
    program, user = chance.choice(_PROGRAMS), f"user{chance.randrange(50)}"
    event: dict[str, object] = {
        "EventID": 1,
        "Computer": f"host{chance.randrange(20)}",
        "UtcTime": f"2026-11-24 10:{number // 60 % 60:02}:{number % 60:02}.{number % 1000:03}",
        "ProcessGuid": f"{{{chance.getrandbits(64):016x}}}",
        "ProcessId": chance.randrange(65_536),
        "Image": program,
        "CommandLine": f"{program.rpartition('/')[2]} --jobs {chance.randrange(9)} /home/{user}/src/"
        f"module_{chance.randrange(9999)}.c",
        "CurrentDirectory": f"/home/{user}",
        "User": user,
        "ParentImage": "/usr/bin/zsh",
        "ParentCommandLine": "zsh -l",
        "ParentProcessId": chance.randrange(65_536),
    }
    if chance.randrange(_HITS) == 0:
        for field, text in chance.sample(texts, k=min(3, len(texts))):
            event[field] = f"{event.get(field, '')} {text}" if "Line" in field else f"/usr{text}"
    return event


def picture(result: Race, path: Path) -> None:
    """Draw time against events and against rules, as a page of its own."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    drawn = make_subplots(rows=1, cols=2, subplot_titles=["by events", "by rules"])
    least_rules = min(it.rules for it in result.figures)
    least_events = min(it.events for it in result.figures)
    for place, name in enumerate(dict.fromkeys(it.contender for it in result.figures)):
        ours = [it for it in result.figures if it.contender == name]
        colour = _COLOURS[place % len(_COLOURS)]
        by_events = sorted((it.events, it.median) for it in ours if it.rules == least_rules)
        by_rules = sorted((it.rules, it.median) for it in ours if it.events == least_events)
        for column, points in enumerate((by_events, by_rules), 1):
            line = go.Scatter(
                x=[at for at, _ in points],
                y=[took for _, took in points],
                name=name,
                line_color=colour,
                showlegend=column == 1,
            )
            drawn.add_trace(line, row=1, col=column)
    drawn.update_xaxes(title_text="events", row=1, col=1)
    drawn.update_xaxes(title_text="rules", row=1, col=2)
    drawn.update_yaxes(title_text="seconds", rangemode="tozero")
    drawn.update_layout(template="plotly_white", height=480)
    drawn.write_html(path, include_plotlyjs=True)


_COLOURS: Final = ("#1b6ca8", "#d9822b", "#6a4c93")
