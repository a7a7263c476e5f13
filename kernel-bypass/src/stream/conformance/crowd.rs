//! Many connections on one loop, and the loop's sleep.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) fn too_many_are_turned_away<P: StreamPort>(make: fn(Size) -> P) {
    let four = Size { connections: 4, ..Size::default() };
    let mut pair = Pair::new(make, four, Size::default());
    let up: Vec<_> = (0..4).map(|_| pair.connect()).collect();
    let fifth = pair.client.port.connect(pair.addr).unwrap();
    pair.until("turned away", |pair| pair.client.closed(fifth).is_some());
    assert_eq!(pair.server.port.stats().refused, 1);
    assert_eq!(pair.server.port.stats().accepted, 4);
    // Those inside go on.
    for (n, &(client, server)) in up.iter().enumerate() {
        pair.client.port.send(client, &pattern(n, 10));
        pair.until("bytes", |pair| pair.server.data(server) == pattern(n, 10));
    }
    // One leaves, one comes.
    pair.client.port.abort(up[2].0);
    pair.until("room", |pair| pair.server.port.connections() == 3);
    pair.round();
    pair.connect();
    // And on the asking side.
    let addr = pair.addr;
    for _ in pair.server.port.connections()..4 {
        pair.server.port.connect(addr).unwrap();
    }
    assert_exhausted(&pair.server.port.connect(addr).unwrap_err());
}

/// A crowd that is connected: the client's ids and the server's, in the same order.
fn crowd<P: StreamPort>(pair: &mut Pair<P>, count: usize) -> Vec<(ConnId, ConnId)> {
    let clients: Vec<_> = (0..count)
        .map(|n| {
            let conn = pair.client.port.connect(pair.addr).unwrap();
            pair.client.port.send(conn, &(n as u32).to_le_bytes());
            pair.round();
            conn
        })
        .collect();
    pair.until("the crowd", |pair| pair.server.data.values().filter(|bytes| bytes.len() == 4).count() == count);
    let mut servers: Vec<Option<ConnId>> = vec![None; count];
    for (conn, bytes) in pair.server.data.drain() {
        let number = u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
        assert!(servers[number].replace(conn).is_none());
    }
    clients.into_iter().zip(servers).map(|(client, server)| (client, server.unwrap())).collect()
}

const CROWD: usize = 300;

fn large() -> Size {
    Size { connections: CROWD + 4, recv: 2048, send: 4096, ..Size::default() }
}

pub(crate) fn three_hundred_connections<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, large(), large());
    let crowd = crowd(&mut pair, CROWD);
    let mut indices: Vec<_> = crowd.iter().map(|(_, server)| server.index()).collect();
    indices.sort_unstable();
    assert!(indices.into_iter().eq(0..CROWD), "dense from 0");
    for round in 0..5 {
        for (n, &(client, _)) in crowd.iter().enumerate() {
            assert!(pair.client.port.send_all(client, &pattern(n * 7 + round, 60)));
        }
        // Each is answered with its own bytes.
        pair.until("asked", |pair| crowd.iter().all(|(_, server)| pair.server.data(*server).len() == 60 * (round + 1)));
        for (n, &(_, server)) in crowd.iter().enumerate() {
            let ask = &pair.server.data(server)[60 * round..];
            assert_eq!(ask, pattern(n * 7 + round, 60));
            let ask = ask.to_vec();
            assert!(pair.server.port.send_all(server, &ask));
        }
        pair.until("answered", |pair| {
            crowd.iter().all(|(client, _)| pair.client.data(*client).len() == 60 * (round + 1))
        });
    }
    for (n, &(client, _)) in crowd.iter().enumerate() {
        let expected: Vec<u8> = (0..5).flat_map(|round| pattern(n * 7 + round, 60)).collect();
        assert_eq!(pair.client.data(client), expected);
    }
}

/// Each says who it is, and is answered with that.
pub(crate) fn a_thousand_connections<P: StreamPort>(make: fn(Size) -> P) {
    const MANY: usize = 1000;
    let size = Size { connections: MANY, recv: 256, send: 256, ..Size::default() };
    let mut pair = Pair::new(make, size, size);
    let crowd = crowd(&mut pair, MANY);
    for (n, &(_, server)) in crowd.iter().enumerate() {
        assert!(pair.server.port.send_all(server, &(n as u32).to_le_bytes()));
    }
    pair.until("all are answered", |pair| crowd.iter().all(|(client, _)| pair.client.data(*client).len() == 4));
    for (n, &(client, _)) in crowd.iter().enumerate() {
        assert_eq!(pair.client.data(client), (n as u32).to_le_bytes());
    }
    assert_eq!((pair.server.port.connections(), pair.client.port.connections()), (MANY, MANY));
}

