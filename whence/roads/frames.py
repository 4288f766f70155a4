"""Frames of streets and their masks: an archive becomes two arrays, row by row the same frames, streamed.

Masks are resized by nearest alone, so that no id appears that nobody has drawn.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydantic import Field, model_validator
from tqdm import tqdm

from whence import archive, decode
from whence.base import arrays
from whence.base.errors import InputError, shown
from whence.base.settings import Section
from whence.pack import PASSED_OVER, in_order
from whence.roads import classes
from whence.roads.classes import Mask, Scene
from whence.table import tables

LARGEST = 2**25
"""Pixels of a frame, at most."""
KINDS = {"leftImg8bit": "frame", "gtFine": "mask"}
"""What the publishers' folders hold."""
UNLABELLED = "test"
"""The split whose masks the publishers keep."""
Levels = NDArray[np.uint8]


class Name(NamedTuple):
    """What the path of a member says; a dataset's `parse` reads it."""

    split: str
    """The official one."""
    drive: str
    """What belongs together, and never stands in two splits: a recording, or a city."""
    frame: str
    """Unique within a drive."""


class Settings(Section):
    """Section pack.<dataset>: the size that frames are brought to."""

    height: int | None = Field(ge=16, le=4096)
    """In pixels; null, as width: they stay as they are, and must all be alike."""
    width: int | None = Field(ge=16, le=4096)

    @model_validator(mode="after")
    def _both(self) -> "Settings":
        if (self.height is None) != (self.width is None):
            raise ValueError("expected height and width, or null for both")
        return self


class Half(NamedTuple):
    """A frame, or its mask, at the size that is wanted."""

    pixels: Levels
    size: tuple[int, int]
    """(height, width) in the file."""


Found = dict[str, dict[Name, tuple[int, tuple[int, int]]]]
"""Of frames and of masks, by name: its place among those of its kind, and (height, width) in its file."""


def pack(source: Path, dataset: ModuleType, settings: Settings, images: Path, masks: Path, index: Path) -> int:
    """Write `images` (N, H, W, 3) uint8 RGB, `masks` (N, H, W) uint8 ids, and `index` (csv: split, drive, frame).

    Rows are sorted by their names. Returns N. Raises InputError that names the members, and writes nothing, where one
    cannot be read, has no partner or one of another size, or holds an id that the dataset's table does not know.
    """
    images.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryFile(dir=images.parent) as frames,
        tempfile.TemporaryFile(dir=images.parent) as ids,
    ):
        found, bad = _collected(_halves(source, dataset, settings), {"frame": frames, "mask": ids})
        names = sorted(found["frame"].keys() | found["mask"].keys())
        bad += [complaint for name in names for complaint in _unpaired(name, found)]
        if bad:
            raise InputError(f"{source}: {len(bad):,} members cannot be used:{shown(bad)}\nmend them, or take them out")
        if not names:
            raise InputError(f"{source}: holds no frames; is it the archive of this dataset?")
        size = _one_size(source, {size for _, size in found["frame"].values()}, settings)
        for kind, file, target, end in (("frame", frames, images, (3,)), ("mask", ids, masks, ())):
            arrays.write_blocks(target, _rows(file, [found[kind][name][0] for name in names], (*size, *end)))
    tables.write_csv(index, {part: np.array([getattr(name, part) for name in names]) for part in Name._fields})
    return len(names)


def _collected(
    halves: Iterable[tuple[str, str, Name, Half | str]], files: Mapping[str, IO[bytes]]
) -> tuple[Found, list[str]]:
    """Write the pixels of all halves to the file of their kind, as they come; return where they are, and complaints."""
    found: Found = {kind: {} for kind in files}
    bad = []
    for path, kind, name, half in halves:
        if isinstance(half, str):
            bad.append(f"{path}: {half}")
        elif name in found[kind]:
            bad.append(f"{path}: is a second {kind} of {'/'.join(name)}; take one of them out")
        else:
            found[kind][name] = len(found[kind]), half.size
            files[kind].write(np.ascontiguousarray(half.pixels).data)
    return found, bad


def _halves(source: Path, dataset: ModuleType, settings: Settings) -> Iterator[tuple[str, str, Name, Half | str]]:
    """Yield path, kind (frame or mask), name and content of every member that matters, or why it cannot be used."""

    def read(member: tuple[str, bytes]) -> tuple[str, str, Name, Half | str]:
        path, content = member
        kind, name = dataset.parse(path) or ("", Name("", "", ""))
        try:
            if not kind:
                raise InputError("is neither a frame nor a mask of this dataset")
            return path, kind, name, _mask(content, dataset, settings) if kind == "mask" else _frame(content, settings)
        except InputError as error:
            return path, kind, name, str(error)

    workers = os.cpu_count() or 1
    with (
        tqdm(total=archive.size(source), unit="B", unit_scale=True, desc=str(source), disable=None) as bar,
        ThreadPoolExecutor(workers) as pool,  # decoders let Python go
    ):
        wanted = (
            (path, content)
            for path, content in archive.members(source, bar.update)
            if not (PASSED_OVER.search(path) or dataset.OTHERS.fullmatch(path))
        )
        for path, kind, name, half in in_order(pool, read, wanted, 2 * workers):
            if name.split != UNLABELLED:
                yield path, kind, name, half


