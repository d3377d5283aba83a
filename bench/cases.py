"""What a run measures: batch sizes, engines, and how often each case is timed."""

from collections.abc import Iterable

from mnist_mlp.memory import usable_cores

# Measured with --full, or if a file or an engine is named.
ALL_BATCH_SIZES: tuple[int, ...] = (
    *(1, 4, 16),
    # Powers of two, and their 3/2 neighbours, around the square root of the training set, 245.
    *(64, 96, 128, 192, 256, 384, 512, 1024),
    *(8192, 60000),
)
# Steps to target follow a law that fewer sizes show as well.
ALL_CONVERGENCE_BATCH_SIZES: tuple[int, ...] = (1, 4, 16, 64, 256, 1024, 8192, 60000)
BATCH_SIZES: tuple[int, ...] = (1, 4, 16, 64, 256, 1024, 60000)
CONVERGENCE_BATCH_SIZES: tuple[int, ...] = (*BATCH_SIZES[:5], 60000)  # 1024 spends the whole budget
QUESTION_BATCH_SIZES = (1, 60000)

# A default run times the slow engine's epochs at these sizes, and other epochs up to the limit.
SLOW_ENGINE = "loader"
SLOW_ENGINE_EPOCHS = (1, 256, 60000)
MOST_EPOCH_SECONDS = 3.0

# All engines compute the same parameters, so the fastest engine counts the steps to target.
CONVERGENCE_ENGINES = ("native",)
LEARNING_RATE = 0.1
LR_RULES = ("fixed", "tuned")
OWN_TASK_LR_RULES = ("fixed", "sqrt")  # "tuned" follows rates of the question's network
TARGET_ACCURACY = 0.95
MAX_EPOCHS = 10
SEEDS = (0, 1, 2)
# If the first seed misses the target accuracy by more than this, the other seeds are left out.
CLEARLY_MISSED = 0.01

# The other axes, each at a batch size where the answer is easy to see.
AXIS_BATCH_SIZE = 256
WORKERS = (0, 1, 2)
FED_SAMPLES = 10_000  # samples of the training set: a sixth, to save time
# A size, and the power of two that it is compared with; first a control, whose ratio is 1.
NEIGHBOURS = (
    "128/128",
    *("127/128", "129/128", "255/256", "257/256", "511/512", "513/512"),
    *("96/128", "192/256"),
)
EQUAL_WITHIN = 0.03
ALIGNMENT_ENGINES = ("eager", "native")  # compiled would compile in each of the processes
ALIGNMENT_PROCESSES = 10
ALIGNMENT_SAMPLES = 1024  # samples per turn, which share the cost of a call
ALIGNMENT_SECONDS = 5.0  # measuring time per engine
ALIGNMENT_ROUNDS = 10

# Workers that share a batch.
WORKERS_BATCH_SIZES = (64, 8192)
WORKERS_EPOCH_BATCH_SIZE = 8192
WORKERS_ROUNDS = 15
WORKERS_ROUND_SECONDS = 0.03  # intended length of a round of steps
WORKERS_STEPS = 50  # limit per round
WORKERS_EXCHANGES = 20  # exchanges per round

# Turns of a comparison with peers: a second or two, so that each peer reaches its full speed.
PEER_STEPS = 4_000
PEER_SAMPLES = 10_000
PEER_ROUNDS = 7  # their least and greatest ratio bound the median at 98 %
BY_HAND_SAMPLES = 2_000  # samples per turn, which takes some milliseconds
BY_HAND_OVERHEAD_SAMPLES = 50  # samples that take as long as the overhead of a step
BY_HAND_TURNS = 60

# How long a case is timed: long enough that the watch, which counts in ticks of 10 ms, sees a
# disturbance. The cap bounds what pytest-benchmark keeps of a case in memory.
SECONDS = {"step": 0.25, "epoch": 1.0}
MOST_ROUNDS = {"step": 10_000, "epoch": 5}
MEMORY_SAMPLES = 2_000  # samples of the untimed call for memory, if a batch is not larger


def shares_of_cores() -> tuple[int, ...]:
    """Return numbers of cores to compute on: powers of two, and all of them."""
    cores = usable_cores()
    return tuple(sorted({*(2**power for power in range(cores.bit_length())), cores}))


def sizes_up_to(samples: int, sizes: Iterable[int]) -> tuple[int, ...]:
    """Return the sizes below the number of samples, and that number."""
    return (*(size for size in sizes if size < samples), samples)


def rounds(verb: str, call_seconds: float) -> int:
    """Return how often to time a case whose call takes so many seconds: at least once."""
    return max(1, min(MOST_ROUNDS[verb], int(SECONDS[verb] / call_seconds)))


def peer_samples(batch_size: int) -> int:
    """Return the samples of a pass in a comparison with peers: a number of whole batches."""
    return batch_size * max(1, min(PEER_STEPS, PEER_SAMPLES // batch_size))


def expected_steps(lr_rule: str, batch_size: int) -> int:
    """Estimate the steps to the default target, to forecast how long a run takes.

    The numbers are from docs/results.md.
    """
    if lr_rule == "fixed":
        return max(15_000, 30_000 // batch_size)
    return round(850 * (1 + 30 / batch_size))
