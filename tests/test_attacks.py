"""Attacks: closed forms on linear models, bounds, and that a stronger attack never does worse."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from repositories import ROOT, write_rows
from test_trainer import settings as recipe

from stages import attack as attack_stage
from stages import compare_attacks
from whence import attacks
from whence.base.errors import InputError
from whence.classifiers import minimal_cnn
from whence.estimators.network.data import Data, Scale
from whence.estimators.network.estimator import Estimator
from whence.estimators.network.step import Step

DESCENT = attacks.Descent(steps=4, step_size=0.5, restarts=2)
REFERENCE = attacks.Reference(steps=10, restarts=1, queries=60)
EVERY = {
    "fgsm": attacks.fgsm,
    "pgd": lambda *given: attacks.pgd(*given, DESCENT),
    **{name: lambda *given, name=name: attacks.reference(name, *given, 0, REFERENCE) for name in attacks.REFERENCES},
}


@pytest.fixture(autouse=True)
def one_thread_and_draw(monkeypatch):
    monkeypatch.setenv("WHENCE_DEVICE", "cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def linear():
    """A linear model of images of 6×6, and forty images far from black and white, told right by a small margin."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(3 * 6 * 6, generator=generator)

    def ask(x):
        z = (x - 0.5).flatten(1) @ weight
        return torch.stack([torch.zeros_like(z), z], dim=1)

    x = 0.5 + 0.6 * (torch.rand((40, 3, 6, 6), generator=generator) - 0.5)
    return ask, weight, x, (ask(x)[:, 1] > 0).long()


def margin(ask, x, y):
    z = ask(x)[:, 1]
    return torch.where(y == 1, z, -z)


@pytest.mark.parametrize("name", EVERY)
def test_it_stays_within_its_bound_and_the_range_of_images(linear, name):
    ask, _, x, y = linear
    x = (4 * (x - 0.5) + 0.5).clamp(0, 1)  # some values at the ends
    before = x.clone()
    found = EVERY[name](ask, x, y, 0.1)
    assert torch.equal(x, before)
    assert not torch.equal(found, x)
    assert (found - x).abs().max() <= 0.1 + 1e-6
    assert 0 <= found.min() <= found.max() <= 1


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_of_a_linear_model_it_finds_the_worst_image(linear, name):
    """The margin falls by epsilon times the sum of the absolute weights, as far as it goes."""
    ask, weight, x, y = linear
    found = EVERY[name](ask, x, y, 0.02)
    expected = margin(ask, x, y) - 0.02 * weight.abs().sum()
    torch.testing.assert_close(margin(ask, found, y), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", attacks.REFERENCES)
def test_a_reference_turns_the_answers_that_can_be_turned(linear, name):
    ask, weight, x, y = linear
    near = margin(ask, x, y) < 0.02 * weight.abs().sum()
    assert 0 < near.sum() < len(x)
    turned = margin(ask, EVERY[name](ask, x, y, 0.02), y) <= 0
    assert not (turned & ~near).any()
    assert turned[near].float().mean() > (0.3 if name == "square" else 0.95)


@pytest.mark.parametrize("name", EVERY)
def test_with_a_large_epsilon_no_answer_is_right(linear, name):
    ask, _, x, y = linear
    assert (margin(ask, EVERY[name](ask, x, y, 1.0), y) <= 0).all()


def test_more_restarts_are_never_worse_and_a_loss_never_falls(linear):
    _, _, x, y = linear
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.SiLU(), torch.nn.Flatten(), torch.nn.Linear(128, 2))
    losses = [attacks._losses(net, x, y)]
    for restarts in (1, 2, 5):
        torch.manual_seed(5)
        found = attacks.pgd(net, x, y, 0.1, attacks.Descent(steps=3, step_size=0.7, restarts=restarts))
        losses.append(attacks._losses(net, found, y))
    for less, more in itertools.pairwise(losses):
        assert (more >= less).all()
    assert (losses[1] > losses[0]).all()


