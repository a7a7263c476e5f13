"""A SoupBinTCP client that nobody here wrote (PyPI nasdaq-protocols) logs in, trades through raw OUCH 5.0 payloads,
goes away without a word, and reconnects.

usage: nasdaq_client.py HOST PORT [USERNAME PASSWORD SYMBOL]
Exit 0: everything was as OUCH 5.0 and SoupBinTCP say. Exit 1: the first difference, in words.
"""
import asyncio
import struct
import sys

from nasdaq_protocols import soup

WAIT_SECONDS = 20


def enter(ref, side, qty, price, symbol, tif=b"0", clordid=b"FOREIGN"):
    """OUCH 5.0 Enter Order, 47 bytes, no appendage."""
    return struct.pack("!cIcI8sQccccc14sH", b"O", ref, side, qty, symbol.ljust(8), price,
                       tif, b"Y", b"P", b"N", b"N", clordid.ljust(14), 0)


def cancel(ref, qty=0):
    """OUCH 5.0 Cancel Order Request, 9 bytes."""
    return struct.pack("!cII", b"X", ref, qty)


def query():
    """OUCH 5.0 Account Query Request, 1 byte."""
    return b"Q"


class Stream:
    """The sequenced messages of one session, as the library hands them over."""

    def __init__(self):
        self.messages = []
        self.arrived = asyncio.Event()

    async def take(self, message):
        if isinstance(message, soup.SequencedData):
            self.messages.append(bytes(message.data))
            self.arrived.set()

    async def until(self, count):
        async def loop():
            while len(self.messages) < count:
                self.arrived.clear()
                await self.arrived.wait()
        try:
            await asyncio.wait_for(loop(), WAIT_SECONDS)
        except asyncio.TimeoutError:
            raise SystemExit(f"waited {WAIT_SECONDS} s for {count} messages, got {len(self.messages)}: {self.messages}")


def expect(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: found {found!r}, wanted {wanted!r}")


async def main(host, port, user, password, symbol):
    remote = (host, int(port))
    symbol = symbol.encode()

    try:
        await soup.connect_async(remote, user, "wrong", sequence=1)
        raise SystemExit("a wrong password was accepted")
    except ConnectionRefusedError as refused:
        if "NOT_AUTHORIZED" not in str(refused):
            raise SystemExit(f"a wrong password was refused with {refused}, wanted NOT_AUTHORIZED")

    stream = Stream()
    session = await soup.connect_async(remote, user, password, sequence=1, on_msg_coro=stream.take)
    session_name = session.session_id.session
    # Everything before this client's first message (a start-of-day event) is part of the session too.
    session.send_unseq_data(query())
    await stream.until(1)
    for _ in range(200):
        if stream.messages[-1][:1] == b"Q":
            break
        await asyncio.sleep(0.05)
    expect("answer to the account query", stream.messages[-1][:1], b"Q")
    expect("length of Q", len(stream.messages[-1]), 13)
    ref = struct.unpack("!I", stream.messages[-1][9:13])[0]
    base = len(stream.messages)

    session.send_unseq_data(enter(ref, b"S", 100, 1_500_000, symbol))
    session.send_unseq_data(enter(ref + 1, b"B", 40, 1_500_000, symbol, tif=b"3"))
    session.send_unseq_data(enter(ref + 1, b"B", 40, 1_500_000, symbol))  # not a new number: a silent ignore
    session.send_unseq_data(cancel(ref))
    session.send_unseq_data(cancel(ref))  # superfluous: silent
    session.send_unseq_data(enter(ref + 2, b"B", 0, 1_500_000, symbol))  # quantity 0: rejected
    await stream.until(base + 6)
    await asyncio.sleep(0.3)
    kinds = [m[:1] for m in stream.messages[base:]]
    expect("messages", kinds, [b"A", b"A", b"E", b"E", b"C", b"J"])
    accepted, _, first, second, cancelled, rejected = stream.messages[base:]
    expect("length of A", len(accepted), 64)
    ts, found_ref, side, qty, sym, price, tif = struct.unpack("!QIcI8sQc", accepted[1:35])
    expect("A fields", (found_ref, side, qty, sym, price, tif), (ref, b"S", 100, symbol.ljust(8), 1_500_000, b"0"))
    if not 0 <= ts < 86_400 * 10**9:
        raise SystemExit(f"timestamp {ts} is not nanoseconds since midnight")
    executed = {}
    for message in (first, second):
        expect("length of E", len(message), 36)
        _, found_ref, qty, price, flag, match, appendage = struct.unpack("!QIIQcQH", message[1:36])
        executed[found_ref] = (qty, price, flag, match, appendage)
    match = executed[ref][3]
    expect("executions", executed, {ref: (40, 1_500_000, b"A", match, 0), ref + 1: (40, 1_500_000, b"R", match, 0)})
    _, found_ref, qty, reason = struct.unpack("!QIIc", cancelled[1:18])
    expect("C", (found_ref, qty, reason), (ref, 60, b"U"))
    _, found_ref, reason, clordid = struct.unpack("!QIH14s", rejected[1:29])
    expect("J", (found_ref, reason, clordid), (ref + 2, 0x13, b"FOREIGN".ljust(14)))

    # The line drops without a logout; the client comes back for the last three, under the same session.
    seen = list(stream.messages)
    session._transport.abort()
    await asyncio.sleep(0.2)
    again = Stream()
    session = await soup.connect_async(remote, user, password, session_id=session_name, sequence=len(seen) - 2,
                                       on_msg_coro=again.take)
    await again.until(3)
    expect("replayed", again.messages[:3], seen[-3:])
    session.send_unseq_data(query())
    await again.until(4)
    expect("next reference", struct.unpack("!I", again.messages[3][9:13])[0], ref + 3)
    session.logout()
    await asyncio.sleep(0.2)

    try:
        await soup.connect_async(remote, user, password, session_id="NOSUCHSESS", sequence=1)
        raise SystemExit("a session of another name was joined")
    except ConnectionRefusedError as refused:
        if "SESSION_NOT_AVAILABLE" not in str(refused):
            raise SystemExit(f"another session was refused with {refused}, wanted SESSION_NOT_AVAILABLE")
    print(f"foreign client: {len(seen) + 1} sequenced messages, match number {match}, replayed 3: as specified")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    arguments += ["wire01", "wirebook", "AAPL"][len(arguments) - 2:] if len(arguments) < 5 else []
    asyncio.run(main(*arguments))
