"""A stranger's image file, of any format, colour mode and size → the pixels that a model of small images expects.

What is done, in this order: the first frame is taken, turned as EXIF says, laid on white where it is transparent,
brought to RGB of 8 bits, and then to the model's height × width, whatever its own ratio of sides: by the mean of the
pixels that fall into each (Pillow's BOX, which made the ImageNet half of CINIC-10) where no side becomes longer, by
BICUBIC otherwise; for a model of your own images, as these were brought to one size. Which filter it is decides what a
model says that looks at the finest detail. A model that learnt from JPEGs sees every image through JPEG of the same
quality, except a file that is such a JPEG of this size already.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any, NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from whence import archive, jpeg
from whence.base.errors import InputError

LARGEST = 89_478_485
"""Pixels of an image, at most: a quarter of a gigabyte, and what Pillow warns of as a decompression bomb."""
REFUSED = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
"""Formats that Pillow knows by name alone, or hands to another program."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes an orientation of EXIF."""


class Wanted(NamedTuple):
    """What a model expects."""

    height: int
    width: int
    quality: int | None
    """IJG quality of the JPEGs that it learnt from, if it did."""
    filter: Image.Resampling | None = None
    """That its images were resized by, if they were of all sizes."""
    crop: bool = False
    """Whether of these the largest square in the middle was taken."""


def squares(pixels: int, filter_: str, fit: str) -> Wanted:
    """Return what is wanted of your own images: squares, by a filter of Pillow's, which crop or stretch makes."""
    return Wanted(pixels, pixels, None, Image.Resampling[filter_.upper()], fit == "crop")


class Seen(NamedTuple):
    """An image as the model sees it."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    changed: str
    """What was done to it, or nothing."""


def find(where: Path) -> tuple[list[Path], int]:
    """Return the file, or all files in a folder and below with the ending of an image, sorted; and how many have not.

    Hidden files and folders do not count. Raises InputError where there is no image.
    """
    if not where.exists():
        raise InputError(f"{where}: there is no such file or folder; name an image, or a folder of images")
    if not where.is_dir():
        return [where], 0
    readable = formats()
    endings = {ending for ending, name in Image.registered_extensions().items() if name in readable}
    files = list(archive.files(where))
    found = [file for file in files if file.suffix.lower() in endings]
    others = len(files) - len(found)
    if not found:
        other = f", though {others:,} other files" if others else ""
        raise InputError(f"{where}: holds no image{other}; name a folder with .jpg, .png or other images, or one file")
    return sorted(found), others


@cache
def formats() -> tuple[str, ...]:
    """Return the formats that can be read."""
    Image.init()
    return tuple(name for name in Image.OPEN if name not in REFUSED)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's warnings, of which a folder of old files raises thousands, out of the block."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def see(path: Path, wanted: Wanted) -> Seen:
    """Return an image file as a model expects it; raises InputError with the reason why that is not possible."""
    try:
        about = path.stat()
        if not S_ISREG(about.st_mode) or not about.st_size:
            raise InputError("is empty" if S_ISREG(about.st_mode) else "is no file that can be read to its end")
        with path.open("rb") as handle:
            return _read(handle, wanted)
    except OSError as error:
        raise InputError(f"cannot be read to its end ({error.strerror or error})") from error


def decode(_: str, content: bytes, wanted: Wanted) -> bytes:
    """Return the RGB bytes of a file's content as a model expects it; raises InputError as `see`."""
    if not content:
        raise InputError("is empty")
    with quiet():
        return _read(io.BytesIO(content), wanted).pixels.tobytes()


def _read(handle: IO[bytes], wanted: Wanted) -> Seen:
    try:
        with Image.open(handle, formats=formats()) as image:
            return _seen(image, handle, wanted)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError("is no image, or of a format that Pillow does not read") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"has too many pixels, expected {LARGEST:,} at most") from error
    except MemoryError as error:
        raise InputError("takes more memory than there is") from error
    except Exception as error:  # a stranger's file: errors of many types
        reason = getattr(error, "strerror", None) or str(error) or repr(error)
        raise InputError(f"cannot be read to its end ({reason})") from error


def _seen(image: Any, handle: IO[bytes], wanted: Wanted) -> Seen:
    if image.width * image.height > LARGEST:
        raise InputError(f"is {image.width}×{image.height} pixels, expected {LARGEST:,} at most")
    changed = []
    if image.format != "PSD" and getattr(image, "n_frames", 1) > 1:  # the frames of a PSD are its layers
        changed.append(f"first of {image.n_frames} frames")
    mode, turned = image.mode, image.getexif().get(ExifTags.Base.Orientation) in TURNS
    tables = getattr(image, "quantization", None) if image.format == "JPEG" else None
    image = _turned(_loaded(image, handle))
    if turned:
        changed.append("rotated by EXIF")
    if mode != "RGB" or image.has_transparency_data:
        changed.append(f"converted from {mode}" + " on white" * image.has_transparency_data)
    image = _rgb(image)
    if wanted.crop and image.width != image.height:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        changed.append(f"cropped from {image.width}×{image.height} to the square in the middle")
        image = image.crop((left, top, left + side, top + side))
    if image.size != (wanted.width, wanted.height):
        smaller = image.width >= wanted.width and image.height >= wanted.height
        filter_ = wanted.filter or (Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC)
        changed.append(f"resized from {image.width}×{image.height} by {filter_.name}")
        image = image.resize((wanted.width, wanted.height), filter_)
    pixels = np.asarray(image)
    if wanted.quality is not None and (changed or tables != _tables(wanted.quality)):
        changed.append(f"recoded as JPEG {wanted.quality}")
        pixels = jpeg.recode(pixels[np.newaxis], wanted.quality)[0]
    return Seen(pixels, ", ".join(changed))


def _loaded(image: Any, handle: IO[bytes]) -> Any:
    """Return the image with its pixels; those of a JPEG from the decoder of the pipeline, which is strict."""
    if image.format != "JPEG" or image.mode != "RGB":
        image.load()
        return image
    handle.seek(0)
    decoded = Image.fromarray(simplejpeg.decode_jpeg(handle.read(), colorspace="RGB", strict=True))
    decoded.info = image.info
    return decoded


def _turned(image: Any) -> Any:
    """Return the image upright. Pillow itself turns TIFFs as it loads them, and then knows of no orientation."""
    turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    return image if turn is None else image.transpose(turn)


def _rgb(image: Any) -> Any:
    """Return the image in 8 bits and RGB, on white; of 16-bit grey the upper half, as everywhere in the pipeline."""
    if image.mode == "F":
        raise InputError("has mode F, numbers that do not say which of them is white; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


@cache
def _tables(quality: int) -> Any:
    """Return the quantisation tables of Pillow's JPEGs of a quality, which are the IJG's."""
    encoded = io.BytesIO()
    Image.new("RGB", (8, 8)).save(encoded, "JPEG", quality=quality)
    with Image.open(encoded) as decoded:
        return decoded.quantization  # type: ignore[attr-defined]
