"""Look for what is wrong with a dataset: copies within and across splits and domains, placeholders, uneven coding."""

import hashlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from whence import archive, audit, metrics, pictures, runs, similar
from whence.base import arrays, settings
from whence.base.errors import InputError
from whence.base.stage import run
from whence.table import rows, tables

ABOUT = ("path", "official_split", "domain", "category")
ACROSS = 6
"""Pairs side by side in the gallery."""
UNEVEN = 0.1
"""By how much more than by chance the codings may tell the domains before a warning."""
Rows = NDArray[np.int64]


def main(
    dataset: str,
    reader: str,
    source: Path,
    images: Path,
    labels: Path,
    pairs: Path,
    placeholders: Path,
    colours: Path,
    codings: Path,
    figures: Path,
    gallery: Path,
) -> None:
    """Read `source` (archive or folder), `images` (.npy), `labels` (csv); write four tables, counts (json), a picture.

    `reader` is the module of whence/datasets that knows the names of its files.
    `pairs` holds exact and near-duplicates, of these one for all copies of an image; `codings` counts files.
    """
    section = settings.load("audit", audit.Settings)
    table, array = rows.read(labels), arrays.read(images)
    rows.check_aligned(table, array, images)
    coded, contents = _codings(reader, source, table)
    classes = table.domain if len(np.unique(table.domain)) > 1 else table.category
    told = audit.told(coded, classes)
    exact = audit.copies(table.group)
    near = similar.near_duplicates(array, np.unique(table.group), section)
    blank = audit.placeholders(array, section)
    _write_pairs(pairs, table, exact, near)
    distinct, share = audit.palette(array[blank])
    named = {"row": blank} | {name: getattr(table, name)[blank] for name in ABOUT}
    tables.write_csv(placeholders, named | {"colours": distinct, "share": share.round(metrics.DECIMALS)})
    _write_colours(colours, table, array)
    _write_codings(codings, table, coded)
    counted = {
        "images": len(array),
        "rows": _rows(table),
        "labels": hashlib.sha256(labels.read_bytes()).hexdigest()[:16],
        "placeholders": len(blank),
        "codings": len(set(coded)),
        "told_by_coding": round(told, metrics.DECIMALS),
        "uneven": told > 1 / len(np.unique(classes)) + UNEVEN,
        "exact": _counts(table, exact) | {"same_file": int((contents[exact[:, 0]] == contents[exact[:, 1]]).sum())},
        "near": _counts(table, near.pair),
    }
    metrics.write(figures, counted)
    pictures.save(_gallery(dataset, table, array, near, blank, section.shown), gallery)
    both = f"{len(exact):,} exact and {len(near.pair):,} near-duplicate pairs"
    print(f"{len(array):,} images: {both}, {len(blank):,} placeholders, {counted['codings']} ways of coding")
    if counted["uneven"]:
        what = "format, size and quality of the files alone tell the classes apart"
        print(f"warning: {what} (balanced accuracy {told:.2f}): a model may learn from what they leave in the pixels")


def _codings(reader: str, source: Path, table: rows.Labels) -> tuple[list[audit.Coding], tables.Strings]:
    """Return how the file of every row is coded, and its digest; your own files without a row do not count."""
    module = importlib.import_module(f"whence.datasets.{reader}")
    place = {path: row for row, path in enumerate(table.path.tolist())}

    def files() -> Iterator[tuple[int, bytes]]:
        with tqdm(total=archive.size(source), unit="B", unit_scale=True, desc=str(source), disable=None) as bar:
            for name, content in archive.members(source, bar.update):
                parsed = module.parse(name)
                if parsed is not None:
                    row = place.get(module.path(parsed))
                    if row is not None:
                        yield row, content
                    elif reader != "folder":
                        raise InputError(f"{source}: holds {name}, the labels do not; run dvc repro to make them again")

    return audit.codings(files(), len(table.path))


def _write_codings(path: Path, table: rows.Labels, coded: list[audit.Coding]) -> None:
    """Write how many files of each domain are coded in which way."""
    frame = pd.DataFrame.from_records(coded, columns=audit.Coding._fields)
    frame.insert(0, "domain", table.domain)
    tables.write_frame(path, frame.groupby(list(frame)).size().rename("files").reset_index())


