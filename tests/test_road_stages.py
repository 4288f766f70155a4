"""The stages of the road scenes on a few drawn frames, one after the other, without DVC."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from repositories import ROOT

from stages import fetch
from stages.roads import adopt, apart, compare, evaluate, look, pack, split, train
from whence.base import arrays
from whence.base.errors import InputError
from whence.estimators.network import backbones
from whence.roads import data, deeplab, runs
from whence.roads.segmenter import Segmenter
from whence.table import tables

PARAMS = Path("params.yaml")
SETS = ("idd", "cityscapes")
FILES = ("{dataset}-frames.csv", "{dataset}-images.npy", "{dataset}-masks.npy")
LEFT = (
    "{dataset}-classes.csv",
    "{dataset}-cells.csv",
    "{dataset}-ids.csv",
    "{dataset}-each.csv",
    "{dataset}-counts.npy",
)
SAMPLE = {"train": 3, "val": 1, "frames": 2, "width": 96, "height": 64}


def small(content):
    """Change the sections of roads/params.yaml: the whole of IDD by its own classes, and Cityscapes, both tiny."""
    content["fetch"] = {name: {"archive": "nothing", "sample": SAMPLE | {"seed": k}} for k, name in enumerate(SETS)}
    content["datasets"] = list(SETS)
    content["pack"] = {"idd": {"height": 48, "width": 80}, "cityscapes": {"height": None, "width": None}}
    content["split"] = dict.fromkeys(SETS, content["split"]["idd_lite"])
    quick = content["train"]["quick"] | {"epochs": 1, "decoder": 8, "height": 32}
    content["train"] = {"quick": quick | {"augment": quick["augment"] | {"crop_height": 32, "crop_width": 48}}}
    own = {"train_on": "idd", "classes": "own", "settings": "quick"}
    content["runs"] = {
        "idd-quick": own | {"weights": "mobilenet_v2"},
        "cityscapes-quick": own | {"train_on": "cityscapes", "classes": "seven", "weights": "mobilenet_v2"},
    }
    content["checkpoints"] = {"mine": own | {"file": "mine.pth", "mean": [9.0, 8.0, 7.0], "std": [60.0, 61.0, 62.0]}}
    content["evaluate"]["metrics"]["resamples"] = 10
    content["apart"] |= {"side": 32, "most": 6, "folds": 2} | {"network": content["apart"]["network"] | {"epochs": 1}}
    return content


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder in which all stages have run."""
    folder = tmp_path_factory.mktemp("roads")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WHENCE_DEVICE", "cpu")
        params = small(yaml.safe_load((ROOT / "roads/params.yaml").read_text()))
        PARAMS.write_text(yaml.safe_dump(params, sort_keys=False))
        for dataset in SETS:
            names = [Path(name.format(dataset=dataset)) for name in (*FILES, "{dataset}-index.csv", "{dataset}.tar")]
            frames, images, masks, index, archive = names
            fetch.main(dataset, Path("nothing"), archive, PARAMS)
            pack.main(PARAMS, dataset, archive, images, masks, index)
            split.main(PARAMS, dataset, index, frames)
            pictures = (Path(f"{dataset}-bars.png"), Path(f"{dataset}-shown.png"))
            look.main(PARAMS, dataset, frames, images, masks, Path(f"{dataset}-look.csv"), *pictures)
        backbones.write(Path("start"), "mobilenet_v2", backbones.drawn("mobilenet_v2", 0), backbones.NOTHING)
        for key, about in params["runs"].items():
            where = [Path(name.format(dataset=about["train_on"])) for name in FILES]
            made = [Path(key, name) for name in ("weights", "card", "training.csv")]
            train.main(PARAMS, about["train_on"], about["classes"], "quick", *where, *made, Path("start"))
        theirs = deeplab.build((64, 64, 3), len(data.kinds("idd", "own").names), wanted()).net
        torch.save(theirs.state_dict(), "mine.pth")
        adopt.main(PARAMS, "mine", Path("mine.pth"), Path("mine/weights"), Path("mine/card"))
        for key, about in runs.all_of(PARAMS).items():
            ask(key, about.train_on, about.classes)
        apart.main(PARAMS, *FILES, Path("apart.json"), Path("apart.csv"))
        put_together(PARAMS, Path("apart.csv"), Path())
        yield folder
    torch.set_num_threads(threads)


def put_together(params, clues, where):
    joined = [f"{{run}}/{name}" for name in ("full.json", *LEFT[:2], *LEFT[3:], "{dataset}-worst.npz", "training.csv")]
    out, runs_ = [where / name for name in ("board.csv", "drops.csv")], f"{where}/{{run}}"
    more = [where / name for name in ("learning.png", "classes.png", "drops.png", "apart.png")]
    compare.main(params, *joined, clues, *out, f"{runs_}.png", f"{runs_}-{{dataset}}.png", *more)


