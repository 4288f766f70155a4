"""Rows: what belongs together is checked, and the clean test rows are those that no training image repeats."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence.base.errors import InputError
from whence.table import rows, tables
from whence.table.rows import Labels

HERE = Path("data/x/images.npy")
SPLITS = ("train", "valid", "test", "unused")


def images(n=40, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 4, 4, 3), np.uint8)


def table(array):
    n = len(array)
    digests = np.array([rows.digest(image) for image in array])
    text = {name: np.full(n, "x") for name in Labels._fields}
    paths = np.array([f"train/{k}.png" for k in range(n)])
    return Labels(**text | {"path": paths, "digest": digests, "group": np.arange(n)})


def labels(*lines):
    """Labels from lines of (split, official split, group)."""
    split, official, group = zip(*lines, strict=True)
    text = {name: np.full(len(lines), "x") for name in Labels._fields}
    columns = {"split": np.array(split), "official_split": np.array(official), "group": np.array(group, np.int64)}
    return Labels(**text | columns)


def write(path, **changes):
    columns = {name: np.array(["0", "1"]) for name in Labels._fields} | changes
    tables.write_csv(path, {name: column for name, column in columns.items() if column is not None})
    return path


# Reading


def test_labels_make_the_round_trip(tmp_path):
    written = table(images(5))
    tables.write_csv(tmp_path / "labels.csv", written._asdict())
    read = rows.read(tmp_path / "labels.csv")
    assert read.group.dtype == np.int64
    for name in Labels._fields:
        assert getattr(read, name).tolist() == getattr(written, name).tolist()


def test_a_missing_an_extra_and_a_moved_column_are_refused(tmp_path):
    path = tmp_path / "labels.csv"
    write(path, domain=None)
    with pytest.raises(InputError, match=r"labels\.csv: has the columns path, split.*; expected path, split.*domain"):
        rows.read(path)
    write(path, extra=np.array(["0", "1"]))
    with pytest.raises(InputError, match=r"labels\.csv: has the columns .*digest, extra; expected .*digest$"):
        rows.read(path)
    tables.write_csv(path, {name: np.array(["0"]) for name in reversed(Labels._fields)})
    with pytest.raises(InputError, match=r"labels\.csv: has the columns digest, group.*; expected path, split"):
        rows.read(path)


@pytest.mark.parametrize("group", ["1.5", "", "x", "1e3", "nan"])
def test_a_group_that_is_no_row_number_is_refused(tmp_path, group):
    path = write(tmp_path / "labels.csv", group=np.array(["0", group]))
    with pytest.raises(InputError, match=r"labels\.csv: column group holds what is no row number"):
        rows.read(path)


def test_a_file_that_is_no_table_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"labels\.csv: not a readable table"):
        rows.read(tmp_path / "labels.csv")


# Alignment


def test_what_belongs_together_is_accepted():
    array = images()
    rows.check_aligned(table(array), array, HERE)
    rows.check_aligned(table(array), np.zeros((40, 7), np.float32), HERE)
    rows.check_aligned(table(array[:1]), array[:1], HERE)


@pytest.mark.parametrize("n", [0, 39, 41])
@pytest.mark.parametrize("array", [images(50), np.zeros((50, 7), np.float32)])
def test_another_number_of_rows_is_refused(n, array):
    with pytest.raises(InputError, match=rf"images\.npy: has {n} rows, the labels 40; run dvc repro"):
        rows.check_aligned(table(images()), array[:n], HERE)


@pytest.mark.parametrize("n", [2, 16, 17, 40, 1000])
def test_images_in_another_order_are_refused(n):
    array = images(n)
    for changed in (array[::-1], np.roll(array, 1, axis=0)):
        with pytest.raises(InputError, match=r"images\.npy: row \d+ is not train/\d+\.png; run dvc repro"):
            rows.check_aligned(table(array), changed, HERE)


def test_two_probed_rows_exchanged_are_refused():
    array = images(160)
    probed = np.linspace(0, 159, 16).astype(int)
    for one, two in ((0, 15), (3, 4)):
        changed = array.copy()
        changed[probed[[one, two]]] = changed[probed[[two, one]]]
        with pytest.raises(InputError, match=f"row {probed[one]} is not train/{probed[one]}.png"):
            rows.check_aligned(table(array), changed, HERE)


def test_one_pixel_by_one_level_is_refused():
    array = images()
    changed = array.copy()
    changed[-1, 0, 0, 0] ^= 1
    with pytest.raises(InputError, match=r"row 39 is not train/39\.png"):
        rows.check_aligned(table(array), changed, HERE)


def test_the_digest_is_half_a_sha256_of_the_pixels():
    image = images(1)[0]
    assert rows.digest(image) == hashlib.sha256(image.tobytes()).hexdigest()[:32]
    assert rows.digest(image[:, ::-1]) == hashlib.sha256(image[:, ::-1].tobytes()).hexdigest()[:32]


# Taking


def test_take_keeps_order_and_shape():
    array, target = images(4), np.array(["b", "a", "b", "c"])
    x, y = rows.take(array, target, np.array([True, False, False, True]))
    assert x.tolist() == array[[0, 3]].tolist()
    assert (x.dtype, x.shape) == (np.uint8, (2, 4, 4, 3))
    assert y.tolist() == ["b", "c"]


def test_take_reads_features_from_the_disk(tmp_path):
    np.save(tmp_path / "f.npy", np.arange(8, dtype=np.float32).reshape(4, 2))
    mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
    x, y = rows.take(mapped, np.array([True, False] * 2), np.array([True, True, False, False]))
    assert x.tolist() == [[0, 1], [2, 3]]
    assert x.dtype == np.float32
    assert not isinstance(x, np.memmap)
    assert y.tolist() == [True, False]


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ([True, False, True], "2 rows to learn from, all of class 'cat'; expected two classes"),
        ([False, True, False], "1 rows to learn from, all of class 'dog'; expected two classes"),
        ([False] * 3, "0 rows to learn from; expected two classes"),
    ],
)
def test_take_refuses_rows_of_one_class(chosen, found):
    with pytest.raises(InputError, match=f"^a split has {found} at least: raise valid_share, the cap, or the share"):
        rows.take(np.zeros((3, 2)), np.array(["cat", "dog", "cat"]), np.array(chosen))


# The clean test rows


def test_clean_by_hand():
    got = rows.clean(
        labels(
            ("train", "train", 0),
            ("valid", "train", 1),
            ("unused", "train", 2),
            ("valid", "valid", 3),
            ("unused", "valid", 0),
            ("test", "test", 0),  # a copy of a train row
            ("test", "test", 1),  # of one that was carved out of train
            ("test", "test", 2),  # of one that was capped
            ("test", "test", 3),  # of an official valid row
            ("test", "test", 9),  # of no other
            ("test", "test", 10),  # two copies within test stay
            ("test", "test", 10),
            ("unused", "test", 12),  # capped
        )
    )
    assert np.flatnonzero(got).tolist() == [9, 10, 11]


@given(st.lists(st.tuples(st.sampled_from(SPLITS), st.sampled_from(SPLITS[:3]), st.integers(0, 5)), min_size=1))
def test_clean_is_what_it_says(lines):
    known = {group for _, official, group in lines if official != "test"}
    expected = [split == "test" and group not in known for split, _, group in lines]
    assert rows.clean(labels(*lines)).tolist() == expected
