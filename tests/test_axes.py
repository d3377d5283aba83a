from rich.console import Console

from bench.answer import axes, peer_table


def case(name, *, median=1.0, **info):
    """A case in pytest-benchmark's JSON form."""
    return {"name": name, "stats": {"median": median}, "extra_info": info}


def test_each_axis_gets_its_sentence():
    """With throughputs, cores and verdicts."""
    told = axes.sentences(
        [
            case("test_loading[workers=0]", samples_per_second=12_345.6, workers=0),
            case("test_loading[workers=2]", samples_per_second=99, workers=2),
            case("test_feeding[threads=1]", samples_per_second=9_000, workers=1, threads=1),
            case(
                "test_threads[engine=eager-threads=1]",
                samples_per_second=1e5,
                threads=1,
                engine="eager",
            ),
            case(
                "test_threads[engine=eager-threads=2]",
                samples_per_second=2e5,
                threads=2,
                engine="eager",
            ),
            case(
                "test_alignment[engine=eager-neighbours=96/128]",
                engine="eager",
                batch_size=96,
                beside=128,
                ratio=1.084,
                verdict="different",
                compile_seconds=2.5,
            ),
        ]
    )

    assert told == [
        "DataLoader alone, batches of 256: 12,346 samples/s with 0, 99 samples/s with 2 workers.",
        "Cores, loader engine: 9,000 samples/s with 1 computing and 1 feeding.",
        "Cores, eager engine: 100,000 samples/s on 1, 200,000 samples/s on 2.",
        "Seconds a sample, eager engine, equal meaning within 3%: 96 to 128 +8.4% (different).",
        "Compiling took 2.5 s, which is in no time above.",
    ]


def test_a_run_without_axes_has_no_sentences():
    """Nor where nothing was compiled."""
    assert axes.sentences([case("test_step[engine=eager-batch_size=1]", engine="eager")]) == []


def test_peers_are_laid_out_by_batch_size():
    """How many times as fast, by medians over the turns."""
    found = [
        case(
            f"test_peers[batch_size={size}]",
            median=2.0, engine="compiled", precision="float32", batch_size=size,
            samples_per_second=1e5, peer_seconds={"JAX": [2.0, 3.0, 9.0], "Keras": [8.0, 9.0, 1.0]},
        )
        for size in (4, 64)
    ]  # fmt: skip
    console = Console(width=100)

    with console.capture() as capture:
        for table in peer_table.tables(found):
            console.print(table)

    rows = [line.split() for line in capture.get().splitlines() if line.startswith("│")]
    assert [[row[1], row[-4], row[-2]] for row in rows] == [
        ["4", "1.50", "4.00"],
        ["64", "1.50", "4.00"],
    ]
