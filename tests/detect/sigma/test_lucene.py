"""Regular expressions mean in Lucene what they mean in Sigma."""

from __future__ import annotations

import re
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.detect.sigma.lucene import NotLucene, lower, translated

PATTERNS: Final = (
    r"abc",
    r"^abc",
    r"abc$",
    r"^abc$",
    r"a.c",
    r"a+b*c?",
    r"a{2}|b{1,3}c",
    r"(?:a|b)c",
    r"^(a|b$)",
    r"(^a|b)c",
    r"a(b|$)",
    r"\sa(b(c)?)?(\s|$)|\sc(\s|$)",
    r"[a-c]b[^ab]",
    r"\d\w\s",
    r"a\.b\*c",
    r"a|",
    r"$",
    r"",
    r"(a|)b$",
    r'say "(a|b)"',
    r"a@b#c&<d>~",
    r"a*?b",
)
"""Each construct, and anchors where they are awkward."""

TEXTS: Final = st.text(alphabet='abcABC1 .*"@#&<d>~\nsy', max_size=12)


def matches(expression: str, text: str) -> bool:
    """Match as Lucene does: the whole value, any character for a dot. What is written is Python's as well."""
    return re.fullmatch(expression, text, re.DOTALL) is not None


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("flags", ["", "i", "m", "s", "ims"])
@settings(max_examples=25)
@given(text=TEXTS)
def test_a_translation_finds_what_the_expression_finds(pattern: str, flags: str, text: str) -> None:
    python = sum({"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}[it] for it in flags)
    # Python's $ also stands before a last line feed, that of the engine here and of Lucene does not.
    meant = pattern if "m" in flags else pattern.replace("$", r"\Z")
    expression, caseless = translated(pattern, flags)
    assert caseless == ("i" in flags)
    assert matches(expression, lower(text) if caseless else text) == bool(re.search(meant, text, python))


@pytest.mark.parametrize(
    ("pattern", "lacks"),
    [
        (r"\bfoo", "word boundaries"),
        (r"(?=a)b", "look-around"),
        (r"(?!a)b", "look-around"),
        (r"(a)\1", "references to groups"),
        (r"x(^a)", "anchors"),
        (r"[^\D]", "opposite of a class"),
        (r"(", "is no regular expression"),
    ],
)
def test_what_lucene_lacks_is_named(pattern: str, lacks: str) -> None:
    with pytest.raises(NotLucene, match=lacks):
        translated(pattern)


def test_each_character_is_lowered_by_itself() -> None:
    assert lower("ΟΔΟΣ ÜBER İ") == "οδοσ über İ"
