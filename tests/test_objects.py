"""Models of the ten categories: tested on every domain, clean in whatever coding, and put side by side."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from stages import compare_objects, evaluate_objects
from whence import calibration, jpeg, metrics, models, multiclass
from whence.base import settings
from whence.base.errors import InputError
from whence.datasets import cifake, cinic10
from whence.names import CATEGORIES, Name
from whence.table import rows, tables

SPLITS = {"cinic10": ("train", "valid", "test"), "cifake": ("train", "test")}
DOMAINS = ("cifar", "imagenet", "fake", "real")
COUNT = 4
"""Images per split, domain and category."""
PARAMS = {
    "source": "sample",
    "weights": {},
    "cross": {"jpeg_quality": {"cifake": 75}},
    "evaluate": {"metrics": {"resamples": 0, "confidence": 0.95, "ece_bins": 15, "seed": 0}},
    "objects": {
        name: {"dataset": dataset, "label": "category", "domains": domains, "seed": 0}
        for name, dataset, domains in (
            ("real", "cifake", {"real": 1.0}),
            ("fake", "cifake", {"fake": 1.0}),
            ("some", "cifake", {"fake": 1.0, "real": 0.4}),
            ("cifar", "cinic10", {"cifar": 1.0}),
            ("imagenet", "cinic10", {"imagenet": 1.0}),
        )
    },
}
ASKED = ["cinic10", "cinic10.csv", "cinic10.npy", "cifake", "cifake.csv", "cifake.npy"]
OUT = ("scores.csv", "headline.json", "full.json", "confusion.csv", "calibration.json")


def stem(dataset, domain, split, k):
    """As published; half of the CIFAR images in CINIC-10's test split are of CIFAR-10's training set."""
    if domain == "cifar":
        part = "test" if split == "test" and k % 2 else "train"
        return f"cifar{'-' * (k % 4 == 0)}10-{part}-{k}"  # the README's spelling too
    return f"n02121620_{k}" if domain == "imagenet" else f"{k:04d}"


def dataset(name, module, categories=CATEGORIES):
    """Labels and images: the category is read off the mean of an image, and a noise tells images apart."""
    lines = [
        (split, domain, category, k)
        for split in SPLITS[name]
        for domain in module.DOMAINS
        for category in categories
        for k in range(COUNT)
    ]
    lines = [lines[k] for k in np.random.default_rng(len(name)).permutation(len(lines))]
    official, domain, category, k = (np.array(column) for column in zip(*lines, strict=True))
    paths = [module.path(Name(s, c, d, stem(name, d, s, int(i)))) for s, d, c, i in lines]
    assert all(module.parse(path) for path in paths)
    code = np.array([CATEGORIES.index(c) for c in category])
    noise = np.random.default_rng(0).integers(-15, 16, (len(lines), 32, 32, 3))
    images = (25 + 20 * code[:, None, None, None] + noise).astype(np.uint8)
    labels = rows.Labels(
        path=np.array(paths),
        split=np.where((official == "train") & (k == 0) & (name == "cifake"), "valid", official),
        official_split=official,
        category=category,
        domain=domain,
        group=np.arange(len(lines)),
        digest=np.array([rows.digest(image) for image in images]),
    )
    return labels, images


def write(name, labels, images):
    tables.write_csv(Path(f"{name}.csv"), labels._asdict())
    np.save(f"{name}.npy", images)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Two tiny datasets in a folder to stand in."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS))
    found = {"cinic10": dataset("cinic10", cinic10), "cifake": dataset("cifake", cifake)}
    for name, content in found.items():
        write(name, *content)
    return found


def save_model(names=CATEGORIES, epochs=(3, 5)):
    card = models.Card(
        classifier="lenet",
        classes=list(names),
        shape=[32, 32, 3],
        settings={},
        preprocessing={},
        parameters=0,
        best_epoch=list(epochs),
    )
    models.save({}, card, Path("m.safetensors"), Path("m.json"))


@pytest.fixture
def members(monkeypatch, data):
    """An estimator of two members: one reads the category off the mean, the other takes the next one's every 3rd time.

    It keeps the images that it is shown.
    """

    class Estimator:
        shown = []  # noqa: RUF012

        def __init__(self, names):
            self.classes_ = np.array(names)

        @classmethod
        def load(cls, entry, weights, card):
            about = models.load(weights, card, entry.__name__.rpartition(".")[2])[1]
            model = cls(about.classes)
            model.best_epoch = about.best_epoch
            return model

        def member_proba(self, x):
            self.shown.append(x)
            code = np.clip(((x.mean((1, 2, 3)) - 15) // 20).astype(int), 0, 9)
            other = np.where(x[:, 0, 0, 0] % 3 == 0, (code + 1) % 10, code)
            order = [CATEGORIES.index(name) for name in self.classes_.tolist()]
            return np.stack([np.eye(10)[:, order][k] * 0.9 + 0.01 for k in (code, other)])

    monkeypatch.setitem(sys.modules, "whence.estimators.played.estimator", SimpleNamespace(Estimator=Estimator))
    save_model()
    return Estimator


def evaluate(train_on):
    """Run the stage; return what it wrote."""
    evaluate_objects.main(train_on, "played", "lenet", *map(Path, ("m.safetensors", "m.json", *OUT)), ASKED)
    scores, confusion = (pd.read_csv(name) for name in ("scores.csv", "confusion.csv"))
    headline, full = (json.loads(Path(name).read_text()) for name in ("headline.json", "full.json"))
    return SimpleNamespace(scores=scores, confusion=confusion, headline=headline, full=full)


# evaluate_objects


def test_every_domain_has_its_metrics(members, capsys):
    got = evaluate("real")
    assert got.headline == {name: got.full["real"]["official"][name] for name in ("balanced_accuracy", "mcc")}
    assert capsys.readouterr().out.startswith("accuracy on official test rows: cifar ")
    assert list(got.full) == [*DOMAINS, "epochs"]
    assert got.full["epochs"] == 4.0
    for domain in DOMAINS:
        assert list(got.full[domain]) == ["valid", "official", "clean", "together"]
        assert got.full[domain]["official"]["n"] == 10 * COUNT
        assert 0.75 < got.full[domain]["official"]["accuracy"] < 0.95


def test_the_headline_is_the_mean_over_the_domains_of_training(members):
    got = evaluate("some")
    values = [got.full[domain]["official"]["mcc"] for domain in ("real", "fake")]
    assert got.headline["mcc"] == pytest.approx(np.mean(values), abs=1e-6)


def test_metrics_and_confusion_are_those_of_the_scores(members):
    """The tables agree: what each member predicts gives the counts, and these the accuracy, the mean of the members."""
    got = evaluate("cifar")
    for domain in DOMAINS:
        part = got.scores[(got.scores["domain"] == domain) & (got.scores["split"] == "test")]
        right = [(part[f"predicted_{k}"] == part["actual"]).mean() for k in range(2)]
        assert right[0] == 1 > right[1]
        assert got.full[domain]["official"]["accuracy"] == pytest.approx(np.mean(right), abs=1e-6)
        counts = got.confusion[got.confusion["domain"] == domain]
        assert counts["count"].sum() == 2 * len(part)
        agree = counts["actual"] == counts["predicted"]
        assert counts["count"][agree].sum() == sum(right) * len(part)
        pairs = pd.concat([part.groupby(["actual", f"predicted_{k}"]).size() for k in range(2)]).groupby(level=[0, 1])
        wanted = counts.set_index(["actual", "predicted"])["count"]
        assert wanted[wanted > 0].to_dict() == pairs.sum().to_dict()
        assert wanted.index.tolist() == [(a, p) for a in CATEGORIES for p in CATEGORIES]


def test_the_scores_are_of_valid_and_test_rows_as_the_labels_have_them(members, data):
    got = evaluate("real")
    assert list(got.scores) == [
        *("dataset", "row", "split", "domain", "clean", "actual"),
        *("predicted_0", "confidence_0", "predicted_1", "confidence_1"),
    ]
    assert set(got.scores["confidence_0"]) == {0.91}
    for name, part in got.scores.groupby("dataset"):
        labels = data[name][0]
        row = part["row"].to_numpy()
        assert set(row) == set(np.flatnonzero(labels.split != "train"))
        for column, wanted in (("split", labels.split), ("domain", labels.domain), ("actual", labels.category)):
            assert part[column].tolist() == wanted[row].tolist()


@pytest.mark.parametrize("train_on", ["real", "cifar"])
def test_only_other_datasets_are_seen_through_jpeg_and_only_by_a_model_of_jpegs(members, data, train_on):
    evaluate(train_on)
    assert len(members.shown) == 2
    for (name, (labels, images)), shown in zip(data.items(), members.shown, strict=True):
        plain = images[labels.split != "train"]
        recoded = train_on == "real" and name == "cinic10"
        assert (shown == (jpeg.recode(plain, 75) if recoded else plain)).all()
        assert not recoded or (shown != plain).any()


def test_the_answers_do_not_depend_on_the_blocks(members, monkeypatch):
    written = []
    for block in (7, 4096):
        monkeypatch.setattr(models, "BLOCK", block)
        evaluate("real")
        written.append([Path(name).read_bytes() for name in OUT])
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("train_on", "cifar"), [("real", COUNT // 2), ("some", COUNT // 2), ("fake", COUNT), ("cifar", COUNT)]
)
def test_cifars_training_images_are_not_clean_to_a_model_of_real(members, train_on, cifar):
    """Of CINIC-10's CIFAR test images half are in CIFAR-10's training set, and so in CIFAKE's REAL train."""
    got = evaluate(train_on)
    assert {domain: got.full[domain]["clean"]["n"] for domain in DOMAINS} == {
        "cifar": 10 * cifar,
        "imagenet": 10 * COUNT,
        "fake": 10 * COUNT,
        "real": 10 * COUNT,
    }


