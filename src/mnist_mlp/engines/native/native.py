"""The engine that takes a step in the form that is fastest on this machine."""

import math
import time
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mnist_mlp import device
from mnist_mlp.batches import clamped
from mnist_mlp.data import Split
from mnist_mlp.engines.engine import Engine, UnavailableError
from mnist_mlp.engines.native import forms
from mnist_mlp.engines.native.steps import Form, Parameters, Steps, in_wide_rows
from mnist_mlp.model import MLP, sgd
from mnist_mlp.task import Task

TRIAL_SAMPLES = 1024  # samples per turn of a form, which takes some milliseconds
DENSITY_SAMPLES = 64  # few: each new engine counts their pixels before its first step
WARM_UP_SAMPLES = 8


class Question(NamedTuple):
    """What the fastest form depends on, on one machine."""

    batch_size: int
    is_single_step: bool  # False: a call takes many steps
    density: float  # share of pixels that are not 0, in tenths
    threads: int


CHOSEN: dict[Question, Form] = {}  # forms chosen so far in this process


class Native(Engine):
    """The closed form of a step, in the form that a trial of some milliseconds finds the fastest.

    The forms are a loop that skips pixels that are 0, and products of matrices by two
    libraries, each on one thread or several. A `form` that is given is used instead.

    The network is 784-256-10. Its hidden weight is stored transposed from now on, and the network
    has a view of it.
    """

    name = "native"

    def __init__(
        self, task: Task, network: nn.Module, *, learning_rate: float, form: Form | None = None
    ) -> None:
        super().__init__(task, network, learning_rate=learning_rate)
        is_question = task.loss is cross_entropy and task.optimizer is sgd
        if not (is_question and isinstance(network, MLP)):
            raise UnavailableError(
                "the native engine trains only the MNIST network, 784-256-10 with plain SGD "
                "on cross entropy: use the eager engine"
            )
        if device.is_gpu(self.device):
            raise UnavailableError(
                f"the native engine is for CPUs, and the network is on {self.device}: use the "
                "eager or the compiled engine, or --device=cpu"
            )
        forms.available(1)  # raises UnavailableError without Numba
        hidden_weight = in_wide_rows(self.parameters[0].detach().t())  # (784, 256)
        self.parameters[0].data = hidden_weight.t()
        others = (parameter.detach() for parameter in self.parameters[1:])
        self._stored = Parameters(hidden_weight, *others)
        self._fixed_form = self._last_form = form
        self._density: float | None = None

    def prepare(self, batch_size: int, split: Split) -> float:  # noqa: D102
        started = time.perf_counter()
        size, order = clamped(batch_size, len(split)), torch.arange(len(split))
        steps = Steps(split.inputs, split.targets, order, size, self.learning_rate)
        for is_single_step in (False, True):
            self._fastest(steps, is_single_step=is_single_step)
        return time.perf_counter() - started

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the network's logits, computed in the form of the last steps.

        Another form's threads would slow the next steps: torch's threads spin for milliseconds.
        """
        if self._last_form is None:
            return super().outputs(inputs)
        return self._last_form.predict(inputs, self._stored)

    def step(self, inputs: Tensor, targets: Tensor) -> Tensor:  # noqa: D102
        samples = len(targets)
        steps = Steps(inputs, targets, torch.arange(samples), samples, self.learning_rate)
        return self._take(steps, is_single_step=True)[0]

    def run(self, split: Split, order: Tensor, batch_size: int) -> Tensor:  # noqa: D102
        size = clamped(batch_size, len(split))
        steps = Steps(split.inputs, split.targets, order, size, self.learning_rate)
        return self._take(steps, is_single_step=False)

    def _take(self, steps: Steps, *, is_single_step: bool) -> Tensor:
        form = self._fastest(steps, is_single_step=is_single_step)
        self._last_form, self.form, self.form_threads = form, form.name, form.threads
        return form.take(steps, self._stored)

    def _fastest(self, steps: Steps, *, is_single_step: bool) -> Form:
        """Return the fastest form for such steps; a trial chooses it the first time."""
        if self._fixed_form:
            return self._fixed_form
        if self._density is None:
            self._density = round(forms.density(steps.images[:DENSITY_SAMPLES]), 1)
        threads = torch.get_num_threads()
        question = Question(steps.batch_size, is_single_step, self._density, threads)
        if question not in CHOSEN:
            CHOSEN[question] = self._trial(steps, question)
        return CHOSEN[question]

    def _trial(self, steps: Steps, question: Question) -> Form:
        size = min(steps.batch_size, TRIAL_SAMPLES, len(steps.labels))
        count = 1 if question.is_single_step else math.ceil(TRIAL_SAMPLES / size)
        order = torch.arange(size * count) % len(steps.labels)
        trial = steps._replace(order=order, batch_size=size)
        warm_up = trial._replace(order=order[:WARM_UP_SAMPLES])
        copies = self._stored.clone()
        candidates = forms.available(question.threads)
        for form in candidates:
            form.take(warm_up, copies)  # compiles, or loads a library
        return forms.fastest(candidates, lambda form: form.take(trial, copies))
