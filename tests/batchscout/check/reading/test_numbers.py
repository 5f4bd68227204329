"""What a written number is, format by format."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from batchscout.check.configuration import Configuration, Obstacle, Role, UnreadableConfig
from batchscout.check.reading import read_configuration
from batchscout.check.reading.entries import Kind, line_starts
from batchscout.check.reading.json_text import json_entries
from batchscout.check.reading.toml_text import toml_entries
from batchscout.check.reading.yaml_numbers import plain_value
from batchscout.check.reading.yaml_text import yaml_entries

RATE = Role.LEARNING_RATE


def read(name: str, text: str) -> Configuration:
    """Read a text as if it stood in a file of that name."""
    return read_configuration(Path(name), mapping={}, text=text)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *(("1e-4", 1e-4), ("1E-4", 1e-4), ("1e4", 1e4), ("1.e-4", 1e-4), (".5", 0.5)),
        *(("+0.1", 0.1), ("1.0e-05", 1e-5), ("0x10", 16), ("16", 16), ("1.", 1)),
    ],
)
def test_yaml_numbers_are_read_by_the_newer_rule(written: str, value: float) -> None:
    """Also where PyYAML alone would see text, as in 1e-4."""
    assert read("a.yaml", f"lr: {written}\n").settings[RATE].value == value


@pytest.mark.parametrize(
    "written",
    ["010", "0o17", "0b11", "1_000", "1_0.5", "1:30", "12:30:45.5", "1_000.0e-3", "-017"],
)
def test_yaml_numbers_that_readers_disagree_on_are_told(written: str) -> None:
    """Neither of the two readings is taken."""
    untold = read("a.yaml", f"lr: {written}\n").untellable[RATE]
    assert untold.obstacle is Obstacle.NOT_A_NUMBER
    assert "in different ways" in untold.detail


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.yaml", "lr: {}"),
        ("a.json", '{{"lr": {}}}'),
        ("a.toml", "lr = {}"),
        ("a.py", "lr = {}"),
    ],
)
@pytest.mark.parametrize(
    "written", ["0", "0.0", "-1e-3", "-5", "true", "'x'", "[0.1]", "1" + "0" * 400]
)
def test_no_positive_number_is_no_rate(name: str, line: str, written: str) -> None:
    """Zero, negative, truth, text, a list, a number beyond all floats: none of them is taken."""
    if name == "a.json":
        written = written.replace("'", '"')
    if name == "a.py":
        written = written.replace("true", "True")
    untold = read(name, line.format(written) + "\n").untellable[RATE]
    assert untold.obstacle is Obstacle.NOT_A_NUMBER
    assert untold.place is not None
    assert untold.place.line == 1


@pytest.mark.parametrize("name", ["a.json", "a.toml", "a.py", "a.yaml"])
def test_a_number_of_too_many_digits_ends_nothing(name: str) -> None:
    """Python refuses to convert it; the file is told as wrong, or the value."""
    number = "1" * 5000
    line = {"a.json": '{{"lr": {}}}', "a.yaml": "lr: {}"}.get(name, "lr = {}").format(number)
    if name == "a.yaml":
        assert RATE in read(name, line).untellable
        return
    with pytest.raises(UnreadableConfig, match=name):
        read(name, line)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_yaml_floats_agree_with_the_library(value: float) -> None:
    """Whatever PyYAML writes as a float is the same float to us."""
    written = yaml.safe_dump(value).split("\n")[0]
    assert plain_value(written) == (Kind.NUMBER, value, None)


@given(st.text(alphabet="0123456789abcdefxob._+-eE:tTrRuUnNlL~ ", max_size=8))
def test_a_yaml_number_is_one_to_the_library_too(written: str) -> None:
    """What we take for a number is no other number to PyYAML; text at most, as 1e-4."""
    kind, value, _ = plain_value(written)
    if kind is Kind.NUMBER:
        other = yaml.safe_load(written)
        assert isinstance(other, str) or repr(float(other)) == repr(float(value or 0))


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(document=JSON, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_every_span_of_json_is_its_value(
    *, document: object, indent: int | None, ascii_only: bool
) -> None:
    """The characters of each entry, parsed alone, are the entry."""
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    for entry in json_entries("a.json", text):
        value = json.loads(text[entry.start : entry.end])
        match entry.kind:
            case Kind.NUMBER | Kind.TEXT:
                assert repr(value) == repr(entry.value)
            case Kind.LIST:
                assert len(value) == entry.value
            case Kind.TABLE:
                assert isinstance(value, dict)
            case _:
                assert value in {None, True, False}


@given(st.text(alphabet="a\r\n\u2028\x0c", max_size=20))
def test_lines_end_where_editors_end_them(text: str) -> None:
    """LF, CR LF and CR end a line; form feeds and Unicode's separators do not."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    assert len(line_starts(text)) == unified.count("\n") + 1
    assert all(
        text[start - 1] in "\r\n" and text[start - 1 : start + 1] != "\r\n"
        for start in line_starts(text)[1:]
    )


@pytest.mark.parametrize(
    "text",
    [
        "a = '''x\n[b]\nlr = 1'''\nlr = 2\n",
        'a = """x " "" \\""" y""""\nlr = 2\n',
        "a.b.'c d'.lr = 3\n[[x]]\n[[x.y]]\nlr = 4\n[[x.y]]\nlr = 5\n[x.z]\nlr = 6\n",
        "a = [{lr = 1}, # ]\n [ [2], 'x]', ],]\nb = {}\nc = []\n",
        "d = 07:32:00\ne = 1979-05-27 07:32:00Z # x\nf = [1979-05-27, 2020-01-01 00:00:00]\n",
        "[ a . 'b' ] # ]\n\"k]\" = 1\r\n[ 'q' ]\r\nz = inf\r\n",
        '"ä" = 1_000 # é\n"" = 2\n',
    ],
)
def test_every_span_of_toml_is_its_value(text: str) -> None:
    """The characters of each value, parsed alone, are the value."""
    entries = toml_entries("a.toml", text)
    assert entries
    for entry in entries:
        span = text[entry.start : entry.end]
        if span.startswith("[") and entry.kind is Kind.TABLE:
            continue  # a header
        value = tomllib.loads(f"k = {span}")["k"]
        match entry.kind:
            case Kind.NUMBER | Kind.TEXT:
                assert repr(value) == repr(entry.value)
            case Kind.LIST:
                assert len(value) == entry.value
            case Kind.OTHER:
                assert str(value) == entry.value
            case _:
                assert isinstance(value, dict)


@pytest.mark.parametrize("slow", [True, False])
def test_both_parsers_of_yaml_tell_the_same_spans(
    *, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where PyYAML has no compiled part, nothing changes."""
    text = "# é😀\r\na: &x [1, 'b'] # c\r\nb: *x\r\nc: !t {d: 1e-4}\r\ne: |\r\n  t\r\nf:\r\n  - g"
    if slow:
        monkeypatch.delattr(yaml, "CSafeLoader")
    told = [
        (entry.key, entry.kind, text[entry.start : entry.end])
        for entry in yaml_entries("a.yaml", text)
        if entry.kind is Kind.NUMBER
    ]
    assert told == [
        ("a[0]", Kind.NUMBER, "1"),
        ("b[0]", Kind.NUMBER, "1"),
        ("c.d", Kind.NUMBER, "1e-4"),
    ]
