import pytest
from rich.console import Console

from bench.report import axes, peer_table
from tests.runs import case, measured


def axis(verb, **info):
    """A case of an axis beside batch size."""
    (one,) = measured(case(verb, info.pop("batch_size", 256), **info))
    return one


def test_each_axis_gets_its_sentence():
    """With throughputs, cores and verdicts."""
    sentences = axes.sentences(
        [
            axis("loading", samples_per_second=12_345.6, workers=0),
            axis("loading", samples_per_second=99, workers=2),
            axis("feeding", samples_per_second=9_000, workers=1, threads=1),
            axis("threads", samples_per_second=1e5, threads=1),
            axis("threads", samples_per_second=2e5, threads=2),
            axis("workers_step", batch_size=64, samples_per_second=4e4, workers=1, threads=2),
            axis("workers_step", batch_size=64, samples_per_second=1e4, workers=2, threads=1),
            axis("alignment", batch_size=96, beside=128, ratio=1.084, verdict="different"),
            axis("step", compile_seconds=2.5),
        ]
    )

    for sentence, parts in zip(
        sentences,
        (
            ("DataLoader alone", "256", "12,346 samples/s with 0, 99 samples/s with 2 workers"),
            ("loader engine", "9,000 samples/s with 1 computing and 1 feeding"),
            ("eager engine", "100,000 samples/s on 1, 200,000 samples/s on 2"),
            ("share a batch", "eager engine, batch size 64", "10,000 samples/s by 2 x 1"),
            ("eager engine", "within 3%", "96 to 128 +8.4% (different)"),
            ("Compiling, and choosing forms, took 2.5 s",),
        ),
        strict=True,
    ):
        assert all(part in sentence for part in parts), sentence


@pytest.mark.parametrize(("verdict", "is_doubted"), [("equal", False), ("undecided", True)])
def test_a_control_that_is_not_equal_to_itself_casts_doubt(verdict, is_doubted):
    """On all that stands beside it."""
    control = axis("alignment", batch_size=128, beside=128, ratio=1.05, verdict=verdict)

    (sentence,) = axes.sentences([control])

    assert ("A size is not found equal to itself" in sentence) == is_doubted


def test_a_run_without_axes_has_no_sentences():
    """Nor where nothing was compiled."""
    assert axes.sentences(measured(case("step", 1))) == []


def test_peers_are_laid_out_by_batch_size():
    """How many times as fast, by medians over the turns."""
    peers = {"JAX": [2.0, 3.0, 9.0], "Keras": [8.0, 9.0, 1.0]}
    found = [axis("peers", seconds=2.0, batch_size=size, peer_seconds=peers) for size in (4, 64)]
    console = Console(width=100)

    with console.capture() as capture:
        for table in peer_table.tables(found):
            console.print(table)

    assert "without zeros" not in capture.get()
    rows = [line.split() for line in capture.get().splitlines() if line.startswith("│")]
    assert [[row[1], row[-4], row[-2]] for row in rows] == [
        ["4", "1.50", "4.00"],
        ["64", "1.50", "4.00"],
    ]


def test_a_ratio_to_a_peer_has_its_interval_where_the_run_stored_one():
    """Below the ratio; the table says on which images."""
    found = [
        axis(
            "peers_without_zeros",
            batch_size=4,
            peer_seconds={"JAX": [2.0]},
            peer_ratios={"JAX": (1.25, 1.1, 1.4)},
        )
    ]
    console = Console(width=100)

    with console.capture() as capture:
        console.print(*peer_table.tables(found))

    assert "on images without zeros" in capture.get()
    assert "1.25" in capture.get()
    assert "1.10 to 1.40" in capture.get()
