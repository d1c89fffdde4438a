"""Commands about other SIEMs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import AsFormat, Format, LabName, RunName
from lab.cli.session import open_session

if TYPE_CHECKING:
    from lab.cli.screen import Screen
    from lab.flow.siem import SetUp
    from lab.siem.compare import Comparison, RuleResult
    from lab.siem.onion import Shown
    from lab.siem.sink import Delivery

app = typer.Typer(
    help="Bring runs into Elasticsearch, OpenSearch, Splunk or Security Onion, and see what they notice.",
    no_args_is_help=True,
)

_WHERE = (
    "A product whose node runs in the lab, such as elasticsearch; or an address, https://HOST:9200, with the "
    "account in LAB_SIEM_USER and LAB_SIEM_PASSWORD or a key in LAB_SIEM_API_KEY. What is before an address "
    "names the product: splunk+https://HOST:8088, kibana+https://HOST:5601, onion+ssh://ACCOUNT@HOST."
)

Rules = Annotated[
    list[Path] | None,
    typer.Option("--rules", help="Sigma files or folders of your own; may be repeated."),
]

Every = Annotated[int, typer.Option("--every", min=1, help="Seconds between two looks of a rule there.")]


class Exported(StrEnum):
    """What can be written for a product."""

    KIBANA = "kibana"
    KIBANA_RULES = "kibana-rules"
    SPLUNK = "splunk"


Where = Annotated[str, typer.Option("--to", "--siem", help=_WHERE)]


@app.command(epilog="Example:  lab siem setup --siem elasticsearch")
def setup(siem: Where, lab: LabName = "", output: AsFormat = Format.TABLE) -> None:
    """Make sure that a SIEM is there and knows us, and tell it our fields."""
    from lab.flow.siem import Choice
    from lab.pipeline import SIEM_SETUP

    session = open_session(lab)
    found: SetUp = session.run(SIEM_SETUP, Choice(siem=siem))
    if output == Format.JSON:
        session.screen.json(found)
        return
    if found.server:
        session.screen.line(f"{found.server.product} {found.server.version} is ready for runs")
        if found.server.product != "splunk" and not found.server.data_streams:
            session.screen.tell("it has no data streams, so runs are kept in plain indices")
    if found.imported:
        session.screen.line(f"kibana took {found.imported.objects} objects and {found.imported.rules} rules")


@app.command(epilog="Example:  lab siem export kibana-rules --to rules.ndjson --rules my-rules/")
def export(
    what: Annotated[Exported, typer.Argument(help="What to write.")],
    to: Annotated[Path, typer.Option("--to", help="The file to write.")],
    rules: Rules = None,
    every: Every = 60,
) -> None:
    """Write what a product imports by hand: Kibana's dashboards or rules, or an app for Splunk."""
    from lab.flow.siem import Export
    from lab.pipeline import SIEM_EXPORT

    session = open_session()
    wanted = Export(what=what.value, to=to, rules=tuple(rules or ()), every=every)
    session.screen.line(str(session.run(SIEM_EXPORT, wanted)))


@app.command(epilog="Example:  lab siem push 20261125 --to elasticsearch")
def push(  # noqa: PLR0913  # its options
    siem: Where,
    name: RunName = "",
    *,
    steps: Annotated[
        bool,
        typer.Option("--steps", help="Send the steps of the exercise as well, which dashboards then mark."),
    ] = False,
    accept_host_key: Annotated[
        str, typer.Option("--accept-host-key", help="Fingerprint of a Security Onion that is not known yet.")
    ] = "",
    lab: LabName = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Send what a SIEM does not have yet of a run: events and alerts, each once."""
    from lab.flow.siem import Adoption, Choice
    from lab.pipeline import SIEM_ONION, SIEM_PUSH

    session = open_session(lab)
    if siem.partition("+")[0] == "onion":
        adoption = Adoption(url=siem, run=name, accepted=accept_host_key)
        _show_onion(session.screen, session.run(SIEM_ONION, adoption), output)
        return
    found: Delivery = session.run(SIEM_PUSH, Choice(siem=siem, run=name, steps=steps))
    if output == Format.JSON:
        session.screen.json(found)
    else:
        _show_delivery(session.screen, found)
    if found.refusals:
        raise typer.Exit(1)


def _show_onion(screen: Screen, found: Shown, output: Format) -> None:
    if output == Format.JSON:
        screen.json(found)
        return
    for it in found.imports:
        screen.line(it.url)
    screen.tell(f"Security Onion {found.server.version}: {found.events} events, {found.alerts} alerts")
    screen.tell("lab score --by embedded,onion  holds them against the same truth")


def _show_delivery(screen: Screen, found: Delivery) -> None:
    refused = found.refusals
    rows = [(it, str(count), str(refused.get(it, 0))) for it, count in found.sent.items()]
    screen.table(("what", "sent", "refused"), rows)
    for it in found.refused:
        screen.fault(f"refused {it.stream} {it.id}: {it.why}\n    {it.document}")


@app.command("open", epilog="Example:  lab siem open --siem kibana --port 5601")
def open_(
    siem: Annotated[str, typer.Option("--siem", help="A product whose node runs in the lab.")] = "kibana",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Which port; any if 0.")] = 0,
    lab: LabName = "",
) -> None:
    """Serve a SIEM of the lab to a browser of this machine, on its loopback address, until Ctrl-C."""
    from lab.flow.siem import Opening
    from lab.pipeline import SIEM_OPEN

    session = open_session(lab)
    session.run(SIEM_OPEN, Opening(siem=siem, port=port, shown=session.screen.line))


@app.command(epilog="Example:  lab siem detect --siem elasticsearch --rules my-rules/")
def detect(  # noqa: PLR0913  # its options
    siem: Where,
    name: RunName = "",
    *,
    rules: Rules = None,
    every: Every = 60,
    lab: LabName = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Run our rules and yours on a SIEM over a run, and compare them with what they find here."""
    from lab.flow.siem import Choice
    from lab.pipeline import SIEM_DETECT

    session = open_session(lab)
    choice = Choice(siem=siem, run=name, rules=tuple(rules or ()), every=every)
    found: Comparison = session.run(SIEM_DETECT, choice)
    if output == Format.JSON:
        session.screen.json(found)
    else:
        _show_comparison(session.screen, found)
    if any(it.verdict == "differs" for it in found.rules):
        raise typer.Exit(1)


def _show_comparison(screen: Screen, found: Comparison) -> None:
    shown = [it for it in found.rules if it.here or it.there or it.verdict != "equal"]
    rows = [(it.title, str(it.here), str(it.there), it.verdict, _why(it)) for it in shown]
    screen.table(("rule", "here", f"in {found.siem}", "verdict", "why"), rows)
    for it in found.unusable:
        screen.tell(f"{it.path}:{it.line}: not used on either side: {it.why}")
    counted = [it for it in found.rules if it.counted_here]
    if counted:
        why = counted[0].counted_here
        screen.tell(f"{len(counted)} correlations were counted here on what {found.siem} found: {why}")
    quiet = len(found.rules) - len(shown)
    screen.tell(
        f"{found.equal} of {len(found.rules)} rules found the same on both sides, {quiet} of them nothing; "
        f"{found.alerts} alerts by {found.siem}"
    )


def _why(it: RuleResult) -> str:
    return it.cause or "; ".join(f"{each.count} {each.side}: {each.cause}" for each in it.differences)