def _rows(table: rows.Labels) -> dict[str, dict[str, int]]:
    """Return the number of rows of each split and domain."""
    found = pd.crosstab(table.split, table.domain)
    return {str(split): {str(domain): int(n) for domain, n in line.items()} for split, line in found.iterrows()}


def _write_pairs(path: Path, table: rows.Labels, exact: Rows, near: similar.Near) -> None:
    """Write a line per pair: exact ones first, each kind in the order of the rows."""
    pair = np.concatenate([exact, near.pair])
    columns: dict[str, NDArray[Any]] = {"kind": np.repeat(["exact", "near"], [len(exact), len(near.pair)])}
    for k, name in enumerate(("first", "second")):
        columns[name] = pair[:, k]
        columns |= {f"{name}_{about}": getattr(table, about)[pair[:, k]] for about in ABOUT}
    columns["detail"] = np.concatenate([np.ones(len(exact)), near.detail.astype(float).round(4)])
    columns["rmse"] = np.concatenate([np.zeros(len(exact)), near.rmse.astype(float).round(2)])
    tables.write_csv(path, columns)


def _write_colours(path: Path, table: rows.Labels, array: NDArray[np.uint8]) -> None:
    """Write mean and standard deviation of the channels, a line per category × domain."""
    _, code = np.unique(np.stack([table.domain, table.category]), axis=1, return_inverse=True)
    found = audit.colours(array, code)
    cell = pd.DataFrame({"domain": table.domain, "category": table.category}).drop_duplicates()
    cell = cell.sort_values(["domain", "category"], ignore_index=True)
    names = [f"{channel}_{what}" for what in ("mean", "std") for channel in ("red", "green", "blue")]
    cell[names] = found.round(metrics.DECIMALS)
    cell.insert(2, "n", np.bincount(code))
    tables.write_frame(path, cell)


def _counts(table: rows.Labels, pairs: Rows) -> dict[str, Any]:
    """Return the number of pairs, of test rows with a partner in train or valid, and of pairs within each value."""
    split = table.official_split[pairs]
    test = [pair[this] for pair, names in zip(pairs, split, strict=True) for this in (0, 1) if _leaks(names, this)]
    counted: dict[str, Any] = {"pairs": len(pairs), "test_rows_known": len(set(test))}
    for name in ("official_split", "domain", "category"):
        values = np.unique(getattr(table, name)).tolist()
        found = audit.by([getattr(table, name)], pairs)
        counted[name] = {value: found.get((value,), 0) for value in values}
        counted[name]["across"] = len(pairs) - sum(counted[name].values())
    return counted


def _leaks(split: tables.Strings, this: int) -> bool:
    return bool(split[this] == "test" and split[1 - this] != "test")


def _gallery(
    dataset: str, table: rows.Labels, array: NDArray[np.uint8], near: similar.Near, blank: Rows, most: int
) -> Any:
    """Draw the near-duplicates whose detail agrees best, and some placeholders below them."""
    best = near.pair[np.argsort(-near.detail, kind="stable")[:most]]
    pairs = -(-len(best) // ACROSS)
    lines = max(1, pairs + (len(blank) > 0))
    figure, grid = plt.subplots(lines, ACROSS, figsize=(13, 0.7 + 1.25 * lines), layout="constrained", squeeze=False)
    shown = f"the {len(best)} with the most alike detail of {len(near.pair):,}" if len(best) else "none found"
    last = f"last row: placeholders, {len(blank):,} in all" if len(blank) else "no placeholder"
    figure.suptitle(f"{dataset} ({runs.source(dataset)}): near-duplicates, {shown}; {last}")
    for axes in grid.flat:
        axes.axis("off")
    gap = np.full((array.shape[1], 2, 3), 255, np.uint8)
    for axes, pair in zip(grid.flat, best, strict=False):
        axes.imshow(np.hstack([array[pair[0]], gap, array[pair[1]]]))
        axes.set_title("\n".join(_caption(table, row) for row in pair), fontsize=8)
    for axes, row in zip(grid[pairs:].flat, blank, strict=False):
        axes.imshow(array[row])
        axes.set_title(_caption(table, row), fontsize=8)
    return figure


def _caption(table: rows.Labels, row: int) -> str:
    return ", ".join(getattr(table, name)[row] for name in ABOUT[1:])


if __name__ == "__main__":
    run(main)
