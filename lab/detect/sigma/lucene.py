"""Regular expressions as Lucene has them, so that a rule means the same in Elasticsearch and OpenSearch.

A regular expression of Sigma is looked for anywhere in a value and is written as in Perl. Lucene's must
cover the whole value, knows no flags, no anchors and no look-around, and calls other characters special.
Python's own parser says what an expression means; what Lucene cannot say is refused with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from re import _constants as kinds  # type: ignore[attr-defined]  # what the parser's tree is made of
from re import _parser  # type: ignore[attr-defined]  # Python's parser, which `sre_parse` was the name of
from typing import Any, Final

from sigma.exceptions import SigmaError

_SPECIAL: Final = set('.?+*|{}[]()"\\#@&<>~^$-')
"""What Lucene reads as more than itself, with all its options on."""

_CLASSES: Final = {
    kinds.CATEGORY_DIGIT: "0-9",
    kinds.CATEGORY_SPACE: " \t\n\r\f\v",
    kinds.CATEGORY_WORD: "a-zA-Z0-9_",
}
_OPPOSITES: Final = {
    kinds.CATEGORY_NOT_DIGIT: kinds.CATEGORY_DIGIT,
    kinds.CATEGORY_NOT_SPACE: kinds.CATEGORY_SPACE,
    kinds.CATEGORY_NOT_WORD: kinds.CATEGORY_WORD,
}


def lower(text: str) -> str:
    """Write a text in lower case as Lucene does: each character by itself, also the last sigma."""
    return "".join(it.lower() if len(it.lower()) == 1 else it for it in text)


Tree = Iterable[tuple[Any, Any]]
"""Python's parser's: operations with their arguments."""


class NotLucene(SigmaError):
    """An expression uses what Lucene has no word for."""


def translated(pattern: str, flags: str = "") -> tuple[str, bool]:
    """Write an expression as Lucene wants it.

    Args:
        pattern: As a rule has it.
        flags: Flags of the rule, `i`, `m` and `s`.

    Returns:
        The expression, which covers a whole value, and whether it is for values in lower case.

    Raises:
        NotLucene: says which construct Lucene lacks.
    """
    try:
        tree = _parser.parse(pattern, _flags(flags))
    except re.error as error:
        raise NotLucene(f"is no regular expression: {error}") from error
    caseless = bool(tree.state.flags & re.IGNORECASE)
    writer = _Writer(
        caseless=caseless,
        lines=bool(tree.state.flags & re.MULTILINE),
        dot="." if tree.state.flags & re.DOTALL else "[^\n]",
    )
    return writer.whole(tree), caseless


def _flags(flags: str) -> int:
    known = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}
    return sum(known[flag] for flag in set(flags) if flag in known)


class _Writer:
    """Writes one tree."""

    def __init__(self, *, caseless: bool, lines: bool, dot: str) -> None:
        self._caseless = caseless
        self._before, self._after = ("(.*\n)?", "(\n.*)?") if lines else ("", "")
        self._dot = dot

    def whole(self, tree: Tree) -> str:
        """Write a whole expression: anchors at its ends say where it must begin and end."""
        branches = _branches(tree)
        written = [self._anchored(branch) for branch in branches]
        return written[0] if len(written) == 1 else "|".join(f"({it})" for it in written)

    def _anchored(self, branch: list[tuple[Any, Any]]) -> str:
        starts = bool(branch) and branch[0] in _STARTS
        ends = bool(branch) and branch[-1] in _ENDS
        inner = branch[starts : len(branch) - ends]
        before, after = self._before if starts else ".*", self._after if ends else ".*"
        return before + self._sequence(inner) + after

    def _sequence(self, tree: Tree) -> str:
        return "".join(self._one(operation, argument) for operation, argument in tree)

    def _one(self, operation: Any, argument: Any) -> str:  # noqa: ANN401  # the parser's
        write = _WRITERS.get(operation)
        if write is None:
            name = _NAMES.get(operation, str(operation).lower().replace("_", " "))
            raise NotLucene(f"Lucene's regular expressions have no {name}")
        return write(self, argument)

    def literal(self, code: int) -> str:
        """Write one character."""
        return _escaped(self._letter(code))

    def _letter(self, code: int) -> str:
        return lower(chr(code)) if self._caseless else chr(code)

    def not_literal(self, code: int) -> str:
        """Write any character but one."""
        return f"[^{_in_class(self._letter(code))}]"

    def anything(self, _: None) -> str:
        """Write any character."""
        return self._dot

    def chosen(self, parts: Tree) -> str:
        """Write one character out of several."""
        listed = list(parts)
        negated = bool(listed) and listed[0][0] is kinds.NEGATE
        inner = "".join(self._member(*part) for part in listed[negated:])
        return f"[{'^' if negated else ''}{inner}]"

    def _member(self, operation: Any, argument: Any) -> str:  # noqa: ANN401  # the parser's
        if operation is kinds.LITERAL:
            return _in_class(self._letter(argument))
        if operation is kinds.RANGE:
            first, last = (_in_class(self._letter(code)) for code in argument)
            return f"{first}-{last}"
        if argument in _CLASSES:
            return _CLASSES[argument]
        raise NotLucene("Lucene's regular expressions have no opposite of a class within a class")

    def repeated(self, argument: tuple[Any, Any, Tree]) -> str:
        """Write a repetition; lazy ones find the same values."""
        least, most, inner = argument
        written = f"({self._sequence(inner)})"
        if most is kinds.MAXREPEAT:
            return written + ({0: "*", 1: "+"}.get(least) or f"{{{least},}}")
        return written + ("?" if (least, most) == (0, 1) else f"{{{least},{most}}}")

    def group(self, argument: tuple[Any, int, int, Tree]) -> str:
        """Write a group, whatever it is called."""
        _, added, removed, inner = argument
        if added or removed:
            raise NotLucene("Lucene's regular expressions have no flags for a part of them")
        return f"({self._sequence(inner) or '()'})"

    def branch(self, argument: tuple[None, list[Tree]]) -> str:
        """Write a choice."""
        return "(" + "|".join(self._sequence(it) or "()" for it in argument[1]) + ")"


_NAMES: Final = {
    kinds.AT: "anchors and word boundaries in their middle",
    kinds.ASSERT: "look-around",
    kinds.ASSERT_NOT: "look-around",
    kinds.GROUPREF: "references to groups",
}

_STARTS: Final = ((kinds.AT, kinds.AT_BEGINNING), (kinds.AT, kinds.AT_BEGINNING_STRING))
_ENDS: Final = ((kinds.AT, kinds.AT_END), (kinds.AT, kinds.AT_END_STRING))

_WRITERS: Final[dict[Any, Callable[[_Writer, Any], str]]] = {
    kinds.LITERAL: _Writer.literal,
    kinds.NOT_LITERAL: _Writer.not_literal,
    kinds.ANY: _Writer.anything,
    kinds.IN: _Writer.chosen,
    kinds.MAX_REPEAT: _Writer.repeated,
    kinds.MIN_REPEAT: _Writer.repeated,
    kinds.SUBPATTERN: _Writer.group,
    kinds.BRANCH: _Writer.branch,
}


def _branches(tree: Tree) -> list[list[tuple[Any, Any]]]:
    """Take apart what an expression offers at its outermost, and what a choice's last place or first offers.

    An anchor counts there as well: `a(b|$)` is `ab` anywhere, or `a` at the end.
    """
    items = list(tree)
    if len(items) == 1 and items[0][0] is kinds.BRANCH:
        return [branch for it in items[0][1][1] for branch in _branches(it)]
    for place in {0, len(items) - 1} if items else ():
        inner = _choice(items[place])
        if inner is not None and any(_anchors(it) for it in inner):
            return [
                branch for it in inner for branch in _branches([*items[:place], *it, *items[place + 1 :]])
            ]
    return [items]


def _choice(item: tuple[Any, Any]) -> list[list[tuple[Any, Any]]] | None:
    """Return what a group, or a choice without one, offers; None for anything else."""
    operation, argument = item
    if operation is kinds.SUBPATTERN and not argument[1] and not argument[2]:
        inner = list(argument[3])
        return (_choice(inner[0]) if len(inner) == 1 else None) or [inner]
    return [list(it) for it in argument[1]] if operation is kinds.BRANCH else None


def _anchors(branch: list[tuple[Any, Any]]) -> bool:
    """Tell whether what a choice offers begins or ends with an anchor, or with a choice that does."""
    outer = branch[:1] + branch[-1:]
    return any(it in (*_STARTS, *_ENDS) or any(map(_anchors, _choice(it) or [])) for it in outer)


def _escaped(letter: str) -> str:
    return f"\\{letter}" if letter in _SPECIAL else letter


def _in_class(letter: str) -> str:
    return f"\\{letter}" if letter in "[]^-\\" or letter in _SPECIAL else letter
