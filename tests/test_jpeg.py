"""JPEG: what a model sees of another dataset has been through the very coding of its own."""

import io

import numpy as np
import pytest
from PIL import Image

from whence import decode, jpeg, scenes
from whence.datasets import cifake


def pictures(n=12):
    """Drawn photographs, (n, 32, 32, 3) uint8."""
    generators = [np.random.default_rng(k) for k in range(n)]
    return np.stack([np.asarray(scenes.snapshot(scenes.draw("cat", rng), rng)) for rng in generators])


def encoded(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return file.getvalue()


def change(before, after):
    """The mean difference, in levels."""
    return abs(before.astype(int) - after).mean()


@pytest.mark.parametrize("quality", [1, 50, 75, 95])
def test_it_is_pillows_own_round_trip(quality):
    images = pictures()
    expected = [np.asarray(Image.open(io.BytesIO(encoded(image, quality)))) for image in images]
    assert (jpeg.recode(images, quality) == expected).all()


def test_it_is_what_pack_reads_off_a_file_of_cifake():
    images = pictures()
    files = [encoded(image, cifake.QUALITY) for image in images]
    read = [decode.decode("a.jpg", content, cifake.SUFFIX, cifake.PIXELS, ["RGB"]) for content in files]
    assert jpeg.recode(images, cifake.QUALITY).tobytes() == b"".join(read)


def test_what_has_been_through_it_hardly_changes_again():
    images = pictures()
    once = jpeg.recode(images, 75)
    assert change(images, once) > 20 * change(once, jpeg.recode(once, 75))


def test_a_higher_quality_changes_less():
    images = pictures()
    changes = [change(images, jpeg.recode(images, quality)) for quality in (1, 50, 75, 95)]
    assert changes == sorted(changes, reverse=True)


def test_an_image_comes_out_the_same_alone_and_among_others_and_is_left_alone():
    images = pictures()
    images.setflags(write=False)
    together = jpeg.recode(images, 75)
    assert (together.shape, together.dtype) == (images.shape, np.uint8)
    assert all((jpeg.recode(images[k : k + 1], 75)[0] == together[k]).all() for k in range(len(images)))
    assert (jpeg.recode(images[::-1], 75) == together[::-1]).all()
    assert jpeg.recode(images[:0], 75).shape == (0, 32, 32, 3)
