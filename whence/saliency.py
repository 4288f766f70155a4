"""Where in an image an answer stands: what the network says when a part of it is covered."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TOGETHER = 8
"""Places that are covered in one pass."""


def occlusion(ask: "Callable[[Tensor], Tensor]", x: "Tensor", said: "Tensor", window: int, stride: int) -> "Tensor":
    """Return (B, H, W), by how many nats the log odds of what is said fall where a square is covered.

    Zeiler and Fergus 2014 (arXiv 1311.2901), by captum: squares of `window` pixels in steps of `stride`, each set to
    its image's mean colour; a pixel has the mean over the squares that cover it, negative where it speaks against.
    `ask` gives logits (n, K) for images (n, 3, H, W), `said` (B,) int64 is the class that is looked at.
    """
    import torch
    from captum.attr import Occlusion

    def odds(images: "Tensor", of: "Tensor") -> "Tensor":
        z, here = ask(images).double(), of[:, None]
        own = z.gather(1, here)[:, 0]
        return own - z.scatter(1, here, -torch.inf).logsumexp(1)

    with torch.no_grad():
        found = Occlusion(odds).attribute(
            x,
            sliding_window_shapes=(x.shape[1], window, window),
            strides=(x.shape[1], stride, stride),
            baselines=x.mean(dim=(2, 3), keepdim=True).expand_as(x),
            additional_forward_args=(said,),
            perturbations_per_eval=TOGETHER,
        )
    return torch.as_tensor(found[:, 0])
