"""Open the test splits of every domain for a model of several categories, whichever domain it was trained on."""

import importlib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from whence import calibration, jpeg, metrics, models, multiclass
from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.table import rows, tables
from whence.table.rows import Labels
from whence.table.tasks import Objects

HEADLINE = ("balanced_accuracy", "mcc")
DATASETS = ("cinic10", "cifake")
CIFAR = ("cifar", "real")
"""The domains that are photographs of CIFAR-10."""


class Settings(settings.Section):
    """Section cross."""

    jpeg_quality: dict[str, Annotated[int, Field(ge=1, le=95)]]
    """Datasets of JPEGs: a model that was trained on one sees the images of others through JPEG of this quality."""

    @field_validator("jpeg_quality")
    @classmethod
    def _exist(cls, quality: dict[str, int]) -> dict[str, int]:
        if not set(quality) <= set(DATASETS):
            raise ValueError(f"expected datasets among {', '.join(DATASETS)}")
        return quality


class Answers(NamedTuple):
    """The valid and test rows of a dataset, a column each, (n,), and what each member of the model says of them."""

    dataset: str
    row: NDArray[np.int64]
    split: tables.Strings
    domain: tables.Strings
    clean: NDArray[np.bool_]
    actual: tables.Strings
    proba: NDArray[np.float64]
    """(members, n, K), the probability of each category."""


def main(
    train_on: str,
    kind: str,
    classifier: str,
    weights: Path,
    card: Path,
    scores: Path,
    headline: Path,
    full: Path,
    confusion: Path,
    calibrated: Path,
    data: list[str],
) -> None:
    """Score valid and test rows of datasets; write predictions and confusion (csv), metrics by domain (json).

    `calibrated` (json) holds the temperature of each member, from the valid rows that training chose by. `data` has
    three parts for each dataset that is asked: its name, the path of its labels (csv), the path of its images (.npy).
    """
    entry = importlib.import_module(f"whence.classifiers.{classifier}")
    estimator = importlib.import_module(f"whence.estimators.{kind}.estimator")
    cross, section = settings.load("cross", Settings), settings.load("evaluate.metrics", metrics.Settings)
    asked = settings.load(f"objects.{train_on}", Objects)
    model = estimator.Estimator.load(entry, weights, card)
    names: list[str] = model.classes_.tolist()
    answers = []
    files = {data[k]: (Path(data[k + 1]), Path(data[k + 2])) for k in range(0, len(data), 3)}
    known = {dataset: rows.read(labels) for dataset, (labels, _) in files.items()}
    for dataset, (labels, images) in files.items():
        table, array = known[dataset], arrays.read(images)
        rows.check_aligned(table, array, images)
        _check_known(table.category, names, card, labels)
        quality = None if dataset == asked.dataset else cross.jpeg_quality.get(asked.dataset)
        answers.append(_answers(model, dataset, table, array, _clean(known, dataset, asked), quality))
    epochs = float(np.mean(model.best_epoch))
    (own,) = (part for part in answers if part.dataset == asked.dataset)
    calibration.write(calibrated, _temperatures(own, asked.chosen(known[asked.dataset]), names))
    _write_metrics(_summaries(answers, names, section), asked.domains, epochs, headline, full)
    _write_scores(answers, names, scores)
    _write_confusion(answers, names, confusion)


def _check_known(category: tables.Strings, names: Sequence[str], card: Path, labels: Path) -> None:
    strangers = sorted(set(category.tolist()) - set(names))
    if strangers:
        found = f"the model knows {', '.join(map(str, names))}, not the {strangers[0]!r} of {labels}"
        raise InputError(f"{card}: {found}; train it on images of every category, then run dvc repro")


def _clean(known: dict[str, Labels], dataset: str, asked: Objects) -> NDArray[np.bool_]:
    """Return (N,) whether a row is one of test that the model cannot have seen in training, in whatever coding.

    Within a dataset by pixels. Across them by name: CINIC-10's `cifar10-train-…` are images of CIFAR-10's training set,
    all of which are in CIFAKE's REAL train. CIFAKE's REAL test is CIFAR-10's test set, of which the published CINIC-10
    has nothing in train and valid; an archive that has some makes all of REAL doubtful, whose names tell no origin.
    """
    table = known[dataset]
    clean = rows.clean(table)
    if dataset == asked.dataset or not set(asked.domains) & set(CIFAR):
        return clean
    if dataset == "cinic10":
        return clean & ~rows.named(table, rows.CIFAR_TRAIN)
    learnt = asked.chosen(known[asked.dataset])
    if (rows.named(known[asked.dataset], rows.CIFAR_TEST) & learnt).any():
        clean &= table.domain != "real"
    return clean


