# SPDX-License-Identifier: BSD-3-Clause
"""run.py - Runs scripts of TCP segments against a stack

    run.py WORLD IFACE MAC ADDRESS NETWORK SCRIPT... -- COMMAND...

WORLD is kernel or engine.  Each script plays an address of its own in NETWORK (a
prefix of an address), at the other end of which is the stack under test with
ADDRESS; COMMAND runs app.py there.  Scripts run side by side.  Their lines:

    # text                  a comment
    not WORLD: reason       the script is not for that stack, or for "ipv6"
    app VERB ARGUMENT...    what the program does, app.py; app! VERB: it must fail
    < FLAGS [FIELD...]      send a segment
    > FLAGS [FIELD...]      the next segment is this one
    quiet SECONDS           no segment comes
    burst N:M               N to M segments with new data come, and none for 0.3 s after that
    probe [FIELD...]        a closed window is asked after: by the byte that follows,
                            or by none, before it
    new [STEP]              the next segments are a new connection of the same ports, its
                            numbers STEP further
    toobig MTU [SEQ]        ICMP: the last segment, or that with SEQ, was too big
    unreachable [SEQ]       ICMP: there is no way to the host

    FLAGS   of S F R A, in this order; P and U may be sent; expected, "A?" leaves A open
    seq N, ack N            relative to the initial numbers.  Sent: by default what
                            follows; expected: what is new, any ack
    data N                  bytes of the pattern, or so many are expected
    fits MTU                expected: as much data as such a packet has room for
    win N                   as it is in the header; expected: win>N, win=N
    mss N|link, wscale N, sackok, sack N:M
                            options; when expected, that they are there; no-ts: not there
    ts N, tsecr N           timestamps.  Sent: the peer's clock; with it goes the stack's
                            last one, or with "tsecr N" another.  Expected: the echo
    broken                  sent with a wrong checksum
    next                    expected: nothing with data comes before it
    within S                seconds to wait for it, 15 by default
    after S                 it came at least so long after the one expected before
    df                      expected: "don't fragment" is set, over IPv4

What is not said is not compared.  While another segment is expected, ACKs without
data and what was sent before are passed over: a loaded machine makes these.
"""
import ipaddress
import os
import queue
import struct
import subprocess
import sys
import threading
import time
import traceback

from app import pattern
from packet import Segment, Wire, checksum

OPTIONS = {"mss": (2, "!H"), "wscale": (3, "!B"), "sackok": (4, ""), "sack": (5, "!II"),
           "ts": (8, "!I")}
PORT = 7000  # of the first script, at both ends


class Failed(Exception):
    pass