def wanted():
    return deeplab.Settings(**yaml.safe_load(PARAMS.read_text())["train"]["quick"])


def ask(key, train_on, classes):
    left = [f"{key}/{name}" for name in (*LEFT, "{dataset}-worst.npz")]
    short, full = Path(key, "short.json"), Path(key, "full.json")
    evaluate.main(PARAMS, train_on, classes, Path(key, "weights"), Path(key, "card"), *FILES, short, full, *left)


def test_frames_are_brought_to_the_size_that_is_asked_for(done):
    assert arrays.read(Path("idd-images.npy")).shape == (8, 48, 80, 3)
    assert arrays.read(Path("cityscapes-masks.npy")).shape == (8, 64, 96)


def test_each_dataset_is_judged_by_what_it_shares_with_the_run(done):
    for key, dataset, names in (
        ("idd-quick", "idd", data.kinds("idd", "own").names),
        ("idd-quick", "cityscapes", data.kinds("cityscapes", "seven").names),
        ("cityscapes-quick", "idd", data.kinds("idd", "seven").names),
    ):
        table = pd.read_csv(f"{key}/{dataset}-classes.csv", keep_default_na=False)
        assert table["class"].tolist() == list(names)
        matrix = pd.read_csv(f"{key}/{dataset}-cells.csv")["count"].to_numpy().reshape(len(names), -1)
        assert matrix.sum(axis=1).tolist() == table["pixels"].astype(int).tolist()
        assert np.array_equal(arrays.read(Path(f"{key}/{dataset}-counts.npy")).sum(axis=0), matrix)


def test_every_id_of_the_table_is_counted_and_those_that_are_ignored_count_for_nothing_else(done):
    ids = pd.read_csv("idd-quick/cityscapes-ids.csv")
    masks = np.asarray(arrays.read(Path("cityscapes-masks.npy")))[
        tables.read_csv(Path("cityscapes-frames.csv"))["split"] == "test"
    ]
    for each in data.table("cityscapes"):
        assert ids[ids["actual"] == f"{each.id} {each.name}"]["count"].sum() == (masks == each.id).sum()
    ignored = [each.id for each in data.table("cityscapes") if each.level1 is None]
    counted = arrays.read(Path("idd-quick/cityscapes-counts.npy")).sum()
    assert counted == masks.size - np.isin(masks, ignored).sum()


def test_the_leaderboard_has_a_row_for_each_and_metrics_hold_no_null(done):
    board = pd.read_csv("board.csv")
    assert board[["run", "dataset"]].to_numpy().tolist() == [
        [run, dataset] for run in ("idd-quick", "cityscapes-quick", "mine") for dataset in SETS
    ]
    assert board["home"].tolist() == [True, False, False, True, True, False]
    assert (board["resampled"] == "frames").all(), "of one drive"
    short = json.loads(Path("idd-quick/short.json").read_text())
    assert short["idd"]["mean_iou"] == board["mean_iou"][0]
    assert "null" not in Path("idd-quick/full.json").read_text()
    assert pd.read_csv("drops.csv")["between"].unique().tolist() == ["cityscapes-quick: cityscapes to idd"]


def test_a_network_of_ones_own_answers_as_it_did_and_keeps_how_it_is_asked(done):
    model = Segmenter.load(deeplab, Path("mine/weights"), Path("mine/card"))
    assert model.scale == ((9.0, 8.0, 7.0), (60.0, 61.0, 62.0))
    net = deeplab.build((64, 64, 3), len(model.classes_), wanted()).eval()
    net.net.load_state_dict(torch.load("mine.pth", weights_only=True))
    x = np.array(arrays.read(Path("idd-images.npy"))[:2])
    with torch.inference_mode():
        seen = model.scale(torch.from_numpy(x))
        mirrored = net(seen.flip(3)).flip(3)
        expected = (net(seen) + mirrored) / 2 if model.settings.views_at_test == 2 else net(seen)
    assert torch.allclose(torch.cat(list(model.answers(x))), expected, atol=1e-4)


def test_another_network_is_refused_by_name(done, tmp_path):
    other = {name: part for name, part in torch.load("mine.pth", weights_only=True).items() if "head" not in name}
    torch.save(other, tmp_path / "other.pth")
    with pytest.raises(
        InputError, match=r"other.pth: is not a DeepLabV3Plus as .*train.quick says, of 26 classes: segm"
    ):
        adopt.main(PARAMS, "mine", tmp_path / "other.pth", tmp_path / "weights", tmp_path / "card")
    assert [path.name for path in tmp_path.iterdir()] == ["other.pth"]
    with pytest.raises(InputError, match=r"tells road, .* apart, expected drivable"):
        ask("idd-quick", "idd", "seven")


