"""`dvc repro` with independent stages side by side, which begin at once: `python -m scripts.repro JOBS`.

A stage begins as soon as all that it needs is there and one of JOBS slots is free. Around the commands this does what
`dvc repro` does, by DVC's own functions, and leaves the same lock files. But these, which cost DVC seconds after
every stage, are written at most once in HOLD seconds, while commands run: `kill -9` loses the record of the stages that
ended since, and these run again. After the first FEW commands they run as forks, see forks.py. With several slots every
line of output begins with the name of its stage, and where there are GPUs each slot has one (CUDA_VISIBLE_DEVICES).
"""

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import networkx
import yaml
from dvc.exceptions import DvcException
from dvc.logger import setup
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import get_active_graph, plan_repro
from dvc.rwlock import rwlock
from dvc.stage import Stage
from dvc.stage.cache import RunCacheNotFoundError
from dvc.stage.run import prepare_kwargs
from dvc.utils.serialize import modify_yaml

from scripts.repro import forks

HOLD = 30.0  # seconds
FEW = 5
"""Commands of a run that import all for themselves: libraries for the forks to have take as long as three of them."""
MANY = 25
"""Stages that need the first that changed, for the libraries to be imported beside it."""


def gpus() -> list[str]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES grants, or else all that there are."""
    if granted := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return granted.split(",")
    return sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))


class Command:
    """The command of a stage, while it runs; no other `dvc` may change its files meanwhile."""

    def __init__(self, stage: Stage, slot: int, slots: int, *, forked: bool) -> None:
        self.stage, self.slot = stage, slot
        repo, name = stage.repo, stage.addressing
        reads, writes = ([item.fs_path for item in items] for items in (stage.deps, stage.outs))
        self.held = contextlib.ExitStack()
        hardlink = repo.config["core"].get("hardlink_lock", False)
        self.held.enter_context(rwlock(repo.tmp_dir, repo.fs, f"repro {name}", reads, writes, hardlink))
        print(f"Running stage '{name}':\n> {stage.cmd}", flush=True)
        found = gpus() if slots > 1 else []
        granted = {"CUDA_VISIBLE_DEVICES": found[slot % len(found)]} if found else {}
        given = prepare_kwargs(stage, granted)
        words = forks.module(stage.cmd) if forked else None
        self.process: forks.Fork | subprocess.Popen[str]
        if words:
            self.process = forks.Fork(words, given["cwd"], given["env"], piped=slots > 1)
        else:
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} if slots > 1 else {}
            self.process = subprocess.Popen(stage.cmd, **given | {"shell": True} | pipes)

    def follow(self, ended: "queue.SimpleQueue[Command]") -> None:
        """Print what it prints, and come in by `ended` when it ends."""
        for line in self.process.stdout or ():
            print(f"{self.stage.addressing} | {line.rstrip()}", flush=True)
        self.process.wait()
        ended.put(self)


class Reproduction:
    """All stages of a repository, those that changed run in `jobs` slots."""

    def __init__(self, repo: Repo, jobs: int) -> None:
        self.repo = repo
        graph = get_active_graph(repo.index.graph)
        self.serial = plan_repro(graph)
        self.before = {lock: locked(lock) for lock in sorted({lock_of(stage) for stage in self.serial})}
        self.left = list(self.serial)
        self.graph = graph  # from each stage to those that it needs
        self.done: set[Stage] = set()
        self.jobs = jobs
        self.free = list(range(jobs))
        self.busy: list[Command] = []
        self.ended: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self.failed: list[str] = []
        self.unsaved: list[Stage] = []
        self.saved = time.monotonic()
        self.ran = 0

    def run(self) -> int:
        """Reproduce them; return the exit code. A stage that fails lets those that run end, and none begin."""
        try:
            while True:
                while self.free and not self.failed and (stage := self.ready()):
                    self.left.remove(stage)
                    with self.noted(stage):
                        self.take_up(stage)
                if not self.busy or time.monotonic() - self.saved > HOLD:
                    self.save()
                if not self.busy:
                    break
                with self.unlocked():
                    command = self.ended.get()
                self.take_in(command)
        finally:
            for command in self.busy:
                command.process.terminate()
            for command in self.busy:
                command.process.wait()
                command.held.close()
            self.save()
        for name in self.failed:
            print(f"error: {name}", file=sys.stderr)
        if not self.ran and not self.failed:
            print("Data and pipelines are up to date.")
        return bool(self.failed)

    def ready(self) -> Stage | None:
        """Return the first stage, in the order of a serial run, whose needs are there."""
        return next((stage for stage in self.left if self.done.issuperset(self.graph.successors(stage))), None)

    def take_up(self, stage: Stage) -> None:
        """Skip a stage that did not change, take it from DVC's cache of runs, or begin its command."""
        if stage.frozen or not stage.changed(upstream=list(self.graph.successors(stage))):
            print(f"Stage '{stage.addressing}' didn't change, skipping")
            self.done.add(stage)
            return
        self.ran += 1
        stage.remove_outs()
        try:
            self.repo.stage_cache.restore(stage)
        except RunCacheNotFoundError:
            stage.save_deps()
            if self.ran == 1 and len(networkx.ancestors(self.graph, stage)) > MANY:
                forks.prepare()
            command = Command(stage, self.free.pop(0), self.jobs, forked=self.ran > FEW)
            self.busy.append(command)
            threading.Thread(target=command.follow, args=(self.ended,), daemon=True).start()
        else:
            self.keep(stage)

    def take_in(self, command: Command) -> None:
        """Keep what a command left, or note that it failed."""
        self.busy.remove(command)
        self.free.append(command.slot)
        command.held.close()
        stage, code = command.stage, command.process.returncode
        if code:
            self.failed.append(f"failed to reproduce '{stage.addressing}': exit status {code}")
            return
        with self.noted(stage):
            self.keep(stage)

    @contextlib.contextmanager
    def noted(self, stage: Stage) -> Iterator[None]:
        """Note that a stage fails where DVC says so: a file that it needs or should have made is not there."""
        try:
            yield
        except (DvcException, OSError) as error:
            self.failed.append(f"failed to reproduce '{stage.addressing}': {error}")

    def keep(self, stage: Stage) -> None:
        """Put the outputs of a stage that ran into the cache."""
        stage.save(run_cache=all(out.use_cache or out.is_metric or out.is_plot for out in stage.outs))
        stage.commit()
        self.unsaved.append(stage)
        self.done.add(stage)

    def save(self) -> None:
        """Write the stages that ran into the lock files, and those that are new there in the order of a serial run."""
        for lock, before in self.before.items():
            stages = [stage for stage in self.unsaved if lock_of(stage) == lock]
            if not stages:
                continue
            stages[0].dvcfile.dump_stages(stages, update_pipeline=False)
            names = locked(lock)
            known = [*before, *(stage.name for stage in self.serial if lock_of(stage) == lock)]
            order = [name for name in dict.fromkeys(known) if name in names]
            if names != order:
                with modify_yaml(lock) as content:
                    content["stages"] = {name: content["stages"][name] for name in order}
        self.unsaved, self.saved = [], time.monotonic()

    @contextlib.contextmanager
    def unlocked(self) -> Iterator[None]:
        """Let other commands of DVC work meanwhile."""
        self.repo.lock.unlock()
        try:
            yield
        finally:
            self.repo.lock.lock()


def lock_of(stage: Stage) -> Path:
    """Return the lock file beside the dvc.yaml of a stage."""
    return Path(stage.dvcfile.path).with_suffix(".lock")


def locked(lock: Path) -> list[str]:
    """Return the stages in the order of a lock file."""
    return list(yaml.load(lock.read_text(), yaml.CSafeLoader)["stages"]) if lock.exists() else []


def main(jobs: int) -> int:
    """Reproduce everything in `jobs` slots; return the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    setup(logging.INFO)
    if jobs > 1:  # threads that wait leave the core to the other slots
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        with Repo(_wait_for_lock=True) as repo, lock_repo(repo), repo.scm_context(quiet=True):
            return Reproduction(repo, jobs).run()
    except DvcException as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
