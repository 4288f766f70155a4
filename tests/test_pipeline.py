"""The laws of the pipeline, asked of DVC itself on real repositories in temporary folders."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from repositories import FEW, FEW_CONTROL, PLOTS, commit, edit, fresh, repro, run
from test_docs import commands

from whence.base.settings import load
from whence.features import spectrum
from whence.table import rows

pytestmark = pytest.mark.pipeline


def ran(output):
    return re.findall(r"Running stage '([^']+)'", output)


def metric(folder, key="fake-spectrum-logistic"):
    return json.loads((folder / f"metrics/{key}.json").read_text())


def test_the_whole_sample_in_two_fresh_clones_gives_one_lock_file(tmp_path):
    """One clone runs stage after stage, the other two at a time; what they leave is the same, byte for byte.

    That it is what `dvc repro` leaves, which takes half as long again, tests/test_repro.py says of smaller ones.
    """
    serial, parallel = (fresh(tmp_path / name) for name in ("serial", "parallel"))

    def brief(params):  # most of the time, and nothing else
        params["embed"]["pixels"] = params["train"]["transfer"]["pixels"] = 32
        for network in (section for section in params["train"].values() if "epochs" in section):
            network["epochs"] = 1

    def brief_roads(params):
        for network in (*params["train"].values(), params["apart"]["network"]):
            network["epochs"] = 1
        for dataset in params["fetch"].values():
            dataset["sample"] |= {"train": 3, "val": 2, "frames": 2}
        params["evaluate"]["metrics"]["resamples"] = 20

    for folder in (serial, parallel):
        edit(folder, brief)
        edit(folder, brief_roads, "roads/params.yaml")
        (folder / ".venv").mkdir()
        (folder / ".venv/.ready").touch()  # the environment that runs this test serves
    output = run(serial, "make", "repro")
    told = run(parallel, "make", "repro", "JOBS=2")
    for task in ("origin   ROC AUC", "fake     ROC AUC", "objects  accuracy"):
        assert re.search(rf"^  {task} +0\.\d+ \[0\.\d+, [01]\.\d+\]  {task.split()[0]}-", told, re.MULTILINE), told[
            -500:
        ]
    assert "\nOpen plots/report.html for everything else.\n" in told
    for lock in ("dvc.lock", "roads/dvc.lock"):
        assert (serial / lock).read_bytes() == (parallel / lock).read_bytes()
    for folder in ("metrics", "plots", "roads/metrics", "roads/plots"):
        names = {path.relative_to(serial) for path in (serial / folder).rglob("*") if path.is_file()}
        assert names == {path.relative_to(parallel) for path in (parallel / folder).rglob("*") if path.is_file()}
        assert all((serial / name).read_bytes() == (parallel / name).read_bytes() for name in names)
    stages = yaml.safe_load((serial / "dvc.lock").read_text())["stages"]
    streets = yaml.safe_load((serial / "roads/dvc.lock").read_text())["stages"]
    assert sorted(ran(output)) == sorted([*stages, *(f"roads/dvc.yaml:{name}" for name in streets)])
    assert '<section id="roads"' in (serial / "plots/report.html").read_text()
    edit(serial, lambda params: params["look"].update(frames=2), "roads/params.yaml")
    looks = [f"roads/dvc.yaml:look@{name}" for name in ("cityscapes", "idd_lite")]
    assert sorted(ran(repro(serial))) == ["report", *looks], "the page shows all parameters"
    assert ran(run(serial, "dvc", "repro")) == []
    assert ran(run(serial, "dvc", "repro", "roads/dvc.yaml")) == []
    assert ran(run(parallel, "dvc", "repro")) == []
    for name, task in (("origin-spectrum-logistic", "origin"), ("fake-spectrum-logistic", "fake")):
        assert 0.75 < metric(serial, name)["roc_auc"] < 0.97, task


def test_a_second_repro_runs_nothing_and_git_stays_clean(small):
    assert "up to date" in run(small, "dvc", "repro")
    assert run(small, "git", "status", "--porcelain") == ""


def test_a_parameter_of_one_classifier_reruns_its_runs_and_what_follows(repository):
    edit(repository, lambda params: params["train"]["logistic"].update(C=0.01))
    assert sorted(ran(repro(repository))) == [
        "compare@fake",
        "compare@origin",
        "compare_controls",
        "evaluate@fake-spectrum-logistic",
        "evaluate@origin-colour-logistic",
        f"evaluate_control@{FEW_CONTROL}",
        "report",
        "train@fake-spectrum-logistic",
        "train@origin-colour-logistic",
        f"train_control@{FEW_CONTROL}",
    ]


def test_a_changed_file_of_one_classifier_reruns_its_runs_alone(repository):
    path = repository / "whence/classifiers/forest.py"
    path.write_text(path.read_text() + "\n# a remark\n")
    assert ran(run(repository, "dvc", "repro")) == ["train@fake-pixels-forest", "evaluate@fake-pixels-forest"]


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("whence/classifiers/mlp.py", ["fake-mlp"]),
        ("whence/estimators/network/trainer.py", ["fake-mlp", "objects-real-lenet"]),
    ],
)
def test_a_changed_file_of_the_networks_reruns_networks_alone(repository, file, names):
    path = repository / file
    path.write_text(path.read_text() + "\n# a remark\n")
    stages = ran(repro(repository))
    expected = [
        f"{verb}{'_objects' * name.startswith('objects')}@{name}" for name in names for verb in ("train", "evaluate")
    ]
    asked = [f"{verb}@fake-mlp" for verb in ("attack", "corrupt", "examples", "false_alarms", "hidden")]
    searched = ["tune@fake-head"] if "estimators" in file else []
    assert sorted(stages) == sorted([*expected, *asked, *searched])


def test_the_launcher_changes_nothing_and_starts_several_processes(repository, tmp_path):
    """torchrun's processes train one model together: the first alone writes, and the result is that of one process."""
    alone = Path(shutil.copytree(repository, tmp_path / "alone", symlinks=True))
    launch = {"LAUNCH": "torchrun --standalone --nproc-per-node=2", "OMP_NUM_THREADS": "1"}
    assert "up to date" in run(repository, "dvc", "repro", **launch)
    for folder in (alone, repository):
        edit(folder, lambda params: params["train"]["mlp"].update(epochs=3))
    output = run(repository, "dvc", "repro", "evaluate@fake-mlp", **launch)
    assert ran(output) == ["train@fake-mlp", "evaluate@fake-mlp"]
    run(alone, "dvc", "repro", "evaluate@fake-mlp")
    ours, theirs = (json.loads((folder / "metrics/fake/fake-mlp.json").read_text()) for folder in (repository, alone))
    for which in ("official", "clean"):
        for name, value in theirs[which].items():
            assert ours[which][name] == pytest.approx(value, abs=0.002), name
    ours, theirs = (pd.read_csv(folder / "plots/tasks/fake/scores/fake-mlp.csv") for folder in (repository, alone))
    assert ours["row"].tolist() == theirs["row"].tolist() == sorted(set(theirs["row"]))
    with (repository / "plots/tasks/fake/training/network/fake-mlp.csv").open() as handle:
        assert [line["epoch"] for line in csv.DictReader(handle)] == ["1", "2", "3"]
    assert output.count("rows to learn from") == 1
    assert not list((repository / ".checkpoints").glob("*"))


