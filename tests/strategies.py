"""Every Hypothesis strategy, and helpers that make small data, tasks and engines."""

import torch
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import mse_loss

from mnist_mlp import engines
from mnist_mlp.data import Split
from mnist_mlp.datasets import question, resident
from mnist_mlp.engines.engine import Engine
from mnist_mlp.engines.native import forms
from mnist_mlp.engines.native.native import Native
from mnist_mlp.task import Task

LEARNING_RATE = 0.1

seeds = st.integers(min_value=0, max_value=2**63 - 1)
split_sizes = st.integers(min_value=1, max_value=40)
# Larger than the largest split, so that batch sizes of N and more are drawn, too.
batch_sizes = st.integers(min_value=1, max_value=50)
# The native engine chooses among forms of a step, each of which must be right: "native: FORM".
FORMS = {f"native: {form.name}, {form.threads} threads": form for form in forms.available(2)}
ENGINES = sorted({*engines.ENGINES, *FORMS} - {"native"})
engine_names = st.sampled_from(ENGINES)

not_batch_sizes = st.one_of(
    st.integers(max_value=0),
    st.booleans(),
    st.floats(allow_nan=True),
    st.text(max_size=5),
    st.none(),
)


def generator(seed=0) -> torch.Generator:
    """A generator at the start of its sequence."""
    return torch.Generator().manual_seed(seed)


def in_memory(pixels, labels):
    """The MNIST dataset of torchvision over pixels in memory, without files."""
    from torchvision.datasets import MNIST  # noqa: PLC0415 - takes as long as importing torch
    from torchvision.transforms import ToTensor  # noqa: PLC0415

    dataset = MNIST.__new__(MNIST)
    dataset.root, dataset.transforms = "memory", None
    dataset.transform, dataset.target_transform = ToTensor(), None
    dataset.data, dataset.targets = pixels, labels
    return dataset


def new_split(samples, *, seed, device="cpu"):
    """`samples` random images and labels."""
    random = generator(seed)
    pixels = torch.randint(0, 256, (samples, 28, 28), dtype=torch.uint8, generator=random)
    labels = torch.randint(0, 10, (samples,), generator=random)
    return resident(pixels, labels, lambda: in_memory(pixels, labels), device=device)


@st.composite
def splits(draw) -> Split:
    """Random images and labels, 1 to 40 of them."""
    return new_split(draw(split_sizes), seed=draw(seeds))


def new_data(train, test, *, seed=1) -> Task:
    """The question's task on random training and test samples."""
    return question("random", new_split(train, seed=seed), new_split(test, seed=seed + 1))


INPUTS = 16  # 64 bytes per sample: products round alike at any place of a batch in memory


def regression_network():
    """A network that draws random numbers in training."""
    return nn.Sequential(nn.Linear(INPUTS, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 2))


def without_dropout():
    """A network that draws no random numbers."""
    return nn.Sequential(nn.Linear(INPUTS, 8), nn.Tanh(), nn.Linear(8, 2))


def adam(parameters, rate):
    """An optimizer that has a state."""
    return torch.optim.Adam(parameters, lr=rate)


def closeness(outputs, targets):
    """A score that is not an accuracy: at most 0."""
    return -mse_loss(outputs, targets)


def new_regression(train, test, *, seed=1, **fields) -> Task:
    """A regression, which has little in common with the question's task, on random samples."""
    random = generator(seed)
    train, test = (
        (torch.randn(size, INPUTS, generator=random), torch.randn(size, 2, generator=random))
        for size in (train, test)
    )
    fields = {
        "network": regression_network,
        "loss": mse_loss,
        "optimizer": adam,
        "score": closeness,
        "target": -0.5,
        "learning_rate": 0.01,
        "batch_size": 4,
    } | fields
    return Task(name="regression", train=train, test=test, **fields)


QUESTION = new_data(1, 1)


@st.composite
def tasks(draw) -> Task:
    """The question's task or a regression, on random samples."""
    new = draw(st.sampled_from([new_data, new_regression]))
    return new(draw(split_sizes), draw(split_sizes), seed=draw(seeds))


@st.composite
def engines_and_tasks(draw) -> tuple[str, Task]:
    """The name of an engine, and a task that the engine can train."""
    task = draw(tasks())
    names = [name for name in ENGINES if task.name == QUESTION.name or name not in FORMS]
    return draw(st.sampled_from(names)), task


def new_engine(name, task=QUESTION, *, seed=0, learning_rate=None) -> Engine:
    """A fresh network in the engine of that name, or in the native engine with one form."""
    if form := FORMS.get(name):
        return engines.new(Native.name, task, seed=seed, learning_rate=learning_rate, form=form)
    return engines.new(name, task, seed=seed, learning_rate=learning_rate)


def parameters_of(engine) -> torch.Tensor:
    """All of an engine's parameters in one vector, copied."""
    return torch.cat([parameter.detach().flatten() for parameter in engine.parameters])


def relative_error(ours, theirs):
    """Largest |ours - theirs| / |theirs| over the parameters."""
    return max(
        float((a - b).detach().norm() / b.detach().norm())
        for a, b in zip(ours.parameters, theirs.parameters, strict=True)
    )
