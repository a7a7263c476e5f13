"""The plan fits the device and the kernel, and one that does not is refused. Run by python3 -m unittest, without any tool."""

import json
import pathlib
import tempfile
import unittest

import floorplan

PLAN = "u_next 70 24 2   # in the middle\nu_live.u_ram 82 23 1\n"


def netlist(names):
    """What yosys writes of a kernel that has these blocks, and a register."""
    cells = {f"u_kernel.u_core.{name}.u_block": {"type": "DP16KD", "attributes": {}} for name in names}
    cells["u_kernel.u_core.u_step.st"] = {"type": "TRELLIS_FF", "attributes": {}}
    return {"modules": {"timing_harness": {"cells": cells}}}


def applied(text, names):
    """The places that the blocks got, by what is left of their names."""
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / "netlist.json"
        path.write_text(json.dumps(netlist(names)))
        floorplan.apply(path, text)
        cells = json.loads(path.read_text())["modules"]["timing_harness"]["cells"]
    return {name.removeprefix("u_kernel.u_core."): cell["attributes"].get("BEL") for name, cell in cells.items()}


class Floorplan(unittest.TestCase):
    next0, next1, live = "u_next.u_blocks.g_block[0]", "u_next.u_blocks.g_block[1]", "u_live.u_ram.u_blocks.g_block[0]"

    def test_blocks_get_their_places_and_nothing_else_does(self):
        places = applied(PLAN, [self.next1, self.live, self.next0])
        self.assertEqual(places[f"{self.next0}.u_block"], "X58/Y70/EBR0")
        self.assertEqual(places[f"{self.next1}.u_block"], "X60/Y70/EBR1")
        self.assertEqual(places[f"{self.live}.u_block"], "X55/Y82/EBR3")
        self.assertIsNone(places["u_step.st"])

    def test_a_block_without_a_place_and_a_place_without_a_block_are_refused(self):
        with self.assertRaisesRegex(floorplan.Misfit, "has no place"):
            applied(PLAN, [self.next0, self.next1, self.live, "u_next.u_blocks.g_block[2]"])
        with self.assertRaisesRegex(floorplan.Misfit, "not there.*u_next"):
            applied(PLAN, [self.next0, self.live])

    def test_what_the_device_has_not_or_has_once_is_refused(self):
        wrong = {"u_prev 71 0 1": "rows", "u_prev 70 51 2": "columns", "u_prev 70 25 1": "taken", "u_prev 70": "not RAM"}
        for line, why in wrong.items():
            with self.assertRaisesRegex(floorplan.Misfit, f"line 3: .*{why}"):
                floorplan.places(PLAN + line)

    def test_the_committed_plan_is_one_of_the_device(self):
        self.assertEqual(len(set(floorplan.places(floorplan.PLAN.read_text()).values())), 111)


if __name__ == "__main__":
    unittest.main()
