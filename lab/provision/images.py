"""Role -> image, baked once by Ansible and cached by the hash of what went in.

The tag of an image is a pure function of the role's files, its variables and the name of its base,
so the same inputs give the same tag on any machine. What a base really is here, fetched from a
registry or built on the machine, is said in a label.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from lab.engine import labels
from lab.engine.engine import Engine
from lab.engine.images import Images
from lab.engine.machines import KVM, PROGRAM
from lab.engine.nodes import SeenNode
from lab.errors import EngineFault, NoBase
from lab.files import records
from lab.files.loader import Plain
from lab.files.workplace import Workplace, logs
from lab.inventory.definition import Node
from lab.inventory.kind import BASES, BUILT_BASE, SUITE, Kind, read_kind
from lab.provision import program
from lab.workers import together

Tell = Callable[[str], None]
"""Takes one line about what is going on."""

_BASE_PACKAGES: Final = "python3,python3-apt,iproute2,procps,snoopy"
"""What a base that is built here begins with: what the role common's `bootstrap.sh` would install next."""

_PROBE: Final = (*PROGRAM, "probe")
_PROBED_WITHIN: Final = 15.0
"""Boots a kernel with KVM, and the seconds that it has: one that runs takes one."""

_MAKE_DISK: Final = """set -e
tar -f - --delete /.dockerenv 2>/dev/null |
    mke2fs -q -t ext4 -L root -m 0 -E lazy_itable_init=0 -d - /lab/disk.raw "$1"
qemu-img convert -O qcow2 /lab/disk.raw /lab/disk.qcow2
rm /lab/disk.raw
"""
"""Makes the disk of a machine of the archive on standard input."""

