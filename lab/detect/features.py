"""What models look at, computed here for training and for live alike: values of HTTP parameters as n-grams.

A value is decoded up to three times, lower-cased, its digits are masked. Its characters, and its words and
signs, are taken one to four and one to three in a row; each is a feature by its hash. Values are looked at as
a whole and in windows, so that an attack is not drowned by what stands around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus
from zlib import crc32

CHARACTERS: Final = 1 << 16
"""Buckets of runs of characters."""

TOKENS: Final = 1 << 15
"""Buckets of runs of words and signs."""

_DECODED: Final = 3
"""How often a value is decoded at most."""

_LONGEST: Final = 2000
"""Characters of a value that are looked at."""

_WINDOW: Final = 64
_STEP: Final = 32
"""Characters of a window, and from one to the next."""

_TOKEN: Final = re.compile(r"[a-z_]+|0+|\s+|[^\sa-z_0]")
_DIGIT: Final = re.compile(r"\d")
_SPACE: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value that a request carries."""

    name: str
    """The parameter's name; empty for a part of the path."""

    value: str
    """Its value, as it was sent."""


def parameters(query: str) -> Iterator[Parameter]:
    """Give the values that the query of an address carries; what is in a request's body no log has."""
    for part in query.split("&"):
        name, sign, value = part.partition("=")
        if value or sign:
            yield Parameter(name, value)
        elif name:
            yield Parameter("", name)


def normal(value: str) -> str:
    """Return a value as it is looked at."""
    for _ in range(_DECODED):
        decoded = unquote_plus(value, errors="replace")
        if decoded == value:
            break
        value = decoded
    return _SPACE.sub(" ", _DIGIT.sub("0", value[:_LONGEST].lower()))


def windows(text: str) -> Iterator[str]:
    """Give a text as a whole, and its windows where it is long."""
    yield text
    if len(text) > _WINDOW + _STEP:
        for start in range(0, len(text) - _STEP, _STEP):
            yield text[start : start + _WINDOW]


def characters(text: str) -> frozenset[str]:
    """Return the runs of one to four characters of a text, its ends marked."""
    marked = f"\x02{text}\x03"
    return frozenset(marked[at : at + size] for size in range(1, 5) for at in range(len(marked) - size + 1))


def tokens(text: str) -> frozenset[str]:
    """Return the runs of one to three words and signs of a text."""
    found = ["\x02", *_TOKEN.findall(text), "\x03"]
    return frozenset(
        "\x1f".join(found[at : at + size]) for size in range(1, 4) for at in range(len(found) - size + 1)
    )


def bucket(gram: str, buckets: int) -> int:
    """Return the place of a gram among so many."""
    return crc32(gram.encode("utf-8", "surrogatepass")) % buckets