class TestAdversary:
    SCALE = Scale((120.0, 125.0, 130.0), (50.0, 60.0, 70.0))

    def step(self, net, **changes):
        data = Data(torch.zeros(8, 6, 6, 3, dtype=torch.uint8), torch.arange(8) % 2)
        section = recipe(adversary={"epsilon": 4.0, "steps": 3, "step_size": 3.0} | changes)
        return Step(net, self.SCALE, section, data), data.y

    def test_it_moves_images_against_the_network_as_far_as_it_may(self):
        net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(108, 1))
        step, y = self.step(net)
        levels = torch.randint(0, 256, (8, 6, 6, 3), dtype=torch.uint8)
        x = self.SCALE(levels)
        found = step._attacked(x, y, step.adversary)
        mean, std = (torch.tensor(part)[:, None, None] for part in self.SCALE)
        moved = found * std + mean - levels.permute(0, 3, 1, 2)
        assert moved.abs().max() <= 4 + 1e-3
        assert (found * std + mean).min() >= -1e-3
        assert (found * std + mean).max() <= 255 + 1e-3
        weight = net[1].weight.view(3, 6, 6).sign()
        free = (levels.permute(0, 3, 1, 2) >= 4) & (levels.permute(0, 3, 1, 2) <= 251)
        wanted = torch.where((y == 1)[:, None, None, None], -4 * weight, 4 * weight)
        assert (moved[free] - wanted[free]).abs().max() < 1e-3  # three steps of three levels, cut off at four
        assert net.training
        assert net[1].weight.grad is None

    def test_the_network_is_asked_as_it_is_used(self):
        net = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(108, 1))
        step, y = self.step(net)
        step._attacked(torch.randn(8, 3, 6, 6), y, step.adversary)
        assert net[0].num_batches_tracked == 0


