"""What the name of an image says: both datasets share the ten categories of CIFAR-10."""

from typing import NamedTuple

CATEGORIES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Name(NamedTuple):
    """The parts of a member's path; a dataset's `parse` and `path` translate between the two."""

    split: str
    """The official split: train, valid or test."""
    category: str
    """One of `CATEGORIES`."""
    domain: str
    """The origin: cifar or imagenet, real or fake."""
    stem: str
    """What is left of the file name, as published: it tells images of one cell apart."""
