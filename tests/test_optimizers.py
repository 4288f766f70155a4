"""Schedules by their values, optimizers against PyTorch's own, Muon by the singular values of what it does."""

import copy
import itertools
import math

import pytest
import torch
from torch import nn

from whence.estimators.network import optimizers
from whence.estimators.network.optimizers import Muon, build, orthogonalise, rate

NAMES = ["adam", "adamw", "sgd", "muon"]
SCHEDULES = ["constant", "step", "cosine", "linear", "one_cycle"]
LAST = torch.channels_last


def step(movers, loss, learning_rate):
    """A step at a learning rate."""
    optimizers.pace(movers, learning_rate)
    optimizers.step(movers, loss)


def net(seed=0):
    """Every kind of parameter: frozen, filters, lone channels, normalisation, matrices, biases."""
    torch.manual_seed(seed)
    layers = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.Conv2d(6, 8, 3, padding=1, bias=False),  # a bias would have no gradient but rounding errors
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Conv2d(8, 4, 1, bias=False),
        nn.Flatten(),
        nn.Linear(4 * 4 * 4, 16),
        nn.ReLU(),
        nn.Linear(16, 2),
    )
    layers[0].requires_grad_(False)
    return layers.to(memory_format=LAST)


def x(count=8, seed=0):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed)).contiguous(memory_format=LAST)


def names(layers, movers):
    """Return what each optimizer moves, by name."""
    called = {id(p): name for name, p in layers.named_parameters()}
    return [[called[id(p)] for group in mover.param_groups for p in group["params"]] for mover in movers]


class TestRate:
    @pytest.mark.parametrize(
        ("schedule", "progress", "value"),
        [
            *(("constant", progress, 1) for progress in (0, 0.3, 1)),
            *(("step", progress, 1) for progress in (0, 0.499)),
            *(("step", progress, 0.1) for progress in (0.5, 0.749)),
            *(("step", progress, 0.01) for progress in (0.75, 1)),
            *(("cosine", progress, value) for progress, value in ((0, 1), (0.5, 0.5), (1, 0), (1 / 3, 0.75))),
            *(("linear", progress, 1 - progress) for progress in (0, 0.3, 1)),
            *(("one_cycle", progress, value) for progress, value in ((0, 0), (0.1, 0.5), (0.2, 1), (0.6, 0.5), (1, 0))),
        ],
    )
    def test_values(self, schedule, progress, value):
        assert rate(schedule, progress) == pytest.approx(value, abs=1e-12)

    @pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "one_cycle"])
    def test_there_are_no_jumps(self, schedule):
        values = [rate(schedule, k / 1000) for k in range(1001)]
        assert max(abs(a - b) for a, b in itertools.pairwise(values)) <= 0.005 + 1e-9

    @pytest.mark.parametrize("schedule", SCHEDULES)
    def test_it_is_a_share(self, schedule):
        values = [rate(schedule, k / 997) for k in range(998)]
        assert min(values) >= 0
        assert max(values) <= 1
        # After the warm-up it never rises.
        assert all(a >= b for a, b in itertools.pairwise(values[200:]))


