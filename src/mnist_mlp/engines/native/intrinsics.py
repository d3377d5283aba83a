"""Instructions that Numba does not offer: threads that meet, and memory that is fetched ahead.

Threads that meet every few microseconds watch memory: asking the operating system would take as
long as their work. No thread lives on between calls, so a process may fork. Numba's cache does not
see a change of this file: remove `__pycache__` after a change.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from mnist_mlp.data import PIXELS

LINE = 8  # int64 numbers in a cache line: each thread writes to a line of its own
PATIENCE = 2_000  # looks at another thread's number, some microseconds, before giving up the core
LINE_PIXELS = 16  # float32 numbers in a cache line


def places(threads: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the memory through which `threads` threads meet."""
    return np.zeros(threads * LINE, np.int64)


@njit(inline="always")
def meet(arrived, thread, threads, meeting):
    """Wait until all threads have come to this meeting; meetings count up from 1."""
    _write(arrived, thread * LINE, meeting)
    for other in range(threads):
        looks = 0
        while _read(arrived, other * LINE) < meeting:
            looks += 1
            if looks > PATIENCE:
                _yield_core()  # the other thread may be waiting for this core


@njit(inline="always")
def fetch_ahead(images, sample):
    """Let the core load an image, a row of (N, 784), while it computes something else."""
    for pixel in range(0, PIXELS, LINE_PIXELS):
        _fetch(images, sample * PIXELS + pixel)


@intrinsic
def _write(_: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a number so that whoever reads it also sees all that was written before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _pointer(context, builder, signature, arguments)
        builder.store_atomic(arguments[2], place, "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


@intrinsic
def _read(_: Any, array: Any, index: Any) -> Any:
    """Read a number that another thread writes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _pointer(context, builder, signature, arguments)
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(array, types.intp), generate


@intrinsic
def _yield_core(_: Any) -> Any:
    """Let another thread of this machine run on this core (POSIX)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function = ir.FunctionType(ir.IntType(32), [])
        known = builder.module.globals.get("sched_yield")
        return builder.call(known or ir.Function(builder.module, function, "sched_yield"), [])

    return types.int32(), generate


@intrinsic
def _fetch(_: Any, array: Any, index: Any) -> Any:
    """Load the cache line of a number of the array, and do not wait for it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = builder.bitcast(_pointer(context, builder, signature, arguments), byte)
        function = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        instruction = builder.module.declare_intrinsic("llvm.prefetch", [byte], function)
        builder.call(instruction, [place, flag(0), flag(3), flag(1)])  # read; keep; data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.gep(array.data, [arguments[1]])
