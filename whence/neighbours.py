"""What a map of points keeps of the space that it was drawn from: are neighbours alike, and still there?"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGE = 5000
"""Points from which on the Fourier transform is the faster way."""
EARLY, LATE = 125, 275
"""Steps with exaggeration and without: of ten thousand points, the usual 250 and 500 take twice as long, and what is
trustworthy grows by three thousandths.
"""


def reduced(x: NDArray[Any], most: int) -> NDArray[np.float32]:
    """Return (n, d) or fewer columns, at most `most`: features standardised, then their first principal components."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    deviation = flat.std(0)
    flat = (flat - flat.mean(0)) / np.where(deviation > 0, deviation, 1)
    most = min(most, len(flat))
    if flat.shape[1] > most:
        from sklearn.decomposition import PCA

        flat = PCA(most, svd_solver="full").fit_transform(flat)
    return np.asarray(flat, np.float32)


def tsne(x: NDArray[np.float32], dimensions: int, perplexity: float, seed: int) -> NDArray[np.float64]:
    """Return the map (n, dimensions) of points x (n, d), by openTSNE (Poličar et al. 2024).

    It begins from their principal axes. In two dimensions a large map is made with the Fourier transform (Linderman et
    al. 2019), else with the tree of Barnes and Hut (van der Maaten 2014). The same points and seed give the same map.
    """
    from openTSNE import TSNE

    method = "fft" if dimensions <= 2 and len(x) > LARGE else "bh"
    steps = {"early_exaggeration_iter": EARLY, "n_iter": LATE}
    maker = TSNE(
        dimensions, perplexity=perplexity, random_state=seed, n_jobs=-1, negative_gradient_method=method, **steps
    )
    return np.asarray(maker.fit(x), np.float64)


def purity(x: NDArray[Any], labels: NDArray[Any], k: int) -> float:
    """Return the share of points that most of their `k` nearest others agree with: kNN accuracy, leaving one out."""
    from sklearn.neighbors import NearestNeighbors

    names, code = np.unique(labels, return_inverse=True)
    near = NearestNeighbors(n_neighbors=k).fit(x).kneighbors(return_distance=False)
    votes = (code[near][:, :, None] == np.arange(len(names))).sum(1)
    return float((votes.argmax(1) == code).mean())


def trustworthiness(x: NDArray[Any], drawn: NDArray[Any], k: int) -> float:
    """Return how far neighbours in the map are neighbours in the space, 0 to 1 (Venna & Kaski 2001)."""
    from sklearn import manifold

    return float(manifold.trustworthiness(x, drawn, n_neighbors=k))
