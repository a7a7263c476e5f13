//! Connections that live and die at random, against a model of what must arrive.

use super::*;

/// What a side of a connection did.
#[derive(Debug, Clone, Default)]
struct Half {
    sent: Vec<u8>,
    /// It sends nothing more, and what it sent must arrive if nobody resets.
    ended: bool,
    /// It closed: what comes to it now is dropped.
    closed: bool,
    aborted: bool,
}

/// One connection: its ids (the server's is known once it is accepted and has said who it is), and what both sides did.
struct Link {
    ids: [Option<ConnId>; 2],
    sides: [Half; 2],
}

const CLIENT: usize = 0;
const SERVER: usize = 1;
/// Every client starts by saying its number.
const NAME_BYTES: usize = 4;

impl<P: StreamPort> Pair<P> {
    fn side(&mut self, which: usize) -> &mut Side<P> {
        if which == CLIENT { &mut self.client } else { &mut self.server }
    }
}

impl Link {
    /// One random act of one side.
    fn act<P: StreamPort>(&mut self, which: usize, pair: &mut Pair<P>, die: &mut impl FnMut(usize) -> usize) {
        let (Some(id), me) = (self.ids[which], &mut self.sides[which]) else {
            return;
        };
        let side = pair.side(which);
        if me.closed || me.aborted || side.closed(id).is_some() {
            return;
        }
        match die(60) {
            0 => {
                side.port.abort(id);
                me.aborted = true;
            }
            1 | 2 => {
                side.port.close(id);
                me.closed = true;
                me.ended = true;
            }
            3 => {
                side.port.shutdown_write(id);
                me.ended = true;
            }
            4..8 => side.held.push(id),
            8..20 => side.release(id),
            20 => side.port.rearm(id),
            21 => side.port.want_room(id),
            _ => {
                let bytes = pattern(die(250), die(250));
                let accepted = side.port.send(id, &bytes);
                assert!(accepted == 0 || !me.ended, "nothing is accepted after the end");
                me.sent.extend_from_slice(&bytes[..accepted]);
            }
        }
    }

    /// What arrived is the front of what was sent; all of it, where the end arrived.
    fn check<P: StreamPort>(&self, pair: &mut Pair<P>) {
        for (from, to) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
            let Some(id) = self.ids[to] else {
                continue;
            };
            let sender = &self.sides[from];
            let side = pair.side(to);
            let arrived = side.data(id);
            assert!(sender.sent.starts_with(arrived), "not what was sent");
            if side.count(Event::PeerClosed { conn: id }) == 1 {
                assert!(sender.ended, "an end that nobody made");
                let here = arrived.len() + side.port.received(id).len();
                // A side that closes drops what it had not taken.
                if !self.sides[to].closed && side.closed(id).is_none() {
                    assert_eq!(here, sender.sent.len(), "everything before the end");
                }
            }
        }
        let aborted = self.sides.iter().any(|side| side.aborted);
        for (which, id) in self.ids.iter().enumerate() {
            let Some(reason) = id.and_then(|id| pair.side(which).closed(id)) else {
                continue;
            };
            match reason {
                CloseReason::Local => assert!(self.sides[which].closed, "nobody closed it"),
                CloseReason::Aborted => assert!(self.sides[which].aborted, "nobody aborted it"),
                // A peer that has closed answers what still comes with a reset.
                CloseReason::Reset => {
                    assert!(aborted || self.sides[1 - which].closed, "nobody before the end reset it");
                }
                reason => panic!("{reason:?} on loopback, before the end of its linger"),
            }
        }
    }
}

/// Whom the server's new connections belong to: their first bytes say it.
fn recognize<P: StreamPort>(pair: &Pair<P>, links: &mut [Link]) {
    for conn in pair.server.accepted() {
        let Some(name) = pair.server.data(conn).first_chunk::<NAME_BYTES>() else {
            continue;
        };
        let link = &mut links[u32::from_le_bytes(*name) as usize];
        assert!(link.ids[SERVER].is_none_or(|known| known == conn));
        link.ids[SERVER] = Some(conn);
    }
}

pub(crate) fn random_lives_end_as_they_should<P: StreamPort>(make: fn(Size) -> P) {
    const LIVES: usize = 120;
    const AT_ONCE: usize = 12;
    for seed in 0..3 {
        let size = Size {
            connections: 40,
            recv: 256 << seed,
            send: 512 << seed,
            transport: (seed == 1).then_some(8 << 10),
            ..Size::default()
        };
        let mut pair = Pair::new(make, size, size);
        let mut dice = pattern(seed + 7, 1 << 18).into_iter().cycle();
        let mut die = move |sides: usize| dice.next().unwrap() as usize % sides;
        let mut links: Vec<Link> = Vec::new();
        pair.until("all lives are lived", |pair| {
            recognize(pair, &mut links);
            let living = |link: &Link, pair: &Pair<P>| {
                let client_over = link.ids[CLIENT].is_some_and(|id| pair.client.closed(id).is_some());
                let server_over = link.ids[SERVER].is_some_and(|id| pair.server.closed(id).is_some());
                !client_over || (link.ids[SERVER].is_some() && !server_over)
            };
            let alive: Vec<_> = (0..links.len()).filter(|&n| living(&links[n], pair)).collect();
            if alive.len() < AT_ONCE && links.len() < LIVES {
                let id = pair.client.port.connect(pair.addr).unwrap();
                let name = (links.len() as u32).to_le_bytes();
                assert_eq!(pair.client.port.send(id, &name), NAME_BYTES);
                let mut link = Link { ids: [Some(id), None], sides: Default::default() };
                link.sides[CLIENT].sent.extend_from_slice(&name);
                links.push(link);
            }
            for &n in &alive {
                let which = die(2);
                links[n].act(which, pair, &mut die);
            }
            links.iter().for_each(|link| link.check(pair));
            // In the end everybody closes what is left.
            if links.len() == LIVES && alive.len() < AT_ONCE {
                for &n in &alive {
                    for which in [CLIENT, SERVER] {
                        if let Some(id) = links[n].ids[which] {
                            let me = &mut links[n].sides[which];
                            me.closed = true;
                            me.ended = true;
                            pair.side(which).port.close(id);
                        }
                    }
                }
                // Those whom nobody knows yet, because they were cut off early.
                for conn in pair.server.accepted() {
                    if pair.server.data(conn).len() < NAME_BYTES {
                        pair.server.port.close(conn);
                    }
                }
            }
            links.len() == LIVES && pair.client.port.connections() == 0 && pair.server.port.connections() == 0
        });
        let ends: Vec<_> = pair
            .server
            .told
            .iter()
            .chain(&pair.client.told)
            .filter_map(|event| match event {
                Event::Closed { reason, .. } => Some(*reason),
                _ => None,
            })
            .collect();
        for reason in [CloseReason::Local, CloseReason::Aborted, CloseReason::Reset] {
            let count = ends.iter().filter(|end| **end == reason).count();
            assert!(count >= 5, "{reason:?} came {count} times: by accident only");
        }
    }
}
