"""Stages side by side: small repositories whose commands tell when, where and beside what they ran."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import yaml
from repositories import AUTHOR, QUIET, ROOT, commit, run

from scripts.repro import forks
from scripts.repro.reproduction import FEW

SIDE_BY_SIDE = """
    stages:
      left:
        cmd: touch left.there; {wait}; printenv CUDA_VISIBLE_DEVICES > left.txt
        outs: [left.txt]
      right:
        cmd: touch right.there; {wait}; printenv CUDA_VISIBLE_DEVICES > right.txt
        outs: [right.txt]
      both:
        cmd: cat left.txt right.txt > both.txt
        deps: [left.txt, right.txt]
        outs: [{{both.txt: {{cache: false}}}}]
"""
WAIT = "for k in $(seq 100); do [ -e left.there ] && [ -e right.there ] && break; sleep .1; done; [ $k -lt 100 ]"
"""Ends well if both stages are seen to run within ten seconds."""


@pytest.fixture
def repository(tmp_path):
    run(tmp_path, "git", "init", "-q", "-b", "main")
    run(tmp_path, "dvc", "init", "-q")
    commit(tmp_path, "empty")
    return tmp_path


def write(folder, pipeline):
    (folder / "dvc.yaml").write_text(textwrap.dedent(pipeline))


def repro(folder, jobs=2, code=0, **environment):
    return run(folder, sys.executable, "-m", "scripts.repro", str(jobs), code=code, PYTHONPATH=str(ROOT), **environment)


def begin(folder, jobs):
    environment = os.environ | QUIET | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "scripts.repro", str(jobs)]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for(path):
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


def locked(folder):
    return yaml.safe_load((folder / "dvc.lock").read_text())["stages"]


def test_independent_stages_run_at_once_and_what_needs_them_afterwards(repository):
    write(repository, SIDE_BY_SIDE.format(wait=WAIT))
    told = repro(repository, CUDA_VISIBLE_DEVICES="4,7")
    assert sorted((repository / "both.txt").read_text().split()) == ["4", "7"]  # a GPU for each slot
    assert told.index("Running stage 'right'") < told.index("Running stage 'both'")
    assert list(locked(repository)) == ["left", "right", "both"]
    (repository / "dvc.lock").rename(repository / "first.lock")
    run(repository, "dvc", "commit", "-f")
    assert (repository / "dvc.lock").read_bytes() == (repository / "first.lock").read_bytes()
    assert "Data and pipelines are up to date." in run(repository, "dvc", "repro")
    told = repro(repository)
    assert "Running" not in told
    assert told.endswith("Data and pipelines are up to date.\n")


BESIDE = """
stages:
  later:
    wdir: ..
    cmd: cp left.txt beside/later.txt
    deps: [left.txt]
    outs: [beside/later.txt]
