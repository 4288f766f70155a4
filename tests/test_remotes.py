"""What is pushed to a remote serves a clone elsewhere: nothing is made a second time."""

import re

import pytest
from repositories import commit, run

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
