"""Commands on the rules themselves."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import AsFormat, Format
from lab.cli.session import open_session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.cli.screen import Screen
    from lab.detect.sigma.rule import Unusable
    from lab.flow.rules import Explained

app = typer.Typer(
    name="rules",
    help="Add Sigma rules, and look at them: what they say, whether they are right, why one did not fire.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Paths = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[PATH...]", help="Sigma files, and folders of them; else all rules in use."),
]
RuleName = Annotated[str, typer.Argument(metavar="RULE", help="A rule's id, or a part of its title.")]


class Product(StrEnum):
    """What rules are written for."""

    ELASTICSEARCH = "elasticsearch"
    OPENSEARCH = "opensearch"
    SPLUNK = "splunk"
    DUCKDB = "duckdb"


@app.command(epilog="Example:  lab rules add sigma/rules/linux")
def add(
    path: Annotated[Path, typer.Argument(help="A Sigma file, a folder, or a checkout of SigmaHQ.")],
) -> None:
    """Use more rules from now on, in runs and on files; they are read where they are, as they are then."""
    from lab.rulework import ADD

    session = open_session()
    found = session.run(ADD, path)
    count = len(found.rules.rules) + len(found.rules.correlations)
    session.screen.line(f"{found.path}: {count} rules in use{', as before' if found.known else ''}")
    _reasons(session.screen, found.rules.unusable)


def _reasons(screen: Screen, unusable: Iterable[Unusable]) -> None:
    """Say how many rules cannot be evaluated, by reason."""
    reasons = Counter(it.why for it in unusable)
    if reasons:
        screen.line(f"{reasons.total()} rules cannot be evaluated:")
        screen.table(("rules", "why"), [(str(count), why) for why, count in reasons.most_common()])


@app.command(epilog="Example:  lab rules remove sigma/rules/linux")
def remove(path: Annotated[Path, typer.Argument(help="What was added.")]) -> None:
    """Use rules no more that were added; they stay where they are."""
    from lab.rulework import REMOVE

    session = open_session()
    session.screen.line(f"{session.run(REMOVE, path)}: not used any more")


@app.command("add-suricata", epilog="Example:  lab rules add-suricata local.rules")
def add_suricata(path: Annotated[Path, typer.Argument(help="A file of rules for Suricata.")]) -> None:
    """Give the labs' sensors more rules, once Suricata itself has read them; lab up brings them there."""
    from lab.pipeline import ADD_SURICATA

    session = open_session()
    found = session.run(ADD_SURICATA, path)
    session.screen.line(f"{found}: Suricata reads it;  lab up  brings it to the sensors")


@app.command("list", epilog="Example:  lab rules list --format json")
def list_(paths: Paths = None, output: AsFormat = Format.TABLE) -> None:
    """List rules: level, techniques, log source, title."""
    from lab.rulework import LIST

    session = open_session()
    found = session.run(LIST, tuple(paths or ()))
    if output == Format.JSON:
        session.screen.json(found)
        return
    rows = [(it.level, " ".join(it.techniques), it.log_source, it.title) for it in found.rules]
    rows += [(it.level, " ".join(it.techniques), it.kind, it.title) for it in found.correlations]
    session.screen.table(("level", "techniques", "log source", "title"), sorted(rows, key=lambda it: it[3]))
    _reasons(session.screen, found.unusable)


@app.command(epilog="Example:  lab rules show 'crontab'")
def show(name: RuleName, output: AsFormat = Format.TABLE) -> None:
    """Show a rule: its text, and what is asked of an event."""
    from lab.rulework import SHOW

    session = open_session()
    rule, text = session.run(SHOW, name)
    if output == Format.JSON:
        session.screen.json(rule)
        return
    session.screen.line(rule.path)
    session.screen.line(text.rstrip())


@app.command(epilog="Example:  lab rules check my-rules")
def check(paths: Paths = None, output: AsFormat = Format.TABLE) -> None:
    """Look rules through with pySigma's validators; end with 1 when one cannot be evaluated."""
    from lab.rulework import CHECK

    session = open_session()
    doubts, unusable = session.run(CHECK, tuple(paths or ()))
    if output == Format.JSON:
        session.screen.json({"doubts": doubts, "unusable": unusable})
    else:
        rows = [(it.severity, f"{it.path}:{it.line}", it.title, it.what) for it in doubts]
        rows += [("unusable", f"{it.path}:{it.line}", it.title, it.why) for it in unusable]
        session.screen.table(("severity", "where", "rule", "what"), rows)
        if not rows:
            session.screen.line("nothing is doubtful")
    if unusable:
        raise typer.Exit(1)


