"""Bytes to lines: each is one, none is made up."""

from __future__ import annotations

import pytest

from lab.telemetry.inputs import whole_lines
from lab.telemetry.lines import cut, plain


@pytest.mark.parametrize(
    ("chunk", "texts"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"a\r\nb", ["a", "b"]),
        (b"a\r\n\r\nb\rc\r\r\n", ["a", "", "b\rc\r"]),
        (b"\x1f\xff\x00\n", ["\x1f\\xff\x00"]),
        (b"\xff\n", ["\\xff"]),
        ("é\u2028x\n".encode(), ["é\u2028x"]),
    ],
)
def test_a_chunk_is_cut_at_line_feeds_alone(chunk: bytes, texts: list[str]) -> None:
    assert plain(cut(chunk)) == texts


def test_chunks_are_cut_behind_their_last_line() -> None:
    assert list(whole_lines([b"fir", b"st\nsec", b"ond\nthird"])) == [b"first\n", b"second\n", b"third"]
