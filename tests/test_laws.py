"""The house rules that a machine can hold: what dvc.yaml and params.yaml promise is what the code does."""

import ast
import importlib
import json
import re
import shutil
from pathlib import Path

import pytest
import repositories
import yaml
from dvc.repo import Repo

from scripts import own
from whence import derive
from whence.base import settings
from whence.runs import (
    Attacked,
    Control,
    Corrupted,
    Example,
    FalseAlarm,
    HeadExample,
    Map,
    Mistake,
    ObjectControl,
    ObjectRun,
    ObjectTransfer,
    Run,
    Transfer,
)
from whence.table.tasks import Objects, Task
from whence.transforms import TRANSFORMS

ROOT = Path(__file__).resolve().parent.parent
PARAMS = settings.read(ROOT / "params.yaml")
LISTS = ("runs", "transfers", "object_runs", "object_transfers")
STUDY = settings.read(ROOT / "study.yaml")
WILD = [
    run
    for key, section in yaml.safe_load((ROOT / "wildlife.yaml").read_text()).items()
    if key in {"class_runs", "class_transfers"}
    for run in section.values()
]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
ROADS = settings.read(ROOT / "roads/params.yaml")
ROADS_PIPELINE = yaml.safe_load((ROOT / "roads/dvc.yaml").read_text())
IDD = """
  idd:
    archive: data/local/idd
    sample: {train: 2, val: 1, frames: 2, width: 96, height: 64, seed: 22}
"""
CHECKPOINT = "{train_on: idd, classes: own, settings: quick, file: mine.pth, mean: [0, 0, 0], std: [1, 1, 1]}"
COMMANDS = ("stages/predict.py",)
"""Scripts that people call, and no stage does: nothing depends on what they write."""
OPEN_PACKAGES = ("whence.datasets", "whence.features", "whence.classifiers", "whence.estimators")
"""Packages whose modules are entries, imported by the name that stands in a stage's command."""
UNITS = [
    *(ROOT / "whence" / folder for folder in ("base", "report", "streets", "table")),
    *sorted(path for path in (ROOT / "whence" / "estimators").iterdir() if path.name != "__pycache__"),
]
"""Folders that stand in deps as a whole: which of their modules a run needs does not matter, they belong together.

A stage that trains nothing may name the files that it needs.
"""


