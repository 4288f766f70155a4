"""How unlike the training images an image is, by features that cost little: one profile per dataset.

An image is its log power spectrum in rings (`features.spectrum`) and the mean and deviation of its colours
(`features.colour`). Train rows of each domain are a Gaussian, its covariance shrunk as Ledoit and Wolf 2004 (doi
10.1016/S0047-259X(03)00096-4) do, and an image is as far from them as its Mahalanobis distance to the nearest domain
says (Lee et al. 2018, arXiv 1807.03888, who take a network's layers). The score is the share of valid rows that lie
nearer, from 0 to 1: of images like the training images a hundredth has one above .99.

It notices noise, flat images, a lost channel, and much of what is blurred. It does not notice drawings or negatives,
another generator or camera whose images have the same statistics, nor an object that no class knows. Of 2,000 real test
images a hundredth has a score above .99; blurred by a pixel .65 of CIFAKE's have and .45 of CINIC-10's; with noise of
20 levels .04 and .01; reduced to 24 pixels and enlarged by BICUBIC .13 and .07, by BOX .03 and .02; and of each
other's images .015 and .013.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from whence.base.errors import InputError
from whence.base.files import replacing
from whence.base.settings import Section
from whence.features import colour, spectrum
from whence.table.rows import Labels

Floats = NDArray[np.float64]
BLOCK = 1024
COLOURS = len(colour.names(colour.Settings()))
TINY = 1e-9
"""Added to variances: a domain whose images are all the same has none."""
ABOUT = "about"
"""The entry of the file's metadata."""
Score = Callable[[NDArray[np.uint8]], Floats]


class Settings(Section):
    """Section novelty."""

    bins: int = Field(ge=2)
    """Rings of the spectrum."""
    warn_above: float = Field(ge=0, lt=1)
    """The score above which an image is called unlike the training images."""