def test_a_killed_training_goes_on_from_its_last_epoch_and_ends_the_same(repository, tmp_path):
    """Through DVC, with kill -9: the model of the broken run is that of an unbroken one, byte for byte."""

    def longer(params):
        params["train"]["mlp"] |= {"epochs": 40, "patience": None}

    plain = Path(shutil.copytree(repository, tmp_path / "plain", symlinks=True))
    for folder in (plain, repository):
        edit(folder, longer)
    run(plain, "dvc", "repro", "train@fake-mlp")
    broken = subprocess.Popen(["dvc", "repro", "train@fake-mlp"], cwd=repository, start_new_session=True)
    training = repository / "plots/tasks/fake/training/network/fake-mlp.csv"
    while broken.poll() is None and not (training.exists() and training.read_text().count("\n") > 3):
        time.sleep(0.02)
    os.killpg(broken.pid, signal.SIGKILL)
    broken.wait()
    assert list((repository / ".checkpoints").glob("*")), "killed before it ended"
    (repository / ".dvc/tmp/lock").unlink(missing_ok=True)
    run(repository, "dvc", "repro", "train@fake-mlp")
    for name in (
        "models/fake-mlp.safetensors",
        "models/fake-mlp.json",
        "plots/tasks/fake/training/network/fake-mlp.csv",
    ):
        assert (repository / name).read_bytes() == (plain / name).read_bytes(), name
    assert not list((repository / ".checkpoints").glob("*"))


