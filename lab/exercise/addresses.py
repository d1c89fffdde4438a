"""Every way of writing an address that a tool on a node would understand, found in any text.

inet_aton(3) takes one to four numbers, decimal, octal or hexadecimal, so `3325256713`, `0xc6.51.25609` and
`1.1` are addresses; Nmap takes ranges, lists and stars; resolvers take digits of other scripts; shells take
quotes and escapes. Text is read in all these ways at once. What might be an address is taken for one: a step
that is refused can be written otherwise, a packet that was sent cannot be taken back.

All patterns are linear, and a text longer than Linux passes to a program is refused before it is read.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

LONGEST: Final = 131_071
"""Bytes of one argument that Linux passes to a program (MAX_ARG_STRLEN less its end)."""

_SMALLEST: Final = 2**24
"""Numbers below are addresses of `this network` (RFC 1122, 3.2.1.3), where no packet goes."""

_TOKEN: Final = re.compile(r"[0-9A-Za-z_.*,:-]+(?:/\d{1,3}(?![\w.]))?")
_QUAD: Final = re.compile(r"(?<!\d)\d{1,3}(?:\.\d{1,3}){3}(?!\d)")
_DASHED: Final = re.compile(r"(?<![\d-])\d{1,3}(?:-\d{1,3}){3}(?=\.[A-Za-z])")
_NUMBERS: Final = re.compile(r"[0-9.*xXa-fA-F-]+")
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]{1,16}|\d{1,20}")
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|0?([0-7]{3}))")
_ENCODED: Final = re.compile(r"[A-Za-z0-9+/_-]{8,4096}={0,2}")
_BUILT: Final = re.compile(r"\d\.[$`{]|[$`][\w{}()]{0,64}\.\d|\d\}\.\d")
_DOTS: Final = str.maketrans("\u3002\uff0e\uff61\u2024", "....")

# Numbers with a point that are no addresses: versions of programs, and lengths of time.
_HARMLESS: Final = re.compile(
    r"(?<![\w/.])[A-Za-z][A-Za-z-]{0,40}/\d+(?:\.\d+){0,2}(?![\w.])"
    r"|(?<![\w/.])(?:sleep|timeout)\s+\d+\.\d+(?![\w.])"
    r"|(?<![\w.@-])@\d{1,12}(?![\w.])"
    r"|(?<![\w.])rv:\d+(?:\.\d+){1,2}(?![\w.])"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """An address, or a span of them, that a text names."""

    written: str
    """As it stands there."""

    first: ipaddress.IPv4Address
    """The lowest address."""

    last: ipaddress.IPv4Address
    """The highest; the same for a single one."""


def addresses_in(text: str) -> Iterator[Named]:
    """Find every address that a text can be read to name.

    Raises:
        ValueError: it names one of IPv6, or what looks like an address and cannot be read, or is too long.
    """
    if len(text) > LONGEST:
        raise ValueError(f"a text of {len(text)} characters is longer than a program can be given")
    for reading in dict.fromkeys(_readings(text)):
        if built := _BUILT.search(reading):
            raise ValueError(f"{built[0]!r} builds an address while it runs")
        for token in _TOKEN.findall(_HARMLESS.sub(" ", reading)):
            yield from _in_token(token)


def hosts_in(text: str) -> Iterator[str]:
    """Find the host of every URL in a text."""
    for reading in dict.fromkeys(_readings(text)):
        for rest in reading.split("://")[1:]:
            place = re.split(r"[/?#\s'\"<>|;)]", rest, maxsplit=1)[0].rpartition("@")[2]
            bracket = re.match(r"\[([^\]]*)\]", place)
            yield bracket[1] if bracket else place.partition(":")[0]


def _readings(text: str) -> Iterator[str]:
    """Yield a text as programs may read it: as it is, and without what hides a part of it."""
    plain = "".join(it for it in unicodedata.normalize("NFKC", text) if unicodedata.category(it) != "Cf")
    plain = plain.translate(_DOTS)
    yield plain
    escaped = _ESCAPE.sub(lambda it: chr(int(it[1] or it[2], 16) if it[1] or it[2] else int(it[3], 8)), plain)
    bare = re.sub(r"\\\n|\$?['\"]|\\", "", escaped)
    yield bare
    yield unquote(bare)
    yield unquote(unquote(bare))
    for word in _ENCODED.findall(plain):
        yield from _decoded(word)


def _decoded(word: str) -> Iterator[str]:
    for decode in (bytes.fromhex, _from_base64):
        with suppress(ValueError):
            said = decode(word).decode("ascii")
            if said.isprintable() or "\n" in said:
                yield said


def _from_base64(word: str) -> bytes:
    plain = word.rstrip("=").translate(str.maketrans("-_", "+/"))
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _in_token(token: str) -> Iterator[Named]:
    plain = _NUMBERS.fullmatch(token.partition("/")[0])  # read as a whole below
    for pattern in () if plain else (_QUAD, _DASHED):
        for found in pattern.findall(token):
            with suppress(ValueError):
                yield _single(found, ipaddress.IPv4Address(found.replace("-", ".")))
    if token.count(":") > 1:
        yield from _ipv6(token)
    for piece in re.split(r"[,:]", token):
        # `-h198.51.100.9`: an option and its value in one.
        for word in (piece, re.sub(r"^-{1,2}[A-Za-z]", "", piece)):
            yield from _numbers(word.strip(".-_"))


def _single(written: str, address: ipaddress.IPv4Address) -> Named:
    return Named(written=written, first=address, last=address)


def _ipv6(token: str) -> Iterator[Named]:
    """Read an address of IPv6; no node has one, but for those of IPv4 inside it."""
    try:
        found = ipaddress.IPv6Interface(token.strip(".,-"))
    except ValueError:
        return  # a time of day looks alike
    if found.ipv4_mapped:
        yield _single(token, found.ipv4_mapped)
    elif not (found.is_loopback or found.is_unspecified):
        raise ValueError(f"{token!r} is an address of IPv6, which no node has")


def _numbers(word: str) -> Iterator[Named]:
    """Read one to four numbers, each a span or a star, with the length of a prefix."""
    body, _, prefix = word.partition("/")
    parts = body.split(".")
    if "" in parts[:-1]:
        return  # `1..9` counts for Bash, and is an address for nobody
    if not _NUMBERS.fullmatch(body) or not any(map(str.isdigit, body)) or len(parts) > 4:  # noqa: PLR2004  # bytes of an address
        return
    spans = [_span(part) for part in parts]
    if None in spans:
        return
    ends = [_joined([span[end] for span in spans if span]) for end in (0, 1)]
    if None in ends:
        if len(parts) == 4:  # noqa: PLR2004  # likewise
            raise ValueError(f"{word!r} looks like an address and is none")
        return
    first, last = sorted(it for it in ends if it is not None)
    if last < _SMALLEST:
        return
    if prefix and len(parts) == 4 and int(prefix) <= 32:  # noqa: PLR2004  # likewise
        block = ipaddress.IPv4Network((first, int(prefix)), strict=False)
        first, last = int(block[0]), int(block[-1])
    yield Named(written=word, first=ipaddress.IPv4Address(first), last=ipaddress.IPv4Address(last))


def _span(part: str) -> tuple[int, int] | None:
    """Read a number, a star, or a span such as `1-5`, `-5` or `250-`."""
    if part == "*":
        return 0, 255
    low, dash, high = part.partition("-")
    if dash and not (low or high):
        return 0, 255
    first = _number(low) if low else 0
    last = first if not dash else _number(high) if high else 255
    return None if first is None or last is None else (min(first, last), max(first, last))


def _number(text: str) -> int | None:
    """Read a number as inet_aton does; one that begins with 0 is octal where it can be."""
    if not _NUMBER.fullmatch(text):
        return None
    if text[:2].lower() == "0x":
        return int(text, 16)
    octal = text.startswith("0") and not set(text) - set("01234567")
    return int(text, 8) if octal and len(text) > 1 else int(text)


def _joined(numbers: list[int]) -> int | None:
    """Join numbers to an address: all but the last are bytes, the last fills what is left."""
    *bytes_, rest = numbers
    if any(it > 255 for it in bytes_) or rest >= 256 ** (4 - len(bytes_)):  # noqa: PLR2004  # a byte
        return None
    return sum(it << (24 - 8 * place) for place, it in enumerate(bytes_)) + rest
