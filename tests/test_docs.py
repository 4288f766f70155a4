"""The documentation's commands work, in the order in which it gives them."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from repositories import ROOT, commit, run

PAGES = sorted(str(path.relative_to(ROOT)) for folder in (ROOT, ROOT / "docs") for path in folder.glob("*.md"))
PLACEHOLDERS = {"/path/to/CINIC-10.tar.gz": "cinic10", "/path/to/archive.zip": "cifake"}
ENDPOINT = "https://s3.example.org"
FEWER = {"0.001,0.003,0.01,0.03,0.1,0.3,3,10,30,100": "0.001,3,30", "c-9": "c-3", "c-8": "c-2"}
"""Of the ten experiments that the page queues the test runs three."""
SET_UP = ("make repro", "make test", "git clone", "cd ", ". .venv")
"""Commands that other tests run, or that the test itself stands for."""


def commands(page):
    """Return the lines that begin with a prompt in the page's console blocks, continuation lines joined."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ").split(" #")[0].strip() for line in lines if line.startswith("$ ")]


@pytest.mark.pipeline
def test_the_commands_of_the_readme_run(repository, tmp_path):
    todo = "\n".join(command for command in commands("README.md") if not command.startswith(SET_UP))
    for placeholder, dataset in PLACEHOLDERS.items():
        archive = shutil.copy(repository / f"data/{dataset}/archive", tmp_path / Path(placeholder).name)
        assert placeholder in todo
        todo = todo.replace(placeholder, str(archive))
    run(repository, "bash", "-exc", todo)


@pytest.mark.pipeline
def test_the_commands_of_the_page_on_experiments_run(repository, s3):
    """In one shell, in the folder of the repository and in those that the page makes beside it."""
    text = (repository / "dvc.yaml").read_text()
    (repository / "dvc.yaml").write_text(text.replace("models/fake-small.", "models/fake-mlp."))  # as the list is small
    commit(repository, "an artifact that is in the list")
    todo = "\n".join(commands("docs/experiments.md"))
    for named, instead in ({ENDPOINT: s3} | FEWER).items():
        assert named in todo
        todo = todo.replace(named, instead)
    run(repository, "bash", "-exc", todo)


def test_make_targets_named_in_the_documentation_exist():
    text = "".join((ROOT / page).read_text() for page in PAGES)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)", text))
    named |= {command.split()[1] for page in PAGES for command in commands(page) if command.startswith("make ")}
    assert {"repro", "test", "check", "help", "bench"} <= named <= targets


def anchors(page):
    """Return what a `#` may name in a page: its headings as GitHub writes them."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)", (ROOT / page).read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = ((ROOT / page).parent / path if path else ROOT / page).resolve()
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.relative_to(ROOT)), target


@pytest.mark.parametrize(("map_", "page"), [("dvc.yaml", "pipeline"), ("roads/dvc.yaml", "road-scenes")])
def test_the_documentation_tells_every_stage(map_, page):
    stages = set(yaml.safe_load((ROOT / map_).read_text())["stages"])
    text = (ROOT / f"docs/{page}.md").read_text()
    table = next(part for part in text.split("\n\n") if part.startswith("| stage |"))
    told = re.findall(r"^\| `(\w+)` \| ", table, re.MULTILINE)
    assert sorted(told) == sorted(stages), "a row each"
