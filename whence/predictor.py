"""A run as it is asked about images that no dataset holds: features, model, temperatures, and how unlike they are."""

import importlib
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whence import calibration, novelty, runs
from whence.base import settings
from whence.base.errors import InputError
from whence.base.settings import PARAMS, check
from whence.datasets.folder import Folder
from whence.photos import Wanted, squares
from whence.table.tasks import Objects, Task

PIPELINE = Path("dvc.yaml")
"""Where the names of the files stand."""
SECTIONS: dict[str, type[runs.Run] | type[runs.ObjectRun]] = {
    "runs": runs.Run,
    "transfers": runs.Transfer,
    "object_runs": runs.ObjectRun,
    "object_transfers": runs.ObjectTransfer,
    "class_runs": runs.ObjectRun,
    "class_transfers": runs.ObjectTransfer,
}
CONTROLS = ("controls", "object_controls")
"""Their datasets are made of images that are changed: none of yours is like these."""
Images = NDArray[np.uint8]


class Files(NamedTuple):
    """What has to be there, each with the stage that makes it."""

    weights: Path
    card: Path
    temperatures: Path
    profile: Path
    backbone: Path | None


class Predictor:
    """A run that `answer`s."""

    classes: list[str]
    """In the order of the probabilities."""
    dataset: str
    """What it has learnt from."""
    shown: str
    """How it is called, with a word on weights that are random."""
    wanted: Wanted
    """Which images it takes."""
    of_origin: bool
    """Whether it is asked how an image was made, and not what it shows."""

    def __init__(self, name: str) -> None:
        """Load what a run of params.yaml has learnt; raises InputError for one that is not there, or not made yet."""
        params = settings.read()
        section, run = _run(name, params)
        kind = getattr(run, "features", "images")
        question = _question(run)
        self.dataset = run.dataset
        self.of_origin, self.shown = isinstance(question, Task), runs.shown({name: run})[name]
        files = _files(name, section, run, params)
        estimator = importlib.import_module(f"whence.estimators.{run.kind}.estimator").Estimator
        self.model = estimator.load(
            importlib.import_module(f"whence.classifiers.{run.classifier}"), files.weights, files.card
        )
        self.classes = self.model.classes_.tolist()
        if isinstance(question, Task):
            question.check_model(self.classes, files.card)
        self.temperatures = calibration.read(files.temperatures)
        members = len(self.model.best_epoch)
        if members != len(self.temperatures):
            raise InputError(f"{files.temperatures}: {len(self.temperatures)} for {members} members; run dvc repro")
        profile = novelty.read(files.profile)
        self.unlike = profile.score(list(question.domains) if isinstance(question, Objects) else None)
        height, width = profile.sides.tolist()
        self.wanted = _wanted(run.dataset, height, width)
        self.features = _features(name, kind, run.dataset, files.backbone, params)

    def answer(self, images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (n, K) calibrated probabilities of images as `wanted`, and (n,) how far out of domain they are."""
        members = self.model.member_proba(self.features(images))
        proba = [calibration.tempered(one, by) for one, by in zip(members, self.temperatures, strict=True)]
        return np.mean(proba, axis=0), self.unlike(images)


def _wanted(dataset: str, height: int, width: int) -> Wanted:
    """Return which images a run takes that learnt from a dataset: yours as they were brought to one size."""
    if not runs.own(dataset):
        return Wanted(height, width, settings.value("cross.jpeg_quality").get(dataset))
    section = settings.load(f"folders.{dataset}", Folder).images
    return squares(section.pixels, section.filter, section.fit)


def _run(name: str, params: dict[str, Any]) -> tuple[str, runs.Run | runs.ObjectRun]:
    """Return the section that lists a run, and the run; raises InputError that names the known ones."""
    for section, kind in SECTIONS.items():
        if name in params[section]:
            return section, check(params[section][name], kind, f"{PARAMS}: {section}.{name}")
    for section in CONTROLS:
        if name in params[section]:
            raise InputError(f"{name}: is a control; ask {params[section][name]['against']}, which it is held against")
    known = ", ".join(key for section in SECTIONS for key in params[section])
    raise InputError(f"{PARAMS}: lists no run {name!r}, only {known}; take one of them, or add a line to runs")


def _question(run: runs.Run | runs.ObjectRun) -> Task | Objects:
    if isinstance(run, runs.Run):
        return settings.load(f"tasks.{run.task}", Task)
    return settings.load(f"objects.{run.train_on}", Objects)


def _files(name: str, section: str, run: runs.Run | runs.ObjectRun, params: dict[str, Any]) -> Files:
    """Return the run's files; raises InputError that names those that are not there, and what makes them."""
    script = "evaluate" if isinstance(run, runs.Run) else "evaluate_objects"
    evaluate, deps, outs = _stage(script, section, name, run.model_dump())
    weights, card = (_ending(end, deps) for end in (".safetensors", ".json"))
    temperatures = _ending(".json", outs)
    profile, _, (described,) = _stage("profile", "folders" if runs.own(run.dataset) else "label", run.dataset, {})
    makers, net = {weights: evaluate, card: evaluate, temperatures: evaluate, described: profile}, None
    if (backbone := getattr(run, "features", "")) in params["weights"]:
        maker, _, (net,) = _stage("weights", "weights", backbone, params["weights"][backbone])
        makers[net] = maker
    missing = {path: maker for path, maker in makers.items() if not path.exists()}
    if missing:
        ways = f"`dvc repro {' '.join(dict.fromkeys(missing.values()))}` makes what is missing"
        pull = f"`dvc pull {' '.join(map(str, missing))}` fetches it from a remote that has it"
        raise InputError(f"{name} has not been made: there is no {', no '.join(map(str, missing))}; {ways}, {pull}")
    return Files(weights, card, temperatures, described, net)


def _stage(script: str, over: str, key: str, item: dict[str, Any]) -> tuple[str, list[Path], list[Path]]:
    """Return the stage that runs stages/<script>.py for a key of a section: name, deps, and outs that DVC caches."""
    values = {"key": key} | {f"item.{name}": str(value) for name, value in item.items()}
    for name, about in settings.read(PIPELINE)["stages"].items():
        if about.get("foreach") == f"${{{over}}}" and f" -m stages.{script} " in about["do"]["cmd"]:
            paths = [[path for path in about["do"][part] if isinstance(path, str)] for part in ("deps", "outs")]
            deps, outs = ([Path(re.sub(r"\$\{(.+?)\}", lambda m: values[m[1]], path)) for path in p] for p in paths)
            return f"{name}@{key}", deps, outs
    raise InputError(f"{PIPELINE}: no stage runs stages/{script}.py over {over}; take that file as it was")


def _ending(end: str, paths: list[Path]) -> Path:
    return next(path for path in paths if path.suffix == end)


def _features(
    name: str, kind: str, dataset: str, backbone: Path | None, params: dict[str, Any]
) -> Callable[[Images], NDArray[Any]]:
    """Return what makes the model's input of images; raises InputError for what only another run makes."""
    if kind == "images":
        return np.asarray
    if backbone:
        return _embedding(kind, backbone, dataset)
    if kind in params["extract"]:
        module = importlib.import_module(f"whence.features.{kind}")
        return partial(module.extract, settings=settings.load(f"extract.{kind}", module.Settings))
    known = ", ".join(["images", *params["extract"], *params["weights"]])
    raise InputError(f"{name}: stands on {kind!r}, which another run makes; only runs on {known} can be asked")


def _embedding(kind: str, weights: Path, dataset: str) -> Callable[[Images], NDArray[Any]]:
    from whence.embedding import Embedding

    embedded = Embedding.load(kind, weights, dataset)
    return lambda images: np.concatenate(list(embedded(images)))
