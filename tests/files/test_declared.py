"""A dataclass says what its YAML may hold: read with all problems at once, and as a JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

import jsonschema
import pytest

from lab.exercise.written import ScenarioFile
from lab.files.declared import Fault, Key, json_schema, read
from lab.files.loader import Item, Plain, Reading, load, parse
from lab.files.workplace import SHIPPED
from lab.inventory.kind import NodeFile
from lab.inventory.schema import inventory_schema
from tests.support import KINDS, Case, by_name, cases


def even(text: str) -> int:
    """Read an even number."""
    if not text.isdecimal() or int(text) % 2:
        raise ValueError("an even number")
    return int(text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel:
    """A part with required keys."""

    remedy: ClassVar[str] = "write  {size: 28, maker: x}"

    size: Annotated[int, Key(least=10, most=36)]
    """Inches."""

    maker: str
    """Who made it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bell:
    """A sort of noise."""

    tone: str = "ding"


@dataclass(frozen=True, kw_only=True, slots=True)
class Horn:
    """Another sort of noise."""

    loud: bool = False


NOISES: Final = {"bell": Bell, "horn": Horn}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bicycle:
    """Something of everything."""

    where: Annotated[Item, Key(here=True)]
    name: str
    colour: Literal["red", "blue"] = "red"
    gears: Annotated[int, Key(convert=even, remedy="write  8")] = 2
    weight: float = 1.0
    rack: bool = False
    frame: Annotated[str, Key(known=("steel", "wood"))] = "steel"
    owner: str | None = None
    wheels: Annotated[tuple[Wheel, ...], Key(entry="wheel")] = ()
    spares: Annotated[tuple[Wheel, ...], Key(name="spare", single=True)] = ()
    notes: Mapping[str, Plain] = field(default_factory=dict)
    prices: Mapping[str, float] = field(default_factory=dict)
    lock: Wheel | None = None
    noise: Annotated[object, Key(kinds=NOISES)] = None

    def faults(self) -> Iterator[Fault]:
        """Find a bicycle that cannot be."""
        if len(self.wheels) == 1:
            yield Fault(key="wheels", what="one wheel is not enough", remedy="add another")


def written(text: str) -> tuple[Bicycle, list[str]]:
    reading = Reading("bicycle.yml")
    found = read(reading, parse(text, reading), Bicycle, "a bicycle")
    return found, [
        f"{it.line}: {it.what}" + (f" | {it.remedy}" if it.remedy else "") for it in reading.problems
    ]


def test_everything_is_read_as_its_type_says() -> None:
    found, problems = written(
        "name: 7\ncolour: blue\ngears: 4\nweight: 12\nrack: true\nframe: wood\nowner: ann\n"
        "wheels: [{size: 28, maker: x}, {size: 26, maker: y}]\nspare: {size: 20, maker: z}\n"
        "notes: {a: [1, {b: null}]}\nprices: {new: 9.5}\nlock: {size: 10, maker: l}\n"
        "noise: {horn: {loud: true}}\n"
    )
    assert problems == []
    assert (found.name, found.colour, found.gears, found.weight, found.rack) == ("7", "blue", 4, 12, True)
    assert (found.frame, found.owner, found.noise) == ("wood", "ann", Horn(loud=True))
    assert [it.size for it in (*found.wheels, *found.spares)] == [28, 26, 20]
    assert (found.notes, found.prices) == ({"a": [1, {"b": None}]}, {"new": 9.5})
    assert found.lock == Wheel(size=10, maker="l")
    assert isinstance(found.where.value, dict)


def test_what_is_not_given_has_its_default() -> None:
    found, problems = written("name: x\nspare: none\nowner:\n")
    assert problems == []
    assert (found.gears, found.spares, found.owner, found.noise) == (2, (), None, None)


