"""The list of runs in params.yaml: which classifier answers which task from which features."""

from typing import Annotated

from pydantic import Field, RootModel

from whence import settings


class Run(settings.Section):
    """One entry of section runs; its key names the stages train@key and evaluate@key, and their files."""

    task: str
    dataset: str
    features: str
    classifier: str


class Runs(RootModel[Annotated[dict[str, Run], Field(min_length=1)]]):
    """Section runs."""


def of_task(task: str) -> list[str]:
    """Return the keys of the task's runs, in the order of params.yaml; raises InputError if a run is malformed."""
    return [key for key, run in settings.load("runs", Runs).root.items() if run.task == task]
