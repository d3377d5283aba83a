import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from mnist_mlp.batches import clamped, mean_over_samples, shuffled, steps_per_epoch
from tests.strategies import batch_sizes, generator, not_batch_sizes, seeds, split_sizes


@given(samples=split_sizes, seed=seeds)
def test_shuffling_uses_every_sample_once(samples, seed):
    """Shuffling neither loses nor repeats a sample."""
    order = shuffled(samples, generator=generator(seed))

    assert sorted(order.tolist()) == list(range(samples))


@example(samples=0, batch_size=1)
@given(samples=st.integers(0, 100), batch_size=batch_sizes)
def test_an_epoch_has_ceil_n_over_b_steps(samples, batch_size):
    """The short last batch is a step of its own; no samples take no step."""
    assert steps_per_epoch(samples, batch_size) == -(-samples // batch_size)


@given(batch_size=not_batch_sizes)
def test_what_is_no_batch_size_is_refused_by_name(batch_size):
    """The error for a wrong batch size names the value and says what is allowed."""
    with pytest.raises((TypeError, ValueError)) as refusal:
        clamped(batch_size, 10)

    assert str(batch_size) in str(refusal.value) or repr(batch_size) in str(refusal.value)
    assert "give an int of at least 1" in str(refusal.value)


@given(samples=split_sizes, batch_size=batch_sizes, seed=seeds)
def test_a_short_last_batch_counts_for_its_samples_only(samples, batch_size, seed):
    """The weighted mean of batch means is the mean over samples."""
    losses = torch.rand(samples, generator=generator(seed))
    batch_means = torch.stack([batch.mean() for batch in losses.split(batch_size)])

    mean = mean_over_samples(batch_means, samples, batch_size)

    assert mean == pytest.approx(float(losses.double().mean()), rel=1e-5)
