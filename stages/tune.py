"""Search for the settings of a network: the valid rows alone judge, the test rows stay sealed."""

import hashlib
import json
import math
import multiprocessing
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import optuna
import yaml
from numpy.typing import NDArray

from whence import metrics, pictures, runs, search
from whence.base import settings
from whence.base.files import replacing
from whence.base.stage import run
from whence.table import tables
from whence.trials import Learner, Question


def main(
    name: str,
    task: str,
    classifier: str,
    settings_key: str,
    labels: Path,
    features: Path,
    trials: Path,
    figures: Path,
    chosen: Path,
    history_picture: Path,
    importance_picture: Path,
    parallel_picture: Path,
) -> None:
    """Search as section tune.<name> says; write all trials (csv), figures (json), pictures (png) and `chosen` (yaml).

    `python -m scripts.study <chosen>` puts the chosen settings into params.yaml. WHENCE_WORKERS=2 tries two settings at
    a time. What is broken off goes on where it stopped.
    """
    section = settings.load(f"tune.{name}", search.Settings)
    question = Question(task, classifier, settings_key, labels, features)
    learner = Learner(question, section)
    start = learner.begin(name)
    journal = _journal(question, section, learner.content)
    made = search.study(journal, section, start)
    _work(made, question, section, learner, journal, start)
    finished = [trial for trial in made.trials if trial.state in search.DONE]
    tables.write_csv(trials, _table(finished, section))
    best = made.best_trial
    content = {"train": {settings_key: search.changed({}, best.params)}}
    with replacing(chosen) as partial:
        partial.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    metrics.write(figures, _figures(finished, best))
    drawn = " (random weights)" if features.stem in runs.random_weights() else ""
    _draw(made, f"{name}{drawn}", history_picture, importance_picture, parallel_picture)
    journal.unlink(missing_ok=True)
    given = " ".join(f"-S train.{settings_key}.{path}={value}" for path, value in best.params.items())
    print(f"{len(finished)} trials; valid loss {best.value:.4f} with {given}")


def _journal(question: Question, section: search.Settings, content: dict[str, Any]) -> Path:
    """Return where a search keeps its trials until it is done: another one if anything differs that it depends on."""
    digest = hashlib.sha256(json.dumps([section.model_dump(), content, list(map(str, question))]).encode())
    for path in (question.labels, question.features):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    folder = Path(os.environ.get("DVC_ROOT", "."), ".checkpoints")
    folder.mkdir(exist_ok=True)
    return folder / f"search-{digest.hexdigest()[:16]}"


def _work(
    made: optuna.Study,
    question: Question,
    section: search.Settings,
    learner: Learner,
    journal: Path,
    start: dict[str, search.Value],
) -> None:
    """Try settings in this process, and in as many others as WHENCE_WORKERS says beside it."""
    context, count = multiprocessing.get_context("spawn"), int(os.environ.get("WHENCE_WORKERS", "1"))
    beside = [context.Process(target=_join, args=(question, section, journal, start)) for _ in range(count - 1)]
    for process in beside:
        process.start()
    try:
        search.run(made, section, learner)
        for process in beside:
            process.join()
    finally:
        for process in beside:
            process.terminate()


def _join(question: Question, section: search.Settings, journal: Path, start: dict[str, search.Value]) -> None:
    search.run(search.study(journal, section, start), section, Learner(question, section))


def _table(finished: list[optuna.trial.FrozenTrial], section: search.Settings) -> dict[str, NDArray[Any]]:
    """Return a line per trial, those of params.yaml first; one that was stopped early has no loss."""
    states = {optuna.trial.TrialState.PRUNED: "stopped early"}
    columns: dict[str, list[Any]] = {
        "trial": list(range(len(finished))),
        "state": [states.get(trial.state, "complete") for trial in finished],
        "valid_loss": [trial.value if trial.state not in states else "" for trial in finished],
        "valid_accuracy": [trial.user_attrs.get("accuracy", "") for trial in finished],
        "epochs": [trial.user_attrs.get("epochs", len(trial.intermediate_values)) for trial in finished],
    }
    columns |= {path: [trial.params[path] for trial in finished] for path in section.space}
    return {name: np.array(column, object) for name, column in columns.items()}


def _figures(finished: list[optuna.trial.FrozenTrial], best: optuna.trial.FrozenTrial) -> dict[str, Any]:
    first = finished[0]
    stopped = sum(trial.state == optuna.trial.TrialState.PRUNED for trial in finished)
    return {
        "trials": len(finished),
        "stopped_early": stopped,
        "first_valid_loss": round(first.value or math.nan, metrics.DECIMALS),
        "best_valid_loss": round(best.value or math.nan, metrics.DECIMALS),
        "first_valid_accuracy": round(first.user_attrs["accuracy"], metrics.DECIMALS),
        "best_valid_accuracy": round(best.user_attrs["accuracy"], metrics.DECIMALS),
    }


def _draw(made: optuna.Study, title: str, history: Path, importance: Path, parallel: Path) -> None:
    from optuna.importance import FanovaImportanceEvaluator
    from optuna.visualization import matplotlib as drawn

    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    told: dict[str, Any] = {"target_name": "valid loss"}
    evaluator = FanovaImportanceEvaluator(seed=0)
    many: list[tuple[Path, str, Callable[[], Any]]] = [
        (history, "trials", lambda: drawn.plot_optimization_history(made, **told)),
        (importance, "importance", lambda: _or_why_not(drawn.plot_param_importances, made, evaluator, told)),
        (parallel, "settings", lambda: drawn.plot_parallel_coordinate(made, **told)),
    ]
    for path, what, draw in many:
        with plt.style.context("default"), plt.rc_context({"savefig.bbox": "tight"}):
            axes = draw()
            axes.set_title("", loc="left")  # where Optuna puts one of its own
            axes.set_title(f"{title}: {what}")
            pictures.save(axes.figure, path)


def _or_why_not(draw: Callable[..., Any], made: optuna.Study, evaluator: Any, told: dict[str, Any]) -> Any:
    """Draw the importance of settings; where too few trials were finished to tell, write that instead."""
    try:
        return draw(made, evaluator=evaluator, **told)
    except (RuntimeError, ValueError) as error:
        axes = plt.subplots()[1]
        axes.text(0.5, 0.5, str(error), ha="center", va="center", wrap=True)
        return axes


if __name__ == "__main__":
    run(main)
