"""What is pushed to a remote serves a clone elsewhere: nothing is made a second time."""

import re
import shlex
import subprocess

import pytest
import yaml
from repositories import QUIET, ROOT, commit, run

pytestmark = pytest.mark.pipeline
MADE = ("data/cifake/images.npy", "models/fake-mlp.safetensors", "metrics/fake.json", "plots/tasks/fake/roc.csv")


def clone(repository, folder):
    run(folder.parent, "git", "clone", "-q", str(repository), str(folder))
    return folder


def check_complete(folder, repository):
    """Nothing runs in this clone, git has nothing to say of it, and its files are those of the first."""
    output = run(folder, "dvc", "repro")
    assert "up to date" in output
    assert not re.search("Running stage", output)
    assert run(folder, "git", "status", "--porcelain") == ""
    for name in MADE:
        assert (folder / name).read_bytes() == (repository / name).read_bytes(), name


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_a_clone_that_pulls_runs_nothing(repository, tmp_path, s3, where):
    url = {"folder": str(tmp_path / "remote"), "s3": "s3://bucket/whence"}[where]
    run(repository, "dvc", "remote", "add", "--default", "store", url)
    if where == "s3":
        run(repository, "dvc", "remote", "modify", "store", "endpointurl", s3)
    commit(repository, "a remote")
    assert re.search(r"\d+ files pushed", run(repository, "dvc", "push"))
    pulled, by_repro = (clone(repository, tmp_path / name) for name in ("pulled", "by repro"))
    assert not (pulled / MADE[0]).exists()
    assert re.search(r"\d+ files? (fetched|added)", run(pulled, "dvc", "pull"))
    assert "Running stage" not in run(by_repro, "dvc", "repro", "--pull")
    for folder in (pulled, by_repro):
        check_complete(folder, repository)


def test_checkouts_that_share_a_cache_hold_every_file_once(repository, tmp_path):
    other = clone(repository, tmp_path / "other")
    run(other, "dvc", "cache", "dir", "--local", str(repository / ".dvc/cache"))
    run(other, "dvc", "checkout")
    check_complete(other, repository)
    assert not (other / ".dvc/cache").exists()
    assert (other / MADE[0]).stat().st_nlink > 1, "linked, not copied"


def test_an_artifact_is_had_by_its_name(repository, tmp_path):
    """From the commit that an annotated tag <name>@v<version> marks."""
    text = (repository / "dvc.yaml").read_text()
    (repository / "dvc.yaml").write_text(text.replace("path: models/fake-small.", "path: models/fake-mlp."))
    assert text != (repository / "dvc.yaml").read_text()
    commit(repository, "an artifact that is in the list")
    run(repository, "git", "tag", "--annotate", "fake-small@v1.0.0", "--message", "The first")
    run(repository, "dvc", "artifacts", "get", str(repository), "fake-small", "--out", str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == (repository / "models/fake-mlp.safetensors").read_bytes()


@pytest.fixture
def hub(repository, tmp_path):
    """A server's git repository and a remote in a folder, both with all of `repository`, and a list of experiments."""
    run(repository, "dvc", "remote", "add", "--default", "store", str(tmp_path / "remote"))
    lines = [f"c-{k} --set-param train.logistic.C={value} 'compare@fake'" for k, value in enumerate((0.1, 10), 1)]
    (repository / "grid.txt").write_text("\n".join(lines) + "\n")
    commit(repository, "a remote and a grid")
    run(repository, "dvc", "push")
    run(tmp_path, "git", "clone", "-q", "--bare", str(repository), "hub.git")
    run(repository, "git", "remote", "add", "origin", str(tmp_path / "hub.git"))
    return tmp_path / "hub.git"


def test_an_array_job_runs_a_line_each_on_machines_that_have_nothing_yet(repository, hub, tmp_path, monkeypatch):
    """Two tasks at once, as SLURM starts them; what they made is had by name, and only what changed was run."""
    script, grid = str(repository / "scripts/experiment.sh"), str(repository / "grid.txt")
    (tmp_path / "node").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "node"))
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    tasks = []
    for number in ("1", "2"):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", number)
        pipe = subprocess.PIPE
        tasks.append(subprocess.Popen([script, str(hub), grid], stdout=pipe, stderr=subprocess.STDOUT, text=True))
    for task in tasks:
        said, _ = task.communicate()
        assert task.returncode == 0, said
        ran = re.findall(r"Running stage '(\w+)@fake[a-z-]*'", said)
        assert sorted(ran) == ["compare", "evaluate", "evaluate_control", "train", "train_control"]
    assert not list((tmp_path / "node").iterdir()), "the machine is as it was"
    listed = run(repository, "dvc", "exp", "list", "--all-commits", "--name-only", "origin").split()
    assert sorted(listed) == ["c-1", "c-2"]
    run(repository, "dvc", "exp", "pull", "origin", "c-1", "c-2")
    assert "train.logistic.C" in run(repository, "dvc", "params", "diff", "c-1", "c-2")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "expected a repository and a file of experiments"),
        (["somewhere", "grid.txt"], "which line of grid.txt? Say it last, or start an array job"),
        (["somewhere", "grid.txt", "2"], "grid.txt: has no line 2"),
        (["somewhere", "absent.txt", "1"], "absent.txt: there is no such file"),
    ],
)
def test_an_experiment_that_is_not_told_is_asked_for(tmp_path, monkeypatch, arguments, complaint):
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    (tmp_path / "grid.txt").write_text("c-1 compare@fake\n")
    said = run(tmp_path, str(ROOT / "scripts/experiment.sh"), *arguments, code=1)
    assert said.startswith(f"error: {complaint}")


def test_the_task_of_a_cloud_is_that_of_an_array(repository):
    """SkyPilot starts `run` in the folder that it has copied, with `envs` as it is told them."""
    task = yaml.safe_load((ROOT / "scripts/sky.yaml").read_text())
    assert task["workdir"] == "."
    assert task["envs"].keys() == {"REPOSITORY", "LINE"}
    told = {"REPOSITORY": "a b", "LINE": "7"}
    said = run(repository, "bash", "-c", task["run"].replace("scripts/experiment.sh", "printf '%s\n'"), **told)
    assert said.splitlines() == ["a b", f"{repository}/grid.txt", "7"]
    assert (repository / shlex.split(task["run"])[0]).stat().st_mode & 0o111
