//! QEMU's `edu` device (QEMU documentation, "EDU device"): registers, DMA between its buffer and memory, an interrupt on demand.

use super::*;

const ID: usize = 0x00;
const LIVENESS: usize = 0x04;
const INTERRUPT_STATUS: usize = 0x24;
const RAISE: usize = 0x60;
const ACKNOWLEDGE: usize = 0x64;
const DMA_SOURCE: usize = 0x80;
const DMA_DESTINATION: usize = 0x88;
const DMA_COUNT: usize = 0x90;
const DMA_COMMAND: usize = 0x98;

/// Where the device's own buffer lies, for its DMA.
const BUFFER: u64 = 0x4_0000;
/// `DMA_COMMAND`: start; busy while set.
const START: u32 = 1;
/// `DMA_COMMAND`: to memory.
const TO_MEMORY: u32 = 2;

/// How far beyond the map the stray DMA goes. The device keeps addresses below 256 MiB, and cuts off what is above.
const STRAY: u64 = 1 << 24;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(5);
const WORDS: usize = 32;

/// Moves bytes, and waits until the device says that it is done.
fn dma(bar: &VfioBar, from: u64, to: u64, bytes: u64, command: u32) -> Result<()> {
    bar.write64(DMA_SOURCE, from);
    bar.write64(DMA_DESTINATION, to);
    bar.write64(DMA_COUNT, bytes);
    bar.write32(DMA_COMMAND, START | command);
    let started = Instant::now();
    while bar.read32(DMA_COMMAND) & START != 0 {
        ensure!(started.elapsed() < PATIENCE, "the DMA does not end");
    }
    Ok(())
}

fn pattern(word: usize) -> u64 {
    (word as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn words(memory: &VfioDma) -> Vec<u64> {
    (0..WORDS).map(|word| memory.load(word, Ordering::Acquire)).collect()
}

pub fn exercise(function: &Vfio) -> Result<()> {
    let ids = function.ids()?;
    check("edu ids", (ids.vendor, ids.device) == (0x1234, 0x11e8), ids);
    function.set_bus_master(true)?;
    let bar = function.bar(0)?;
    let (id, live) = (bar.read32(ID), {
        bar.write32(LIVENESS, 0x1234_5678);
        bar.read32(LIVENESS)
    });
    check("edu registers", id & 0xff == 0xed && live == !0x1234_5678, format!("id {id:#010x}, inverted {live:#010x}"));
    let started = Instant::now();
    let reads = 1_000;
    for _ in 0..reads {
        std::hint::black_box(bar.read32(ID));
    }
    println!("a register read takes {:?}", started.elapsed() / reads);

    let (from, to) = (function.dma(4096)?, function.dma(4096)?);
    (0..WORDS).for_each(|word| from.store(word, pattern(word), Ordering::Release));
    let bytes = WORDS as u64 * 8;
    dma(&bar, from.address(), BUFFER, bytes, 0)?;
    dma(&bar, BUFFER, to.address(), bytes, TO_MEMORY)?;
    check("edu dma", words(&to) == words(&from), format!("{bytes} bytes to the device and back"));
    check("edu no fault yet", faults()?.is_empty(), "the IOMMU let it pass");

    interrupt(function, &bar)?;
    stray(function, &bar, to)
}

fn interrupt(function: &Vfio, bar: &VfioBar) -> Result<()> {
    let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK)?;
    let kind = function.interrupts(&[event.as_raw_fd()])?;
    let mut event = fs::File::from(event);
    let mut count = [0; 8];
    check("edu quiet", event.read(&mut count).is_err(), "no interrupt before it is raised");
    bar.write32(RAISE, 1);
    let started = Instant::now();
    let came = loop {
        if event.read(&mut count).is_ok() {
            break Some(started.elapsed());
        }
        if started.elapsed() > PATIENCE {
            break None;
        }
    };
    let status = bar.read32(INTERRUPT_STATUS);
    bar.write32(ACKNOWLEDGE, status);
    let right = came.is_some() && u64::from_ne_bytes(count) == 1 && status == 1;
    check("edu interrupt", right, format!("{kind:?} after {came:?}, status {status}"));
    Ok(())
}

/// DMA to where nothing is mapped, and to what was: neither may change memory, and both must be logged as faults.
fn stray(function: &Vfio, bar: &VfioBar, memory: VfioDma) -> Result<()> {
    let (address, bytes) = (memory.address(), WORDS as u64 * 8);
    // The buffer holds other bytes than the memory by now, so that a write would be seen.
    (0..WORDS).for_each(|word| memory.store(word, !pattern(word), Ordering::Release));
    let before = words(&memory);
    dma(bar, BUFFER, address + STRAY, bytes, TO_MEMORY)?;
    let first = await_faults(1)?;
    check("edu stray dma", words(&memory) == before && first.len() == 1, first.join(" | "));
    function.set_bus_master(false)?;
    dma(bar, BUFFER, address, bytes, TO_MEMORY)?;
    check("edu without bus mastering", words(&memory) == before, "memory is as it was");
    function.set_bus_master(true)?;
    dma(bar, BUFFER, address, bytes, TO_MEMORY)?;
    check("edu with bus mastering", words(&memory) != before, "the same DMA inside of the map does change it");
    drop(memory);
    dma(bar, BUFFER, address, bytes, TO_MEMORY)?;
    let second = await_faults(2)?;
    check("edu dma after unmapping", second.len() == 2, second.last().map_or("no fault", String::as_str));
    Ok(())
}

/// The faults logged, once there are so many or it takes too long.
fn await_faults(count: usize) -> Result<Vec<String>> {
    let started = Instant::now();
    loop {
        let found = faults()?;
        if found.len() >= count || started.elapsed() > PATIENCE {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