_BAKERS: Final = 3
"""Bakes at once: they wait for packages and for processors by turns. On two processors three are a tenth
quicker than two, and five slower than three."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One image to be had."""

    kind: Kind
    """What it is an image of."""

    variables: Mapping[str, Plain]
    """The role's variables."""

    tag: str
    """`homerange/sshd:0123456789ab`."""

    machine: Assembly | None = None
    """What it is put together from, for a node with a kernel of its own; None for what a role makes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Assembly:
    """What the image of a machine is made of."""

    files: Recipe
    """The image whose files are on its disk."""

    kernel: Recipe
    """The image with the kernel, and with what runs it."""

    @property
    def parts(self) -> tuple[Recipe, Recipe]:
        """Both images, which have to be there first."""
        return (self.files, self.kernel)


KERNEL: Final = "machine"
"""The role with the kernel, and with what runs it."""


def recipes(nodes: Iterable[Node], workplace: Workplace) -> dict[str, Recipe]:
    """Work out which image each node needs; a role that several nodes share is read once.

    Args:
        nodes: What is to run.
        workplace: Where playbooks and roles are.

    Returns:
        Node name to its recipe.
    """
    common = _common_hash(workplace)
    trees: dict[Path, object] = {}

    def of(kind: Kind, variables: Mapping[str, Plain]) -> Recipe:
        """Return the recipe of a kind; its role is read once."""
        if kind.folder not in trees:
            trees[kind.folder] = _tree(kind.folder)
        hashed = _hash(trees[kind.folder], common, kind.base, dict(variables))
        return Recipe(kind=kind, variables=variables, tag=f"homerange/{kind.name}:{hashed}")

    found = {}
    for node in nodes:
        found[node.name] = of(node.kind, node.variables)
        if node.kind.machine:
            kernel = of(read_kind(workplace.roles()[KERNEL]), {})
            found[node.name] = _assembled(found[node.name], kernel)
    return found


def _assembled(files: Recipe, kernel: Recipe) -> Recipe:
    hashed = _hash(files.tag, kernel.tag, files.kind.disk)
    return replace(
        files,
        tag=f"homerange/{files.kind.name}-machine:{hashed}",
        machine=Assembly(files=files, kernel=kernel),
    )


def missing(wanted: Iterable[Recipe], engine: Images) -> tuple[Recipe, ...]:
    """Return the recipes that no image exists of, each tag once."""
    distinct: dict[str, Recipe] = {}
    for recipe in wanted:
        distinct[recipe.tag] = recipe
        if recipe.machine and engine.image_labels(recipe.tag) is None:
            distinct |= {part.tag: part for part in recipe.machine.parts}
    return tuple(recipe for tag, recipe in distinct.items() if engine.image_labels(tag) is None)


@dataclass(frozen=True, kw_only=True, slots=True)
class OldImage:
    """An image of ours that nothing needs."""

    tag: str
    """Its tag."""

    size: int
    """Bytes it takes, layers that it shares with other images included."""


def unused(
    needed: Iterable[Recipe], used: Collection[str], engine: Images, workplace: Workplace
) -> tuple[OldImage, ...]:
    """List the images of ours that can go.

    Args:
        needed: Their images stay, and those these are baked on.
        used: Tags that containers use; these stay too.
        engine: Where.
        workplace: Where playbooks and roles are.
    """
    every = [
        part for recipe in needed for part in (recipe, *(recipe.machine.parts if recipe.machine else ()))
    ]
    kept = {*used, *(recipe.tag for recipe in every)}
    if kept:
        kept |= {_common_tag(base_name, workplace) for base_name in BASES}
    found = sorted(engine.images().items())
    return tuple(OldImage(tag=tag, size=size) for tag, size in found if tag not in kept)


@dataclass(frozen=True, kw_only=True, slots=True)
class Baker:
    """Makes images, for one lab, on one engine."""

    lab: str
    """The lab that owns the throw-away containers, so that `lab down` finds them."""

    engine: Engine
    """Where."""

    workplace: Workplace
    """Where playbooks and roles are."""

    tell: Tell
    """Hears of each task as it starts."""

    stop: threading.Event
    """Ends what is being baked, once it is set."""

    def bake(self, unbaked: tuple[Recipe, ...]) -> None:
        """Bake all that is missing: first what is common to a base, then the kinds side by side.

        Raises:
            NoBase: no registry answers and no base can be built on this machine.
            BakeFailed: a role did not apply.
        """
        roles = [it for it in unbaked if not it.machine]
        common = {name: self.common(name) for name in sorted({it.kind.base for it in roles})}
        # What takes longest goes first, or it would be waited for alone; who needs much memory is large.
        first = sorted(roles, key=lambda it: -it.kind.memory)
        tasks = [partial(self._bake, it, common[it.kind.base]) for it in first]
        together(tasks, workers=_BAKERS, stop=self.stop)
        machines = [partial(self._assemble, it.tag, it.machine) for it in unbaked if it.machine]
        together(machines, workers=_BAKERS, stop=self.stop)

    def common(self, base_name: str) -> str:
        """Return the image that kinds of a base are baked on: the base with the role `common` applied."""
        distribution, image, described = self._base(base_name)
        tag = _common_tag(distribution, self.workplace)
        if self.engine.image_labels(tag) is None:
            with self.engine.open_baking(image, lab=self.lab, role="common") as node:
                self._apply(_common_role(self.workplace), {}, node)
                self.engine.commit(node, tag, _labels(tag, described))
        return tag

    def _base(self, name: str) -> tuple[str, str, str]:
        """Find a base: its distribution, its image, and what it is in words."""
        pulled = BASES[name]
        if self.engine.image_labels(pulled) is not None:
            return name, pulled, pulled
        self.tell(f"asking the registry for {pulled}")
        if self.engine.pull(pulled):
            return name, pulled, pulled
        if self.engine.image_labels(BUILT_BASE) is None:
            self.tell(f"no registry answers; building a Debian {SUITE} base on this machine")
            _build_base(self.engine, BUILT_BASE)
        return "debian", BUILT_BASE, f"Debian {SUITE}, built on this machine"

    def _bake(self, wanted: Recipe, common: str) -> None:
        described = (self.engine.image_labels(common) or {}).get(labels.BASE, common)
        # A kind may be baked twice at a time, for nodes with different variables.
        role = wanted.tag.rpartition("/")[2].replace(":", "-")
        with self.engine.open_baking(common, lab=self.lab, role=role) as node:
            if wanted.kind.program:
                self.tell(f"{wanted.kind.name}: fetching its program")
                program.install(wanted.kind, wanted.kind.program, node, self.engine, self.engine)
            self._apply(wanted.kind.folder, wanted.variables, node)
            self.engine.commit(node, wanted.tag, _labels(wanted.tag, described))

    def _assemble(self, tag: str, parts: Assembly) -> None:
        """Put the files of an image on a disk, beside the kernel that is to have it."""
        self.tell(f"{parts.files.kind.name}: making a disk of {parts.files.tag}")
        held = self.engine.images().get(parts.files.tag, 0)
        size = (held * 6 // 5 + parts.files.kind.disk) // 2**20
        role = tag.rpartition("/")[2].replace(":", "-")
        said = bytearray()
        with self.engine.open_baking(parts.kernel.tag, lab=self.lab, role=role) as node:
            with self.engine.take_out(parts.files.tag, "/") as archive:
                code = self.engine.relay(
                    node,
                    ("sh", "-c", _MAKE_DISK, "sh", f"{size}m"),
                    stdin=archive,
                    hear=lambda _channel, chunk: said.extend(chunk[:1000]),
                )
            if code:
                raise EngineFault(
                    doing=f"making a disk for {tag}", said=said.decode("utf-8", "replace").strip()
                )
            kernel = self.engine.image_labels(parts.kernel.tag) or {}
            accelerated = {labels.KVM: "yes"} if self._accelerates(parts.kernel.tag) else {}
            self.engine.commit(node, tag, {**_labels(tag, kernel.get(labels.BASE, "")), **accelerated})

    def _accelerates(self, kernel: str) -> bool:
        """Have a kernel boot once with KVM, where the host offers that, and tell whether it did."""
        return self.engine.succeeds(kernel, _PROBE, devices=(KVM,), lab=self.lab, within=_PROBED_WITHIN)

    def _apply(self, folder: Path, variables: Mapping[str, Plain], node: SeenNode) -> None:
        # Ansible takes a second to import; a warm `up` needs none.
        from lab.provision.connection import serving
        from lab.provision.playbook import run_playbook

        with serving(self.engine, node) as way:
            run_playbook(
                self.workplace.playbook("bake.yml"),
                role=folder.name,
                inventory={"all": {"hosts": {node.name: way}}},
                variables={**variables, "bake_role": folder.name},
                log=logs() / f"{node.name}.log",
                tell=lambda task: self.tell(f"{folder.name}: {task}"),
                roles=folder.parent,
                stop=self.stop,
            )


def _common_tag(distribution: str, workplace: Workplace) -> str:
    return f"homerange/common-{distribution}:{_common_hash(workplace)}"


def _common_hash(workplace: Workplace) -> str:
    return _hash(_tree(_common_role(workplace)), _text(workplace.playbook("bake.yml")))


def _labels(tag: str, described: str) -> dict[str, str]:
    return {labels.BAKED: tag.rpartition(":")[2], labels.BASE: described}


def _build_base(engine: Images, tag: str) -> None:
    """Make a minimal Debian with mmdebstrap, from the mirror that this machine uses.

    Raises:
        NoBase: mmdebstrap is not here, or it failed.
    """
    if not shutil.which("mmdebstrap"):
        raise NoBase(
            "no image registry answers, and mmdebstrap is not installed",
            remedy="lab doctor --fix  installs it on Debian; elsewhere, let Docker reach a registry.",
        )
    argv = ["mmdebstrap", "--variant=minbase", f"--include={_BASE_PACKAGES}", SUITE, "-"]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=said, env=_in_memory()) as building,
    ):
        assert building.stdout is not None  # noqa: S101  # it is a pipe
        try:
            engine.load_root(building.stdout, tag)
        except EngineFault:
            if building.wait() == 0:
                raise  # the archive was whole
        if building.wait():
            engine.remove_image(tag)  # of half an archive
            said.seek(0)
            last = (said.read().decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1]
            raise NoBase(f"building a Debian base failed: {last}", remedy="Is a Debian mirror in reach?")


_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # mmdebstrap makes a folder of its own in it
_SPACE: Final = 2**30
"""Bytes that must be free in memory for a base to be built there; it takes a third of them."""


def _in_memory() -> dict[str, str]:
    """Return the environment in which mmdebstrap unpacks in memory, a third quicker, where it may and can."""
    try:
        shape = os.statvfs(_MEMORY)
    except OSError:
        return dict(os.environ)
    barred = shape.f_flag & (os.ST_NODEV | os.ST_NOEXEC | os.ST_NOSUID)
    free = min(shape.f_bavail * shape.f_frsize, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return dict(os.environ) if barred or free < _SPACE else {**os.environ, "TMPDIR": str(_MEMORY)}


def _common_role(workplace: Workplace) -> Path:
    return workplace.playbook("bake.yml").parent / "roles" / "common"


def _tree(folder: Path) -> list[tuple[str, str]]:
    """List a folder's files with their content, so that a hash of it is the same on any machine."""
    return sorted((path.relative_to(folder).as_posix(), _text(path)) for path in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _text(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _hash(*parts: object) -> str:
    return hashlib.sha256(records.to_json(parts).encode()).hexdigest()[:12]
