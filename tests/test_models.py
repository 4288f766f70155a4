"""Models on disk are data and nothing else; what is no model is refused, with a way out."""

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from whence import models
from whence.base.errors import InputError

LEARNT = {
    "weights": np.arange(3.0),
    "share": np.asarray(0.25),
    "roots": np.arange(2, dtype=np.int32),
    "seed": np.asarray(7),
    "deep": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
}
DTYPES = [np.float64, np.float32, np.float16, np.int64, np.int32, np.uint32, np.uint8, np.bool_]
AGAIN = "; run dvc repro to train it again"
F64 = {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}


class Bomb:
    """Whoever unpickles this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def card(**changes):
    about = {
        "classifier": "some",
        "classes": ["cifar", "imagenet"],
        "shape": [32, 32, 3],
        "settings": {"C": 1.0, "class_weight": None},
        "preprocessing": {"mean": [0.1, 1 / 3, 1e-300]},
        "parameters": 5,
        "best_epoch": [3, 0],
    }
    return about | changes


@pytest.fixture
def files(tmp_path):
    """Where a sound model lies: its arrays and its card."""
    weights, beside = tmp_path / "m.safetensors", tmp_path / "m.json"
    models.save(LEARNT, models.Card(**card()), weights, beside)
    return weights, beside


def refusal(files, guilty):
    """What is said of the guilty file."""
    with pytest.raises(InputError) as caught:
        models.load(*files, "some")
    assert str(caught.value).startswith(str(guilty))
    assert str(caught.value).endswith(AGAIN)
    return str(caught.value)


def same(one, two):
    assert sorted(one) == sorted(two)
    for name, array in one.items():
        assert two[name].dtype == array.dtype
        assert two[name].shape == array.shape
        assert two[name].tobytes() == array.tobytes()


def finite(dtype):
    """Arrays of any shape, empty ones and lone numbers too."""
    shapes = hnp.array_shapes(min_dims=0, min_side=0)
    return hnp.arrays(dtype, shapes, elements=hnp.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False))


# Sound files


@budget(max_examples=30)
@given(
    st.dictionaries(
        st.from_regex(r"[0-9a-z_.]{1,8}", fullmatch=True),
        st.sampled_from(DTYPES).flatmap(finite),
        max_size=4,
    )
)
def test_arrays_make_the_round_trip(tmp_path_factory, learnt):
    folder = tmp_path_factory.mktemp("models")
    models.save(learnt, models.Card(**card()), folder / "w", folder / "c")
    same(learnt, models.load(folder / "w", folder / "c", "some")[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_lone_number_stays_one(tmp_path, dtype):
    models.save({"one": np.asarray(1, dtype)}, models.Card(**card()), tmp_path / "w", tmp_path / "c")
    one = models.load(tmp_path / "w", tmp_path / "c", "some")[0]["one"]
    assert (one.shape, one.dtype, one[()]) == ((), dtype, 1)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3).T,
        np.arange(12.0).reshape(3, 4)[::2, 1::2],
        np.arange(4.0)[::-1],
        np.broadcast_to(np.float32(3), (2, 5)),
    ],
)
def test_values_not_memory_are_saved(tmp_path, array):
    models.save({"a": array}, models.Card(**card()), tmp_path / "w", tmp_path / "c")
    np.testing.assert_array_equal(models.load(tmp_path / "w", tmp_path / "c", "some")[0]["a"], array)


@pytest.mark.parametrize("order", "<>")
def test_other_byte_orders_are_saved_as_the_little_one(tmp_path, order):
    models.save({"a": np.arange(3, dtype=f"{order}i4")}, models.Card(**card()), tmp_path / "w", tmp_path / "c")
    assert (tmp_path / "w").read_bytes().endswith(bytes([0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]))
    assert models.load(tmp_path / "w", tmp_path / "c", "some")[0]["a"].tolist() == [0, 1, 2]


def test_the_same_content_gives_the_same_bytes_in_any_order(files, tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 2e9)
    again = tmp_path / "elsewhere" / "w", tmp_path / "elsewhere" / "c"
    backwards = dict(reversed(LEARNT.items()))
    models.save(backwards, models.Card(**dict(reversed(card().items()))), *again)
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in again]


@pytest.mark.parametrize("classes", [["a", "b"], ["b", "a", "c"], [False, True], [True, False], [0, 1], [7, -3, 2**40]])
def test_cards_make_the_round_trip(tmp_path, classes):
    about = models.Card(**card(classes=np.asarray(classes).tolist()))
    models.save(LEARNT, about, tmp_path / "w", tmp_path / "c")
    loaded = models.load(tmp_path / "w", tmp_path / "c", "some")[1]
    assert loaded == about
    assert [(type(name), name) for name in loaded.classes] == [(type(name), name) for name in classes]
    assert list(json.loads((tmp_path / "c").read_text())) == list(card())


@pytest.mark.parametrize("array", [np.array([None]), np.array(["text"]), np.zeros(2, np.longdouble)])
def test_what_is_no_plain_number_is_not_saved_and_nothing_changes(files, array):
    before = {path: path.read_bytes() for path in files}
    with pytest.raises(Exception, match="dtype"):
        models.save({"a": array}, models.Card(**card(parameters=9)), *files)
    assert {path: path.read_bytes() for path in files[0].parent.iterdir()} == before


# Arrays that are none


@pytest.mark.parametrize("disguise", [lambda bomb: bomb, lambda bomb: struct.pack("<Q", len(bomb)) + bomb])
def test_a_pickle_is_refused_and_not_executed(files, tmp_path, disguise):
    fired = tmp_path / "fired"
    bomb = pickle.dumps(Bomb(fired))
    files[0].write_bytes(disguise(bomb))
    refusal(files, files[0])
    assert not fired.exists()
    pickle.loads(bomb)
    assert fired.exists(), "the bomb is a dud: this test proves nothing"


def test_every_truncated_file_is_refused(files):
    content = files[0].read_bytes()
    for length in [*range(0, 40), *range(40, len(content), 13), len(content) - 1]:
        files[0].write_bytes(content[:length])
        assert "not a readable model (" in refusal(files, files[0])


def test_a_file_with_something_behind_it_is_refused(files):
    files[0].write_bytes(files[0].read_bytes() + b"\0")
    refusal(files, files[0])


def test_a_damaged_header_never_ends_in_a_traceback(files):
    content = files[0].read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    refused = 0
    for place in range(end):
        files[0].write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            models.load(*files, "some")
        except InputError:
            refused += 1
    assert refused > end / 2  # Names of arrays, and padding, may read as they like.


def written(header, content=bytes(16), length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"PK\x03\x04" * 9,
        b"\x93NUMPY" * 9,
        written({"a": F64}, length=2**63),
        written({"a": F64}, length=90_000_000),
        written(b"no JSON"),
        written([F64]),
        written({"a": 1}),
        written(b'{"a":' * 100_000),
        written(b"\xff"),
        written({"a": F64 | {"data_offsets": [8, 24]}}),
        written({"a": F64 | {"data_offsets": [16, 0]}}),
        written({"a": F64 | {"data_offsets": [-16, 0]}}),
        written({"a": F64 | {"data_offsets": [0, 2**64 - 1]}}),
        written({"a": F64 | {"shape": [3]}}),
        written({"a": F64 | {"shape": [-2]}}),
        written({"a": F64 | {"shape": [2**40, 2**40]}}),
        written({"a": F64 | {"shape": [2**62, 0], "data_offsets": [0, 0]}}, b""),
        written({"a": F64 | {"shape": [1] * 70 + [2]}}),
        written({"a": F64, "b": F64}),
        written({"a": F64, "b": F64 | {"data_offsets": [24, 40]}}, bytes(40)),
        written({"a": F64, "b": F64 | {"data_offsets": [8, 24]}}, bytes(24)),
        written({"a": F64 | {"dtype": "O"}}),
        written({"a": F64 | {"dtype": "BF16", "shape": [8]}}),
        written({"a": F64 | {"dtype": "F8_E4M3", "shape": [16]}}),
    ],
)
def test_what_is_no_model_is_refused(files, content):
    files[0].write_bytes(content)
    assert "not a readable model (" in refusal(files, files[0])


@pytest.mark.parametrize("array", [[np.nan, 0], [np.inf], -np.inf, np.ones(2, np.complex64)])
def test_arrays_hold_finite_numbers(files, array):
    models.save({"fine": np.zeros(2), "bad": np.asarray(array)}, models.Card(**card()), *files)
    assert "bad" in refusal(files, files[0])


def test_the_file_that_those_were_made_from_is_read(files):
    files[0].write_bytes(written({"a": F64}))
    assert models.load(*files, "some")[0]["a"].tolist() == [0, 0]


@pytest.mark.parametrize("which", [0, 1])
def test_a_folder_and_nothing_are_refused(files, which):
    files[which].unlink()
    assert "No such file" in refusal(files, files[which])
    files[which].mkdir()
    assert "Is a directory" in refusal(files, files[which])


# Cards that are none


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"text",
        b"\xff\xfe{}",
        "{}".encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b'{"classifier":' * 100_000,
        b"1" * 10_000,
        json.dumps(card()).encode()[:-1],
        json.dumps(card()).encode() * 2,
        json.dumps(card())[:-1].encode() + b', "classifier": "some"}',
        json.dumps(card()).replace('"C": 1.0', '"C": 1.0, "C": 2.0').encode(),
    ],
)
def test_what_is_no_card_is_refused(files, text):
    files[1].write_bytes(text)
    assert "not a readable card (" in refusal(files, files[1])


@pytest.mark.parametrize("depth", [100, 400, 600, 800, 900, 950, 990, 1100])
@pytest.mark.parametrize("key", ["classes", "settings", "shape"])
def test_depth_never_ends_in_a_traceback(files, depth, key):
    text = json.dumps(card(**{key: "HERE"})).replace('"HERE"', "[" * depth + "]" * depth)
    files[1].write_text(text)
    refusal(files, files[1])


@pytest.mark.parametrize("content", [None, [], "text", 3, [card()]])
def test_a_card_is_an_object(files, content):
    files[1].write_text(json.dumps(content))
    refusal(files, files[1])


@pytest.mark.parametrize("key", card())
def test_every_key_is_needed(files, key):
    files[1].write_text(json.dumps({name: value for name, value in card().items() if name != key}))
    assert f"{files[1]}.{key}: missing" in refusal(files, files[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"stranger": 1},
        {"classifier": 3},
        {"classes": []},
        {"classes": ["one"]},
        {"classes": ["a", "a"]},
        {"classes": ["a", 1]},
        {"classes": [0, True]},
        {"classes": [0.5, 1.5]},
        {"classes": [["a"], ["b"]]},
        {"classes": [None, "a"]},
        {"classes": "ab"},
        {"shape": []},
        {"shape": [0, 3]},
        {"shape": [-1]},
        {"shape": [2.0]},
        {"shape": [True]},
        {"shape": [2**25]},
        {"shape": [2**40, 2**40]},
        {"settings": None},
        {"settings": [1]},
        {"preprocessing": {"mean": 1.0}},
        {"preprocessing": {"mean": [float("nan")]}},
        {"preprocessing": {"mean": [float("inf")]}},
        {"preprocessing": {"mean": ["1"]}},
        {"parameters": -1},
        {"parameters": 1.5},
        {"best_epoch": [-1]},
        {"best_epoch": 1},
    ],
)
def test_what_a_card_cannot_say_is_refused(files, changes):
    files[1].write_text(json.dumps(card(**changes)))
    refusal(files, files[1])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_card_holds_finite_numbers(files, number):
    files[1].write_text(json.dumps(card()).replace("1e-300", number))
    assert "finite" in refusal(files, files[1])


def test_the_card_of_another_classifier_is_refused(files):
    files[1].write_text(json.dumps(card(classifier="other")))
    assert "a model of 'other', expected 'some'" in refusal(files, files[1])
