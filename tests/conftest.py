"""Fixtures for the tests that run the pipeline."""

import shutil
import signal
import sys
from pathlib import Path

import pytest
import yaml
from repositories import FEW, FEW_CONTROL, FEW_OBJECTS, ROOT, commit, edit, fresh, repro, without_roads

# Ctrl-C is tested, and shells start what runs in the background with it switched off.
signal.signal(signal.SIGINT, signal.default_int_handler)
STUDY = yaml.safe_load((ROOT / "study.yaml").read_text())


WRITTEN = {"test_docs", "test_examples_in_docs", "test_notebook", "test_pages"}
"""Modules that try what is written: about half of the time that the small repository is used."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Of tests side by side each of two has a small repository of its own; begin with the longest."""
    for item in items:
        if "small" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group("written" if item.path.stem in WRITTEN else "small"))
    items.sort(key=lambda item: "whole_sample" not in item.name)


@pytest.fixture(autouse=True)
def closed():
    """No test sees the figures that another left open."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A repository with a tiny sample and few runs, reproduced and committed."""
    folder = fresh(tmp_path_factory.mktemp("small") / "repository")

    def shrink(params):
        params["fetch"]["cinic10"]["sample"] |= {"cifar": 4, "imagenet": 14}
        params["fetch"]["cifake"]["sample"] |= {"train": 20, "test": 10}
        params["runs"] = {key: STUDY["runs"][key] for key in FEW}
        params["object_runs"] = {key: STUDY["object_runs"][key] for key in FEW_OBJECTS}
        params["transfers"] = {}
        params["embed"]["pixels"] = 32
        params["hidden"] = {"fake-mlp": {"dataset": "cifake", "features": "images", "classifier": "mlp"}}
        one = {"task": "fake", "dataset": "cifake", "features": "fake-mlp", "run": "fake-mlp"}
        params["maps"] = {"fake-hidden": one, "fake-spectrum": one | {"features": "spectrum"}}
        wrong = {"task": "fake", "dataset": "cifake", "run": "fake-mlp"}
        params["mistakes"] = {f"fake-mlp-{name}": wrong | {"features": name} for name in ("fake-mlp", "spectrum")}
        params["distances"]["neighbours"] = 3
        params["corrupted"] = {
            "fake-mlp": {"task": "fake", "dataset": "cifake", "kind": "network", "classifier": "mlp"}
        }
        params["corrupt"]["rows"] = 20
        params["false_alarms"] = {"fake-mlp": params["corrupted"]["fake-mlp"] | {"asked": "cinic10"}}
        params["attacked"] = {"fake-mlp": {"task": "fake", "dataset": "cifake", "classifier": "mlp"}}
        params["examples"] = {"fake-mlp": {"section": "tasks.fake", "dataset": "cifake", "classifier": "mlp"}}
        params["head_examples"] = {}
        params["derived"] = {"cifake-shuffled": STUDY["derived"]["cifake-shuffled"]}
        params["controls"] = {FEW_CONTROL: STUDY["controls"][FEW_CONTROL]}
        params["tsne"] |= {"rows": 30, "perplexity": 5.0, "neighbours": 3}
        params["train"]["head"] |= {"epochs": 2, "batch": 32}
        params["tune"]["fake-head"]["trials"] = 3
        params["train"]["forest"]["trees"] = 5
        for name in ("mlp", "lenet"):
            params["train"][name] |= {"epochs": 2, "batch": 32}
        params["evaluate"]["metrics"]["resamples"] = 50

    edit(folder, shrink)
    without_roads(folder)
    repro(folder)
    commit(folder, "tiny sample, few runs")
    return folder


@pytest.fixture
def repository(small, tmp_path):
    """A copy of the small repository that a test may change: reproduced, committed, with its cache."""
    return Path(shutil.copytree(small, tmp_path / "copy", symlinks=True))


@pytest.fixture
def s3(monkeypatch):
    """The address of an S3 server on this machine, with an empty bucket called `bucket`."""
    import boto3
    import requests
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    requests.post(f"{address}/moto-api/reset", timeout=30)
    boto3.client("s3", endpoint_url=address).create_bucket(Bucket="bucket")
    yield address
    server.stop()
