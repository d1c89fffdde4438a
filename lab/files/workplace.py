"""Where playbooks, roles, scenarios and inventories are: the user's own folder first, then ours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from lab.errors import NotFound

Shelf = Literal["inventories", "scenarios", "playbooks", "recordings", "responses"]
"""The folders a user may have a file of their own in."""

_PACKAGE: Final = Path(__file__).parents[1]

CARRIED: Final = _PACKAGE / "carried" if (_PACKAGE / "carried").is_dir() else _PACKAGE.parent
"""What the wheel carries; in a checkout, the checkout itself."""

PLUGINS: Final = CARRIED / "playbooks" / "plugins"
"""Our plugins for Ansible; nobody replaces these."""

_SINGULAR: Final = {"inventories": "inventory", "scenarios": "scenario", "responses": "response playbook"}

_YAML: Final = (".yml", ".yaml")
_SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {"responses": (".json",)}
"""How the names of files end, where they are no YAML."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """The folder that a command works in. Relative paths that a user gives are meant from there."""

    folder: Path
    """Holds the user's own files, and the runs."""

    def shelves(self, shelf: Shelf) -> tuple[Path, ...]:
        """Return the folders to look in, the user's own first."""
        return tuple(dict.fromkeys((self.folder / shelf, CARRIED / shelf)))

    def find(self, shelf: Shelf, name: str) -> Path:
        """Find a file by its name, or by its path.

        Args:
            shelf: What sort of file.
            name: `starter`, or a path such as `labs/mine.yml`.

        Raises:
            NotFound: there is none; says which there are.
        """
        path = Path(name)
        if path.suffix in _SUFFIXES.get(shelf, _YAML) or path.parent != Path():
            if (self.folder / path).is_file():
                return self.folder / path
            raise NotFound("file", name=name, known=self.names(shelf))
        for folder in self.shelves(shelf):
            for suffix in _SUFFIXES.get(shelf, _YAML):
                if (folder / f"{name}{suffix}").is_file():
                    return folder / f"{name}{suffix}"
        raise NotFound(_SINGULAR.get(shelf, shelf), name=name, known=self.names(shelf))

    def has(self, shelf: Shelf, name: str) -> bool:
        """Tell whether `find` would find a file."""
        try:
            self.find(shelf, name)
        except NotFound:
            return False
        return True

    def names(self, shelf: Shelf) -> tuple[str, ...]:
        """Return the names a user may give."""
        ends = _SUFFIXES.get(shelf, _YAML)
        files = (path for folder in self.shelves(shelf) for path in folder.glob("*"))
        return tuple(sorted({path.stem for path in files if path.suffix in ends}))

    def inventories(self) -> tuple[Path, ...]:
        """Return every inventory a name can mean: the user's own, and those that ship."""
        return tuple(self.find("inventories", name) for name in self.names("inventories"))

    def only_inventory(self) -> str:
        """Return the name of the user's own inventory, where there is just one."""
        own = sorted(self.shelves("inventories")[0].glob("*.y*ml"))
        return own[0].stem if len(own) == 1 else ""

    def roles(self) -> dict[str, Path]:
        """Return every role folder by its kind's name; a user's role of the same name wins."""
        found: dict[str, Path] = {}
        for folder in reversed(self.shelves("playbooks")):
            found |= {path.parent.name: path.parent for path in sorted(folder.glob("roles/*/node.yml"))}
        return found

    def playbook(self, name: str) -> Path:
        """Return the path of one of the playbooks, `bake.yml` or `host.yml`.

        Raises:
            NotFound: there is none of that name.
        """
        for folder in self.shelves("playbooks"):
            if (folder / name).is_file():
                return folder / name
        raise NotFound("playbook", name=name)


SHIPPED: Final = Workplace(CARRIED)
"""What ships, and nothing of a user's own."""


def lab_name(name: str) -> str:
    """Return the name of the lab that an inventory's name or path means, whether or not the file is there."""
    return Path(name).stem.lower() if name.endswith((".yml", ".yaml")) else name


def logs() -> Path:
    """Return the folder for the logs of what is done to machines and images, by the XDG rules."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "homerange"


def locks() -> Path:
    """Return the folder that says who is at work in a lab: this user's own, gone when the machine ends."""
    if os.geteuid() == 0:
        return Path("/run/homerange")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "homerange" if runtime else logs() / "locks"