def test_a_dataset_without_frames_to_choose_by_is_refused_where_something_chooses(done, tmp_path):
    table = tables.read_csv(Path("idd-frames.csv"))
    table["split"] = np.where(table["split"] == "valid", "left out", table["split"])
    tables.write_csv(tmp_path / "frames.csv", table)
    params = yaml.safe_load(PARAMS.read_text())
    params["train"]["quick"]["patience"] = 3
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    where = [tmp_path / "frames.csv", *(Path(name.format(dataset="idd")) for name in FILES[1:])]
    made = [tmp_path / name for name in ("weights", "card", "training")]
    with pytest.raises(InputError, match=r"has no valid frames; change split.idd in .*, or make patience null"):
        train.main(tmp_path / "params.yaml", "idd", "own", "quick", *where, *made)
    train.main(PARAMS, "idd", "own", "quick", *where, *made)
    table["split"] = np.full(len(table["split"]), "test")
    tables.write_csv(tmp_path / "frames.csv", table)
    with pytest.raises(InputError, match=r"has no train frames; change split.idd"):
        train.main(PARAMS, "idd", "own", "quick", *where, *made)


def test_frames_and_masks_that_stay_on_disk_are_learnt_from_alike(done, tmp_path, monkeypatch):
    params = yaml.safe_load(PARAMS.read_text())
    params["train"]["quick"]["window"] = 1000  # more than there are: all are drawn together, as without one
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    where, original = [Path(name.format(dataset="idd")) for name in FILES], data.read

    def learnt(params):
        train.main(
            params, "idd", "own", "quick", *where, *(tmp_path / name for name in ("weights", "card", "training"))
        )
        return (tmp_path / "weights").read_bytes()

    def sealed(*files):
        table, *arrays_ = original(*files)
        return table, *(np.broadcast_to(np.uint8(255), array.shape) for array in arrays_)

    held = learnt(PARAMS)
    monkeypatch.setattr(data, "read", sealed)
    assert learnt(tmp_path / "params.yaml") == held
    with pytest.raises(InputError, match="training pixels are of fewer than two"):
        learnt(PARAMS)


def test_published_says_where_to_register_and_what_to_name(done, tmp_path):
    params = yaml.safe_load(PARAMS.read_text()) | {"source": "published"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(
        InputError, match=r"cityscapes is not to be had without registration: register at https://www.cit.*-S"
    ):
        fetch.main("cityscapes", Path("nothing"), tmp_path / "archive", tmp_path / "params.yaml")


def test_a_dataset_alone_is_told_apart_from_none(done, tmp_path):
    params = tmp_path / "params.yaml"
    content = yaml.safe_load(PARAMS.read_text()) | {"datasets": ["cityscapes"], "checkpoints": {}}
    content["runs"] = {key: run for key, run in content["runs"].items() if run["train_on"] == "cityscapes"}
    params.write_text(yaml.safe_dump(content))
    apart.main(params, *FILES, tmp_path / "apart.json", tmp_path / "apart.csv")
    assert json.loads((tmp_path / "apart.json").read_text()) == {}
    assert len(pd.read_csv(tmp_path / "apart.csv")) == 0
    put_together(params, tmp_path / "apart.csv", tmp_path)
    assert (tmp_path / "apart.png").stat().st_size > 1000
    left = [str(tmp_path / name) for name in (*LEFT, "{dataset}-worst.npz")]
    made = [Path("cityscapes-quick", name) for name in ("weights", "card")]
    full = tmp_path / "full.json"
    evaluate.main(params, "cityscapes", "seven", *made, *FILES, tmp_path / "short.json", full, *left)
    assert [*json.loads(full.read_text())] == ["cityscapes"]


def test_a_dataset_without_ids_is_refused_by_name(done, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text(yaml.safe_dump(yaml.safe_load(PARAMS.read_text()) | {"datasets": ["cityscapes", "kitti"]}))
    with pytest.raises(InputError, match=r"^kitti: has no table of ids; expected one of "):
        apart.main(params, *FILES, tmp_path / "apart.json", tmp_path / "apart.csv")


def test_clues_are_told_apart_or_not_each_by_itself(done):
    table = pd.read_csv("apart.csv")
    assert set(table["between"]) == {" and ".join(SETS)}
    assert table["clue"].tolist() == ["whole", "colour", "detail", "layout"]
    assert (table["n"] == 12).all()
    assert table["roc_auc"].between(0, 1).all()
