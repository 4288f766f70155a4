"""Attack a run: change its test images, within a bound on every pixel value, until its answers are wrong."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from tqdm import tqdm

from whence import attacks, metrics
from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.table import rows, tables, tasks

if TYPE_CHECKING:
    from torch import Tensor

    from whence.estimators.network.estimator import Estimator

BLOCK, ON_GPU = 64, 1024
"""Images that are attacked together: what each of their views leaves for the gradient is held at once."""
KEPT = ("accuracy", "roc_auc")
FORM = ("accuracy", "precision", "recall", "f1")
SHARES = (0.4, 0.6)
"""Of the accuracies on clean and on attacked images in the hackathon's score."""
CLEAN = ("clean", 0.0)
UNION = "union"
"""Of each image what any attack told worst."""
ATTACKS = ("fgsm", "pgd", *attacks.REFERENCES)
Scores = dict[tuple[str, float], NDArray[np.float64]]


class Settings(settings.Section):
    """Section attack."""

    rows: int = Field(ge=2)
    """Most test rows that are attacked: evenly spaced, of both classes."""
    epsilons: list[Annotated[float, Field(gt=0, lt=256)]] = Field(min_length=1)
    """Bounds on the change of a value, in levels of 0 to 255."""
    pgd: attacks.Descent
    reference: attacks.Reference
    tested: float
    """One of epsilons: that of PGD in the hackathon's second test set."""
    seed: int = Field(ge=0)


def main(
    task: str,
    classifier: str,
    labels: Path,
    images: Path,
    weights: Path,
    card: Path,
    answers: Path,
    figures: Path,
    clean_form: Path,
    attacked_form: Path,
) -> None:
    """Attack test images, `images` (.npy, uint8) of `labels` (csv), against each member of a network.

    Writes `answers` (csv: a line for the clean rows, epsilon 0, and for each attack and epsilon) and `figures` (json:
    accuracies, and the hackathon's figures), and of the first member the hackathon's two forms (csv: image and answer).
    """
    entry = importlib.import_module(f"whence.classifiers.{classifier}")
    estimator = importlib.import_module("whence.estimators.network.estimator")
    section, question = settings.load("attack", Settings), settings.load(f"tasks.{task}", tasks.Task)
    if section.tested not in section.epsilons:
        raise InputError(f"{settings.PARAMS}: attack.tested: got {section.tested:g}, expected one of epsilons")
    measure = settings.load("evaluate.metrics", metrics.Settings)
    table, array = rows.read(labels), arrays.read(images)
    rows.check_aligned(table, array, images)
    model = estimator.Estimator.load(entry, weights, card)
    question.check_model(model.classes_.tolist(), card)
    test = rows.spaced(np.flatnonzero(table.split == "test"), section.rows)
    truth = question.target(table)[test]
    positive = truth == question.positive
    scores = _scores(model, array[test], positive, section)
    lines = [_line(name, positive, score, measure) for name, score in scores.items()]
    tables.write_csv(answers, {key: np.array([line.get(key, np.nan) for line in lines]) for key in lines[0]})
    forms = [scores[CLEAN][0] >= metrics.THRESHOLD, scores["pgd", section.tested][0] >= metrics.THRESHOLD]
    for path, told in zip((clean_form, attacked_form), forms, strict=True):
        answer = np.array(question.classes)[told.astype(int)]
        tables.write_csv(path, {"Image Name": table.path[test], "Predicted Label": answer})
    metrics.write(figures, _figures(lines) | {"hackathon": _hackathon(positive, forms, measure)})
    shown = "".join(f"\n{line['attack']:>9} {line['epsilon']:g}/255: {line['accuracy']:.3f}" for line in lines[1:])
    print(f"{len(test):,} test rows, accuracy {lines[0]['accuracy']:.3f}; against{shown}")


