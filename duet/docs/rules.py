"""How often pytest-benchmark's own rules are wrong: `python rules.py`, on rules.csv beside it.

A line of rules.csv is a case in a pair of runs of the same code, one after the other: its minimum,
median and mean in both, in seconds. A slowdown multiplies three cases of the second run.
"""

import csv
import random
from itertools import groupby
from pathlib import Path

FIELDS, SHARES, SLOWDOWNS, SLOWED = ("min", "median", "mean"), (5, 10), (0, 3, 5, 7, 10, 15), 3
with (Path(__file__).parent / "rules.csv").open() as file:
    pairs = [list(cases) for _, cases in groupby(csv.DictReader(file), lambda case: case["pair"])]

print("pairs that fail --benchmark-compare-fail, and slowed cases that it finds")
for field in FIELDS:
    for share in SHARES:
        cells = []
        for slowdown in SLOWDOWNS:
            fails = found = 0
            for number, cases in enumerate(pairs):
                slowed = random.Random(number).sample(range(len(cases)), SLOWED)
                slower = {
                    index
                    for index, case in enumerate(cases)
                    if float(case[f"second_{field}"]) * (1 + slowdown / 100 * (index in slowed))
                    > float(case[f"first_{field}"]) * (1 + share / 100)
                }
                fails += bool(slower)
                found += len(slower & set(slowed))
            cells.append(f"{slowdown} %: {fails} of {len(pairs)}, {found} of {SLOWED * len(pairs)}")
        print(f"{field}:{share}%", *cells, sep="; ")
