"""Ask a run about images of yours: a command for people, not a stage of the pipeline."""

import csv
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np
import typer
from tqdm import tqdm

from whence import metrics, photos
from whence.base.errors import InputError
from whence.base.files import replacing
from whence.base.stage import run
from whence.photos import Seen
from whence.predictor import Predictor

BATCH = 256
"""Images that a model is asked about together, while the next ones are read."""
STANDARD = Path("-")


class Format(StrEnum):
    """How answers are written."""

    CSV = "csv"
    JSONL = "jsonl"


Line = dict[str, Any]


@dataclass
class Tally:
    """What the answers come to."""

    labels: Counter[str] = field(default_factory=Counter)
    unlike: int = 0
    resized: int = 0
    bad: int = 0

    def count(self, line: Line) -> None:
        """Count an answer."""
        self.labels[line["label"]] += 1
        self.unlike += bool(line["warning"])
        self.resized += "resized" in line["changed"]


def main(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run of params.yaml, for instance fake-small.")],
    images: Annotated[Path, typer.Argument(help="An image, or a folder that is searched with all below it.")],
    output: Annotated[Path, typer.Argument(help="A .csv or .jsonl file; - is the standard output.")] = STANDARD,
    form: Annotated[Format | None, typer.Option("--format", help="Else by the ending of OUTPUT, or csv.")] = None,
) -> None:
    """Ask a trained RUN about images of any format, colour mode and size.

    Nothing is trained or downloaded. There is a line for each image:
    path; label; probability of the label, calibrated on valid images;
    p_<class> of every class; unlike, the share of the dataset's valid images
    that lie at least as far from its training images; warning, where that is
    below novelty.warn_below of params.yaml; changed, what was done to bring
    the image to the model.

    Models see 32×32 pixels. What is larger is squeezed to them by Pillow's
    BOX filter, what is smaller enlarged by BICUBIC. Runs on origin and fake
    look at just what a filter leaves behind: of a resized image they tell how
    it was resized as much as where it came from. Their answers hold for
    images that are 32×32 as they are.

    Files that cannot be read are listed on the standard error and left out.
    Exit code 0: every image was answered; 1: some could not be read, or
    nothing could be done, as the message says; 2: wrong arguments.
    """
    form = form or _form(output)
    files, others = photos.find(images)
    predictor = Predictor(name)
    tally = Tally()
    with _opened(output) as handle:
        write = _writer(form, handle, ["path", *_columns(predictor), "unlike", "warning", "changed"])
        for line in _answers(predictor, files, tally, output):
            write(line)
    _tell(tally, predictor, others)
    if tally.bad:
        raise InputError(f"{tally.bad:,} of {len(files):,} files could not be read; they are listed above")


def _form(output: Path) -> Format:
    if output == STANDARD:
        return Format.CSV
    for form in Format:
        if output.suffix.lower() == f".{form}":
            return form
    raise InputError(f"{output}: does not end in .csv or .jsonl; rename it, or say --format csv or --format jsonl")


@contextmanager
def _opened(output: Path) -> Iterator[IO[str]]:
    """Yield the output: a file appears whole or not at all. Names that are no UTF-8 go out as they came in."""
    if output != STANDARD:
        with replacing(output) as partial_, partial_.open("w", **_text()) as handle:
            yield handle
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(**_text())
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None


def _text() -> dict[str, Any]:
    return {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


def _writer(form: Format, handle: IO[str], columns: list[str]) -> Callable[[Line], Any]:
    if form is Format.JSONL:
        return lambda line: handle.write(json.dumps(line, ensure_ascii=False) + "\n")
    table = csv.DictWriter(handle, columns, lineterminator="\n")
    table.writeheader()
    return table.writerow


def _columns(predictor: Predictor) -> list[str]:
    return ["label", "probability", *(f"p_{name}" for name in predictor.classes)]


def _answers(predictor: Predictor, files: list[Path], tally: Tally, output: Path) -> Iterator[Line]:
    """Yield a line for each file that can be read, in order; tell of the others."""
    hidden = True if output == STANDARD and sys.stdout.isatty() else None  # or bar and lines mix; None: no terminal
    with photos.quiet(), tqdm(total=len(files), unit="image", disable=hidden) as bar:
        for batch, seen in _seen(predictor, files):
            good = [(path, one) for path, one in zip(batch, seen, strict=True) if isinstance(one, Seen)]
            for path, one in zip(batch, seen, strict=True):
                if isinstance(one, InputError):
                    tqdm.write(f"{path}: {one}", file=sys.stderr)
                    tally.bad += 1
            if good:
                for line in _lines(predictor, good):
                    tally.count(line)
                    yield line
            bar.update(len(batch))


def _seen(predictor: Predictor, files: list[Path]) -> Iterator[tuple[list[Path], list[Seen | InputError]]]:
    """Yield batches of files with what was seen in them; the next batch is read while this one is answered."""
    batches = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ask = partial(_see, wanted=predictor.wanted)
        try:
            ahead = pool.map(ask, batches[0])
            for batch, following in zip(batches, [*batches[1:], []], strict=True):
                seen = list(ahead)
                ahead = pool.map(ask, following)
                yield batch, seen
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _see(path: Path, wanted: photos.Wanted) -> Seen | InputError:
    try:
        return photos.see(path, wanted)
    except InputError as error:
        return error


def _lines(predictor: Predictor, good: list[tuple[Path, Seen]]) -> Iterator[Line]:
    proba, unlike = predictor.answer(np.stack([seen.pixels for _, seen in good]))
    for (path, seen), each, score in zip(good, proba.round(metrics.DECIMALS).tolist(), unlike.tolist(), strict=True):
        warning = f"unlike the training data (score {score:.4f})" if score < predictor.warn_below else ""
        best = int(np.argmax(each))
        values = [predictor.classes[best], each[best], *each]
        yield {
            "path": str(path),
            **dict(zip(_columns(predictor), values, strict=True)),
            "unlike": round(score, metrics.DECIMALS),
            "warning": warning,
            "changed": ", ".join(filter(None, [seen.changed, predictor.changed])),
        }


def _tell(tally: Tally, predictor: Predictor, others: int) -> None:
    """Say on the standard error what the answers come to."""
    labels = ", ".join(f"{tally.labels[name]:,} {name}" for name in predictor.classes if tally.labels[name])
    print(f"{labels or 'none answered'}; {tally.unlike:,} unlike the training data", file=sys.stderr)
    if others:
        print(f"passed over {others:,} files without the ending of an image", file=sys.stderr)
    if tally.resized and predictor.looks_closely:
        print(f"{tally.resized:,} were resized, which the answer may rest on: see --help", file=sys.stderr)


if __name__ == "__main__":
    run(main)
