"""What each command shows of its result. Every table has a JSON form with the same content."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from lab.cli.screen import Screen, age
from lab.files import careful
from lab.moment import SECOND

if TYPE_CHECKING:
    from lab.bench.up import Contest
    from lab.engine.nodes import RunningLab
    from lab.exercise.scenario import Scenario
    from lab.flow.play import Exercise
    from lab.flow.runs import Scored
    from lab.provision.doctor import Requirement
    from lab.provision.images import OldImage
    from lab.provision.plan import Plan
    from lab.provision.receipt import Receipt
    from lab.provision.status import LabStatus, LogTail, NodeStatus
    from lab.provision.walls import Proof
    from lab.runs.folder import RunFolder
    from lab.score.eyes import Eye
    from lab.score.intervals import Rate, Share
    from lab.score.values import Score, StepScore
    from lab.score.vocabulary import Verdict

_MB: Final = 2**20

_NO_LAB: Final = "no lab on this machine;  lab up starter  makes one"


def nodes(screen: Screen, running: RunningLab, *, as_json: bool) -> None:
    """Show a lab's nodes with their addresses."""
    if as_json:
        screen.json(running)
        return
    rows = [
        (node.name, node.kind, node.state, ", ".join(f"{it} ({name})" for name, it in node.addresses.items()))
        for node in running.nodes
    ]
    screen.table(("node", "kind", "state", "addresses"), rows)


def plan(screen: Screen, found: Plan, *, as_json: bool) -> None:
    """Show what has to change."""
    if as_json:
        screen.json(found)
        return
    if not found.changes:
        screen.line(f"lab {found.lab} is as its inventory says; nothing to change")
        return
    rows = [(it.action, it.what, it.subject, it.reason) for it in found.changes]
    screen.table(("action", "what", "which", "why"), rows)


def walls_in_short(screen: Screen, proof: Proof) -> None:
    """Say how many walls were tried."""
    if not proof.probes:
        screen.tell("nothing had to be changed;  lab verify  tries the walls again")
        return
    for it in proof.untried:
        screen.tell(f"not tried: {it}")
    inside = len({probe.node for probe in proof.probes})
    screen.tell(f"isolated: {len(proof.probes)} probes from {inside} nodes, none got through")


def walls(screen: Screen, proof: Proof, *, as_json: bool) -> None:
    """Show every probe with what came of it."""
    if as_json:
        screen.json(proof.probes)
        return
    rows = [(it.node, it.wall, it.target, "held" if it.held else "OPEN", it.said) for it in proof.probes]
    screen.table(("from", "wall", "tried", "result", "what happened"), rows)
    holes, tried = len(proof.holes), len(proof.probes)
    screen.tell(f"{holes} of {tried} probes got through" if holes else f"{tried} probes, none got through")


def labs(screen: Screen, found: Sequence[LabStatus], *, as_json: bool) -> None:
    """Show the labs of this machine."""
    if as_json:
        screen.json(tuple(found))
        return
    if not found:
        screen.tell(_NO_LAB)
    rows = [
        (
            it.name,
            f"{it.running} of {it.nodes}",
            str(it.networks),
            age(it.created) if it.created else "-",
            it.inventory,
        )
        for it in found
    ]
    screen.table(("lab", "nodes running", "networks", "age", "inventory"), rows)


def status(screen: Screen, found: Sequence[NodeStatus], *, as_json: bool) -> None:
    """Show the nodes as they are now."""
    if as_json:
        screen.json(tuple(found))
        return
    if not found:
        screen.tell(_NO_LAB)
    rows = [
        (
            it.name,
            it.kind,
            it.health,
            ", ".join(f"{address} ({network})" for network, address in it.addresses.items()) or "-",
            age(it.started) if it.started else "-",
            f"{it.processor:.0%}",
            f"{it.memory / _MB:.0f} MB",
            it.image,
            it.base,
        )
        for it in found
    ]
    columns = ("node", "kind", "health", "addresses", "up for", "CPU", "memory", "image", "built on")
    screen.table(columns, rows, right=("CPU", "memory"), spare=("image", "built on"))


def top(screen: Screen, found: Sequence[NodeStatus], *, as_json: bool) -> None:
    """Show what the nodes use, the busiest first."""
    busiest = sorted(found, key=lambda it: (-it.processor, -it.memory))
    if as_json:
        screen.json(busiest)
        return
    rows = [(it.lab, it.name, it.kind, f"{it.processor:.0%}", f"{it.memory / _MB:.0f} MB") for it in busiest]
    rows.append(
        (
            "",
            "all",
            "",
            f"{sum(it.processor for it in found):.0%}",
            f"{sum(it.memory for it in found) / _MB:.0f} MB",
        )
    )
    screen.table(("lab", "node", "kind", "CPU", "memory"), rows, right=("CPU", "memory"))