def test_a_changed_file_of_one_extractor_reruns_that_extractor(repository):
    """And what else looks at spectra."""
    path = repository / "whence/features/spectrum.py"
    path.write_text(path.read_text() + "\n# a remark\n")
    names = ["extract@cifake-spectrum", "extract@cinic10-spectrum", "extract_derived@cifake-shuffled"]
    names = ["examples@fake-mlp", *names, "profile@cifake", "profile@cinic10"]
    assert sorted(ran(repro(repository))) == names


def test_a_removed_run_leaves_no_row(repository):
    edit(repository, lambda params: params["runs"].pop("fake-pixels-forest"))
    assert sorted(ran(repro(repository))) == ["compare@fake", "compare@origin", "report"]
    for path in (repository / "plots/tasks/fake").glob("*.csv"):
        assert "fake-pixels-forest" not in path.read_text(), path
        assert "fake-spectrum-logistic" in path.read_text(), path
    assert "fake-pixels-forest" not in run(repository, "dvc", "metrics", "show")


def test_an_added_run_is_trained_evaluated_and_compared(repository):
    new = {"task": "fake", "dataset": "cifake", "features": "colour", "kind": "classical"}
    new |= {"classifier": "guess", "settings": "guess"}
    edit(repository, lambda params: params["runs"].update({"fake-guess": new}))
    assert {"train@fake-guess", "evaluate@fake-guess", "compare@fake"} <= set(ran(repro(repository)))
    with (repository / "plots/tasks/fake/leaderboard.csv").open() as handle:
        assert "fake-guess" in [row["run"] for row in csv.DictReader(handle)]


def wait_for_queue(folder, count):
    """Wait until so many experiments have ended well."""
    states = []
    for _ in range(600):
        states = re.findall(r"Queued|Running|Success|Failed", run(folder, "dvc", "queue", "status"))
        if "Failed" in states or states == ["Success"] * count:
            break
        time.sleep(0.5)
    assert states == ["Success"] * count, run(folder, "dvc", "queue", "logs", "c-1")


def test_experiments_in_place_in_a_temporary_folder_and_queued_give_the_same(repository, tmp_path):
    plain = Path(shutil.copytree(repository, tmp_path / "plain", symlinks=True))
    edit(plain, lambda params: params["train"]["logistic"].update(C=0.003))
    repro(plain)
    before = metric(repository)
    assert metric(plain) != before

    chosen = ("-S", "train.logistic.C=0.003", "compare@fake")
    run(repository, "dvc", "exp", "run", "--temp", "--name", "temporary", *chosen)
    assert metric(repository) == before, "a temporary run leaves the workspace alone"
    run(repository, "dvc", "exp", "run", "--queue", "--name", "c", "-S", "train.logistic.C=0.003,0.5", "compare@fake")
    run(repository, "dvc", "queue", "start", "--jobs", "2")  # side by side in the background
    wait_for_queue(repository, 2)
    shown = json.loads(run(repository, "dvc", "exp", "show", "--json"))
    found = {}
    for experiment in shown[-1]["experiments"] or []:
        data = experiment["revs"][0]["data"]
        c = data["params"]["params.yaml"]["data"]["train"]["logistic"]["C"]
        found.setdefault(c, []).append(data["metrics"]["metrics/fake.json"]["data"]["fake-spectrum-logistic"])
    assert found[0.003] == [metric(plain)["roc_auc"]] * len(found[0.003])
    assert 0.5 in found
    run(repository, "dvc", "exp", "run", "-S", "train.logistic.C=0.003")
    assert metric(repository) == metric(plain)
    # All but the page that shows params.yaml as it is written: DVC and `edit` write it differently.
    locks = [yaml.safe_load((folder / "dvc.lock").read_text())["stages"] for folder in (repository, plain)]
    assert all(lock.pop("report") for lock in locks)
    assert locks[0] == locks[1]


def test_metrics_and_plots_are_shown_and_compared_across_branches(repository):
    run(repository, "git", "checkout", "-qb", "weaker")
    edit(repository, lambda params: params["train"]["logistic"].update(C=0.001))
    repro(repository)
    commit(repository, "weaker")
    shown = run(repository, "dvc", "metrics", "show", *(f"metrics/{key}.json" for key in FEW))
    assert max(map(len, shown.splitlines())) <= 130, "fits a terminal"
    assert all(f"metrics/{key}.json" in shown for key in FEW)
    difference = json.loads(run(repository, "dvc", "metrics", "diff", "main", "--json"))
    changed = {(file, name) for file, part in difference.items() for name in part}
    assert changed == {
        ("metrics/fake.json", "fake-spectrum-logistic"),
        ("metrics/origin.json", "origin-colour-logistic"),
    }
    run(repository, "dvc", "plots", "show", "-o", "shown")
    run(repository, "dvc", "plots", "diff", "main", "-o", "compared")
    titles = [plot["title"] for entry in PLOTS for plot in entry.values() if "title" in plot]
    for page, revisions in (("shown/index.html", {"workspace"}), ("compared/index.html", {"workspace", "main"})):
        text = (repository / page).read_text()
        assert set(re.findall(r'"rev": "(\w+)"', text)) == revisions
        assert [title for title in titles if json.dumps(title) not in text] == []
        assert "DVC_METRIC" not in text, "every anchor is filled"


