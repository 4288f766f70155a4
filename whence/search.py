"""The search for settings: which values are tried (Optuna), what stops early, how a search goes on after a break."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import optuna
from pydantic import Field, model_validator

from whence.base.settings import Section

Value = Any
"""Of a setting: a number, a text, a truth or nothing."""
optuna.logging.set_verbosity(optuna.logging.WARNING)
STRIDE = 1_000_003
"""More than any search has trials."""
DONE = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)


class Range(Section):
    """Numbers from `low` to `high`: whole ones where both are, evenly on a logarithmic scale where `log` says so."""

    low: float | int
    high: float | int
    log: bool

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("expected low below high, and above 0 where log is true")
        return self

    def suggest(self, trial: optuna.Trial, name: str) -> Value:
        """Return what the trial takes."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def holds(self, value: Any) -> bool:
        """Return whether a value could be suggested."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    @property
    def ends(self) -> tuple[Value, ...]:
        """Return values that stand for all."""
        return self.low, self.high


class Choices(Section):
    """One of a list of values."""

    choices: list[Value] = Field(min_length=2)

    def suggest(self, trial: optuna.Trial, name: str) -> Value:
        """Return what the trial takes."""
        return trial.suggest_categorical(name, self.choices)

    def holds(self, value: Any) -> bool:
        """Return whether a value could be suggested."""
        return value in self.choices

    @property
    def ends(self) -> tuple[Value, ...]:
        """Return all values."""
        return tuple(self.choices)


class Settings(Section):
    """Section tune.<search>."""

    trials: int = Field(ge=2)
    """Settings that are tried, those of params.yaml first."""
    sampler: Literal["random", "tpe"]
    pruner: Literal["none", "median", "hyperband"]
    """What stops a trial that falls behind the others on valid after as many epochs."""
    seed: int = Field(ge=0)
    space: dict[str, Range | Choices] = Field(min_length=1)
    """By the name of the setting, with dots for what stands deeper."""


def changed(content: dict[str, Any], values: dict[str, Value]) -> dict[str, Any]:
    """Return a copy of a section with values put at dotted paths, in sections of their own where there are none."""
    copy: dict[str, Any] = json.loads(json.dumps(content))
    for path, value in values.items():
        *outer, last = path.split(".")
        part = copy
        for key in outer:
            part = part.setdefault(key, {})
        part[last] = value
    return copy


def present(content: dict[str, Any], path: str) -> Any:
    """Return what stands at a dotted path; raises KeyError if nothing does."""
    part: Any = content
    for key in path.split("."):
        if not isinstance(part, dict):
            raise KeyError(path)
        part = part[key]
    return part


def study(journal: Path, section: Settings, start: dict[str, Value]) -> optuna.Study:
    """Return the search that `journal` holds, or a new one whose first trial is `start`; several processes may join."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
    made = optuna.create_study(storage=storage, study_name="search", load_if_exists=True, direction="minimize")
    if not made.trials:
        made.enqueue_trial(start)
    made.pruner = _pruner(section)
    return made


def run(made: optuna.Study, section: Settings, objective: Callable[[optuna.Trial], float]) -> None:
    """Try settings until as many as asked are done, by all processes together.

    What a trial draws comes from the seed and its number, so that a broken search goes on as it would have.
    """
    while len(made.get_trials(deepcopy=False, states=DONE)) < section.trials:
        seed = section.seed + STRIDE * len(made.get_trials(deepcopy=False))
        made.sampler = _sampler(section, seed)
        made.optimize(objective, n_trials=1)


def _sampler(section: Settings, seed: int) -> optuna.samplers.BaseSampler:
    if section.sampler == "random":
        return optuna.samplers.RandomSampler(seed)
    # The constant liar: what other processes are trying now counts as bad, so that they do not try the same.
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(10, section.trials // 2), constant_liar=True)


def _pruner(section: Settings) -> optuna.pruners.BasePruner:
    match section.pruner:
        case "none":
            return optuna.pruners.NopPruner()
        case "median":
            return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2)
        case "hyperband":
            return optuna.pruners.HyperbandPruner()
