"""What a hunt asks, as an address says it: whoever is sent the address sees the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from lab.errors import WrongInput
from lab.moment import Moment
from lab.telemetry.event import FIELDS
from lab.telemetry.lookup import Asked, Clause

PAGE: Final = 100
"""Events on a page."""

DEEPEST: Final = 100
"""Pages that can be leafed to; beyond, a narrower time is quicker."""

_LONGEST: Final = 2000
"""Characters of one filter or text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hunt:
    """A hunt."""

    text: str = ""
    """What the line holds."""

    clauses: tuple[Clause, ...] = ()
    """Filters."""

    start: Moment | None = None
    """From when on."""

    end: Moment | None = None
    """Until before when."""

    group: str = ""
    """The field whose values are counted; none when empty."""

    page: int = 0
    """Which page, from 0."""

    @property
    def asked(self) -> Asked:
        """Return which events are meant."""
        return Asked(text=self.text, clauses=self.clauses, start=self.start, end=self.end)

    def query(self) -> str:
        """Return it as an address has it."""
        parts: list[tuple[str, str]] = [("q", self.text)] if self.text else []
        parts += [("f" if it.wanted else "x", said(it)) for it in self.clauses]
        parts += [(name, it.iso()) for name, it in (("from", self.start), ("to", self.end)) if it is not None]
        parts += [("group", self.group)] if self.group else []
        parts += [("page", str(self.page))] if self.page else []
        return f"?{urlencode(parts)}" if parts else "?"

    def including(self, field: str, value: str | None, *, wanted: bool = True) -> Hunt:
        """Ask for one thing more."""
        clause = Clause(field, value, wanted)
        return self if clause in self.clauses else replace(self, clauses=(*self.clauses, clause), page=0)

    def adding(self) -> str:
        """Return it as an address to which one filter more can be put: `name=value`, quoted."""
        return f"{replace(self, page=0).query()}&f="

    def without(self, clause: Clause) -> Hunt:
        """Ask for one thing less."""
        return replace(self, clauses=tuple(it for it in self.clauses if it != clause), page=0)

    def within(self, start: int | None, end: int | None) -> Hunt:
        """Ask for another time."""
        return replace(
            self,
            start=None if start is None else Moment(start),
            end=None if end is None else Moment(end),
            page=0,
        )


def said(clause: Clause) -> str:
    """Write a filter as an address has it."""
    return clause.field if clause.value is None else f"{clause.field}={clause.value}"


def hunt_of(pairs: Iterable[tuple[str, str]]) -> Hunt:
    """Read a hunt from an address.

    Args:
        pairs: Names and values of the query: `q`, `f` and `x` as often as there are filters, `from`, `to`,
            `group`, `page`. Others are left alone.

    Raises:
        WrongInput: a field is unknown, a time is none, or a text is too long.
    """
    found = Hunt()
    for name, value in pairs:
        if len(value) > _LONGEST:
            raise WrongInput(f"{name}: at most {_LONGEST} characters")
        match name:
            case "q":
                found = replace(found, text=value)
            case "f" | "x":
                found = replace(found, clauses=(*found.clauses, _clause(value, wanted=name == "f")))
            case "from" | "to" if value:
                moment = _moment(name, value)
                found = replace(found, start=moment) if name == "from" else replace(found, end=moment)
            case "group" if value:
                found = replace(found, group=_field(value))
            case "page":
                found = replace(found, page=min(DEEPEST, int(value)) if value.isdecimal() else 0)
            case _:
                pass
    return found


def _clause(text: str, *, wanted: bool) -> Clause:
    field, sign, value = text.partition("=")
    return Clause(_field(field), value if sign else None, wanted)


def _field(name: str) -> str:
    if name not in FIELDS:
        raise WrongInput(f"{name!r} is no field of an event; the fields are those of ECS, source.ip")
    return name


def _moment(name: str, text: str) -> Moment:
    try:
        return Moment.parse(text)
    except ValueError as error:
        raise WrongInput(f"{name}: {text!r} is no time; write  2026-11-27T14:05:00Z") from error
