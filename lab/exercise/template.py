"""Jinja2 templates in scenarios, as in Ansible, in a sandbox.

Scenarios come from other people: a template can reach the values it is given and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Final, TypeVar, cast

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from lab.errors import WrongInput

Filled = TypeVar("Filled")

_LONGEST: Final = 100_000
"""Characters of one template."""


class BadTemplate(WrongInput):
    """A template is wrong, or asks for what there is not."""

    def __init__(self, text: str, *, why: str) -> None:
        self.text = text
        self.why = why
        super().__init__(text, why)

    def message(self) -> str:
        """Show the template and what is wrong with it."""
        return f"template {self.text!r}: {self.why}"


def _regex_search(text: str, pattern: str, *groups: str) -> str | list[str] | None:
    r"""Search as Ansible's filter of that name: the match, or the groups named `\\1`, or nothing."""
    match = re.search(pattern, text)
    if match is None:
        return None
    if not groups:
        return match[0]
    return [str(match[int(group.lstrip("\\"))]) for group in groups]


def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)  # no HTML here
    made.filters["regex_search"] = _regex_search
    made.filters["from_json"] = json.loads
    return made


_MISTAKES: Final = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError),
    *(RecursionError, TypeError, ValueError, re.error),
)
"""What a template's own words can raise, as `{{ 1 / 0 }}`."""

_JINJA: Final = _environment()


def undeclared(text: str) -> frozenset[str]:
    """Name the variables a template needs.

    Raises:
        BadTemplate: it is not a template.
    """
    if len(text) > _LONGEST:
        raise BadTemplate(f"{text[:40]}...", why=f"is longer than {_LONGEST} characters")
    try:
        return frozenset(meta.find_undeclared_variables(_JINJA.parse(text)))
    except (TemplateSyntaxError, RecursionError, MemoryError) as error:
        raise BadTemplate(text, why=str(error) or "is nested too deep") from error


def expression(text: str) -> str:
    """Return a template that gives what an expression is worth, as JSON; braces around it may be left out."""
    bare = text.strip()
    if bare.startswith("{{") and bare.endswith("}}"):
        bare = bare[2:-2]
    return f"{{{{ ({bare}) | tojson }}}}" if bare else ""


def render(text: str, values: Mapping[str, object]) -> str:
    """Fill in a template.

    Raises:
        BadTemplate: a name is not defined, a filter failed, or the sandbox forbids it.
    """
    try:
        return str(_JINJA.from_string(text).render(values))
    except (*_MISTAKES, TemplateError) as error:
        short = "needs more memory than it may have"
        raise BadTemplate(text, why=short if isinstance(error, MemoryError) else str(error)) from error


def render_lazily(
    variables: Mapping[str, object], values: Mapping[str, object], texts: Iterable[str]
) -> dict[str, object]:
    """Fill in variables that are templates themselves, as Ansible does: those that texts ask for.

    One that needs what is not there yet is left out, so using it says which name is missing.
    """
    known: dict[str, object] = dict(values)
    waiting = _wanted(variables, texts)
    while ready := [name for name, value in waiting.items() if _needs(value) <= known.keys()]:
        for name in ready:
            value = waiting.pop(name)
            known[name] = render(value, known) if isinstance(value, str) else value
    return known


def _wanted(variables: Mapping[str, object], texts: Iterable[str]) -> dict[str, object]:
    """Return the variables that texts ask for, themselves or through others."""
    found: dict[str, object] = {}
    asked = {name for text in texts for name in _needs(text)}
    while new := asked & variables.keys() - found.keys():
        found |= {name: variables[name] for name in new}
        asked = {name for value in found.values() for name in _needs(value)}
    return found


def _needs(value: object) -> frozenset[str]:
    return undeclared(value) if isinstance(value, str) else frozenset()


def replace_texts(value: Filled, texts: Mapping[str, str]) -> Filled:
    """Replace texts of a value: of a tuple, and of a dataclass, however deep."""
    return cast("Filled", _replaced(value, texts))


def _replaced(value: object, texts: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return texts.get(value, value)
    if isinstance(value, tuple):
        return tuple(_replaced(it, texts) for it in value)
    if isinstance(value, list):
        return [_replaced(it, texts) for it in value]
    if isinstance(value, Mapping):
        return {name: _replaced(it, texts) for name, it in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{it: _replaced(getattr(value, it), texts) for it in _written(value)})
    return value


def _written(value: object) -> Iterator[str]:
    """Name the fields that come from a file; what code put in is nobody's template."""
    if is_dataclass(value):
        yield from (it.name for it in fields(value) if it.metadata.get("written", True))


def texts_of(value: object) -> Iterator[str]:
    """Yield every text that may be a template."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for it in value:
            yield from texts_of(it)
    elif isinstance(value, Mapping):
        for it in value.values():
            yield from texts_of(it)
    elif is_dataclass(value):
        for name in _written(value):
            yield from texts_of(getattr(value, name))
