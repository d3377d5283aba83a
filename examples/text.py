"""A small transformer that predicts the next character of optparse.py, trained with AdamW."""

import inspect
import optparse  # its text is the same in Python 3.7 to 3.13

import torch
from torch import Tensor, nn

from mnist_mlp.task import Task

text = torch.tensor(list(inspect.getsource(optparse).encode("ascii", "replace")))
windows = text.unfold(0, 17, 3)  # (N, 17): 16 characters and the next, at every third place


class Transformer(nn.Module):
    """One attention layer, 32 wide; its output at the last character predicts the next."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(128, 32)
        self.positions = nn.Parameter(0.02 * torch.randn(16, 32))
        self.layer = nn.TransformerEncoderLayer(32, 4, 128, dropout=0, batch_first=True)
        self.output = nn.Linear(32, 128)

    def forward(self, characters: Tensor) -> Tensor:
        """Return logits, (B, 128), of characters, (B, 16)."""
        return self.output(self.layer(self.embedding(characters) + self.positions)[:, -1])


task = Task(
    name="text",
    network=Transformer,
    train=(windows[:-2000, :-1], windows[:-2000, -1]),
    test=(windows[-2000:, :-1], windows[-2000:, -1]),  # the last 2,000 windows
    loss=nn.functional.cross_entropy,
    optimizer=lambda parameters, rate: torch.optim.AdamW(parameters, lr=rate),
    target=0.45,
    learning_rate=0.003,
    batch_size=32,
)