def _scores(model: "Estimator", x: NDArray[np.uint8], positive: NDArray[np.bool_], section: Settings) -> Scores:
    """Return for each attack and epsilon (members, n), the probability of the positive class."""
    import torch

    from whence.estimators.network.device import drawing

    keys = [CLEAN, *((name, epsilon) for epsilon in sorted(section.epsilons) for name in (*ATTACKS, UNION))]
    found: Scores = {key: np.zeros((len(model.members), len(x))) for key in keys}
    together = BLOCK if model.device.type == "cpu" else ON_GPU
    blocks = [slice(start, start + together) for start in range(0, len(x), together)]
    total = len(model.members) * len(blocks) * len(section.epsilons) * len(ATTACKS)
    bar = tqdm(total=total, unit="attack", disable=None)
    for member in range(len(model.members)):
        ask = model.of_pixels(member)
        for block in blocks:
            images = torch.from_numpy(x[block]).to(model.device).permute(0, 3, 1, 2).float() / 255
            y = torch.from_numpy(positive[block].astype(np.int64)).to(model.device)
            with drawing(model.device, section.seed):
                for (name, epsilon), score in _attacked(ask, images, y, section, bar):
                    found[name, epsilon][member, block] = score
    return found


def _attacked(ask: attacks.Ask, x: "Tensor", y: "Tensor", section: Settings, bar: Any) -> Iterator[Any]:
    """Yield attack and epsilon, and the scores (B,) of what it makes of x.

    What an attack found within a smaller epsilon is within a larger one: but for FGSM, which takes one step of a given
    length, the worst so far counts.
    """
    clean = _positive(ask, x)
    yield CLEAN, clean
    positive = y.cpu().numpy() == 1

    def worst(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(positive, np.minimum(one, other), np.maximum(one, other))

    so_far = dict.fromkeys((*ATTACKS, UNION), clean)
    for level in sorted(section.epsilons):
        for name in ATTACKS:
            score = _positive(ask, _images(name, ask, x, y, level / 255, section))
            so_far[name] = score if name == "fgsm" else worst(so_far[name], score)
            so_far[UNION] = worst(so_far[UNION], score)
            yield (name, level), so_far[name]
            bar.update()
        yield (UNION, level), so_far[UNION]


def _images(name: str, ask: attacks.Ask, x: "Tensor", y: "Tensor", epsilon: float, section: Settings) -> "Tensor":
    if name == "fgsm":
        return attacks.fgsm(ask, x, y, epsilon)
    if name == "pgd":
        return attacks.pgd(ask, x, y, epsilon, section.pgd)
    return attacks.reference(name, ask, x, y, epsilon, section.seed, section.reference)


def _positive(ask: attacks.Ask, x: "Tensor") -> NDArray[np.float64]:
    import torch

    with torch.no_grad():
        return np.asarray(ask(x).double().softmax(1)[:, 1].cpu().numpy())


def _line(key: tuple[str, float], positive: NDArray[np.bool_], score: Any, measure: metrics.Settings) -> dict[str, Any]:
    """Return what is kept of an attack's figures: ROC AUC only where every image was moved as far as it goes."""
    kept = KEPT if key[0] in {"clean", "fgsm", "pgd"} else KEPT[:1]
    found = metrics.summarise(positive, score, measure)
    some = {name: value for name, value in found.items() if name.removesuffix("_lo").removesuffix("_hi") in kept}
    return {"attack": key[0], "epsilon": key[1], "n": len(positive)} | some


def _figures(lines: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {"clean": {name: lines[0][name] for name in ("n", *KEPT)}}
    for line in lines[1:]:
        figures.setdefault(line["attack"], {})[f"accuracy_{line['epsilon']:g}"] = line["accuracy"]
    return figures


def _hackathon(positive: NDArray[np.bool_], forms: list[Any], measure: metrics.Settings) -> dict[str, Any]:
    """Return the figures of both forms, and .4 of the clean accuracy and .6 of the attacked."""
    found = [metrics.summarise(positive, told.astype(float), measure) for told in forms]
    score = metrics.plain(sum(share * each["accuracy"] for share, each in zip(SHARES, found, strict=True)))
    both = {f"test_{k}": {name: each[name] for name in FORM} for k, each in enumerate(found, 1)}
    return both | {"score": score}


if __name__ == "__main__":
    run(main)
