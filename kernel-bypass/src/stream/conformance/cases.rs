//! One connection, or a few.

use super::*;
use std::io;

pub(crate) fn bytes_one_by_one<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, Size::default(), Size::default());
    let (client, server) = pair.connect();
    let bytes = pattern(1, 300);
    for byte in &bytes {
        assert_eq!(pair.client.port.send(client, &[*byte]), 1);
        pair.client.port.flush().unwrap();
        pair.server.poll();
    }
    pair.until("all bytes", |pair| pair.server.data(server).len() >= 300);
    assert_eq!(pair.server.data(server), bytes);
}

pub(crate) fn a_burst_is_one_call<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, Size::default(), Size::default());
    let (client, server) = pair.connect();
    let before = pair.client.port.stats();
    let bytes = pattern(2, 3000);
    for packet in bytes.chunks(50) {
        assert_eq!(pair.client.port.send(client, packet), packet.len());
    }
    assert_eq!(pair.client.port.unsent(client), 3000);
    assert_eq!(pair.client.port.stats(), before, "queueing makes no call");
    pair.client.port.flush().unwrap();
    let after = pair.client.port.stats();
    // None, where bytes do not go through the system.
    assert!(after.send_calls - before.send_calls <= 1, "{after:?}");
    assert_eq!(after.bytes_out - before.bytes_out, 3000);
    assert_eq!(pair.client.port.unsent(client), 0);
    pair.client.port.flush().unwrap();
    assert_eq!(pair.client.port.stats(), after, "nothing to flush, no call");
    pair.until("the burst", |pair| pair.server.data(server).len() >= 3000);
    assert_eq!(pair.server.data(server), bytes);
}

/// Queues as much of `bytes[*at..]` as there is room for.
fn feed<P: StreamPort>(side: &mut Side<P>, conn: ConnId, bytes: &[u8], at: &mut usize) {
    *at += side.port.send(conn, &bytes[*at..]);
}

pub(crate) fn both_ways_at_once<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, Size::default(), Size::default());
    let (client, server) = pair.connect();
    let (up, down) = (pattern(3, 500_000), pattern(4, 400_000));
    let (mut up_at, mut down_at) = (0, 0);
    pair.until("both", |pair| {
        feed(&mut pair.client, client, &up, &mut up_at);
        feed(&mut pair.server, server, &down, &mut down_at);
        pair.server.data(server).len() >= up.len() && pair.client.data(client).len() >= down.len()
    });
    assert!(pair.server.data(server) == up && pair.client.data(client) == down);
}

pub(crate) fn a_reset_is_told<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, Size::default(), Size::default());
    let (other, _) = pair.connect();
    let (client, server) = pair.connect();
    pair.client.port.send(client, b"last words");
    pair.until("the words", |pair| pair.server.data(server) == b"last words");
    pair.client.port.abort(client);
    pair.until("the reset", |pair| pair.server.closed(server).is_some());
    assert_eq!(pair.server.closed(server), Some(CloseReason::Reset));
    assert_eq!(pair.client.closed(client), Some(CloseReason::Aborted));
    assert!(pair.client.closed(other).is_none(), "nobody else notices");
    assert_eq!((pair.server.port.connections(), pair.client.port.connections()), (1, 1));
    // The number is given again, to somebody else.
    let (_, next) = pair.connect();
    assert_eq!(next.index(), server.index());
    assert_ne!(next, server);
}

pub(crate) fn a_half_closed_stream_still_carries<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, Size::default(), Size::default());
    let (client, server) = pair.connect();
    let (ask, answer) = (pattern(5, 10_000), pattern(6, 200_000));
    assert_eq!(pair.client.port.send(client, &ask), ask.len());
    pair.client.port.shutdown_write(client);
    assert!(!pair.client.port.is_open(client));
    assert_eq!(pair.client.port.send(client, b"more"), 0, "nothing after the end");
    let ended = Event::PeerClosed { conn: server };
    pair.until("the end", |pair| pair.server.count(ended) == 1);
    assert_eq!(pair.server.data(server), ask, "everything before the end");
    let mut at = 0;
    pair.until("the answer", |pair| {
        feed(&mut pair.server, server, &answer, &mut at);
        pair.client.data(client).len() >= answer.len()
    });
    assert!(pair.client.data(client) == answer);
    pair.server.port.close(server);
    let over = Event::PeerClosed { conn: client };
    pair.until("the other end", |pair| pair.client.count(over) == 1);
    pair.client.port.close(client);
    pair.until("both over", |pair| pair.client.closed(client).is_some() && pair.server.closed(server).is_some());
    assert_eq!(pair.client.closed(client), Some(CloseReason::Local));
    assert_eq!(pair.server.closed(server), Some(CloseReason::Local));
    assert_eq!(pair.server.count(ended), 1, "an end is told once");
}

