"""PyTorch's compiler stays away while networks are made and trained, and comes when it is called."""

import subprocess
import sys

import pytest

BEGIN = """
import sys
import torch
from torch import nn
from whence.estimators.network.compiler import without_compiler
net = nn.Linear(3, 1)
def moves(kind, **how):
    mover = kind(net.parameters(), 0.1, **how)
    net(torch.ones(2, 3)).sum().backward()
    mover.step()
    mover.zero_grad()
    mover.load_state_dict(mover.state_dict())
"""
ALL = "moves(torch.optim.Adam, fused=True); moves(torch.optim.AdamW, fused=True); moves(torch.optim.SGD, momentum=0.9)"


def said(code):
    """Run code in an interpreter of its own, as what is imported stays so; return what it says at its end."""
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(("around", "expected"), [("with without_compiler():", "False"), ("if True:", "True")])
def test_optimizers_do_not_import_it(around, expected):
    """And without the block they do: when PyTorch stops that, the block can go."""
    assert said(f"{around}\n    {ALL}\nprint('sympy' in sys.modules)") == [expected]


@pytest.mark.parametrize(("around", "expected"), [("with without_compiler():", "False"), ("if True:", "True")])
def test_torchvision_does_not_import_it(around, expected):
    code = "\n    from torchvision import models\nmodels.get_model('mobilenet_v2', weights=None)"
    assert said(f"{around}{code}\nprint('sympy' in sys.modules)") == [expected]


def test_it_leaves_nothing_behind_and_the_real_one_comes_afterwards():
    code = """
with without_compiler():
    moves(torch.optim.Adam, fused=True)
print("torch._dynamo" in sys.modules, "_dynamo" in vars(torch))
import torch._dynamo.utils
print(torch.compile(net, backend="eager")(torch.ones(1, 3)).shape[0])
print(torch._dynamo.utils.is_compile_supported.__module__)
"""
    assert said(code) == ["False", "False", "1", "torch._dynamo.utils"]


def test_who_asks_for_more_in_the_block_gets_the_real_one():
    code = """
with without_compiler():
    moves(torch.optim.Adam, fused=True)
    print(torch._dynamo.config.__name__)
    moves(torch.optim.SGD)
print(type(sys.modules["torch._dynamo"]).__name__)
"""
    assert said(code) == ["torch._dynamo.config", "module"]


def test_what_was_compiled_before_learns_in_the_block():
    code = """
compiled = torch.compile(net, backend="eager")
with without_compiler():
    compiled(torch.ones(2, 3)).sum().backward()
    moves(torch.optim.SGD)
print(compiled(torch.ones(1, 3)).shape[0])
"""
    assert said(code) == ["1"]


def test_where_it_is_imported_already_nothing_changes():
    code = """
import torch._dynamo
real = torch._dynamo
with without_compiler():
    print(torch._dynamo is real, sys.modules["torch._dynamo"] is real)
print(torch._dynamo is real)
"""
    assert said(code) == ["True", "True", "True"]


def test_training_is_the_same_with_and_without_it():
    code = """
weights = []
for block in (without_compiler, __import__("contextlib").nullcontext):
    torch.manual_seed(0)
    net = nn.Linear(3, 1)
    with block():
        moves(torch.optim.AdamW, fused=True)
        moves(torch.optim.SGD, momentum=0.9, nesterov=True)
    weights.append(net.weight.detach().clone())
print(torch.equal(*weights))
"""
    assert said(code) == ["True"]
