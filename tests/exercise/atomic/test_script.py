"""A shell script is read without running it: what it would start, and whether it certainly does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.exercise.atomic.script import commands_of, programs_of


@pytest.mark.parametrize(
    ("script", "certain", "maybe"),
    [
        ("a; b && c || d", "a b", "c d"),
        ("a | b | c", "a b c", ""),
        ("if a; then b; else c; fi", "", "a b c"),
        ("case x in y) a;; esac; for i in 1; do b; done", "b", "a"),
        ("sudo -u root cat x; timeout -s 9 5 nc y; nohup env A=1 z &", "sudo cat timeout nc nohup env z", ""),
        ("x=$(a) b; `c`", "a b c", ""),
        ("f() { a; }; f; g", "g", "a"),
        ("echo 'a; b' \"c\" # d", "", ""),
        ("ls | xargs -I{} rm {}", "ls xargs rm", ""),
        ("/tmp/x; ./y; $z; ${q} r", "", ""),
        ("cat <<E\nrm -rf /\nE\nid", "cat id", ""),
        ("a 'unclosed", "a", ""),
    ],
)
def test_a_script_gives_its_programs(script: str, certain: str, maybe: str) -> None:
    commands = commands_of(script)
    assert sorted(programs_of([it for it in commands if it.certain])) == sorted(certain.split())
    assert sorted(programs_of([it for it in commands if not it.certain])) == sorted(maybe.split())


@given(st.text(max_size=200))
def test_no_text_brings_the_reader_down(script: str) -> None:
    assert all(it.words for it in commands_of(script))
