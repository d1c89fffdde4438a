"""Where playbooks, roles, scenarios and inventories are: the user's own folder first, then ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

from lab.errors import NotFound

Shelf = Literal["inventories", "scenarios", "playbooks"]
"""The folders a user may have a file of their own in."""

_PACKAGE: Final = Path(__file__).parents[1]

CARRIED: Final = _PACKAGE / "carried" if (_PACKAGE / "carried").is_dir() else _PACKAGE.parent
"""What the wheel carries; in a checkout, the checkout itself."""


def shelves(shelf: Shelf) -> tuple[Path, ...]:
    """Return the folders to look in, the user's own first."""
    return tuple(dict.fromkeys((Path.cwd() / shelf, CARRIED / shelf)))


def find(shelf: Shelf, name: str) -> Path:
    """Find a file by its name, or by its path.

    Args:
        shelf: What sort of file.
        name: `starter`, or a path such as `labs/mine.yml`.

    Raises:
        NotFound: there is none; says which there are.
    """
    path = Path(name)
    if path.suffix in {".yml", ".yaml"} or path.parent != Path():
        if path.is_file():
            return path
        raise NotFound("file", name=name, known=names(shelf))
    for folder in shelves(shelf):
        for suffix in (".yml", ".yaml"):
            if (folder / f"{name}{suffix}").is_file():
                return folder / f"{name}{suffix}"
    raise NotFound(shelf.removesuffix("s").replace("inventorie", "inventory"), name=name, known=names(shelf))


def lab_name(name: str) -> str:
    """Return the name of the lab that an inventory's name or path means, whether or not the file is there."""
    return Path(name).stem.lower() if name.endswith((".yml", ".yaml")) else name


def names(shelf: Shelf) -> tuple[str, ...]:
    """Return the names a user may give."""
    found = {path.stem for folder in shelves(shelf) for path in folder.glob("*.y*ml")}
    return tuple(sorted(found))


def inventories() -> tuple[Path, ...]:
    """Return every inventory a name can mean: the user's own, and those that ship."""
    return tuple(find("inventories", name) for name in names("inventories"))


def roles() -> dict[str, Path]:
    """Return every role folder by its kind's name; a user's role of the same name wins."""
    found: dict[str, Path] = {}
    for folder in reversed(shelves("playbooks")):
        found |= {path.parent.name: path.parent for path in sorted(folder.glob("roles/*/node.yml"))}
    return found


def playbook(name: str) -> Path:
    """Return the path of one of the playbooks, `bake.yml` or `host.yml`."""
    for folder in shelves("playbooks"):
        if (folder / name).is_file():
            return folder / name
    raise NotFound("playbook", name=name)


def logs() -> Path:
    """Return the folder for the logs of what is done to machines and images, by the XDG rules."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "homerange"
