//! The inbox takes batches in order, once, and only as many as it may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::super::testing::{Gateway, record};
use super::*;
use crate::batch::{MAX_BATCH_BYTES, MAX_RECORD_BYTES};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn batches_are_taken_in_order_and_once() {
    let mut gateway = Gateway::new();
    let inbox = Inbox::new(0);
    let (one, two, three) = (gateway.next_plain(), gateway.next_plain(), gateway.next_plain());
    assert_eq!(inbox.offer(two.clone()), Err(OfferError::Gap { expected: 1, offered: 2 }));
    assert_eq!(inbox.offer(one.clone()), Ok(Taken::Waits));
    assert_eq!(inbox.offer(one.clone()), Ok(Taken::Again));
    assert_eq!(inbox.offer(two.clone()), Ok(Taken::Waits));
    let other = gateway.seal(*two.header(), &record(7, 7));
    assert_eq!(inbox.offer(other), Ok(Taken::Differs(*two.digest())));
    inbox.settled(1);
    assert_eq!(inbox.offer(one), Ok(Taken::Past));
    assert_eq!(inbox.get(2), Some(two));
    // What another way was finalized is not waited for any more.
    inbox.settled(2);
    assert_eq!(inbox.offer(three), Ok(Taken::Waits));
}

#[test]
fn it_is_bounded_in_count_and_in_bytes() {
    let mut gateway = Gateway::new();
    let inbox = Inbox::new(0);
    for _ in 0..MAX_WAITING {
        assert_eq!(inbox.offer(gateway.next_plain()), Ok(Taken::Waits));
    }
    let more = gateway.next_plain();
    assert_eq!(inbox.offer(more.clone()), Err(OfferError::Full));
    inbox.settled(1);
    assert_eq!(inbox.offer(more), Ok(Taken::Waits));

    // The inbox looks at no claim but the number.
    let inbox = Inbox::new(0);
    let large = vec![0; MAX_RECORD_BYTES];
    let mut header = gateway.last;
    let mut bytes = 0;
    loop {
        header.number = bytes as u64 / MAX_BATCH_BYTES as u64 + 1;
        let batch = gateway.seal(header, &large);
        if bytes + MAX_BATCH_BYTES > MAX_WAITING_BYTES {
            assert_eq!(inbox.offer(batch), Err(OfferError::Full));
            break;
        }
        assert_eq!(inbox.offer(batch), Ok(Taken::Waits));
        bytes += MAX_BATCH_BYTES;
    }
    assert!(bytes > MAX_WAITING_BYTES / 2);
}

#[test]
fn who_waits_is_woken_and_who_left_is_forgotten() {
    let mut gateway = Gateway::new();
    let inbox = Inbox::new(0);
    let (gone, stays) = (Arc::new(Count::default()), Arc::new(Count::default()));
    for _ in 0..1000 {
        let waker = Waker::from(gone.clone());
        let mut wait = inbox.wait(1);
        assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    let waker = Waker::from(stays.clone());
    let mut wait = inbox.wait(1);
    assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(lock(&inbox.inner).wakers.len(), 1);
    let batch = gateway.next_plain();
    inbox.offer(batch.clone()).expect("taken");
    assert_eq!((gone.0.load(Ordering::Relaxed), stays.0.load(Ordering::Relaxed)), (0, 1));
    assert_eq!(Pin::new(&mut wait).poll(&mut Context::from_waker(&waker)), Poll::Ready(batch));
}
