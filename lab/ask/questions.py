"""Questions that come again and again, by name: read from one file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from lab.errors import NotFound
from lab.files import loader
from lab.files.declared import Key, read

SOURCE: Final = Path(__file__).with_name("questions.yml")
"""The file."""

Chart = Literal["bars", "time"]
"""A bar for each row, or one for each moment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedQuestion:
    """One question."""

    remedy: ClassVar[str] = "write  {name: top-talkers, asks: Who ...?, learn: ..., sql: SELECT ...}"

    name: str
    """What it is called."""

    asks: str
    """What it asks, in a sentence."""

    learn: str
    """What its answer teaches."""

    sql: str
    """The same in SQL."""

    chart: Chart | None = None
    """How it is best drawn; not at all when None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Questions:
    """All of them."""

    questions: Annotated[tuple[SavedQuestion, ...], Key(entry="question")]
    """In the order in which they are listed."""


def saved_questions() -> tuple[SavedQuestion, ...]:
    """Read the questions that ship."""
    root, reading = loader.load(SOURCE)
    found = read(reading, root, _Questions, SOURCE.name)
    reading.finish()
    return found.questions


def find(name: str) -> SavedQuestion:
    """Find a question by its name.

    Raises:
        NotFound: there is none; says which there are.
    """
    known = {it.name: it for it in saved_questions()}
    if name not in known:
        raise NotFound("question", name=name, known=tuple(known))
    return known[name]


def is_name(text: str) -> bool:
    """Tell whether a text names a question, rather than being one."""
    return re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", text) is not None
