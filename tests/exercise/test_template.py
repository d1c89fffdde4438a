"""Templates of scenarios: Ansible's manner, in a sandbox."""

from __future__ import annotations

import pytest

from lab.exercise.template import BadTemplate, render, render_lazily, undeclared


@pytest.mark.parametrize(
    ("text", "values", "rendered"),
    [
        ("{{ user }}@{{ host }}", {"user": "tom", "host": "bastion"}, "tom@bastion"),
        (
            "{{ scan.stdout | regex_search('port ([0-9]+)', '\\\\1') | first }}",
            {"scan": {"stdout": "port 22"}},
            "22",
        ),
        ("{{ (text | from_json).a }}", {"text": '{"a": 5}'}, "5"),
        ("plain", {}, "plain"),
    ],
)
def test_a_template_is_filled_in(text: str, values: dict[str, object], rendered: str) -> None:
    assert render(text, values) == rendered


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ self._TemplateReference__context }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ values.append(1) }}",
        "{{ missing }}",
        "{% include '/etc/passwd' %}",
        "{% for x in range(10000000) %}{% endfor %}",
        "{{ 1 / 0 }}",
        "{{ 'a' | from_json }}",
        "{{ 'a' | regex_search('(') }}",
        "{{ unclosed",
    ],
)
def test_what_is_wrong_or_reaches_out_is_refused(text: str) -> None:
    with pytest.raises(BadTemplate):
        render(text, {"values": [1]})


def test_the_names_a_template_needs_are_known_before_it_is_filled_in() -> None:
    assert undeclared("{{ a }} {% if b %}{{ c.d }}{% endif %}") == {"a", "b", "c"}


def test_variables_may_need_each_other_in_any_order() -> None:
    found = render_lazily(
        {"a": "{{ b }}!", "b": "{{ c }}?", "late": "{{ nobody }}"}, {"c": "x"}, ["{{ a }} {{ late }}"]
    )
    assert (found["a"], found["b"], "late" in found) == ("x?!", "x?", False)


def test_variables_that_need_each_other_are_left_out() -> None:
    assert render_lazily({"a": "{{ b }}", "b": "{{ a }}"}, {}, ["{{ a }}"]) == {}
