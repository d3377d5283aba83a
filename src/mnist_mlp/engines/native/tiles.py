"""The large parts of a step in vector registers, for lit pixels: those that are not 0.

A tile is 32 columns of the hidden weight. What its lit pixels need, some 75 KB, stays near a core
while many samples use it. A sample's sums over a tile fit in registers, so that a lit pixel costs
a load and a multiplication per vector. All arguments are addresses and counts; the hidden weight is
in wide rows. Numba's cache does not see a change of this file: delete `__pycache__` after it.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from mnist_mlp.data import PIXELS
from mnist_mlp.engines.native.steps import ROW_NUMBERS

TILE = 32  # columns
WIDTHS = {"avx512f": 16, "avx": 8}  # float32 numbers per vector of a processor, the widest first
LANES = next((width for name, width in WIDTHS.items() if get_host_cpu_features().get(name)), 4)
REGISTERS = TILE // LANES  # vectors in a row of a tile
CAN_COMPRESS = LANES == 16  # noqa: PLR2004 - AVX-512 has an instruction for it
AT_ONCE = max(1, LANES // REGISTERS)  # rows whose sums do not wait for each other
SHORT, INT, INDEX, REAL = ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
VECTOR = ir.VectorType(REAL, LANES)
ZEROS = ir.Constant(VECTOR, [0.0] * LANES)


@intrinsic
def add_up(_: Any, weight: Any, bias: Any, pixels: Any, shades: Any, count: Any, sums: Any) -> Any:
    """Compute a sample's hidden sums of a tile: the bias, plus each lit pixel's shade times row."""

    def generate(context: Any, b: Any, _: Any, arguments: Any) -> Any:
        weight, bias, pixels, shades, count, sums = arguments
        totals = [
            [cgutils.alloca_once_value(b, ZEROS) for _ in range(REGISTERS)] for _ in range(AT_ONCE)
        ]
        for group in totals:
            for total, place in zip(group, _vectors(b, bias), strict=True):
                b.store(_load(b, place) if group is totals[0] else ZEROS, total)

        def add(m: Any, group: Sequence[Any]) -> None:
            row, shade = _lit_row(b, weight, pixels, shades, m)
            for total, place in zip(group, row, strict=True):
                b.store(_multiply_add(b, shade, _load(b, place), b.load(total)), total)

        _for_each(b, count, totals, add)
        for place, *parts in zip(_vectors(b, sums), *totals, strict=True):
            total = b.load(parts[0])
            for part in parts[1:]:
                total = b.fadd(total, b.load(part))
            b.store(total, place).align = 4
        return context.get_dummy_value()

    return types.void(*[types.intp] * 6), generate


@intrinsic
def descend(_: Any, weight: Any, pixels: Any, shades: Any, count: Any, descents: Any) -> Any:
    """Subtract a sample's descents of a tile, times a lit pixel's shade, from the pixel's row."""

    def generate(context: Any, b: Any, _: Any, arguments: Any) -> Any:
        weight, pixels, shades, count, descents = arguments
        down = [b.fsub(ZEROS, _load(b, place)) for place in _vectors(b, descents)]

        def move(m: Any, _: Any) -> None:
            row, shade = _lit_row(b, weight, pixels, shades, m)
            for place, by in zip(row, down, strict=True):
                b.store(_multiply_add(b, shade, by, _load(b, place)), place).align = 4

        _for_each(b, count, [()] * AT_ONCE, move)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5), generate


@intrinsic
def list_lit(_: Any, image: Any, pixels: Any, shades: Any) -> Any:
    """List an image's lit pixels and their shades, with room for all 784; return their count."""

    def generate(_: Any, b: Any, __: Any, arguments: Any) -> Any:
        image, pixels, shades = (
            b.inttoptr(address, kind.as_pointer())
            for address, kind in zip(arguments, (REAL, SHORT, REAL), strict=True)
        )
        count = cgutils.alloca_once_value(b, INDEX(0))
        one_by_one = [(number, _list_one) for number in range(LANES)]
        with cgutils.for_range_slice(b, INDEX(0), INDEX(PIXELS), INDEX(LANES)) as (first, _):
            for number, write in [(0, _list_vector)] if CAN_COMPRESS else one_by_one:
                pixel, here = b.add(first, INDEX(number)), b.load(count)
                ends = [b.gep(each, [here]) for each in (shades, pixels)]
                found = write(b, b.gep(image, [pixel]), b.trunc(pixel, INT), *ends)
                b.store(b.add(here, b.zext(found, INDEX)), count)
        return b.load(count)

    return types.intp(*[types.intp] * 3), generate


