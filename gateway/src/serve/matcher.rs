//! Who matches, as the configuration says: the software twin, or a device that it follows.
//!
//! A device is always shadowed: it is given the recovered book, compared event by event, and replaced by the twin when it fails. What a
//! restart recovers is what the records say, whoever matched.
//!
//! What a device can do is asked before the epoch is opened, and is what the epoch promises: the registry then refuses an instrument
//! that needs more. A board need not do all that the software twin does.

use std::path::PathBuf;
use std::sync::Arc;

use tracing::warn;
use wirebook_bypass::pci::PciFunction;
use wirebook_bypass::pci::bus::{Delivery, InProcess};
use wirebook_bypass::pci::vfio::Vfio;
use wirebook_matcher::abi::{Capabilities, Limits};
use wirebook_matcher::device::{self, Device, DeviceConfig, DeviceFault, Model, Monotonic};
use wirebook_matcher::shadow::Shadow;
use wirebook_matcher::{Queued, Software, Twin};

use super::assemble::StartError;
use crate::config::Matching;
use crate::pipeline::Status;

/// Where Linux shows PCI functions.
const FUNCTIONS: &str = "/sys/bus/pci/devices";

/// Nanoseconds in a microsecond.
const MICROSECOND: u64 = 1_000;

/// The model of a device, in this process, around the software twin.
pub(super) type Modelled = InProcess<Model<Queued<Software>>>;

/// A device, followed by the software twin.
pub(super) type Shadowed<F> = Shadow<Device<F, Monotonic>, Software, Monotonic>;

/// A model of a device, for drills and for those who have no board: the same driver, rings and registers.
pub(super) fn model(config: &Matching, twin: Software, status: Arc<Status>) -> Result<Shadowed<Modelled>, StartError> {
    let limits = twin.limits().clone();
    let make = move || Queued::<Software>::new(limits.clone());
    let function = InProcess::new(Model::new(make), Delivery::Whole);
    let shadow = shadowed(function.clone(), config, twin, status)?;
    if config.drill_after_events > 0 {
        warn!(events = config.drill_after_events, "matcher.drill_after_events: the device model will stall");
        function.with(|model, _| model.inject(DeviceFault::Stall, config.drill_after_events));
    }
    Ok(shadow)
}

/// A board, bound to vfio-pci.
pub(super) fn board(config: &Matching) -> Result<Vfio, StartError> {
    Vfio::open(&PathBuf::from(FUNCTIONS).join(&config.address)).map_err(refused)
}

/// What a venue of these sizes can promise over a device: what both the device and the twin that may have to take over can do.
pub(super) fn offers<F: PciFunction>(function: &F, limits: &Limits) -> Result<Capabilities, StartError> {
    let twin = Software::offers(limits).map_err(StartError::Matcher)?;
    let device = device::offers(function).map_err(refused)?;
    Ok(Capabilities(twin.0 & device.0))
}

fn refused(error: impl std::fmt::Display) -> StartError {
    StartError::Matcher(error.to_string())
}

/// A device that the twin follows, with the book that the twin holds.
pub(super) fn shadowed<F: PciFunction>(
    function: F,
    config: &Matching,
    twin: Software,
    status: Arc<Status>,
) -> Result<Shadowed<F>, StartError> {
    let late_ns = u64::from(config.late_us) * MICROSECOND;
    // The shadow's patience is what counts; the driver's own ends later, and only says more of why.
    let driver = DeviceConfig { answer_timeout_ns: 2 * late_ns, ..DeviceConfig::default() };
    let limits: Limits = twin.limits().clone();
    let device = Device::open(function, &limits, driver, Monotonic::new()).map_err(refused)?;
    let mut shadow = Shadow::new(device, twin, late_ns, Monotonic::new()).map_err(refused)?;
    shadow.on_takeover(move |takeover| {
        warn!("{takeover}");
        status.took_over();
    });
    Ok(shadow)
}