def test_copies_of_training_images_are_not_clean(members, data):
    labels, images = data["cifake"]
    test = np.flatnonzero((labels.split == "test") & (labels.domain == "real"))[:3]
    train = np.flatnonzero(labels.official_split == "train")[:3]
    images[test], labels.digest[test], labels.group[test] = images[train], labels.digest[train], train
    write("cifake", labels, images)
    got = evaluate("real")
    assert got.full["real"]["clean"]["n"] == 10 * COUNT - 3
    assert got.full["real"]["official"]["n"] == 10 * COUNT
    clean = got.scores[got.scores["dataset"] == "cifake"].set_index("row")["clean"]
    assert not clean[test].any()


def test_real_is_doubtful_to_a_model_that_may_have_learnt_from_cifars_test_images(members, data):
    """The published CINIC-10 has none of them outside test; an archive that has some makes no row of REAL clean."""
    labels, images = data["cinic10"]
    assert evaluate("cifar").full["real"]["clean"]["n"] == 10 * COUNT
    one = np.flatnonzero((labels.split == "valid") & (labels.domain == "cifar"))[0]
    path = labels.path.tolist()
    path[one] = path[one].replace("10-train-", "10-test-9")
    write("cinic10", labels._replace(path=np.array(path)), images)
    assert "clean" not in evaluate("cifar").full["real"]
    for train_on in ("imagenet", "fake"):
        assert evaluate(train_on).full["real"]["clean"]["n"] == 10 * COUNT


