"""Stages that write runs in the formats of others, and read a bundle back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

from lab.errors import NotFound, WrongInput
from lab.flow.context import Context

if TYPE_CHECKING:
    from lab.export.bundle import Manifest
    from lab.export.material import Material
    from lab.flow.runs import Scored
    from lab.runs.folder import RunFolder

Format = Literal["navigator", "attire", "timesketch", "iris", "stix", "coverage", "bodyfile"]
"""What a run can be written as."""

FORMATS: Final[tuple[Format, ...]] = get_args(Format)


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """Which run to write, as what, and where."""

    run: str
    """A run's id, or how it begins; else the last run. `history` for all of them, as a layer."""

    form: Format
    """As what."""

    to: Path
    """The file to make."""


HISTORY: Final = "history"
"""What all runs together are called."""


def export_run(order: Export, context: Context) -> Path:
    """Which run, and as what -> the file.

    Raises:
        NotFound: there is no such run, or it was never scored.
        WrongInput: that format is of one run alone.
    """
    target = context.path(order.to)
    if order.run == HISTORY:
        if order.form != "navigator":
            raise WrongInput("of all runs together there is a layer alone:  --as navigator")
        _write(target, [_json(_history(context))])
        return target
    from lab.export.material import read_material
    from lab.runs import folder

    run = folder.find(context.workplace, order.run)
    if order.form == "bodyfile":
        _write(target, _bodyfiles(run))
    elif order.form == "coverage":
        _write(target, [_json(_coverage(run, context))])
    else:
        _write(target, _written(order.form, read_material(run)))
    return target


def _written(form: Format, material: Material) -> Iterable[str]:
    from lab.export.attire import attire
    from lab.export.stix import stix
    from lab.export.timelines import iris, timesketch
    from lab.report.navigator import run_layer

    forms: dict[Format, Callable[[], Iterable[str]]] = {
        "navigator": lambda: [_json(run_layer(material.header.id, [material.score]))],
        "attire": lambda: [_json(attire(material))],
        "timesketch": lambda: timesketch(material),
        "iris": lambda: [iris(material)],
        "stix": lambda: [_json(stix(material))],
    }
    return forms[form]()


def _bodyfiles(run: RunFolder) -> Iterable[str]:
    """Yield the files of every node of which there is evidence, with the node before each name.

    Raises:
        NotFound: there is none.
    """
    from lab.files import careful
    from lab.forensics import bodyfile, manifest
    from lab.runs import names

    folders = [it.parent for it in sorted((run.path / names.EVIDENCE).glob(f"*/{manifest.NAME}"))]
    if not folders:
        raise NotFound("evidence in", name=run.path.name, remedy="lab evidence NODE  takes it")
    for folder in folders:
        text = careful.read_bytes(folder / bodyfile.NAME) if (folder / bodyfile.NAME).exists() else b""
        yield bodyfile.of_node(manifest.read(folder).node, text).decode("utf-8", "backslashreplace")


def _coverage(run: RunFolder, context: Context) -> object:
    """Return for each technique its rules, the logs that would show it, and what came of it in the run."""
    from lab.export.material import read_material
    from lab.flow.rules import cover

    material = read_material(run)
    outcome: dict[str, list[str]] = {}
    for _, step in material.steps():
        outcome.setdefault(step.technique, []).append(step.verdict)
    return {
        "run": material.header.id,
        "techniques": [
            {
                "technique": it.technique,
                "name": it.name,
                "rules": it.rules,
                "seen_by": list(it.seen_by),
                "steps": outcome.get(it.technique, []),
            }
            for it in cover(run.path.name, context)
            if it.rules or it.technique in outcome
        ],
    }


def _history(context: Context) -> object:
    from lab.files import records
    from lab.flow.loop import Past, show_history
    from lab.report.navigator import run_layer
    from lab.runs import folder
    from lab.score.values import Score

    runs = [folder.find(context.workplace, it.run) for it in show_history(Past(), context)]
    return run_layer("homerange history", [records.read(it.score, Score) for it in runs])


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _write(path: Path, parts: Iterable[str]) -> None:
    """Write a file whole, or not at all."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("w", encoding="utf-8", errors="replace") as file:
            file.writelines(parts)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundling:
    """Which run to bundle, where, and what to replace in it."""

    run: str
    """A run's id, or how it begins; else the last run."""

    to: Path
    """The file to make."""

    replace: bool = False
    """Whether private addresses and secrets are replaced."""

    secrets: tuple[str, ...] = ()
    """Further texts that are secrets."""


def bundle_run(order: Bundling, context: Context) -> Manifest:
    """Which run -> what is in the bundle that was made of it."""
    from lab.export.bundle import write_bundle
    from lab.export.material import read_material
    from lab.export.replacing import Replacing, secrets_in
    from lab.files import careful
    from lab.runs import folder

    run = folder.find(context.workplace, order.run)
    read_material(run)  # says what to do where it was never scored
    replacing = None
    if order.replace:
        scenario = run.happened.scenario
        text = careful.read_bytes(scenario).decode("utf-8", "replace") if scenario.exists() else ""
        replacing = Replacing({*secrets_in(text), *order.secrets})
    return write_bundle(run, context.path(order.to), replacing)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unbundled:
    """A run that was read from a bundle."""

    scored: Scored
    """The run and its score, made again."""

    same: bool
    """Whether the score is the one in the bundle, but for what says so in words."""


def read_bundled(path: Path, context: Context) -> Unbundled:
    """A bundle -> the run in it, scored again."""
    from lab.export.bundle import read_bundle
    from lab.files import records
    from lab.flow.runs import score_run, write_report
    from lab.score.values import Score

    run = read_bundle(context.path(path), context.workplace)
    before = records.read(run.score, Score)
    scored = write_report(score_run(run, context), context)
    return Unbundled(scored=scored, same=before == scored.score)
