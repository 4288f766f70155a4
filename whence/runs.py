"""The lists of runs in params.yaml: which classifier learns what, from which features of which images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, RootModel

from whence.base import settings

Kind = Literal["classical", "network"]
OWN = "your own images"
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


class Transfer(Run):
    """One entry of section transfers: a run that begins with the weights of a backbone."""

    weights: str


class Control(Run):
    """One entry of section controls: a run on a derived dataset, and the run that it is held against."""

    against: str
    """A key of section runs, on the dataset that the other is derived from."""


class Controls(RootModel[Annotated[dict[str, Control], Field(min_length=1)]]):
    """Section controls."""


class ObjectControl(ObjectRun):
    """One entry of section object_controls: the same for the ten categories, learnt from one domain."""

    cinic10: str
    """What is tested in place of CINIC-10: itself, or a dataset derived from it."""
    cifake: str
    """What is tested in place of CIFAKE."""
    against: str
    """A key of section object_runs."""


class ObjectControls(RootModel[dict[str, ObjectControl]]):
    """Section object_controls."""


class ObjectTransfer(ObjectRun):
    """One entry of section object_transfers, the same for the ten categories."""

    weights: str


class Question(settings.Section):
    """Section classes.<name>: which of several categories are your own images of? Asked of what objects.<name> says."""

    dataset: str
    question: str


class Map(settings.Section):
    """One entry of section maps: t-SNE of some features, and the run whose answers it shows."""

    task: str
    dataset: str
    features: str
    run: str


class Maps(RootModel[Annotated[dict[str, Map], Field(min_length=1)]]):
    """Section maps."""


class ClassMaps(RootModel[dict[str, Map]]):
    """Section class_maps: the same for questions of section classes."""


class Mistake(settings.Section):
    """One entry of section mistakes: the test rows that a run gets wrong, looked at in the space of some features."""

    task: str
    dataset: str
    run: str
    features: str


class Mistakes(RootModel[Annotated[dict[str, Mistake], Field(min_length=1)]]):
    """Section mistakes."""


class ClassMistakes(RootModel[dict[str, Mistake]]):
    """Section class_mistakes: the same for questions of section classes."""


class Corrupted(settings.Section):
    """One entry of section corrupted, a key of runs: one of images, that is asked about corrupted ones."""

    task: str
    dataset: str
    kind: Kind
    classifier: str


class AllCorrupted(RootModel[Annotated[dict[str, Corrupted], Field(min_length=1)]]):
    """Section corrupted."""


class Attacked(settings.Section):
    """One entry of section attacked, a key of runs: a network of images."""

    task: str
    dataset: str
    classifier: str


class FalseAlarm(settings.Section):
    """One entry of section false_alarms, a key of runs: one of images, that is asked about another dataset."""

    task: str
    dataset: str
    kind: Kind
    classifier: str
    asked: str
    """The other dataset."""


class FalseAlarms(RootModel[Annotated[dict[str, FalseAlarm], Field(min_length=1)]]):
    """Section false_alarms."""


class Example(settings.Section):
    """One entry of section examples, a key of any list of runs: a network of images, whose answers are shown."""

    section: str
    """What it is asked: tasks.<name> or objects.<name>."""
    dataset: str
    classifier: str


class Examples(RootModel[dict[str, Example]]):
    """Section examples."""


class HeadExample(Example):
    """One entry of section head_examples: a network on the features of a backbone."""

    features: str
    """The backbone."""


class HeadExamples(RootModel[dict[str, HeadExample]]):
    """Section head_examples."""


class AllAttacked(RootModel[Annotated[dict[str, Attacked], Field(min_length=1)]]):
    """Section attacked."""


class Runs(RootModel[Annotated[dict[str, Run], Field(min_length=1)]]):
    """Section runs."""


class ObjectRuns(RootModel[Annotated[dict[str, ObjectRun], Field(min_length=1)]]):
    """Section object_runs."""


class ClassRuns(RootModel[dict[str, ObjectRun]]):
    """Section class_runs: as object_runs, `train_on` being a question of section classes."""


class ClassTransfers(RootModel[dict[str, ObjectTransfer]]):
    """Section class_transfers."""


class Transfers(RootModel[dict[str, Transfer]]):
    """Section transfers."""


class ObjectTransfers(RootModel[dict[str, ObjectTransfer]]):
    """Section object_transfers."""


def of_task(task: str) -> dict[str, Run]:
    """Return the task's runs and transfers, in the order of params.yaml; raises InputError if one is malformed."""
    listed = settings.load("runs", Runs).root | settings.load("transfers", Transfers).root
    return {key: run for key, run in listed.items() if run.task == task}