pub(crate) fn a_flood_does_not_starve_the_others<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, large(), large());
    let crowd = crowd(&mut pair, CROWD);
    let flooder = crowd[0];
    let flood = pattern(13, 1 << 20);
    let mut at = 0;
    for &(client, _) in &crowd[1..] {
        assert!(pair.client.port.send_all(client, &[7; 20]));
    }
    let mut served_by = None;
    let mut polls = 0;
    while pair.server.data(flooder.1).len() < flood.len() {
        polls += 1;
        assert!(polls < ROUNDS);
        at += pair.client.port.send(flooder.0, &flood[at..]);
        pair.client.port.flush().unwrap();
        pair.client.poll();
        let before = pair.server.data(flooder.1).len();
        pair.server.poll();
        assert!(pair.server.data(flooder.1).len() - before <= 2048, "at most a buffer a round");
        for (n, event) in pair.server.events.iter().enumerate() {
            let again = pair.server.events[n + 1..].contains(event);
            assert!(!again, "each is served once a round");
        }
        let served = crowd[1..].iter().all(|(_, server)| pair.server.data(*server).len() == 20);
        if served && served_by.is_none() {
            served_by = Some(before);
        }
    }
    assert!(pair.server.data(flooder.1) == flood);
    // The flood takes 512 rounds; all the others were served in the first few of them.
    assert!(served_by.unwrap() < flood.len() / 4, "{served_by:?}");
}

pub(crate) fn idle_peers_cost_nothing<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, large(), large());
    let crowd = crowd(&mut pair, CROWD);
    for _ in 0..10 {
        pair.round();
    }
    let (client, server) = crowd[CROWD / 2];
    let before = pair.server.port.stats();
    let mut polls = 0;
    for n in 1..=100 {
        pair.client.port.send(client, &[1; 10]);
        pair.until("served", |pair| {
            polls += 1;
            pair.server.data(server).len() == 10 * n
        });
    }
    let after = pair.server.port.stats();
    // A burst is received in one call, or in two when the first leaves it open whether there is more.
    assert!(after.recv_calls - before.recv_calls <= 200, "{before:?} {after:?}");
    assert!(after.ready_calls - before.ready_calls <= 2 * polls + 2, "{before:?} {after:?}");
    assert_eq!(after.bytes_in - before.bytes_in, 1000);
}

pub(crate) fn a_storm_of_connections_comes_and_goes<P: StreamPort>(make: fn(Size) -> P) {
    let size = Size { connections: 64, ..Size::default() };
    let mut pair = Pair::new(make, size, size);
    for storm in 0..10 {
        let clients: Vec<_> = (0..60).map(|_| pair.client.port.connect(pair.addr).unwrap()).collect();
        for (n, &client) in clients.iter().enumerate() {
            pair.client.port.send(client, &pattern(n, 30));
            // Some leave before they are up.
            if n % 7 == 3 {
                pair.client.port.abort(client);
            }
        }
        pair.until("served and gone", |pair| {
            let events = std::mem::take(&mut pair.server.events);
            for event in &events {
                if let Event::Readable { conn } = *event
                    && pair.server.data(conn).len() == 30
                {
                    pair.server.port.close(conn);
                }
            }
            pair.server.events = events;
            let events = std::mem::take(&mut pair.client.events);
            for event in &events {
                if let Event::PeerClosed { conn } = *event {
                    pair.client.port.close(conn);
                }
            }
            pair.client.events = events;
            let gone = clients.iter().all(|client| pair.client.closed(*client).is_some());
            gone && pair.server.port.connections() == 0
        });
        // Numbers told to be over are free from the next poll on.
        pair.client.poll();
        let stats = pair.server.port.stats();
        assert_eq!(stats.refused, 0, "storm {storm}");
        assert_eq!(stats.closed, stats.accepted, "storm {storm}");
    }
    assert!(pair.server.port.stats().accepted >= 510);
}