def test_a_domain_without_clean_rows_has_no_clean_metrics(members, data):
    labels, images = data["cinic10"]
    path = [p.replace("10-test-", "10-train-9") for p in labels.path.tolist()]
    write("cinic10", labels._replace(path=np.array(path)), images)
    got = evaluate("real")
    assert list(got.full["cifar"]) == ["valid", "official", "together"]
    assert "clean" in evaluate("imagenet").full["cifar"]


def test_the_metrics_are_of_the_models_order_of_classes(members):
    save_model(names=CATEGORIES[::-1])
    turned = evaluate("real")
    save_model()
    plain = evaluate("real")
    assert turned.full["fake"]["official"] == plain.full["fake"]["official"]
    assert turned.scores.equals(plain.scores)


@pytest.mark.parametrize("train_on", ["real", "cifar"])
def test_the_temperatures_are_those_of_the_valid_rows_that_training_chose_by(members, data, train_on):
    evaluate(train_on)
    labels, images = data[PARAMS["objects"][train_on]["dataset"]]
    mask = (labels.split == "valid") & (labels.domain == train_on)
    actual = np.array([CATEGORIES.index(c) for c in labels.category[mask]])
    wanted = [calibration.fitted(actual, member) for member in members(CATEGORIES).member_proba(images[mask])]
    assert wanted[0] != wanted[1]
    assert calibration.read(Path("calibration.json")) == np.round(wanted, 6).tolist()