def of_objects() -> dict[str, ObjectRun]:
    """Return all of object_runs and object_transfers, in the order of params.yaml; raises InputError as `of_task`."""
    return settings.load("object_runs", ObjectRuns).root | settings.load("object_transfers", ObjectTransfers).root


def of_question(question: str) -> dict[str, ObjectRun]:
    """Return those of class_runs and class_transfers that ask a question of section classes, as `of_task`."""
    runs = settings.load("class_runs", ClassRuns).root
    listed: dict[str, ObjectRun] = {**runs, **settings.load("class_transfers", ClassTransfers).root}
    return {key: run for key, run in listed.items() if run.train_on == question}


def maps() -> dict[str, Map]:
    """Return sections maps and class_maps, in the order of params.yaml; raises InputError if an entry is malformed."""
    return settings.load("maps", Maps).root | settings.load("class_maps", ClassMaps).root


def mistakes() -> dict[str, Mistake]:
    """Return sections mistakes and class_mistakes, in the order of params.yaml; raises InputError as `maps`."""
    return settings.load("mistakes", Mistakes).root | settings.load("class_mistakes", ClassMistakes).root


def corrupted() -> dict[str, Corrupted]:
    """Return section corrupted, in the order of params.yaml; raises InputError if an entry is malformed."""
    return settings.load("corrupted", AllCorrupted).root


def examples() -> dict[str, Example]:
    """Return sections examples and head_examples, in the order of params.yaml; raises InputError as `maps`."""
    return settings.load("examples", Examples).root | settings.load("head_examples", HeadExamples).root


def attacked() -> dict[str, Attacked]:
    """Return section attacked, in the order of params.yaml; raises InputError if an entry is malformed."""
    return settings.load("attacked", AllAttacked).root


def false_alarms() -> dict[str, FalseAlarm]:
    """Return section false_alarms, in the order of params.yaml; raises InputError if an entry is malformed."""
    return settings.load("false_alarms", FalseAlarms).root


def controls() -> dict[str, Control]:
    """Return section controls, in the order of params.yaml; raises InputError if an entry is malformed."""
    return settings.load("controls", Controls).root


def object_controls() -> dict[str, ObjectControl]:
    """Return section object_controls, in the order of params.yaml; raises InputError if an entry is malformed."""
    return settings.load("object_controls", ObjectControls).root


def shown(listed: Mapping[str, settings.Section]) -> dict[str, str]:
    """Return how pictures and tables call each entry: what stands on random weights says so."""
    drawn = random_weights()
    # The features may be those of a run, whose name holds the backbone that it stands on.
    uses = {key: f"{getattr(entry, 'features', '')}-{getattr(entry, 'weights', '')}" for key, entry in listed.items()}
    return {key: f"{key} (random weights)" if drawn & {*used.split("-")} else key for key, used in uses.items()}


def random_weights() -> set[str]:
    """Return the backbones whose weights are drawn at random."""
    return {name for name, section in settings.value("weights").items() if section["source"] == "random"}


def source(*datasets: str) -> str:
    """Return where the images come from, as titles say it; raises InputError if params.yaml does not tell.

    Of some datasets, derived ones too, where these are: what no module of whence/datasets knows are your own images.
    """
    name = str(settings.value("source"))
    common = SOURCES.get(name, name)
    return " and ".join(dict.fromkeys(OWN if own(dataset) else common for dataset in datasets)) or common


def sources(listed: Mapping[str, Any]) -> str:
    """Return where the images of all these entries come from."""
    return source(*(entry.dataset for entry in listed.values()))


def own(dataset: str) -> bool:
    """Return whether a dataset, or what it is derived from, is one of your own images (section folders)."""
    return not (Path(__file__).parent / "datasets" / f"{dataset.partition('-')[0]}.py").exists()
