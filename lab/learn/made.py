"""Values of requests that are made up: ordinary, hard, and SQL injection, by forms that stand in a file."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from lab.files import loader

_SOURCE: Final = Path(__file__).with_name("made.yml")

_DEEPEST: Final = 6
"""How often a form may stand in a form."""

_OFTEN: Final = 0.35
"""How often the blanks of a payload are something else."""

_BLANKS: Final = ("/**/", "+", "\t", "%0a", "/*x*/", "%20", "  ", "%09", "\n", "/*!50000*/")


@dataclass(frozen=True, slots=True)
class Family:
    """Forms that say the same in other words."""

    name: str
    """What it is called."""

    sort: str
    """`benign`, `hard` or `attack`."""

    forms: tuple[str, ...]
    """Its forms."""


@cache
def _read() -> tuple[Mapping[str, tuple[str, ...]], tuple[Family, ...]]:
    root, reading = loader.load(_SOURCE)
    held: Any = root.plain()
    reading.finish()
    words = {
        name: tuple(said.split()) if isinstance(said, str) else tuple(map(str, said))
        for name, said in held["words"].items()
    }
    families = (
        Family(name, sort, tuple(map(_text, forms)))
        for sort in ("benign", "hard", "attack")
        for name, forms in held[sort].items()
    )
    return words, tuple(families)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def families() -> tuple[Family, ...]:
    """Return all families."""
    return _read()[1]


def made(family: Family, count: int, seed: int) -> tuple[str, ...]:
    """Make values of a family, each once; a family of few forms gives fewer.

    Args:
        family: It.
        count: How many at most.
        seed: What chance is drawn from.
    """
    chance = random.Random(f"{seed} {family.name}")  # noqa: S311  # chance, not secrets
    values = (_filled(chance.choice(family.forms), chance) for _ in range(count))
    if family.sort == "attack":
        values = (_disguised(it, chance) for it in values)
    return tuple(dict.fromkeys(values))


def _filled(form: str, chance: random.Random, depth: int = 0) -> str:
    """Fill a form; what it is filled with may be one."""
    found = []
    for text, name, _, _ in string.Formatter().parse(form):
        found.append(text)
        if name is not None:
            said = _chosen(name, chance)
            found.append(_filled(said, chance, depth + 1) if "{" in said and depth < _DEEPEST else said)
    return "".join(found)


def _chosen(name: str, chance: random.Random) -> str:
    match name:
        case "n":
            return str(chance.randint(0, 99))
        case "nn":
            return str(chance.randint(100, 9_999_999))
        case "hex":
            return f"{chance.getrandbits(48):x}"
        case "mix":
            return "".join(chance.choices(string.ascii_letters + string.digits, k=chance.randint(6, 14)))
        case _:
            return chance.choice(_read()[0][name])


def _disguised(said: str, chance: random.Random) -> str:
    """Write a payload as those do who want to get past a filter."""
    if chance.random() < _OFTEN:
        said = said.replace(" ", chance.choice(_BLANKS))
    match chance.randrange(8):
        case 0:
            return "".join(chance.choice((it.upper(), it.lower())) for it in said)
        case 1:
            return said.upper()
        case 2:
            return quote(said)
        case 3:
            return quote(quote(said))
        case _:
            return said
