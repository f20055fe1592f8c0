# SPDX-License-Identifier: BSD-3-Clause
#
# world.py - Namespaces, engines and processes of a benchmark, and what they cost
#
# Theory of operation.  A *place* is where a server and its client run, with the
# address that they talk over: on the kernel's stack or under gazelle-run, in one
# namespace or in two.  Namespaces and engines are made when the first place needs
# them, and all that was started is ended by World.close(), in any case.
#
# Each program that is started gets a session of its own, by which all that it forks
# is found.  What a run costs is the processor time of server, client and engines, and
# of the kernel's own threads for soft interrupts.

import glob
import os
import resource
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

TICK = os.sysconf("SC_CLK_TCK")
KERNEL, RING, RELAY = "kernel", "--ring", "--relay"


class Failed(Exception):
    """A program did not do what is measured."""


class Missing(Exception):
    """What is to be measured is not there."""


def need(program):
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise Missing(f"{program} is not installed")
    return path


def stat_of(pid):
    """Session and processor seconds of a process, by proc(5)."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
        fields = f.read().rpartition(")")[2].split()
    return int(fields[3]), (int(fields[11]) + int(fields[12])) / TICK


def processes():
    for path in glob.glob("/proc/[0-9]*"):
        pid = int(path[6:])
        try:
            yield (pid, *stat_of(pid))
        except (OSError, IndexError):
            pass  # it has ended


def softirq_threads():
    found = []
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            with open(path, encoding="utf-8") as f:
                if f.read().startswith(("ksoftirqd/", "napi/")):
                    found.append(int(path.split("/")[2]))
        except OSError:
            pass
    return found


class Server:
    """A program that stays, with all that it forks."""

    def __init__(self, argv, log):
        self.log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True)
        self.pid = self.process.pid

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read().strip()

    def said(self):
        return (self.text() or "nothing").splitlines()[-1]

    def check(self, what):
        if self.process.poll() is not None:
            raise Failed(f"{what} ended: {self.said()}")

    def pids(self):
        return [pid for pid, session, _ in processes() if session == self.pid]

    def cpu(self):
        return sum(cpu for _, session, cpu in processes() if session == self.pid)

    def _memory(self, file, key):
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/{file}", encoding="ascii") as f:
                total += next((int(line.split()[1]) * 1024 for line in f
                               if line.startswith(key)), 0)
        return total

    def resident(self):
        """Bytes of its own process: it need not be the first of its session."""
        return self._memory("status", "VmRSS:")

    def proportional(self):
        """The same, with its part of what it shares with others (Pss of proc(5))."""
        return self._memory("smaps_rollup", "Pss:")

    def cpu_ns(self):
        """Processor time of all threads, finer than cpu()'s."""
        total = 0
        for pid in self.pids():
            for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
                with open(path, encoding="ascii") as f:
                    total += int(f.read().split()[0])
        return total

    def stop(self):
        pids = self.pids()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            pass
        for pid in pids + self.pids():
            try:
                if stat_of(pid)[0] == self.pid:
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.process.wait(5)


class Place:
    """Where a server and its client run."""

    def __init__(self, world, server, client, address):
        self.world, self.address = world, address
        self.congestion = None  # TCP_CONGESTION of the client, where it is not the default
        self.ends = {"server": server, "client": client}  # each: namespace, plane, engine

    def command(self, end, argv, cpu=None):
        ns, plane, engine = self.ends[end]
        run = ["ip", "netns", "exec", self.world.ns(ns)]
        if cpu is not None:
            run += ["taskset", "-c", str(cpu)]
        if plane != KERNEL:
            run += [f"{self.world.build}/bin/gazelle-run", "--config",
                    self.world.config(engine), plane, "--"]
        return run + argv

    def engines(self):
        return [self.world.engines[e] for e in {end[2] for end in self.ends.values()}
                if e in self.world.engines]


