"""Repositories in temporary folders, for tests that ask DVC itself."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml

from whence.table import rows, tables

ROOT = Path(__file__).resolve().parent.parent
FEW = ["origin-majority", "origin-colour-logistic", "fake-spectrum-logistic", "fake-pixels-forest", "fake-mlp"]
FEW_CONTROL = "fake-shuffled-spectrum-logistic"
FEW_OBJECTS = ["objects-real-lenet"]
MADE = tuple(f"{folder}{name}" for folder in ("", "roads/") for name in ("metrics/", "plots/", "dvc.lock"))
QUIET = {"DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
AUTHOR = ["-c", "user.name=test", "-c", "user.email=test@example.org"]


def _plots():
    """Return what dvc.yaml draws, a file or folder each with what it is drawn by, those of each task too."""
    pipeline, params = (yaml.safe_load((ROOT / f"{name}.yaml").read_text()) for name in ("dvc", "params"))
    found = list(pipeline["plots"])
    for key, task in params["tasks"].items():
        text = yaml.dump(pipeline["stages"]["compare"]["do"]["plots"], width=1000)
        found += yaml.safe_load(text.replace("${key}", key).replace("${item.question}", task["question"]))
    return [{name: {k: v for k, v in plot.items() if k != "cache"}} for one in found for name, plot in one.items()]


PLOTS = _plots()


def run(folder, *command, code=0, **environment):
    """Run a command in a folder; return what it printed."""
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=os.environ | QUIET | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == code, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


def repro(folder, **environment):
    """Bring everything up to date as `make repro` does, in half of the time of `dvc repro`; return what it said."""
    return run(folder, sys.executable, "-m", "scripts.repro", "1", **environment)


def commit(folder, message):
    run(folder, "git", "add", "-A")
    run(folder, "git", *AUTHOR, "commit", "-qm", message)


def fresh(folder):
    """Make a repository of the files that git knows here, as they are now, with nothing run yet."""
    files = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, files):
        if (ROOT / name).exists() and not name.startswith(MADE):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    run(folder, "git", "init", "-q", "-b", "main")
    run(folder, "git", "config", "user.name", "test")
    run(folder, "git", "config", "user.email", "test@example.org")
    commit(folder, "as it is")
    return folder


class Plain(yaml.SafeDumper):
    """YAML without anchors: scripts.study may take out a part that another one would point to."""

    def ignore_aliases(self, data):
        return True


def edit(folder, change, file="params.yaml"):
    """Apply `change` to the content of params.yaml, or of another file."""
    params = yaml.safe_load((folder / file).read_text())
    change(params)
    (folder / file).write_text(yaml.dump(params, Dumper=Plain, sort_keys=False))


def write_rows(folder, pixels, split, domain):
    """Write images and labels, as `pack` and `label` do; all are cats."""
    np.save(folder / "images.npy", pixels)
    names = np.array([f"{k}.jpg" for k in range(len(pixels))])
    digests = np.array([rows.digest(image) for image in pixels])
    table = (names, split, split, np.array(["cat"] * len(pixels)), domain, np.arange(len(pixels)), digests)
    tables.write_csv(folder / "labels", dict(zip(rows.Labels._fields, table, strict=True)))


def without_roads(folder):
    """Leave the road scenes out: the report shows what it is told of."""
    shutil.rmtree(folder / "roads")
    lines = (folder / "dvc.yaml").read_text().splitlines()
    kept = [re.sub(r"'roads_[^']*' ?", "", line).rstrip() for line in lines if not re.match(r" *- roads/", line)]
    (folder / "dvc.yaml").write_text("\n".join(filter(None, kept)) + "\n")
