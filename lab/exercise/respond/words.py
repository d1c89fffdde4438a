"""A response as it is written on the command line, `lab respond isolate gateway` -> Action."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, Final

from lab.errors import WrongInput
from lab.exercise.respond import ACTIONS
from lab.exercise.respond.base import Action

_BEGINS: Final = ["lab", "respond"]


class NoResponse(WrongInput):
    """Words that are no response."""


def evidence_of(line: str) -> str:
    """Return the node of which a line takes evidence, `lab evidence gateway`; nothing for any other line."""
    words = line.split()
    return words[2] if words[:2] == ["lab", "evidence"] and len(words) == 3 else ""  # noqa: PLR2004


def read_action(line: str) -> Action:
    """Read one response.

    Raises:
        NoResponse: it is none; says why.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise NoResponse(f"{line!r} is no command line: {error}") from error
    if words[:2] != _BEGINS or len(words) < 4:  # noqa: PLR2004  # the action and its node
        raise NoResponse(f"{line!r} is no response; write  lab respond isolate gateway")
    kind = ACTIONS.get(words[2])
    if kind is None:
        raise NoResponse(f"there is no response {words[2]!r}; there is: {', '.join(sorted(ACTIONS))}")
    options, plain = _parted(words[3:], kind)
    if not plain:
        raise NoResponse(f"{line!r} names no node")
    return _made(kind, plain, options)


def _parted(words: Sequence[str], kind: type[Action]) -> tuple[dict[str, list[str]], list[str]]:
    """Part options from the rest."""
    known = {it.name for it in _fields(kind)} - {"node", "path"}
    options: dict[str, list[str]] = {}
    plain: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            plain.append(word)
            continue
        name, given, value = word[2:].partition("=")
        if name not in known:
            has = ", ".join(f"--{it}" for it in sorted(known)) or "none"
            raise NoResponse(f"{kind.kind} has no option {word!r}; it has: {has}")
        if not given and not left:
            raise NoResponse(f"{word} needs a value")
        options.setdefault(name, []).append(value if given else left.pop(0))
    return options, plain


def _made(kind: type[Action], plain: Sequence[str], options: dict[str, list[str]]) -> Action:
    given: dict[str, object] = {"node": plain[0]}
    takes_paths = any(it.name == "path" for it in _fields(kind))
    if takes_paths:
        given["path"] = tuple(plain[1:])
    elif len(plain) > 1:
        raise NoResponse(f"{kind.kind} acts on one node, and not on {', '.join(plain[1:])} as well")
    for it in _fields(kind):
        if it.name in options:
            given[it.name] = option_value(str(it.type), options[it.name])
        elif it.name not in given and it.default is MISSING:
            raise NoResponse(f"{kind.kind} needs --{it.name}")
    return kind(**given)


def option_value(annotation: str, said: Sequence[str]) -> object:
    """Return the value of an option: several texts, a number or a text.

    Raises:
        NoResponse: it is no number where one is meant.
    """
    if annotation.startswith("tuple"):
        return tuple(said)
    if annotation != "int":
        return said[-1]
    if not said[-1].isdecimal():
        raise NoResponse(f"{said[-1]!r} is no number")
    return int(said[-1])


def _fields(kind: type[Action]) -> tuple[Field[Any], ...]:
    return fields(kind)  # type: ignore[arg-type]  # every action is a dataclass