KEYS: Final = "colour, frame, gears, lock, name, noise, notes, owner, prices, rack, spare, weight, wheels"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("colour: red", ["1: a bicycle needs name"]),
        ("- x", [
            "1: a bicycle must be a mapping, not a list | write  key: value  lines",
            "1: a bicycle needs name",
        ]),
        ("name: [x]", ["1: name must be text, not a list"]),
        ("name: x\nrack: 1", ["2: rack must be true or false, not a number"]),
        ("name: x\nweight: y", ["2: weight must be a number, not text"]),
        ("name: x\ngears: 3", ["2: gears must be an even number | write  8"]),
        ("name: x\nframe: stel", ["2: unknown frame 'stel' | did you mean 'steel'?  frames: steel, wood"]),
        ("name: x\ncolour: rde", ["2: unknown colour 'rde' | did you mean 'red'?  colours: blue, red"]),
        ("name: x\nwheels: [{size: 28.5, maker: x}, {size: 1, maker: y}, {size: 99}]", [
            "2: size must be a whole number, not 28.5", "2: size must be 10 or more, not 1",
            "2: wheel 3 needs maker | write  {size: 28, maker: x}", "2: size must be 36 or less, not 99",
        ]),
        ("name: x\nwheels: {size: 28}", ["2: wheels must be a list, not a mapping | write  [one, two]"]),
        ("name: x\nwheels: [{size: 28, maker: x}]", ["2: one wheel is not enough | add another"]),
        ("name: x\nnoise: {bel: {}}", ["2: unknown noise 'bel' | did you mean 'bell'?  noises: bell, horn"]),
        ("name: x\nnoise: {bell: , horn: }", ["2: noise must be one of them, not 2 | noises: bell, horn"]),
        ("name: x\nprices: {new: y}", ["2: new of prices must be a number, not text"]),
        ("nmae: x", [
            f"1: unknown key 'nmae' in a bicycle | did you mean 'name'?  keys: {KEYS}",
            "1: a bicycle needs name",
        ]),
    ],
)  # fmt: skip
def test_every_problem_is_named_with_its_line_and_what_to_do(text: str, expected: list[str]) -> None:
    assert written(text)[1] == expected


def test_the_schema_says_the_same() -> None:
    schema = json_schema(Wheel)
    assert schema["required"] == ["size", "maker"]
    assert schema["properties"] == {
        "size": {"description": "Inches.", "type": "integer", "minimum": 10, "maximum": 36},
        "maker": {"description": "Who made it.", "type": ["string", "number"]},
    }


def validator(schema: dict[str, object]) -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def plain(path: Path) -> Any:  # noqa: ANN401  # whatever YAML says
    return load(path)[0].plain()


@pytest.mark.parametrize(
    "path", [SHIPPED.find("scenarios", it) for it in SHIPPED.names("scenarios")], ids=str
)
def test_every_scenario_that_ships_fits_its_schema(path: Path) -> None:
    assert [it.message for it in validator(json_schema(ScenarioFile)).iter_errors(plain(path))] == []


@pytest.mark.parametrize(
    "role", [it / "node.yml" for it in SHIPPED.roles().values()], ids=lambda it: it.parent.name
)
def test_every_node_file_that_ships_fits_its_schema(role: Path) -> None:
    assert [it.message for it in validator(json_schema(NodeFile)).iter_errors(plain(role))] == []


@pytest.mark.parametrize("path", SHIPPED.inventories(), ids=str)
def test_every_inventory_that_ships_fits_its_schema(path: Path) -> None:
    assert [it.message for it in validator(inventory_schema(KINDS)).iter_errors(plain(path))] == []


SHAPES: Final = {
    "check-counter", "no-technique", "register-name", "template-syntax", "undefined-name", "unknown-node",
    "unknown-technique", "used-too-early", "wait-too-long", "wrong-tactic", "through-a-variable", "bad-yaml",
    "withdrawn-technique",
    "bad-durations", "nmap-host", "nmap-list", "nmap-quotes", "check-elsewhere", "no-steps",
    "short-day", "ways-in",
}  # fmt: skip
"""Cases whose fault is no matter of shape: of the lab, of ATT&CK, of templates, of what a text says."""


@pytest.mark.parametrize("case", [it for it in cases("scenario") if it.name not in SHAPES], ids=by_name)
def test_what_is_wrong_in_shape_does_not_fit_the_schema(case: Case) -> None:
    reading = Reading("bad.yml")
    found = parse(case.raw["scenario"], reading).plain()
    assert list(validator(json_schema(ScenarioFile)).iter_errors(found)) != []
