"""What stands in the lists of roads/params.yaml: networks that are trained, and checkpoints that are taken over."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from whence.base import settings
from whence.base.settings import S, Section

Channels = Annotated[list[float], Field(min_length=3, max_length=3)]


class Run(Section):
    """Of the list `runs`: a network that is trained."""

    train_on: str
    classes: Literal["seven", "own"]
    settings: str
    """Section of train."""
    weights: str
    """The backbone whose weights the encoder begins with."""


class Checkpoint(Section):
    """Of the list `checkpoints`: a network that you have trained elsewhere, evaluated as it is."""

    train_on: str
    """What it has learnt from; as classes."""
    classes: Literal["seven", "own"]
    settings: str
    """Section of train that says what it is: encoder, output_stride, decoder, height."""
    file: str
    """State dict of a DeepLabV3Plus of segmentation-models-pytorch: a path, or a folder that holds nothing else."""
    mean: Channels
    """That its frames are normalised by, of R, G and B, in levels of 0 to 255; as std."""
    std: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=3, max_length=3)]


def all_of(params: Path) -> dict[str, Run | Checkpoint]:
    """Return both lists, by their keys."""
    return {**_listed("runs", Run, params), **_listed("checkpoints", Checkpoint, params)}


def _listed(name: str, kind: type[S], params: Path) -> dict[str, S]:
    listed = settings.value(name, params)
    return {key: settings.check(each, kind, f"{params}: {name}.{key}") for key, each in listed.items()}
