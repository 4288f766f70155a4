"""Models on disk are data and nothing else; trees are followed as they were grown."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit

from whence import models
from whence.errors import InputError
from whence.models import Tree

LEARNT = {"weights": np.arange(3.0), "share": np.asarray(0.25), "roots": np.arange(2, dtype=np.int32)}


class Bomb:
    """Whoever unpickles this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def refusal(path):
    with pytest.raises(InputError) as caught:
        models.load(path)
    assert str(caught.value).startswith(f"{path}: not a readable model (")
    assert str(caught.value).endswith("; run dvc repro to train it again")
    return str(caught.value)


# Files


@budget(max_examples=30)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        hnp.arrays(st.sampled_from([np.float64, np.float32, np.int32, np.uint8]), hnp.array_shapes(min_dims=0)),
        max_size=4,
    )
)
def test_arrays_make_the_round_trip(tmp_path_factory, learnt):
    path = tmp_path_factory.mktemp("models") / "m.npz"
    models.save(learnt, path)
    loaded = models.load(path)
    assert list(loaded) == list(learnt)
    for name, array in learnt.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].shape == array.shape
        assert loaded[name].tobytes() == array.tobytes()


def test_the_same_arrays_give_the_same_bytes(tmp_path, monkeypatch):
    models.save(LEARNT, tmp_path / "one.npz")
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    models.save(LEARNT, tmp_path / "elsewhere" / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "elsewhere" / "two.npz").read_bytes()


def test_objects_are_not_saved_and_nothing_is_left_behind(tmp_path):
    with pytest.raises(ValueError, match="Object arrays"):
        models.save({"a": np.array([None])}, tmp_path / "m.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_is_refused_and_not_executed(tmp_path):
    fired = tmp_path / "fired"
    (tmp_path / "m.npz").write_bytes(pickle.dumps(Bomb(fired)))
    refusal(tmp_path / "m.npz")
    assert not fired.exists()
    pickle.loads((tmp_path / "m.npz").read_bytes())
    assert fired.exists(), "the bomb is a dud: this test proves nothing"


def test_an_array_of_objects_is_refused_and_not_executed(tmp_path):
    fired = tmp_path / "fired"
    np.savez(tmp_path / "m.npz", fine=np.zeros(2), bad=np.array([Bomb(fired)], dtype=object))
    assert "Object arrays cannot be loaded" in refusal(tmp_path / "m.npz")
    assert not fired.exists()


def test_a_pickle_within_a_zip_is_refused_and_not_executed(tmp_path):
    fired = tmp_path / "fired"
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Bomb(fired)))
    assert "data.pkl is not an array" in refusal(tmp_path / "m.npz")
    assert not fired.exists()


def test_a_pickle_that_calls_itself_an_array_is_refused_and_not_executed(tmp_path):
    fired = tmp_path / "fired"
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("weights.npy", pickle.dumps(Bomb(fired)))
    refusal(tmp_path / "m.npz")
    assert not fired.exists()


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = tmp_path / "m.npz"
    models.save(LEARNT, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refusal(path)


def test_a_damaged_file_is_refused_or_read_as_it_was(tmp_path):
    path = tmp_path / "m.npz"
    models.save(LEARNT, path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.choice(len(content), 200, replace=False):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            loaded = models.load(path)
        except InputError:
            refused += 1
        else:  # Zip has fields that nobody reads, such as the time.
            assert [array.tobytes() for array in loaded.values()] == [array.tobytes() for array in LEARNT.values()]
    assert refused > 100


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x93NUMPY", b"a,b\n1,2\n" * 100])
def test_what_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "m.npz").write_bytes(content)
    refusal(tmp_path / "m.npz")


def test_a_lone_array_a_folder_and_nothing_are_refused(tmp_path):
    with (tmp_path / "m.npz").open("wb") as handle:
        np.save(handle, np.zeros(3))
    refusal(tmp_path / "m.npz")
    refusal(tmp_path)
    assert "No such file" in refusal(tmp_path / "absent.npz")


# Numbers


def test_sigmoid_is_scipys():
    logit = np.concatenate([np.linspace(-40, 40, 1001), [-1e308, -750.0, 0.0, 750.0, 1e308]])
    with np.errstate(all="raise", under="ignore"):
        got = models.sigmoid(logit)
    np.testing.assert_allclose(got, expit(logit), rtol=1e-14)
    assert got[-5] == 0
    assert got[-1] == 1
    np.testing.assert_allclose(got + models.sigmoid(-logit), 1, rtol=1e-15)


def stump(feature, threshold, low, high):
    return Tree(*map(np.array, ([feature, 0, 0], [threshold, 0, 0], [1, -1, -1], [2, -1, -1], [9, low, high])))


def test_a_stump_by_hand():
    learnt = models.join([stump(1, 0.5, 10, 20)])
    x = np.array([[9, 0.4], [9, 0.5], [9, np.nextafter(0.5, 1)], [-9, 0.6]])
    assert models.total(learnt, x).tolist() == [10, 10, 20, 20]


def test_trees_of_different_depths_by_hand():
    # The middle one is a lone leaf; the last asks twice.
    leaf = Tree(*map(np.array, ([-2], [-2.0], [-1], [-1], [0.25])))
    deep = Tree(
        *map(np.array, ([0, -2, 1, -2, -2], [0.0, 0, 0, 0, 0], [1, -1, 3, -1, -1], [2, -1, 4, -1, -1], [0, 1, 0, 2, 4]))
    )
    learnt = models.join([stump(0, 1, 100, 200), leaf, deep])
    assert learnt["roots"].tolist() == [0, 3, 4]
    x = np.array([[-1, -1], [0.5, -1], [0.5, 1], [2, 1]])
    assert models.total(learnt, x).tolist() == [101.25, 102.25, 104.25, 204.25]


@pytest.mark.parametrize("n", [0, 1, models.BLOCK - 1, models.BLOCK, models.BLOCK + 1, 3 * models.BLOCK])
def test_any_number_of_rows(n):
    x = np.random.default_rng(0).random((n, 2))
    got = models.total(models.join([stump(1, 0.5, 1, 2), stump(0, 0.25, 10, 20)]), x)
    assert got.tolist() == (np.where(x[:, 1] <= 0.5, 1, 2) + np.where(x[:, 0] <= 0.25, 10, 20)).tolist()


def test_trees_take_a_generator():
    assert models.join(stump(0, k, 0, 1) for k in range(3))["roots"].tolist() == [0, 3, 6]
