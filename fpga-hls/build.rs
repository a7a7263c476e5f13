//! With the feature `rtl`: Verilates the kernel, once for each elaboration that the bridge offers, and compiles what that makes.
//!
//! The list of models stands here alone; `src/rtl/model.rs` reads it as generated code.

#[cfg(feature = "rtl")]
#[path = "kernel/cosim/build.rs"]
mod verilate;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "rtl")]
    verilate::main();
}
