"""Every config of the corpus is read as the table says, and mended without another byte."""

import ast
import json
import tomllib
from pathlib import PurePath
from typing import Any

import pytest
import yaml

from batchscout.check.configuration import UnreadableConfig
from batchscout.check.fixing import fix, written
from batchscout.check.reading import read_configuration
from tests.batchscout.check.corpus import (
    CONFIGS,
    EXPECTED,
    READABLE,
    UNREADABLE,
    WANTED,
    read,
    told,
)


def test_the_table_holds_every_file() -> None:
    """No config lies there without an expectation, and there are enough of every kind."""
    files = {str(file.relative_to(CONFIGS)) for file in CONFIGS.rglob("*.*")} - {"expected.json"}
    assert files == set(EXPECTED)
    assert len(files) >= 48
    assert {PurePath(name).suffix for name in READABLE} >= {".yaml", ".json", ".toml", ".py"}


@pytest.mark.parametrize("name", READABLE)
def test_a_config_is_read_as_the_table_says(name: str) -> None:
    """Every value with its key, line, column and characters; every obstacle by its name."""
    configuration = read(name)
    assert told(configuration) == EXPECTED[name]
    assert not set(configuration.settings) & set(configuration.untellable)
    assert configuration.text.encode() == (CONFIGS / name).read_bytes()


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_config_says_why(name: str) -> None:
    """The message names the file and the reason, and the line where there is one."""
    expected = EXPECTED[name]
    with pytest.raises(UnreadableConfig) as raised:
        read(name)
    message = str(raised.value)
    assert PurePath(name).name in message
    assert expected["unreadable"] in message
    assert (raised.value.line, raised.value.untold) == (expected["line"], expected["untold"])


@pytest.mark.parametrize("name", READABLE)
def test_a_fix_changes_the_bytes_of_the_values_alone(name: str) -> None:
    """What stands between the values is byte by byte what stood there before."""
    before = read(name)
    fixed = fix(before, WANTED)
    old, new = before.text.encode(), fixed.text.encode()
    patchable = {
        role: before.text[: setting.place.start].encode()
        for role, setting in before.settings.items()
        if setting.place is not None and setting.unpatchable is None
    }
    assert set(fixed.changed) == set(patchable)
    assert set(fixed.refused) == set(WANTED) - set(patchable)
    at_old = at_new = 0
    for role in sorted(patchable, key=lambda role: len(patchable[role])):
        place = before.settings[role].place
        assert place is not None
        start, number = len(patchable[role]), written(role, WANTED[role]).encode()
        kept = old[at_old:start]
        assert new[at_new : at_new + len(kept)] == kept
        at_new += len(kept)
        assert new[at_new : at_new + len(number)] == number
        at_new += len(number)
        at_old = len(before.text[: place.end].encode())
    assert new[at_new:] == old[at_old:]


@pytest.mark.parametrize("name", READABLE)
def test_a_fixed_config_reads_as_wanted(name: str) -> None:
    """The values written are read back, each at the place that was told, the others as before."""
    before = read(name)
    fixed = fix(before, WANTED)
    after = read_configuration(CONFIGS / name, mapping={}, text=fixed.text)
    assert {role: after.settings[role] for role in fixed.changed} == dict(fixed.changed)
    assert {role: setting.value for role, setting in after.settings.items()} == {
        role: WANTED[role] if role in fixed.changed else setting.value
        for role, setting in before.settings.items()
    }
    assert set(after.untellable) == set(before.untellable)
    assert fix(after, WANTED).text == fixed.text


@pytest.mark.parametrize("name", [name for name in READABLE if not name.endswith(".jsonc")])
def test_the_frameworks_parser_reads_the_same(name: str) -> None:
    """A parser that is not ours finds exactly these numbers changed, as numbers."""
    before = read(name)
    fixed = fix(before, WANTED)
    try:
        old = leaves(name, before.text)
    except yaml.YAMLError:  # tags and templates, of which nothing may be written
        assert fixed.text == before.text
        return
    new = leaves(name, fixed.text)
    assert [path for path, _ in new] == [path for path, _ in old]
    changed = [
        after
        for (_, earlier), (_, after) in zip(old, new, strict=True)
        if repr(earlier) != repr(after)
    ]
    wanted = [WANTED[role] for role in fixed.changed]
    assert sorted(map(repr, changed)) == sorted(map(repr, wanted))


def leaves(name: str, text: str) -> list[tuple[tuple[Any, ...], Any]]:
    """The values of a text with their ways, by the parser of the framework."""
    match PurePath(name).suffix:
        case ".json":
            return flat(json.loads(text.removeprefix("\ufeff")))
        case ".toml":
            return flat(tomllib.loads(text))
        case ".py":
            return constants(ast.parse(text))
        case _:
            return flat(yaml.safe_load(text))


def flat(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """Values that hold no others."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in flat(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for key, inner in enumerate(value) for leaf in flat(inner, (*path, key))]
    return [(path, value)]


def constants(tree: ast.Module) -> list[tuple[tuple[Any, ...], Any]]:
    """Literals in the order of the source, with their lines."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    found.sort(key=lambda node: (node.lineno, node.col_offset))
    return [((node.lineno,), node.value) for node in found]
