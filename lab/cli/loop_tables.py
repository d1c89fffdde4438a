"""Tables of the loop: changes, reasons, comparisons, history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import BadFile, Problem
from lab.score.vocabulary import VERDICTS

if TYPE_CHECKING:
    from lab.cli.screen import Screen
    from lab.flow.loop import Reasons, Rescored
    from lab.score.intervals import Rate, Share
    from lab.score.series import Contrast, Spread, Taken
    from lab.why.draft import Draft
    from lab.why.quiet import Quiet
    from lab.why.steps import Why

_MOST = 20
"""Near misses that are shown."""


def rescored(screen: Screen, found: Rescored, *, as_json: bool) -> None:
    """Show what is different, and the figures as they are now."""
    if as_json:
        screen.json({"run": found.run.path.name, "changes": found.changes, "score": found.score})
        return
    rows = [
        (
            it.name,
            it.technique,
            f"{VERDICTS[it.before]} -> {VERDICTS[it.after]}" if it.before != it.after else VERDICTS[it.after],
            ", ".join([*(f"+ {one}" for one in it.gained), *(f"- {one}" for one in it.lost)]),
        )
        for it in found.changes.steps
    ]
    if rows:
        screen.table(("step", "technique", "verdict", "rules"), rows)
    for it in found.changes.false_alerts:
        screen.line(f"false alarms of {it.title!r}: {it.before} -> {it.after}")
    if not found.changes:
        screen.line("nothing is different")
    score = found.score
    screen.line(
        f"recall {_share(score.recall)}, precision {_share(score.precision)},"
        f" false alarms {len(score.false_alerts)}"
    )
    if found.unusable:
        screen.tell(f"rules that cannot be used: {found.unusable};  lab rules check  says why")


def reasons(screen: Screen, found: Reasons, *, as_json: bool) -> None:
    """Show why, step by step, then who caused false alarms, and what may cause the next."""
    if as_json:
        screen.json(found)
        return
    for it in found.steps:
        _step(screen, it)
    if not found.steps:
        screen.line("no step was missed: each was detected as what it was")
    if found.false_alarms:
        screen.line()
        rows = [
            (
                it.rule,
                str(it.count),
                _cause(it.who, it.action, suspicious=it.suspicious),
                it.apart or "nothing seen here does",
            )
            for it in found.false_alarms
        ]
        screen.table(("false alarms of", "n", "caused by", "would tell them apart"), rows, right=("n",))
    if found.near_misses:
        screen.line()
        shown = [(it.rule, str(it.count), it.clause, it.example) for it in found.near_misses[:_MOST]]
        screen.table(("near misses of", "n", "the clause that they fail", "such as"), shown, right=("n",))
    if found.draft:
        screen.line()
        screen.line(found.draft.rule)
        screen.line("# cases, to lie beside it as NAME.test.yml")
        screen.line(found.draft.cases)
        screen.tell(_about(found.draft))


def _cause(who: str, action: str, *, suspicious: bool) -> str:
    if not action:
        return "nobody at work; something in the background"
    return f"{who}: {action}" + (", which looks bad" if suspicious else "")


def _step(screen: Screen, it: Why) -> None:
    verdict = next((words for name, words in VERDICTS.items() if name == it.verdict), it.verdict)
    screen.line(f"{it.step}  {it.technique}  {verdict}")
    screen.line(f"    {it.rung}: {it.why}")
    screen.line(f"    mend: {it.mend}")
    for cause in it.causes[1:] if it.rung == "rule" else it.causes:
        screen.line(f"    also {cause.rule!r}: {cause.why}")
    for event in it.usable:
        said = ", ".join(f"{name} {value}" for name, value in event.says[:4])
        screen.line(f"    event {event.id} ({event.log}): {said}")


def keep_draft(screen: Screen, found: Draft, path: Path) -> None:
    """Write a draft to a file that is not there yet, and its cases beside it."""
    cases = path.with_name(f"{path.stem}.test.yml")
    there = [it for it in (path, cases) if it.exists()]
    if there:
        what = "is there already, and a draft replaces nothing"
        raise BadFile(*(Problem(path=str(it), line=0, what=what) for it in there))
    path.write_text(found.rule, encoding="utf-8")
    cases.write_text(found.cases, encoding="utf-8")
    screen.line(str(path))
    screen.line(str(cases))
    screen.tell(_about(found))


def _about(found: Draft) -> str:
    return f"as it is, it matches {found.benign} benign events of this run; finish it, then  lab rules test"


def contrasts(screen: Screen, found: Sequence[Contrast], *, as_json: bool) -> None:
    """Show runs beside one another."""
    if as_json:
        screen.json(found)
        return
    for it in found:
        rows = [
            (one.step, one.technique, VERDICTS[one.first], VERDICTS[one.second])
            for one in it.steps
            if one.first != one.second
        ]
        if rows:
            screen.table(("step", "technique", it.first.run, it.second.run), rows)
        else:
            screen.line(f"{it.first.run} and {it.second.run} have the same verdicts")
        screen.line()
        figures = [
            (name, _share(getattr(it.first, field)), _share(getattr(it.second, field)))
            for name, field in (
                ("recall", "recall"),
                ("right technique", "technique"),
                ("precision", "precision"),
            )
        ]
        rates = ("false alarms per hour", _rate(it.first.false_positives), _rate(it.second.false_positives))
        screen.table(("measure", it.first.run, it.second.run), [*figures, rates])
        screen.line(
            f"of {len(it.steps)} steps in both the first alone detected {it.lost}, the second alone {it.won};"
            f" McNemar's exact p = {it.p:.3g}"
        )


def history(screen: Screen, found: Sequence[Taken], *, as_json: bool) -> None:
    """Show runs over time."""
    if as_json:
        screen.json(found)
        return
    if not found:
        screen.line("no run so far;  lab run ssh-brute-force  makes one")
        return
    columns = ("run", "seed", "recall", "technique", "precision", "false alarms/h", "delay")
    right = ("seed", "delay")
    screen.table(columns, [_taken(it) for it in found], right=right)


def spread(screen: Screen, found: Spread, *, as_json: bool) -> None:
    """Show how far runs of one exercise differ."""
    if as_json:
        screen.json(found)
        return
    history(screen, found.runs, as_json=False)
    for name, three in (("recall", found.recall), ("precision", found.precision)):
        if three:
            screen.line(f"{name}: {three[0]:.2f} to {three[2]:.2f}, median {three[1]:.2f}")
    if found.unsteady:
        screen.line(f"detected in some runs and missed in others: {', '.join(found.unsteady)}")


def quiet(screen: Screen, found: Quiet, *, as_json: bool) -> None:
    """Show the bound, what it rests on, and what looked at nothing."""
    if as_json:
        screen.json(found)
        return
    rows = [
        (
            it.name,
            "-" if it.seed is None else str(it.seed),
            str(it.hosts),
            f"{it.hosts * it.hours:.1f}",
            f"{it.hosts * it.lived:.0f}",
            f"{len(it.ordinary)} / {len(it.suspicious)}",
            str(sum(it.ordinary.values()) + sum(it.suspicious.values())),
            str(sum(it.false_alarms.values())),
            str(sum(one.count for one in it.near_misses)),
        )
        for it in found.watched
    ]
    columns = (
        *("watched", "seed", "hosts", "host-hours", "lived", "kinds", "actions", "false alarms"),
        "near misses",
    )
    screen.table(columns, rows, right=columns[1:])
    for name, reason in found.left_out:
        screen.line(f"not counted: {name}: {reason}")
    for title, count in sorted(_summed(found).items(), key=lambda it: (-it[1], it[0])):
        screen.line(f"false alarms of {title!r}: {count}")
    if found.blind:
        screen.line(f"rules that looked at nothing, and of which nothing is said: {len(found.blind)}")
        for it in found.blind:
            screen.line(f"    {it.rule}: {it.sight}: {it.why}")
    if found.bound is None or found.lived_bound is None:
        screen.line("nothing was looked at, so nothing can be said")
        return
    screen.line(
        f"{found.false_alarms} false alarms in {found.host_hours:.1f} host-hours by the clock: at most"
        f" {found.bound:.3g} per host-hour (95 %)"
    )
    screen.line(
        f"people lived {found.lived_hours:.0f} host-hours meanwhile: at most {found.lived_bound:.3g} for each"
    )


def _summed(found: Quiet) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for it in found.watched:
        counts.update(it.false_alarms)
    return dict(counts)


def _taken(it: Taken) -> tuple[str, ...]:
    mark = "" if it.state == "done" else f" ({it.state})"
    delay = "-" if it.delay is None else f"{it.delay:.2f} s"
    return (
        it.run + mark,
        str(it.seed),
        _share(it.recall),
        _share(it.technique),
        _share(it.precision),
        _rate(it.false_positives),
        delay,
    )


def _share(found: Share) -> str:
    if found.value is None or found.low is None or found.high is None:
        return "-"
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f}, n={found.total})"


def _rate(found: Rate) -> str:
    if found.value is None or found.high is None:
        return "-"
    return f"{found.value:.1f} (up to {found.high:.1f})"
