"""Tasks of the user's own: how they are found, what is refused, and data that is not in memory."""

import argparse
import math
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from mnist_mlp import arguments, command, memory
from mnist_mlp.data import READ_TWICE, split_of
from mnist_mlp.engines.engine import UnavailableError
from mnist_mlp.errors import UserError
from mnist_mlp.evaluation import evaluate
from mnist_mlp.task_source import Source
from mnist_mlp.training import epoch
from tests import own_task
from tests.strategies import INPUTS, generator, new_engine, new_regression

FILE = Path(own_task.__file__).read_text()
MADE = "return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))"
UNSEEDED = "made = nn.Linear(4, 4)\n    made.bias.data[0] = next(counts)\n    return made"
NOISE = """type("Noise", (), {
        "__len__": lambda _: 40, "__getitem__": lambda _, place: (torch.rand(4), place % 4)
    })()"""
TRAIN, TEST = "samples(120, 0)", "samples(50, 1)"
# Per mistake: the text in the file, what a user writes instead, and a part of the error.
MISTAKES = {
    "raises": ("def network", "1 / 0\ndef network", r"ZeroDivisionError: .* \(mine\.py, line 20\)"),
    "exits": ("def network", "exit()\ndef network", r"SystemExit: None \(mine\.py, line 20\)"),
    "syntax": ("def network():", "def network(:", r"SyntaxError: .* \(mine\.py, line 20\)$"),
    "no task": ("task = Task(", "mine = Task(", "defines no 'task': define a Task of this name"),
    "task is None": ("task = Task(", "task = None and Task(", "'task' is of type NoneType: make"),
    "missing": ("    network=network,\n", "", r"argument: 'network' \(mine\.py, line 30\)"),
    "name": ('"mine"', '"my/task"', "name is 'my/task': give one or a few words, without /"),
    "long name": ('"mine"', '"m" * 101', "name has 101 letters: give at most 100"),
    "target": ("target=0.95", "target=95", "target is 95: an accuracy is above 0 and at most 1"),
    "rate": ("rate=0.01", "rate=-1", "learning_rate is -1: give a number above 0"),
    "batch size": ("size=8", "size=True", "batch size True is not an int: give an int of"),
    "no samples": (TRAIN, "samples(0, 0)", r"train has inputs of shape \(0, 4\) and targets of"),
    "array": (TRAIN, "samples(9, 0)[0].numpy()", "train is neither a pair of tensors, inputs"),
    "number": (TRAIN, "100", "train is of type int: give a pair of tensors, inputs and targets"),
    "empty list": (TRAIN, "[]", "train is empty: give at least one sample"),
    "one network": ("=network,", "=network(),", "network is a single network: give a function"),
    "no network": (MADE, "pass", r"network\(\) returns a value of type NoneType: return a mod"),
    "no parameters": (MADE, "return nn.ReLU()", "returns a module without parameters"),
    "network raises": (MADE, "return nn.Linear()", r"fails: TypeError: .* \(mine\.py, line 22\)"),
    "lazy": ("nn.Linear(4,", "nn.LazyLinear(", "has lazy layers: give them their sizes"),
    "device": ("8, 4))", '8, 4)).to("meta")', "is on meta: leave it on the CPU, and use --d"),
    "shared": ("=network,", "=lambda made=network(): made,", "returns the same parameters again"),
    "unseeded": (MADE, UNSEEDED, "differs for the same seed: let only torch draw its para"),
    "inputs": ("nn.Linear(4,", "nn.Linear(5,", "network cannot take 8 training samples: Runtime"),
    "tuple": (MADE, "return nn.GRU(4, 4)", "the network returns a value of type tuple: return"),
    "dtype": (".long() +", ".double() +", "loss does not fit the network's outputs and the targ"),
    "NaN": ("return inputs,", "return inputs * torch.nan,", "a fresh network is nan, not finite"),
    "sum": ("cross_entropy,", 'nn.CrossEntropyLoss(reduction="sum"),', "not a mean over samples"),
    "no scalar": ("cross_entropy,", 'nn.CrossEntropyLoss(reduction="none"),', r"shape \(8,\): giv"),
    "no tensor": ("cross_entropy,", "lambda *_: 1.0,", "the loss is a value of type float"),
    "no optimizer": ("return torch.optim", "torch.optim", r"optimizer\(\) returns a value of type"),
    "closure": ("Adam", "LBFGS", "cannot take a step: TypeError: .* argument: 'closure'"),
    "other network": ("Adam(parameters", "Adam(network().parameters()", "updates parameters that"),
    "test inputs": (TEST, "(torch.ones(5, 3), torch.ones(5))", "cannot take 5 test samples: Runt"),
    "no accuracy": (TEST, "(torch.ones(5, 4), torch.ones(5, 1))", "have no accuracy: give the t"),
    "direction": ("0.95,", "-2, score=cross_entropy,", r"scores 1\.\d+, and the target is -2:"),
}