# The stages


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A folder in which a little network that tells dark images from bright ones was attacked."""
    folder = tmp_path_factory.mktemp("attacked")
    rng = np.random.default_rng(0)
    domain = np.array(["real", "fake"] * 60)
    split = np.repeat(["train", "valid", "test"], 40)
    pixels = (rng.integers(60, 160, (120, 8, 8, 3)) + 10 * (domain == "fake")[:, None, None, None]).astype(np.uint8)
    write_rows(folder, pixels, split, domain)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["evaluate"]["metrics"]["resamples"] = 20
    params["attack"] |= {"rows": 30, "epsilons": [8, 2, 60], "reference": REFERENCE.model_dump()}
    params["attacked"] = {"one": params["attacked"]["fake-small"] | {"classifier": "minimal_cnn"}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    wanted = params["train"]["minimal_cnn"] | {"seeds": [0, 1], "epochs": 30, "batch": 8, "learning_rate": 0.02}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHENCE_DEVICE", "cpu")
        patch.chdir(folder)
        train, valid = ((pixels[split == s], domain[split == s]) for s in ("train", "valid"))
        model = Estimator(minimal_cnn, minimal_cnn.Settings.model_validate(wanted))
        model.fit(*train, *valid, np.array(["real", "fake"])).save(folder / "weights", folder / "card")
        ask(folder)
    return folder


def ask(folder, answers="one.csv", figures="figures.json", task="fake"):
    files = ("labels", "images.npy", "weights", "card", answers, figures, "form_1.csv", "form_2.csv")
    attack_stage.main(task, "minimal_cnn", *(folder / name for name in files))


def test_a_line_for_the_clean_rows_and_for_each_attack_and_epsilon(asked):
    table, figures = pd.read_csv(asked / "one.csv"), json.loads((asked / "figures.json").read_text())
    names = ["fgsm", "pgd", "apgd_ce", "fab", "square", "union"]
    assert table["attack"].tolist() == ["clean", *names * 3]
    assert table["epsilon"].tolist() == [0, *[2] * 6, *[8] * 6, *[60] * 6]
    assert (table["n"] == 30).all()
    assert table["roc_auc"].notna().tolist() == (table["attack"].isin(["clean", "fgsm", "pgd"])).tolist()
    model = Estimator.load(minimal_cnn, asked / "weights", asked / "card")
    chosen = np.linspace(80, 119, 30).astype(int)
    told = model.member_proba(np.load(asked / "images.npy")[chosen])[:, :, 1] >= 0.5
    assert table["accuracy"][0] == pytest.approx((told == (chosen % 2 == 1)).mean(), abs=1e-6)
    assert table["accuracy"][0] > 0.9
    assert figures["pgd"]["accuracy_8"] == table["accuracy"][8]


def test_accuracy_falls_with_epsilon_to_nothing_and_what_is_stronger_is_never_worse(asked):
    table = pd.read_csv(asked / "one.csv").pivot(index="epsilon", columns="attack", values="accuracy")
    for name in ("pgd", "apgd_ce", "fab", "square", "union"):
        falls = [table["clean"][0.0], *table[name].drop(0.0).sort_index()]
        assert falls == sorted(falls, reverse=True), name
        assert (table["union"] <= table[name] + 1e-9).drop(0.0).all()
    assert table["union"][60.0] == 0
    assert table["pgd"][8.0] < table["clean"][0.0] - 0.2
    assert (table["square"] >= table["pgd"] - 0.1).drop(0.0).all()  # or gradients would be masked


def test_the_hackathons_forms_and_score(asked):
    clean, attacked = (pd.read_csv(asked / f"form_{k}.csv") for k in (1, 2))
    figures = json.loads((asked / "figures.json").read_text())["hackathon"]
    truth = np.array(["real", "fake"] * 60)[np.linspace(80, 119, 30).astype(int)]
    for form, name in ((clean, "test_1"), (attacked, "test_2")):
        assert form.columns.tolist() == ["Image Name", "Predicted Label"]
        assert form["Image Name"].tolist() == [f"{k}.jpg" for k in np.linspace(80, 119, 30).astype(int)]
        told, fake = form["Predicted Label"] == "fake", truth == "fake"
        assert figures[name]["accuracy"] == pytest.approx((form["Predicted Label"] == truth).mean(), abs=1e-6)
        assert figures[name]["recall"] == pytest.approx((told & fake).sum() / fake.sum(), abs=1e-6)
    both = 0.4 * figures["test_1"]["accuracy"] + 0.6 * figures["test_2"]["accuracy"]
    assert figures["score"] == pytest.approx(both, abs=2e-6)
    assert figures["test_2"]["accuracy"] < figures["test_1"]["accuracy"]


def test_twice_the_same_bytes(asked, monkeypatch):
    monkeypatch.chdir(asked)
    ask(asked, "again.csv", "again.json")
    assert (asked / "again.csv").read_bytes() == (asked / "one.csv").read_bytes()
    assert (asked / "again.json").read_bytes() == (asked / "figures.json").read_bytes()


def test_the_answers_are_put_side_by_side_and_drawn(asked, monkeypatch):
    monkeypatch.chdir(asked)
    compare_attacks.main(asked, asked / "all.csv", asked / "picture.png")
    together = pd.read_csv(asked / "all.csv")
    assert together.columns[:4].tolist() == ["task", "run", "attack", "epsilon"]
    figure = compare_attacks._curves(together)
    assert [axes.get_title() for axes in figure.axes] == [f"fake: {said}" for said in compare_attacks.SAID.values()]
    assert all(axes.get_lines()[0].get_xdata().tolist() == [0, 2, 8, 60] for axes in figure.axes)


def test_what_does_not_fit_is_refused(asked, monkeypatch):
    monkeypatch.chdir(asked)
    with pytest.raises(InputError, match=r"card: tells \['real', 'fake'\] apart, expected \['cifar', 'imagenet'\]"):
        ask(asked, "no.csv", "no.json", task="origin")
    params = yaml.safe_load((asked / "params.yaml").read_text())
    monkeypatch.setattr(
        attack_stage.settings, "load", lambda name, kind, load=attack_stage.settings.load: (
            load(name, kind).model_copy(update={"tested": 3}) if name == "attack" else load(name, kind)
        )
    )  # fmt: skip
    with pytest.raises(InputError, match=r"params\.yaml: attack\.tested: got 3, expected one of epsilons"):
        ask(asked, "no.csv", "no.json")
    assert params["attack"]["tested"] == 8
    assert not (asked / "no.csv").exists()