@pytest.fixture(scope="module")
def stages():
    """Those of this repository, as it stands."""
    with Repo(str(ROOT)) as repo:
        return {stage.addressing: stage for stage in repo.index.stages}


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    """At least one of every family: those of a repository to which somebody's own images were added."""
    folder = tmp_path_factory.mktemp("families")
    for name in ("two/cat", "two/dog", "three/cat", "three/dog", "three/cow"):
        (folder / name).mkdir(parents=True)
        (folder / name / "1.png").touch()
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copy(ROOT / "dvc.yaml", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        own.main("mine", Path("two"), 64)
        own.main("several", Path("three"), 64)
    one = (
        "{train_on: several, dataset: several, kind: network, classifier: transfer, settings: x, weights: mobilenet_v2}"
    )
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(
        text.replace("class_transfers: {}", f"class_transfers:\n  several-transfer: {one}")
    )
    (folder / "roads").mkdir()
    shutil.copy(ROOT / "roads/dvc.yaml", folder / "roads")
    text = (ROOT / "roads/params.yaml").read_text()
    for old, new in (
        ("fetch:\n", f"fetch:{IDD}"),
        ("datasets: [", "datasets: [idd, "),
        ("checkpoints: {}", f"checkpoints:\n  mine: {CHECKPOINT}"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "roads/params.yaml").write_text(text)
    with Repo.init(str(folder), no_scm=True) as repo:
        return {stage.addressing: stage for stage in repo.index.stages}


def module_file(name):
    path = ROOT / (name.replace(".", "/") + ".py")
    return path if path.is_file() else None


def direct_imports(path):
    """Return (local modules, entry packages) that a file imports, inside of functions too."""
    modules, packages = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            start = str(node.values[0].value).rstrip(".")
            packages |= {start} & set(OPEN_PACKAGES)
            continue
        else:
            continue
        modules |= {name for name in names if module_file(name)}
    return modules, packages


def unit(path):
    return path.parent if path.parent in UNITS else path


def closure(script, words, alone=()):
    """Return what running `script` with these words on its command line can import: files, and for those in a unit it,
    unless they stand `alone`.
    """
    todo, files = [ROOT / script], set()
    while todo:
        path = todo.pop()
        if path in files:
            continue
        files.add(path)
        modules, packages = direct_imports(path)
        named = {f"{package}.{word}{end}" for package in packages for word in words for end in ("", ".estimator")}
        todo += [module_file(module) for module in modules | named if module_file(module)]
    return {str((path if str(path.relative_to(ROOT)) in alone else unit(path)).relative_to(ROOT)) for path in files}


def code(stage):
    """The local code that a stage declares: modules, and folders of them."""
    return {dep.def_path for dep in stage.deps if dep.def_path.startswith(("stages/", "whence/"))}


def test_deps_are_the_transitive_local_imports(families):
    for name, stage in families.items():
        words = stage.cmd.split()
        script = words[2].replace(".", "/") + ".py"
        assert code(stage) == closure(script, words, code(stage)), name


def test_every_stage_script_and_module_is_used(families):
    """By the listed runs, or by a command; of the classifiers only some are, and those of the study are used by it."""
    declared = {str(unit(ROOT / dep).relative_to(ROOT)) for stage in families.values() for dep in code(stage)}
    declared |= {f"whence/classifiers/{run['classifier']}.py" for run in all_runs(STUDY)}
    declared |= {name for script in COMMANDS for name in closure(script, ())}
    files = [path for folder in ("stages", "whence") for path in (ROOT / folder).rglob("*.py")]
    written = {str(unit(path).relative_to(ROOT)) for path in files}
    assert written == declared


def test_stages_never_import_stages_and_whence_never_imports_stages():
    for path in [*(ROOT / "stages").glob("*.py"), *(ROOT / "whence").rglob("*.py")]:
        modules, _ = direct_imports(path)
        assert not {name for name in modules if name.startswith("stages")}, path


def test_each_section_exists_and_fits_its_settings_class():
    from stages import attack, corrupt, evaluate, evaluate_objects, examples, fetch, mistakes, tsne, weights
    from whence import audit, embedding, labels, novelty, pack, search
    from whence.estimators.network import backbones, recipe

    for dataset, section in PARAMS["fetch"].items():
        module = importlib.import_module(f"whence.datasets.{dataset}")
        settings.check(section, fetch.Settings, dataset)
        settings.check(section["sample"], module.Sample, dataset)
        settings.check(PARAMS["pack"][dataset], pack.Settings, dataset)
        settings.check(PARAMS["label"][dataset], labels.Settings, dataset)
    for name, section in PARAMS["extract"].items():
        settings.check(section, importlib.import_module(f"whence.features.{name}").Settings, name)
    for name, section in PARAMS["weights"].items():
        settings.check(section, weights.Settings, backbones.known(name))
    settings.check(PARAMS["embed"], embedding.Settings, "embed")
    settings.check(PARAMS["novelty"], novelty.Settings, "novelty")
    settings.check(PARAMS["tsne"], tsne.Settings, "tsne")
    settings.check(PARAMS["audit"], audit.Settings, "audit")
    settings.check(PARAMS["corrupt"], corrupt.Settings, "corrupt")
    for section in (PARAMS["attack"], STUDY["attack"]):
        assert section["tested"] in settings.check(section, attack.Settings, "attack").epsilons
    settings.check(PARAMS["show"], examples.Settings, "show")
    settings.check(PARAMS["distances"], mistakes.Settings, "distances")
    for name, section in PARAMS["tune"].items():
        settings.check(section, search.Settings, name)
    for dataset in PARAMS["datasets"]:
        assert dataset in settings.check(PARAMS["leaks"], backbones.Leaks, "leaks").root
    for name, section in PARAMS["train"].items():
        module = importlib.import_module(f"whence.classifiers.{classifier_of(name)}")
        settings.check(section, module.Settings, name)
    for name, section in PARAMS["tasks"].items():
        settings.check(section, Task, name)
    for name, section in PARAMS["objects"].items():
        settings.check(section, Objects, name)
    settings.check(PARAMS["recipe"], recipe.Settings, "recipe")
    settings.check(PARAMS["evaluate"], evaluate.Settings, "evaluate")
    settings.check(PARAMS["cross"], evaluate_objects.Settings, "cross")


def test_each_section_of_the_road_scenes_exists_and_fits_its_settings_class():
    from stages import fetch
    from stages.roads import apart, evaluate, look
    from whence.classifiers import small
    from whence.roads import deeplab, frames, runs, splits, tables

    for dataset, section in ROADS["fetch"].items():
        module = importlib.import_module(f"whence.datasets.{dataset}")
        settings.check(section, fetch.Settings, dataset)
        settings.check(section["sample"], module.Sample, dataset)
        settings.check(ROADS["pack"][dataset], frames.Settings, dataset)
        settings.check(ROADS["split"][dataset], splits.Settings, dataset)
        assert dataset in tables.TABLES
    for section in (ROADS["recipe"], *ROADS["train"].values()):
        settings.check(section, deeplab.Settings, "train")
    settings.check(ROADS["look"], look.Settings, "look")
    settings.check(ROADS["evaluate"], evaluate.Settings, "evaluate")
    settings.check(settings.check(ROADS["apart"], apart.Settings, "apart").network, small.Settings, "network")
    for key, about in runs.all_of(ROOT / "roads/params.yaml").items():
        assert about.train_on in ROADS["datasets"]
        assert about.settings in ROADS["train"]
        assert key == f"{about.train_on}-{about.settings}"
        assert about.weights in PARAMS["weights"]
    assert ROADS["datasets"] == list(ROADS["fetch"])
    assert set(tables.TABLES) - set(ROADS["fetch"]) == {"idd"}, "the full archive is as IDD-Lite's, and left out"


@pytest.mark.parametrize(("section", "package"), [("fetch", "datasets"), ("extract", "features")])
def test_every_entry_module_has_its_section_and_every_section_its_module(section, package):
    """But for your own images, whose sections are yours, and the whole of IDD, beside which IDD-Lite stands."""
    both = PARAMS[section].keys() | ROADS.get(section, {}).keys()
    assert {path.stem for path in (ROOT / "whence" / package).glob("*.py")} - {"folder", "idd"} == both


def test_every_classifier_has_a_section_of_its_name_and_every_section_its_classifier():
    modules = {path.stem for path in (ROOT / "whence" / "classifiers").glob("*.py")}
    assert modules <= set(PARAMS["train"])
    assert {classifier_of(name) for name in PARAMS["train"]} == modules


def classifier_of(name):
    """Return the module that a section of train is for: that of the runs which name it."""
    (found,) = {run["classifier"] for run in [*all_runs(STUDY), *WILD] if run["settings"] == name}
    return found


def test_every_dataset_is_switched_on_in_every_section():
    for section in ("fetch", "pack", "label"):
        assert list(PARAMS[section]) == PARAMS["datasets"]


def all_runs(content):
    return [run for section in LISTS for run in content[section].values()]


@pytest.mark.parametrize("content", [PARAMS, STUDY], ids=["params", "study"])
def test_runs_name_what_exists(content):
    assert set(PARAMS["backbones"]) <= content["weights"].keys()
    datasets_, extractors = set(PARAMS["fetch"]), {*PARAMS["features"], *PARAMS["backbones"], "images"}
    for key, section in (content["runs"] | content["transfers"]).items():
        run = settings.check(section, Transfer if "weights" in section else Run, key)
        assert run.dataset == PARAMS["tasks"][run.task]["dataset"], key
        assert run.dataset in datasets_, key
        assert run.features in extractors, key
        assert key.startswith(f"{run.task}-"), key
    for key, section in (content["object_runs"] | content["object_transfers"]).items():
        run = settings.check(section, ObjectTransfer if "weights" in section else ObjectRun, key)
        assert run.dataset == PARAMS["objects"][run.train_on]["dataset"], key
        assert key.startswith(f"objects-{run.train_on}-"), key
    for key, section in [pair for name in LISTS for pair in content[name].items()]:
        module = importlib.import_module(f"whence.classifiers.{section['classifier']}")
        assert key.endswith(f"-{section['settings']}"), key
        assert f"{section['settings']}_".startswith(f"{section['classifier']}_"), key
        assert section["kind"] == ("network" if hasattr(module, "build") else "classical"), key
        assert hasattr(module, "begin") == ("weights" in section), key
        if "weights" in section:
            assert section["weights"] in content["weights"], key
            assert section["weights"] == PARAMS["train"][section["settings"]]["backbone"], key
            assert key.endswith(f"-{section['weights']}-{section['settings']}"), key


def test_searches_ask_what_runs_ask_and_name_settings_that_are_written_out():
    assert PARAMS["searches"].items() <= STUDY["searches"].items()
    assert STUDY["searches"].keys() == PARAMS["tune"].keys()
    for key, about in STUDY["searches"].items():
        assert about["dataset"] == PARAMS["tasks"][about["task"]]["dataset"]
        assert about["features"] in {*PARAMS["features"], *PARAMS["backbones"], "images"}
        assert f"{about['settings']}_".startswith(f"{about['classifier']}_")
        assert PARAMS["tune"][key]["space"].keys() <= PARAMS["train"][about["settings"]].keys()


@pytest.mark.parametrize("content", [PARAMS, PARAMS | STUDY], ids=["params", "study"])
def test_maps_and_hidden_layers_are_those_of_runs(content):
    for key, about in content["hidden"].items():
        run = (content["runs"] | content["transfers"])[key]
        assert about == {name: run[name] for name in ("dataset", "features", "classifier")}
        assert run["kind"] == "network"
    for key, section in content["maps"].items():
        about = settings.check(section, Map, key)
        assert key.startswith(f"{about.task}-")
        assert about.dataset == PARAMS["tasks"][about.task]["dataset"]
        assert content["runs"][about.run]["task"] == about.task
        assert about.features in {*PARAMS["features"], *content["backbones"], *content["hidden"]}


@pytest.mark.parametrize("content", [PARAMS, PARAMS | STUDY], ids=["params", "study"])
def test_mistakes_are_those_of_runs_in_spaces_of_their_dataset(content):
    seen = set()
    for key, section in content["mistakes"].items():
        about = settings.check(section, Mistake, key)
        assert content["runs"][about.run]["task"] == about.task
        assert about.dataset == PARAMS["tasks"][about.task]["dataset"]
        assert key.startswith(f"{about.run}-")
        assert about.features in {*PARAMS["features"], *content["backbones"], *content["hidden"]}
        if about.features in content["hidden"]:
            assert content["hidden"][about.features]["dataset"] == about.dataset
        assert (about.run, about.features) not in seen
        seen.add((about.run, about.features))


@pytest.mark.parametrize("content", [PARAMS, PARAMS | STUDY], ids=["params", "study"])
def test_corrupted_are_runs_of_images(content):
    for key, section in content["corrupted"].items():
        settings.check(section, Corrupted, key)
        run = content["runs"][key]
        assert run["features"] == "images"
        assert section == {name: run[name] for name in ("task", "dataset", "kind", "classifier")}


def test_controls_of_the_categories_put_one_derived_dataset_in_the_place_of_the_one_that_is_learnt_from():
    for key, section in STUDY["object_controls"].items():
        about, whole = settings.check(section, ObjectControl, key), STUDY["object_runs"][section["against"]]
        (domain,) = PARAMS["objects"][about.train_on]["domains"]
        assert PARAMS["objects"][about.train_on] | {"seed": 0} == {
            "dataset": whole["dataset"], "label": "category", "domains": {domain: 1.0}, "seed": 0
        }  # fmt: skip
        assert STUDY["derived"][about.dataset]["dataset"] == whole["dataset"]
        places = {"cinic10": "cinic10", "cifake": "cifake", whole["dataset"]: about.dataset}
        assert section == whole | {"dataset": about.dataset, "against": about.against} | places
        assert key == about.against.replace("objects-", f"objects-{about.dataset.partition('-')[2]}-", 1)


@pytest.mark.parametrize("content", [PARAMS, PARAMS | STUDY], ids=["params", "study"])
def test_attacked_are_networks_of_images(content):
    for key, section in content["attacked"].items():
        settings.check(section, Attacked, key)
        run = content["runs"][key]
        assert (run["features"], run["kind"]) == ("images", "network")
        assert section == {name: run[name] for name in ("task", "dataset", "classifier")}


@pytest.mark.parametrize("content", [PARAMS, PARAMS | STUDY], ids=["params", "study"])
def test_false_alarms_are_of_runs_of_images_and_on_another_dataset(content):
    for key, section in content["false_alarms"].items():
        about, run = settings.check(section, FalseAlarm, key), content["runs"][key]
        assert run["features"] == "images"
        same = {name: run[name] for name in ("task", "dataset", "kind", "classifier")}
        assert section == same | {"asked": about.asked}
        assert about.asked in set(PARAMS["datasets"]) - {about.dataset}


@pytest.mark.parametrize("content", [PARAMS, PARAMS | STUDY], ids=["params", "study"])
def test_examples_are_of_every_network_of_images(content):
    wanted = {}
    for key, run in (pair for name in LISTS for pair in content[name].items()):
        if run["kind"] == "network" and run.get("features", "images") == "images":
            section = f"tasks.{run['task']}" if "task" in run else f"objects.{run['train_on']}"
            wanted[key] = {"section": section, "dataset": run["dataset"], "classifier": run["classifier"]}
            settings.check(content["examples"][key], Example, key)
    assert list(content["examples"].items()) == list(wanted.items())


@pytest.mark.parametrize("content", [PARAMS, PARAMS | STUDY], ids=["params", "study"])
def test_examples_are_of_every_network_on_a_backbone(content):
    wanted = {}
    for key, run in content["runs"].items():
        if run["kind"] == "network" and run["features"] in {*PARAMS["weights"], *content["weights"]}:
            about = {"section": f"tasks.{run['task']}", "dataset": run["dataset"], "classifier": run["classifier"]}
            wanted[key] = about | {"features": run["features"]}
            settings.check(content["head_examples"][key], HeadExample, key)
    assert list(content["head_examples"].items()) == list(wanted.items())


@pytest.mark.parametrize("content", [PARAMS, STUDY], ids=["params", "study"])
def test_controls_are_runs_on_what_is_derived_from_the_dataset_of_those_that_they_are_held_against(content):
    for key, section in content["derived"].items():
        about = settings.check(section, derive.Settings, key)
        assert key.startswith(f"{about.dataset}-")
        assert about.transform in {None, *TRANSFORMS}
    assert {section["dataset"] for section in content["controls"].values()} == set(content["derived"])
    for key, section in content["controls"].items():
        control, whole = settings.check(section, Control, key), content["runs"][section["against"]]
        assert section == whole | {"dataset": control.dataset, "against": control.against}
        assert content["derived"][control.dataset]["dataset"] == whole["dataset"]
        changed = control.dataset.removeprefix(f"{whole['dataset']}-")
        assert key == control.against.replace(f"{control.task}-", f"{control.task}-{changed}-", 1)
        assert control.features in {"images", "spectrum"}
    assert PARAMS["derived"].items() <= STUDY["derived"].items()
    assert PARAMS["controls"].items() <= STUDY["controls"].items()


def test_the_study_holds_every_classifier_and_the_default_runs():
    assert {run["settings"] for run in [*all_runs(STUDY), *WILD]} == set(PARAMS["train"])
    for section in LISTS:
        assert PARAMS[section].items() <= STUDY[section].items()


def all_keys(tree):
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield key
            yield from all_keys(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from all_keys(value)


def test_no_parameter_is_called_as_dvc_forgets():
    assert not {"size", "nfiles"} & {*all_keys(PARAMS), *all_keys(STUDY), *all_keys(ROADS)}


def test_nothing_is_frozen_persisted_or_always_changed():
    assert not {"frozen", "persist", "always_changed"} & {*all_keys(PIPELINE), *all_keys(ROADS_PIPELINE)}


def test_every_stage_says_what_it_does(families):
    assert all(stage.desc for stage in families.values())


def test_file_names_appear_only_in_dvc_yaml():
    """No string in the code is a path of an artefact, or a file name with an artefact's ending."""
    name = re.compile(r"(^|/)(data|models|metrics|plots)/|[\w}]\.(npy|npz|csv|json|png|parquet|safetensors)$")
    for path in [*(ROOT / "stages").glob("*.py"), *(ROOT / "whence").rglob("*.py")]:
        tree = ast.parse(path.read_text())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                assert not name.search(node.value), f"{path}:{node.lineno}: {node.value!r}"


def test_git_holds_no_artefact_that_no_stage_makes(stages):
    made = {out.def_path for stage in stages.values() for out in stage.outs}
    for folder in ("metrics", "plots", "roads/metrics", "roads/plots"):
        present = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*") if path.is_file()}
        single = {path for path in present if made.isdisjoint(map(str, Path(path).parents))}  # in no folder of a stage
        assert {path for path in single if not Path(path).name.startswith(".")} <= made


def test_the_lock_file_knows_the_code_as_it_is(stages):
    """Whoever changes code that a stage uses runs `dvc repro` and commits what comes of it."""
    for name, stage in stages.items():
        for dep in stage.deps:
            if dep.def_path in code(stage):
                assert not dep.changed_checksum(), f"{name}: {dep.def_path} changed since the last dvc repro"


ANCHORS = [f"<DVC_METRIC_{name}>" for name in ("TITLE", "DATA", "X", "Y")]


@pytest.mark.parametrize("path", sorted((ROOT / ".dvc/plots").iterdir()), ids=lambda path: path.stem)
def test_a_template_is_json_that_dvc_fills_and_some_plot_uses(path):
    content = json.loads(path.read_text())
    assert content["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    assert content["title"] == ANCHORS[0]
    assert content["data"] == {"values": ANCHORS[1]}
    text = path.read_text()
    assert all(anchor in text for anchor in ANCHORS)
    assert set(re.findall("<DVC_[A-Z_]+>", text)) <= {*ANCHORS, "<DVC_METRIC_X_LABEL>", "<DVC_METRIC_Y_LABEL>"}
    assert '"tooltip"' in text
    assert path.stem in {plot["template"] for entry in repositories.PLOTS for plot in entry.values()}


def test_every_plot_is_made_by_a_stage_and_has_labelled_axes(stages):
    """A title has every plot of one file; those of a folder are called as their files."""
    made = {out.def_path for stage in stages.values() for out in stage.outs}
    for name, plot in [pair for entry in repositories.PLOTS for pair in entry.items()]:
        inside = {path for path in made if path.startswith(f"{name}/")}
        assert name in made or inside, name
        assert ("title" in plot) != bool(inside), name
        assert plot["title"].isascii() if "title" in plot else True, "the page that DVC writes names no encoding"
        assert {"template", "x", "y"} <= set(plot)


def test_artifacts_are_networks_of_the_list(stages):
    made = {out.def_path for stage in stages.values() for out in stage.outs}
    for name, artifact in PIPELINE["artifacts"].items():
        assert set(artifact) == {"path", "type", "desc", "labels"}
        assert artifact["path"] == f"models/{name}.safetensors"
        assert artifact["path"] in made
        assert artifact["type"] == "model"
        assert artifact["labels"][0] == name.partition("-")[0]
    assert len(PIPELINE["artifacts"]) == 3


def test_dvc_shows_one_number_per_run(stages):
    """`dvc exp show` and `dvc metrics diff` list what is declared as a metric: a file per question."""
    shown = {out.def_path for stage in stages.values() for out in stage.outs if out.metric}
    assert shown == {
        *(f"metrics/{task}.json" for task in (*PARAMS["tasks"], "objects")),
        *(f"roads/metrics/{run}.json" for run in ROADS["runs"]),
    }


def test_the_table_of_experiments_fits_a_terminal():
    """DVC leaves out of its thousand columns what does not fit, and keeps the first figures and settings."""
    shown = repositories.run(ROOT, "dvc", "exp", "show").splitlines()
    assert max(map(len, shown)) <= 200
    assert re.split(r"\s{2,}", shown[1].strip())[:2] == ["Experiment", "Created"]
    assert next(iter(json.loads((ROOT / "metrics/origin.json").read_text()))) in shown[1]
    assert "params.yaml:source" in shown[1]
