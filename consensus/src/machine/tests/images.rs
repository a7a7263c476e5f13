//! Images: what is no image, and what lies.

use rkyv::util::AlignedVec;
use wirebook_matcher::{Reference, Software};

use super::random::World;
use crate::machine::{ImageError, Machine, MachineImage};

fn busy() -> Machine<Software> {
    let mut world = World::new(3, None).unwrap();
    (0..800).for_each(|_| world.step().unwrap());
    assert!(world.fast.books.live() > 5, "{} live", world.fast.books.live());
    world.fast
}

#[test]
fn an_image_reads_from_any_alignment_and_into_either_twin() {
    let machine = busy();
    let bytes = machine.image().to_bytes().unwrap();
    let mut shifted = AlignedVec::<16>::new();
    for shift in [0, 1, 8] {
        shifted.clear();
        shifted.extend_from_slice(&vec![0; shift]);
        shifted.extend_from_slice(&bytes);
        let image = MachineImage::from_bytes(&shifted[shift..]).unwrap();
        assert_eq!(image.last_seq(), machine.last_seq());
        assert_eq!(Machine::<Reference>::from_image(&image).unwrap().root(), machine.root());
    }
    assert!(MachineImage::access(&bytes).is_ok());
}

#[test]
fn an_empty_machine_has_an_image() {
    let empty = Machine::<Software>::new(4);
    let again = Machine::<Software>::from_image(&empty.image()).unwrap();
    assert_eq!(again.root(), empty.root());
    assert_ne!(again.root(), Machine::<Software>::new(5).root(), "the shard is part of it");
}

#[test]
fn damaged_bytes_never_panic_and_what_they_make_holds_together() {
    let machine = busy();
    let bytes = machine.image().to_bytes().unwrap();
    let mut random = wirebook_matcher::flow::Random::new(11);
    let (mut broken, mut refused) = (0, 0);
    for _ in 0..4000 {
        let mut damaged = AlignedVec::<16>::new();
        damaged.extend_from_slice(&bytes);
        let at = random.below(damaged.len() as u64) as usize;
        damaged[at] ^= 1 << random.below(8);
        match MachineImage::from_bytes(&damaged) {
            Err(_) => broken += 1,
            Ok(image) => match Machine::<Reference>::from_image(&image) {
                Err(_) => refused += 1,
                Ok(made) => made.books.ledger().check().unwrap(),
            },
        }
        let cut = random.below(bytes.len() as u64) as usize;
        drop(MachineImage::from_bytes(&bytes[..cut]).map(|image| Machine::<Reference>::from_image(&image)));
    }
    assert!(broken > 50 && refused > 500, "{broken} broken, {refused} refused");
}

#[test]
fn what_reserves_more_than_its_orders_is_refused() {
    let mut machine = busy();
    let account = machine.books.orders().next().unwrap().1.account;
    let asset = (0..3).find(|asset| machine.books.balance(account, *asset).available > 0).unwrap();
    machine.books.ledger.reserve(account, asset, 1);
    let error = Machine::<Software>::from_image(&machine.image()).unwrap_err();
    assert!(matches!(error, ImageError::Reserved { .. }), "{error}");
}
