"""A run as it is asked about images that no dataset holds: features, model, temperatures, and how unlike they are."""

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whence import novelty, pipeline, runs, temperatures
from whence.base import settings
from whence.base.errors import InputError
from whence.base.settings import PARAMS, check
from whence.derive import Settings as Derived
from whence.photos import Wanted
from whence.table.tasks import Objects, Task
from whence.transforms import TRANSFORMS

LISTS: dict[str, type[runs.Run] | type[runs.ObjectRun]] = {
    "runs": runs.Run,
    "transfers": runs.Transfer,
    "controls": runs.Control,
    "object_runs": runs.ObjectRun,
    "object_transfers": runs.ObjectTransfer,
    "object_controls": runs.ObjectControl,
}
"""Sections of params.yaml that list runs."""
Images = NDArray[np.uint8]
Function = Callable[[Images], NDArray[Any]]


class Predictor:
    """A run: `wanted` says which images it takes, and `answer` what it says of them."""

    classes: list[str]
    """In the order of the probabilities."""
    wanted: Wanted
    changed: str
    """What else is done to every image, as that of a control's dataset, or nothing."""

    def __init__(self, name: str) -> None:
        """Load what a run of params.yaml has learnt; raises InputError for one that is not there, or not made yet."""
        params = settings.read()
        section, entry = _entry(name, params)
        run = check(entry, LISTS[section], f"{PARAMS}: {section}.{name}")
        self.question = _question(run)
        self._find(name, section, entry, run.dataset, params)
        estimator = importlib.import_module(f"whence.estimators.{run.kind}.estimator").Estimator
        module = importlib.import_module(f"whence.classifiers.{run.classifier}")
        self.model = estimator.load(module, self.weights, self.card)
        self.classes = self.model.classes_.tolist()
        if isinstance(self.question, Task):
            self.question.check_model(self.classes, self.card)
        self.temperatures = temperatures.read(self.calibration)
        profile = novelty.read(self.profile)
        self.unlike = profile.score(None if isinstance(self.question, Task) else list(self.question.domains))
        self.warn_below = check(params["novelty"], novelty.Settings, f"{PARAMS}: novelty").warn_below
        quality = settings.value("cross.jpeg_quality").get(self.question.dataset)
        height, width = profile.sides.tolist()
        self.wanted = Wanted(height, width, quality)
        self.transform, self.changed = _transform(run.dataset, params)
        self.features = self._features(name, entry.get("features", "images"), params)

    def _find(self, name: str, section: str, entry: dict[str, Any], dataset: str, params: dict[str, Any]) -> None:
        """Look up the run's files; raises InputError that names those that are not there, and what makes them."""
        script = "evaluate" if isinstance(self.question, Task) else "evaluate_objects"
        evaluate = pipeline.stage(script, section, name, entry)
        over = "derived" if dataset in params["derived"] else "label"
        profile = pipeline.stage("profile", over, dataset, {})
        self.weights, self.card = (pipeline.one(evaluate.deps, ending) for ending in (".safetensors", ".json"))
        self.calibration, self.profile = pipeline.one(evaluate.outs, ".json"), profile.outs[0]
        needed = {evaluate.name: [self.weights, self.card, self.calibration], profile.name: [self.profile]}
        if (backbone := entry.get("features")) in params["weights"]:
            stage = pipeline.stage("weights", "weights", str(backbone), params["weights"][backbone])
            self.backbone = stage.outs[0]
            needed[stage.name] = [self.backbone]
        missing = {stage: [path for path in paths if not path.exists()] for stage, paths in needed.items()}
        if any(missing.values()):
            makers = " ".join(stage for stage, paths in missing.items() if paths)
            files = " ".join(str(path) for paths in missing.values() for path in paths)
            ways = f"`dvc repro {makers}` makes it, and `dvc pull {files}` fetches it where a remote has it"
            raise InputError(f"{name} has not been made yet: there is no {files.replace(' ', ', no ')}; {ways}")

    def _features(self, name: str, kind: str, params: dict[str, Any]) -> Function:
        """Return what makes the model's input of images; raises InputError for what only another run makes."""
        if kind == "images":
            if self.model.shape[:2] != list(self.wanted[:2]):
                raise InputError(
                    f"{self.card}: takes images of {self.model.shape}, not {self.wanted[:2]}; run dvc repro"
                )
            return np.asarray
        if kind in params["weights"]:
            return _embedding(kind, self.backbone, self.question.dataset, params)
        if kind in params["extract"]:
            module = importlib.import_module(f"whence.features.{kind}")
            section = check(params["extract"][kind], module.Settings, f"{PARAMS}: extract.{kind}")
            return partial(module.extract, settings=section)
        known = ", ".join(["images", *params["extract"], *params["weights"]])
        raise InputError(f"{name}: stands on {kind!r}, which another run makes; only runs on {known} can be asked")

    @property
    def looks_closely(self) -> bool:
        """Return whether it is asked how an image was made, and not what it shows."""
        return isinstance(self.question, Task)

    def answer(self, images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (n, K) calibrated probabilities of images (n, H, W, 3) as `wanted`, and (n,) how unlike they are."""
        images = self.transform(images)
        members = self.model.member_proba(self.features(images))
        if len(members) != len(self.temperatures):
            found = f"holds {len(self.temperatures)} temperatures of {len(members)} members"
            raise InputError(f"{self.calibration}: {found}; run dvc repro to make it again")
        proba = [temperatures.cooled(one, by) for one, by in zip(members, self.temperatures, strict=True)]
        return np.mean(proba, axis=0), self.unlike(images)


def _entry(name: str, params: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the list that a run stands in, and what stands there; raises InputError that names the known ones."""
    listed = {key: (section, entry) for section in LISTS for key, entry in (params.get(section) or {}).items()}
    if name not in listed:
        raise InputError(f"{PARAMS}: lists no run {name!r}; take one of {', '.join(listed)}, or add it to `runs`")
    return listed[name]


def _question(run: runs.Run | runs.ObjectRun) -> Task | Objects:
    if isinstance(run, runs.Run):
        return settings.load(f"tasks.{run.task}", Task)
    return settings.load(f"objects.{run.train_on}", Objects)


def _transform(dataset: str, params: dict[str, Any]) -> tuple[Function, str]:
    """Return what a derived dataset did to its images, and a word on it: an image at a time, each in the same way."""
    if dataset not in params["derived"]:
        return np.asarray, ""
    section = check(params["derived"][dataset], Derived, f"{PARAMS}: derived.{dataset}")
    if section.transform is None:
        return np.asarray, ""
    function = TRANSFORMS[section.transform]

    def transformed(images: Images) -> Images:
        each = [function(image[np.newaxis], np.random.default_rng([section.seed, 4, 0])) for image in images]
        return np.concatenate(each)

    return transformed, f"transformed by {section.transform}"


def _embedding(kind: str, weights: Path, dataset: str, params: dict[str, Any]) -> Function:
    from whence import embedding
    from whence.estimators.network import backbones
    from whence.estimators.network.data import Scale

    name = backbones.known(kind)
    section = check(params["embed"], embedding.Settings, f"{PARAMS}: embed")
    net = backbones.load(weights, name, backbones.leaks([dataset]))
    embedded = embedding.Embedding(net, Scale(*backbones.normalisation(name)), section.pixels)
    return lambda images: np.concatenate(list(embedded(images)))
