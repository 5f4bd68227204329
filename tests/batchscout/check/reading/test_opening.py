"""From a file's name to its text."""

import os
from pathlib import Path

import pytest

from batchscout.check.configuration import Role, UnreadableConfig
from batchscout.check.reading import read_configuration
from batchscout.check.reading.opening import LARGEST_BYTES, open_text
from batchscout.check.reading.yaml_text import MOST_ALIASED


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    """Each has its own sentence."""
    with pytest.raises(UnreadableConfig, match="is not there"):
        open_text(tmp_path / "none.yaml")
    with pytest.raises(UnreadableConfig, match="is a folder"):
        open_text(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """What is no regular file is not opened."""
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(UnreadableConfig, match="no regular file"):
        open_text(pipe)


def test_the_largest_file_is_read_and_no_larger(tmp_path: Path) -> None:
    """The limit is inclusive."""
    file = tmp_path / "large.yaml"
    file.write_bytes(b"#" * LARGEST_BYTES)
    assert len(open_text(file)) == LARGEST_BYTES
    file.write_bytes(b"#" * (LARGEST_BYTES + 1))
    with pytest.raises(UnreadableConfig, match="larger than 1 MiB"):
        open_text(file)


@pytest.mark.parametrize("ending", ["yaml", "json", "toml", "py"])
def test_deep_nesting_is_refused_in_every_kind(ending: str) -> None:
    """No parser's recursion ends the program."""
    text = f"{'x = ' if ending in {'toml', 'py'} else ''}{'[' * 5000}{']' * 5000}"
    with pytest.raises(UnreadableConfig) as raised:
        read_configuration(Path(f"deep.{ending}"), mapping={}, text=text)
    assert f"deep.{ending}" in str(raised.value)


def test_many_plain_values_are_no_bomb() -> None:
    """Only what is read through aliases is limited, not what people wrote out."""
    text = "".join(f"k{index}: {index}\n" for index in range(MOST_ALIASED + 1)) + "lr: 0.1\n"
    assert read_configuration(Path("a.yaml"), mapping={}, text=text).settings


def test_a_bomb_of_merged_mappings_is_refused() -> None:
    """Each mapping merges the one before twenty times; nothing is copied that often."""
    lines = ["a0: &a0 {" + ", ".join(f"k{index}: 1" for index in range(50)) + "}"]
    lines += [
        f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 20)}]}}"
        for level in range(1, 60)
    ]
    with pytest.raises(UnreadableConfig, match="stand for more than"):
        read_configuration(Path("a.yaml"), mapping={}, text="\n".join(lines))


def test_control_characters_of_a_file_are_not_repeated() -> None:
    """A key cannot begin a line of our output, or colour it."""
    text = '"a\\n::error::x\\u001b[31m": {"lr": "\\n::warning::y"}'
    configuration = read_configuration(Path("a.json"), mapping={}, text="{" + text + "}")
    (untold,) = configuration.untellable.values()
    assert untold.place is not None
    told = untold.detail + untold.place.key
    assert told.isprintable()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonc", '{"lr": 1,' + "/* " * 300_000),
        ("a.json", '{"lr":' + '\\"' * 500_000),
        ("a.yaml", "lr: 1" + "_" * 1_000_000 + "x\n"),
        ("a.yaml", "lr: '" + "${A-" * 250_000 + "'\n"),
        ("a.yaml", "batch_size: 1\ndevices: '1" + " " * 1_000_000 + "x'\n"),
    ],
)
def test_long_texts_are_looked_through_once(name: str, text: str) -> None:
    """What a pattern may not find is not looked for from every character anew."""
    try:
        told = read_configuration(Path(name), mapping={}, text=text)
    except UnreadableConfig as error:
        assert "is not JSON" in str(error)  # noqa: PT017 (the JSON ones are cut off)
    else:
        assert Role.LEARNING_RATE not in told.settings
