"""Tasks and runs: which rows are positive, and which runs answer which task."""

import numpy as np
import pytest

from whence import runs, settings
from whence.errors import InputError
from whence.rows import Labels
from whence.tasks import Task

CONTENT = {"dataset": "cifake", "question": "?", "label": "domain", "negative": "real", "positive": "fake"}
RUN = "{task: fake, dataset: cifake, features: colour, classifier: guess}"


def task(**changes):
    return settings.check(CONTENT | changes, Task, "tasks.fake")


def labels(*domains, **columns):
    """Labels of these domains; whatever else they hold has nothing to do with it."""
    text = {name: np.full(len(domains), "fake") for name in Labels._fields}
    return Labels(**text | {"domain": np.array(domains)} | columns)


@pytest.fixture
def params(tmp_path, monkeypatch):
    """Write params.yaml into an empty folder, and stand in it."""
    monkeypatch.chdir(tmp_path)
    return (tmp_path / "params.yaml").write_text


def test_the_target_by_hand():
    got = task().target(labels("real", "fake", "fake", "real"))
    assert got.dtype == np.bool_
    assert got.tolist() == [False, True, True, False]
    assert task(negative="fake", positive="real").target(labels("real", "fake")).tolist() == [True, False]


def test_the_target_is_read_off_the_domain_alone():
    assert task().target(labels("real", category=np.array(["fake"]), path=np.array(["fake"]))).tolist() == [False]


@pytest.mark.parametrize(
    ("changes", "domains", "stranger"),
    [
        ({}, ("real", "fake", "other"), "other"),
        ({}, ("real", "Fake"), "Fake"),
        ({}, ("real", ""), ""),
        ({"positive": "fakes"}, ("real", "fake"), "fake"),
        ({"negative": "fake"}, ("real", "fake"), "real"),
    ],
)
def test_strangers_are_refused(changes, domains, stranger):
    with pytest.raises(InputError) as caught:
        task(**changes).target(labels(*domains))
    message = str(caught.value)
    assert message.startswith("params.yaml: tasks: expected negative: ")
    assert f"a domain of cifake is '{stranger}'" in message


@pytest.mark.parametrize("changes", [{"label": "category"}, {"positive": True}, {"dataset": None}, {"more": 1}])
def test_malformed_tasks_are_refused(changes):
    (key,) = changes
    with pytest.raises(InputError, match=rf"^tasks\.fake\.{key}: "):
        task(**changes)


def test_runs_keep_their_order(params):
    params(f"runs:\n  z: {RUN}\n  other: {RUN.replace('fake,', 'origin,', 1)}\n  b: {RUN}\n  a: {RUN}\n")
    assert runs.of_task("fake") == ["z", "b", "a"]
    assert runs.of_task("origin") == ["other"]
    assert runs.of_task("nothing") == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "runs: {a: {task: fake, dataset: cifake, features: colour}}",
            "params.yaml: runs.a.classifier: missing; add it",
        ),
        (
            f"runs: {{a: {RUN[:-1]}, classifer: x}}}}",
            "params.yaml: runs.a.classifer: unknown key; known ones: task, dataset, features, classifier",
        ),
        (
            f"runs: {{a: {RUN.replace('guess', '3')}}}",
            "params.yaml: runs.a.classifier: got 3: Input should be a valid string",
        ),
        ("runs: {a: guess}", "params.yaml: runs.a: got 'guess': Input should be a valid dictionary or instance of Run"),
        ("runs: {}", "params.yaml: runs: got {}: Dictionary should have at least 1 item after validation, not 0"),
        ("runs: [a]", "params.yaml: runs: got ['a']: Input should be a valid dictionary"),
        ("tasks: {}", "params.yaml: 'runs' is missing: the top level holds tasks"),
    ],
)
def test_malformed_runs_are_refused(params, content, expected):
    params(content)
    with pytest.raises(InputError) as caught:
        runs.of_task("fake")
    assert str(caught.value) == expected


def test_a_malformed_run_of_another_task_is_refused_too(params):
    params(f"runs: {{a: {RUN}, b: {{task: origin}}}}")
    with pytest.raises(InputError) as caught:
        runs.of_task("fake")
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == [
        " runs.b.dataset",
        " runs.b.features",
        " runs.b.classifier",
    ]
