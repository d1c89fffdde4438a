"""Stages that take evidence of nodes."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lab.errors import LabError, NotFound
from lab.flow.answered import defended, run_answered
from lab.flow.context import Context
from lab.inventory.definition import Node
from lab.moment import Moment
from lab.provision import images
from lab.provision.images import Baker
from lab.runs import names
from lab.runs.response import new_response

if TYPE_CHECKING:
    from lab.engine.nodes import SeenNode
    from lab.forensics.manifest import Manifest
    from lab.runs.folder import RunFolder

_TOOLS: Final = "forensics"
"""The role whose image has the tools."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Securing:
    """What is to be secured."""

    node: str
    """Of which node."""

    run: str = ""
    """The run's id, or how it begins; the last one in the lab when empty."""

    disk: bool = True
    """Whether an image of its disk is wanted."""

    e01: bool = False
    """Whether that is wanted in the Expert Witness format as well."""

    rules: Path | None = None
    """YARA rules that are looked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Secured:
    """Evidence that was taken."""

    folder: Path
    """Where it is."""

    manifest: Manifest
    """What it is."""


def secure(securing: Securing, context: Context) -> Secured:
    """Which node -> its evidence, in a folder of the run; written down before and after, as any act.

    Raises:
        NotFound: there is no such node.
        BadFile: the YARA rules cannot be used.
    """
    from lab.forensics.reach import Tools
    from lab.forensics.taking import Wanted, take

    run = run_answered(securing.run, context)
    context.lab_name = run.header().lab
    _, node = defended(run, securing.node, context)
    image = _tools(context)
    begun = new_response("evidence", node=node.name)
    run.response.add(begun)
    folder = _new_folder(run, node)
    rules = context.path(securing.rules) if securing.rules else None
    wanted = Wanted(disk=securing.disk, e01=securing.e01, rules=rules)
    try:
        found = take(node, Tools(context.engine, image), folder, wanted, context.tell)
    except LabError as error:
        run.response.add(replace(begun, at=Moment.now(), state="failed", said=str(error)))
        shutil.rmtree(folder)  # evidence that is not whole is none
        raise
    said = f"evidence of {node.name}: {', '.join(it.path for it in found.items)}"
    run.response.add(replace(begun, at=Moment.now(), state="done", said=said, digest=found.digest))
    return Secured(folder=folder, manifest=found)


def _tools(context: Context) -> str:
    """Return the image with the tools, baked when there is none."""
    kind = context.kinds.find(_TOOLS)
    if kind is None:
        raise NotFound("role", name=_TOOLS)
    recipes = images.recipes((Node(name=_TOOLS, kind=kind, attach=(), variables={}),), context.workplace)
    baker = Baker(
        lab=context.lab_name,
        engine=context.engine,
        workplace=context.workplace,
        tell=context.tell,
        stop=context.stop,
    )
    baker.bake(images.missing(recipes.values(), context.engine))
    return recipes[_TOOLS].tag


def _new_folder(run: RunFolder, node: SeenNode) -> Path:
    stamp = Moment.now().iso()[11:19].replace(":", "")
    folder = run.path / names.EVIDENCE / f"{node.name}-{stamp}-{secrets.token_hex(2)}"
    folder.mkdir(parents=True)
    return folder