def _list_one(b: Any, image: Any, pixel: Any, shades: Any, pixels: Any) -> Any:
    """Write a pixel, and return 1 if it is lit; the next pixel overwrites an unlit pixel."""
    shade = b.load(image)
    b.store(shade, shades)
    b.store(b.trunc(pixel, SHORT), pixels)
    return b.fcmp_unordered("!=", shade, REAL(0.0))


def _list_vector(b: Any, image: Any, first: Any, shades: Any, pixels: Any) -> Any:
    """Write the lit pixels of a vector, and return their count."""
    seen = _load(b, b.bitcast(image, VECTOR.as_pointer()))
    is_lit = b.fcmp_unordered("!=", seen, ZEROS)
    numbers = ir.Constant(ir.VectorType(INT, LANES), list(range(LANES)))
    here = _compressed(b, b.add(numbers, _everywhere(b, first)), is_lit)
    short = b.trunc(here, ir.VectorType(SHORT, LANES))
    for found, place in ((_compressed(b, seen, is_lit), shades), (short, pixels)):
        b.store(found, b.bitcast(place, found.type.as_pointer())).align = 2
    return b.ctpop(b.bitcast(is_lit, ir.IntType(LANES)))


def _for_each(b: Any, count: Any, groups: Sequence[Any], act: Callable[[Any, Any], None]) -> None:
    """Act on each number below the count, on as many numbers at once as there are groups."""
    together = INDEX(len(groups))
    whole = b.mul(b.udiv(count, together), together)
    with cgutils.for_range_slice(b, INDEX(0), whole, together) as (m, _):
        for number, group in enumerate(groups):
            act(b.add(m, INDEX(number)), group)
    with cgutils.for_range_slice(b, whole, count, INDEX(1)) as (m, _):
        act(m, groups[0])


def _lit_row(b: Any, weight: Any, pixels: Any, shades: Any, m: Any) -> tuple[list[Any], Any]:
    """Return the places of lit pixel m's row in a tile, and the pixel's shade in every lane."""
    pixel = b.load(b.gep(b.inttoptr(pixels, SHORT.as_pointer()), [m]))
    shade = b.load(b.gep(b.inttoptr(shades, REAL.as_pointer()), [m]))
    row = b.add(weight, b.mul(b.zext(pixel, INDEX), INDEX(4 * ROW_NUMBERS)))
    return _vectors(b, row), _everywhere(b, shade)


def _vectors(b: Any, address: Any) -> list[Any]:
    """Return pointers to the vectors of a tile's row."""
    first = b.inttoptr(address, VECTOR.as_pointer())
    return [b.gep(first, [INDEX(number)]) for number in range(REGISTERS)]


def _load(b: Any, place: Any) -> Any:
    value = b.load(place)
    value.align = 4
    return value


def _everywhere(b: Any, value: Any) -> Any:
    """Return a vector that holds the value in every lane."""
    nothing = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    alone = b.insert_element(nothing, value, INT(0))
    first = ir.Constant(ir.VectorType(INT, LANES), [0] * LANES)
    return b.shuffle_vector(alone, nothing, first)


def _multiply_add(b: Any, x: Any, y: Any, z: Any) -> Any:
    return _call(b, f"llvm.fmuladd.v{LANES}f32", x, y, z)


def _compressed(b: Any, vector: Any, mask: Any) -> Any:
    """Move the numbers whose mask is set to the front; what follows them is undefined."""
    letter = "f" if vector.type.element == REAL else "i"
    nothing = ir.Constant(vector.type, ir.Undefined)
    return _call(b, f"llvm.experimental.vector.compress.v{LANES}{letter}32", vector, mask, nothing)


def _call(b: Any, name: str, first: Any, *others: Any) -> Any:
    """Call an LLVM intrinsic whose result is of the type of its first argument."""
    kind = ir.FunctionType(first.type, [first.type, *(each.type for each in others)])
    function = b.module.globals.get(name) or ir.Function(b.module, kind, name)
    return b.call(function, [first, *others])
