"""Commands about this machine, and the whole job at once."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli.labs import end_with_leftovers
from lab.cli.options import AsFormat, Format, Inventory
from lab.cli.session import open_session

app = typer.Typer()

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before the machine is prepared.")]


@app.command(epilog="Example:  lab doctor --fix")
def doctor(
    inventory: Inventory = "",
    *,
    fix: Annotated[bool, typer.Option("--fix", help="Install and start what is missing.")] = False,
    yes: Yes = False,
    output: AsFormat = Format.TABLE,
) -> None:
    """Check whether this machine is ready for a lab, and say what to do where it is not."""
    from lab.cli import tables
    from lab.flow.machine import Examination
    from lab.pipeline import DOCTOR
    from lab.provision.doctor import require

    session = open_session()
    wanted = Examination(inventory=inventory, fix=fix, agree=session.agreeing(asked=not yes))
    found = session.run(DOCTOR, wanted)
    tables.requirements(session.screen, found, as_json=output == Format.JSON)
    require(found)


@app.command(epilog="Example:  lab demo --yes")
def demo(
    *,
    yes: Yes = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Replay the recorded run; needs no engine.")
    ] = False,
) -> None:
    """Do the whole job: prepare the machine, build the starter lab, attack it, report, remove it."""
    from lab.cli import tables
    from lab.flow.labs import DEFAULT_LAB, Removal
    from lab.flow.machine import Engagement
    from lab.flow.play import Order
    from lab.flow.runs import DEFAULT_SCENARIO
    from lab.pipeline import DOWN, PREPARE_DEMO, REPLAY, RUN, UP

    session = open_session(DEFAULT_LAB)
    engagement = Engagement(replay=replay, agree=session.agreeing(asked=not yes))
    if not session.run(PREPARE_DEMO, engagement):
        tables.score(session.screen, session.run(REPLAY, DEFAULT_SCENARIO), as_json=False)
        return
    proof = session.run(UP, DEFAULT_LAB)
    tables.nodes(session.screen, proof.running, as_json=False)
    tables.walls_in_short(session.screen, proof)
    tables.score(session.screen, session.run(RUN, Order(scenario=DEFAULT_SCENARIO)), as_json=False)
    receipts = session.run(DOWN, Removal(name=DEFAULT_LAB))
    tables.receipts(session.screen, receipts, as_json=False)
    end_with_leftovers(session, receipts)


@app.command(epilog="Example:  lab schema scenario > scenario.schema.json")
def schema(
    what: Annotated[str, typer.Argument(help="scenario, inventory or node.")] = "scenario",
) -> None:
    """Write the JSON Schema of a file, for editors that complete and check it."""
    from lab.pipeline import SCHEMA

    session = open_session()
    session.screen.json(session.run(SCHEMA, what))