def test_the_intervals_are_those_of_multiclass(members, data):
    params = PARAMS | {"evaluate": {"metrics": PARAMS["evaluate"]["metrics"] | {"resamples": 50}}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    got = evaluate("fake")
    labels, images = data["cifake"]
    mask = (labels.split == "test") & (labels.domain == "fake")
    actual = np.array([CATEGORIES.index(c) for c in labels.category[mask]])
    proba = members(CATEGORIES).member_proba(images[mask])
    section = settings.load("evaluate.metrics", metrics.Settings)
    assert got.full["fake"]["official"] == multiclass.summarise(actual, proba, CATEGORIES, section)
    alone = multiclass.summarise(actual, proba.mean(axis=0, keepdims=True), CATEGORIES, section)
    assert got.full["fake"]["together"] == alone != got.full["fake"]["official"]


@pytest.mark.parametrize("names", [["real", "fake"], CATEGORIES[1:], [True, False]])
def test_a_model_of_other_classes_is_refused(members, names):
    save_model(names)
    with pytest.raises(InputError) as caught:
        evaluate("real")
    known = ", ".join(map(str, names))
    assert str(caught.value) == (
        f"m.json: the model knows {known}, not the 'airplane' of cinic10.csv; train it on images of every category, "
        "then run dvc repro"
    )
    assert not Path("scores.csv").exists()


def test_a_category_that_the_data_lack_is_no_error(members, data):
    write("cifake", *dataset("cifake", cifake, CATEGORIES[:4]))
    got = evaluate("imagenet")
    assert got.full["real"]["official"]["n"] == 4 * COUNT
    assert got.full["real"]["official"]["f1_truck"] == 0


def test_a_model_of_another_classifier_is_refused(members):
    with pytest.raises(InputError, match=r"^m\.json: a model of 'lenet', expected 'dense'"):
        evaluate_objects.main("real", "played", "dense", *map(Path, ("m.safetensors", "m.json", *OUT)), ASKED)


def test_images_of_another_order_are_refused(members, data):
    np.save("cifake.npy", data["cifake"][1][::-1])
    with pytest.raises(InputError, match=r"^cifake\.npy: row 0 is not t"):
        evaluate("real")


@pytest.mark.parametrize(
    ("cross", "complaint"),
    [
        ({}, "params.yaml: cross.jpeg_quality: missing; add it"),
        ({"jpeg_quality": {"cifake": 96}}, "params.yaml: cross.jpeg_quality.cifake: got 96: Input should be less than"),
        ({"jpeg_quality": {"cifke": 75}}, "params.yaml: cross.jpeg_quality: got {'cifke': 75}: Value error, expected"),
    ],
)
def test_wrong_settings_are_refused(members, cross, complaint):
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS | {"cross": cross}))
    with pytest.raises(InputError) as caught:
        evaluate("real")
    assert str(caught.value).startswith(complaint)


def test_an_unknown_training_set_is_refused(members):
    with pytest.raises(InputError, match=r"^params\.yaml: 'objects\.reel' is missing: objects holds cifar, fake, "):
        evaluate("reel")


# compare_objects

RUNS = {
    "objects-real-lenet": {
        "train_on": "real",
        "dataset": "cifake",
        "kind": "network",
        "classifier": "lenet",
        "settings": "lenet",
    },
    "objects-fake-small": {
        "train_on": "fake",
        "dataset": "cifake",
        "kind": "network",
        "classifier": "small",
        "settings": "small",
    },
    "objects-cifar-small": {
        "train_on": "cifar",
        "dataset": "cinic10",
        "kind": "network",
        "classifier": "small",
        "settings": "small",
    },
}
WRITTEN = ("headline.json", "cross.csv", "table.csv", "all_training.csv", "cross.png", "training.png")


def figures(rng):
    names = ["accuracy", "macro_f1", "weighted_f1", *(f"f1_{category}" for category in CATEGORIES)]
    return {"n": 40} | {name: round(rng.uniform(), 6) for name in names}


def gathered(names, dirty="objects-real-lenet"):
    """Write what evaluate_objects and train leave of these runs and of one that is not listed."""
    for folder in ("full", "training/network"):
        Path(folder).mkdir(parents=True)
    for k, name in enumerate([*names, "objects-unlisted"]):
        rng = np.random.default_rng(k)
        kinds = {d: ["valid", "official", "clean"][: 2 if (name, d) == (dirty, "cifar") else 3] for d in DOMAINS}
        content = {domain: {kind: figures(rng) for kind in kinds[domain]} for domain in DOMAINS}
        Path("full", f"{name}.json").write_text(json.dumps(content | {"epochs": 4.5 + k}))
        epoch = np.arange(1, 4)
        table = {"seed": 0 * epoch, "epoch": epoch, "learning_rate": epoch / 1000}
        table |= {f"{split}_{what}": 1 / epoch for split in ("train", "valid") for what in ("loss", "accuracy")}
        pd.DataFrame(table).to_csv(Path("training/network", f"{name}.csv"), index=False)


