//! Boots the virtual machine, is its device, and judges what it says.
//!
//! `host --guest PROGRAM --kernel DIRECTORY [--report FILE]`: the static `init`, a directory into which Debian's kernel package has been
//! unpacked, and where to write what was found. Exit code 0: every check passed; 1: one did not, or the machine did not end by itself.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use wirebook_vfio::cpio::Archive;
use wirebook_vfio::device;

/// How long the whole machine may take: some thirty times what it takes alone on two cores.
const DEADLINE: Duration = Duration::from_secs(300);

/// Modules of VFIO, in the order in which they need each other.
const MODULES: [&str; 6] = ["irqbypass", "vfio", "vfio_virqfd", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci"];

/// The kernel's command line. Its check of the timer at boot counts ticks while it spins, which a virtual machine that has to share its
/// processor fails by chance: it is told not to.
const COMMAND_LINE: &str =
    "console=ttyS0 quiet intel_iommu=on iommu=nopt panic=-1 mitigations=off tsc=reliable no_timer_check";

/// What the guest must say, in any order: a check that is not made is not passed.
const CHECKS: [&str; 14] = [
    "edu ids",
    "edu registers",
    "edu dma",
    "edu no fault yet",
    "edu quiet",
    "edu interrupt",
    "edu stray dma",
    "edu without bus mastering",
    "edu with bus mastering",
    "edu dma after unmapping",
    "ivshmem device",
    "ivshmem answers",
    "ivshmem takeover",
    "ivshmem rejoins",
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("host: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (mut guest, mut kernel, mut report) = (None, None, None);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().map(PathBuf::from).with_context(|| format!("{argument} needs a value"))?;
        match argument.as_str() {
            "--guest" => guest = Some(value),
            "--kernel" => kernel = Some(value),
            "--report" => report = Some(value),
            other => bail!("{other} is not known; allowed: --guest, --kernel, --report"),
        }
    }
    let (guest, kernel) = (guest.context("--guest is missing")?, kernel.context("--kernel is missing")?);
    let scratch = tempfile::tempdir()?;
    let image = scratch.path().join("initramfs");
    fs::write(&image, initramfs(&guest, &kernel)?)?;
    let vmlinuz = find(&kernel.join("boot"), |name| name.starts_with("vmlinuz-"))?;
    let socket = scratch.path().join("device");
    let listener = UnixListener::bind(&socket)?;

    let over = Arc::new(AtomicBool::new(false));
    let seen_over = Arc::clone(&over);
    let device = std::thread::spawn(move || device::run(&listener, &seen_over));
    let started = Instant::now();
    let machine = Machine(boot(&vmlinuz, &image, &socket)?);
    let said = listen(machine, started);
    over.store(true, Ordering::Relaxed);
    device.join().map_err(|_| anyhow::anyhow!("the device panicked"))?.context("the device")?;
    let (lines, elapsed) = said?;
    judge(&lines)?;
    println!("{} checks in {:.1} s", CHECKS.len(), elapsed.as_secs_f64());
    match report {
        Some(path) => Ok(fs::write(&path, page(&lines, &vmlinuz)?)?),
        None => Ok(()),
    }
}

/// The guest's program, the modules, and where to mount things.
fn initramfs(guest: &Path, kernel: &Path) -> Result<Vec<u8>> {
    let mut archive = Archive::new();
    for directory in ["dev", "proc", "sys", "modules"] {
        archive.directory(directory);
    }
    archive.file("init", &fs::read(guest).with_context(|| format!("read {}", guest.display()))?);
    let modules = kernel.join("lib/modules");
    let mut order = String::new();
    for module in MODULES {
        let file = format!("{module}.ko");
        // A later kernel has some of them in others.
        if let Ok(path) = find(&modules, |name| name == file) {
            archive.file(&format!("modules/{file}"), &fs::read(path)?);
            order.push_str(&file);
            order.push('\n');
        }
    }
    ensure!(order.contains("vfio-pci.ko"), "{} has no vfio-pci.ko", modules.display());
    archive.file("modules/order", order.as_bytes());
    Ok(archive.finish())
}

/// A file below a directory.
fn find(directory: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("read {}", next.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            } else if entry.file_name().to_str().is_some_and(&wanted) {
                return Ok(entry.path());
            }
        }
    }
    bail!("{} does not hold what is looked for", directory.display())
}

