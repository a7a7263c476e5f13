//! Upsets of the kernel's memories: a stored bit flips, as a particle flips it.

use super::Rtl;
use crate::device::Upset;

impl Upset for Rtl {
    /// Flips a bit of one of the kernel's memories: `choice` modulo their number says which. Its word is one that holds anything but zeros, as
    /// most of a large memory is empty, and a bit that flips there meets nobody. A memory of zeros is passed over for the next.
    fn upset(&mut self, choice: u64) -> Option<String> {
        let rams = self.rams().to_vec();
        let count = rams.len() as u64;
        let (first, choice) = ((choice % count) as usize, choice / count);
        (0..rams.len()).map(|next| (first + next) % rams.len()).find_map(|at| {
            let ram = &rams[at];
            let stored: Vec<u32> = (0..ram.words).filter(|address| self.is_stored(at, *address)).collect();
            let address = *stored.get((choice % stored.len().max(1) as u64) as usize)?;
            let bit = (choice / u64::from(ram.words) % u64::from(ram.bits)) as u32;
            self.flip_bit(at, address, bit);
            Some(format!("{} word {address} bit {bit}", ram.name))
        })
    }
}