"""


def test_a_second_pipeline_beside_the_first_has_a_lock_file_of_its_own(repository):
    write(repository, SIDE_BY_SIDE.format(wait="true"))
    (repository / "beside").mkdir()
    (repository / "beside/dvc.yaml").write_text(BESIDE)
    assert "Running stage 'beside/dvc.yaml:later'" in repro(repository, CUDA_VISIBLE_DEVICES="0,1")
    assert list(locked(repository)) == ["left", "right", "both"]
    assert list(locked(repository / "beside")) == ["later"]
    ours = (repository / "beside/dvc.lock").read_bytes()
    (repository / "beside/dvc.lock").unlink()
    run(repository, "dvc", "commit", "-f", "beside/dvc.yaml")
    assert (repository / "beside/dvc.lock").read_bytes() == ours
    assert "Data and pipelines are up to date." in repro(repository)


def test_one_slot_runs_one_at_a_time_and_leaves_the_gpus_alone(repository):
    alone = "[ $(ls *.there | wc -l) = 1 ] && rm *.there"
    write(repository, SIDE_BY_SIDE.format(wait=alone))
    repro(repository, jobs=1, CUDA_VISIBLE_DEVICES="4,7")
    assert (repository / "both.txt").read_text() == "4,7\n4,7\n"


def test_lines_of_several_slots_say_whose_they_are(repository):
    write(repository, "stages:\n  a: {cmd: 'echo one; echo two >&2'}\n")
    assert "\na | one\na | two\n" in repro(repository)
    assert "\none\ntwo\n" in repro(repository, jobs=1)


def test_what_was_run_before_comes_from_the_cache(repository):
    write(repository, "stages:\n  a: {cmd: 'cat in > a; echo >> ran', deps: [in], outs: [a]}\n")
    for content in ("1", "2", "1"):
        (repository / "in").write_text(content)
        told = repro(repository)
        assert (repository / "a").read_text() == content
    assert (repository / "ran").read_text() == "\n\n"
    assert "Stage 'a' is cached - skipping run, checking out outputs" in told


def test_a_failure_is_told_and_what_ran_beside_it_is_kept(repository):
    pipeline = """
        stages:
          bad: {cmd: 'touch bad.there; exit 3', outs: [bad]}
          good: {cmd: 'while [ ! -e bad.there ]; do sleep .1; done; sleep .3; touch good', outs: [good]}
          next: {cmd: cp good next, deps: [good], outs: [next]}
          none: {cmd: cp bad none, deps: [bad], outs: [none]}
    """
    write(repository, pipeline)
    told = repro(repository, code=1)
    assert told.endswith("error: failed to reproduce 'bad': exit status 3\n")
    assert list(locked(repository)) == ["good"]
    write(repository, pipeline.replace("exit 3", "touch bad"))
    told = repro(repository)
    assert "Stage 'good' didn't change, skipping" in told
    assert list(locked(repository)) == ["good", "bad", "next", "none"]  # as `dvc repro` would go on


def test_an_output_that_is_not_written_is_a_failure(repository):
    write(repository, "stages:\n  a: {cmd: 'true', outs: [a]}\n")
    assert "error: failed to reproduce 'a': output 'a' does not exist" in repro(repository, code=1)
    assert not (repository / "dvc.lock").exists()


def test_a_pipeline_that_is_none_is_told(repository):
    write(repository, "stages:\n  a: {deps: [b]}\n")
    assert "error: " in repro(repository, code=1)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_stops_its_commands_and_keeps_what_ended(repository, sent):
    pipeline = """
        stages:
          first: {cmd: touch first, outs: [first]}
          long: {cmd: 'echo $$ > pid; touch started; exec sleep 600', deps: [first], outs: [long]}
    """
    write(repository, pipeline)
    process = begin(repository, 2)
    wait_for(repository / "started")
    process.send_signal(sent)
    told = process.communicate(timeout=30)[0].decode()
    assert process.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130}[sent], told
    assert list(locked(repository)) == ["first"]
    with pytest.raises(ProcessLookupError):
        os.kill(int((repository / "pid").read_text()), 0)
    assert "Stage 'first' didn't change, skipping" in run(repository, "dvc", "repro", "first")


def test_others_may_ask_meanwhile_and_not_write_the_same(repository):
    """DVC is free while commands run; a second run of the same stage is refused by name."""
    again = f"PYTHONPATH={ROOT} {sys.executable} -m scripts.repro 1 > second 2>&1"
    write(repository, f"stages:\n  a: {{cmd: 'dvc status --quiet; {again}; echo $? >> second; touch a', outs: [a]}}\n")
    repro(repository)
    told = (repository / "second").read_text()
    assert "'a' is busy" in told.replace(f"{repository}/", "")
    assert told.endswith("\n1\n")


def test_what_a_stage_lacks_is_named_and_its_neighbours_end(repository):
    write(
        repository,
        """
        stages:
          slow: {cmd: 'sleep 2; touch slow.txt', outs: [slow.txt]}
          lacks: {cmd: 'touch lacks.txt', deps: [absent.txt], outs: [lacks.txt]}
        """,
    )
    told = repro(repository, code=1)
    assert "error: failed to reproduce 'lacks': " in told
    assert "absent.txt" in told
    assert (repository / "slow.txt").exists()
    assert "slow" in locked(repository)


def test_the_lock_file_is_that_of_dvc(repository):
    """The same pipeline by `dvc repro`: parameters, folders, uncached files and metrics, byte for byte."""
    (repository / "params.yaml").write_text("a: {b: 1}\n")
    pipeline = """
        stages:
          folder: {cmd: 'mkdir f; echo 1 > f/1; echo 2 > f/2', params: [a.b], outs: [f]}
          many: {foreach: [x, y], do: {cmd: 'ls f > ${item}', deps: [f], outs: [{'${item}': {cache: false}}]}}
          sum: {cmd: "echo '{}' > m.json", deps: [x, y], metrics: [{m.json: {cache: false}}]}
    """
    write(repository, pipeline)
    run(repository, "git", "add", "-A")
    run(repository, "git", *AUTHOR, "commit", "-qm", "pipeline")
    repro(repository)
    ours, ignored = (repository / "dvc.lock").read_bytes(), (repository / ".gitignore").read_text()
    run(repository, "git", "clean", "-qdfx", "-e", ".dvc")
    run(repository, "dvc", "repro", "--no-run-cache")
    assert (repository / "dvc.lock").read_bytes() == ours
    assert (repository / ".gitignore").read_text() == ignored


def test_the_lock_file_keeps_the_order_of_a_serial_run_however_often_it_is_written(repository):
    slow, quick = (f"{{cmd: sleep {k}; touch {name}, outs: [{name}]}}" for k, name in ((1, "a"), (0, "b")))
    write(repository, f"stages:\n  a: {slow}\n  b: {quick}\n")
    often = "import sys; from scripts.repro import reproduction as r; r.HOLD = 0; sys.exit(r.main(2))"
    told = run(repository, sys.executable, "-c", often, PYTHONPATH=str(ROOT))
    assert told.count("lock file 'dvc.lock'") > 1
    (repository / "dvc.lock").rename(repository / "first.lock")
    run(repository, "dvc", "repro", "--force")
    assert (repository / "dvc.lock").read_bytes() == (repository / "first.lock").read_bytes()


TOOL = """
import os, sys, time
from pathlib import Path

