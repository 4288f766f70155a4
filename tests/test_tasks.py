"""Tasks and runs: what is asked of which rows, and which runs answer which task."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence import runs
from whence.base import settings
from whence.base.errors import InputError
from whence.table import tasks
from whence.table.rows import Labels
from whence.table.tasks import Objects, Task

CONTENT = {"dataset": "cifake", "question": "?", "label": "domain", "negative": "real", "positive": "fake"}
OBJECTS = {"dataset": "cifake", "label": "category", "domains": {"real": 1.0}, "seed": 0}
RUN = "{task: fake, dataset: cifake, features: colour, kind: classical, classifier: guess, settings: guess}"


def task(**changes):
    return settings.check(CONTENT | changes, Task, "tasks.fake")


def objects(seed=0, **domains):
    return settings.check(OBJECTS | {"domains": domains, "seed": seed}, Objects, "objects.some")


def labels(*domains, **columns):
    """Labels of these domains; whatever else they hold has nothing to do with it."""
    text = {name: np.full(len(domains), "fake") for name in Labels._fields}
    return Labels(**text | {"domain": np.array(domains)} | columns)


@pytest.fixture
def params(tmp_path, monkeypatch):
    """Write params.yaml into an empty folder, and stand in it."""
    monkeypatch.chdir(tmp_path)

    def write(content):
        none = (f"{name}: {{}}\n" for name in ("transfers", "object_transfers") if f"{name}:" not in content)
        (tmp_path / "params.yaml").write_text("".join([content.rstrip(), "\n", *none]))

    return write


def test_the_target_by_hand():
    assert task().target(labels("real", "fake", "fake", "real")).tolist() == ["real", "fake", "fake", "real"]
    assert task().classes == ["real", "fake"]
    assert task(negative="fake", positive="real").classes == ["fake", "real"]


def test_the_question_is_put_to_every_row():
    assert task().chosen(labels("real", "fake", "fake")).tolist() == [True] * 3


def test_the_target_is_read_off_the_domain_alone():
    assert task().target(labels("real", category=np.array(["fake"]), path=np.array(["fake"]))).tolist() == ["real"]


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


# Objects: the rows that a model of the categories learns from


def cifake(train=20, valid=10, test=8, categories=("cat", "dog", "ship")):
    """Labels of two domains, so many rows in each split × domain × category, in an order of their own."""
    counts = {"train": train, "valid": valid, "test": test, "unused": 3}
    lines = [(s, c, d) for s, n in counts.items() for d in ("real", "fake") for c in categories for _ in range(n)]
    lines = [lines[k] for k in np.random.default_rng(1).permutation(len(lines))]
    split, category, domain = (np.array(column) for column in zip(*lines, strict=True))
    return labels(*domain, split=split, category=category)


def cells(rows, chosen):
    return Counter(zip(rows.split[chosen], rows.domain[chosen], rows.category[chosen], strict=True))


def test_the_target_of_objects_is_the_category():
    assert objects(real=1.0).target(cifake()).tolist() == cifake().category.tolist()


@given(share=st.floats(0.06, 1), seed=st.integers(0, 9))
def test_every_category_gives_its_share_of_train_and_valid(share, seed):
    rows = cifake()
    counts = cells(rows, objects(seed, real=share).chosen(rows))
    wanted = {"train": round(20 * share), "valid": round(10 * share)}
    assert counts == {(s, "real", c): n for s, n in wanted.items() for c in ("cat", "dog", "ship") if n}


def test_all_of_a_domain_is_all_of_it():
    rows = cifake()
    learnt = np.isin(rows.split, ["train", "valid"])
    assert (objects(real=1.0).chosen(rows) == (learnt & (rows.domain == "real"))).all()
    assert (objects(real=1.0, fake=1.0).chosen(rows) == learnt).all()


def test_a_draw_is_the_same_each_time_and_another_with_another_seed():
    rows = cifake()
    first = objects(0, real=0.5).chosen(rows)
    assert (objects(0, real=0.5).chosen(rows) == first).all()
    assert (objects(1, real=0.5).chosen(rows) != first).any()


def test_a_larger_share_holds_the_smaller_one():
    rows = cifake()
    small, large = (objects(real=share).chosen(rows) for share in (0.2, 0.35))
    assert small.sum() < large.sum()
    assert not (small & ~large).any()


def test_the_draw_of_a_domain_does_not_depend_on_what_stands_beside_it():
    """some_real is what fake_and_some_real has of REAL: otherwise the two could not be compared."""
    rows = cifake()
    alone, both, turned = (
        objects(**domains).chosen(rows)
        for domains in ({"real": 0.3}, {"fake": 1.0, "real": 0.3}, {"real": 0.3, "fake": 1.0})
    )
    assert (both & (rows.domain == "real") == alone).all()
    assert (both == turned).all()


def test_the_draw_is_blind_to_the_test_split():
    few, many = cifake(test=1), cifake(test=30)
    for rows in (few, many):
        assert not objects(real=0.5).chosen(rows)[np.isin(rows.split, ["test", "unused"])].any()
    order = np.argsort(few.split == "test", kind="stable")
    without = Labels(*(column[order][: (few.split != "test").sum()] for column in few))
    got = objects(real=0.5).chosen(few)[order][: len(without.path)]
    assert (objects(real=0.5).chosen(without) == got).all()


def test_a_share_of_no_row_is_refused_in_train_and_passed_over_in_valid():
    with pytest.raises(InputError) as caught:
        objects(real=0.02).chosen(cifake())
    assert str(caught.value) == (
        "params.yaml: objects: domains: 0.02 of the 20 train rows of 'cat' in 'real' is not a row; raise the share"
    )
    rows = cifake(valid=2)
    assert cells(rows, objects(real=0.1).chosen(rows)) == {("train", "real", c): 2 for c in ("cat", "dog", "ship")}


def test_an_unknown_domain_is_refused_with_the_known_ones():
    with pytest.raises(InputError) as caught:
        objects(real=1.0, cifar=1.0).chosen(cifake())
    assert str(caught.value).startswith("params.yaml: objects: cifake has no domain 'cifar', only fake, real; name one")


# What stands in params.yaml

SECTIONS = f"tasks: {{fake: {CONTENT}}}\nobjects: {{some: {OBJECTS}}}\n"


def test_a_section_is_loaded_as_what_it_is(params):
    params(SECTIONS)
    assert tasks.load("tasks.fake") == task()
    assert tasks.load("objects.some") == objects(real=1.0)


@pytest.mark.parametrize(
    ("old", "new", "section", "expected"),
    [
        ("'positive': 'fake'", "'positive': 3", "tasks.fake", ".positive: got 3: Input should be a valid string"),
        ("'domain'", "'category'", "tasks.fake", ".label: got 'category': Input should be 'domain'"),
        ("'category'", "'domain'", "objects.some", ".label: got 'domain': Input should be 'category'"),
        ("'domain'", "'colour'", "tasks.fake", ".label: got 'colour': Input should be 'domain'"),
        ("'label': 'domain', ", "", "tasks.fake", ".label: missing; add it"),
        ("'seed': 0", "'seeds': 0", "objects.some", ".seed: missing; add it"),
        ("'real': 1.0", "'real': 0.0", "objects.some", ".domains.real: got 0.0: Input should be greater than 0"),
        ("'real': 1.0", "'real': 1.1", "objects.some", ".domains.real: got 1.1: Input should be less than or equal"),
        ("'real': 1.0", "", "objects.some", ".domains: got {}: Dictionary should have at least 1 item"),
    ],
)
def test_what_is_wrong_in_a_section_is_named(params, old, new, section, expected):
    assert old in SECTIONS
    params(SECTIONS.replace(old, new))
    with pytest.raises(InputError) as caught:
        tasks.load(section)
    assert str(caught.value).startswith(f"params.yaml: {section}{expected}")


def test_a_section_that_is_not_there_is_refused(params):
    params(SECTIONS)
    with pytest.raises(InputError, match=r"^params\.yaml: 'objects\.fake' is missing: objects holds some$"):
        tasks.load("objects.fake")
    with pytest.raises(InputError, match=r"^train\.fake: no section of tasks; expected tasks\.<name> or "):
        tasks.load("train.fake")


# Runs


def test_runs_keep_their_order(params):
    params(f"runs:\n  z: {RUN}\n  other: {RUN.replace('fake,', 'origin,', 1)}\n  b: {RUN}\n  a: {RUN}\n")
    assert list(runs.of_task("fake")) == ["z", "b", "a"]
    assert list(runs.of_task("origin")) == ["other"]
    assert runs.of_task("nothing") == {}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "runs: {a: {task: fake, dataset: cifake, features: colour, kind: network, settings: x}}",
            "params.yaml: runs.a.classifier: missing; add it",
        ),
        (
            f"runs: {{a: {RUN[:-1]}, classifer: x}}}}",
            "params.yaml: runs.a.classifer: unknown key; known ones: task, dataset, features, kind, classifier, "
            "settings",
        ),
        (
            f"runs: {{a: {RUN.replace('guess', '3', 1)}}}",
            "params.yaml: runs.a.classifier: got 3: Input should be a valid string",
        ),
        (
            f"runs: {{a: {RUN.replace('classical', 'net')}}}",
            "params.yaml: runs.a.kind: got 'net': Input should be 'classical' or 'network'",
        ),
        ("runs: {a: guess}", "params.yaml: runs.a: got 'guess': Input should be a valid dictionary or instance of Run"),
        ("runs: {}", "params.yaml: runs: got {}: Dictionary should have at least 1 item after validation, not 0"),
        ("runs: [a]", "params.yaml: runs: got ['a']: Input should be a valid dictionary"),
        ("tasks: {}", "params.yaml: 'runs' is missing: the top level holds tasks, transfers, object_transfers"),
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
        " runs.b.kind",
        " runs.b.classifier",
        " runs.b.settings",
    ]


def test_runs_of_objects_keep_their_order_and_are_refused_alike(params):
    run = "{train_on: real, dataset: cifake, kind: network, classifier: lenet, settings: lenet}"
    params(f"object_runs: {{b: {run}, a: {run}}}")
    assert [(key, entry.train_on) for key, entry in runs.of_objects().items()] == [("b", "real"), ("a", "real")]
    params(f"object_runs: {{b: {run.replace('train_on', 'task')}}}")
    with pytest.raises(InputError) as caught:
        runs.of_objects()
    assert str(caught.value).splitlines() == [
        "params.yaml: object_runs.b.train_on: missing; add it",
        "params.yaml: object_runs.b.task: unknown key; known ones: train_on, dataset, kind, classifier, settings",
    ]


def test_transfers_stand_beside_the_runs_and_random_weights_are_named(params):
    transfer = RUN[:-1] + ", weights: WEIGHTS}"
    listed = {"c": transfer.replace("WEIGHTS", "vgg16"), "d": transfer.replace("WEIGHTS", "resnet18")}
    weights = "weights: {vgg16: {source: local}, resnet18: {source: random}}"
    params(f"{weights}\nruns: {{a: {RUN}}}\ntransfers:\n" + "".join(f"  {k}: {v}\n" for k, v in listed.items()))
    assert list(runs.of_task("fake")) == ["a", "c", "d"]
    assert runs.shown(runs.of_task("fake")) == {"a": "a", "c": "c", "d": "d (random weights)"}
    params(f"{weights}\nruns: {{a: {RUN}}}\ntransfers: {{c: {RUN}}}")
    with pytest.raises(InputError, match=r"^params\.yaml: transfers\.c\.weights: missing; add it$"):
        runs.of_task("fake")


@pytest.mark.parametrize(
    ("source", "title"), [("sample", "drawn sample, not real data"), ("published", "published data")]
)
def test_titles_say_where_the_images_come_from(params, source, title):
    params(f"source: {source}")
    assert runs.source() == title
