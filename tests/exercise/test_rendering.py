"""Templates have little time and memory, and what they may not have is said."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from lab.exercise import rendering
from lab.exercise.rendering import Renderer
from lab.exercise.steps.command import Command
from lab.exercise.template import BadTemplate, undeclared


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with Renderer() as made:
        yield made


def test_every_text_of_a_value_is_filled_in_once(renderer: Renderer) -> None:
    step = Command(argv=("echo", "{{ word }}", "plain", "{{ found.stdout }}"), targets=("{{ node }}",))
    values = {"node": "bastion", "found": {"stdout": "{{ word }}"}}
    found = renderer.fill_in(step, {"word": "{{ node }}!"}, values)
    assert found == Command(argv=("echo", "bastion!", "plain", "{{ word }}"), targets=("bastion",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ ('a' * 40) | regex_search('(a+)+$b') }}x", "took longer than"),
        ("{{ (('a' * 34) ~ 'b') | regex_search('(a|a)*c') }}", "took longer than"),
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "took longer than",
        ),
        ("{{ 'x' * 1000000000 }}", "memory"),
        ("{{ '%01000000000d' % 1 }}", "memory"),
        ("{{ 'x'.center(1000000000) }}", "memory"),
        ("{{ [0] * 1000000000 }}", "memory"),
        ("{{ 2 ** 100000000 ** 2 }}", "memory|longer|limit"),
        ("{{ 'x' * 9000000 }}", "becomes longer than"),
        ("{{ missing }}", "'missing' is undefined"),
    ],
)
def test_what_takes_too_much_is_stopped_and_said(
    renderer: Renderer, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "SECONDS", 1.5)
    begun = time.monotonic()
    with pytest.raises(BadTemplate) as error:
        renderer.fill_in(Command(argv=(text,)), {}, {})
    assert any(word in error.value.message() for word in said.split("|")), error.value.message()
    assert time.monotonic() - begun < 10
    assert renderer.fill_in(("{{ a }}",), {}, {"a": "goes on"}) == ("goes on",)


@pytest.mark.parametrize("text", ["{{ " + "(" * 5000 + ")" * 5000 + " }}", "{{ a }}" * 50_000])
def test_a_template_that_is_too_deep_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(BadTemplate):
        undeclared(text)
