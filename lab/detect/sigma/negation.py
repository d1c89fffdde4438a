"""pySigma's backend for Lucene, with negations that hold wherever they stand.

In Lucene a group of negations alone matches nothing, so `(NOT a) OR b` finds no event without `a`. Each one
takes away from everything here. This may go when pySigma's backend does the same (its version 2.1 does not).
"""

from __future__ import annotations

from typing import Any, ClassVar

from sigma.backends.elasticsearch.elasticsearch_lucene import LuceneBackend
from sigma.conditions import ConditionNOT
from sigma.conversion.state import ConversionState


class NegatingLuceneBackend(LuceneBackend):
    """The backend, with whole negations."""

    field_null_expression: ClassVar[str] = "(*:* AND NOT _exists_:{field})"
    field_not_exists_expression: ClassVar[str] = "(*:* AND NOT _exists_:{field})"

    def convert_condition_not(self, cond: ConditionNOT, state: ConversionState) -> Any:  # noqa: ANN401  # pySigma's
        """Take away from everything."""
        return f"(*:* AND NOT ({self.convert_condition(cond.args[0], state)}))"

    def compare_precedence(self, outer: Any, inner: Any) -> bool:  # noqa: ANN401  # pySigma's
        """Leave the parentheses around a negation to itself."""
        return isinstance(inner, ConditionNOT) or super().compare_precedence(outer, inner)