pub(crate) fn closing_sends_what_is_queued<P: StreamPort>(make: fn(Size) -> P) {
    let size = Size { send: 1 << 20, ..Size::default() };
    let mut pair = Pair::new(make, size, Size::default());
    let (client, server) = pair.connect();
    // Unread bytes at the closing side must not turn the close into a reset that destroys what is on its way.
    pair.server.held.push(server);
    pair.client.port.send(client, &pattern(7, 2000));
    pair.until("unread bytes", |pair| pair.server.port.received(server).len() == 2000);
    let bytes = pattern(8, 1 << 20);
    assert_eq!(pair.server.port.send(server, &bytes), bytes.len());
    pair.server.port.close(server);
    assert!(!pair.server.port.is_open(server));
    assert_eq!(pair.server.port.send(server, b"more"), 0);
    let ended = Event::PeerClosed { conn: client };
    pair.until("all and the end", |pair| pair.client.count(ended) == 1);
    assert!(pair.client.data(client) == bytes);
    assert_eq!(pair.server.closed(server), None, "waits for the peer's end");
    pair.client.port.close(client);
    pair.until("over", |pair| pair.server.closed(server).is_some());
    assert_eq!(pair.server.closed(server), Some(CloseReason::Local));
}

pub(crate) fn closing_gives_up_on_a_peer_that_takes_nothing<P: StreamPort>(make: fn(Size) -> P) {
    let size = Size { send: 8 << 20, linger: Duration::from_millis(5), ..Size::default() };
    let mut pair = Pair::new(make, size, Size::default());
    let (client, server) = pair.connect();
    pair.client.held.push(client);
    let (quiet_client, quiet) = pair.connect();
    while pair.server.port.send(server, &pattern(9, 60_000)) == 60_000 {}
    pair.server.port.close(server);
    pair.server.port.close(quiet);
    pair.until("given up", |pair| pair.server.closed(server).is_some() && pair.server.closed(quiet).is_some());
    assert_eq!(pair.server.closed(server), Some(CloseReason::LingerExpired));
    // This one had all it was sent, and only did not answer.
    assert_eq!(pair.server.closed(quiet), Some(CloseReason::Local));
    let ended = Event::PeerClosed { conn: quiet_client };
    pair.until("told", |pair| pair.client.count(ended) == 1);
}

pub(crate) fn a_closed_stream_drops_what_still_comes<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, Size::default(), Size::default());
    let (client, server) = pair.connect();
    pair.server.port.close(server);
    let ended = Event::PeerClosed { conn: client };
    pair.until("the end", |pair| {
        pair.client.port.send(client, &[0; 1000]);
        pair.client.count(ended) == 1
    });
    pair.client.port.close(client);
    pair.until("over", |pair| pair.server.closed(server).is_some());
    assert_eq!(pair.server.closed(server), Some(CloseReason::Local));
    let after_close = |event: &&Event| matches!(event, Event::Readable { conn } if *conn == server);
    assert_eq!(pair.server.told.iter().filter(after_close).count(), 0);
    pair.until("the client too", |pair| pair.client.closed(client).is_some());
}

