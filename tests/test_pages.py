"""What stands beside README and code: pages whose commands run, cards with figures that were measured, the citation."""

import re
import shlex

import pytest
import yaml
from repositories import ROOT, run
from test_docs import PAGES, SET_UP, commands

from whence.classifiers import best, small

RUN_HERE = ("docs/networks.md", "docs/pipeline.md")
RUN_ELSEWHERE = {
    "README.md": "test_docs.py",
    "docs/experiments.md": "test_docs.py",
    "docs/extending.md": "test_examples_in_docs.py",
    "docs/your-images.md": "test_pipeline.py",
    "docs/road-scenes.md": "test_pipeline.py, and test_study.py on its study",
    "CONTRIBUTING.md": "are these tests",
    "docs/results.md": "need the real archives; their output is what the page shows",
}
CARDS = ("README.md", "docs/model-card.md", "docs/data-cifake.md", "docs/data-cinic10.md")


def test_no_page_has_commands_that_nobody_runs():
    assert {page for page in PAGES if commands(page)} <= {*RUN_HERE, *RUN_ELSEWHERE}


@pytest.mark.pipeline
@pytest.mark.parametrize("page", RUN_HERE)
def test_the_commands_of_a_page_run(page, repository):
    todo = [command for command in commands(page) if not command.startswith(SET_UP)]
    assert todo
    for command in todo:
        if command.startswith("python -m scripts.study plots/tune/") and page == "docs/networks.md":
            assert (repository / command.split()[-1]).exists(), "the search wrote it"
        run(repository, *shlex.split(command))


@pytest.mark.pipeline
def test_a_model_is_loaded_as_the_page_says(repository):
    """With the network of the small repository in the place of the page's."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/pipeline.md").read_text(), re.DOTALL)
    assert "models/fake-small.json" in block
    images = "import numpy\nimages = numpy.load('data/cifake/images.npy')[:3]\n"
    *setting, asked = block.replace("small", "mlp").strip().splitlines()
    shown = run(repository, "python", "-c", images + "\n".join([*setting, f"print({asked.split('  #')[0]})"]))
    assert shown.startswith("['real' 'fake'] [[0.")


@pytest.mark.parametrize("page", CARDS)
def test_intervals_in_readme_and_cards_were_measured(page):
    """Every figure with an interval stands in docs/results.md, in the same digits."""
    measured = (ROOT / "docs/results.md").read_text()
    for figure in re.findall(r"0?\.[0-9]+ \[[^\]]+\]", (ROOT / page).read_text()):
        assert figure in measured, figure


def test_readme_is_short_and_its_table_is_not_empty():
    text = (ROOT / "README.md").read_text()
    assert text.count("\n") <= 220
    assert len(re.findall(r"0\.[0-9]+ \[", text)) >= 16


@pytest.mark.parametrize("module", [small, best], ids=["small", "best"])
def test_the_model_card_knows_how_many_parameters_there_are(module):
    found = re.search(
        r"With one\s+output at 32×32×3: ([0-9,]+ parameters)", module.__doc__
    )  # test_networks.py counts them
    assert found[1] in (ROOT / "docs/model-card.md").read_text()


def test_the_citation_names_what_it_has_to():
    """The keys that version 1.2.0 of the Citation File Format requires, and the papers of both datasets."""
    about = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert about["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license", "version"} <= about.keys()
    assert about["authors"] == [{"name": "The Whence authors"}]
    assert f'version = "{about["version"]}"' in (ROOT / "pyproject.toml").read_text()
    papers = {paper["identifiers"][0]["value"] for paper in about["references"]}
    assert papers == {"arXiv:1810.03505", "arXiv:2303.14126"}
    for paper in about["references"]:
        assert {"type", "title", "authors"} <= paper.keys()
        assert all({"given-names", "family-names"} == author.keys() for author in paper["authors"])


def test_the_licence_is_the_one_that_is_named():
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["license"] == "MIT"
