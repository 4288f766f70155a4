"""Settings: what is wrong in params.yaml is refused with the file, the dotted key, the value and what was expected."""

import io
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field
from ruamel.yaml import YAML

from whence.base import settings
from whence.base.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
GOOD = {
    "count": 3,
    "rate": 0.5,
    "name": "x",
    "flag": True,
    "weight": None,
    "modes": ["RGB"],
    "inner": {"bins": 2},
    "many": {"a": {"bins": 3}},
}


class Inner(settings.Section):
    bins: int = Field(ge=2)


class Example(settings.Section):
    count: int = Field(ge=0, lt=10)
    rate: float = Field(gt=0)
    name: str
    flag: bool
    weight: Literal["balanced"] | None
    modes: list[str]
    inner: Inner
    many: dict[str, Inner]


class Nothing(settings.Section):
    pass


@pytest.fixture
def params(tmp_path):
    """Write a params.yaml and return its path."""

    def write(content):
        path = tmp_path / "params.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def written(content):
    """The text of a params.yaml, as DVC writes it."""
    text = io.StringIO()
    YAML().dump(content, text)
    return text.getvalue()


def complaint(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return str(caught.value)


def refusal(params, **changes):
    """The message about a section in which some keys have other values."""
    path = params(written({"train": {"example": GOOD | changes}}))
    message = complaint(settings.load, "train.example", Example, path)
    assert message.startswith(f"{path}: train.example.")
    return message.removeprefix(f"{path}: train.example.")


def test_a_valid_section_loads_as_it_stands(params):
    path = params(written({"train": {"example": GOOD}}))
    assert settings.load("train.example", Example, path).model_dump() == GOOD


def test_an_empty_section_is_written_as_braces(params):
    assert settings.load("colour", Nothing, params("colour: {}")) == Nothing()
    assert "colour: got None" in complaint(settings.load, "colour", Nothing, params("colour:"))


def test_settings_do_not_change_afterwards(params):
    loaded = settings.load("a", Inner, params("a: {bins: 2}"))
    with pytest.raises(ValueError, match="frozen"):
        loaded.bins = 3


@pytest.mark.parametrize(
    ("key", "wrong", "expected"),
    [
        ("count", True, "valid integer"),
        ("count", 3.0, "valid integer"),
        ("count", 2.5, "valid integer"),
        ("count", "3", "valid integer (this is text; write it without quotes)"),
        ("count", "three", "valid integer"),
        ("count", None, "valid integer"),
        ("count", [3], "valid integer"),
        ("count", -1, "greater than or equal to 0"),
        ("count", 10, "less than 10"),
        ("rate", True, "valid number"),
        ("rate", "1e-3", "valid number (this is text; write it without quotes)"),
        ("rate", "nan", "valid number"),
        ("rate", 0, "greater than 0"),
        ("rate", -0.5, "greater than 0"),
        ("rate", float("inf"), "finite number"),
        ("rate", float("nan"), "finite number"),
        ("name", 3, "valid string"),
        ("name", True, "valid string"),
        ("flag", 1, "valid boolean"),
        ("flag", "true", "valid boolean"),
        ("weight", "balance", "'balanced'"),
        ("weight", 1.5, "'balanced'"),
        ("modes", "RGB", "valid list"),
        ("inner", 3, "valid dictionary"),
        ("many", [], "valid dictionary"),
    ],
)
def test_a_wrong_value_is_refused(params, key, wrong, expected):
    message = refusal(params, **{key: wrong})
    assert message.startswith(f"{key}: got {wrong!r}: ")
    assert message.endswith(expected) or f" {expected}" in message
    assert ("quotes" in message) == ("quotes" in expected)
    assert "\n" not in message


def test_the_place_within_lists_and_nested_sections_is_named(params):
    assert refusal(params, modes=["RGB", 3]).startswith("modes.1: got 3: ")
    assert refusal(params, inner={"bins": 1}).startswith("inner.bins: got 1: ")
    assert refusal(params, many={"a": {"bins": 2}, "b": {"bins": "2"}}).startswith("many.b.bins: got '2': ")


def test_unknown_keys_are_refused_with_the_known_ones_of_their_section(params):
    everything = "count, rate, name, flag, weight, modes, inner, many"
    assert refusal(params, cuont=3) == f"cuont: unknown key; known ones: {everything}"
    assert refusal(params, inner={"bins": 2, "bin": 2}) == "inner.bin: unknown key; known ones: bins"
    assert refusal(params, many={"a": {"bins": 2, "bin": 2}}) == "many.a.bin: unknown key; known ones: bins"
    assert "known ones: none" in complaint(settings.load, "a", Nothing, params("a: {b: 1}"))


def test_missing_keys_are_refused(params):
    path = params("a: {}")
    assert complaint(settings.load, "a", Inner, path) == f"{path}: a.bins: missing; add it"


def test_every_mistake_is_listed_not_only_the_first(params):
    message = refusal(params, count=-1, rate=True, name=3, more=1)
    keys = [line.split("example.")[-1].split(":")[0] for line in message.splitlines()]
    assert keys == ["count", "rate", "name", "more"]


@pytest.mark.parametrize("number", [1e-05, 5e-07, 0.001, 1e20, 1.5e-08, 100000.0, -2e-09])
def test_a_number_that_dvc_writes_is_read_as_a_number(params, number):
    """`dvc exp run -S train.logistic.C=1e-5` leaves `1e-05` in the file, text to YAML 1.1."""
    got = settings.value("C", params(written({"C": number})))
    assert got == number
    assert type(got) is float


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.e-3", ".1e-2", "+1e-3", "1.0e-3", "0.001", "1_0.0e-4"])
def test_decimals_are_numbers(params, text):
    assert settings.value("a", params(f"a: {text}")) == 0.001


@pytest.mark.parametrize("text", ["e3", "1e", "1e-", "-e3", "1e3x", "a1e3", "1e3.5", "n02691156", "1e3-1"])
def test_what_only_resembles_a_number_stays_text(params, text):
    assert settings.value("a", params(f"a: {text}")) == text


def test_types_are_yamls(params):
    content = "{a: 1, b: 1.0, c: true, d: null, e: text, f: '1', g: [1, 2]}"
    expected = {"a": 1, "b": 1.0, "c": True, "d": None, "e": "text", "f": "1", "g": [1, 2]}
    got = settings.read(params(content))
    assert {key: (type(x), x) for key, x in got.items()} == {key: (type(x), x) for key, x in expected.items()}


def test_a_repeated_key_is_refused(params):
    path = params(
        "train:\n  logistic:\n    C: 1.0\n    max_iter: 2\n    C: 2.0\nsource: a\nsource: b\nlist: [{x: 1, x: 2}]\n"
    )
    assert complaint(settings.read, path).splitlines() == [
        f"{path}: train.logistic.C (line 5) stands twice; keep one of them",
        f"{path}: source (line 7) stands twice; keep one of them",
        f"{path}: list.x (line 8) stands twice; keep one of them",
    ]


def test_quoted_or_not_it_is_the_same_key(params):
    assert "a (line 2) stands twice" in complaint(settings.read, params("a: 1\n'a': 2\n"))


def test_the_same_key_in_two_sections_is_fine(params):
    assert settings.read(params("a: {x: 1}\nb: {x: 1}\n")) == {"a": {"x": 1}, "b": {"x": 1}}


def test_anchors_and_merges_are_fine(params):
    content = "base: &base {x: 1, y: 2}\nmore: {<<: *base, y: 3}\nsame: *base\n"
    expected = {"base": {"x": 1, "y": 2}, "more": {"x": 1, "y": 3}, "same": {"x": 1, "y": 2}}
    assert settings.read(params(content)) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a: [1", "line 1"),
        ("a: b: c", "line 1"),
        ("a: 1\n\tb: 2", "line 2"),
        ("a: !!python/object/apply:os.system [true]", "python/object"),
        ("a: 1\n---\na: 2\n", "single document"),
        ("a: 2001-99-99", "month"),
        ("? [1, 2]\n: 3\n", "unhashable"),
        (b"a: \xff\xfe", "utf-8"),
        ("a: *nobody", "undefined alias"),
        ("a: &a [*a]", "recursion"),
        ("a: " + "[" * 5000 + "]" * 5000, "nesting"),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_place(params, content, expected):
    path = params(content)
    message = complaint(settings.read, path)
    assert message.startswith(f"{path}: not valid YAML: ")
    assert expected in message


@pytest.mark.parametrize(("content", "kind"), [("", "NoneType"), ("- a\n- b\n", "list"), ("text", "str"), ("3", "int")])
def test_what_is_no_mapping_is_refused(params, content, kind):
    path = params(content)
    assert complaint(settings.read, path) == f"{path}: expected sections such as 'train:', got {kind}"


def test_a_missing_file_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    message = complaint(settings.load, "a", Inner, path)
    assert message == f"{path}: cannot be read (No such file or directory); run from the repository's root"


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("evaluate", "'evaluate' is missing: the top level holds train, source, empty"),
        ("train.forset", "'train.forset' is missing: train holds forest, guess"),
        ("train.guess.seed.x", "'train.guess.seed.x' is missing: train.guess.seed holds 0"),
        ("source.a", "'source.a' is missing: source holds 'sample'"),
        ("empty.a", "'empty.a' is missing: empty holds nothing"),
    ],
)
def test_a_missing_section_is_refused_with_what_is_there(params, section, expected):
    path = params("{train: {forest: {trees: 1}, guess: {seed: 0}}, source: sample, empty: {}}")
    assert complaint(settings.load, section, Inner, path) == f"{path}: {expected}"


def test_a_false_value_is_not_a_missing_one(params):
    path = params("{a: {b: 0, c: null, d: false}}")
    assert [settings.value(f"a.{key}", path) for key in "bcd"] == [0, None, False]


def test_the_repositorys_own_file_reads_as_dvc_reads_it():
    assert settings.read(ROOT / "params.yaml") == YAML(typ="safe").load((ROOT / "params.yaml").read_text())


def test_what_is_changed_after_it_was_read_changes_no_later_answer(params):
    """The text is parsed once; every answer is a copy of its own."""
    path = params("a:\n  b: [1, 2]\n")
    settings.read(path)["a"]["b"].append(3)
    settings.value("a.b", path).append(4)
    settings.value("a", path)["c"] = 5
    assert settings.read(path) == {"a": {"b": [1, 2]}}
    params("a:\n  b: [6]\n")
    assert settings.value("a.b", path) == [6]