pub(crate) fn a_slow_reader_holds_back_only_itself<P: StreamPort>(make: fn(Size) -> P) {
    let small = Size { transport: Some(16 << 10), ..Size::default() };
    let mut pair = Pair::new(make, small, small);
    let (slow, to_slow) = pair.connect();
    let (quick, to_quick) = pair.connect();
    pair.client.held.push(slow);
    let bytes = pattern(10, 2_000_000);
    let mut at = 0;
    // Until nothing moves any more: its buffers are full, here and in the transport.
    let mut quiet = 0;
    pair.until("back-pressure", |pair| {
        let before = (at, pair.server.port.unsent(to_slow));
        feed(&mut pair.server, to_slow, &bytes, &mut at);
        let moved = before != (at, pair.server.port.unsent(to_slow));
        quiet = if moved { 0 } else { quiet + 1 };
        quiet > 50
    });
    assert!(at < bytes.len());
    let writable = Event::Writable { conn: to_slow };
    let told_before = pair.server.count(writable);
    for n in 0..100 {
        let ask = pattern(n, 100);
        pair.client.port.send(quick, &ask);
        pair.until("the other is served", |pair| pair.server.data(to_quick).len() == 100 * (n + 1));
        assert_eq!(pair.server.port.send(to_quick, &ask), 100);
    }
    pair.until("and answered", |pair| pair.client.data(quick).len() == 10_000);
    // The transport may have taken some more meanwhile; what was told is true.
    pair.server.poll();
    let roomy = pair.server.port.send_room(to_slow) >= small.send / 2;
    assert_eq!(pair.server.count(writable) > told_before, roomy, "told of room, and only of room");
    pair.client.release(slow);
    let mut told = 0;
    pair.until("all of it", |pair| {
        // Only when told of room.
        if pair.server.count(writable) > told {
            told = pair.server.count(writable);
            assert!(pair.server.port.send_room(to_slow) >= small.send / 2);
            feed(&mut pair.server, to_slow, &bytes, &mut at);
        }
        pair.client.data(slow).len() >= bytes.len()
    });
    assert!(pair.client.data(slow) == bytes);
    assert!(told > 5, "told of room each time it was asked for");
}

pub(crate) fn a_slow_consumer_holds_back_its_peer<P: StreamPort>(make: fn(Size) -> P) {
    let small = Size { transport: Some(16 << 10), ..Size::default() };
    let mut pair = Pair::new(make, small, small);
    let (client, server) = pair.connect();
    pair.server.held.push(server);
    let bytes = pattern(11, 1_000_000);
    let mut at = 0;
    let mut quiet = 0;
    pair.until("back-pressure", |pair| {
        let before = (at, pair.client.port.unsent(client));
        feed(&mut pair.client, client, &bytes, &mut at);
        let moved = before != (at, pair.client.port.unsent(client));
        quiet = if moved { 0 } else { quiet + 1 };
        quiet > 50
    });
    assert!(at < bytes.len());
    assert_eq!(pair.server.port.received(server), &bytes[..small.recv], "a full buffer, in order");
    let calls = pair.server.port.stats().recv_calls;
    for _ in 0..100 {
        pair.round();
    }
    assert_eq!(pair.server.port.stats().recv_calls, calls, "a full buffer is not received into");
    // Consumed a little at a time: what is left stays in front.
    for n in 0..50 {
        assert_eq!(pair.server.port.received(server)[..10], bytes[10 * n..10 * n + 10]);
        pair.server.port.consume(server, 10);
        pair.round();
    }
    pair.server.data.insert(server, bytes[..500].to_vec());
    pair.server.release(server);
    pair.until("all of it", |pair| {
        feed(&mut pair.client, client, &bytes, &mut at);
        pair.server.data(server).len() >= bytes.len()
    });
    assert!(pair.server.data(server) == bytes);
}

pub(crate) fn all_or_nothing<P: StreamPort>(make: fn(Size) -> P) {
    let size = Size { send: 1000, ..Size::default() };
    let mut pair = Pair::new(make, size, Size::default());
    let (client, server) = pair.connect();
    let packet = pattern(12, 300);
    for _ in 0..3 {
        assert!(pair.server.port.send_all(server, &packet));
    }
    assert!(!pair.server.port.send_all(server, &packet));
    assert_eq!(pair.server.port.unsent(server), 900, "no part of it");
    let writable = Event::Writable { conn: server };
    pair.until("room", |pair| pair.server.count(writable) == 1);
    assert!(pair.server.port.send_all(server, &packet));
    pair.until("four packets", |pair| pair.client.data(client).len() == 1200);
    assert!(pair.client.data(client).chunks(300).all(|chunk| chunk == packet));
    for _ in 0..20 {
        pair.round();
    }
    assert_eq!(pair.server.count(writable), 1, "told once for each time it was asked for");
    // Asked for although there is room: told by the next poll.
    pair.server.port.want_room(server);
    pair.server.poll();
    assert_eq!(pair.server.count(writable), 2);
}

