"""The list of runs in params.yaml: which classifier answers which task from which features."""

from pydantic import Field

from whence import settings


class Run(settings.Section):
    """One entry of section runs; its key names the stages train@key and evaluate@key, and their files."""

    task: str
    dataset: str
    features: str
    classifier: str


class Runs(settings.Section):
    """Section runs."""

    runs: dict[str, Run] = Field(min_length=1)


def of_task(task: str) -> list[str]:
    """Return the keys of the task's runs, in the order of params.yaml; raises InputError if a run is malformed."""
    listed = settings.check({"runs": settings.value("runs")}, Runs, str(settings.PARAMS)).runs
    return [key for key, run in listed.items() if run.task == task]
