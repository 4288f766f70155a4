"""The study script: what study.yaml names changes in params.yaml, and not a byte else."""

import copy
import importlib
import shutil
import sys
from pathlib import Path

import pytest
from dvc.utils.serialize import modify_yaml

from scripts import own, study
from whence import runs
from whence.base import settings, stage
from whence.base.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
PARAMS = """\
# The first line
source: sample       # where from
recipe: &recipe      # of all
  seeds: [0]         # one each
  epochs: 30
  augment: &augment  # by default
    flip: false
train:
  mlp: {<<: *recipe}
  small:
    <<: *recipe
    epochs: 20       # fewer
    augment: {<<: *augment, flip: true}
  same: *recipe
# What is run
runs:
  one: {task: fake, classifier: mlp}  # a remark on one
  two: {task: fake, classifier: small}

# The same for objects
object_runs:
  three: {train_on: real}

# The end
last: 1.0e-3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path


def put(named, params=PARAMS):
    """Return what params.yaml becomes."""
    Path("params.yaml").write_text(params)
    Path("study.yaml").write_text(named)
    study.main(Path("study.yaml"))
    return Path("params.yaml").read_text()


def lines(before, after):
    """The lines that went, and those that came."""
    return [x for x in before.splitlines() if x not in after.splitlines()], [
        x for x in after.splitlines() if x not in before.splitlines()
    ]


def test_a_list_of_runs_takes_the_place_of_the_other(here):
    new = "runs:\n  # all\n  two: {task: fake, classifier: small}\n  four: {task: origin}\n"
    after = put(f"# Of the study\n{new}# end\n")
    assert lines(PARAMS, after) == (
        ["  one: {task: fake, classifier: mlp}  # a remark on one"],
        ["  # all", "  four: {task: origin}"],
    )
    assert after.endswith(PARAMS[PARAMS.index("\n# The same for objects") :])


def test_a_value_changes_alone_and_its_remark_keeps_its_column(here):
    assert put("recipe: {seeds: [0, 1, 2]}\n") == PARAMS.replace("[0]         # one", "[0, 1, 2]   # one")
    assert put("recipe:\n  seeds: [0, 1, 2, 3, 4, 5, 6]\n") == PARAMS.replace(
        "[0]         #", "[0, 1, 2, 3, 4, 5, 6] #"
    )
    assert put("source: local\n") == PARAMS.replace("sample       #", "local        #")
    assert put("train: {small: {epochs: 5, augment: {flip: false}}}\n") == PARAMS.replace("20 ", "5  ").replace(
        "flip: true", "flip: false"
    )
    assert put("{last: 3, source: local}\n").endswith("# The end\nlast: 3\n")


def test_what_is_merged_follows_its_base(here):
    put("recipe: {seeds: [4]}\n")
    assert settings.value("train.mlp.seeds") == settings.value("train.same.seeds") == [4]
    assert settings.value("train.small") == {"seeds": [4], "epochs": 20, "augment": {"flip": True}}


@pytest.mark.parametrize(
    ("named", "key"),
    [
        ("train: {mlp: {seeds: [1]}}", "train.mlp.seeds"),
        ("train: {mlp: {augment: {flip: true}}}", "train.mlp.augment"),
        ("train: {same: {seeds: [1]}}", "train.same"),
        ("train: {big: {}}", "train.big"),
        ("recipe: {seed: 1}", "recipe.seed"),
        ("run: {}", "run"),
    ],
)
def test_what_is_not_written_out_is_refused_and_nothing_changes(here, named, key):
    with pytest.raises(InputError) as caught:
        put(named)
    assert str(caught.value).startswith(f"study.yaml: {key}: is not written out in params.yaml; write it there first")
    assert Path("params.yaml").read_text() == PARAMS


def test_an_anchor_that_others_need_is_not_lost(here):
    with pytest.raises(InputError, match="undefined alias"):
        put("recipe: {augment: null}\n")
    assert Path("params.yaml").read_text() == PARAMS
    assert sorted(path.name for path in here.iterdir()) == ["params.yaml", "study.yaml"]


@pytest.mark.parametrize("empty", ["runs: {}\n", "runs: {one: {task: fake}}\n", "runs:\n  one:\n    task: fake\n"])
def test_the_other_list_may_be_written_in_any_way(here, empty):
    after = put("runs:\n  a: {task: x}\n  b: {task: y}\n", f"first: 1\n{empty}last: 2\n")
    assert after == "first: 1\nruns:\n  a: {task: x}\n  b: {task: y}\nlast: 2\n"
    assert put("runs: {}\n", after) == "first: 1\nruns: {}\nlast: 2\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "study.yaml: cannot be read (No such file or directory)"),
        ("a: [", "study.yaml: not valid YAML"),
        ("- a\n", "study.yaml: expected sections such as 'train:', got list"),
        ("runs: {}\nruns: {}\n", "study.yaml: runs (line 2) stands twice"),
    ],
)
def test_what_is_no_study_is_one_message(here, monkeypatch, capsys, content, complaint):
    if content is not None:
        Path("study.yaml").write_text(content)
    monkeypatch.setattr(sys, "argv", ["study"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as end:
        stage.run(study.main)
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith(f"error: {complaint}")
    assert Path("params.yaml").read_text() == PARAMS


# The real files


@pytest.fixture
def real(tmp_path, monkeypatch):
    """A copy of the repository's params.yaml and study.yaml; the text of the former."""
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "study.yaml", "wildlife.yaml"):
        shutil.copy(ROOT / name, name)
    return Path("params.yaml").read_text()