pub(crate) fn rearming_tells_again<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, Size::default(), Size::default());
    let (client, server) = pair.connect();
    pair.server.held.push(server);
    pair.client.port.send(client, b"two messages");
    pair.until("bytes", |pair| pair.server.port.received(server).len() == 12);
    let readable = Event::Readable { conn: server };
    for _ in 0..20 {
        pair.round();
    }
    let before = pair.server.count(readable);
    for n in 1..=3 {
        pair.server.port.rearm(server);
        // Does not sleep: there is something to do.
        pair.server.port.wait(Duration::from_secs(3600)).unwrap();
        pair.server.poll();
        assert_eq!(pair.server.count(readable), before + n);
    }
    pair.server.poll();
    assert_eq!(pair.server.count(readable), before + 3, "once each time");
}

pub(crate) fn stale_ids_are_harmless<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, Size::default(), Size::default());
    let (client, server) = pair.connect();
    pair.client.held.push(client);
    pair.server.port.send(server, b"tail");
    pair.until("bytes", |pair| pair.client.port.received(client) == b"tail");
    pair.client.port.abort(client);
    pair.client.port.abort(client);
    pair.client.poll();
    assert_eq!(pair.client.closed(client), Some(CloseReason::Aborted));
    assert_eq!(pair.client.port.received(client), b"tail", "until the next poll");
    pair.client.poll();
    let (next, next_server) = pair.connect();
    assert_eq!(next.index(), client.index());
    let port = &mut pair.client.port;
    assert!(port.received(client).is_empty());
    assert_eq!(port.send(client, b"lost"), 0);
    assert!(!port.send_all(client, b"lost"));
    assert_eq!((port.send_room(client), port.unsent(client)), (0, 0));
    assert!(port.peer_addr(client).is_none() && !port.is_open(client));
    port.consume(client, 5);
    port.rearm(client);
    port.want_room(client);
    port.shutdown_write(client);
    port.close(client);
    port.abort(client);
    assert!(port.is_open(next), "the number's next owner does not notice");
    port.send(next, b"here");
    pair.until("the next one", |pair| pair.server.data(next_server) == b"here");
    let strange = ConnId { slot: u32::MAX, generation: 0 };
    pair.client.port.close(strange);
    assert!(pair.client.port.received(strange).is_empty());
}

pub(crate) fn a_refused_connection_is_told<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, Size::default(), Size::default());
    pair.server.port.unlisten(pair.listener);
    match pair.client.port.connect(pair.addr) {
        Ok(conn) => {
            pair.until("refused", |pair| pair.client.closed(conn).is_some());
            let refused = CloseReason::ConnectFailed(io::ErrorKind::ConnectionRefused);
            assert_eq!(pair.client.closed(conn), Some(refused));
        }
        Err(error) => assert!(error.to_string().contains("connect to 127.0.0.1"), "{error}"),
    }
    assert_eq!(pair.client.port.connections(), 0);
}

pub(crate) fn queued_before_it_is_up<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, Size::default(), Size::default());
    let client = pair.client.port.connect(pair.addr).unwrap();
    assert_eq!(pair.client.port.send(client, b"early"), 5);
    pair.client.port.shutdown_write(client);
    pair.until("early bytes and the end", |pair| {
        let server = pair.server.accepted().first().copied();
        server.is_some_and(|server| {
            pair.server.data(server) == b"early" && pair.server.count(Event::PeerClosed { conn: server }) == 1
        })
    });
    assert_eq!(pair.client.count(Event::Connected { conn: client }), 1);
}

pub(crate) fn closed_before_it_is_up<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, Size::default(), Size::default());
    let with_words = pair.client.port.connect(pair.addr).unwrap();
    pair.client.port.send(with_words, b"hello and goodbye");
    pair.client.port.close(with_words);
    pair.client.port.close(with_words);
    let without = pair.client.port.connect(pair.addr).unwrap();
    pair.client.port.close(without);
    pair.until("goodbye", |pair| {
        for server in pair.server.accepted() {
            if pair.server.count(Event::PeerClosed { conn: server }) == 1 {
                pair.server.port.close(server);
            }
        }
        pair.client.closed(with_words).is_some() && pair.client.closed(without).is_some()
    });
    assert_eq!(pair.client.closed(with_words), Some(CloseReason::Local));
    let heard = pair.server.data.values().any(|bytes| bytes == b"hello and goodbye");
    assert!(heard);
}
