"""Tables: bytes, round trips, and refusals that name the file."""

import numpy as np
import pytest

from whence.base.errors import InputError
from whence.table.tables import read_csv, write_csv


def test_bytes(tmp_path):
    target = tmp_path / "new" / "curve.csv"
    write_csv(target, {"x": np.array([0.0, 0.1, 1e-6]), "count": np.array([1, 2, 3])})
    assert target.read_bytes() == b"x,count\n0.0,1\n0.1,2\n1e-06,3\n"


def test_round_trip(tmp_path):
    names = np.array(["0 (2).jpg", 'a,"b"\n', "ü", ""])
    write_csv(tmp_path / "t.csv", {"name": names, "score": np.array([0.1, 1 / 3, 1e-300, 1.0])})
    table = read_csv(tmp_path / "t.csv")
    assert table["name"].tolist() == names.tolist()
    assert table["score"].astype(float).tolist() == [0.1, 1 / 3, 1e-300, 1.0]


def test_uneven_columns_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match="zip"):
        write_csv(tmp_path / "x.csv", {"a": np.zeros(2), "b": np.zeros(3)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"a,b\n1\n", b"a,b\n1,2,3\n", b"\xff\xfe,b\n", None])
def test_what_is_no_table_is_refused_by_name(tmp_path, content):
    path = tmp_path / "labels.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"labels\.csv: not a readable table.*dvc repro"):
        read_csv(path)


def test_a_header_alone_is_an_empty_table(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n")
    assert {name: len(column) for name, column in read_csv(tmp_path / "t.csv").items()} == {"a": 0, "b": 0}
