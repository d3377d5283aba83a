"""The engine that takes a step in the form that is the fastest on this machine."""

import math
import time
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mnist_mlp import device
from mnist_mlp.batches import check_batch_size
from mnist_mlp.data import Split
from mnist_mlp.device import is_gpu
from mnist_mlp.engines.engine import Engine, UnavailableError
from mnist_mlp.engines.native import forms
from mnist_mlp.engines.native.steps import Form, Parameters, Steps

TRIAL_SAMPLES = 1024  # that a form's turn takes, some milliseconds; one batch of them at the most
DENSITY_SAMPLES = 64  # few: each new engine counts their pixels before its first step
SHORT_PART = 4  # a short turn is one fourth of it
WARM_UP_SAMPLES = 8


class Question(NamedTuple):
    """What the fastest form depends on, on one machine."""

    batch_size: int
    is_single_step: bool  # a call takes one step, or many
    density: float  # share of pixels that are not 0, in tenths
    threads: int


CHOSEN: dict[Question, Form] = {}  # so far in this process


class Native(Engine):
    """The closed form of a step, in the form that a trial of some milliseconds finds the fastest.

    The forms are a loop that passes over pixels that are 0, and products of matrices by two
    libraries, each on one thread or several.

    The hidden weight is stored transposed from now on: the network has a view of it.

    Args:
        network: 784-256-10.
        learning_rate: of plain SGD.
        form: the only one to use, in place of the fastest.

    Raises:
        UnavailableError: the network is on a GPU.

    """

    name = "native"

    def __init__(
        self, network: nn.Module, *, learning_rate: float, form: Form | None = None
    ) -> None:
        super().__init__(network, learning_rate=learning_rate)
        if is_gpu(self.device):
            raise UnavailableError(
                f"the native engine is for CPUs, and the network is on {self.device}: use the "
                "eager or the compiled engine, or --device=cpu"
            )
        with device.threads(1):  # torch's others would spin, in the way of the first steps
            hidden_weight = self.parameters[0].detach().t().contiguous()  # (784, 256)
        self.parameters[0].data = hidden_weight.t()
        others = (parameter.detach() for parameter in self.parameters[1:])
        self._stored = Parameters(hidden_weight, *others)
        self._only = self._last = form
        self._chosen: dict[tuple[int, bool, int], Form] = {}

    def prepare(self, batch_size: int, split: Split) -> float:  # noqa: D102
        started = time.perf_counter()
        for is_single_step in (False, True):
            self._fastest(split.images, split.labels, batch_size, is_single_step=is_single_step)
        return time.perf_counter() - started

    def keep_form(self, batch_size: int, split: Split) -> None:  # noqa: D102
        self._only = self._fastest(split.images, split.labels, batch_size, is_single_step=False)

    def logits(self, images: Tensor) -> Tensor:
        """Return the network's logits, computed as the last steps were.

        Other threads than those of the steps would be in their way: torch's spin for milliseconds.
        """
        if self._last is None:
            return super().logits(images)
        return self._last.predict(images, self._stored)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:  # noqa: D102
        steps = self._steps(images, labels, torch.arange(len(labels)), len(labels))
        return self._take(steps, is_single_step=True)[0]

    def run(self, split: Split, order: Tensor, batch_size: int) -> Tensor:  # noqa: D102
        steps = self._steps(split.images, split.labels, order, check_batch_size(batch_size))
        return self._take(steps, is_single_step=False)

    def _steps(self, images: Tensor, labels: Tensor, order: Tensor, batch_size: int) -> Steps:
        return Steps(
            images=images,
            labels=labels,
            order=order,
            batch_size=batch_size,
            learning_rate=self.learning_rate,
        )

    def _take(self, steps: Steps, *, is_single_step: bool) -> Tensor:
        form = self._fastest(
            steps.images, steps.labels, steps.batch_size, is_single_step=is_single_step
        )
        self._last, self.form, self.form_threads = form, form.name, form.threads
        return form.take(steps, self._stored)

    def _fastest(
        self, images: Tensor, labels: Tensor, batch_size: int, *, is_single_step: bool
    ) -> Form:
        """Return the form that is kept for such steps; let the forms take turns if none is."""
        known = check_batch_size(batch_size), is_single_step, torch.get_num_threads()
        if self._only:
            return self._only
        if known not in self._chosen:
            question = Question(
                batch_size=batch_size,
                is_single_step=is_single_step,
                density=round(forms.density(images[:DENSITY_SAMPLES]), 1),
                threads=torch.get_num_threads(),
            )
            if question not in CHOSEN:
                CHOSEN[question] = self._trial(images, labels, question)
            self._chosen[known] = CHOSEN[question]
        return self._chosen[known]

    def _trial(self, images: Tensor, labels: Tensor, question: Question) -> Form:
        samples = min(question.batch_size, TRIAL_SAMPLES, len(labels))
        count = 1 if question.is_single_step else math.ceil(TRIAL_SAMPLES / samples)
        order = torch.arange(samples * count) % len(labels)
        short = order[: samples * math.ceil(count / SHORT_PART)]
        trial, short_trial, warm_up = (
            self._steps(images, labels, each, samples)
            for each in (order, short, order[:WARM_UP_SAMPLES])
        )
        copies = self._stored.clone()
        candidates = forms.available(question.threads)
        for form in candidates:
            form.take(warm_up, copies)  # compiles, or loads a library
        return forms.fastest(
            candidates,
            lambda form: form.take(trial, copies),
            lambda form: form.take(short_trial, copies),
        )
