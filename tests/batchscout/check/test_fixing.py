"""Writing other numbers into a config."""

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from batchscout.check import fixing
from batchscout.check.configuration import Configuration, Role, Setting
from batchscout.check.fixing import UnsafeFix, fix, replace_file, written
from batchscout.check.reading import read_configuration

MICRO, RATE = Role.MICRO_BATCH_SIZE, Role.LEARNING_RATE


def read(name: str, text: str, **mapping: str) -> Configuration:
    """Read a text as if it stood in a file of that name."""
    keys = {Role(role): key for role, key in mapping.items()}
    return read_configuration(Path(name), mapping=keys, text=text)


@given(st.floats(min_value=5e-324, max_value=1e300))
def test_a_written_rate_is_the_same_for_every_reader(rate: float) -> None:
    """YAML 1.1, JSON, TOML and Python read back the float that was meant."""
    text = written(RATE, rate)
    assert yaml.safe_load(text) == json.loads(text) == rate
    assert tomllib.loads(f"x = {text}")["x"] == float(text) == rate
    assert isinstance(yaml.safe_load(text), float)


def test_a_value_that_fits_already_stays_as_it_is_written() -> None:
    """Nobody's notation is changed for its own sake."""
    text = "lr: 1e-4\nbatch_size: 0x10\n"
    fixed = fix(read("a.yaml", text), {RATE: 1e-4, MICRO: 16})
    assert (fixed.text, fixed.changed, fixed.refused) == (text, {}, {})


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.yaml", "batch_size: 4\n", "learning_rate: 0.001"),
        ("a.json", '{"batch_size": 4}', '"learning_rate": 0.001'),
        ("a.toml", "batch_size = 4", "learning_rate = 0.001"),
        ("a.py", "batch_size = 4", "learning_rate=0.001"),
        (
            "a.py",
            "SFTConfig(per_device_train_batch_size=4)",
            "the keyword learning_rate=0.001",
        ),
        (
            "a.json",
            '{"train_micro_batch_size_per_gpu": 4}',
            '"lr": 0.001 under optimizer.params',
        ),
        ("a.yaml", "trainer: {devices: 1}\n", "lr: 0.001 under optimizer.init_args"),
    ],
)
def test_what_is_missing_is_named_with_the_line_to_add(name: str, text: str, line: str) -> None:
    """In the words and the notation of the file."""
    fixed = fix(read(name, text), {RATE: 1e-3})
    assert fixed.text == text
    assert fixed.refused[RATE].endswith(f"add {line}")


def test_a_default_is_not_overwritten_in_silence() -> None:
    """A default has no place: the sentence says what holds and what to add."""
    fixed = fix(read("a.py", 'TrainingArguments("out")'), {MICRO: 16, RATE: 5e-5})
    assert set(fixed.refused) == {MICRO}
    assert "the default of TrainingArguments, 8, holds" in fixed.refused[MICRO]
    assert "per_device_train_batch_size=16" in fixed.refused[MICRO]


def test_an_option_of_the_command_line_is_not_looked_for_in_the_file() -> None:
    """What `--data-parallel-size` says is changed there."""
    read_one = read("a.yaml", "batch_size: 4\n")
    role = Role.DATA_PARALLEL_SIZE
    option = Setting(role=role, value=2, place=None, origin="--data-parallel-size")
    configuration = Configuration(
        file=read_one.file,
        framework=read_one.framework,
        text=read_one.text,
        settings={**read_one.settings, role: option},
        untellable={},
    )
    assert "--data-parallel-size gives" in fix(configuration, {role: 4}).refused[role]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &a 4\nbatch_size: *a\n", "the alias *a"),
        ("batch_size: &a 4\n", "the anchor &a"),
        ("a: &a {batch_size: 4}\ntrain: {<<: *a}\n", "the mapping *a"),
        ("train: {<<: {batch_size: 4}}\n", "a merged mapping"),
        ("batch_size: !!int 4\n", "a tag"),
        ("batch_size: ${n}\n", "${n}"),
    ],
)
def test_what_others_may_share_is_left_alone(text: str, reason: str) -> None:
    """The reason is told, and the number to write by hand."""
    fixed = fix(read("a.yaml", text), {MICRO: 8})
    assert fixed.text == text
    assert reason in fixed.refused[MICRO]
    assert "8" in fixed.refused[MICRO]


@pytest.mark.parametrize(
    ("role", "value"),
    [(MICRO, 0), (MICRO, 2.5), (RATE, -1.0), (RATE, float("nan")), (RATE, float("inf"))],
)
def test_a_number_that_trains_nothing_is_refused(role: Role, value: float) -> None:
    """Nothing but positive numbers is written, and whole ones where it counts."""
    with pytest.raises(ValueError, match=role):
        fix(read("a.yaml", "batch_size: 4\nlr: 0.1\n"), {role: value})


