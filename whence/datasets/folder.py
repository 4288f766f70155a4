"""Your own images: a folder, or an archive, of image files of any format and size; section folders.<dataset>.

The names of the folders, from the outermost, say what an image is, as `layout` reads them: `<class>`,
`<split>/<class>`, `<domain>/<category>`, `<split>/<domain>/<category>` and so on; `*` is a folder that says nothing. A
class is domain and category in one; of more than two only the `<category>` is asked. What stands deeper counts as part
of the file's name. Splits may be called train, training, valid, validation, val, dev, test or testing.
"""

import re
from collections.abc import Callable
from typing import Literal

from pydantic import Field, field_validator, model_validator

from whence.base.settings import Section
from whence.names import Name

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
PARTS = ("split", "class", "domain", "category")
ALL = "all"
"""The category, or the domain, where the layout names none."""


class Images(Section):
    """Section folders.<dataset>.images: how a file becomes a row of the array; the same for all of them."""

    pixels: int = Field(ge=8, le=1024)
    """Height and width."""
    filter: Literal["box", "bilinear", "hamming", "bicubic", "lanczos"]
    """Pillow's name of it."""
    fit: Literal["crop", "stretch"]
    """crop: the largest square in the middle is taken; stretch: all of the image is, whatever its ratio of sides."""
    unreadable: int = Field(ge=0)
    """Files that may be unreadable, at most: they are listed, and left out."""


class Rows(Section):
    """Section folders.<dataset>.rows: what the names say, and which row stands in which split."""

    layout: str
    test_share: float | None = Field(gt=0, lt=1)
    """Of all, per category and domain, where the layout has no split; copies stay together."""
    valid_share: float | None = Field(gt=0, lt=1)
    """Of what is not test, likewise, where the folders hold no valid split."""
    cap: int | None = Field(ge=1)
    """Most rows per split × category × domain, or null for all of them."""
    seed: int = Field(ge=0)

    @field_validator("layout")
    @classmethod
    def _known(cls, layout: str) -> str:
        read(layout)
        return layout

    @model_validator(mode="after")
    def _shares(self) -> "Rows":
        split = "split" in read(self.layout)
        if split != (self.test_share is None):
            wanted = (
                "null, since the layout names the splits" if split else "a share such as 0.2: the layout has no <split>"
            )
            raise ValueError(f"test_share is {self.test_share}, expected {wanted}")
        return self


class Folder(Section):
    """Section folders.<dataset>."""

    path: str
    """Of the folder or the archive."""
    images: Images
    rows: Rows


def read(layout: str) -> list[str]:
    """Return the parts of a layout such as <split>/<class>, outermost first; raises ValueError for what is none."""
    parts = [part[1:-1] if part[:1] + part[-1:] == "<>" else part for part in layout.strip("/").split("/")]
    named = [part for part in parts if part != "*"]
    one = {"class", "domain", "category"} & set(named)
    if any(f"<{part}>" not in layout or part not in PARTS for part in named) or len(set(named)) < len(named) or not one:
        raise ValueError(
            "expected folders as <class>, <domain> or <category>, each at most once, with or without <split>, "
            "and * for any other: <split>/<class>, <domain>/<category>, …"
        )
    if "class" in parts and len({"domain", "category"} & set(parts)):
        raise ValueError("a <class> is domain and category in one; write <domain>/<category>")
    return parts


def parser(layout: str) -> Callable[[str], Name | None]:
    """Return what reads a path, by the layout: its parts, with all of the path as the stem, or None if it fits not."""
    parts = read(layout)
    pattern = re.compile("/".join("[^/]+" if part == "*" else rf"(?P<{part}>[^/]+)" for part in parts) + "/.+")

    def parse(path: str) -> Name | None:
        found = pattern.fullmatch(path)
        if found is None:
            return None
        said = found.groupdict()
        split = SPLITS.get(said.get("split", "train").lower())
        domain = said.get("class") or said.get("domain") or ALL
        return None if split is None else Name(split, said.get("category") or said.get("class") or ALL, domain, path)

    return parse


def parse(path: str) -> Name:
    """Return a name that holds the path alone, for who asks no more than which file is which."""
    return Name("", "", "", path)


def path(name: Name) -> str:
    """Return the path as it was: the inverse of `parse`."""
    return name.stem
