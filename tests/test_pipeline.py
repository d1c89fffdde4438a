"""The table of contents is true: each stage takes what the one before gives."""

from __future__ import annotations

import inspect
from itertools import pairwise
from typing import Final

import pytest

from lab import pipeline
from lab.flow.context import Stage

PIPELINES: Final = {
    name: stages for name, stages in vars(pipeline).items() if name.isupper() and isinstance(stages, tuple)
}


def takes(stage: Stage) -> str:
    """Return the annotation of a stage's first parameter, as written."""
    return str(next(iter(inspect.signature(stage).parameters.values())).annotation)


def gives(stage: Stage) -> str:
    """Return the annotation of what a stage returns, as written."""
    return str(inspect.signature(stage).return_annotation)


def test_there_are_pipelines() -> None:
    assert PIPELINES.keys() >= {"UP", "RUN", "DOWN", "PLAN", "VERIFY", "RESET", "REPLAY", "SCORE"}


@pytest.mark.parametrize("name", PIPELINES)
def test_each_stage_takes_what_the_one_before_gives(name: str) -> None:
    broken = [
        f"{before.__name__} gives {gives(before)}, {after.__name__} takes {takes(after)}"
        for before, after in pairwise(PIPELINES[name])
        if gives(before) != takes(after)
    ]
    assert broken == []


@pytest.mark.parametrize("name", PIPELINES)
def test_each_stage_takes_a_value_and_the_context(name: str) -> None:
    for stage in PIPELINES[name]:
        value, context = inspect.signature(stage).parameters.values()
        assert value.annotation != inspect.Parameter.empty
        assert context.annotation == "Context"
        assert (stage.__doc__ or "").count("->") == 1