if __name__ == "__main__":
    name, wish = sys.argv[1:]
    assert Path(sys.argv[0]) == Path(__file__), "as python -m has it"
    assert "whence" not in sys.modules, "the project's own modules are those of the moment"
    print("out of", name, flush=True)
    print("err of", name, file=sys.stderr)
    if wish == "wait":
        Path("pid").write_text(str(os.getpid()))
        Path("started").touch()
        time.sleep(600)
    if wish == "fail":
        sys.exit(7)
    if wish == "break":
        raise ValueError(wish)
    Path(name).write_text(f"{'torch' in sys.modules} {os.environ.get('CUDA_VISIBLE_DEVICES')} {Path.cwd()}")
"""
"""A module that says how it was run."""


def tools(folder, wish="nothing"):
    """Write a pipeline of more stages than begin by themselves, the last of which does as it is asked."""
    (folder / "tool.py").write_text(TOOL)
    names = [f"s{number}" for number in range(FEW + 2)]
    stages = {
        name: {
            "cmd": f"python -m tool {name} '{wish if name == names[-1] else 'nothing'}'",
            "deps": names[: names.index(name)][-1:],
            "outs": [name],
        }
        for name in names
    }
    (folder / "dvc.yaml").write_text(yaml.dump({"stages": stages}))
    return names


@pytest.mark.parametrize("jobs", [1, 2])
def test_after_a_few_commands_modules_run_in_forks_that_have_the_libraries(repository, jobs):
    names = tools(repository)
    told = repro(repository, jobs, CUDA_VISIBLE_DEVICES="5")
    for number, name in enumerate(names):
        assert (repository / name).read_text() == f"{number >= FEW} 5 {repository}"
        said = f"{name} | " if jobs > 1 else ""
        assert f"\n{said}out of {name}\n" in told
        assert f"\n{said}err of {name}\n" in told
    assert "Data and pipelines are up to date." in run(repository, "dvc", "repro")


@pytest.mark.parametrize(("wish", "code"), [("fail", 7), ("break", 1)])
def test_a_fork_that_fails_is_told_with_its_exit_status(repository, wish, code):
    names = tools(repository, wish)
    told = repro(repository, 1, code=1)
    assert told.endswith(f"error: failed to reproduce '{names[-1]}': exit status {code}\n")
    assert ("ValueError: break" in told) == (wish == "break")
    assert list(locked(repository)) == names[:-1]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_stops_its_forks(repository, sent):
    names = tools(repository, "wait")
    process = begin(repository, 2)
    wait_for(repository / "started")
    process.send_signal(sent)
    told = process.communicate(timeout=30)[0].decode()
    assert process.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130}[sent], told
    assert list(locked(repository)) == names[:-1]
    with pytest.raises(ProcessLookupError):
        os.kill(int((repository / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("python -m stages.x a 'b c' \"d\"", ["stages.x", "a", "b c", "d"]),
        ("${LAUNCH:-python} -m stages.x 'roads/{run}.json'\n", ["stages.x", "roads/{run}.json"]),
        ("python -m stages.x a > b", None),
        ("python -m stages.x *.png", None),
        ("python -m stages.x; true", None),
        ("python -m stages.x $HOME", None),
        ("python stages/x.py", None),
        ("python -m", None),
        ("CUDA_VISIBLE_DEVICES= python -m stages.x", None),
        ("", None),
    ],
)
def test_what_only_a_shell_makes_sense_of_is_left_to_it(command, words, monkeypatch):
    monkeypatch.delenv("LAUNCH", raising=False)
    assert forks.module(command) == words
    monkeypatch.setenv("LAUNCH", "torchrun --nproc-per-node 2")
    assert forks.module(command) == (None if "LAUNCH" in command else words)


def test_the_libraries_of_the_forks_are_imported_without_asking_for_a_gpu():
    """A fork of a process that has asked cannot use it; nor is a module of the project left."""
    asks = "torch._C._cuda_getDeviceCount, torch._C._cuda_init, torch._C._accelerator_getAccelerator"
    told = run(
        ROOT,
        sys.executable,
        "-c",
        f"import sys, torch; {asks} = 3 * [None]\n"
        "import scripts.repro.libraries\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'whence', 'stages', 'sklearn', 'timm'}))",
    )
    assert told == "sklearn timm\n"