def merged(content, changes):
    """What the content is to become, by the definition."""
    content = copy.deepcopy(content)
    for key, value in changes.items():
        deeper = key not in study.LISTS and isinstance(value, dict)
        content[key] = merged(content[key], value) if deeper else value
    return content


def test_the_whole_study_is_what_it_says(real):
    """Merge keys are followed by the text: `recipe` is merged before it is changed, so ask for the same of the text."""
    before, named = settings.read(), settings.read(Path("study.yaml"))
    study.main(Path("study.yaml"))
    after = settings.read()
    for key in before.keys() - {"train"}:
        assert after[key] == merged(before, named)[key], key
    assert after.keys() == before.keys()
    assert list(after["runs"]) == list(named["runs"]), "in the order of the study"
    for name, section in after["train"].items():
        inherited = {key: value for key, value in named["recipe"].items() if key in section}
        assert section == before["train"][name] | inherited | named.get("train", {}).get(name, {}), name


def test_every_remark_of_the_real_file_stays(real):
    study.main(Path("study.yaml"))
    after = Path("params.yaml").read_text()
    remarks = [line[line.index("#") :] for line in real.splitlines() if "#" in line]
    assert [line[line.index("#") :] for line in after.splitlines() if "#" in line] == remarks
    gone, _ = lines(real, after)
    assert [line.strip() for line in gone if not line.startswith("  ")] == [
        "object_controls: {}",
        "object_transfers: {}",
    ]
    assert after.count("<<: *") == real.count("<<: *")


def test_a_second_time_changes_nothing(real):
    study.main(Path("study.yaml"))
    once = Path("params.yaml").read_bytes()
    study.main(Path("study.yaml"))
    assert Path("params.yaml").read_bytes() == once


def test_the_wildlife_study_asks_what_params_yaml_knows(real, tmp_path):
    """Nothing but the path of the images is one's own; every run of it has settings, and every look at it a run."""
    for name in "abcdefghij":
        (tmp_path / "animals" / name).mkdir(parents=True)
        (tmp_path / "animals" / name / "1.jpg").touch()
    own.main("animals", tmp_path / "animals", 128)
    study.main(Path("wildlife.yaml"))
    content = settings.read()
    assert content["folders"]["animals"]["images"]["pixels"] == 128
    learnt = runs.of_question("animals")
    assert sorted(learnt) == sorted({**content["class_runs"], **content["class_transfers"]})
    for run in learnt.values():
        module = importlib.import_module(f"whence.classifiers.{run.classifier}")
        settings.load(f"train.{run.settings}", module.Settings)
    assert {run.weights for run in learnt.values() if hasattr(run, "weights")} <= content["weights"].keys()
    seen = {entry.run for entry in (*runs.maps().values(), *runs.mistakes().values()) if entry.task == "animals"}
    kept = {key for key, entry in content["hidden"].items() if entry["dataset"] == "animals"}
    assert seen <= kept == {*learnt} == {key for key in runs.examples() if key.startswith("animals")}
    plain, augmented = (content["train"][f"wildlife_cnn{name}"]["augment"] for name in ("", "_augmented"))
    assert not any(plain.values())
    assert sum(map(bool, augmented.values())) >= 3


def test_a_comment_keeps_its_column_where_a_value_of_several_lines_stood(here):
    after = put("runs: {b: 3,\n c: 44}\n", "runs: {b: 1,\n c: 2}   # said\n")
    assert after == "runs: {b: 3,\n c: 44}  # said\n"


def test_it_works_on_what_dvc_leaves_behind(real):
    """`dvc exp run -S` writes the file anew, in another layout; the values come out the same."""
    study.main(Path("study.yaml"))
    expected = settings.read()
    Path("params.yaml").write_text(real)
    with modify_yaml("params.yaml") as content:
        content["source"] = "sample"
    assert Path("params.yaml").read_text() != real
    study.main(Path("study.yaml"))
    assert settings.read() == expected


def test_the_study_of_the_road_scenes_changes_theirs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "roads", "roads", ignore=shutil.ignore_patterns("data", "models", "plots", "metrics"))
    shutil.copy(ROOT / "params.yaml", ".")
    before = settings.read(Path("roads/params.yaml"))
    study.main(Path("roads/study.yaml"), Path("roads/params.yaml"))
    named, after = settings.read(Path("roads/study.yaml")), settings.read(Path("roads/params.yaml"))
    assert after == before | named
    assert all(run["settings"] in after["train"] for run in after["runs"].values())
    assert Path("params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()
    study.main(Path("roads/weights.yaml"))
    weights = settings.read()["weights"]
    assert {run["weights"] for run in after["runs"].values()} | set(settings.read()["backbones"]) <= weights.keys()
    assert {section["encoder"] for section in after["train"].values()} == weights.keys()
