"""One page that shows everything: what a person opens first."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from whence import runs
from whence.base import settings
from whence.base.errors import InputError
from whence.base.files import replacing
from whence.base.stage import run
from whence.report import answers, charts, trust
from whence.report.files import Files
from whence.report.roads import roads

FOLDER = Path(charts.__file__).parent
LARGEST = 15 * 2**20
"""Bytes of a page that a browser opens without a thought."""
OTHERS = {"trust": "Trust", "maps": "Maps", "tuning": "Tuning", "data": "Data", "about": "About"}


def main(patterns: list[str], target: Path) -> None:
    """Read what other stages wrote, name=path each with places in braces such as {task}; write `target` (html)."""
    files = Files(patterns)
    tasks = [answers.task(files, name) for name in settings.value("tasks") if runs.of_task(name)]
    questions = [answers.classes(files, name) for name in settings.value("classes")]
    objects = answers.objects(files) if runs.of_objects() else None
    found = {
        "tasks": tasks,
        "objects": objects,
        "questions": questions,
        "roads": roads(files),
        "controls": trust.controls(files),
        "alarms": trust.alarms(files),
        "corruptions": trust.by_severity(files),
        "attacks": trust.by_epsilon(files),
        "mistakes": trust.mistakes(files),
        "maps": trust.maps(files),
        "searches": trust.searches(files),
        "audits": trust.audits(files),
    }
    named = {part["name"]: part["name"] for part in tasks + questions} | ({"objects": "objects"} if objects else {})
    named |= {"roads": "Road scenes"} if found["roads"] else {}
    page = _page(found | {"parts": list((named | OTHERS).items())})
    if len(page) > LARGEST:
        found_ = f"{len(page) / 2**20:.0f} MiB, more than {LARGEST / 2**20:.0f}"
        raise InputError(f"{target}: would be {found_}; show fewer rows in tsne.rows or fewer runs under examples")
    with replacing(target) as partial:
        partial.write_bytes(page)
    print(f"{target}: {len(page) / 2**20:.1f} MiB")


def _page(found: dict[str, Any]) -> bytes:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    css, js = (Markup((FOLDER / f"page.{kind}").read_text(encoding="utf-8")) for kind in ("css", "js"))
    about = {
        "source": runs.source(),
        "synthetic": settings.value("source") == "sample",
        "confidence": settings.value("evaluate.metrics.confidence"),
        "per_class": settings.value("show.per_class"),
        "dashes": charts.DASHES,
        "own": [part["dataset"] for part in found["audits"] if runs.own(part["dataset"])],
        "digests": [(part["dataset"], part["figures"]["labels"]) for part in found["audits"]],
        "params": settings.PARAMS.read_text(encoding="utf-8"),
        "css": css,
        "js": js,
    }
    return environment.get_template("page.html").render(**about, **found).encode()


if __name__ == "__main__":
    run(main)