class Profile(NamedTuple):
    """What the images of a dataset are like: D domains, F features."""

    domains: list[str]
    sides: NDArray[np.int64]
    """(2,) height and width of the images."""
    mean: Floats
    """(D, F)."""
    whitening: Floats
    """(D, F, F): times this, what is left of an image without the mean is as long as the image is far."""
    valid: NDArray[np.float32]
    """(n, D), how far the valid rows are from each domain."""
    valid_domain: NDArray[np.int64]
    """(n,) the number of their own."""

    def distances(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (n, D), how far images (n, H, W, 3) are from each domain; a batch changes no bit."""
        return _distances(features(images, self.mean.shape[1] - COLOURS), self.mean, self.whitening)

    def score(self, domains: Sequence[str] | None = None) -> Score:
        """Return the function (n, H, W, 3) → (n,): the score among these domains, or all; raises InputError."""
        if strange := set(domains or ()) - set(self.domains):
            raise InputError(f"no profile of {', '.join(sorted(strange))}, only of {', '.join(self.domains)}")
        of = [k for k, name in enumerate(self.domains) if domains is None or name in domains]
        known = np.sort(self.valid[np.isin(self.valid_domain, of)][:, of].min(axis=1))

        def score(images: NDArray[np.uint8]) -> Floats:
            far = self.distances(images)[:, of].min(axis=1)
            return np.asarray(np.searchsorted(known, far) / len(known))

        return score


def features(images: NDArray[np.uint8], bins: int) -> Floats:
    """Return (n, bins + 6) of images (n, H, W, 3)."""
    parts = spectrum.extract(images, spectrum.Settings(bins=bins)), colour.extract(images, colour.Settings())
    return np.concatenate(parts, axis=1).astype(np.float64)


def fit(images: NDArray[np.uint8], labels: Labels, bins: int) -> Profile:
    """Return the profile of images (N, H, W, 3), from train and valid rows alone; raises InputError for too few."""
    rows = {split: np.flatnonzero(labels.split == split) for split in ("train", "valid")}
    x = {split: _of_rows(images, row, bins) for split, row in rows.items()}
    domain = {split: labels.domain[row] for split, row in rows.items()}
    domains = np.unique(domain["train"]).tolist()
    for split, named in domain.items():
        few = [name for name in domains if (named == name).sum() < 2]
        if few or not domains:
            found = f"{split} has fewer than two rows of domain {', '.join(few)}" if few else "there are no train rows"
            raise InputError(f"no profile: {found}; raise valid_share or the cap in params.yaml")
    known = np.isin(domain["valid"], domains)
    scale = x["train"].std(axis=0)
    scale[scale == 0] = 1
    mean = np.stack([x["train"][domain["train"] == name].mean(axis=0) for name in domains])
    whitening = np.stack([_whitening(x["train"][domain["train"] == name], scale) for name in domains])
    far = _distances(x["valid"][known], mean, whitening)
    number = np.searchsorted(domains, domain["valid"][known])
    return Profile(domains, np.array(images.shape[1:3]), mean, whitening, far, number)


def shrunk(x: Floats) -> Floats:
    """Return the covariance (F, F) of rows (n, F), drawn towards a sphere as far as Ledoit and Wolf say is best."""
    n, f = x.shape
    centred = x - x.mean(axis=0)
    covariance = np.einsum("ni,nj->ij", centred, centred) / n
    sphere = np.eye(f) * np.trace(covariance) / f
    error = (np.square(np.square(centred).sum(axis=1)).mean() - np.square(covariance).sum()) / n
    distance = np.square(covariance - sphere).sum()
    share = min(1.0, error / distance) if distance else 1.0
    return np.asarray((1 - share) * covariance + share * sphere)


def write(path: Path, profile: Profile) -> None:
    """Write a profile, whole or not at all."""
    arrays = {name: np.ascontiguousarray(part) for name, part in profile._asdict().items() if name != "domains"}
    with replacing(path) as partial:
        partial.write_bytes(save(arrays, {ABOUT: json.dumps({"domains": profile.domains})}))


def read(path: Path) -> Profile:
    """Return what `write` wrote; raises InputError if the file is no profile."""
    try:
        with safe_open(path, "np") as file:
            parts: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            profile = Profile(**parts, **json.loads((file.metadata() or {}).get(ABOUT, "{}")))
        d, f = profile.mean.shape
        expected = [(2,), (d, f), (d, f, f), (len(profile.valid_domain), d)]
        if [part.shape for part in profile[1:5]] != expected or d != len(profile.domains) or f <= COLOURS:
            raise ValueError("its arrays do not fit each other")
    except (OSError, SafetensorError, AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a readable profile ({error}); run dvc repro to make it again") from error
    return profile


def _of_rows(images: NDArray[np.uint8], row: NDArray[np.int64], bins: int) -> Floats:
    def blocks() -> Iterator[NDArray[np.uint8]]:
        for start in range(0, len(row), BLOCK):
            yield images[row[start : start + BLOCK]]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate([np.zeros((0, bins + COLOURS)), *pool.map(lambda block: features(block, bins), blocks())])


def _whitening(x: Floats, scale: Floats) -> Floats:
    """Return (F, F) for the rows (n, F) of a domain, whose features are measured in `scale` before they are mixed."""
    spread = shrunk(x / scale) + TINY * np.eye(len(scale))
    return np.asarray(np.linalg.cholesky(np.linalg.inv(spread)) / scale[:, np.newaxis])


def _distances(x: Floats, mean: Floats, whitening: Floats) -> NDArray[np.float32]:
    """Return (n, D). Sums in a fixed order, not a matrix product: BLAS rounds by the length of the batch."""
    far = np.empty((len(x), len(mean)))
    for k, (centre, matrix) in enumerate(zip(mean, whitening, strict=True)):
        left, z = x - centre, np.zeros(x.shape)
        for feature in range(x.shape[1]):
            z += left[:, feature, np.newaxis] * matrix[feature]
        far[:, k] = np.sqrt(np.square(z).sum(axis=1))
    return far.astype(np.float32)
