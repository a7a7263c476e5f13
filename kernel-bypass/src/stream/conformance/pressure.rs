//! Peers that are stuck, flood, or mean harm, buffers that run out, and packets cut anywhere.

use super::*;

/// Rounds in which a well-behaved peer is to be served.
const SERVED: usize = 400;
/// Rounds that a message may be on its way when a transport answers, acknowledges and retries at its own pace.
const UNDERWAY: usize = 8;

/// Packets of a length byte and as many bytes, cut anywhere, and several together: each is seen whole, once.
pub(crate) fn packets_cut_anywhere_are_whole<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, Size::default(), Size::default());
    let (client, server) = pair.connect();
    pair.server.held.push(server);
    let mut dice = pattern(40, 1 << 12).into_iter().cycle();
    let packets: Vec<Vec<u8>> = (0..400).map(|n| pattern(n, usize::from(dice.next().unwrap()))).collect();
    let bytes: Vec<u8> = packets.iter().flat_map(|packet| [&[packet.len() as u8], &packet[..]].concat()).collect();
    let (mut at, mut seen) = (0, 0);
    pair.until("every packet", |pair| {
        let cut = (at + 1 + usize::from(dice.next().unwrap()) * 3).min(bytes.len());
        at += pair.client.port.send(client, &bytes[at..cut]);
        // What is left is the front of a packet, and comes again in front of the rest of it.
        loop {
            let received = pair.server.port.received(server);
            let Some(&length) = received.first() else { break };
            let Some(packet) = received.get(1..1 + usize::from(length)) else { break };
            assert_eq!(packet, packets[seen], "packet {seen}");
            seen += 1;
            pair.server.port.consume(server, 1 + usize::from(length));
        }
        seen == packets.len()
    });
    assert!(pair.server.port.received(server).is_empty());
}

/// Everybody's buffers are full on both sides, and nobody consumes; then all of it goes on, and nothing is lost.
pub(crate) fn exhausted_buffers_recover<P: StreamPort>(make: fn(Size) -> P) {
    const CONNS: usize = 24;
    let small = Size { connections: CONNS, recv: 1024, send: 2048, transport: Some(8 << 10), ..Size::default() };
    let mut pair = Pair::new(make, small, small);
    let conns: Vec<_> = (0..CONNS).map(|_| pair.connect()).collect();
    pair.server.held.extend(conns.iter().map(|(_, server)| *server));
    let bytes: Vec<_> = (0..CONNS).map(|n| pattern(n, 200_000)).collect();
    let mut at = [0; CONNS];
    let mut quiet = 0;
    pair.until("nothing moves", |pair| {
        let before = at;
        for (n, &(client, _)) in conns.iter().enumerate() {
            at[n] += pair.client.port.send(client, &bytes[n][at[n]..]);
        }
        quiet = if before == at { quiet + 1 } else { 0 };
        quiet > 50
    });
    for (n, &(_, server)) in conns.iter().enumerate() {
        assert!(at[n] < bytes[n].len(), "{n} is held back");
        assert_eq!(pair.server.port.received(server), &bytes[n][..small.recv], "{n}: a full buffer, in order");
    }
    // One that goes on is not held up by those that do not.
    pair.server.release(conns[7].1);
    pair.until("one of them", |pair| {
        at[7] += pair.client.port.send(conns[7].0, &bytes[7][at[7]..]);
        pair.server.data(conns[7].1).len() == bytes[7].len()
    });
    for &(_, server) in &conns {
        pair.server.release(server);
    }
    pair.until("all of them", |pair| {
        for (n, &(client, _)) in conns.iter().enumerate() {
            at[n] += pair.client.port.send(client, &bytes[n][at[n]..]);
        }
        conns.iter().zip(&bytes).all(|((_, server), bytes)| pair.server.data(*server).len() == bytes.len())
    });
    assert!(conns.iter().zip(&bytes).all(|((_, server), bytes)| pair.server.data(*server) == bytes));
}

/// Beside a peer that reads nothing of much that it is sent, one that sends without end, and one that comes, says nonsense and goes,
/// a well-behaved one is served in every round: counted in rounds in which its messages came, not by time.
pub(crate) fn good_peers_are_served_beside_bad_ones<P: StreamPort>(make: fn(Size) -> P) {
    const MESSAGE: usize = 50;
    let size = Size { connections: 16, recv: 2048, ..Size::default() };
    let mut pair = Pair::new(make, size, Size { connections: 16, ..Size::default() });
    let (stuck, to_stuck) = pair.connect();
    let (flood, from_flood) = pair.connect();
    let (good, served) = pair.connect();
    pair.client.held.push(stuck);
    let (much, junk) = (pattern(50, 1 << 16), pattern(51, 700));
    let mut hostile = None;
    let mut rounds = 0;
    for round in 0..SERVED {
        pair.server.port.send(to_stuck, &much);
        pair.client.port.send(flood, &much);
        match hostile {
            None => hostile = pair.client.port.connect(pair.addr).ok(),
            Some(conn) => {
                pair.client.port.send(conn, &junk);
                match round % 7 {
                    1 => pair.client.port.abort(conn),
                    3 => pair.client.port.shutdown_write(conn),
                    5 => pair.client.port.close(conn),
                    _ => {}
                }
                if pair.client.closed(conn).is_some() {
                    hostile = None;
                }
            }
        }
        assert!(pair.client.port.send_all(good, &pattern(round, MESSAGE)), "the good one has room");
        pair.client.port.flush().unwrap();
        let before = pair.server.data(served).len();
        pair.server.poll();
        rounds += usize::from(pair.server.data(served).len() > before);
        pair.server.port.flush().unwrap();
        pair.client.poll();
        // Whoever was turned out is closed from here too, so that there is room for the next.
        let events = std::mem::take(&mut pair.server.events);
        for event in &events {
            if let Event::PeerClosed { conn } = *event {
                pair.server.port.close(conn);
            }
        }
        pair.server.events = events;
    }
    let (messages, flooded) = (pair.server.data(served).len() / MESSAGE, pair.server.data(from_flood).len());
    assert!(rounds + UNDERWAY >= SERVED, "messages served in {rounds} of {SERVED} rounds");
    assert!(messages + UNDERWAY >= SERVED, "{messages} messages served in {SERVED} rounds");
    assert!(flooded > SERVED, "the flood was one: {flooded} bytes");
    let expected: Vec<u8> = (0..messages).flat_map(|round| pattern(round, MESSAGE)).collect();
    assert!(pair.server.data(served).starts_with(&expected), "and with its own bytes");
}
