"""What a run measures: batch sizes, engines, and how often each case is timed."""

from collections.abc import Iterable

from mnist_mlp.memory import usable_cores

# With --full, and where a file or an engine is named.
ALL_BATCH_SIZES: tuple[int, ...] = (
    *(1, 4, 16),
    # Powers of two, and their 3/2 neighbours, around the square root of the training set, 245.
    *(64, 96, 128, 192, 256, 384, 512, 1024),
    *(8192, 60000),
)
# Steps to target follow a law, which fewer sizes show as well.
ALL_CONVERGENCE_BATCH_SIZES: tuple[int, ...] = (1, 4, 16, 64, 256, 1024, 8192, 60000)
BATCH_SIZES: tuple[int, ...] = (1, 4, 16, 64, 256, 1024, 60000)
CONVERGENCE_BATCH_SIZES: tuple[int, ...] = (*BATCH_SIZES[:5], 60000)  # 1024 takes every epoch
QUESTION_BATCH_SIZES = (1, 60000)

# Epochs that a default run leaves out.
SLOW_ENGINE = "loader"
SLOW_ENGINE_EPOCHS = (1, 256, 60000)
MOST_EPOCH_SECONDS = 3.0

# The engines walk through the same parameters, so the fastest one finds the steps to target.
CONVERGENCE_ENGINES = ("native",)
LEARNING_RATE = 0.1
LR_RULES = ("fixed", "tuned")
OWN_TASK_LR_RULES = ("fixed", "sqrt")  # "tuned" follows rates of the question's network
TARGET_ACCURACY = 0.95
MAX_EPOCHS = 10
SEEDS = (0, 1, 2)
# If the first seed misses the target accuracy by more than this, the others are left out.
CLEARLY_MISSED = 0.01

# The axes beside batch size, each at a size where the answer is easy to see.
AXIS_BATCH_SIZE = 256
WORKERS = (0, 1, 2)
FED_SAMPLES = 10_000  # of the training set: a sixth of the loader's seconds
# A size, and the power of two that it is compared with; first a control, whose ratio is 1.
NEIGHBOURS = (
    "128/128",
    *("127/128", "129/128", "255/256", "257/256", "511/512", "513/512"),
    *("96/128", "192/256"),
)
EQUAL_WITHIN = 0.03
ALIGNMENT_ENGINES = ("eager", "native")  # compiled would compile in each of the processes
ALIGNMENT_PROCESSES = 10
ALIGNMENT_SAMPLES = 1024  # per turn, which share what a call costs
ALIGNMENT_SECONDS = 5.0  # of turns, for each engine
ALIGNMENT_ROUNDS = 10

# Workers that share a batch.
WORKERS_BATCH_SIZES = (64, 8192)
WORKERS_EPOCH_BATCH_SIZE = 8192
WORKERS_ROUNDS = 15
WORKERS_ROUND_SECONDS = 0.03  # of steps in each round
WORKERS_STEPS = 50  # at most in each round
WORKERS_EXCHANGES = 20  # in each round

# Against peers: steps enough for each to get going, in turns of a second or two.
PEER_STEPS = 4_000
PEER_SAMPLES = 10_000
PEER_ROUNDS = 7  # of which the least and the greatest bound the median at 98 %
BY_HAND_SAMPLES = 2_000  # per turn of some milliseconds
BY_HAND_OVERHEAD_SAMPLES = 50  # that cost as much as the overhead of a step
BY_HAND_TURNS = 60

# Seconds decide how often a case is timed: enough of them that the watch, which counts in ticks of
# 10 ms, sees a disturbance. The cap bounds what pytest-benchmark keeps of a case in memory.
SECONDS = {"step": 0.25, "epoch": 1.0}
MOST_ROUNDS = {"step": 10_000, "epoch": 5}
MEMORY_SAMPLES = 2_000  # that the untimed call for memory trains on, at least one batch


def shares_of_cores() -> tuple[int, ...]:
    """Return numbers of cores to compute on: powers of two, and all of them."""
    cores = usable_cores()
    return tuple(sorted({*(2**power for power in range(cores.bit_length())), cores}))


def sizes_up_to(samples: int, sizes: Iterable[int]) -> tuple[int, ...]:
    """Return the sizes below the number of samples, and that number."""
    return (*(size for size in sizes if size < samples), samples)


def rounds(verb: str, call_seconds: float) -> int:
    """Return how often a case is timed whose call takes so long, at least once."""
    return max(1, min(MOST_ROUNDS[verb], int(SECONDS[verb] / call_seconds)))


def peer_samples(batch_size: int) -> int:
    """Return how many samples a pass beside peers takes: whole batches of them."""
    return batch_size * max(1, min(PEER_STEPS, PEER_SAMPLES // batch_size))


def expected_steps(lr_rule: str, batch_size: int) -> int:
    """Return roughly how many steps the default target takes, to forecast how long a run takes.

    From docs/results.md.
    """
    if lr_rule == "fixed":
        return max(15_000, 30_000 // batch_size)
    return round(850 * (1 + 30 / batch_size))