def columns(path):
    with path.open() as handle:
        return csv.DictReader(handle).fieldnames


def fields(tree):
    """Yield the columns that a template draws."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == "field" and isinstance(value, str):
                yield value
            yield from fields(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from fields(value)


def made(tree):
    """Yield the columns that a template makes."""
    if isinstance(tree, dict):
        yield from [tree["as"]] if isinstance(tree.get("as"), str) else []
        tree = list(tree.values())
    if isinstance(tree, list):
        for value in tree:
            yield from made(value)


ASKED_WHERE_THERE = {"against_value", "threshold"}
"""Columns that a template does without, in some of the files that it draws."""


NO_NETWORK = {"plots/tasks/origin/training/network"}
"""Folders that the small repository does not have, whose list holds no network of that task."""


@pytest.mark.parametrize(
    "entry", [entry for entry in PLOTS if not NO_NETWORK & set(entry)], ids=lambda entry: next(iter(entry))
)
def test_every_plot_names_columns_that_its_files_have(small, entry):
    ((name, plot),) = entry.items()
    files = sorted((small / name).glob("*.csv")) if (small / name).is_dir() else [small / name]
    assert files
    ys = plot["y"] if isinstance(plot["y"], list) else [plot["y"]]
    asked = {plot["x"], *ys}
    template = small / f".dvc/plots/{plot['template']}.json"
    if template.exists():  # the others come with DVC
        content = json.loads(template.read_text())
        own = {"rev", "field", "end", *made(content)} | ASKED_WHERE_THERE
        named = {field.replace("<DVC_METRIC_X>", plot["x"]) for field in fields(content)}
        asked |= {field.replace("<DVC_METRIC_Y>", y) for field in named for y in ys} - own
    for file in files:
        assert asked <= set(columns(file)), file


def test_rows_stay_aligned_through_every_stage(small):
    for dataset in ("cinic10", "cifake"):
        labels = rows.read(small / f"data/{dataset}/labels.csv")
        images = np.load(small / f"data/{dataset}/images.npy")
        assert [rows.digest(image) for image in images] == labels.digest.tolist()
        section = load("extract.spectrum", spectrum.Settings, small / "params.yaml")
        assert np.array_equal(spectrum.extract(images, section), np.load(small / f"data/{dataset}/spectrum.npy"))
        for key in (key for key in FEW if key.startswith("origin") == (dataset == "cinic10")):
            with (small / f"plots/tasks/{key.split('-')[0]}/scores/{key}.csv").open() as handle:
                scored = list(csv.DictReader(handle))
            assert [row["path"] for row in scored] == labels.path[[int(row["row"]) for row in scored]].tolist()
            assert [row["actual"] for row in scored] == labels.domain[[int(row["row"]) for row in scored]].tolist()
            assert {row["split"] for row in scored} == {"valid", "test"}


def test_what_a_stage_really_imports_stands_in_its_deps(repository):
    """The law over deps reads the code; this one asks the interpreter, for a run of each kind of stage."""
    stages = yaml.safe_load((repository / "dvc.lock").read_text())["stages"]
    kinds = ("label@cifake", "extract@cifake-pixels", "train@fake-pixels-forest", "evaluate@fake-pixels-forest")
    for name in (*kinds, "train@fake-mlp", "evaluate_objects@objects-real-lenet", "compare_objects"):
        _, *words = stages[name]["cmd"].split()
        log = run(repository, "python", "-X", "importtime", *words)
        imported = set(re.findall(r"\| +((?:whence|stages)\.[\w.]+)$", log, re.MULTILINE))
        files = {f"{module.replace('.', '/')}.py" for module in imported}
        files = {file for file in files if (repository / file).is_file()}
        assert files, name
        declared = {dep["path"] for dep in stages[name]["deps"]}
        assert {file for file in files if str(Path(file).parent) not in declared} <= declared, name


def test_a_local_archive_is_read_and_a_changed_one_reruns(repository, tmp_path):
    mine = tmp_path / "my archive.zip"
    shutil.copy(repository / "data/cifake/archive", mine)
    relative = os.path.relpath(mine, repository)
    command = ["dvc", "exp", "run", "-S", "source=local", "-S", "fetch.cinic10.archive=data/cinic10.tar"]
    shutil.copy(repository / "data/cinic10/archive", repository / "data/cinic10.tar")
    output = run(repository, *command, "-S", f"fetch.cifake.archive={relative}")
    assert "fetch@cifake" in ran(output)
    assert not any(name.startswith(("train", "pack")) for name in ran(output)), "the same archive gives the same rest"
    with zipfile.ZipFile(mine, "a") as archive:
        archive.writestr("train/REAL/readme.txt", "a document is passed over")
    assert {"fetch@cifake", "pack@cifake"} <= set(ran(repro(repository)))


def test_a_broken_archive_stops_the_pipeline_with_a_message(repository, tmp_path):
    broken = tmp_path / "broken.zip"
    broken.write_bytes((repository / "data/cifake/archive").read_bytes()[:-5000])
    edit(repository, lambda params: params["fetch"]["cifake"].update(archive=str(broken)))
    edit(repository, lambda params: params["fetch"]["cinic10"].update(archive="data/cinic10.tar"))
    shutil.copy(repository / "data/cinic10/archive", repository / "data/cinic10.tar")
    edit(repository, lambda params: params.update(source="local"))
    output = run(repository, "dvc", "repro", code=255)
    assert "error: data/cifake/archive: truncated or corrupt" in output
    assert "Traceback" not in output
    assert not (repository / "data/cifake/images.npy").exists()


def test_two_folders_of_yours_give_a_leaderboard_an_audit_and_a_report(repository, tmp_path):
    """Of classes that differ in size and format alone: the audit says so, and what was there is not run again."""
    rng = np.random.default_rng(0)
    for name, side, ending in (("cat", 40, "png"), ("dog", 60, "jpg")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for k in range(30):
            pixels = rng.integers(0, 256, (side, side, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{k}.{ending}")
    (repository / ".venv").mkdir()
    (repository / ".venv/.ready").touch()  # the environment that runs this test serves
    add, remake, ask = (line.replace("/path/to", str(tmp_path)) for line in commands("docs/your-images.md")[:3])
    shutil.copytree(tmp_path / "pets", tmp_path / "animals")
    shutil.copytree(tmp_path / "pets/cat", tmp_path / "animals/cow")
    run(repository, *add.split(), "PIXELS=32")
    run(repository, *add.replace("pets", "animals").split(), "PIXELS=32")

    def brief(params):
        params["train"]["small_few"]["epochs"] = params["train"]["wildlife_cnn"]["epochs"] = 1
        params["train"]["wildlife_cnn"]["window"] = 128  # its images are read from disk

    edit(repository, brief)
    output = run(repository, *remake.split())
    others = {f"compare_{name}" for name in ("controls", "corruptions", "maps", "mistakes", "objects")}
    others |= {"compare@fake", "compare@origin", "report"}
    assert {stage for stage in ran(output) if not re.search("@(pets|animals)", stage)} == others
    assert "60 images of 32×32 pixels, 0 files left out" in output
    assert "warning: format, size and quality of the files alone tell the classes apart" in output
    audited = json.loads((repository / "metrics/audit/pets.json").read_text())
    assert (audited["told_by_coding"], audited["uneven"]) == (1.0, True)
    with (repository / "plots/tasks/pets/leaderboard.csv").open() as handle:
        assert len(list(csv.DictReader(handle))) == 5
    page = (repository / "plots/report.html").read_text()
    assert "but for those of pets, animals, your own images." in page
    assert page.count("Format, size and quality of the files alone tell the classes apart") == 2
    assert '<section id="animals"' in page
    with (repository / "plots/tasks/animals/leaderboard.csv").open() as handle:
        assert {line["run"] for line in csv.DictReader(handle)} == {"animals-small_few", "animals-wildlife_cnn"}
    assert "p_cow" in run(repository, *ask.replace("pets-", "animals-").replace("/pets/", "/animals/").split()[:-1])
    told = run(repository, *ask.split())
    assert "model: pets-small_few (your own images)" in told
    assert "plots/tasks/pets/roc.csv" in run(repository, "dvc", "plots", "diff", "main", "--json")
    assert "Data and pipelines are up to date." in run(repository, "dvc", "repro")
