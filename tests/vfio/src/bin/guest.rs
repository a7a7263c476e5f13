//! `init` of the virtual machine: binds the devices to vfio-pci, drives them, says what it found, and powers off.
//!
//! Each check is a line `ok NAME: DETAIL` or `FAILED NAME: DETAIL` on the console; the last is `done`.

use std::fs;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, mount};
use wirebook_bypass::pci::vfio::{Vfio, VfioBar, VfioDma};
use wirebook_bypass::pci::{DmaBuffer, Mmio, PciFunction};

#[path = "guest/edu.rs"]
mod edu;
#[path = "guest/ivshmem.rs"]
mod ivshmem;

/// Kernel modules, in the order in which they need each other: file names in `/modules`.
const MODULES: &str = "/modules/order";

fn main() -> ExitCode {
    if let Err(error) = run() {
        println!("FAILED guest: {error:#}");
    }
    println!("done");
    // An init that returned would be a panic of the kernel.
    rustix::fs::sync();
    let _ = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
    ExitCode::FAILURE
}

fn run() -> Result<()> {
    for (kind, target) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        fs::create_dir_all(target)?;
        mount(kind, target, kind, MountFlags::empty(), None).with_context(|| format!("mount {target}"))?;
    }
    for name in fs::read_to_string(MODULES)?.lines() {
        let file = fs::File::open(Path::new("/modules").join(name))?;
        rustix::system::finit_module(&file, c"", 0).with_context(|| format!("load {name}"))?;
    }
    let mut seen = 0;
    for entry in fs::read_dir("/sys/bus/pci/devices")? {
        let path = entry?.path();
        let number = |name: &str| -> Result<String> { Ok(fs::read_to_string(path.join(name))?.trim().to_owned()) };
        match (number("vendor")?.as_str(), number("device")?.as_str()) {
            ("0x1234", "0x11e8") => edu::exercise(&bind(&path)?)?,
            ("0x1af4", "0x1110") => ivshmem::exercise(bind(&path)?)?,
            _ => continue,
        }
        seen += 1;
    }
    ensure!(seen == 2, "{seen} of 2 devices are there");
    Ok(())
}

/// Says how a check ended.
fn check(name: &str, right: bool, detail: impl std::fmt::Display) {
    println!("{} {name}: {detail}", if right { "ok" } else { "FAILED" });
}

/// Gives a function to vfio-pci, and opens it.
fn bind(path: &Path) -> Result<Vfio> {
    let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
    let driver = path.join("driver");
    if driver.exists() {
        fs::write(driver.join("unbind"), &name)?;
    }
    fs::write(path.join("driver_override"), "vfio-pci")?;
    fs::write("/sys/bus/pci/drivers_probe", &name)?;
    let started = Instant::now();
    let function = Vfio::open(path)?;
    println!("{name} opened in {:?}", started.elapsed());
    Ok(function)
}

/// What the kernel has logged about faults of the IOMMU.
fn faults() -> Result<Vec<String>> {
    use std::os::unix::fs::OpenOptionsExt;
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let mut log = fs::OpenOptions::new().read(true).custom_flags(nonblocking).open("/dev/kmsg")?;
    let mut found = Vec::new();
    let mut line = [0; 8192];
    // One record a read; an error is the end, or a record overwritten meanwhile.
    while let Ok(length) = log.read(&mut line) {
        let text = String::from_utf8_lossy(&line[..length]);
        if text.contains("DMAR") && text.contains("fault addr") {
            found.push(text.split_once(';').map_or_else(|| text.to_string(), |(_, text)| text.trim().to_owned()));
        }
    }
    Ok(found)
}
