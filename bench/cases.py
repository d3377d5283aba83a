"""What a default run measures: batch sizes, engines, and how often each case is timed."""

import os

BATCH_SIZES = (
    *(1, 4, 16),
    # Powers of two, and their 3/2 neighbours, around the square root of the training set, 245.
    *(64, 96, 128, 192, 256, 384, 512, 1024),
    *(8192, 60000),
)
# The engines walk through the same parameters: steps to target need finding once, by the fastest,
# and follow a law that fewer sizes show as well.
CONVERGENCE_ENGINES = ("native",)
CONVERGENCE_BATCH_SIZES = (1, 4, 16, 64, 256, 1024, 8192, 60000)
LEARNING_RATE = 0.1
LR_RULES = ("fixed", "tuned")
TARGET_ACCURACY = 0.95
MAX_EPOCHS = 10
SEEDS = (0, 1, 2)

# The axes beside batch size, each at a size where the answer is easy to see.
AXIS_BATCH_SIZE = 256
WORKERS = (0, 1, 2)
FED_SAMPLES = 10_000  # of the training set: a sixth of the loader's seconds
# A size, and the power of two that it is held against; first a control, whose ratio is 1.
NEIGHBOURS = (
    "128/128",
    *("127/128", "129/128", "255/256", "257/256", "511/512", "513/512"),
    *("96/128", "192/256"),
)
EQUAL_WITHIN = 0.03
ALIGNMENT_ENGINES = ("eager", "native")  # compiled would compile in each of the processes
ALIGNMENT_PROCESSES = 10  # the replicates
ALIGNMENT_SAMPLES = 1024  # of a turn, so that what a call costs is shared by as many
ALIGNMENT_SECONDS = 5.0  # of turns, an engine
ALIGNMENT_ROUNDS = 10  # that a case of its own gets


# Workers that share a batch.
WORKERS_BATCH_SIZES = (64, 8192)
WORKERS_EPOCH_BATCH_SIZE = 8192
WORKERS_ROUNDS = 15
WORKERS_ROUND_SECONDS = 0.03  # of steps, of which a round takes
WORKERS_STEPS = 50  # at the most
WORKERS_EXCHANGES = 20  # of a round

# Against peers: steps enough for each to get going, in turns of seconds.
PEER_STEPS = 4_000
PEER_ROUNDS = 7  # of which the least and the greatest bound the median at 98 %
BY_HAND_SAMPLES = 2_000  # a turn of some milliseconds,
BY_HAND_OVERHEAD_SAMPLES = 50  # a step costing as much as so many samples, and a sample each
BY_HAND_TURNS = 60


def shares_of_cores() -> tuple[int, ...]:
    """Numbers of cores to compute on: powers of two, and all of them."""
    cores = os.cpu_count() or 1
    return tuple(sorted({*(2**power for power in range(cores.bit_length())), cores}))


# How often a case is timed: as often as its seconds allow, once at the least.
MOST_ROUNDS = {"step": 100, "epoch": 5}
SECONDS = {"step": 0.2, "epoch": 1.0}
MEMORY_SAMPLES = 2_000  # that the untimed call for memory trains on, one batch at the least
SHORT_SECONDS = 0.1  # a first call this short is made again: the first of a kind is slow


def rounds(verb: str, call_seconds: float) -> int:
    """Return how often a case is timed whose call takes so long."""
    return max(1, min(MOST_ROUNDS[verb], int(SECONDS[verb] / call_seconds)))


# A seed that misses the target by more than this: the others would miss it, too, and are left out.
CLEARLY_MISSED = 0.01


def expected_steps(lr_rule: str, batch_size: int) -> int:
    """Return roughly how many steps the default target takes, to forecast how long a run takes.

    From docs/results.md.
    """
    if lr_rule == "fixed":
        return max(15_000, 30_000 // batch_size)
    return round(850 * (1 + 30 / batch_size))