@pytest.mark.parametrize("number", ["1e", "7, x: 1", "7\nx: 1", '"7"'])
def test_a_text_that_would_read_otherwise_is_not_given_out(
    number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is read again; anything else that changed stops the fix."""
    monkeypatch.setattr(fixing, "written", lambda role, value: number)
    with pytest.raises(UnsafeFix, match=r"a\.yaml"):
        fix(read("a.yaml", "{batch_size: 4, lr: 0.1}\n"), {MICRO: 7})


def test_a_call_chosen_by_a_mapping_is_the_one_that_changes() -> None:
    """Of several calls only the named one gets the new number."""
    text = "".join(
        f'{name} = TrainingArguments("é", per_device_train_batch_size={size})\n'
        for name, size in (("a", 1), ("b", 2))
    )
    key = "TrainingArguments#2(per_device_train_batch_size)"
    fixed = fix(read("a.py", text, micro_batch_size=key), {MICRO: 64})
    assert fixed.text == text.replace("=2)", "=64)")


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    """Newlines stay as given, the mode stays, a link stays a link, nothing is left beside it."""
    file = tmp_path / "real.yaml"
    file.write_bytes(b"lr: 1\r\n")
    file.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    replace_file(link, "\ufefflr: 2\r\nx: é")
    assert file.read_bytes() == "\ufefflr: 2\r\nx: é".encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert {one.name for one in tmp_path.iterdir()} == {"link.yaml", "real.yaml"}


def test_a_failed_replacement_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk fails before the end, the old file stands, and no half one beside it."""
    file = tmp_path / "a.yaml"
    file.write_text("lr: 1\n")

    def fail(_: int) -> None:
        raise OSError("full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="full"):
        replace_file(file, "lr: 2\n")
    assert file.read_text() == "lr: 1\n"
    assert [one.name for one in tmp_path.iterdir()] == ["a.yaml"]


WORDS = st.text(min_size=0, max_size=12).map(lambda text: f"x_{text}")
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**40), max_value=2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=12,
)
OTHERS = st.dictionaries(WORDS, VALUES, max_size=5)
SIZES = st.integers(min_value=1, max_value=2**20)
RATES = st.floats(min_value=1e-12, max_value=10.0)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A config with two known keys among anything else, in any order."""
    train = {**draw(OTHERS), "batch_size": draw(SIZES)}
    optim = {**draw(OTHERS), "lr": draw(RATES)}
    whole = {**draw(OTHERS), "train": train, "optim": optim}
    return {key: whole[key] for key in draw(st.permutations(list(whole)))}


def held_to_account(name: str, text: str, size: int, rate: float) -> str:
    """Fix a text and require every other character to be the same; give the new text."""
    before = read(name, text)
    fixed = fix(before, {MICRO: size, RATE: rate})
    assert not fixed.refused
    rest, new = text, fixed.text
    after = read(name, fixed.text).settings
    assert (after[MICRO].value, after[RATE].value) == (size, rate)
    spans = [(before.settings[role].place, after[role].place) for role in (MICRO, RATE)]
    for old, place in sorted(spans, key=lambda span: -span[0].start if span[0] else 0):
        assert old is not None
        assert place is not None
        assert rest[old.end :] == new[place.end :]
        rest, new = rest[: old.start], new[: place.start]
    assert rest == new
    return fixed.text


def wanted(document: dict[str, Any], size: int, rate: float) -> dict[str, Any]:
    """The document with the two numbers in it."""
    train, optim = document["train"], document["optim"]
    return document | {"train": train | {"batch_size": size}, "optim": optim | {"lr": rate}}


@given(
    document=documents(),
    size=SIZES,
    rate=RATES,
    flow=st.booleans(),
    letters=st.booleans(),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_any_yaml_keeps_its_other_characters(
    *, document: dict[str, Any], size: int, rate: float, flow: bool, letters: bool, newline: str
) -> None:
    """In block and in flow style, escaped or not, under both kinds of newline."""
    style = True if flow else None
    text = yaml.safe_dump(document, allow_unicode=letters, default_flow_style=style)
    text = f"# ünï\n{text}# end".replace("\n", newline)
    new = held_to_account("a.yaml", text, size, rate)
    assert yaml.safe_load(new) == wanted(yaml.safe_load(text), size, rate)


@given(
    document=documents(),
    size=SIZES,
    rate=RATES,
    indent=st.sampled_from([None, 2, "\t"]),
    ascii_only=st.booleans(),
)
def test_any_json_keeps_its_other_characters(
    *, document: dict[str, Any], size: int, rate: float, indent: int | str | None, ascii_only: bool
) -> None:
    """Indented or in one line, escaped or not."""
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    new = held_to_account("a.json", text, size, rate)
    assert json.loads(new) == wanted(document, size, rate)


@given(document=documents(), size=SIZES, rate=RATES, inline=st.booleans())
def test_any_toml_keeps_its_other_characters(
    *, document: dict[str, Any], size: int, rate: float, inline: bool
) -> None:
    """With tables in sections or inline, and dotted and quoted keys."""
    text = "# ünï\n" + (_pairs(document) if inline else _toml(document))
    new = held_to_account("a.toml", text, size, rate)
    assert tomllib.loads(new) == wanted(tomllib.loads(text), size, rate)


def _toml(document: dict[str, Any]) -> str:
    plain = {key: value for key, value in document.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in document.items() if isinstance(value, dict)}
    text = _pairs(plain)
    for name, table in tables.items():
        text += f"[ {_quoted(name)} ]  # {len(table)}\n{_pairs(table)}"
    return text


def _pairs(table: dict[str, Any]) -> str:
    return "".join(f"{_quoted(key)} = {_value(value)} # x\n" for key, value in table.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_quoted(key)}={_value(one)}" for key, one in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return "[\n" + "".join(f"  {_value(one)}, # y\n" for one in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "1979-05-27 07:32:00"
    if isinstance(value, float):
        return written(RATE, value)
    return str(value) if isinstance(value, int) else _quoted(value)


def _quoted(text: str) -> str:
    escaped = "".join(
        letter if letter.isprintable() and letter not in '"\\' else f"\\U{ord(letter):08x}"
        for letter in text
    )
    return f'"{escaped}"'