class TestBuild:
    @pytest.mark.parametrize("name", NAMES)
    def test_every_weight_is_moved_by_one_optimizer_and_frozen_ones_by_none(self, name):
        layers = net()
        movers = build(name, layers, 0.1, 0.01)
        assert sorted(itertools.chain(*names(layers, movers))) == sorted(
            key for key, p in layers.named_parameters() if p.requires_grad
        )
        before = {key: p.clone() for key, p in layers.named_parameters()}
        step(movers, layers(x()).square().mean(), 0.1)
        for key, p in layers.named_parameters():
            assert torch.equal(p, before[key]) != p.requires_grad, key

    def test_muon_moves_filters_and_hidden_matrices_and_adamw_the_rest(self):
        layers = net()
        muon, rest = build("muon", layers, 0.1, 0.01)
        assert isinstance(muon, Muon)
        assert isinstance(rest, torch.optim.AdamW)
        hidden, others = names(layers, [muon, rest])
        assert hidden == ["1.weight", "4.weight", "5.weight", "7.weight"]
        assert others == ["9.weight", "2.weight", "2.bias", "4.bias", "7.bias", "9.bias"]

    def test_a_lone_layer_has_nothing_for_muon(self):
        layers = nn.Linear(3, 2)
        (mover,) = build("muon", layers, 0.1, 0.01)
        step([mover], layers(torch.ones(1, 3)).sum(), 0.1)
        assert names(layers, [mover]) == [["weight", "bias"]]

    @pytest.mark.parametrize("name", NAMES)
    def test_weights_decay_and_biases_and_normalisation_do_not(self, name):
        layers = net()
        for mover in build(name, layers, 0.1, 0.25):
            for group in mover.param_groups if not isinstance(mover, Muon) else ():
                for p in group["params"]:
                    assert group["weight_decay"] == (0.25 if p.ndim > 1 else 0)

    def test_decay_is_decoupled(self):
        # With no gradient at all the weights shrink by the same factor, step after step.
        layers = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        before = [p.clone() for p in layers.parameters()]
        movers = build("adamw", layers, 0.1, 0.25)
        for _ in range(3):
            step(movers, sum((0 * p).sum() for p in layers.parameters()), 0.1)
        for p, was in zip(layers.parameters(), before, strict=True):
            torch.testing.assert_close(p, was * (1 - 0.1 * 0.25) ** 3 if p.ndim > 1 else was)

    @pytest.mark.parametrize(
        ("name", "theirs"),
        [
            ("adam", lambda ps: torch.optim.Adam(ps, 0.01, weight_decay=0.1)),
            ("adamw", lambda ps: torch.optim.AdamW(ps, 0.01, weight_decay=0.1)),
            ("sgd", lambda ps: torch.optim.SGD(ps, 0.01, momentum=0.9, nesterov=True, weight_decay=0.1)),
        ],
    )
    def test_they_are_pytorchs_plain_ones(self, name, theirs):
        """In channels_last, where a fused optimizer would go wrong if gradients lay otherwise in memory."""
        one, other = net(), net()
        movers = build(name, one, 0.01, 0.1)
        weights = [p for p in other.parameters() if p.requires_grad]
        plain = [theirs([p for p in weights if p.ndim > 1]), theirs([p for p in weights if p.ndim < 2])]
        for group in plain[1].param_groups:
            group["weight_decay"] = 0
        for seed in range(5):
            step(movers, one(x(seed=seed)).square().mean(), 0.01)
            step(plain, other(x(seed=seed)).square().mean(), 0.01)
        for a, b in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


class TestStep:
    def test_it_goes_down_the_gradient_of_this_loss_alone_at_this_rate(self):
        p = nn.Parameter(torch.tensor([3.0, -2.0]))
        mover = torch.optim.SGD([p], lr=99)
        for _ in range(2):
            step([mover], (p * torch.tensor([1.0, 10.0])).sum(), 0.5)
        assert p.tolist() == [2.0, -12.0]

    def test_adamw_beside_muon_takes_a_twentieth_of_its_rate(self):
        layers = net()
        muon, rest = build("muon", layers, 0.1, 0.0)
        step([muon, rest], layers(x()).square().mean(), 0.4)
        assert {group["lr"] for group in muon.param_groups} == {0.4}
        assert [group["lr"] for group in rest.param_groups] == [pytest.approx(0.02)] * 2
        alone = build("muon", nn.Linear(3, 2), 0.1, 0.0)
        step(alone, nn.Linear(3, 2)(torch.ones(1, 3)).sum(), 0.4)
        assert alone[0].param_groups[0]["lr"] == 0.4


class TestOrthogonalise:
    @pytest.mark.parametrize("quick", [False, True])
    @pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8), (1, 30), (30, 1), (64, 64 * 9), (128, 27)])
    def test_singular_values_become_about_one(self, monkeypatch, shape, quick):
        monkeypatch.setattr(optimizers, "bf16", lambda where: quick)
        torch.manual_seed(0)
        matrix = torch.randn(shape)
        values = torch.linalg.svdvals(orthogonalise(matrix))
        if shape != (16, 16):
            assert values.min() > 0.6
        assert values.median() > 0.6  # a square of noise has directions with next to nothing in them
        assert values.max() < 1.25

    def test_directions_stay(self):
        torch.manual_seed(0)
        u, _, v = torch.linalg.svd(torch.randn(20, 30), full_matrices=False)
        got = orthogonalise(u * torch.linspace(0.5, 2, 20) @ v)
        turned = u.T @ got @ v.T
        assert (turned - torch.diag(turned.diagonal())).abs().max() < 0.05
        assert ((turned.diagonal() > 0.6) & (turned.diagonal() < 1.25)).all()

    def test_scale_does_not_matter_and_nothing_stays_nothing(self):
        torch.manual_seed(0)
        matrix = torch.randn(12, 20)
        torch.testing.assert_close(orthogonalise(1024 * matrix), orthogonalise(matrix))
        assert orthogonalise(torch.zeros(3, 5)).abs().max() == 0
        assert orthogonalise(matrix.double()).dtype == torch.float64


