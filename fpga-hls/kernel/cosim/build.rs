//! Verilates the kernel and compiles it with the shim: one class and one set of C functions for each model.
//!
//! `WIREBOOK_VERILATOR` names another Verilator than the one on the path. Everything is made in cargo's output directory.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::{env, fs};

/// An elaboration of the kernel.
struct Model {
    /// Name in Rust; in lower case the name of its class and functions.
    name: &'static str,
    /// What it is for.
    doc: &'static str,
    /// File list, from `kernel/`.
    files: &'static str,
    ticks: u32,
    orders: u32,
    books: u32,
    /// Whether its state can be kept and loaded.
    savable: bool,
    /// A bug that is planted on purpose, in `kernel/formal/twin`.
    planted: Option<&'static str>,
}

/// The kernel as it is synthesized: the sizes of the issue that each figure is for.
const STANDARD: Model = Model {
    name: "Standard",
    doc: "The default elaboration: one book of 4,096 ticks, 16,384 orders.",
    files: "rtl/kernel.f",
    ticks: 4096,
    orders: 16_384,
    books: 1,
    savable: false,
    planted: None,
};

const MODELS: &[Model] = &[
    STANDARD,
    Model {
        name: "Many",
        doc: "Four books of 512 ticks that share 8,192 orders.",
        ticks: 512,
        orders: 8192,
        books: 4,
        ..STANDARD
    },
    Model {
        name: "Small",
        doc: "The same source with memories of 4 ticks and 4 orders: every state of it can be visited.",
        ticks: 4,
        orders: 4,
        savable: true,
        ..STANDARD
    },
    #[cfg(feature = "rtl-planted")]
    Model {
        name: "Planted",
        doc: "For tests: as `Small`, but a maker that is partly filled keeps a lot too many.",
        ticks: 64,
        orders: 64,
        savable: true,
        planted: Some("LOST"),
        ..STANDARD
    },
];

/// Debian's package, and the version that it is known to work with.
const PACKAGE: &str = "verilator (Debian 12 has 5.006)";

pub fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap());
    let out = PathBuf::from(env::var("OUT_DIR").unwrap());
    let kernel = root.join("kernel");
    println!("cargo:rerun-if-env-changed=WIREBOOK_VERILATOR");
    for watched in ["cosim", "rtl", "gen", "formal/twin"] {
        println!("cargo:rerun-if-changed={}", kernel.join(watched).display());
    }
    let verilator = Verilator::find();
    for model in MODELS {
        verilator.build(model, &kernel, &out);
    }
    verilator.runtime(&kernel);
    fs::write(out.join("models.rs"), rust(MODELS)).unwrap();
}

struct Verilator {
    program: String,
    include: PathBuf,
}

impl Verilator {
    fn find() -> Self {
        let program = env::var("WIREBOOK_VERILATOR").unwrap_or_else(|_| "verilator".into());
        let asked = Command::new(&program).args(["--getenv", "VERILATOR_ROOT"]).output();
        match asked {
            Ok(told) if told.status.success() => {
                let include = Path::new(String::from_utf8_lossy(&told.stdout).trim()).join("include");
                Self { program, include }
            }
            Ok(told) => {
                fail(&format!("`{program} --getenv VERILATOR_ROOT` failed: {}", String::from_utf8_lossy(&told.stderr)))
            }
            Err(error) => fail(&format!(
                "the feature `rtl` needs Verilator, and `{program}` cannot be run: {error}. Install the package {PACKAGE}, or build \
                 without the feature"
            )),
        }
    }