pub(crate) fn waking_is_never_missed<P: StreamPort>(make: fn(Size) -> P) {
    const ROUNDS: u64 = 2000;
    let mut side = Side::new(make(Size::default()));
    let waker = side.port.waker();
    let (asked, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let worker = {
        let (asked, done) = (asked.clone(), done.clone());
        std::thread::spawn(move || {
            for round in 1..=ROUNDS {
                while asked.load(Ordering::Acquire) < round {
                    std::thread::yield_now();
                }
                done.store(round, Ordering::Release);
                waker.wake();
            }
        })
    };
    let mut waits = 0;
    for round in 1..=ROUNDS {
        asked.store(round, Ordering::Release);
        while done.load(Ordering::Acquire) < round {
            side.poll();
            // A wake-up that is missed would be an hour.
            side.port.wait(Duration::from_secs(3600)).unwrap();
            waits += 1;
        }
    }
    worker.join().unwrap();
    // One for each round; as many again for wake-ups that came after the loop had seen the work by itself.
    assert!(waits <= 3 * ROUNDS, "{waits} waits: woken without cause");
    assert_eq!(side.told, []);
}

pub(crate) fn unlistened_accepts_no_more<P: StreamPort>(make: fn(Size) -> P) {
    let mut pair = Pair::new(make, Size::default(), Size::default());
    let (client, server) = pair.connect();
    let second = pair.server.port.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let second_addr = pair.server.port.local_addr(second).unwrap();
    pair.server.port.unlisten(pair.listener);
    assert!(pair.server.port.local_addr(pair.listener).is_none());
    pair.client.port.send(client, b"still here");
    pair.until("bytes", |pair| pair.server.data(server) == b"still here");
    pair.client.port.connect(second_addr).unwrap();
    pair.until("the second listener", |pair| pair.server.accepted().len() == 2);
    let by_second = |event: &Event| matches!(event, Event::Accepted { listener, .. } if *listener == second);
    assert!(pair.server.told.iter().any(by_second));
    let taken = pair.server.port.listen(second_addr).unwrap_err();
    assert!(taken.to_string().contains(&second_addr.to_string()), "{taken}");
}

pub(crate) fn random_traffic_arrives<P: StreamPort>(make: fn(Size) -> P) {
    for seed in 0..6 {
        let odd = Size {
            connections: 16,
            recv: 64 + 37 * seed,
            send: 64 + 101 * seed,
            transport: (seed % 2 == 0).then_some(8 << 10),
            ..Size::default()
        };
        let mut pair = Pair::new(make, odd, odd);
        let conns: Vec<_> = (0..12).map(|_| pair.connect()).collect();
        let bytes: Vec<_> = (0..12).map(|n| (pattern(n, 30_000), pattern(n + 50, 20_000))).collect();
        let mut at = [(0, 0); 12];
        let mut dice = pattern(seed + 99, 1 << 16).into_iter().cycle();
        let mut die = move |sides: usize| dice.next().unwrap() as usize % sides;
        pair.until("everything", |pair| {
            for (n, &(client, server)) in conns.iter().enumerate() {
                let (up, down) = &bytes[n];
                let until = (at[n].0 + die(200)).min(up.len());
                at[n].0 += pair.client.port.send(client, &up[at[n].0..until]);
                let until = (at[n].1 + die(200)).min(down.len());
                at[n].1 += pair.server.port.send(server, &down[at[n].1..until]);
                match die(20) {
                    0 => pair.server.held.push(server),
                    1..4 => pair.server.release(server),
                    4 => pair.client.held.push(client),
                    5..8 => pair.client.release(client),
                    8 => pair.server.port.rearm(server),
                    _ => {}
                }
            }
            conns.iter().zip(&bytes).all(|(&(client, server), (up, down))| {
                pair.server.data(server).len() == up.len() && pair.client.data(client).len() == down.len()
            })
        });
        for (&(client, server), (up, down)) in conns.iter().zip(&bytes) {
            assert!(pair.server.data(server) == up && pair.client.data(client) == down, "seed {seed}");
        }
    }
}

pub(crate) fn traffic_allocates_nothing<P: StreamPort>(make: fn(Size) -> P) {
    const CONNS: usize = 32;
    let size = Size { connections: CONNS, ..Size::default() };
    let mut pair = Pair::new(make, size, size);
    let crowd = crowd(&mut pair, CONNS);
    let Pair { server, client, .. } = &mut pair;
    let mut events = Vec::with_capacity(server.port.event_capacity());
    let mut answered = [0u32; CONNS];
    let before = allocations();
    for n in 0..ROUNDS as u32 {
        // Everybody asks; the server echoes; nobody asks again before he was answered.
        for (asker, _) in &crowd {
            if answered[asker.index()].is_multiple_of(2) {
                answered[asker.index()] += u32::from(client.port.send_all(*asker, &n.to_le_bytes()));
            }
        }
        client.port.flush().unwrap();
        server.port.poll(&mut events).unwrap();
        for &event in &events {
            let Event::Readable { conn } = event else {
                continue;
            };
            let ask: [u8; 4] = server.port.received(conn).try_into().unwrap();
            server.port.consume(conn, 4);
            assert!(server.port.send_all(conn, &ask));
        }
        server.port.flush().unwrap();
        client.port.poll(&mut events).unwrap();
        for &event in &events {
            let Event::Readable { conn } = event else {
                continue;
            };
            client.port.consume(conn, 4);
            answered[conn.index()] += 1;
        }
        if answered.iter().all(|&answered| answered > 100) {
            break;
        }
    }
    let after = allocations();
    assert!(answered.iter().all(|&answered| answered > 100), "{answered:?}");
    assert_eq!(after - before, 0, "allocations in steady traffic");
    // The counter counts.
    drop(std::hint::black_box(Box::new(before)));
    assert_eq!(allocations() - after, 1);
}