def _frame(content: bytes, settings: Settings) -> Half:
    image = Image.fromarray(picture(content))
    size = image.height, image.width
    if settings.height and settings.width:
        image = image.resize((settings.width, settings.height), Image.Resampling.BILINEAR)
    return Half(np.asarray(image), size)


def _mask(content: bytes, dataset: ModuleType, settings: Settings) -> Half:
    mask: Mask = dataset.mask(content)
    classes.check(mask, dataset.CLASSES)
    size = mask.shape[0], mask.shape[1]
    if settings.height and settings.width:
        to = (settings.width, settings.height)
        mask = np.asarray(Image.fromarray(mask).resize(to, Image.Resampling.NEAREST))
    return Half(mask, size)


def _unpaired(name: Name, found: Found) -> Iterator[str]:
    """Yield what is wrong with a frame and its mask as a pair."""
    sizes = {kind: part[name][1] for kind, part in found.items() if name in part}
    if len(sizes) == 1:
        (there,) = sizes
        yield f"{'/'.join(name)}: has a {there}, but no {'mask' if there == 'frame' else 'frame'}"
    elif sizes["frame"] != sizes["mask"]:
        said = {kind: f"{width}×{height}" for kind, (height, width) in sizes.items()}
        yield f"{'/'.join(name)}: the mask is {said['mask']} pixels, but the frame {said['frame']}"


def _one_size(source: Path, sizes: set[tuple[int, int]], settings: Settings) -> tuple[int, int]:
    """Return (height, width) of all frames; raises InputError where they differ."""
    if settings.height and settings.width:
        return settings.height, settings.width
    if len(sizes) > 1:
        found = ", ".join(f"{width}×{height}" for height, width in sorted(sizes)[:5])
        raise InputError(
            f"{source}: frames of {len(sizes)} sizes ({found}); set height and width of this dataset, under pack"
        )
    (size,) = sizes
    return size


def _rows(file: IO[bytes], places: list[int], shape: tuple[int, ...]) -> Iterator[Levels]:
    """Yield rows (1, …) of a file of rows, in the order of `places`."""
    count = int(np.prod(shape))
    for place in places:
        file.seek(place * count)
        yield np.frombuffer(file.read(count), np.uint8).reshape(1, *shape)


def picture(content: bytes) -> Levels:
    """Return the pixels (H, W, 3) of a JPEG or a PNG in RGB; raises InputError that says what is wrong with it."""
    if content.startswith(decode.JPEG_START):
        return decode.jpeg(content, _bounded, ["RGB"])
    return np.asarray(decode.png(content, _bounded, ["RGB"]))


def png_mask(content: bytes) -> Mask:
    """Return the ids (H, W) of a PNG of one 8-bit channel; raises InputError for any other mode."""
    if content.startswith(decode.PNG_START) and content[24:25] not in (b"", b"\x08"):
        raise InputError(f"has {content[24]} bits a pixel, expected 8")  # Pillow stretches fewer to 255
    try:
        return np.asarray(decode.png(content, _bounded, ["L"]))
    except InputError as error:
        hint = "; a mask holds a number for each pixel, not a colour" if "has mode" in str(error) else ""
        raise InputError(f"{error}{hint}") from error


def _bounded(width: int, height: int) -> None:
    if width * height > LARGEST:
        raise InputError(f"is {width}×{height} pixels, expected {LARGEST:,} in all, at most")


def polygons(content: bytes) -> Scene:
    """Return what annotators drew (.json); raises InputError that says what is wrong with it."""
    try:
        about = json.loads(content)
        parts = [
            (str(each["label"]), [(int(x), int(y)) for x, y in each["polygon"]])
            for each in about["objects"]
            if not each.get("deleted")
        ]
        scene = Scene(int(about["imgWidth"]), int(about["imgHeight"]), parts)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"holds no polygons ({error!r}); expected imgHeight, imgWidth and objects") from error
    if min(scene.width, scene.height) < 1:
        raise InputError(f"is {scene.width}×{scene.height} pixels")
    _bounded(scene.width, scene.height)
    return scene


def painted(scene: Scene, ids: Mapping[str, int]) -> Mask:
    """Return the mask (H, W) of a scene: the id of the uppermost polygon, that of "unlabeled" where there is none.

    What annotators call a group is of that class ("cargroup"). Raises InputError for a name that `ids` does not know.
    """
    groups = {f"{name}group": name for name in ids}
    parts = [(groups.get(name, name), corners) for name, corners in scene.parts]
    if strange := sorted({name for name, _ in parts} - ids.keys()):
        raise InputError(f"holds polygons of {', '.join(map(repr, strange))}, expected {', '.join(ids)}")
    canvas = Image.new("L", (scene.width, scene.height), ids["unlabeled"])
    pen = ImageDraw.Draw(canvas)
    for name, corners in parts:
        if len(corners) > 2:
            pen.polygon(corners, fill=ids[name])
    return np.asarray(canvas)
