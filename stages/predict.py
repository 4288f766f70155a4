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
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np
import typer
from tqdm import tqdm

from whence import metrics, novelty, photos, runs
from whence.base import settings
from whence.base.errors import InputError
from whence.base.files import replacing
from whence.base.stage import run
from whence.photos import Seen, Wanted
from whence.predictor import Predictor

BATCH = 256
"""Images that a model is asked about together, while the next ones are read."""
STANDARD = Path("-")
UNLIKE, RESIZED = "unlike the training data", "resized, which the answer may rest on"
TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
"""How names that are no UTF-8 go out as they came in."""
Line = dict[str, Any]


def main(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run of params.yaml, for instance fake-small.")],
    images: Annotated[
        Path, typer.Argument(metavar="IMAGES", help="An image, or a folder that is searched with all below it.")
    ],
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="A .csv or .jsonl file; - is CSV on the standard output.")
    ] = STANDARD,
) -> None:
    """Ask a trained RUN about images of any format, colour mode and size.

    Nothing is trained or downloaded. There is a line for each image:
    path; label; probability of the label, calibrated on valid images;
    p_<class> of every class; out_of_domain, the share of the dataset's valid
    images that are nearer to its training images, 0 to 1; warning, where that
    is above novelty.warn_above of params.yaml, or a resized image is asked
    where it came from; changed, what was done to bring it to the model.

    Models see 32×32 pixels. What is larger is squeezed to them by Pillow's
    BOX filter, what is smaller enlarged by BICUBIC. Runs on origin and fake
    look at just what a filter leaves behind: of a resized image they tell how
    it was resized as much as where it came from. Their answers hold for
    images that are 32×32 as they are.

    Files that cannot be read are listed on the standard error and left out.
    Exit code 0: every image was answered; 1: some could not be read, or
    nothing could be done, as the message says; 2: wrong arguments.
    """
    writer = _writer(output)
    files, others = photos.find(images)
    predictor = Predictor(name)
    told: Counter[str] = Counter()
    with _opened(output) as handle:
        write = writer(handle, _columns(predictor))
        for line in _answers(predictor, files, told, output):
            write(line)
    _tell(told, predictor, others)
    if told["bad"]:
        raise InputError(f"{told['bad']:,} of {len(files):,} files could not be read; they are listed above")


def _writer(output: Path) -> Callable[[IO[str], list[str]], Callable[[Line], Any]]:
    """Return what begins a file of that name; raises InputError for an ending that is none of CSV or JSON lines."""
    if output == STANDARD or output.suffix.lower() == ".csv":
        return _csv
    if output.suffix.lower() == ".jsonl":
        return lambda handle, _: lambda line: handle.write(json.dumps(line, ensure_ascii=False) + "\n")
    raise InputError(f"{output}: does not end in .csv or .jsonl; give it the one that you want")


def _csv(handle: IO[str], columns: list[str]) -> Callable[[Line], Any]:
    table = csv.DictWriter(handle, columns, lineterminator="\n")
    table.writeheader()
    return table.writerow


@contextmanager
def _opened(output: Path) -> Iterator[IO[str]]:
    """Yield the output: a file appears whole or not at all."""
    if output != STANDARD:
        with replacing(output) as unfinished, unfinished.open("w", **TEXT) as handle:
            yield handle
        return
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(**TEXT)
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None


def _columns(predictor: Predictor) -> list[str]:
    classes = [f"p_{name}" for name in predictor.classes]
    return ["path", "label", "probability", *classes, "out_of_domain", "warning", "changed"]


def _answers(predictor: Predictor, files: list[Path], told: Counter[str], output: Path) -> Iterator[Line]:
    """Yield a line for each file that can be read, in order; tell of the others, and count."""
    warn_above = settings.load("novelty", novelty.Settings).warn_above
    hidden = True if output == STANDARD and sys.stdout.isatty() else None  # or bar and lines mix; None: no terminal
    with photos.quiet(), tqdm(total=len(files), unit="image", disable=hidden) as bar:
        for batch, seen in _seen(predictor.wanted, files):
            good = []
            for path, one in zip(batch, seen, strict=True):
                if isinstance(one, Seen):
                    good.append((path, one))
                else:
                    tqdm.write(f"{path}: {one}", file=sys.stderr)
            told["bad"] += len(batch) - len(good)
            for line in _lines(predictor, good, warn_above) if good else ():
                told.update([line["label"], *filter(None, line["warning"].split("; "))])
                yield line
            bar.update(len(batch))


def _seen(wanted: Wanted, files: list[Path]) -> Iterator[tuple[list[Path], list[Seen | InputError]]]:
    """Yield batches of files with what was seen in them; the next batch is read while this one is answered."""
    batches = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        look = partial(_look, wanted=wanted)
        try:
            ahead = pool.map(look, batches[0])
            for batch, following in zip(batches, [*batches[1:], []], strict=True):
                seen = list(ahead)
                ahead = pool.map(look, following)
                yield batch, seen
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _look(path: Path, wanted: Wanted) -> Seen | InputError:
    try:
        return photos.see(path, wanted)
    except InputError as error:
        return error


def _lines(predictor: Predictor, good: list[tuple[Path, Seen]], warn_above: float) -> Iterator[Line]:
    proba, score = predictor.answer(np.stack([seen.pixels for _, seen in good]))
    for (path, seen), each, far in zip(good, proba, score.tolist(), strict=True):
        warnings = [UNLIKE] * (far > warn_above) + [RESIZED] * (predictor.of_origin and "resized" in seen.changed)
        best, rounded = int(np.argmax(each)), each.round(metrics.DECIMALS).tolist()
        values = [str(path), predictor.classes[best], rounded[best], *rounded]
        values += [round(far, metrics.DECIMALS), "; ".join(warnings), seen.changed]
        yield dict(zip(_columns(predictor), values, strict=True))


def _tell(told: Counter[str], predictor: Predictor, others: int) -> None:
    """Say on the standard error what the answers come to, and what they rest on."""
    answers = ", ".join(f"{told[label]:,} {label}" for label in predictor.classes if told[label]) or "nothing"
    warned = "".join(f"; {told[warning]:,} {warning}" for warning in (UNLIKE, RESIZED) if told[warning])
    print(f"{answers}{warned}", file=sys.stderr)
    if others:
        print(f"passed over, without the ending of an image: {others:,}", file=sys.stderr)
    print(f"model: {predictor.shown} ({runs.source(predictor.dataset)})", file=sys.stderr)


if __name__ == "__main__":
    run(main)