    /// SystemVerilog to C++ to a static library.
    fn build(&self, model: &Model, kernel: &Path, out: &Path) {
        let class = format!("V{}", model.name.to_lowercase());
        let dir = out.join(&class);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let mut verilate = Command::new(&self.program);
        verilate.current_dir(kernel).args([
            "--cc",
            "-O3",
            "--x-assign",
            "fast",
            "--x-initial",
            "fast",
            "--assert",
            "--trace",
        ]);
        verilate.args(["-Wno-fatal", "-Wno-lint", "-Wno-style", "--no-timing", "--top-module", "kernel_sim"]);
        verilate.args(["--prefix", &class, "-Mdir"]).arg(&dir);
        for (parameter, value) in [("TICKS", model.ticks), ("ORDERS", model.orders), ("BOOKS", model.books)] {
            verilate.arg(format!("-G{parameter}={value}"));
        }
        if model.savable {
            verilate.arg("--savable");
        }
        if let Some(bug) = model.planted {
            verilate.args(["-Iformal/twin".to_owned(), "-DTWIN_IS_STEP".to_owned(), format!("-DPLANTED_{bug}")]);
        }
        verilate.arg("cosim/trace.vlt");
        // A bug is planted in the hand-written twin of the datapath's step, which then stands in its place.
        let list = fs::read_to_string(kernel.join(model.files)).expect("the kernel has its file list");
        for file in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
            verilate.arg(if model.planted.is_some() && file.ends_with("/wb_step.sv") {
                "formal/twin/step_twin.sv"
            } else {
                file
            });
        }
        verilate.arg("cosim/kernel_sim.sv");
        let told = verilate.output().unwrap_or_else(|error| fail(&format!("{} cannot be run: {error}", self.program)));
        if !told.status.success() {
            fail(&format!("Verilator refuses model {}:\n{}", model.name, String::from_utf8_lossy(&told.stderr)));
        }
        let mut sources: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        sources.sort();
        sources.retain(|path| path.extension().is_some_and(|extension| extension == "cpp"));
        // What runs once or only with a waveform is large, and need not be fast.
        let is_slow = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            ["__Slow", "__Trace", "__Syms", "ConstPool"].iter().any(|part| name.contains(part))
        };
        let (slow, fast): (Vec<_>, Vec<_>) = sources.into_iter().partition(is_slow);
        let slow = self.compiler(0).include(&dir).files(slow).compile_intermediates();
        let mut library = self.compiler(3);
        library.include(&dir).define("MODEL", class.as_str()).define("BOOKS", model.books.to_string().as_str());
        library.define("SHIM(f)", format!("wirebook_{}_##f", model.name.to_lowercase()).as_str());
        if model.savable {
            library.define("SAVABLE", None);
        }
        library.file(kernel.join("cosim/shim.cpp")).files(fast).objects(slow);
        library.compile(&format!("wirebook_{}", model.name.to_lowercase()));
    }

    /// What every model calls.
    fn runtime(&self, kernel: &Path) {
        let mut library = self.compiler(3);
        library.define("VL_USER_STOP", None).file(kernel.join("cosim/runtime.cpp"));
        for source in ["verilated.cpp", "verilated_threads.cpp", "verilated_vcd_c.cpp", "verilated_save.cpp"] {
            library.file(self.include.join(source));
        }
        library.compile("wirebook_verilated");
    }

    fn compiler(&self, level: u32) -> cc::Build {
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").opt_level(level).debug(false).warnings(false).include(&self.include);
        build.include(self.include.join("vltstd")).define("VM_TRACE", "1").define("VM_TRACE_VCD", "1");
        build
    }
}

/// The models as Rust: an enum, its table, and the C functions of each.
fn rust(models: &[Model]) -> String {
    let mut text = String::from(
        "/// An elaboration of the kernel.\n#[derive(Clone, Copy, Debug, PartialEq, Eq)]\npub enum Model {\n",
    );
    for Model { name, doc, .. } in models {
        writeln!(text, "    /// {doc}\n    {name},").unwrap();
    }
    text += "}\n\nimpl Model {\n    /// Every model.\n    pub const ALL: &[Self] = &[";
    for Model { name, .. } in models {
        write!(text, "Self::{name}, ").unwrap();
    }
    text += "];\n\n    /// Its memories: what limits may ask for.\n    pub const fn capacity(self) -> Capacity {\n        match self {\n";
    for Model { name, ticks, orders, books, .. } in models {
        writeln!(text, "            Self::{name} => Capacity {{ ticks: {ticks}, orders: {orders}, books: {books} }},")
            .unwrap();
    }
    text += "        }\n    }\n\n    pub(super) const fn calls(self) -> &'static Calls {\n        match self {\n";
    for Model { name, .. } in models {
        writeln!(text, "            Self::{name} => &{}::CALLS,", name.to_lowercase()).unwrap();
    }
    text += "        }\n    }\n\n    /// Whether a bug is planted in it, for tests.\n    pub const fn is_planted(self) -> bool {\n        match self {\n";
    for Model { name, planted, .. } in models {
        writeln!(text, "            Self::{name} => {},", planted.is_some()).unwrap();
    }
    text += "        }\n    }\n}\n\n";
    for Model { name, savable, .. } in models {
        let kind = if *savable { "savable" } else { "plain" };
        let name = name.to_lowercase();
        let mut functions = vec![
            "new",
            "free",
            "gaps",
            "run",
            "cycle",
            "open",
            "cycles",
            "idle",
            "failed",
            "wave",
            "wave_flush",
            "memory",
            "stored",
            "flip",
        ];
        if *savable {
            functions.extend(["save", "load"]);
        }
        let functions: Vec<_> = functions.iter().map(|f| format!("{f} = \"wirebook_{name}_{f}\"")).collect();
        let functions = functions.join(", ");
        writeln!(text, "calls!({kind} {name}: {functions});").unwrap();
    }
    text
}

fn fail(what: &str) -> ! {
    for line in what.lines() {
        println!("cargo:warning={line}");
    }
    eprintln!("{what}");
    exit(1)
}
