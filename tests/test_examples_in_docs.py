"""What docs/extending.md shows works as it stands there: written out, switched on, and run by DVC."""

import json
import re
import shlex

import pytest
import yaml
from repositories import ROOT, edit, run

PAGE = (ROOT / "docs/extending.md").read_text()
EXAMPLES = {part.splitlines()[0]: part for part in PAGE.split("\n## ")[1:] if "```python" in part}


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def named(text):
    """Return the files that a section writes out: path and content."""
    return dict(re.findall(r"^`([\w/]+\.py)`\n\n```python\n(.*?)```", text, re.MULTILINE | re.DOTALL))


def switch_on(params, text):
    """Put a section's lines of params.yaml into it, as its reader does: a list in its place, keys beside the others."""
    recipe = f"recipe: &recipe {json.dumps(params['recipe'])}\n"
    (block,) = blocks(text, "yaml")
    new = yaml.safe_load(recipe + block)
    for key, value in new.items():
        params[key] = params[key] | value if isinstance(value, dict) else value
    return new


def lines_of_code(source):
    return [line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def test_the_page_has_an_example_of_every_kind_of_entry():
    files = {title: list(named(text)) for title, text in EXAMPLES.items()}
    assert all(len(paths) == 1 for paths in files.values()), files
    folders = sorted(path.rpartition("/")[0] for (path,) in files.values())
    assert folders == ["whence/classifiers", "whence/classifiers", "whence/datasets", "whence/features"]
    assert len(blocks(PAGE, "python")) == len(EXAMPLES), "no code on the page goes untried"


def test_the_example_in_the_readme_is_one_of_them():
    (source,) = blocks((ROOT / "README.md").read_text(), "python")
    assert source in blocks(PAGE, "python")


@pytest.mark.parametrize("title", [title for title in EXAMPLES if title != "A dataset"])
def test_an_example_has_five_lines_at_most(title):
    for path, source in named(EXAMPLES[title]).items():
        assert len(lines_of_code(source)) <= 5, path


@pytest.mark.pipeline
@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_runs_as_it_stands(title, repository):
    text = EXAMPLES[title]
    for path, source in named(text).items():
        assert not (repository / path).exists(), "an example is new"
        (repository / path).write_text(source)
    new = {}
    edit(repository, lambda params: new.update(switch_on(params, text)))
    keys = {*new.get("runs", ()), *new.get("object_runs", ())}
    assert keys
    assert not any((repository / f"metrics/{key}.json").exists() for key in keys)
    (console,) = blocks(text, "console")
    for line in console.splitlines():
        run(repository, *shlex.split(line.removeprefix("$ ")))
    for key in keys:
        figures = json.loads((repository / f"metrics/{key}.json").read_text())
        assert 0 < figures["balanced_accuracy"] <= 1, key
    for task in new.get("tasks", ()):
        assert (repository / f"plots/tasks/{task}/leaderboard.png").exists()
