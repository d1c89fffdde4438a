"""Lists of kinds, made by hand in one place; a name that stands twice is a mistake of ours."""

from __future__ import annotations

from typing import Protocol, TypeVar


class _Named(Protocol):
    @property
    def kind(self) -> str:
        """The key that names it in a scenario."""
        ...


Listed = TypeVar("Listed", bound=_Named)


def by_kind(*kinds: type[Listed]) -> dict[str, type[Listed]]:
    """Return each kind by its name.

    Raises:
        ValueError: two have the same name.
    """
    found = {str(it.kind): it for it in kinds}
    if len(found) != len(kinds):
        raise ValueError(f"two kinds have one name: {', '.join(it.__name__ for it in kinds)}")
    return found
