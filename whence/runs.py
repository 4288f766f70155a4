"""The lists of runs in params.yaml: which classifier learns what, from which features of which images."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, RootModel

from whence import settings

Kind = Literal["classical", "network"]
SOURCES = {"sample": "drawn sample, not real data", "local": "local data", "published": "published data"}


class Run(settings.Section):
    """One entry of section runs; its key names the stages train@key and evaluate@key, and their files."""

    task: str
    dataset: str
    features: str
    kind: Kind
    classifier: str
    """A module in whence/classifiers."""
    settings: str
    """A key of section train: one classifier may have several."""


class ObjectRun(settings.Section):
    """One entry of section object_runs: a classifier of the ten categories, and the images that it learns from."""

    train_on: str
    """A key of section objects."""
    dataset: str
    kind: Kind
    classifier: str
    settings: str


class Map(settings.Section):
    """One entry of section maps: t-SNE of some features, and the run whose answers it shows."""

    task: str
    dataset: str
    features: str
    run: str


class Maps(RootModel[Annotated[dict[str, Map], Field(min_length=1)]]):
    """Section maps."""


class Runs(RootModel[Annotated[dict[str, Run], Field(min_length=1)]]):
    """Section runs."""


class ObjectRuns(RootModel[Annotated[dict[str, ObjectRun], Field(min_length=1)]]):
    """Section object_runs."""


def of_task(task: str) -> dict[str, Run]:
    """Return the task's runs, in the order of params.yaml; raises InputError if a run is malformed."""
    return {key: run for key, run in settings.load("runs", Runs).root.items() if run.task == task}


def of_objects() -> dict[str, ObjectRun]:
    """Return the runs of section object_runs, in the order of params.yaml; raises InputError if one is malformed."""
    return settings.load("object_runs", ObjectRuns).root


def maps() -> dict[str, Map]:
    """Return section maps, in the order of params.yaml; raises InputError if an entry is malformed."""
    return settings.load("maps", Maps).root


def shown(listed: Mapping[str, Run] | Mapping[str, Map]) -> dict[str, str]:
    """Return how pictures and tables call each entry: what stands on random weights says so."""
    drawn = random_weights()
    return {key: f"{key} (random weights)" if run.features in drawn else key for key, run in listed.items()}


def random_weights() -> set[str]:
    """Return the backbones whose weights are drawn at random."""
    return {name for name, section in settings.value("weights").items() if section["source"] == "random"}


def source() -> str:
    """Return where the images come from, as titles say it; raises InputError if params.yaml does not tell."""
    name = str(settings.value("source"))
    return SOURCES.get(name, name)
