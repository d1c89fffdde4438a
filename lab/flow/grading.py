"""What a response is graded by, gathered from the files of its run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lab.errors import BadFile, NotFound
from lab.files import records
from lab.flow.context import Context
from lab.flow.rules import remembered
from lab.moment import Moment
from lab.runs import names
from lab.runs.case import Frozen, frozen
from lab.runs.response import acts

if TYPE_CHECKING:
    from pathlib import Path

    from lab.detect.alert import Alert
    from lab.exercise.scenario import Scenario
    from lab.learn.grade import Grade
    from lab.learn.response import Proof, Response, Taken
    from lab.runs.folder import RunFolder
    from lab.score.values import Score


def grade_run(run: RunFolder, scenario: Scenario, context: Context) -> Response:
    """Grade the response to a run.

    Raises:
        NotFound: it goes on, or was never scored.
    """
    from lab.detect.alert import read_alerts
    from lab.exercise.respond.aftermath import read_aftermath
    from lab.exercise.respond.probing import read_probes
    from lab.exercise.truth import read_truth
    from lab.learn.picerl import grade_response
    from lab.learn.response import Material
    from lab.score.values import Score

    if not run.score.exists():
        remedy = (
            f"lab case close  ends it, if it goes on;  lab score {run.path.name}  scores one that is over"
        )
        raise NotFound("score of", name=run.path.name, remedy=remedy)
    score, header = records.read(run.score, Score), run.header()
    alerts, truth = read_alerts(run.noticed), read_truth(run.happened)
    case, triage = frozen(run.case.entries()), run.triage.entries()
    ended = case.closed or header.ended
    handled = [it.at for it in triage if it.alerts] + ([case.opened] if case.opened else [])
    return grade_response(
        Material(
            run=header.id,
            started=header.started,
            truth=truth,
            attackers=frozenset(it.source for it in scenario.access),
            planted=frozenset(it.name for it in scenario.access if it.planted),
            first_alert=_first(alerts, score),
            acknowledged=min(handled, default=None),
            case=case,
            acts=tuple(it for it in acts(run.response.entries()) if ended is None or it.begun.at <= ended),
            probes=read_probes(run.happened),
            aftermath=read_aftermath(run.happened),
            ours=frozenset(_left_by_tries(scenario)),
            evidence=tuple(_evidence(run)),
            shows=_shows(run, alerts),
            timeline=_timeline(run, case, score),
            proofs=tuple(_proofs(run, context)),
        )
    )


def _first(alerts: Sequence[Alert], score: Score) -> Moment | None:
    none = {*score.false_alerts, *score.ignored_alerts}
    return min((it.raised for it in alerts if it.id not in none), default=None)


def _left_by_tries(scenario: Scenario) -> Iterator[str]:
    from lab.exercise.steps.http import Http

    for it in scenario.access:
        if isinstance(it.action, Http) and it.action.upload:
            yield it.action.upload.name


def _evidence(run: RunFolder) -> Iterator[Taken]:
    """Read and check every manifest of the run; one that cannot be read is none."""
    from lab.forensics import manifest
    from lab.learn.response import Taken

    for path in sorted((run.path / names.EVIDENCE).glob(f"*/{manifest.NAME}")):
        try:
            found = manifest.read(path.parent)
        except BadFile:
            continue
        known = {it.begun.digest or it.last.digest for it in acts(run.response.entries())}
        whole = found.digest in known and not any(manifest.faults(path.parent, found))
        yield Taken(node=found.node, at=found.taken, whole=whole)


def _shows(run: RunFolder, alerts: Sequence[Alert]) -> Mapping[str, frozenset[str]]:
    """Say of each event that is no ordinary work of which steps it is."""
    from lab.score.evidence import attack_steps, owned_events
    from lab.score.files import material_of

    held = material_of(run, (alerts,))
    steps = attack_steps(held.truth)
    owned = owned_events(held.events, truth=held.truth, steps=steps, clocks=held.clocks)
    found: dict[str, set[str]] = {event: set() for event in owned.kinds}
    for step, events in zip(steps, owned.steps, strict=True):
        for event in events:
            found.setdefault(event, set()).add(step.id)
    return {event: frozenset(mine) for event, mine in found.items()}


def _timeline(run: RunFolder, case: Frozen, score: Score) -> Grade | None:
    from lab.exercise.truth import read_truth
    from lab.learn.grade import grade
    from lab.learn.timeline import Noted

    header = run.header()
    noted = [
        Noted(
            line=number,
            time=it.when,
            technique=it.technique,
            indicators=tuple(word for word in (it.host, it.account, it.address) if word),
            what=it.text,
        )
        for number, it in enumerate(case.entries, 1)
        if it.sort == "finding" and it.when is not None
    ]
    return grade(header.id, header.started, noted, read_truth(run.happened), score) if noted else None


def _proofs(run: RunFolder, context: Context) -> Iterator[Proof]:
    """Let the rules that were written since the run look at it, and at the last one with another seed."""
    from lab.runs import folder

    own = remembered(context)
    if not own:
        return
    header = run.header()
    yield _proof(run, own, header.rules, same_seed=True)
    for other in reversed(folder.list_runs(context.workplace)):
        them = other.header()
        if them.scenario == header.scenario and them.seed != header.seed and not them.replay_of:
            yield _proof(other, own, header.rules, same_seed=False)
            return


def _proof(run: RunFolder, own: Sequence[Path], before: Mapping[str, str], *, same_seed: bool) -> Proof:
    from lab.detect.again import Again
    from lab.detect.sigma.compiled import rules_of
    from lab.learn.response import Proof
    from lab.score.files import score_alerts

    rules, again = rules_of(list(own)), Again.of(run.noticed)
    new = {it.id for it in (*rules.rules, *rules.correlations) if it.id not in before}
    raised = [it for it in again.alerts(rules) if it.rule_id in new]
    score = score_alerts(run, raised, again.hashes(rules))
    false, none = set(score.false_alerts), set(score.ignored_alerts)
    true = sum(it.id not in false | none for it in raised)
    return Proof(run=run.path.name, same_seed=same_seed, true=true, false=len(false))
