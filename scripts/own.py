"""Ask about your own images: `make own NAME=… IMAGES=…`, then `make repro`; `git checkout params.yaml` undoes it.

IMAGES is a folder of images, or an archive of one, with a folder for each class; a folder for each split may stand
around these. What is added to params.yaml: where the images are and how they are read (section folders), the question
of which class an image is, and runs that answer it: of two classes from chance to a network (a task), of more two
networks (classes). All of it may be changed there; the text that stands there stays as it is.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
import yaml

from scripts.study import Edit, composed, end, write
from whence import archive, pack
from whence.base import settings
from whence.base.errors import InputError, shown
from whence.base.stage import run
from whence.datasets import folder

LOOKED_AT = 100_000
"""Names, at most, that the layout is guessed from."""


def main(
    name: Annotated[str, typer.Argument(help="How to call them: small letters, digits and _.")],
    path: Annotated[Path, typer.Argument(help="The folder, or an archive.")],
    pixels: Annotated[int, typer.Option(help="Height and width to which the images are brought.")] = 64,
) -> None:
    """Add a dataset, a question and its runs to params.yaml."""
    text, params = composed(settings.PARAMS)
    taken = settings.read()
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name == "folder":
        raise InputError(f"{name}: cannot be a name; take small letters, digits and _, a letter first")
    if name in {*taken["datasets"], *taken["tasks"], *taken["objects"], *taken["folders"], "objects"}:
        raise InputError(f"{settings.PARAMS}: {name} is there already; take another name, or change it there")
    path = path.expanduser().resolve()
    if "'" in str(path):
        raise InputError(f"{path}: has a ' in its name, which the commands of the pipeline put around it; rename it")
    found = archive.listed(path) if path.is_dir() else archive.members(path)
    names = list(islice((each for each, _ in found if not pack.PASSED_OVER.search(each)), LOOKED_AT))
    layout, classes = guessed(names, path)
    write(text, edits(params, name, path, layout, classes, pixels))
    asked = f"{classes[0]} or {classes[1]}?" if len(classes) == 2 else f"which of {len(classes)}?"
    print(f"{settings.PARAMS}: {name}: {asked} Layout {layout}. `make repro` answers.")


def guessed(names: list[str], path: Path) -> tuple[str, list[str]]:
    """Return the layout of these paths and the classes; raises InputError if there are not two."""
    parts, split = [name.split("/") for name in names], False
    layout: list[str] = []
    while True:
        found = sorted({one[0] for one in parts if len(one) > 1})
        if found and not split and all(each.lower() in folder.SPLITS for each in found):
            layout, split = [*layout, "<split>"], True
        elif len(found) == 1 and not split and any(len(one) > 2 for one in parts):
            layout.append("*")
        else:
            break
        parts = [one[1:] for one in parts]
    if len(found) < 2:
        told = f"1 class:{shown(found)}" if found else "no folders, one for each class"
        raise InputError(
            f"{path}: holds {told}\nexpected a folder for each of two classes or more, splits around them or not"
        )
    return "/".join([*layout, "<class>" if len(found) == 2 else "<category>"]), found


def edits(
    params: yaml.MappingNode, name: str, path: Path, layout: str, classes: list[str], pixels: int
) -> Iterator[Edit]:
    """Yield what adds to the sections of params.yaml."""
    shares = "null, valid_share: null" if "split" in layout else "0.2, valid_share: 0.1"
    added = {
        "folders": (
            f"{name}:\n    path: {quoted(str(path))}\n"
            f"    images: {{pixels: {pixels}, filter: box, fit: crop, unreadable: 0}}\n"
            f"    rows: {{layout: {layout}, test_share: {shares}, cap: null, seed: 0}}"
        ),
    }
    added |= of_two(name, classes) if len(classes) == 2 else of_several(name, len(classes))
    nodes = {key.value: value for key, value in params.value}
    for section, lines in added.items():
        node = nodes[section]
        if node.flow_style and node.value:
            raise InputError(
                f"{settings.PARAMS}: {section}: stands on one line in braces; give each key a line of its own"
            )
        start = node.start_mark.index - 1 if node.flow_style else end(node)  # with the space before {}
        yield start, node.end_mark.index if node.flow_style else start, f"\n  {lines}"
    last, block = nodes["datasets"], f"\n{' ' * nodes['datasets'].start_mark.column}- {name}"
    stop = last.end_mark.index - 1 if last.flow_style else end(last)
    yield stop, stop, f", {name}" if last.flow_style else block


def of_two(name: str, classes: list[str]) -> dict[str, str]:
    """Return what is added for two classes: a task."""
    about, small = f"task: {name}, dataset: {name}", f"{name}-small_few"
    negative, positive = (quoted(each) for each in classes)
    return {
        "tasks": (
            f"{name}:\n    dataset: {name}\n    question: {quoted(f'{classes[0]} or {classes[1]}?')}\n"
            f"    label: domain\n    negative: {negative}\n    positive: {positive}"
        ),
        "runs": "\n  ".join(
            f"{name}-{run}: {{{about}, features: {features}, kind: {kind}, classifier: {kinds}, settings: {chosen}}}"
            for run, features, kind, kinds, chosen in (
                ("majority", "colour", "classical", "majority", "majority"),
                ("colour-logistic", "colour", "classical", "logistic", "logistic"),
                ("spectrum-logistic", "spectrum", "classical", "logistic", "logistic"),
                ("pixels-boosting", "pixels", "classical", "boosting", "boosting"),
                ("small_few", "images", "network", "small", "small_few"),
            )
        ),
        "maps": f"{name}-spectrum: {{{about}, features: spectrum, run: {small}}}",
        "mistakes": f"{small}-spectrum: {{{about}, run: {small}, features: spectrum}}",
        "corrupted": f"{small}: {{{about}, kind: network, classifier: small}}",
        "examples": f"{small}: {{section: tasks.{name}, dataset: {name}, classifier: small}}",
    }


def of_several(name: str, count: int) -> dict[str, str]:
    """Return what is added for more classes: a question of categories, and networks that answer it."""
    about = f"train_on: {name}, dataset: {name}, kind: network"
    named = {"small_few": "small", "wildlife_cnn": "wildlife_cnn"}
    return {
        "objects": f"{name}:\n    dataset: {name}\n    label: category\n    domains: {{all: 1.0}}\n    seed: 0",
        "classes": f"{name}:\n    dataset: {name}\n    question: which of {count}?",
        "class_runs": "\n  ".join(
            f"{name}-{run}: {{{about}, classifier: {classifier}, settings: {run}}}" for run, classifier in named.items()
        ),
        "class_maps": f"{name}-spectrum: {{task: {name}, dataset: {name}, features: spectrum, run: {name}-small_few}}",
        "class_mistakes": (
            f"{name}-small_few-spectrum: {{task: {name}, dataset: {name}, run: {name}-small_few, features: spectrum}}"
        ),
        "examples": "\n  ".join(
            f"{name}-{run}: {{section: objects.{name}, dataset: {name}, classifier: {classifier}}}"
            for run, classifier in named.items()
        ),
    }


def quoted(text: str) -> str:
    """Return a text as YAML, in quotes where it needs them."""
    return yaml.dump(text, allow_unicode=True, width=10**6).removesuffix("...\n").strip()


if __name__ == "__main__":
    run(main)
