"""Turn params.yaml into the full study: `python -m scripts.study`, and `git checkout params.yaml` goes back.

`python -m scripts.study roads/study.yaml roads/params.yaml` does so with the road scenes.

The lists of runs in study.yaml take the place of those in params.yaml; of its other sections the values do that are
named there, and they must be written out in params.yaml: what `<<` or an alias takes over belongs to others too. Only
their text changes: comments, merges and lines stay as they are.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from whence.base import settings
from whence.base.errors import InputError
from whence.base.files import replacing
from whence.base.stage import run

LISTS = (
    *("weights", "derived", "runs", "controls", "transfers", "object_runs", "object_controls", "object_transfers"),
    *("class_runs", "class_transfers", "class_maps", "class_mistakes", "checkpoints"),
    *("searches", "hidden", "mistakes", "corrupted", "attacked", "false_alarms", "examples", "head_examples"),
)
Edit = tuple[int, int, str]
"""What stands from one place to another is replaced by a text."""


def main(
    study: Annotated[Path, typer.Argument()] = Path("study.yaml"),
    params: Annotated[Path, typer.Argument()] = settings.PARAMS,
) -> None:
    """Change params.yaml by what a file says."""
    (text, changed), (wanted, named) = composed(params), composed(study)
    write(text, edits(changed, named, wanted, study, params), params)


def write(text: str, changes: Iterable[Edit], params: Path = settings.PARAMS) -> None:
    """Make params.yaml a text with changes, from its end on; a comment on the line of one keeps its column."""
    for start, stop, new in sorted(changes, reverse=True):
        changed = text[:start] + new
        text = changed + _aligned(text[stop:], _column(changed) - _column(text[:stop]))
    with replacing(params) as partial:
        partial.write_text(text, encoding="utf-8")
        settings.read(partial)  # nothing is changed where what came of it is no YAML, an anchor being gone


def composed(path: Path) -> tuple[str, Any]:
    """Return a file's text, and the mapping of nodes that it is."""
    settings.read(path)  # refuses what is no mapping, and repeated keys
    text = path.read_text(encoding="utf-8")
    return text, yaml.compose(text, yaml.SafeLoader)


def edits(
    params: yaml.MappingNode,
    named: yaml.MappingNode,
    text: str,
    study: Path,
    where: Path = settings.PARAMS,
    path: tuple[str, ...] = (),
) -> Iterator[Edit]:
    """Yield what makes every value that `named` holds stand in `params`, however deep; `text` is where `named` stands.

    Raises InputError for a value that is not written out in `params`.
    """
    own = {key.value: (key, value) for key, value in params.value}
    for key, value in named.value:
        here = (*path, key.value)
        place, old = own.get(key.value, (key, None))
        if old is None or old.start_mark.index < place.start_mark.index:
            way_out = "write it there first, or take it out"
            raise InputError(f"{study}: {'.'.join(here)}: is not written out in {where}; {way_out}")
        if key.value not in LISTS and isinstance(value, yaml.MappingNode) and isinstance(old, yaml.MappingNode):
            yield from edits(old, value, text, study, where, here)
        else:
            yield place.end_mark.index, end(old), text[key.end_mark.index : end(value)]


def end(node: yaml.Node) -> int:
    """Return where the text of a node ends: PyYAML puts the end of a block behind the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return end(last[1] if isinstance(node, yaml.MappingNode) else last)
    return node.end_mark.index


def _column(text: str) -> int:
    """Return how long the last line of a text is."""
    return len(text) - text.rfind("\n") - 1


def _aligned(rest: str, grown: int) -> str:
    """Return what follows a value; a comment on its line keeps its column where there is room."""
    bare = rest.lstrip(" ")
    if not bare.startswith("#"):
        return rest
    return " " * max(1, len(rest) - len(bare) - grown) + bare


if __name__ == "__main__":
    run(main)
