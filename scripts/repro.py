"""`dvc repro` with independent stages side by side: `python -m scripts.repro JOBS`.

DVC runs one stage at a time, but frees its lock while a command runs. So the stages of one generation of the graph,
none of which needs another, are dealt out to several `dvc repro --single-item`; a plain `dvc repro` has the last word.
"""

import subprocess
import sys
import time

import networkx
from dvc.repo import Repo


def generations() -> list[list[str]]:
    """Return the names of all stages, those that depend on nothing first."""
    with Repo() as repo:
        graph = networkx.relabel_nodes(repo.index.graph, {stage: stage.addressing for stage in repo.index.graph})
    return [sorted(wave) for wave in networkx.topological_generations(graph.reverse())]


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


def main(jobs: int) -> int:
    """Reproduce everything with `jobs` processes; return the exit code."""
    for wave in generations():
        if code := run(wave, jobs):
            return code
    return subprocess.call(["dvc", "repro"])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
