"""Text of others is shown, and does nothing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.text import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("maria", "maria"),
        ("Zoë 安 ü ✓", "Zoë 安 ü ✓"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]8;;http://x\x07y\x1b]8;;\x1b\\", "\\x1b]8;;http://x\\x07y\\x1b]8;;\\x1b\\"),
        ("seen\rhidden", r"seen\x0dhidden"),
        ("two\nlines\tand a tab", r"two\x0alines\x09and a tab"),
        ("abc\b\b\bxyz", r"abc\x08\x08\x08xyz"),
        ("\x00\x7f", r"\x00\x7f"),
        ("\x85\x9b31m", r"\x85\x9b31m"),
        ("a\u202egpj.exe\u202c", r"a\u202egpj.exe\u202c"),
        ("\u202a\u202b\u202d\u2066\u2067\u2068\u2069\u200e\u200f\u061c",
         r"\u202a\u202b\u202d\u2066\u2067\u2068\u2069\u200e\u200f\u061c"),
        ("ro\u200bot\u200c\u200d\u2060\ufeff\u00ad", r"ro\u200bot\u200c\u200d\u2060\ufeff\xad"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\ud800 \udc80", r"\ud800 \udc80"),
        ("\U000e0041", r"\U000e0041"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(st.characters()))
def test_nothing_invisible_is_left(text: str) -> None:
    shown = visible(text)
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not {unicodedata.category(it) for it in shown} & hidden
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert visible(shown) == shown
