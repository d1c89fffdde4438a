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

_SYMBOLS: Final = "symbols"
"""The folder, where the user works, with symbol files."""


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
    image = "" if node.machine else _baked(_TOOLS, context)  # a machine's own image has them
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Symbols:
    """A symbol file for the kernel of machines."""

    release: str
    """The kernel's release."""

    path: Path
    """The file, below the folder that Volatility is given."""

    folder: Path
    """That folder."""


def make_symbols(_: None, context: Context) -> Symbols:
    """Nothing -> the symbol file by which Volatility reads the memory of machines, made anew.

    Raises:
        EngineFault: the kernel does not start, or says not enough.
    """
    from lab.files import careful
    from lab.forensics.machine import kernel_of
    from lab.forensics.symbols import symbol_file

    context.lab_name = context.lab_name or _SYMBOLS  # whoever ends us early finds what is left by it
    image = _baked(images.KERNEL, context)
    context.tell("starting the kernel once")
    kernel = kernel_of(context.engine, image, context.lab_name)
    folder = context.workplace.folder / _SYMBOLS
    (folder / "linux").mkdir(parents=True, exist_ok=True)
    path = folder / "linux" / f"{kernel.release}.json.xz"
    careful.replace(path, symbol_file(kernel))
    return Symbols(release=kernel.release, path=path, folder=folder)


def _baked(role: str, context: Context) -> str:
    """Return the image of a role that no lab needs, baked when there is none."""
    kind = context.kinds.find(role)
    if kind is None:
        raise NotFound("role", name=role)
    recipes = images.recipes((Node(name=role, kind=kind, attach=(), variables={}),), context.workplace)
    baker = Baker(
        lab=context.lab_name,
        engine=context.engine,
        workplace=context.workplace,
        tell=context.tell,
        stop=context.stop,
    )
    baker.bake(images.missing(recipes.values(), context.engine))
    return recipes[role].tag


def _new_folder(run: RunFolder, node: SeenNode) -> Path:
    stamp = Moment.now().iso()[11:19].replace(":", "")
    folder = run.path / names.EVIDENCE / f"{node.name}-{stamp}-{secrets.token_hex(2)}"
    folder.mkdir(parents=True)
    return folder
