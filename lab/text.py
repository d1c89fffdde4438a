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


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:  # noqa: PLR2004  # what two digits can say
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004  # likewise four
