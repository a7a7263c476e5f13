"""Gives the block RAMs of a synthesized netlist their places on the device, as floorplan.txt says.

A placer that is left alone with a hundred block RAMs spreads them over the whole device, and the logic stands somewhere else: nearly
all of the clock is then wire, and a seed decides how much. The places are attributes of the cells (`BEL`), which nextpnr keeps to.

Every block must have a place, and every place a block: a kernel whose memories differ needs another plan, and says so.
"""

import json
import pathlib
import re

PLAN = pathlib.Path(__file__).resolve().parent / "floorplan.txt"
ROWS = (22, 46, 70, 82)
# Blocks stand in fours, at these X; a four is nine tiles wide.
FOURS = (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)
COLUMNS = 4 * len(FOURS)
BLOCK = re.compile(r"\.u_core\.(?P<ram>.+)\.u_blocks\.g_block\[(?P<bit>\d+)\]\.u_block$")


class Misfit(Exception):
    """The plan is not one of this device, or not of this netlist."""


def bel(row, column):
    """nextpnr's name of a block's place."""
    four, within = divmod(column, 4)
    return f"X{FOURS[four] + 2 * within}/Y{row}/EBR{within}"


def places(text):
    """The plan: (RAM, number of the block in it) to its place."""
    made, taken, count = {}, set(), {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split("#")[0].split()
        if not fields:
            continue
        if len(fields) != 4 or not all(field.isdigit() for field in fields[1:]):
            raise Misfit(f"line {number}: not RAM, row, column, blocks")
        ram, row, first, blocks = fields[0], *map(int, fields[1:])
        if row not in ROWS or first + blocks > COLUMNS:
            raise Misfit(f"line {number}: the device has rows {ROWS} of {COLUMNS} columns")
        for column in range(first, first + blocks):
            if (row, column) in taken:
                raise Misfit(f"line {number}: row {row}, column {column} is taken")
            taken.add((row, column))
            bit = count[ram] = count.get(ram, -1) + 1
            made[ram, bit] = bel(row, column)
    return made


def apply(netlist, text):
    """Sets the places in a netlist that yosys wrote (JSON), and answers how many."""
    design = json.loads(netlist.read_text())
    left = places(text)
    placed = 0
    for module in design["modules"].values():
        for name, cell in module["cells"].items():
            if cell["type"] != "DP16KD":
                continue
            found = BLOCK.search(name)
            at = found and left.pop((found["ram"], int(found["bit"])), None)
            if at is None:
                raise Misfit(f"{name} has no place in {PLAN.name}")
            cell["attributes"]["BEL"] = at
            placed += 1
    if left:
        raise Misfit(f"{PLAN.name} has places for blocks that are not there: {sorted(left)}")
    netlist.write_text(json.dumps(design))
    return placed
