"""Templates are filled in by a process of their own, with little time and memory.

A scenario comes from somebody else. A regular expression can need years and a product all memory there is,
and neither can be interrupted from within; a process can be ended.
"""

from __future__ import annotations

import json
import resource
import select
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from lab.exercise.template import BadTemplate, expression, render, render_lazily, replace_texts, texts_of
from lab.files import records

Filled = TypeVar("Filled")

SECONDS: Final = 5.0
"""What one step's templates may take; usual ones take a thousandth of it."""

MEMORY: Final = 512 * 2**20
"""Bytes of address space that they may take; the interpreter with Jinja2 has some 60 MB."""

LARGEST: Final = 8 * 2**20
"""Characters that one step's templates may become together."""

_SERVE: Final = "from lab.exercise.rendering import serve; serve()"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Question:
    """Texts to fill in, and with what."""

    texts: tuple[str, ...]
    variables: Mapping[str, Any]
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    """The texts, filled in; or which one could not be, and why."""

    texts: tuple[str, ...] = ()
    wrong: str = ""
    why: str = ""


class Renderer:
    """Fills in templates; its process begins with the first and ends with `close`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Begin; nothing runs yet."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End the process."""
        self.close()

    def close(self) -> None:
        """End the process, whatever it does; the next template begins another."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def fill_in(self, value: Filled, variables: Mapping[str, object], values: Mapping[str, object]) -> Filled:
        """Fill in every text of a value, of a tuple and of a dataclass, however deep; each once.

        Args:
            value: What is to be filled in.
            variables: Values that may be templates themselves.
            values: What else templates may use.

        Raises:
            BadTemplate: one cannot be filled in, or takes too much.
        """
        texts = tuple(dict.fromkeys(it for it in texts_of(value) if "{" in it))
        if not texts:
            return value
        with self._lock:  # steps may run beside each other
            answer = self._ask(_Question(texts=texts, variables=variables, values=values))
        if answer.why:
            raise BadTemplate(answer.wrong, why=answer.why)
        return replace_texts(value, dict(zip(texts, answer.texts, strict=True)))

    def evaluate(self, text: str, variables: Mapping[str, object], values: Mapping[str, object]) -> object:
        """Return what an expression is worth: a text, a number, a list, ...

        Raises:
            BadTemplate: it cannot be evaluated, or takes too much.
        """
        return json.loads(self.fill_in(expression(text), variables, values))

    def _ask(self, question: _Question) -> _Answer:
        process = self._begun()
        assert process.stdin is not None  # noqa: S101  # it was asked for
        assert process.stdout is not None  # noqa: S101  # likewise
        try:
            process.stdin.write(records.to_json(question).encode() + b"\n")
            process.stdin.flush()
            if not select.select([process.stdout], [], [], SECONDS)[0]:
                self.close()
                return _Answer(
                    wrong=question.texts[0], why=f"it took longer than {SECONDS:g} s and was stopped"
                )
            return records.from_json(process.stdout.readline(), _Answer)
        except (BrokenPipeError, ValueError):
            self.close()
            return _Answer(wrong=question.texts[0], why=f"it needs more than {MEMORY // 2**20} MB of memory")

    def _begun(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for whoever asks
            )
        return self._process


def serve() -> None:
    """Answer questions, one a line, until there are no more."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in sys.stdin.buffer:
        answer = _answer(records.from_json(line, _Question))
        sys.stdout.write(records.to_json(answer) + "\n")
        sys.stdout.flush()


def _answer(question: _Question) -> _Answer:
    try:
        known = render_lazily(question.variables, question.values, question.texts)
        texts = tuple(render(text, known) for text in question.texts)
    except BadTemplate as error:
        return _Answer(wrong=error.text[:LARGEST], why=error.why)
    if sum(map(len, texts)) > LARGEST:
        return _Answer(wrong=question.texts[0], why=f"it becomes longer than {LARGEST} characters")
    return _Answer(texts=texts)