@pytest.fixture
def written(tmp_path):
    """Write a task file of the user's own, with a change in it, and return its path."""

    def write(old="", new="", name="mine.py"):
        assert old in FILE
        (tmp_path / name).write_text(FILE.replace(old, new, 1))
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize(("old", "new", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_before_anything_is_measured(written, old, new, sentence):
    """The error is one sentence, with the line of the user's file where there is one."""
    with pytest.raises(UserError) as refusal:
        Source(task=written(old, new)).load()

    text = str(refusal.value)
    assert re.search(sentence, text), text
    assert text.startswith("--task=")
    assert "\n" not in text


def test_a_task_is_found_in_a_file_and_in_a_module(written, tmp_path, monkeypatch):
    """A task may have any name or be made by a function. Loading replaces no other module."""
    random, file = sys.modules["random"], written(name="random.py")
    written("task = Task(", "def task(): return Task(", name="made.py")
    monkeypatch.setattr(sys, "path", [*sys.path])
    written("def samples", "import random, made\n\ndef samples", name="neighbour.py")

    for place in (
        *(file, f"{file}:task", str(tmp_path / "made.py"), str(tmp_path / "neighbour.py")),
        *("tests.own_task:task", f"{written('task =', 'other =')}:other"),
    ):
        assert Source(task=arguments.task(place)).load().name == "mine", place
    assert sys.modules["random"] is random


@pytest.mark.parametrize("place", ["none.py", "none.py:task", "mnist_mlp", "mine.py:no name"])
def test_a_place_that_holds_no_task_is_refused_when_it_is_parsed(place):
    """The error for a place without a task says what a place may be."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"give FILE\.py or MODULE:NAME"):
        arguments.task(place)


def test_loading_a_task_leaves_the_global_random_state_as_it_was(written):
    """The user's file may seed and draw: the global random state stays the same."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    Source(task=written("def samples", "torch.manual_seed(0)\n\ndef samples")).load()

    assert torch.equal(torch.get_rng_state(), before)


class Pairs(Dataset):
    """A dataset of `count` pairs, which counts how often each pair is read."""

    def __init__(self, count, *, noise=0.0):
        self.reads = Counter()
        self.count, self.noise = count, noise

    def __len__(self):
        return self.count

    def __getitem__(self, place):
        self.reads[place] += 1
        return torch.full((INPUTS,), 1.0 * place) + self.noise * torch.rand(()), torch.zeros(2)


def test_a_dataset_is_read_into_memory_once():
    """A dataset is read once, but for a few samples that are compared with a second reading."""
    pairs = Pairs(2_500)
    split = split_of(pairs, "train")

    assert not split.obstacle
    assert torch.equal(split.inputs[:, 0], torch.arange(2_500.0))
    assert sum(pairs.reads.values()) <= 2_500 + 1 + 2 * READ_TWICE
    assert max(pairs.reads.values()) <= 3


@pytest.fixture(params=["random", "large"])
def not_in_memory(request, monkeypatch):
    """A task whose training samples are not in memory, and the reason."""
    if request.param == "random":
        return replace(new_regression(1, 20), train=Pairs(30, noise=0.1)), "the same sample twice"
    monkeypatch.setattr(memory, "free_bytes", lambda: 100_000)
    return replace(new_regression(1, 20), train=Pairs(900)), "reading it needs"


def test_samples_that_are_not_in_memory_are_for_the_loader_engine(not_in_memory):
    """Without samples in memory, loader trains repeatably, and other engines refuse."""
    task, reason = not_in_memory
    for name in ("eager", "compiled", "ddp"):
        with pytest.raises(UnavailableError, match=f"{reason}.*: use the loader engine"):
            new_engine(name, task)
    runs = []
    for _ in range(2):
        engine = new_engine("loader", task)
        loss = epoch(engine, task.train, 25, generator=generator())
        runs.append((loss, evaluate(engine, task.test), evaluate(engine, task.train.head(20)).loss))

    assert task.train.obstacle
    assert runs[0][:2] == runs[1][:2]
    assert math.isfinite(runs[0][2])


@pytest.fixture
def train(monkeypatch, tmp_path, capsys):
    """Run the trainer in its own folder; return its exit code and its output without seconds."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = command.main([*words, "--threads=1"])
        printed = capsys.readouterr()
        return code, re.sub(r" \d+\.\d\d s", "", printed.out + printed.err)

    return run


def test_the_trainer_takes_the_loader_engine_for_such_samples_and_says_so(written, train):
    """A resumed run draws the same random samples as a run that was not interrupted."""
    task = f"--task={written(TRAIN, NOISE)}"

    code, straight = train(task, "--epochs=2", "--checkpoints=straight")
    _, begun = train(task, "--epochs=1")
    _, resumed = train(task, "--epochs=2", "--resume=checkpoints/mine-loader-8-0.01-0.last.pt")

    assert code == 0
    assert "mine is not in memory (it does not give the same sample twice), so the load" in straight
    assert "mine, loader engine, batch size 8, learning rate 0.01, seed 0, 1 thread: 5 " in straight
    epochs = [line for line in straight.splitlines() if line.startswith("epoch")]
    assert epochs[0] in begun
    assert epochs[1] in resumed
    code, refused = train(task, "--engine=eager")
    assert code == 1
    assert "error: the eager engine needs the training samples of mine in memory" in refused


def test_a_batch_that_cannot_be_trained_is_refused_before_the_first_step(written, train):
    """A batch that cannot be trained, also an epoch's last, is an error before the first step."""
    task = f"--task={written('nn.ReLU()', 'nn.BatchNorm1d(8)')}"

    code, printed = train(task, "--batch-size=7")

    assert code == 1
    assert "error: mine cannot be trained at batch size 7: a batch of 1 raises ValueErr" in printed
    assert "epoch" not in printed.partition("error")[0].partition("steps per epoch")[2]
    assert train(task, "--batch-size=6", "--epochs=1")[0] == 0


def test_a_mistake_ends_the_command_with_one_line(written):
    """A mistake in a task file ends the command with one line and no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "mnist_mlp", f"--task={written('=cross_entropy', '=None')}"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert re.fullmatch(
        r"error: --task=.*mine\.py: .*loss is None: give a function \(mine\.py, line 30\)\n",
        done.stderr,
    )
