"""Fields with a second one in lower case, for products that compare with regard to case alone."""

from __future__ import annotations

from typing import Final

from lab.telemetry.event import FIELDS

CASELESS: Final = ".caseless"
"""What the second field of a text is called: as Elastic's own Windows and Endpoint mappings do."""

PLAIN: Final = frozenset(
    {
        *("event.id", "event.kind", "event.category", "event.type", "event.outcome", "event.module"),
        *("event.dataset", "network.transport", "network.protocol", "network.type"),
        *("network.community_id", "dns.type"),
    }
)
"""Texts without such a second field: ECS or we ourselves write all that these hold without capitals."""


def has_caseless(name: str) -> bool:
    """Tell whether a field has a second one in lower case."""
    return FIELDS.get(name) in {"keyword", "keywords"} and name not in PLAIN
