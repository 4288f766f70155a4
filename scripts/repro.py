"""`dvc repro` with independent stages side by side: `python -m scripts.repro JOBS`.

DVC runs one stage at a time, but frees its lock while a command runs. So the stages of one generation of the graph,
none of which needs another, are dealt out to several `dvc repro --single-item`; a plain `dvc repro` has the last word.
"""

import subprocess
import sys
import time
from pathlib import Path

import networkx
import yaml
from dvc.repo import Repo
from dvc.repo.reproduce import plan_repro
from dvc.utils.serialize import modify_yaml

LOCK = Path("dvc.lock")


def plan() -> tuple[list[list[str]], list[str]]:
    """Return the stages by generation, those that depend on nothing first, and in the order of a serial run."""
    with Repo() as repo:
        graph = networkx.relabel_nodes(repo.index.graph, {stage: stage.addressing for stage in repo.index.graph})
    return [sorted(wave) for wave in networkx.topological_generations(graph.reverse())], plan_repro(graph)


def run(wave: list[str], jobs: int) -> int:
    """Reproduce the stages of a wave in `jobs` processes; return the first exit code that is not 0."""
    shares = [wave[k::jobs] for k in range(min(jobs, len(wave)))]
    running = [subprocess.Popen(["dvc", "--wait-for-lock", "repro", "--single-item", *share]) for share in shares]
    try:
        while any(process.poll() is None for process in running) and not any(process.returncode for process in running):
            time.sleep(0.05)
    finally:
        for process in running:
            process.terminate()
    return next((process.wait() for process in running if process.wait()), 0)


def locked() -> list[str]:
    """Return the stages in the order of the lock file."""
    return list(yaml.safe_load(LOCK.read_text())["stages"]) if LOCK.exists() else []


def main(jobs: int) -> int:
    """Reproduce everything with `jobs` processes; return the exit code."""
    waves, serial = plan()
    before = locked()
    for wave in waves:
        if code := run(wave, jobs):
            return code
    code = subprocess.call(["dvc", "repro"])
    # DVC appends a stage to the lock file when it ends: give the new ones the order that a serial run gives them.
    after = locked()
    order = [name for name in dict.fromkeys([*before, *serial]) if name in after]
    if after != order:
        with modify_yaml(LOCK) as content:
            content["stages"] = {name: content["stages"][name] for name in order}
    return code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
