import time

from mnist_mlp.clock import Stopwatch


def test_paused_time_is_left_out():
    """However long a pause takes, the readings around it are close; without one they are not."""
    clock = Stopwatch()
    started = clock()
    with clock.paused():
        time.sleep(0.2)
    paused = clock() - started
    time.sleep(0.2)
    running = clock() - started

    assert 0 <= paused < running - 0.19
