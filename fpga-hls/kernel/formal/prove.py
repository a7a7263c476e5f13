"""Proofs of the kernel's datapath and of the whole at a tiny size, and planted bugs that each of them must find.

A case is a SystemVerilog bench with assertions over free inputs: slang reads it, pyosys makes an and-inverter graph, abc decides whether any
input breaks an assertion. Each proof comes with the same bench over a planted bug (macros of twin/step_twin.sv and the like): it must fail.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyosys
from pyosys import libyosys as yosys

KERNEL = Path(__file__).resolve().parent.parent
GEN = KERNEL / "gen" / "k12s14"
ABC = Path(pyosys.__file__).parent / "yosys-abc"
PACKAGES = ["gen/abi_pkg.sv", "gen/k12s14/kernel_pkg.sv"]
STEP = "gen/k12s14/wb_step.sv"
FRAMES = 30  # cycles of the bounded proof; a planted bug crosses the book in the 24th
SECONDS = 900  # the most that one question to abc may take


@dataclass
class Case:
    """A bench, and what must come of it."""

    name: str
    says: str
    top: str
    files: list[str]
    planted: list[str] = field(default_factory=list)  # macros, each of which must break it
    stands_in: bool = False  # planted bugs are in the twin, which then stands in the place of wb_step
    engine: str = "iprove"
    sequential: bool = False


def listed(name: str) -> list[str]:
    """The kernel's sources but for its packages, in the order of a file list."""
    return [line for line in (KERNEL / name).read_text().split() if line not in PACKAGES]


def datapath(name: str, says: str, planted: list[str]) -> Case:
    files = [f"gen/k12s14/wb_{name}.sv", f"formal/twin/{name}_twin.sv", f"formal/miter_{name}.sv"]
    return Case(f"miter-{name}", says, f"miter_{name}", files, planted)


CASES = [
    datapath("decode", "wb_decode = its hand-written twin, on every beat and all limits", ["PLANTED_DECODE"]),
    datapath("encode", "wb_encode = its hand-written twin, on every event", ["PLANTED_ENCODE"]),
    datapath(
        "step",
        "wb_step = its hand-written twin, in every state, on every command and every answer of the memories",
        ["PLANTED_THROUGH", "PLANTED_HEAD", "PLANTED_LOST", "PLANTED_CROSSED"],
    ),
    Case(
        "properties-step",
        "quantity is conserved, no trade through the limit, only the head of the best level trades: by induction over steps",
        "properties_step",
        [STEP, "formal/properties_step.sv"],
        ["PLANTED_THROUGH", "PLANTED_LOST", "PLANTED_CROSSED", "PLANTED_MAKER"],
        stands_in=True,
    ),
    Case(
        "never-crossed",
        f"the whole kernel at 3 ticks, 3 slots, 2 lots, under the host's contract: no crossed book at rest in {FRAMES} cycles from reset",
        "never_crossed",
        [*listed("rtl/kernel.f"), "formal/never_crossed.sv"],
        ["PLANTED_CROSSED"],
        stands_in=True,
        engine=f"scorr -c; bmc3 -F {FRAMES} -T {SECONDS}",
        sequential=True,
    ),
]


@contextmanager
def quiet(log: Path):
    """Yosys writes to the process's standard output: into a file, shown when it fails."""
    sys.stdout.flush()
    saved = [os.dup(1), os.dup(2)]
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            for descriptor in saved:
                os.close(descriptor)


def graph(case: Case, defines: list[str], out: Path) -> None:
    """The bench as an and-inverter graph in `out`."""
    log = out.with_suffix(".log")
    files = case.files
    if defines and case.stands_in:
        defines = ["TWIN_IS_STEP", *defines]
        files = ["formal/twin/step_twin.sv" if file == STEP else file for file in files]
    macros = " ".join(f"-D{define}" for define in defines)
    commands = [f"read_slang -Iformal -Iformal/twin {macros} --top {case.top} {' '.join(PACKAGES + files)}", f"prep -top {case.top} -flatten"]
    if case.sequential:
        commands += ["memory_map", "opt -fast"]
    commands += ["async2sync", "dffunmap", "chformal -lower", "techmap", "opt_clean", "setundef -anyseq", "aigmap", "opt_clean", f"write_aiger -zinit -symbols {out}"]
    try:
        with quiet(log):
            design = yosys.Design()
            for command in commands:
                yosys.run_pass(command, design)
    except BaseException:
        raise RuntimeError(f"{case.name}: yosys refuses it:\n" + "".join(log.read_text().splitlines(True)[-15:])) from None


def decide(case: Case, aig: Path) -> tuple[bool, str, dict[str, str]]:
    """Whether the assertions hold, abc's own words, and the inputs that break one."""
    trace = aig.with_suffix(".cex")
    script = f"read_aiger {aig}; print_stats; {case.engine}; write_cex -n {trace}"
    told = subprocess.run([ABC, "-c", script], capture_output=True, text=True, timeout=SECONDS).stdout
    size = re.search(r"and\s*=\s*(\d+)", told)
    size = f"{size[1]} gates" if size else ""
    if re.search(rf"^UNSATISFIABLE|^No output asserted in {FRAMES} frames", told, re.M):
        return True, size, {}
    if "SATISFIABLE" in told or "was asserted" in told:
        values = dict(re.findall(r"(\S+?)@\d+=(\d)", trace.read_text())) if trace.exists() else {}
        return False, size, values
    raise RuntimeError(f"{case.name}: abc does not say:\n{told}")


