"""One encoded image → RGB pixels, or the reason why not. PNG through Pillow, JPEG through libjpeg-turbo."""

import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from whence.base.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

PNG_START, PNG_HEADER, PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\rIHDR", b"IEND\xaeB`\x82"
JPEG_START = b"\xff\xd8\xff"
Decoder = Callable[[str, bytes], bytes]
"""Returns the RGB bytes of a file, or raises InputError with the reason why not."""
COLOURS = {"Gray": "L", "YCbCr": "RGB", "RGB": "RGB"}
"""Colour space of a JPEG → the name that Pillow gives to the mode."""


class Decoded(NamedTuple):
    """A batch: pixels, names and digests of the good images, and name and reason of each that cannot be used."""

    rgb: bytes
    names: list[str]
    digests: list[str]
    bad: list[tuple[str, str]]


def decode_batch(batch: list[tuple[str, bytes]], decoder: Decoder) -> Decoded:
    """Decode (name, content) pairs; the digest is the first half of the SHA-256 of the RGB pixels, in hexadecimal."""
    decoded, names, digests, bad = [], [], [], []
    for name, content in batch:
        try:
            rgb = decoder(name, content)
        except InputError as error:
            bad.append((name, str(error)))
            continue
        decoded.append(rgb)
        names.append(name)
        digests.append(hashlib.sha256(rgb).hexdigest()[:32])
    return Decoded(b"".join(decoded), names, digests, bad)


def decode(name: str, content: bytes, suffix: str, pixels: int, modes: list[str]) -> bytes:
    """Return the pixels × pixels × 3 RGB bytes of an image file, .png or .jpg as `suffix` says.

    Modes other than RGB are refused unless `modes` allows them (then they are converted). The stated width and height
    are compared before a pixel is decoded: a decompression bomb costs nothing. Raises InputError with the reason.
    """
    if not name.endswith(suffix):
        raise InputError(f"is neither a {suffix} image nor a document")
    fits = partial(_check_size, pixels=pixels)
    return bytes(jpeg(content, fits, modes).data) if suffix == ".jpg" else _rgb(png(content, fits, modes))


def _check_size(width: int, height: int, pixels: int) -> None:
    if (width, height) != (pixels, pixels):
        raise InputError(f"is {width}×{height} pixels, expected {pixels}×{pixels}")


def _check_mode(mode: str, modes: list[str]) -> None:
    if mode not in modes:
        raise InputError(f"has mode {mode}, expected {' or '.join(modes)}")


def _check_start(content: bytes, start: bytes, what: str) -> None:
    if not content.startswith(start):
        raise InputError(f"is not a {what}, it " + (f"begins with {content[:8]!r}" if content else "is empty"))


def jpeg(content: bytes, fits: Callable[[int, int], None], modes: list[str]) -> "NDArray[np.uint8]":
    """Return the pixels (H, W, 3), RGB, of a JPEG of a mode in `modes`; `fits` refuses a width and a height."""
    import simplejpeg

    _check_start(content, JPEG_START, "JPEG")
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(content, strict=True)
        fits(width, height)
        _check_mode(COLOURS.get(space, space), modes)
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(content, colorspace="RGB", strict=True)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"is not a whole JPEG ({error})") from error
    return pixels


def png(content: bytes, fits: Callable[[int, int], None], modes: list[str]) -> "Picture":
    """Return a PNG of a mode in `modes`, decoded; `fits` refuses a width and a height, before any work."""
    from PIL import Image

    _check_start(content, PNG_START, "PNG")
    if content[8:16] != PNG_HEADER or not content.endswith(PNG_END):
        raise InputError("is not a whole PNG (its header or its end is missing)")
    try:
        width, height, depth = struct.unpack_from(">IIB", content, 16)
        fits(width, height)
        image = Image.open(io.BytesIO(content), formats=["PNG"])
        # Pillow calls 16-bit colour RGB or RGBA too, and leaves the lower bits out.
        mode = image.mode if depth <= 8 or image.mode == "I;16" else f"{image.mode};16"
        fits(*image.size)
        _check_mode(mode, modes)
        image.load()
    except InputError:
        raise
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        raise InputError(f"is not a whole PNG ({error or 'damaged'})") from error
    return image


def _rgb(image: "Picture") -> bytes:
    """Return the RGB bytes; of 16-bit grey the upper half, as of the other 16-bit modes, where Pillow clips at 255."""
    from PIL import Image

    if image.mode == "I;16":
        image = Image.frombytes("L", image.size, image.tobytes()[1::2])
    return (image if image.mode == "RGB" else image.convert("RGB")).tobytes()