class TestMuon:
    @pytest.mark.parametrize("shape", [(24, 40), (40, 24), (16, 6, 3, 3), (8, 1, 3, 3), (64, 16, 1, 1)])
    def test_a_step_is_so_many_of_a_weights_lengths(self, shape):
        torch.manual_seed(0)
        p = nn.Parameter(torch.randn(shape))
        start = p.detach() / p.detach().norm() * shape[0] ** 0.5
        p.grad = torch.randn(shape)
        Muon([p], lr=0.25).step()
        assert (p.detach() - start).norm() / start.norm() == pytest.approx(0.25, rel=0.25)

    def test_the_length_of_a_weight_does_not_matter(self):
        torch.manual_seed(0)
        start, gradients = torch.randn(8, 4, 3, 3), torch.randn(3, 8, 4, 3, 3)
        one, other = (nn.Parameter(factor * start) for factor in (1, 100))
        for p in (one, other):
            mover = Muon([p], lr=0.1)
            for gradient in gradients:
                p.grad = gradient.clone()
                mover.step()
        torch.testing.assert_close(one, other)

    def test_nothing_stays_finite(self):
        p = nn.Parameter(torch.zeros(3, 4))
        p.grad = torch.zeros(3, 4)
        Muon([p], lr=0.1).step()
        assert torch.equal(p, torch.zeros(3, 4))

    def test_momentum_as_the_recipe_has_it(self):
        """The directions that it takes are those of PyTorch's Nesterov momentum."""
        torch.manual_seed(0)
        start, gradients = torch.randn(6, 10), torch.randn(4, 6, 10)
        ours, theirs = nn.Parameter(start.clone()), nn.Parameter(torch.zeros(6, 10))
        mover, plain = Muon([ours], lr=0.1), torch.optim.SGD([theirs], lr=1.0, momentum=0.6, nesterov=True)
        for gradient in gradients:
            scaled, before = ours.detach() * 6**0.5 / ours.detach().norm(), theirs.detach().clone()
            ours.grad, theirs.grad = gradient.clone(), gradient.clone()
            mover.step()
            plain.step()
            torch.testing.assert_close(ours.detach(), scaled - 0.1 * orthogonalise(before - theirs.detach()))

    def test_a_filter_is_a_matrix_however_it_lies_in_memory(self):
        torch.manual_seed(0)
        start, gradients = torch.randn(8, 4, 3, 3), torch.randn(3, 8, 4, 3, 3)
        plain, last, flat = (
            nn.Parameter(p.clone(memory_format=torch.preserve_format))
            for p in (start, start.contiguous(memory_format=LAST), start.flatten(1))
        )
        for p in (plain, last, flat):
            mover = Muon([p], lr=0.1)
            for gradient in gradients:
                p.grad = torch.empty_like(p).copy_(gradient.view(p.shape))
                mover.step()
        torch.testing.assert_close(last, plain)
        torch.testing.assert_close(flat.view(plain.shape), plain)
        assert last.is_contiguous(memory_format=LAST)

    def test_what_has_no_gradient_stays(self):
        moved, idle = (nn.Parameter(torch.ones(3, 4)) for _ in range(2))
        moved.grad = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
        Muon([moved, idle], lr=0.1).step()
        assert torch.equal(idle, torch.ones(3, 4))
        assert not torch.equal(moved, idle)

    @pytest.mark.parametrize("name", NAMES)
    def test_its_state_can_be_put_aside(self, name):
        one, two = net(), net()
        first, second = (build(name, layers, 0.05, 0.1) for layers in (one, two))
        for seed in range(2):
            step(first, one(x(seed=seed)).square().mean(), 0.05)
        two.load_state_dict(one.state_dict())
        for mover, saved in zip(second, first, strict=True):
            mover.load_state_dict(copy.deepcopy(saved.state_dict()))
        for layers, movers in ((one, first), (two, second)):
            for seed in range(2, 4):
                step(movers, layers(x(seed=seed)).square().mean(), 0.05)
        for a, b in zip(one.parameters(), two.parameters(), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_they_fit_a_little_problem(name):
    """Least squares with a known answer."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    a = torch.randn(64, 4)
    y = torch.sin(a.sum(1, keepdim=True))
    learning_rate = {"sgd": 0.2, "muon": 0.2}.get(name, 0.02)
    movers = build(name, layers, learning_rate, 0.0)
    losses = []
    for k in range(150):
        loss = (layers(a) - y).square().mean()
        losses.append(loss.item())
        step(movers, loss, learning_rate * rate("cosine", k / 150))
    assert losses[-1] < 0.2 * losses[0]
    assert math.isfinite(losses[-1])