def logs(screen: Screen, found: Sequence[LogTail], *, as_json: bool) -> None:
    """Show the ends of a node's logs."""
    if as_json:
        screen.json(tuple(found))
        return
    for log in found:
        screen.tell(f"{log.source} {log.path}: {len(log.lines)} lines")
        for line in log.lines:
            screen.line(line)


def log_line(screen: Screen, line: str, *, as_json: bool) -> None:
    """Show one line of a log that is being followed."""
    if as_json:
        screen.json(line, indent=0)
    else:
        screen.line(line)


def contest(screen: Screen, found: Contest, *, as_json: bool) -> None:
    """Show what was measured."""
    if as_json:
        screen.json(found)
        return
    screen.tell(found.machine)
    rows = [
        (
            str(it.nodes),
            it.doing,
            it.contender,
            f"{it.median:.2f} s",
            f"{min(it.seconds):.2f} to {max(it.seconds):.2f}",
            f"{it.ratio:.2f}",
            str(it.failed),
        )
        for it in found.figures
    ]
    columns = ("nodes", "doing", "what", "median", "spread", "of the engine", "failed")
    screen.table(columns, rows, right=("nodes", "median", "spread", "of the engine", "failed"))


def images(screen: Screen, found: Sequence[OldImage], *, removed: bool, as_json: bool) -> None:
    """Show which images are not needed."""
    if as_json:
        screen.json(tuple(found))
        return
    screen.table(("image", "size"), [(it.tag, f"{it.size / _MB:.0f} MB") for it in found], right=("size",))
    screen.tell(f"{len(found)} images {'removed' if removed else 'are not needed'}")


def exercises(screen: Screen, found: Sequence[Exercise], *, as_json: bool) -> None:
    """Show the exercises there are."""
    if as_json:
        screen.json(tuple(found))
        return
    rows = [
        (
            it.name,
            it.inventory,
            str(it.steps),
            str(len(it.techniques)),
            it.level,
            f"{round(it.length / SECOND / 60)} min" if it.length else "-",
            str(it.runs) if it.runs else "-",
            it.recall or "-",
            it.summary,
        )
        for it in found
    ]
    columns = (
        "scenario",
        "lab",
        "steps",
        "techniques",
        "level",
        "length",
        "runs",
        "detected",
        "what happens",
    )
    screen.table(
        columns, rows, right=("steps", "techniques", "length", "runs"), spare=("techniques", "level")
    )


def scenario(screen: Screen, found: Scenario, *, as_json: bool) -> None:
    """Show the steps of an exercise."""
    if as_json:
        steps = [
            {"id": it.id, "name": it.name, "technique": it.technique, "kind": it.action.kind}
            for it in found.steps
        ]
        screen.json({"name": found.name, "summary": found.summary, "steps": steps})
        return
    rows = [
        (
            it.technique or "-",
            it.action.kind,
            it.source,
            it.name,
            "yes" if it.check else "NO",
            "yes" if it.reverts else "nothing",
        )
        for it in found.steps
    ]
    screen.table(("technique", "kind", "from", "step", "checked", "undone"), rows)


def score(screen: Screen, scored: Scored, *, as_json: bool) -> None:
    """Show what was detected, what was missed and why, and where the report is."""
    found = scored.score
    screen.incidents()
    if as_json:
        screen.json(found)
        return
    if not scored.run.header().judged:
        screen.tell(
            "logs of others have no truth, so nothing is rated;  lab query suspicious-addresses  asks on"
        )
        report(screen, scored.run, markdown=False)
        return
    screen.line()
    columns = ("step", "technique", "verdict", "delay", "why")
    screen.table(columns, [_step_row(step) for step in found.steps], right=("delay",))
    screen.line()
    screen.table(("measure", "value", "95 % interval", "n"), _metric_rows(found))
    screen.line()
    report(screen, scored.run, markdown=False)
    disturbed(screen, scored)


def eyes(screen: Screen, scored: Scored, found: Sequence[Eye], *, as_json: bool) -> None:
    """Show what each SIEM noticed of the same attack, side by side."""
    from lab.score.vocabulary import VERDICTS

    if as_json:
        screen.json(tuple(found))
        return
    names = [it.name for it in found]
    steps = [
        (step.name, step.technique, *(_seen(it.score.steps[place], VERDICTS) for it in found))
        for place, step in enumerate(scored.score.steps)
    ]
    screen.table(("step", "technique", *names), steps)
    screen.line()
    screen.table(("measure", *names), [(what, *map(said, found)) for what, said in _EYE_ROWS.items()])
    for it in found:
        if it.counted_here:
            screen.tell(f"{it.name}: {it.counted_here} correlations were counted here on what it found")
    screen.line()
    report(screen, scored.run, markdown=False)
    disturbed(screen, scored)


def _seen(step: StepScore, words: Mapping[Verdict, str]) -> str:
    said = words[step.verdict]
    return said if step.time_to_detect is None else f"{said}, {step.time_to_detect:.1f} s"


