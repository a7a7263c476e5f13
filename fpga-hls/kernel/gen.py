"""Makes kernel/gen from kernel/dslx: the datapath as SystemVerilog, and the package of its types.

    gen.py            writes kernel/gen
    gen.py --check    makes it in memory, compares, and exits 1 on any difference

Run by gen.sh, which sees to the pinned tools. The constants (gen/abi.x, gen/abi_pkg.sv) are made by cargo from src/abi; here
they are read. Limits: what types.x may use is what `package` below understands: numbers, uN, arrays, structs and enums.
"""

import pathlib
import re
import sys
import tempfile

import xls

HERE = pathlib.Path(__file__).resolve().parent
HEAD = "// Made by kernel/gen.py from kernel/dslx. Not to be edited.\n"
# Directory, bits of a tick, of a slot, of a tick within its group.
VARIANTS = [("k12s14", 12, 14, 6)]
FUNCTIONS = ["decode", "step", "encode"]


def config(text, kw, sw, lw):
    for name, value in (("KW", kw), ("SW", sw), ("LW", lw)):
        text, changed = re.subn(rf"(pub const {name} = u32:)\d+;", rf"\g<1>{value};", text)
        assert changed == 1, name
    return text


def module(search, name):
    """One DSLX function as a SystemVerilog module of the name wb_<function>."""
    text = (HERE / "dslx" / f"{name}.x").read_text()
    ir = xls.convert_dslx_to_ir(text, f"{name}.x", name, additional_search_paths=search)
    top = xls.mangle_dslx_name(name, name)
    package = xls.parse_ir_package(xls.optimize_ir(ir, top), f"{name}.ir")
    package.set_top(top)
    made = package.schedule_and_codegen(
        generator="combinational",
        module_name=f"wb_{name}",
        use_system_verilog=True,
        array_index_bounds_checking=False,
        add_invariant_assertions=False,
    )
    # A file is to elaborate whatever `default_nettype` the user's flow has set.
    return f"{HEAD}`default_nettype none\n\n{made.get_verilog_text().strip()}\n\n`default_nettype wire\n"


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def package(types, kw, sw, lw):
    """The structs and enums of types.x as packed SystemVerilog: the first field in the top bits, an array's element 0 in the low."""
    numbers = {"config::KW": kw, "config::SW": sw, "config::LW": lw, "config::BW": 8}
    lines = [HEAD + "`default_nettype none\n", "package kernel_pkg;"]
    types = re.sub(r"//.*", "", types)

    def value(text):
        text = re.sub(r"u32:(\d+)", r"\1", text)
        for known, number in sorted(numbers.items(), key=lambda item: -len(item[0])):
            text = re.sub(rf"(?<![\w:]){re.escape(known)}(?!\w)", str(number), text)
        return int(eval(text, {"__builtins__": {}}))

    def kind(text):
        text = text.strip()
        array = re.fullmatch(r"(\w+)\[(\d+)\]", text)
        if array and not text.startswith("uN"):
            return f"{kind(array[1])} [{int(array[2]) - 1}:0]"
        if number := re.fullmatch(r"u(\d+)", text):
            bits = int(number[1])
            return "logic" if bits == 1 else f"logic [{bits - 1}:0]"
        if wide := re.fullmatch(r"uN\[(.+)\]", text):
            return f"logic [{value(wide[1]) - 1}:0]"
        return snake(text) + "_t"

    for name in ("KW", "SW", "LW", "BW"):
        lines.append(f"  localparam int {name} = {numbers['config::' + name]};")
    item = re.compile(
        r"pub const (?P<const>\w+) = (?P<value>[^;]+);|(?:pub )?type (?P<alias>\w+) = (?P<of>[^;]+);"
        r"|pub struct (?P<struct>\w+) \{(?P<fields>[^}]*)\}|pub enum (?P<enum>\w+) : u(?P<bits>\d+) \{(?P<values>[^}]*)\}"
    )
    for found in item.finditer(types):
        if found["const"]:
            numbers[found["const"]] = value(found["value"])
            lines.append(f"  localparam int {found['const']} = {numbers[found['const']]};")
        elif found["alias"]:
            lines.append(f"  typedef {kind(found['of'])} {snake(found['alias'])}_t;")
        elif found["struct"]:
            fields = [field.split(":", 1) for field in found["fields"].split(",") if field.strip()]
            body = "".join(f" {kind(of)} {name.strip()};" for name, of in fields)
            lines.append(f"  typedef struct packed {{{body} }} {snake(found['struct'])}_t;")
        else:
            lines.append(f"  typedef logic [{int(found['bits']) - 1}:0] {snake(found['enum'])}_t;")
            bits = int(found["bits"])
            for entry in found["values"].split(","):
                name, number = entry.split("=")
                full = f"{found['enum']}_{name.strip()}".upper()
                lines.append(f"  localparam {snake(found['enum'])}_t {full} = {bits}'h{int(number, 0):x};")
    return "\n".join(lines + ["endpackage", "", "`default_nettype wire", ""])


def make():
    """Every generated file: path below kernel/gen to text."""
    files = {}
    for directory, kw, sw, lw in VARIANTS:
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            for source in (HERE / "dslx").glob("*.x"):
                text = source.read_text()
                (scratch / source.name).write_text(config(text, kw, sw, lw) if source.name == "config.x" else text)
            (scratch / "abi.x").write_text((HERE / "gen" / "abi.x").read_text())
            files[f"{directory}/kernel_pkg.sv"] = package((HERE / "dslx" / "types.x").read_text(), kw, sw, lw)
            for name in FUNCTIONS:
                files[f"{directory}/wb_{name}.sv"] = module([str(scratch)], name)
    return files


def main():
    different = []
    for path, text in make().items():
        target = HERE / "gen" / path
        if "--check" in sys.argv[1:]:
            if not target.exists() or target.read_text() != text:
                different.append(path)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    for path in different:
        print(f"kernel/gen/{path} is not what kernel/dslx makes: run kernel/gen.sh", file=sys.stderr)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
