"""Addresses and secrets of a lab, each replaced by the same other wherever it stands."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from lab.files import loader
from lab.files.loader import Item

_ADDRESS: Final = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_SECRET: Final = re.compile(r"password|passwd|secret|token|passphrase", re.IGNORECASE)
"""What keys of an exercise are called whose values are secrets."""

_SHORTEST: Final = 4
"""Characters of a secret; what is shorter would be found in every word."""

_FROM: Final = ipaddress.ip_network("198.18.0.0/15")
"""Addresses for measurements (RFC 2544), which no firm has."""


class Replacing:
    """Replaces the same by the same."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Prepare.

        Args:
            secrets: Texts to be replaced, wherever they stand.
        """
        known = sorted({it for it in secrets if len(it) >= _SHORTEST}, key=lambda it: (-len(it), it))
        self._secrets = {it: f"secret-{number}" for number, it in enumerate(known, 1)}
        joined = "|".join(map(re.escape, known))
        self._pattern = re.compile(joined) if joined else None
        self._nets: dict[str, str] = {}

    def text(self, text: str) -> str:
        """Return a text with everything replaced."""
        if self._pattern is not None:
            text = self._pattern.sub(lambda it: self._secrets[it[0]], text)
        return _ADDRESS.sub(self._address, text)

    def _address(self, match: re.Match[str]) -> str:
        """Replace a private address by one of the same place in another network of 256."""
        try:
            found = ipaddress.IPv4Address(match[0])
        except ValueError:
            return match[0]
        if not found.is_private or found.is_loopback or found.is_unspecified or found in _FROM:
            return match[0]
        net, _, last = match[0].rpartition(".")
        first = _FROM.network_address + 256 * (len(self._nets) + 1)
        return f"{self._nets.setdefault(net, str(first).rpartition('.')[0])}.{last}"


def secrets_in(text: str) -> frozenset[str]:
    """Return the values of an exercise's keys that are called as secrets are."""
    return frozenset(_secrets(loader.parse(text, loader.Reading(Path("scenario")))))


def _secrets(item: Item, key: str = "") -> Iterable[str]:
    if isinstance(item.value, dict):
        for name, it in item.value.items():
            yield from _secrets(it, str(name))
    elif isinstance(item.value, list):
        for it in item.value:
            yield from _secrets(it, key)
    elif _SECRET.search(key) and isinstance(item.value, str) and "{{" not in item.value:
        yield item.value
