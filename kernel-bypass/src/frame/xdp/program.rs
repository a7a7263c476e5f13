//! Which frames come to user space, as a BPF program that is assembled here: no compiler, no file, no library.
//!
//! The program runs in the kernel for every frame that the interface receives. What a rule asks for goes to the AF_XDP socket of
//! its queue; everything else, and everything for a queue without a socket, stays with the kernel. ARP is asked for by the address
//! that it looks for: TCP in user space answers for its own addresses, and hears the answers to its own questions.
//!
//! **Limits.** IPv4 without options, no VLAN tag, no fragments: others stay with the kernel.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

/// Rules, and addresses, that one filter may have.
pub const MAX_RULES: usize = 64;

/// Which transport protocol a rule is about; its number in IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 9293.
    Tcp = 6,
    /// RFC 768.
    Udp = 17,
}

/// Packets of one protocol, to one address, at some ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// To whom: a host or a multicast group.
    pub address: Ipv4Addr,
    /// Of which protocol.
    pub protocol: Protocol,
    /// To which ports.
    pub ports: RangeInclusive<u16>,
}

/// What comes to user space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// ARP about these addresses.
    pub arp: Vec<Ipv4Addr>,
    /// Packets that one of these describes.
    pub rules: Vec<Rule>,
}

impl Filter {
    /// Everything that TCP in user space at `address` needs: ARP, and all TCP to that address.
    pub fn tcp(address: Ipv4Addr) -> Self {
        let all = Rule { address, protocol: Protocol::Tcp, ports: 0..=u16::MAX };
        Self { arp: vec![address], rules: vec![all] }
    }

    /// Everything that datagrams in user space at `address` and `port` need.
    pub fn udp(address: Ipv4Addr, port: u16) -> Self {
        let one = Rule { address, protocol: Protocol::Udp, ports: port..=port };
        Self { arp: vec![address], rules: vec![one] }
    }

    /// What either asks for.
    pub fn and(mut self, other: Self) -> Self {
        self.arp.extend(other.arp);
        self.rules.extend(other.rules);
        self.arp.sort();
        self.arp.dedup();
        self
    }
}

/// One instruction, as the kernel wants it (`struct bpf_insn`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Insn {
    code: u8,
    /// Destination in the low half, source in the high half.
    registers: u8,
    offset: i16,
    immediate: i32,
}

// Instruction codes: the kernel's Documentation/bpf/standardization/instruction-set.rst.
const LOAD_8: u8 = 0x71;
const LOAD_16: u8 = 0x69;
const LOAD_32: u8 = 0x61;
const LOAD_IMMEDIATE_64: u8 = 0x18;
const ADD: u8 = 0x07;
const MOVE: u8 = 0xbf;
const MOVE_IMMEDIATE: u8 = 0xb7;
const TO_BIG_ENDIAN: u8 = 0xdc;
const JUMP: u8 = 0x05;
const JUMP_EQUAL: u8 = 0x15;
const JUMP_EQUAL_32: u8 = 0x16;
const JUMP_NOT_EQUAL: u8 = 0x55;
const JUMP_NOT_EQUAL_32: u8 = 0x56;
const JUMP_ANY_BIT: u8 = 0x45;
const JUMP_LESS: u8 = 0xa5;
const JUMP_GREATER: u8 = 0x25;
const JUMP_GREATER_REGISTER: u8 = 0x2d;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// The source register of a 64-bit load whose immediate is a map's descriptor.
const PSEUDO_MAP_FD: u8 = 1;
/// `bpf_redirect_map`.
const HELPER_REDIRECT_MAP: i32 = 51;
/// What the program answers for a frame that stays with the kernel.
pub(super) const XDP_PASS: i32 = 2;

// `struct xdp_md`.
const CONTEXT_DATA: i16 = 0;
const CONTEXT_DATA_END: i16 = 4;
const CONTEXT_RX_QUEUE: i16 = 16;

// Where fields lie in a frame.
const ETHERTYPE_AT: i16 = 12;
const IP_VERSION_AT: i16 = 14;
const IP_FRAGMENT_AT: i16 = 20;
const IP_PROTOCOL_AT: i16 = 23;
const IP_TO_AT: i16 = 30;
const PORT_TO_AT: i16 = 36;
const ARP_TARGET_AT: i16 = 38;
/// The shortest frame that holds every field: an ARP packet, or a UDP header.
const SHORTEST: i32 = 42;
/// Version 4 and a header of five words.
const IP_PLAIN: i32 = 0x45;
/// More fragments, or an offset. Whether it may be fragmented does not matter.
const FRAGMENT_BITS: i32 = 0x3fff;

/// What a jump waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Pass,
    Redirect,
    Arp,
    NextRule,
}

/// How a frame that is wanted ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// At the socket of its queue, by the map with this descriptor.
    Redirect(i32),
    /// With this answer: for tests, which have no socket.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests ask the kernel which frames a filter wants"))]
    Answer(i32),
}

/// Instructions, and jumps whose targets are not known yet.
struct Assembler {
    code: Vec<Insn>,
    open: Vec<(usize, Label)>,
}

impl Assembler {
    fn put(&mut self, code: u8, to: u8, from: u8, offset: i16, immediate: i32) {
        self.code.push(Insn { code, registers: to | from << 4, offset, immediate });
    }

