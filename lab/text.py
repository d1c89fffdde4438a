"""Text that others wrote, made harmless and still legible, for terminals and pages alike."""

from __future__ import annotations

import unicodedata
from typing import Final

_HIDDEN: Final = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories that show nothing, or change how what follows is shown: controls (C0, C1, DEL),
format characters (bidirectional overrides, zero-width), surrogates, private and unassigned ones, and
the separators that break lines."""


def visible(text: str) -> str:
    r"""Show every character that a reader would not see, or that a terminal would obey, as `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escape(character) if unicodedata.category(character) in _HIDDEN else character for character in text
    )


def escaped(json: str) -> str:
    r"""Write what a reader would not see in JSON as `\u202e`, which reads back as the same text."""
    if json.isascii():
        return json  # JSON's own rules leave no control character
    return "".join(
        it if it in "\n\t" or unicodedata.category(it) not in _HIDDEN else _utf16(it) for it in json
    )


def _utf16(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:  # noqa: PLR2004  # what two digits can say
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004  # likewise four


_FORMULA: Final = "=+-@\t\r\n|%"
"""With what a text begins that a spreadsheet runs."""


def for_spreadsheet(text: str) -> str:
    """Show a text in a spreadsheet's cell: nothing in it is obeyed, by a terminal or as a formula."""
    return f"'{visible(text)}" if text[:1] in _FORMULA and text else visible(text)
