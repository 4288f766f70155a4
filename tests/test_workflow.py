"""The workflow for pull requests: its scripts are shell, and what they call exists."""

import re
import shlex
import subprocess

import pytest
import yaml
from dvc.cli import parse_args
from repositories import ROOT

(FILE,) = (ROOT / ".github/workflows").iterdir()
JOBS = yaml.safe_load(FILE.read_text())["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]
SCRIPTS = [step["run"] for step in STEPS if "run" in step]


def called(tool):
    """The command lines of a tool in all scripts, each as words."""
    lines = "\n".join(SCRIPTS).splitlines()
    return [shlex.split(line) for line in map(str.strip, lines) if line.startswith(f"{tool} ")]


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_shell(script):
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for _, *words in called("make") for target in words}
    assert {"repro", "test"} == named & targets == named


def test_dvc_knows_the_commands_and_their_options():
    told = {" ".join(words[1:4]) for words in called("dvc")}
    assert {"metrics diff main", "plots diff main"} <= told
    for _, *words in called("dvc"):
        parse_args(words)  # raises for what it does not know


def test_actions_are_githubs_own_by_major_version():
    used = {step["uses"] for step in STEPS if "uses" in step}
    assert all(re.fullmatch(r"actions/(checkout|setup-python|upload-artifact|cache)@v\d+", action) for action in used)


def test_one_job_alone_may_write_and_nothing_but_comments():
    whole = yaml.safe_load(FILE.read_text())
    assert whole["permissions"] == {"contents": "read"}
    granted = {name: job["permissions"] for name, job in JOBS.items() if "permissions" in job}
    assert granted == {"repro": {"contents": "read", "pull-requests": "write"}}


def test_files_that_scripts_read_are_written_before():
    """What is uploaded is what the plots command writes, and outputs of the pipeline."""
    (upload,) = [step["with"]["path"].split() for step in STEPS if step.get("uses", "").startswith("actions/upload")]
    (compared,) = [words[words.index("--out") + 1] for words in called("dvc") if "--out" in words]
    assert upload == [compared, "plots/report.html", "plots/**/*.png", "roads/plots/**/*.png"]
