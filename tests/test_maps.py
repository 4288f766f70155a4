"""The stages that map features: which rows, whose answers, what a network gives its last layer."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from threadpoolctl import threadpool_limits

from stages import compare_maps, tsne
from whence.base.errors import InputError
from whence.table import rows, tables

COUNT = 90
SETTINGS = {"rows": 20, "perplexity": 5.0, "components": 4, "neighbours": 3, "seed": 0}
TASK = {"dataset": "cinic10", "question": "?", "label": "domain", "negative": "cifar", "positive": "imagenet"}
MAP = {"task": "origin", "dataset": "cinic10", "features": "spectrum", "run": "origin-small"}
WEIGHTS = {"spectrum": {"source": "random"}, "other": {"source": "local"}}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with labels, features that tell the domains apart, and the scores of a run that errs once."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    code = np.arange(COUNT) % 2
    split = np.array(["train", "valid", "test"]).repeat(30)
    domain = np.array(["cifar", "imagenet"])[code]
    names = np.array([f"{k}.png" for k in range(COUNT)])
    table = [
        names,
        split,
        split,
        np.array(["cat", "dog", "ship"])[np.arange(COUNT) % 3],
        domain,
        np.arange(COUNT),
        names,
    ]
    tables.write_csv(tmp_path / "labels", dict(zip(rows.Labels._fields, table, strict=True)))
    np.save(tmp_path / "features.npy", (rng.normal(size=(COUNT, 6)) + 8 * code[:, None]).astype(np.float32))
    opened = np.arange(30, COUNT)
    score = np.where(code == 1, 0.9, 0.1)[opened]
    score[0] = 1 - score[0]
    columns = {"row": opened, "actual": domain[opened], "score_0": score, "score_1": score}
    tables.write_csv(tmp_path / "scores", columns)
    write(tmp_path)
    with threadpool_limits(1):
        yield tmp_path


def write(folder, **changes):
    content = {
        "tsne": SETTINGS | changes,
        "tasks": {"origin": TASK},
        "maps": {"one": MAP, "two": MAP | {"features": "x"}},
        "class_maps": {},
        "objects": {"zoo": {"dataset": "zoo", "label": "category", "domains": {"cifar": 1.0}, "seed": 0}},
    }
    content |= {"source": "sample", "weights": WEIGHTS}
    (folder / "params.yaml").write_text(yaml.safe_dump(content))


def test_of_categories_a_run_is_right_where_most_of_its_seeds_are(here):
    category = pd.read_csv(here / "labels")["category"]
    said = pd.DataFrame({"row": np.arange(30, COUNT), "actual": category[30:]})
    for k in range(3):
        said[f"predicted_{k}"] = said["actual"].to_numpy()
    said.loc[said.index[:2], "predicted_0"] = "none"
    said.loc[said.index[:1], "predicted_1"] = "none"
    said.to_csv(here / "scores", index=False)
    tsne.main("objects.zoo", *(here / name for name in ("labels", "features.npy", "scores", "points", "figures")))
    right = pd.read_csv(here / "points", keep_default_na=False).set_index("row")["right"]
    assert right.loc[30:32].tolist() == ["no", "yes", "yes"]
    assert (right.loc[:29] == "").all()


def mapped(folder):
    tsne.main("tasks.origin", *(folder / name for name in ("labels", "features.npy", "scores", "points", "figures")))
    return pd.read_csv(folder / "points", keep_default_na=False), json.loads((folder / "figures").read_text())


class TestTsne:
    def test_rows_of_every_split_with_their_own_labels(self, here):
        points, figures = mapped(here)
        assert points["split"].value_counts().to_dict() == {"train": 20, "valid": 20, "test": 20}
        assert points["row"].is_monotonic_increasing
        labels = rows.read(here / "labels")
        for name in ("split", "domain", "category"):
            assert points[name].tolist() == getattr(labels, name)[points["row"]].tolist()
        assert figures["all"]["n"] == 60
        assert list(points)[-5:] == ["x2", "y2", "x3", "y3", "z3"]

    def test_right_and_wrong_are_those_of_the_run_and_nothing_where_it_was_not_asked(self, here):
        points, _ = mapped(here)
        wanted = {row: "no" if row == 30 else "yes" for row in range(30, COUNT)}
        assert points["right"].tolist() == [wanted.get(row, "") for row in points["row"]]
        write(here, rows=30)
        points, _ = mapped(here)
        assert (points["right"] == "no").sum() == 1

    def test_what_the_features_tell_apart_is_pure_in_space_and_map(self, here):
        _, figures = mapped(here)
        for space in ("space", "map_2d", "map_3d"):
            assert figures[space]["domain_knn"] > 0.95
            assert figures[space]["category_knn"] < 0.7
        assert figures["map_2d"]["trustworthiness"] > 0.7
        assert "trustworthiness" not in figures["space"]

    def test_the_same_bytes_twice(self, here):
        mapped(here)
        before = (here / "points").read_bytes(), (here / "figures").read_bytes()
        mapped(here)
        assert before == ((here / "points").read_bytes(), (here / "figures").read_bytes())

    def test_too_few_rows_are_refused(self, here):
        write(here, perplexity=30.0)
        with pytest.raises(
            InputError, match=r"^params.yaml: tsne: 60 rows for a perplexity of 30 .* are too few; make"
        ):
            mapped(here)
        assert not (here / "points").exists()


def test_the_maps_side_by_side(here):
    for folder in ("points_", "figures_"):
        (here / folder).mkdir()
    for key in ("one", "two"):
        files = (here / "points_" / f"{key}.csv", here / "figures_" / f"{key}.json")
        tsne.main("tasks.origin", here / "labels", here / "features.npy", here / "scores", *files)
    compare_maps.main(here / "points_", here / "figures_", here / "summary", here / "panel.png", here / "pictures")
    assert pd.read_csv(here / "summary")["map"].tolist() == ["one (random weights)", "two"]
    assert sorted(path.name for path in (here / "pictures").iterdir()) == [
        *("one-2d.png", "one-3d.png", "two-2d.png", "two-3d.png")
    ]
    assert (here / "panel.png").read_bytes().startswith(b"\x89PNG")