def _answers(
    model: Any, dataset: str, table: Labels, array: NDArray[Any], clean: NDArray[np.bool_], quality: int | None
) -> Answers:
    """Return what the model says of valid and test rows, which it sees through JPEG where a quality is given."""
    row = np.flatnonzero(np.isin(table.split, ["valid", "test"]))
    seen_as = np.asarray if quality is None else partial(jpeg.recode, quality=quality)
    columns = (table.split[row], table.domain[row], clean[row], table.category[row])
    return Answers(dataset, row, *columns, models.ask(model, array, row, seen_as))


def _temperatures(own: Answers, chosen: NDArray[np.bool_], names: Sequence[str]) -> list[float]:
    """Return the temperature of each member, from the valid rows under a mask (N,) of the dataset's rows."""
    valid = chosen[own.row] & (own.split == "valid")
    actual = _codes(own.actual[valid], names)
    return [calibration.fitted(actual, member[valid]) for member in own.proba]


def _codes(category: tables.Strings, names: Sequence[str]) -> NDArray[np.int64]:
    """Return (n,) the place of each category among `names`."""
    place = {name: k for k, name in enumerate(names)}
    return np.array([place[name] for name in category.tolist()], np.int64)


def _summaries(answers: list[Answers], names: list[str], section: metrics.Settings) -> dict[str, Any]:
    """Return the metrics by domain and kind of rows: valid, official and clean test rows, those that there are.

    These are means over the members; `together` is what several say as one, by the mean of their probabilities.
    """
    summaries: dict[str, Any] = {}
    for part in answers:
        actual, test = _codes(part.actual, names), part.split == "test"
        for domain in np.unique(part.domain).tolist():
            here = part.domain == domain
            masks = {"valid": here & ~test, "official": here & test, "clean": here & part.clean}
            asked = {which: (mask, part.proba) for which, mask in masks.items()}
            if len(part.proba) > 1:
                asked["together"] = here & test, part.proba.mean(axis=0, keepdims=True)
            summaries[domain] = {
                which: multiclass.summarise(actual[mask], proba[:, mask], names, section)
                for which, (mask, proba) in asked.items()
                if mask.any()
            }
    return summaries


def _write_metrics(summaries: dict[str, Any], own: Iterable[str], epochs: float, headline: Path, full: Path) -> None:
    """Write everything by domain, and as headline the mean over the domains that the model was trained on."""
    official = {domain: parts["official"] for domain, parts in summaries.items()}
    short = {name: round(float(np.mean([official[d][name] for d in own])), metrics.DECIMALS) for name in HEADLINE}
    metrics.write(headline, short)
    metrics.write(full, summaries | {"epochs": epochs})
    accuracies = ", ".join(f"{domain} {figures['accuracy']:.4f}" for domain, figures in official.items())
    print(f"accuracy on official test rows: {accuracies}")


def _write_scores(answers: list[Answers], names: list[str], target: Path) -> None:
    """Write for every row what each member predicts, and how sure it is."""
    parts = []
    for part in answers:
        columns: dict[str, NDArray[Any]] = {
            "dataset": np.full(len(part.row), part.dataset),
            "row": part.row,
            "split": part.split,
            "domain": part.domain,
            "clean": part.clean,
            "actual": part.actual,
        }
        for k, member in enumerate(part.proba):
            columns[f"predicted_{k}"] = np.array(names)[member.argmax(axis=1)]
            columns[f"confidence_{k}"] = member.max(axis=1).round(metrics.DECIMALS)
        parts.append(columns)
    tables.write_csv(target, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _write_confusion(answers: list[Answers], names: list[str], target: Path) -> None:
    """Write the counts of each domain's official test rows, those of all members together."""
    found: dict[str, NDArray[np.int64]] = {}
    for part in answers:
        for domain in np.unique(part.domain).tolist():
            mask = (part.domain == domain) & (part.split == "test")
            actual = np.tile(_codes(part.actual[mask], names), len(part.proba))
            found[domain] = multiclass.confusion(actual, part.proba[:, mask].argmax(axis=2).ravel(), len(names))
    k, domains = len(names), len(found)
    columns = {
        "domain": np.repeat(list(found), k * k),
        "actual": np.tile(np.repeat(names, k), domains),
        "predicted": np.tile(names, k * domains),
        "count": np.concatenate([counts.ravel() for counts in found.values()]),
    }
    tables.write_csv(target, columns)


if __name__ == "__main__":
    run(main)
