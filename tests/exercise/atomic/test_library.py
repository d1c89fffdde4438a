"""Files of Atomic Red Team are read as they are; what is wrong with one is said, and the others stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import BadFile, NotFound
from lab.exercise.atomic.library import BadArgument, read_library, read_tests
from tests.support import SAMPLES

ATOMICS = SAMPLES / "atomics"


def test_a_plain_folder_and_a_checkout_have_the_same_tests(tmp_path: Path) -> None:
    for path in ATOMICS.glob("*.yaml"):
        folder = tmp_path / "atomics" / path.stem
        folder.mkdir(parents=True)
        (folder / path.name).write_bytes(path.read_bytes())
    plain, checkout = read_library(ATOMICS), read_library(tmp_path)
    assert [it.id for it in plain.tests] == [it.id for it in checkout.tests]
    assert plain.techniques == tuple(sorted(path.stem for path in ATOMICS.glob("*.yaml")))


def test_arguments_are_filled_in_wherever_they_stand() -> None:
    (test,) = read_library(ATOMICS).find("T1053.003", 1)
    filled = test.filled({"command": "/tmp/x.sh"})
    assert filled.command.splitlines()[1] == (
        'echo "* * * * * /tmp/x.sh" > /tmp/persistevil && crontab /tmp/persistevil'
    )
    (test,) = read_library(ATOMICS).find("T1070.004", 1)
    assert test.filled({}).dependencies[0].get.strip() == (
        "mkdir -p /tmp/victim-files/ && touch /tmp/victim-files/T1070.004-test.txt"
    )


def test_a_number_of_yaml_is_its_text() -> None:
    (test,) = read_library(ATOMICS).find("T1222.002", 1)
    assert test.filled({}).command.startswith("chmod 755 ")


@pytest.mark.parametrize(("name", "value"), [("nosuch", "x"), ("numeric_mode", "rwx"), ("numeric_mode", "")])
def test_a_wrong_argument_is_named(name: str, value: str) -> None:
    (test,) = read_library(ATOMICS).find("T1222.002", 1)
    with pytest.raises(BadArgument, match=name):
        test.filled({name: value})


def test_a_default_that_names_itself_comes_to_an_end(tmp_path: Path) -> None:
    path = tmp_path / "T1000.yaml"
    path.write_text(
        "attack_technique: T1000\natomic_tests:\n- name: x\n  supported_platforms: [linux]\n"
        "  input_arguments: {a: {default: 'b#{a}#{a}', type: string}}\n"
        "  executor: {name: sh, command: 'echo #{a}'}\n",
        encoding="utf-8",
    )
    (test,) = read_tests(path)
    assert len(test.filled({}).command) <= 100_000


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["has no attack_technique", "has no atomic_tests"]),
        (
            "attack_technique: T1000\natomic_tests: 5\n",
            ["atomic_tests must be a list", "has no atomic_tests"],
        ),
        ("attack_technique: T1000\natomic_tests:\n- {}\n", ["test 1 has no executor", "has no name"]),
        ("a: [\n", ["is not YAML"]),
        ("attack_technique: T1000\natomic_tests:\n- name: x\n  executor: {}\n", ["test 1 has no executor"]),
    ],
)
def test_a_broken_file_is_named_and_the_others_are_read(
    text: str, problems: list[str], tmp_path: Path
) -> None:
    (tmp_path / "T1000.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "T1053.003.yaml").write_bytes((ATOMICS / "T1053.003.yaml").read_bytes())
    library = read_library(tmp_path)
    assert len(library.tests) == 4
    assert len(library.problems) == len(problems)
    assert all(any(wanted in found.what for found in library.problems) for wanted in problems)
    with pytest.raises(BadFile):
        library.find("T1000")


@pytest.mark.parametrize(("technique", "number"), [("T9999", 0), ("T1053.003", 9)])
def test_a_test_that_is_not_there_is_said(technique: str, number: int) -> None:
    with pytest.raises(NotFound):
        read_library(ATOMICS).find(technique, number)


def test_a_folder_without_tests_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_library(tmp_path)
    with pytest.raises(NotFound):
        read_library(tmp_path / "nowhere")