    fn load(&mut self, code: u8, to: u8, base: u8, at: i16) {
        self.put(code, to, base, at, 0);
    }

    /// Loads a field of the frame, and turns it into a number.
    fn field(&mut self, code: u8, to: u8, at: i16) {
        self.load(code, to, FRAME, at);
        match code {
            LOAD_16 => self.put(TO_BIG_ENDIAN, to, 0, 0, 16),
            LOAD_32 => self.put(TO_BIG_ENDIAN, to, 0, 0, 32),
            _ => {}
        }
    }

    fn jump(&mut self, code: u8, register: u8, immediate: i32, label: Label) {
        self.open.push((self.code.len(), label));
        self.put(code, register, 0, 0, immediate);
    }

    /// Here is where jumps to `label` go.
    fn place(&mut self, label: Label) {
        let here = self.code.len();
        let code = &mut self.code;
        self.open.retain(|&(at, waits)| {
            if waits == label {
                code[at].offset = (here - at - 1) as i16;
            }
            waits != label
        });
    }
}

// Registers. 1 holds the context when the program begins, and with 2 and 3 the arguments of a call.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const FRAME: u8 = 2;
const END: u8 = 3;
const SCRATCH: u8 = 4;
const QUEUE: u8 = 5;
const ADDRESS: u8 = 6;
const PROTOCOL: u8 = 7;
const PORT: u8 = 8;

/// The program for a filter.
pub(super) fn assemble(filter: &Filter, verdict: Verdict) -> Vec<Insn> {
    let mut asm = Assembler { code: Vec::new(), open: Vec::new() };
    asm.load(LOAD_32, FRAME, CONTEXT, CONTEXT_DATA);
    asm.load(LOAD_32, END, CONTEXT, CONTEXT_DATA_END);
    asm.load(LOAD_32, QUEUE, CONTEXT, CONTEXT_RX_QUEUE);
    asm.put(MOVE, SCRATCH, FRAME, 0, 0);
    asm.put(ADD, SCRATCH, 0, 0, SHORTEST);
    asm.open.push((asm.code.len(), Label::Pass));
    asm.put(JUMP_GREATER_REGISTER, SCRATCH, END, 0, 0);
    asm.field(LOAD_16, SCRATCH, ETHERTYPE_AT);
    asm.jump(JUMP_EQUAL, SCRATCH, i32::from(crate::frame::ETHERTYPE_ARP), Label::Arp);
    asm.jump(JUMP_NOT_EQUAL, SCRATCH, i32::from(crate::frame::ETHERTYPE_IPV4), Label::Pass);
    asm.field(LOAD_8, SCRATCH, IP_VERSION_AT);
    asm.jump(JUMP_NOT_EQUAL, SCRATCH, IP_PLAIN, Label::Pass);
    asm.field(LOAD_16, SCRATCH, IP_FRAGMENT_AT);
    asm.jump(JUMP_ANY_BIT, SCRATCH, FRAGMENT_BITS, Label::Pass);
    asm.field(LOAD_32, ADDRESS, IP_TO_AT);
    asm.field(LOAD_8, PROTOCOL, IP_PROTOCOL_AT);
    asm.field(LOAD_16, PORT, PORT_TO_AT);
    for rule in &filter.rules {
        // 32-bit comparisons: a 64-bit one would extend the sign of an address above 127.
        asm.jump(JUMP_NOT_EQUAL_32, ADDRESS, u32::from(rule.address) as i32, Label::NextRule);
        asm.jump(JUMP_NOT_EQUAL, PROTOCOL, rule.protocol as i32, Label::NextRule);
        asm.jump(JUMP_LESS, PORT, i32::from(*rule.ports.start()), Label::NextRule);
        asm.jump(JUMP_GREATER, PORT, i32::from(*rule.ports.end()), Label::NextRule);
        asm.jump(JUMP, 0, 0, Label::Redirect);
        asm.place(Label::NextRule);
    }
    asm.jump(JUMP, 0, 0, Label::Pass);
    asm.place(Label::Arp);
    asm.field(LOAD_32, ADDRESS, ARP_TARGET_AT);
    for &address in &filter.arp {
        asm.jump(JUMP_EQUAL_32, ADDRESS, u32::from(address) as i32, Label::Redirect);
    }
    asm.place(Label::Pass);
    asm.put(MOVE_IMMEDIATE, ANSWER, 0, 0, XDP_PASS);
    asm.put(EXIT, 0, 0, 0, 0);
    if asm.open.iter().any(|&(_, label)| label == Label::Redirect) {
        asm.place(Label::Redirect);
        match verdict {
            Verdict::Redirect(map) => {
                asm.put(LOAD_IMMEDIATE_64, 1, PSEUDO_MAP_FD, 0, map);
                asm.put(0, 0, 0, 0, 0);
                asm.put(MOVE, 2, QUEUE, 0, 0);
                // The answer when the queue has no socket.
                asm.put(MOVE_IMMEDIATE, 3, 0, 0, XDP_PASS);
                asm.put(CALL, 0, 0, 0, HELPER_REDIRECT_MAP);
            }
            Verdict::Answer(answer) => asm.put(MOVE_IMMEDIATE, ANSWER, 0, 0, answer),
        }
        asm.put(EXIT, 0, 0, 0, 0);
    }
    debug_assert!(asm.open.is_empty());
    asm.code
}