@app.command("test", epilog="Example:  lab rules test my-rules")
def try_(paths: Paths = None, output: AsFormat = Format.TABLE) -> None:
    """Try rules on the cases beside them, NAME.test.yml beside NAME.yml; end with 1 when one fails."""
    from lab.rulework import TEST

    session = open_session()
    found = session.run(TEST, tuple(paths or ()))
    wrong = [(f"{it.path}:{one.line}", one.what) for it in found for one in it.wrong]
    tried = [it for it in found if it.cases]
    if output == Format.JSON:
        session.screen.json(found)
    else:
        session.screen.table(("case", "what"), wrong)
        cases = sum(it.cases for it in tried)
        without = len(found) - len(tried)
        session.screen.line(
            f"{cases} cases of {len(tried)} files, {len(wrong)} wrong; {without} files without cases"
        )
    if wrong:
        raise typer.Exit(1)


@app.command(epilog="Example:  lab rules coverage --run 20261127")
def coverage(
    run: Annotated[str, typer.Option("--run", help="A run: only logs that it has count.")] = "",
    *,
    every: Annotated[bool, typer.Option("--all", help="Also techniques without any rule.")] = False,
    output: AsFormat = Format.TABLE,
) -> None:
    """Show which techniques of ATT&CK have rules, and which have logs that these rules look at."""
    from lab.rulework import COVER

    session = open_session()
    found = session.run(COVER, run)
    if output == Format.JSON:
        session.screen.json(found)
        return
    shown = [it for it in found if it.rules or every]
    rows = [(it.technique, it.name, str(it.rules), ", ".join(it.seen_by) or "no log") for it in shown]
    session.screen.table(("technique", "name", "rules", "logs"), rows, right=("rules",))
    ruled = sum(1 for it in found if it.rules)
    seen = sum(1 for it in found if it.seen_by)
    session.screen.line(f"{len(found)} techniques: {ruled} with rules, {seen} with rules and logs for them")


@app.command(epilog="Example:  lab rules explain 'crontab' --run 20261127")
def explain(
    name: RuleName,
    run: Annotated[str, typer.Option("--run", help="A run's id, or how it begins; else the last run.")] = "",
    event: Annotated[
        str, typer.Option("--event", help="Id of an event: what of the rule holds for it.")
    ] = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Say why a rule fired or did not: clause by clause, with the nearest events and what is missing."""
    from lab.flow.rules import Asked
    from lab.rulework import EXPLAIN

    session = open_session()
    found = session.run(EXPLAIN, Asked(rule=name, run=run, event=event))
    if output == Format.JSON:
        session.screen.json(found)
        return
    _show_explained(session.screen, found)


def _show_explained(screen: Screen, found: Explained) -> None:
    it = found.explanation
    rule = it.rule
    screen.line(f"{rule.title} ({rule.id})")
    screen.line(f"asks for {rule.log_source or 'any log source'}: events of {', '.join(rule.modules)}")
    screen.line(f"condition: {' or '.join(rule.formula)}")
    screen.line()
    if found.event is not None:
        _show_event(screen, found)
        return
    if not found.run:
        screen.table(("search", "clause"), [(one.search, one.words) for one in rule.clauses])
        screen.line("there is no run to count in;  lab run  makes one")
        return
    rows = [(one.clause.search, one.clause.words, str(one.events)) for one in it.clauses]
    screen.table(("search", "clause", "events"), rows, right=("events",))
    screen.line(
        f"run {found.run}: {it.events} events, {it.of_source} of the log source, {it.matches} matched"
    )
    if not it.of_source:
        screen.line(f"no log of this run has such events: it would take one of {', '.join(rule.modules)}")
    for field in it.empty:
        screen.line(f"no event of the log source has {field}")
    for near in it.nearest if not it.matches else ():
        lacking = "; ".join(rule.clauses[place].words for place in near.failing)
        said = str(near.event.get("event.original", ""))[:160]
        screen.line(f"near: {near.event['event.id']}  {said}")
        screen.line(f"    fails: {lacking or 'only its filter'}")


def _show_event(screen: Screen, found: Explained) -> None:
    event, rule = found.event or {}, found.explanation.rule
    rows = [
        (
            "holds" if holds else "fails",
            one.search,
            one.words,
            "; ".join(f"{name} = {event.get(name, 'absent')}" for name in one.fields),
        )
        for one, holds in zip(rule.clauses, found.holds, strict=True)
    ]
    screen.table(("", "search", "clause", "the event says"), rows)
    ours = "is" if found.of_source else f"is {event.get('event.module', 'of no log')} and not"
    screen.line(
        f"the event {ours} of the log source; the rule {'matches' if found.fires else 'does not match'} it"
    )


@app.command(epilog="Example:  lab rules convert my-rules --to splunk")
def convert(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Sigma files, and folders of them.")],
    to: Annotated[Product, typer.Option("--to", help="What for.")],
    output: AsFormat = Format.TABLE,
) -> None:
    """Write rules as queries of a product over the events that lab sends there; duckdb is for lab query."""
    from lab.flow.rules import Conversion
    from lab.rulework import CONVERT

    session = open_session()
    found = session.run(CONVERT, Conversion(paths=tuple(paths), product=to.value))
    if output == Format.JSON:
        session.screen.json(found)
        return
    for it in found:
        session.screen.line(f"# {it.title}" + (f": {it.why}" if it.why else ""))
        if it.query:
            session.screen.line(it.query)
        session.screen.line()
