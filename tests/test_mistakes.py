"""The stages that look at the test rows which a run gets wrong: which rows, what is said of them, in which spaces."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from threadpoolctl import threadpool_limits

from stages import compare_mistakes, mistakes
from whence.base.errors import InputError
from whence.table import rows, tables

TASK = {"dataset": "cinic10", "question": "?", "label": "domain", "negative": "cifar", "positive": "imagenet"}
MISTAKE = {"task": "origin", "dataset": "cinic10", "run": "origin-small", "features": "x"}
WEIGHTS = {"spectrum": {"source": "random"}, "other": {"source": "local"}}
SPLIT = np.array(["train"] * 4 + ["valid"] + ["test"] * 4)
# On the line cifar learns from 0 and 2, imagenet from 10 and 14: the centroids are 1 and 12, the unit is √2.5.
DOMAIN = np.array(["cifar", "cifar", "imagenet", "imagenet", "cifar", "cifar", "imagenet", "cifar", "imagenet"])
X = np.array([[0], [2], [10], [14], [999], [9], [13], [1], [3]], np.float32)
SCORE = np.array([0.9, 0.9, 0.1, 0.25])
"""Of the test rows: wrong about the first, cifar at 9, and the last, imagenet at 3."""
UNIT = np.sqrt(2.5)


ZOO = {"dataset": "zoo", "label": "category", "domains": {"all": 1.0}, "seed": 0}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with labels, features on a line, and the scores of a run that errs twice."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path, SPLIT, DOMAIN, X)
    save_scores(tmp_path, SPLIT, DOMAIN, SCORE)
    write(tmp_path)
    with threadpool_limits(1):
        yield tmp_path


def save(folder, split, domain, x):
    names = np.array([f"{k}.png" for k in range(len(split))])
    category = np.array(["cat", "dog", "ship"])[np.arange(len(split)) % 3]
    table = [names, split, split, category, domain, np.arange(len(split)), names]
    tables.write_csv(folder / "labels", dict(zip(rows.Labels._fields, table, strict=True)))
    np.save(folder / "x.npy", x)


def save_scores(folder, split, domain, score):
    """Two members, whose mean is the score of the test rows; those of valid are all wrong."""
    opened = np.flatnonzero(split != "train")
    all_scores = np.where(domain == "imagenet", 0.0, 0.9)
    all_scores[split == "test"] = score
    columns = {"row": opened, "path": np.array([f"{k}.png" for k in opened]), "split": split[opened]}
    columns |= {"clean": split[opened] == "test", "actual": domain[opened]}
    columns |= {f"score_{k}": all_scores[opened] + off for k, off in enumerate((-0.01, 0.01))}
    tables.write_csv(folder / "scores", columns)


def write(folder, **changes):
    content = {"distances": {"neighbours": 2, "right_rows": 100} | changes, "tasks": {"origin": TASK}}
    content |= {"class_mistakes": {}, "objects": {"zoo": ZOO}}
    content["mistakes"] = {
        "one": MISTAKE,
        "two": MISTAKE | {"features": "spectrum"},
        "three": MISTAKE | {"run": "origin-mlp"},
    }
    (folder / "params.yaml").write_text(
        yaml.safe_dump(content | {"source": "sample", "weights": WEIGHTS}, sort_keys=False)
    )


def looked_at(folder, distances="distances", figures="figures"):
    names = ("labels", "x.npy", "scores", distances, figures)
    mistakes.main("tasks.origin", *(folder / name for name in names))
    return pd.read_csv(folder / distances, keep_default_na=False), json.loads((folder / figures).read_text())


class TestMistakes:
    def test_a_line_by_hand(self, here):
        table, figures = looked_at(here)
        assert table[["row", "path", "category", "true", "predicted", "score"]].to_numpy().tolist() == [
            [5, "5.png", "ship", "cifar", "imagenet", 0.9],
            [8, "8.png", "ship", "imagenet", "cifar", 0.25],
        ]
        wanted = {
            "to_true": [8, 9],
            "to_predicted": [3, 2],
            "nearest": [(1 + 5) / 2, (1 + 3) / 2],
            "nearest_true": [(7 + 9) / 2, (7 + 11) / 2],
            "nearest_predicted": [(1 + 5) / 2, (1 + 3) / 2],
        }
        assert list(table)[6:] == [*wanted, "agree"]
        for name, lengths in wanted.items():
            np.testing.assert_allclose(table[name], np.array(lengths) / UNIT, atol=1e-6)
        assert table["agree"].tolist() == [0, 0]
        assert figures["all"] == {"n": 4, "wrong": 2, "scale": pytest.approx(UNIT, abs=1e-6)}
        assert figures["wrong"]["n"] == figures["right"]["n"] == 2
        assert (figures["wrong"]["nearer_other"], figures["right"]["nearer_other"]) == (1, 0)
        assert (figures["wrong"]["agree_mean"], figures["right"]["agree_mean"]) == (0, 1)
        assert figures["wrong"]["to_true_mean"] == pytest.approx(8.5 / UNIT, abs=1e-6)
        assert figures["wrong"]["to_other_median"] == pytest.approx(2.5 / UNIT, abs=1e-6)
        assert figures["wrong"]["log2_ratio_q50"] == pytest.approx(np.log2([8 / 3, 9 / 2]).mean(), abs=1e-6)
        # Right are 13, at 1 of 12 and 12 of 1, and 1 itself, which counts as a millionth of the unit away.
        assert figures["right"]["to_true_mean"] == pytest.approx(0.5 / UNIT, abs=1e-6)
        assert figures["right"]["log2_ratio_q95"] < np.log2(1 / 12) < -3

    def test_of_three_categories_a_line_by_hand(self, here):
        """Centroids at 1, 11 and 101; what the two members disagree about is the first of their answers."""
        split = np.array(["train"] * 6 + ["test"] * 3)
        category = np.array(["cat", "cat", "cow", "cow", "dog", "dog", "cat", "dog", "cow"])
        save(
            here,
            split,
            np.array(["all"] * 9),
            np.array([[0], [2], [10], [12], [100], [102], [3], [90], [7]], np.float32),
        )
        labels = pd.read_csv(here / "labels")
        labels["category"] = category
        labels.to_csv(here / "labels", index=False)
        said = pd.DataFrame({"row": [6, 7, 8], "split": "test", "actual": category[6:]})
        said["predicted_0"], said["predicted_1"] = ["cow", "dog", "dog"], ["dog", "dog", "cow"]
        said["confidence_0"], said["confidence_1"] = [0.5, 0.9, 0.6], [0.7, 0.7, 0.6]
        said.to_csv(here / "scores", index=False)
        mistakes.main("objects.zoo", *(here / name for name in ("labels", "x.npy", "scores", "d", "f")))
        table, figures = pd.read_csv(here / "d"), json.loads((here / "f").read_text())
        assert table[["row", "true", "predicted", "score"]].to_numpy().tolist() == [[6, "cat", "cow", 0.6]]
        assert table[["to_true", "to_predicted"]].to_numpy().tolist() == [[2, 8]]  # the unit is 1
        assert (figures["all"]["n"], figures["all"]["wrong"], figures["right"]["n"]) == (3, 1, 2)
        # Right ones are held against the nearest other centroid: 90 of dog against cow, 7 of cow against cat.
        assert figures["right"]["to_true_mean"] == (11 + 4) / 2
        assert figures["right"]["to_other_mean"] == (79 + 6) / 2

    def test_neither_valid_nor_test_rows_move_the_centroids(self, here):
        before = looked_at(here)
        x = X.copy()
        x[4] = -5e5
        np.save(here / "x.npy", x)
        pd.testing.assert_frame_equal(looked_at(here)[0], before[0])

    def test_the_unit_of_the_features_does_not_matter(self, here):
        before, figures = looked_at(here)
        np.save(here / "x.npy", (64 * X + 1024).reshape(-1, 1, 1, 1))
        after, others = looked_at(here)
        pd.testing.assert_frame_equal(after, before)
        assert others["all"].pop("scale") == pytest.approx(64 * figures["all"].pop("scale"), rel=1e-6)
        assert others == figures

    def test_no_wrong_rows_leave_headers_and_no_figures_of_them(self, here):
        headers = list(looked_at(here)[0])
        save_scores(here, SPLIT, DOMAIN, np.where(DOMAIN[5:] == "imagenet", 0.9, 0.1))
        table, figures = looked_at(here)
        assert table.empty
        assert list(table) == headers
        assert figures["wrong"] == {"n": 0}
        assert figures["right"]["n"] == 4

    def test_nothing_but_wrong_rows(self, here):
        save_scores(here, SPLIT, DOMAIN, np.where(DOMAIN[5:] == "imagenet", 0.1, 0.9))
        table, figures = looked_at(here)
        assert table["row"].tolist() == [5, 6, 7, 8]
        assert figures["right"] == {"n": 0}

    def test_one_test_row(self, here):
        split = np.where(np.arange(9) < 8, SPLIT, "unused")
        split[5:8] = ["unused", "unused", "test"]
        save(here, split, DOMAIN, X)
        save_scores(here, split, DOMAIN, np.array([0.9]))
        table, figures = looked_at(here)
        assert table["row"].tolist() == [7]
        assert figures["all"]["n"] == figures["wrong"]["n"] == 1
        assert figures["wrong"]["to_true_mean"] == 0

    def test_a_space_in_which_all_rows_are_alike_says_nothing(self, here):
        np.save(here / "x.npy", np.ones((9, 5), np.float32))
        table, figures = looked_at(here)
        assert (table[["to_true", "to_predicted", "nearest"]] == 0).all(axis=None)
        assert figures["wrong"]["nearer_other"] == figures["wrong"]["log2_ratio_q50"] == 0

    def test_right_rows_are_as_many_as_the_section_says_from_end_to_end(self, here):
        write(here, right_rows=1)
        _, figures = looked_at(here)
        assert figures["right"]["n"] == 1
        assert figures["wrong"]["n"] == 2
        assert rows.spaced(np.arange(10), 4).tolist() == [0, 3, 6, 9]
        assert rows.spaced(np.arange(3), 4).tolist() == [0, 1, 2]
        assert rows.spaced(np.arange(0), 4).tolist() == []

    def test_the_same_bytes_twice(self, here):
        looked_at(here)
        before = (here / "distances").read_bytes(), (here / "figures").read_bytes()
        looked_at(here)
        assert before == ((here / "distances").read_bytes(), (here / "figures").read_bytes())


class TestWhatIsRefused:
    def test_features_of_other_rows(self, here):
        np.save(here / "x.npy", X[1:])
        with pytest.raises(InputError, match=r"x\.npy: has 8 rows, the labels 9"):
            looked_at(here)
        assert not (here / "distances").exists()

    @pytest.mark.parametrize("row", [0, 5])
    def test_features_that_are_no_finite_numbers(self, here, row):
        x = X.copy()
        x[row] = np.nan
        np.save(here / "x.npy", x)
        with pytest.raises(InputError, match=r"x\.npy: holds what is no finite number"):
            looked_at(here)

    def test_scores_of_other_rows(self, here):
        split = SPLIT.copy()
        split[4:6] = ["test", "valid"]
        save_scores(here, split, DOMAIN, SCORE)
        with pytest.raises(InputError, match=r"scores: its test rows are not the 4 of the labels; run dvc repro"):
            looked_at(here)

    def test_scores_on_another_truth(self, here):
        save_scores(here, SPLIT, np.where(DOMAIN == "cifar", "imagenet", "cifar"), SCORE)
        with pytest.raises(InputError, match="scores: its test rows are not the 4 of the labels"):
            looked_at(here)

    def test_fewer_scores_than_test_rows(self, here):
        lines = (here / "scores").read_text().splitlines(keepends=True)
        (here / "scores").write_text("".join(lines[:-1]))
        with pytest.raises(InputError, match="scores: its test rows are not the 4 of the labels"):
            looked_at(here)

    @pytest.mark.parametrize(("old", "new"), [("path", "way"), ("0.91", "much")])
    def test_what_is_no_table_of_scores(self, here, old, new):
        (here / "scores").write_text((here / "scores").read_text().replace(old, new))
        with pytest.raises(InputError, match="scores: not the scores of a run"):
            looked_at(here)

    def test_more_neighbours_than_train_rows_of_a_class(self, here):
        write(here, neighbours=3)
        with pytest.raises(InputError, match=r"^params.yaml: distances: 2 train rows of 'cifar' are too few for 3 nei"):
            looked_at(here)


class TestSideBySide:
    def compared(self, here, other=X):
        for folder in ("d", "f"):
            (here / folder).mkdir(exist_ok=True)
        for key in ("one", "two", "three"):
            np.save(here / "x.npy", other if key == "two" else X)
            looked_at(here, f"d/{key}.csv", f"f/{key}.json")
        return self.drawn(here)

    def drawn(self, here):
        compare_mistakes.main(here / "d", here / "f", here / "summary", here / "table", here / "picture.png")
        assert (here / "picture.png").read_bytes().startswith(b"\x89PNG")
        return pd.read_csv(here / "summary"), pd.read_csv(here / "table", keep_default_na=False)

    def test_a_line_per_entry_and_the_same_rows_in_every_space(self, here):
        other = X.copy()
        other[5] = 2  # The first wrong row is with its own class here.
        summary, table = self.compared(here, other)
        assert summary[["run", "space"]].to_numpy().tolist() == [
            ["origin-small", "x"],
            ["origin-small", "spectrum (random weights)"],
            ["origin-mlp", "x"],
        ]
        assert summary["wrong_nearer_other"].tolist() == [1, 0.5, 1]
        assert table[["run", "row"]].to_numpy().tolist() == [
            *(["origin-small", 5], ["origin-small", 8], ["origin-mlp", 5], ["origin-mlp", 8])
        ]
        assert table["nearer_predicted"].tolist() == [0.5, 1, 1, 1]
        np.testing.assert_allclose(table["x_to_true"], np.array([8, 9, 8, 9]) / UNIT, atol=1e-6)
        np.testing.assert_allclose(
            table["spectrum (random weights)_to_true"][:2].astype(float), np.array([1, 9]) / UNIT, atol=1e-6
        )
        assert table["spectrum (random weights)_to_true"][2:].tolist() == ["", ""]

    def test_files_that_are_not_listed_are_not_read(self, here):
        before = self.compared(here)
        (here / "d" / "old.csv").write_text("nonsense")
        (here / "f" / "old.json").write_text("nonsense")
        for found, wanted in zip(self.drawn(here), before, strict=True):
            pd.testing.assert_frame_equal(found, wanted)

    @pytest.mark.parametrize("wrong", [False, True], ids=["all right", "all wrong"])
    def test_runs_that_are_always_right_or_always_wrong(self, here, wrong):
        save_scores(here, SPLIT, DOMAIN, np.where((DOMAIN[5:] == "imagenet") != wrong, 0.9, 0.1))
        summary, table = self.compared(here)
        assert len(summary) == 3
        assert len(table) == 2 * 4 * wrong
        assert list(table)[:5] == ["task", "run", "row", "path", "category"]

    def test_a_run_that_is_always_right_beside_one_that_errs(self, here):
        self.compared(here)
        save_scores(here, SPLIT, DOMAIN, np.where(DOMAIN[5:] == "imagenet", 0.9, 0.1))
        looked_at(here, "d/three.csv", "f/three.json")
        _, table = self.drawn(here)
        assert table["run"].tolist() == ["origin-small"] * 2
        assert table["row"].tolist() == [5, 8]

    def test_spaces_that_saw_other_rows_are_refused(self, here):
        self.compared(here)
        save_scores(here, SPLIT, DOMAIN, SCORE[::-1])
        looked_at(here, "d/two.csv", "f/two.json")
        with pytest.raises(
            InputError, match=r"origin origin-small: other rows are wrong in spectrum .* than elsewhere"
        ):
            self.drawn(here)

    def test_the_same_bytes_twice(self, here):
        self.compared(here)
        before = (here / "picture.png").read_bytes(), (here / "table").read_bytes()
        self.compared(here)
        assert before == ((here / "picture.png").read_bytes(), (here / "table").read_bytes())