class Script:
    def __init__(self, world, wire, path, me, port, address, command):
        self.world, self.wire, self.me, self.address = world, wire, me, address
        self.port = port
        self.name = os.path.basename(path)
        with open(path, encoding="ascii") as f:
            self.lines = f.read().splitlines()
        self.queue = wire.play(me)
        self.command = command
        self.trace, self.last, self.late = [], 0, None
        self.iss = 1000000
        self.new()

    def new(self, step=100000000):
        self.iss += step
        self.next = 0  # ours, relative
        self.irs = None
        self.seen = 0  # the stack's, relative: all before it came
        self.clock = 0  # the stack's last timestamp

    def run(self):
        for line in self.lines:
            if line.startswith((f"not {self.world}:", f"not ipv{self.me.version}:")):
                return "left out"
        self.app = subprocess.Popen(
            [*self.command, sys.executable, os.path.join(os.path.dirname(__file__), "app.py"),
             str(self.address), str(self.port), str(self.me), str(self.port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            for number, line in enumerate(self.lines, 1):
                self.step(line, number)
        finally:
            if self.irs is not None:
                self.transmit("R", {"seq": [self.next]})
            self.app.stdin.close()
            self.app.wait(20)
        return "ok"

    def step(self, line, number):
        word, *rest = line.split() or ["#"]
        if word.startswith("#") or word == "not":
            return
        self.trace.append(line)
        try:
            if word in ("app", "app!"):
                self.tell(rest, word == "app")
            elif word == "<":
                self.transmit(rest[0], self.fields(rest[1:]))
            elif word == ">":
                self.expect(rest[0], self.fields(rest[1:]))
            elif word == "probe":
                self.probe(self.fields(rest))
            elif word == "burst":
                self.burst(*map(int, rest[0].split(":")))
            elif word == "quiet":
                self.quiet(float(rest[0]))
            elif word == "new":
                self.new(*map(int, rest))
            elif word == "toobig":
                self.error((3, 4), (2, 0), *map(int, rest))
            elif word == "unreachable":
                self.error((3, 1), (1, 3), 0, *map(int, rest))
            else:
                raise Failed("no such word")
        except Failed as e:
            raise Failed(f"line {number}: {line}: {e}") from None

    def fields(self, words):
        f, it = {}, iter(words)
        for w in it:
            if w in ("sackok", "broken", "df", "next") or w.startswith("no-"):
                f[w] = []
            elif w.startswith("win>") or w.startswith("win="):
                f["win"] = [w[3], int(w[4:])]
            elif w in ("within", "after"):
                f[w] = float(next(it))
            elif w == "mss":
                n = next(it)
                f[w] = [self.room(1500) if n == "link" else int(n)]
            elif w == "fits":
                f["data"] = [self.room(int(next(it)))]
            elif w in OPTIONS or w in ("seq", "ack", "data", "win", "tsecr"):
                f[w] = [int(x) for x in next(it).split(":")]
            else:
                raise Failed(f"no field '{w}'")
        return f

    def room(self, mtu):
        return mtu - (60 if self.me.version == 6 else 40)

    def tell(self, words, good):
        self.app.stdin.write(" ".join(words) + "\n")
        self.app.stdin.flush()
        answer = self.app.stdout.readline().strip()
        if (answer == "ok") != good:
            raise Failed(answer or "the program ended")

    def transmit(self, flags, f):
        seq = f.get("seq", [self.next])[0]
        ack = f.get("ack", [self.seen])[0] + (self.irs or 0) if "A" in flags else 0
        data = pattern(seq - 1, f.get("data", [0])[0])
        options = {}
        for name, (kind, form) in OPTIONS.items():
            if name in f:
                values = f[name]
                if name == "sack":
                    values = [v + self.irs for v in values]
                if name == "ts":
                    values, form = [*values, *f.get("tsecr", [self.clock])], "!II"
                options[kind] = struct.pack(form, *values)
        seg = Segment(self.port, self.port, self.iss + seq, ack, flags, f.get("win", [65535])[-1],
                      options, data)
        self.next = max(self.next, seq + len(data) + sum(c in flags for c in "SF"))
        self.wire.send(self.me, self.address, seg, "broken" in f)

    def receive(self, deadline):
        try:
            seg = self.queue.get(timeout=max(0, deadline - time.time()))
        except queue.Empty:
            return None
        if 8 in seg.options:
            self.clock, seg.echo = struct.unpack("!II", seg.options[8])
        if "S" in seg.flags and self.irs is None:
            self.irs = seg.seq
        self.rel = (seg.seq - (self.irs or 0)) & 0xFFFFFFFF
        self.end = self.rel + len(seg.data) + sum(c in seg.flags for c in "SF")
        text = (f"        {seg.flags} seq {self.rel} len {len(seg.data)} "
                f"ack {(seg.ack - self.iss) & 0xffffffff} win {seg.window} at {seg.at:.3f}")
        self.trace.append(text)
        if seg.data and self.rel < 1 << 31:
            if seg.data != pattern(self.rel - 1, len(seg.data)):
                raise Failed("wrong bytes")
        return seg

    def differs(self, seg, flags, f):
        """What is not as @f says, or None"""
        got, wanted = seg.flags.replace("P", ""), flags.replace("P", "")
        if wanted.endswith("A?"):
            got, wanted = got.replace("A", ""), wanted[:-2]
        if got != wanted:
            return f"flags {seg.flags}"
        if "seq" in f and self.rel != f["seq"][0]:
            return "seq"
        if "ack" in f and (seg.ack - self.iss) & 0xFFFFFFFF != f["ack"][0]:
            return "ack"
        if "data" in f and len(seg.data) != f["data"][0]:
            return f"{len(seg.data)} bytes"
        if "win" in f:
            op, n = f["win"]
            if seg.window != n if op == "=" else seg.window <= n:
                return f"window {seg.window}"
        if "df" in f and self.me.version == 4 and not seg.head[6] & 0x40:
            return "no DF"
        if "tsecr" in f and (8 not in seg.options or seg.echo != f["tsecr"][0]):
            return f"timestamp {getattr(seg, 'echo', None)}"
        for name, (kind, form) in OPTIONS.items():
            if name in f:
                values = f[name]
                if name == "sack":
                    values = [v + self.iss for v in values]
                if seg.options.get(kind, b"")[: struct.calcsize(form)] != struct.pack(form, *values) \
                        or kind not in seg.options:
                    return f"option {name}: {seg.options.get(kind)}"
            if f"no-{name}" in f and kind in seg.options:
                return f"option {name}"
        return None

    def expect(self, flags, f):
        deadline = time.time() + f.get("within", 15)
        why = "nothing came"
        while True:
            seg = self.receive(deadline)
            if not seg:
                raise Failed(f"not in time ({why})")
            why = self.differs(seg, flags, f)
            fresh = self.end > self.seen
            if not why and ("seq" in f or fresh or self.end == self.rel):
                break
            bare = seg.flags == "A" and not seg.data
            if why and (fresh or "R" in seg.flags or "next" in f) and not bare:
                raise Failed(f"another came: {why}")
        self.timed(seg, f)
        if "R" not in seg.flags:
            self.seen = max(self.seen, self.end)

    def probe(self, f):
        deadline = time.time() + f.get("within", 15)
        while True:
            seg = self.receive(deadline)
            if not seg:
                raise Failed("not in time")
            if len(seg.data) <= 1 and self.rel == self.seen - 1 + len(seg.data):
                break
            if self.end > self.seen:
                raise Failed("more than a probe")
        if "tsecr" in f and (8 not in seg.options or seg.echo != f["tsecr"][0]):
            raise Failed(f"timestamp {getattr(seg, 'echo', None)}")
        self.timed(seg, f)

    def timed(self, seg, f):
        if self.last and seg.at - self.last < f.get("after", 0):
            raise Failed(f"came after {seg.at - self.last:.3f} s")
        self.last = seg.at

    def quiet(self, seconds):
        deadline = time.time() + seconds
        while True:
            seg = self.receive(deadline)
            if not seg:
                return
            if self.end > self.seen or self.end == self.rel:
                raise Failed("it was not")

    def burst(self, least, most):
        n = 0
        while seg := self.receive(time.time() + 0.3):
            if seg.data and self.rel == self.seen:
                self.seen = self.end
                n += 1
        if not least <= n <= most:
            raise Failed(f"{n} segments")

    def error(self, type4, type6, info, seq=None):
        """From a router, about the last segment or that with SEQ"""
        at = self.irs + (seq if seq is not None else self.seen - 1)
        tcp = struct.pack("!HHIIBBHHH", self.port, self.port, at & 0xFFFFFFFF, 0, 0x50, 16, 0, 0, 0)
        if self.me.version == 6:
            head = struct.pack("!IHBB", 6 << 28, 1240, 6, 64) + self.address.packed
            body = struct.pack("!BBHI", *type6, 0, info) + head + self.me.packed + tcp
            pseudo = self.me.packed + self.address.packed + struct.pack("!II", len(body), 58)
            sum_, proto = checksum(pseudo + body), 58
        else:
            head = struct.pack("!BBHHHBBH", 0x45, 0, 1500, 0, 0x4000, 64, 6, 0)
            head += self.address.packed + self.me.packed
            head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
            body = struct.pack("!BBHI", *type4, 0, info) + head + tcp
            sum_, proto = checksum(body), 1
        body = body[:2] + struct.pack("!H", sum_) + body[4:]
        self.wire.send_ip(self.me, self.address, proto, body)


def main():
    world, iface, mac, address, network, *rest = sys.argv[1:]
    cut = rest.index("--")
    wire = Wire(iface, mac)
    address = ipaddress.ip_address(address)
    bad, lock, slots = [], threading.Lock(), threading.Semaphore(16)

    def one(script):
        with slots:
            start = time.time()
            try:
                result = script.run()
            except Exception as e:
                result = f"FAILED: {e}"
                if not isinstance(e, Failed):
                    result += "\n" + traceback.format_exc()
                bad.append(script)
        with lock:
            print(f"{world} {address}: {script.name}: {result} ({time.time() - start:.1f} s)", flush=True)
            if script in bad:
                print("\n".join("    " + t for t in script.trace), flush=True)

    threads = []
    for n, path in enumerate(rest[:cut]):
        me = ipaddress.ip_address(network + (f"{n + 100:x}" if ":" in network else f"{n + 100}"))
        script = Script(world, wire, path, me, PORT + n, address, rest[cut + 1 :])
        threads.append(threading.Thread(target=one, args=(script,)))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
