"""Arrays: what is written in blocks is what numpy reads, and what is no array is refused by its name."""

import errno
import io
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whence.base import arrays
from whence.base.arrays import read, write_blocks
from whence.base.errors import InputError


def blocks(counts, row, dtype):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (count, *row)).astype(dtype) for count in counts]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64, np.bool_])
@pytest.mark.parametrize("row", [(), (1,), (7,), (4, 4, 3)])
@pytest.mark.parametrize("counts", [[5], [3, 0, 4], [0], [1] * 10])
def test_blocks_make_the_round_trip(tmp_path, counts, row, dtype):
    given_blocks = blocks(counts, row, dtype)
    path = tmp_path / "new" / "array.npy"
    assert write_blocks(path, iter(given_blocks)) == (sum(counts), *row)
    expected = np.concatenate(given_blocks)
    plain = np.load(path)
    assert (plain.dtype, plain.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(plain, expected)
    assert [file.name for file in path.parent.iterdir()] == ["array.npy"]
    found = read(path)
    assert np.array_equal(found, expected)
    assert (found.dtype, found.flags.c_contiguous) == (expected.dtype, True)


def test_the_bytes_are_the_same_each_time_however_they_are_divided(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(6, 4)
    write_blocks(tmp_path / "one.npy", [array[:2], array[2:]])
    write_blocks(tmp_path / "two.npy", [array])
    assert (tmp_path / "one.npy").read_bytes() == (tmp_path / "two.npy").read_bytes()


def test_blocks_in_another_memory_order_are_written_row_by_row(tmp_path):
    array = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    write_blocks(tmp_path / "a.npy", [np.asfortranarray(array), array.transpose(0, 2, 1).copy().transpose(0, 2, 1)])
    assert np.array_equal(read(tmp_path / "a.npy"), np.concatenate([array, array]))


def test_what_is_read_is_mapped_and_cannot_be_changed(tmp_path):
    write_blocks(tmp_path / "a.npy", blocks([3], (2,), np.uint8))
    found = read(tmp_path / "a.npy")
    assert isinstance(found, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1


def test_a_written_array_may_be_read_by_others(tmp_path):
    write_blocks(tmp_path / "a.npy", blocks([3], (2,), np.uint8))
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.npy").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_no_block_is_refused_and_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.npy"
    with pytest.raises(InputError, match=r"a\.npy: there are no rows to write"):
        write_blocks(path, iter([]))
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"before")
    with pytest.raises(InputError):
        write_blocks(path, iter([]))
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.npy", b"before")]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), RuntimeError()]
)
def test_what_goes_wrong_in_the_middle_leaves_nothing(tmp_path, error):
    def broken():
        yield from blocks([1000], (32, 32, 3), np.uint8)
        raise error

    with pytest.raises(type(error)):
        write_blocks(tmp_path / "a.npy", broken())
    assert list(tmp_path.iterdir()) == []


def saved(array, **options):
    target = io.BytesIO()
    np.save(target, array, **options)
    return target.getvalue()


def zipped(array):
    target = io.BytesIO()
    np.savez(target, array)
    return target.getvalue()


WHOLE = saved(np.arange(100, dtype=np.float32))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text, not an array",
        b"\x93NUMPY",
        WHOLE[:60],
        WHOLE[:200],
        WHOLE[:-1],
        saved(np.array([{"a": 1}, None], object), allow_pickle=True),
        pickle.dumps([1, 2]),
        zipped(np.arange(3)),
        b"PK\x03\x04 a broken zip",
        WHOLE.replace(b"(100,)", b"((((("),
        WHOLE.replace(b"'shape': (100,), }", b"'''              "),
        WHOLE.replace(b"(100,)", b"(-10,)"),
        WHOLE.replace(b"<f4", b"<z4"),
        WHOLE.replace(b"<f4", b"0f4"),
        WHOLE.replace(b"(100,), }" + b" " * 30, b"(" + b"9" * 30 + b",), }    "),
    ],
)
def test_what_is_no_array_is_refused_by_name(tmp_path, content):
    path = tmp_path / "images.npy"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"images\.npy: not a readable \.npy array \(.+\); run dvc repro"):
        read(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "missing.npy", tmp_path):
        with pytest.raises(InputError, match=r"not a readable \.npy array"):
            read(path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 127), st.binary(min_size=1, max_size=20))
def test_a_damaged_header_is_refused_or_read_as_numpy_reads_it(tmp_path_factory, place, instead):
    path = tmp_path_factory.getbasetemp() / "damaged.npy"
    path.write_bytes(WHOLE[:place] + instead + WHOLE[place + len(instead) :])
    try:
        found = read(path)
    except InputError:
        return
    assert np.array_equal(found, np.load(path), equal_nan=found.dtype.kind == "f")


class TestStored:
    @pytest.fixture
    def array(self, tmp_path):
        array = np.random.default_rng(0).integers(0, 256, (50, 4, 3)).astype(np.uint8)
        arrays.write_blocks(tmp_path / "a.npy", [array])
        return array

    @given(st.lists(st.integers(0, 49), max_size=30), st.slices(30))
    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_it_reads_what_the_array_holds(self, array, tmp_path, rows, part):
        rows = np.array(rows, np.int64)
        stored = arrays.Stored(tmp_path / "a.npy", rows)
        assert (len(stored), stored.shape, stored.dtype, stored.ndim) == (len(rows), (len(rows), 4, 3), array.dtype, 3)
        assert np.array_equal(stored[part], array[rows][part])
        places = np.arange(len(rows))[::-1]
        assert np.array_equal(stored[places], array[rows][places])
        stored.expect(places)

    def test_a_part_of_it_is_stored_too(self, array, tmp_path):
        rows = np.array([3, 9, 4, 40])
        mask = np.array([True, False, True, True])
        assert np.array_equal(arrays.Stored(tmp_path / "a.npy", rows).only(mask)[:], array[[3, 4, 40]])

    def test_values_are_looked_up_in_a_part_of_it_too(self, array, tmp_path):
        table = np.random.default_rng(1).permutation(256).astype(np.uint8)
        stored = arrays.Stored(tmp_path / "a.npy", np.array([3, 9, 4]), table)
        assert np.array_equal(stored[:], table[array[[3, 9, 4]]])
        assert np.array_equal(stored.only(np.array([False, True, True]))[:], table[array[[9, 4]]])

    def test_without_rows_it_is_all_of_the_array(self, array, tmp_path):
        assert np.array_equal(arrays.Stored(tmp_path / "a.npy")[:], array)

    def test_features_too(self, tmp_path):
        array = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
        arrays.write_blocks(tmp_path / "a.npy", [array])
        assert np.array_equal(arrays.Stored(tmp_path / "a.npy", np.array([8, 1, 2]))[:], array[[8, 1, 2]])

    def test_a_file_that_has_grown_shorter_is_told(self, array, tmp_path):
        stored = arrays.Stored(tmp_path / "a.npy")
        with (tmp_path / "a.npy").open("r+b") as handle:
            handle.truncate(128 + 20 * 12)
        assert np.array_equal(stored[:20], array[:20])
        with pytest.raises(InputError, match=r"a\.npy: ends before row 29; run dvc repro"):
            stored[10:30]