# Offloads of the engines on a veth pair, and on the shared-memory link; "" is as by default
VETH = {"": "", "-no-gro": "gro: false", "-gso": "gso: true"}
LINK = {"": "", "-no-tso": "tso: false, lro: false", "-none": "checksum: false"}


class World:
    # Engines: the rest of the configuration, and the namespace
    CONFIG = {
        **{f"e{i}": (f"host{i}", "port: {veth: {host: gz0, address: 10.213.0.1/24}, iface: gz0e, "
                                 f"offloads: {{{keys}}}}}\n"
                                 "stack: {addresses: [10.213.0.2/24]}\n")
           for i, keys in VETH.items()},
        **{f"{end}{i}": (end, f"port: {{driver: {driver}, path: %s/link{i}, "
                              f"offloads: {{{keys}}}}}\n"
                              f"stack: {{addresses: [{address}/24]}}\npolicy: {{loopback: engine}}\n")
           for i, keys in LINK.items()
           for end, driver, address in (("left", "virtio_user", "10.1.0.1"),
                                        ("right", "vhost", "10.1.0.2"))},
        **{f"loss-{loss}": (f"near-{loss}", "port: {driver: af_packet, iface: w0}\n"
                                            "stack: {addresses: [10.2.0.2/24]}\n")
           for loss in ("0.1", "1", "3")},
        **{name: (f"{name}-near", "port: {driver: af_packet, iface: w0}\n"
                                  "stack: {addresses: [10.3.0.2/24]}\n")
           for name in ("wire", "held", "held-relay")},
        "rest": ("rest", "port: {veth: {host: gz0, address: 10.213.0.1/24}, iface: gz0e}\n"
                         "stack: {addresses: [10.213.0.2/24]}\n"),
        "dispatch": ("dispatch-near", "port: {driver: dispatch, path: %s/dispatch.sock}\n"
                                      "stack: {addresses: [10.3.0.2/24]}\n"),
    }

    def __init__(self, build, work):
        self.build, self.work = build, work
        self.id = f"gzb{os.getpid()}"
        self.namespaces, self.engines, self.servers = {}, {}, []
        self.softirq = softirq_threads()

    # --- namespaces and engines --------------------------------------------------

    def ns(self, name):
        if name not in self.namespaces:
            full = f"{self.id}-{name}"
            subprocess.run(["ip", "netns", "add", full], check=True)
            self.namespaces[name] = full
            subprocess.run(["ip", "-n", full, "link", "set", "lo", "up"], check=True)
        return self.namespaces[name]

    def config(self, name):
        return f"{self.work}/{name}.yaml"

    def engine(self, *names):
        """Start them, those again that have ended.  Of a link each waits for the other."""
        for name in names:
            if name not in self.engines or self.engines[name].process.poll() is not None:
                self.start_engine(name)
        for name in names:
            self.wait(15, f"engine {name}", self.engines[name],
                      lambda name=name: os.path.exists(f"{self.work}/{self.id}-{name}.sock"))

    def start_engine(self, name):
        ns, rest = self.CONFIG[name]
        full = f"{self.id}-{name}"
        with open(self.config(name), "w", encoding="ascii") as f:
            f.write(f"name: {full}\nrun_dir: {self.work}\nlinger: 0s\n"
                    + (rest % self.work if "%s" in rest else rest))
        self.engines[name] = Server(
            ["ip", "netns", "exec", self.ns(ns), f"{self.build}/bin/gazelle-engine",
             "--config", self.config(name)], f"{self.work}/engine-{name}.log")

    def restart_engines(self):
        """After a failure: nobody knows what state they are in."""
        for engine in self.engines.values():
            engine.stop()
        self.engines.clear()

    def veth(self):
        """Two namespaces of the kernel's, joined as they come: offloads on."""
        if "a" in self.namespaces:
            return
        a, b = self.ns("a"), self.ns("b")
        for command in (
                f"ip -n {a} link add v0 type veth peer name v0 netns {b}",
                f"ip -n {a} address add 10.1.0.1/24 dev v0",
                f"ip -n {b} address add 10.1.0.2/24 dev v0",
                f"ip -n {a} link set v0 up", f"ip -n {b} link set v0 up"):
            subprocess.run(command.split(), check=True)

    @staticmethod
    def plain(*interfaces):
        """Up, with offloads off: each a namespace and a name."""
        for ns, iface in interfaces:
            subprocess.run(["ip", "netns", "exec", ns, need("ethtool"), "-K", iface, "tx", "off",
                            "tso", "off", "gso", "off", "gro", "off"], check=True,
                           stdout=subprocess.DEVNULL)
            subprocess.run(["ip", "-n", ns, "link", "set", iface, "up"], check=True)

    def wire(self, name):
        """An engine's, in the namespaces NAME-near and NAME-far, of which far is the kernel's."""
        if f"{name}-near" in self.namespaces:
            return
        near, far = self.ns(f"{name}-near"), self.ns(f"{name}-far")
        for command in (f"ip -n {near} link add w0 type veth peer name w0 netns {far}",
                        f"ip -n {far} address add 10.3.0.1/24 dev w0"):
            subprocess.run(command.split(), check=True)
        self.plain((near, "w0"), (far, "w0"))
        if name == "dispatch":
            self.dispatch(near)

    def dispatch(self, ns):
        """For the engine of that name, over its wire."""
        with open(f"{self.work}/d.yaml", "w", encoding="ascii") as f:
            f.write(f"name: {self.id}-d\nrun_dir: {self.work}\n"
                    "port: {driver: af_packet, iface: w0}\n"
                    f"clients: [{{name: {self.id}-dispatch, address: 10.3.0.2}}]\n")
        server = self.serve(["ip", "netns", "exec", ns, f"{self.build}/bin/gazelle-dispatch",
                             "--config", f"{self.work}/d.yaml"], "dispatch")
        self.wait(10, "dispatch", server, lambda: " serves " in server.text())
        os.symlink(f"{self.id}-d.sock", f"{self.work}/dispatch.sock")

    def mac(self, ns, iface):
        return subprocess.run(
            ["ip", "netns", "exec", self.ns(ns), "cat", f"/sys/class/net/{iface}/address"],
            check=True, capture_output=True, text=True).stdout.strip()

    def bad_wire(self, loss):
        """near and far, 10 ms of round trip apart; @loss percent of what near sends is lost.
        Near's interface is the kernel's and an engine's, with an address each."""
        if f"mid-{loss}" in self.namespaces:
            return
        near, mid, far = (self.ns(f"{n}-{loss}") for n in ("near", "mid", "far"))
        for command in (
                f"ip netns exec {mid} sysctl -qw net.ipv6.conf.default.disable_ipv6=1",
                f"ip -n {near} link add w0 type veth peer name m1 netns {mid}",
                f"ip -n {far} link add w0 type veth peer name m2 netns {mid}",
                f"ip -n {near} address add 10.2.0.3/24 dev w0",
                f"ip -n {far} address add 10.2.0.1/24 dev w0"):
            subprocess.run(command.split(), check=True)
        self.plain((near, "w0"), (mid, "m1"), (mid, "m2"), (far, "w0"))
        wire = self.serve(["ip", "netns", "exec", mid, f"{self.build}/test/net/forwarder", "1",
                           "m1", "m2", f"loss={float(loss) / 100},delay=5", "delay=5"],
                          f"wire-{loss}")
        self.wait(5, "the wire", wire, lambda: "ready" in wire.text())

    def lossy(self, who, loss):
        self.bad_wire(loss)
        near = (f"near-{loss}", KERNEL, None)
        if who == "ring":
            self.engine(f"loss-{loss}")
            near = (f"near-{loss}", RING, f"loss-{loss}")
        place = Place(self, (f"far-{loss}", KERNEL, None), near, "10.2.0.1")
        place.congestion = "cubic" if who == "cubic" else None
        return place

    def to_or_from_kernel(self, way, kind):
        self.engine("e" + kind)
        kernel, ours = ("host" + kind, KERNEL, None), ("host" + kind, RING, "e" + kind)
        if way == "to":
            return Place(self, kernel, ours, "10.213.0.1")
        return Place(self, ours, kernel, "10.213.0.2")

    def place(self, name):
        """A place, with all that it needs running."""
        if ", loss " in name:
            return self.lossy(*name.split(", loss "))
        host = ("host", KERNEL, None)
        if name == "kernel":
            return Place(self, host, host, "127.0.0.1")
        if name == "kernel, veth":
            self.veth()
            return Place(self, ("b", KERNEL, None), ("a", KERNEL, None), "10.1.0.2")
        if name == "rest":
            self.engine(name)
            return Place(self, ("rest", RING, name), ("rest", RING, name), "10.213.0.2")
        if name in ("wire", "dispatch", "held", "held-relay"):
            plane = RELAY if name.endswith("relay") else RING
            self.wire(name)
            self.engine(name)
            return Place(self, (f"{name}-near", plane, name), (f"{name}-far", KERNEL, None),
                         "10.3.0.2")
        if name.startswith("two engines"):
            left, right = (end + name.removeprefix("two engines") for end in ("left", "right"))
            self.engine(left, right)
            return Place(self, ("right", RING, right), ("left", RING, left), "10.1.0.2")
        if name.startswith(("to kernel", "from kernel")):
            return self.to_or_from_kernel(*name.split(" kernel"))
        self.engine("e")
        if name == "kernel client":
            return Place(self, ("host", RING, "e"), host, "10.213.0.2")
        plane = RELAY if name == "relay" else RING
        return Place(self, ("host", plane, "e"), ("host", plane, "e"), "10.213.0.2")

    # --- programs -----------------------------------------------------------------

    def serve(self, argv, name):
        server = Server(argv, f"{self.work}/{name}.log")
        self.servers.append(server)
        return server

    def end(self, server):
        server.stop()
        self.servers.remove(server)

    def run(self, argv, limit=20, program=None):
        """Return: what it printed, and its processor time.  Errors are Failed."""
        program = program or os.path.basename(argv[0])
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, errors="replace",
                                   start_new_session=True)
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            self.kill_session(process.pid)
            process.communicate()
            raise Failed(f"{program}: not done after {limit} s") from None
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if process.returncode:
            lines = (err.strip() or out.strip() or "it said nothing").splitlines()
            said = ([line for line in lines if "rror" in line] or lines)[-1].strip()
            raise Failed(f"{program}: status {process.returncode}: {said}")
        return out, sum(getattr(after, k) - getattr(before, k) for k in ("ru_utime", "ru_stime"))

    @staticmethod
    def kill_session(session):
        for pid, theirs, _ in list(processes()):
            if theirs == session:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass

    @staticmethod
    def wait(seconds, what, server, ready):
        end = time.monotonic() + seconds
        while not ready():
            server.check(what)
            if time.monotonic() > end:
                raise Failed(f"{what} is not ready after {seconds} s: {server.said()}")
            time.sleep(0.05)

    def cpu(self, place, server):
        """Processor seconds so far of all but the client."""
        total = server.cpu() if server else 0
        total += sum(engine.cpu() for engine in place.engines())
        return total + sum(stat_of(pid)[1] for pid in self.softirq)

    @contextmanager
    def busy(self, wanted):
        """Another process that takes one core."""
        if not wanted:
            yield
            return
        process = subprocess.Popen(["sh", "-c", "while :; do :; done"], start_new_session=True)
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def close(self):
        for server in self.servers + list(self.engines.values()):
            server.stop()
        for full in self.namespaces.values():
            subprocess.run(["ip", "netns", "del", full], check=False)