class Structs:
    """The packed structs of kernel_pkg, to read an input by its fields."""

    def __init__(self) -> None:
        text = (GEN / "kernel_pkg.sv").read_text()
        self.text = text
        self.structs = {m[2]: [f.strip() for f in m[1].split(";") if f.strip()] for m in re.finditer(r"typedef struct packed \{(.*?)\} (\w+);", text)}

    def width(self, kind: str, size: str | None) -> int:
        if kind == "logic":
            return int(size.strip(" []").split(":")[0]) + 1 if size else 1
        if kind in self.structs:
            one = sum(self.width(*self.field(f)[:2]) for f in self.structs[kind])
        else:
            vector = re.search(rf"typedef logic \[(\d+):0\] {kind};", self.text)
            one = int(vector[1]) + 1 if vector else 1
        return one * (int(size.strip(" []").split(":")[0]) + 1) if size else one

    @staticmethod
    def field(text: str) -> tuple[str, str | None, str]:
        kind, size, name = re.fullmatch(r"(\w+)( \[[^\]]*\])? (\w+)", text).groups()
        return kind, size, name

    def show(self, values: dict[str, str], port: str, kind: str) -> str:
        """The fields of a port that are not zero."""
        bits = [values.get(f"{port}[{i}]", "0") for i in range(self.width(kind, None))]
        found: list[str] = []

        def walk(kind: str, path: str, high: int) -> None:
            for text in self.structs[kind]:
                inner, size, name = self.field(text)
                if inner in self.structs:
                    count = int(size.strip(" []").split(":")[0]) + 1 if size else 1
                    for index in reversed(range(count)):
                        walk(inner, f"{path}.{name}" + (f"[{index}]" if size else ""), high)
                        high -= self.width(inner, None)
                    continue
                wide = self.width(inner, size)
                value = int("".join(bits[high - 1 - i] for i in range(wide)), 2)
                high -= wide
                if value:
                    found.append(f"{path}.{name}={value:x}")

        walk(kind, port, self.width(kind, None))
        return " ".join(found)


def explain(values: dict[str, str]) -> str:
    structs = Structs()
    lines = [structs.show(values, port, kind) for port, kind in [("st", "state_t"), ("cmd", "cmd_t"), ("rd", "rd_t")] if f"{port}[0]" in values]
    lines += [f"{name}={value}" for name, value in values.items() if "[" not in name]
    return "\n".join(f"    {line}" for line in lines if line)


@dataclass
class Answer:
    """What came of one question: the kernel itself, or a planted bug."""

    holds: bool
    size: str
    seconds: float
    values: dict[str, str]


def ask(question: tuple[int, list[str]]) -> Answer:
    """Decides one bench. Runs in a process of its own: yosys has one state for all."""
    number, defines = question
    case = CASES[number]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kernel-formal-") as scratch:
        aig = Path(scratch) / f"{case.name}.aig"
        graph(case, defines, aig)
        holds, size, values = decide(case, aig)
    return Answer(holds, size, time.monotonic() - started, values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"all, when none is named; known: {', '.join(c.name for c in CASES)}")
    parser.add_argument("--no-planted", action="store_true", help="leave out the planted bugs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="questions at a time; default: as many as there are cores")
    args = parser.parse_args()
    unknown = set(args.cases) - {case.name for case in CASES}
    if unknown:
        parser.error(f"unknown case {', '.join(sorted(unknown))}")
    if args.jobs < 1:
        parser.error(f"--jobs: found {args.jobs}, allowed 1 and more")
    os.chdir(KERNEL)
    questions = [
        (number, defines)
        for number, case in enumerate(CASES)
        if not args.cases or case.name in args.cases
        for defines in [[]] + [[bug] for bug in ([] if args.no_planted else case.planted)]
    ]
    wrong = 0
    started = time.monotonic()
    with ProcessPoolExecutor(args.jobs) as pool:
        for (number, defines), answer in zip(questions, pool.map(ask, questions)):
            if not defines:
                print(f"{CASES[number].name}: {CASES[number].says}", flush=True)
            label = f"planted {defines[0].removeprefix('PLANTED_').lower()}" if defines else "the kernel"
            verdict = "UNSAT: holds" if answer.holds else "SAT: broken"
            good = answer.holds == (not defines)
            print(f"  {label:<18} {verdict:<14} {answer.size:>14} {answer.seconds:7.1f} s{'' if good else '   <-- NOT AS IT MUST BE'}", flush=True)
            if not good:
                wrong += 1
                print(explain(answer.values))
    print(f"every proof holds, and every planted bug breaks its own ({time.monotonic() - started:.0f} s)" if not wrong else f"{wrong} not as it must be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