def comparison(out="out"):
    paths = {name: Path(out, name) for name in WRITTEN}
    compare_objects.main(Path("full"), Path("training"), *paths.values())
    return paths


@pytest.fixture
def listed(tmp_path, monkeypatch, request):
    """A folder in which compare_objects can run; return the names of the runs, all or so many."""
    monkeypatch.chdir(tmp_path)
    names = list(RUNS)[: getattr(request, "param", 3)]
    Path("params.yaml").write_text(
        yaml.safe_dump(
            PARAMS | {"object_runs": {name: RUNS[name] for name in names}, "object_transfers": {}}, sort_keys=False
        )
    )
    gathered(names)
    return names


@pytest.mark.parametrize("listed", [1, 3], indirect=True)
def test_the_cross_table_has_every_metric_of_every_run_domain_and_kind_of_rows(listed):
    board = pd.read_csv(comparison()["cross.csv"])
    assert board.columns.tolist()[:7] == ["run", "train_on", "model", "epochs", "domain", "rows", "n"]
    for name in listed:
        content = json.loads(Path("full", f"{name}.json").read_text())
        mine = board[board["run"] == name]
        assert set(mine["train_on"]) == {RUNS[name]["train_on"]}
        assert set(mine["epochs"]) == {content.pop("epochs")}
        assert len(mine) == sum(map(len, content.values()))
        for _, row in mine.iterrows():
            wanted = content[row["domain"]][row["rows"]]
            assert {metric: row[metric] for metric in wanted} == wanted
    assert board["run"].unique().tolist() == listed


def test_the_headline_of_every_run_is_its_accuracy_at_home(listed):
    headline = json.loads(comparison()["headline.json"].read_text())
    assert list(headline) == listed
    for name in listed:
        content = json.loads(Path("full", f"{name}.json").read_text())
        own = PARAMS["objects"][RUNS[name]["train_on"]]["domains"]
        wanted = np.mean([content[domain]["official"]["accuracy"] for domain in own])
        assert headline[name] == pytest.approx(wanted, abs=1e-6)


def test_the_table_has_the_form_of_the_study(listed):
    table = pd.read_csv(comparison()["table.csv"])
    assert table.columns.tolist() == [
        *("train_on", "model", "tested_on", *CATEGORIES, "accuracy", "macro avg", "weighted avg", "epochs")
    ]
    assert len(table) == len(listed) * len(DOMAINS)
    content = json.loads(Path("full", "objects-fake-small.json").read_text())
    (row,) = table[(table["train_on"] == "fake") & (table["tested_on"] == "real")].to_dict("records")
    official = content["real"]["official"]
    assert row["truck"] == round(official["f1_truck"], 3)
    assert row["weighted avg"] == round(official["weighted_f1"], 3)
    assert row["epochs"] == 5.5


def test_a_category_that_no_model_knows_stays_empty_in_the_table(listed):
    for name in listed:
        path = Path("full", f"{name}.json")
        path.write_text(path.read_text().replace("f1_truck", "f1_lorry"))
    table = pd.read_csv(comparison()["table.csv"])
    assert table["truck"].isna().all()
    assert not table["ship"].isna().any()


def test_the_learning_curves_are_gathered(listed):
    training = pd.read_csv(comparison()["all_training.csv"])
    assert training["run"].tolist() == np.repeat(listed, 3).tolist()
    assert training.columns.tolist()[:3] == ["run", "seed", "epoch"]


def test_what_is_printed_is_the_accuracy_on_official_rows(listed, capsys):
    comparison()
    header, _, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["domain", *DOMAINS]
    assert [line.split()[0] for line in lines] == listed


@pytest.mark.parametrize("listed", [1, 3], indirect=True)
def test_two_comparisons_have_the_same_bytes(listed):
    one, two = comparison(), comparison("again")
    for name, path in one.items():
        assert path.read_bytes() == two[name].read_bytes(), name
