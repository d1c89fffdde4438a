"""Stages that list models, and say which of them raise alerts."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lab.errors import BadFile, NotFound, Problem, WrongInput
from lab.flow.context import Context

if TYPE_CHECKING:
    from lab.detect.description import Description
    from lab.detect.model import Model, WindowModel

_FOLDER: Final = "models"
"""The folder below the workplace that holds all models."""

_USED: Final = "in-use"
"""The file in a model's folder that says that it raises alerts."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A model in the list."""

    folder: str
    """Where it is."""

    model: Description
    """What it is."""

    used: bool
    """Whether it raises alerts."""


def model_folder(name: str, context: Context) -> Path:
    """Return the folder of a model of that name, whether there is one or not.

    Raises:
        WrongInput: nothing may be called so.
    """
    if not _NAME.fullmatch(name):
        raise WrongInput(f"{name!r} is no name of a model: small letters, digits and hyphens")
    return context.path(Path(_FOLDER) / name)


def list_models(_: None, context: Context) -> tuple[Kept, ...]:
    """Nothing -> the models of the workplace, by name."""
    from lab.detect.model import DESCRIPTION, describe

    found = sorted(context.path(Path(_FOLDER)).glob(f"*/{DESCRIPTION}"))
    return tuple(
        Kept(folder=str(it.parent), model=describe(it.parent), used=(it.parent / _USED).exists())
        for it in found
    )


def find_model(name: str, context: Context) -> Kept:
    """Name -> a model, read and checked.

    Raises:
        NotFound: there is none.
        BadFile: it is not what it says.
    """
    from lab.detect.model import read_model

    folder = model_folder(name, context)
    if not folder.is_dir():
        known = tuple(it.model.name for it in list_models(None, context))
        raise NotFound("model", name=name, known=known, remedy="lab learn sqli  makes one")
    model = read_model(folder)
    if model.description.name != name:
        what = f"is of the model {model.description.name!r}"
        raise BadFile(Problem(path=str(folder), line=0, what=what))
    return Kept(folder=str(folder), model=model.description, used=(folder / _USED).exists())


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """Whether a model is to raise alerts."""

    name: str
    """The model."""

    used: bool
    """Whether it is to."""


def switch_model(switch: Switch, context: Context) -> Kept:
    """Whether a model is to raise alerts -> the same; it does from the next run, import or replay on.

    Raises:
        NotFound: there is none of that name.
        WrongInput: it looks at what no sensor of a lab writes.
        BadFile: it is not what it says.
    """
    found = find_model(switch.name, context)
    if switch.used and found.model.kind == "record":
        raise WrongInput(
            f"{switch.name} looks at columns of {found.model.title}: no sensor of a lab writes these,"
            " so it cannot raise alerts; lab learn flood, hosts and sqli  make models that can"
        )
    if switch.used:
        (Path(found.folder) / _USED).write_text(f"{found.model.hash}\n", encoding="utf-8")
    else:
        (Path(found.folder) / _USED).unlink(missing_ok=True)
    return find_model(switch.name, context)


def forget_model(name: str, context: Context) -> Path:
    """Name -> the folder that is gone now."""
    folder = model_folder(name, context)
    if not folder.is_dir() or folder.is_symlink():
        raise NotFound("model", name=name, known=tuple(it.model.name for it in list_models(None, context)))
    shutil.rmtree(folder)
    return folder


def models_in_use(context: Context) -> tuple[Model | WindowModel, ...]:
    """Return the models that raise alerts.

    Raises:
        BadFile: one is not what it was when it was switched on.
    """
    used = [it for it in list_models(None, context) if it.used]
    if not used:
        return ()
    from lab.detect.ensemble import Ensemble
    from lab.detect.model import read_model

    found: list[Model | WindowModel] = []
    for it in used:
        said = (Path(it.folder) / _USED).read_text("utf-8").strip()
        model = read_model(Path(it.folder))
        if isinstance(model, Ensemble) or model.description.hash != said:
            what, remedy = (
                "is another model than was switched on",
                f"lab model use {it.model.name}  takes it as it is",
            )
            raise BadFile(Problem(path=it.folder, line=0, what=what, remedy=remedy))
        found.append(model)
    return tuple(found)