/// A machine that ends when this value does.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn boot(vmlinuz: &Path, image: &Path, socket: &Path) -> Result<Child> {
    let channel = format!("socket,path={},id=device", socket.display());
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-machine", "q35,kernel-irqchip=split", "-accel", "tcg", "-cpu", "max", "-m", "512", "-smp", "1"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"])
        .args(["-device", "intel-iommu,intremap=on,caching-mode=on"])
        .args(["-device", "edu"])
        .args(["-chardev", &channel, "-device", "ivshmem-doorbell,vectors=1,chardev=device"])
        .args(["-append", COMMAND_LINE])
        .arg("-kernel")
        .arg(vmlinuz)
        .arg("-initrd")
        .arg(image)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command.spawn().context("start qemu-system-x86_64 (Debian package qemu-system-x86)")
}

/// Everything on the console, until the machine has powered off; and how long that took.
fn listen(mut machine: Machine, started: Instant) -> Result<(Vec<String>, Duration)> {
    let console = machine.0.stdout.take().context("a console")?;
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(console).split(b'\n').map_while(Result::ok);
        lines
            .map(|line| String::from_utf8_lossy(&line).trim().to_owned())
            .inspect(|line| println!("  {line}"))
            .collect::<Vec<_>>()
    });
    let ended = loop {
        if let Some(status) = machine.0.try_wait()? {
            break Some(status);
        }
        if started.elapsed() > DEADLINE {
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    drop(machine);
    let lines = reader.join().map_err(|_| anyhow::anyhow!("the console's reader panicked"))?;
    match ended {
        Some(status) if status.success() => Ok((lines, started.elapsed())),
        Some(status) => bail!("QEMU ended with {status}"),
        None => bail!("the machine did not end within {DEADLINE:?}, and was stopped"),
    }
}

/// Every check once, and right; and nothing failed.
fn judge(lines: &[String]) -> Result<()> {
    if let Some(failed) = lines.iter().find(|line| line.starts_with("FAILED ")) {
        bail!("{failed}");
    }
    for check in CHECKS {
        let count = lines.iter().filter(|line| line.starts_with(&format!("ok {check}: "))).count();
        ensure!(count == 1, "the guest has passed `{check}` {count} times");
    }
    ensure!(lines.iter().any(|line| line == "done"), "the guest did not come to its end");
    Ok(())
}

/// What was found, as a page.
fn page(lines: &[String], vmlinuz: &Path) -> Result<String> {
    let qemu = Command::new("qemu-system-x86_64").arg("--version").output()?;
    let qemu = String::from_utf8_lossy(&qemu.stdout).lines().next().unwrap_or_default().to_owned();
    let kernel = vmlinuz.file_name().unwrap_or_default().to_string_lossy().replace("vmlinuz-", "Linux ");
    let mut page = format!(
        "# The driver over VFIO, in a virtual machine\n\nWritten by `tests/vfio/run`. {qemu}, without KVM; {kernel}. Times are of an \
         emulated processor.\n\n| check | found |\n|---|---|\n"
    );
    for line in lines {
        if let Some((name, detail)) = line.strip_prefix("ok ").and_then(|line| line.split_once(": ")) {
            page.push_str(&format!("| {name} | {} |\n", detail.replace('|', "\\|")));
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_is_missing_doubled_or_failed_fails_the_run() {
        let good: Vec<String> =
            CHECKS.iter().map(|check| format!("ok {check}: fine")).chain(["done".to_owned()]).collect();
        judge(&good).unwrap();
        for at in 0..good.len() {
            let mut missing = good.clone();
            missing.remove(at);
            assert!(judge(&missing).is_err());
            let mut failed = good.clone();
            failed[at] = format!("FAILED {}: no", failed[at]);
            assert!(judge(&failed).is_err());
        }
        let mut doubled = good.clone();
        doubled.push(good[0].clone());
        assert!(judge(&doubled).is_err());
    }
}