_EYE_ROWS: Final[Mapping[str, Callable[[Eye], str]]] = {
    "version": lambda it: it.version or "-",
    "recall": lambda it: ", ".join(_share(it.score.recall)[::2]),
    "precision": lambda it: ", ".join(_share(it.score.precision)[::2]),
    "false alarms": lambda it: str(it.score.false_positives.count),
    "time to detect, median": lambda it: _seconds(it.score.time_to_detect.median),
    "of it: waiting for a rule to look": lambda it: _seconds(it.waiting),
    "its rules look every": lambda it: f"{it.every} s" if it.every else "event",
    "summary, of 100": lambda it: "-" if it.score.summary is None else f"{it.score.summary:.0f}",
    "memory": lambda it: f"{it.memory / _MB:.0f} MB" if it.memory else "-",
    "start-up": lambda it: _seconds(it.startup or None),
}
"""What is shown of each SIEM below the steps."""


def disturbed(screen: Screen, scored: Scored) -> None:
    """Say last what makes a run less than it seems."""
    if scored.degraded:
        lines = "\n    ".join(scored.degraded)
        screen.fault(f"the run is degraded: it was disturbed, or not all of it could be seen\n    {lines}")


def _step_row(step: StepScore) -> tuple[str, ...]:
    from lab.score.vocabulary import MODIFIERS, VERDICTS

    words = ", ".join((VERDICTS[step.verdict], *(MODIFIERS[it] for it in step.modifiers)))
    return (step.name, step.technique, words, _seconds(step.time_to_detect), step.reason)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _metric_rows(found: Score) -> list[tuple[str, str, str, str]]:
    delay = found.time_to_detect
    return [
        ("visibility", *_share(found.visibility)),
        ("recall", *_share(found.recall)),
        ("precision", *_share(found.precision)),
        ("false positives per hour", *_rate(found.false_positives)),
        (
            "time to detect, median",
            _seconds(delay.median),
            "",
            f"{delay.observed} of {delay.observed + delay.censored}",
        ),
        ("time to detect, p90", _seconds(delay.p90), "", ""),
        *((f"floor: {floor.policy}, recall", *_share(floor.recall)) for floor in found.floors),
        *((f"floor: {floor.policy}, precision", *_share(floor.precision)) for floor in found.floors),
        ("summary, of 100", "-" if found.summary is None else f"{found.summary:.0f}", "", ""),
    ]


def _share(share: Share) -> tuple[str, str, str]:
    if share.value is None or share.low is None or share.high is None:
        return ("-", "", "0")
    return (f"{share.value:.0%}", f"{share.low:.0%} to {share.high:.0%}", f"{share.hits} of {share.total}")


def _rate(rate: Rate) -> tuple[str, str, str]:
    if rate.value is None or rate.low is None or rate.high is None:
        return ("-", "", "0")
    return (
        f"{rate.value:.1f}",
        f"{rate.low:.1f} to {rate.high:.1f}",
        f"{rate.count} in {rate.hours * 60:.1f} min",
    )


def report(screen: Screen, run: RunFolder, *, markdown: bool) -> None:
    """Say where the report is, or write it."""
    if markdown:
        sys.stdout.write(careful.read_bytes(run.report_text).decode())
        return
    screen.line(f"report: {run.report}")


def requirements(screen: Screen, found: Sequence[Requirement], *, as_json: bool) -> None:
    """Show what was looked at on this machine."""
    if as_json:
        screen.json(tuple(found))
        return
    rows = [
        (it.name, "ready" if it.ready else "NOT READY", it.found, "" if it.ready else it.remedy)
        for it in found
    ]
    screen.table(("what", "state", "found", "what to do"), rows)


def receipts(screen: Screen, found: Sequence[Receipt], *, as_json: bool) -> None:
    """Show what was removed and what the comparison of the host gave."""
    if as_json:
        screen.json([asdict(receipt) for receipt in found])
        return
    if not found:
        screen.line("no lab is running; nothing to remove")
    for receipt in found:
        _receipt(screen, receipt)


def _receipt(screen: Screen, receipt: Receipt) -> None:
    if not (receipt.nodes or receipt.networks or receipt.left):
        screen.line(f"lab {receipt.lab} is not running; nothing to remove")
        return
    rows = [
        ("removed", f"{len(receipt.nodes)} nodes", ", ".join(receipt.nodes)),
        ("removed", f"{len(receipt.networks)} networks", ", ".join(receipt.networks)),
        ("left", f"{len(receipt.left)}", "; ".join(receipt.left) or "no container, network, volume, mount, "
         "interface, process or firewall rule that was not there before"),
        *(("not ours", "", thing) for thing in receipt.others),
        *(("not compared", "", thing) for thing in receipt.unchecked),
    ]  # fmt: skip
    screen.line(f"receipt for lab {receipt.lab}")
    screen.table(("", "", ""), rows)
