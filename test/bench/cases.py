# SPDX-License-Identifier: BSD-3-Clause
#
# cases.py - What is measured: programs, how they are run, rows of the table
#
# A case runs one load on several *sides* (a place, perhaps pinned to a processor,
# perhaps beside a process that takes a core), and gives values by name for each.  A
# row compares a value of two sides; its target is how far ahead ours is to be.

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field

from world import Failed, Missing, World, need


@dataclass(frozen=True)
class Side:
    place: str
    cpu: int = None  # server and client are pinned to it; engines are not
    busy: bool = False  # another process takes one core
    flows: tuple = ()  # arguments of flows.c


@dataclass
class Row:
    name: str
    unit: str
    value: str
    target: object = None  # a number, None, or a function of the medians by side
    ours: str = "ring"
    kernel: str = "kernel"
    more: bool = False  # is more better?
    needs: tuple = ()  # sides that the target is made from
    limit: float = None  # what ours is to stay within, in @unit: nothing is beside it

    def sides(self):
        return {self.ours, *(() if self.limit else (self.kernel,)), *self.needs}


@dataclass
class Case:
    sides: dict
    rows: list
    limit: int = 20  # seconds that one run may take
    kept: dict = field(default_factory=dict)

    def prepare(self, world):
        """Once, before anything is started."""

    def serve(self, world, place, port):
        """The server's arguments, or None: there is none."""

    def wait_for(self, world, place, server, port):
        """Until the server takes connections."""
        knock = place.command("client", ["bash", "-c", f"exec 3<>/dev/tcp/{place.address}/{port}"])

        def answers():
            try:
                world.run(knock, 5)
                return True
            except Failed:
                return False
        world.wait(15, "the server", server, answers)

    def client(self, place, port):
        """The client's arguments."""

    def values(self, out, cpu):
        """Values by name, of what the client printed and what the run cost."""

    def measure(self, world, place, side, server, port):
        argv = place.command("client", self.client(place, port), side.cpu)
        with world.busy(side.busy):
            before = world.cpu(place, server)
            out, cpu = world.run(argv, self.limit, os.path.basename(self.client(place, port)[0]))
            cpu += world.cpu(place, server) - before
        if server:
            server.check("the server")
        for engine in place.engines():
            engine.check("the engine")
        return self.values(out, cpu)


def both(**more):
    return {"kernel": Side("kernel"), "ring": Side("ring"), **more}


# --- sockets.c ---------------------------------------------------------------------

SOCKETS = f"{os.environ.get('BUILD', 'build')}/test/bench/sockets"


class Calls(Case):
    def client(self, place, port):
        return [SOCKETS, "calls", place.address]

    def values(self, out, cpu):
        return {"ns": float(out)}


class PingPong(Case):
    def serve(self, world, place, port):
        return [SOCKETS, "echo", place.address, port]

    def client(self, place, port):
        return [SOCKETS, "pingpong", place.address, port, "1"]

    def values(self, out, cpu):
        p50, p99 = out.split()
        return {"p50": float(p50), "p99": float(p99)}


class Datagrams(PingPong):
    def serve(self, world, place, port):
        return super().serve(world, place, port) + ["datagrams"]

    def wait_for(self, world, place, server, port):
        world.wait(15, "the server", server, lambda: "ready" in server.text())

    def client(self, place, port):
        return super().client(place, port) + ["datagrams"]


class Idle(PingPong):
    """The first request after 50 ms of nothing: everybody sleeps."""

    def client(self, place, port):
        return [SOCKETS, "idle", place.address, port, "40"]

    def values(self, out, cpu):
        p50, p90 = out.split()
        return {"p50": float(p50), "p90": float(p90)}


def within_200_us(got):
    return got["kernel"]["p50"] / (got["kernel"]["p50"] + 200)


class Connections(Case):
    COUNT = 4000

    def serve(self, world, place, port):
        return [SOCKETS, "echo", place.address, port, "once"]

    def client(self, place, port):
        return [SOCKETS, "connect", place.address, port, str(self.COUNT)]

    def values(self, out, cpu):
        return {"rate": float(out)}


# --- redis -------------------------------------------------------------------------


class Redis(Case):
    def __init__(self, sides, rows, requests, connections=50, pipeline=1):
        super().__init__(sides, rows)
        self.requests, self.connections, self.pipeline = requests, connections, pipeline

    def prepare(self, world):
        need("redis-benchmark")

    def serve(self, world, place, port):
        return [need("redis-server"), "--bind", place.address, "--port", port,
                "--protected-mode", "no", "--save", ""]

    def client(self, place, port):
        return ["redis-benchmark", "-h", place.address, "-p", port, "-t", "set,get", "--csv",
                "-n", str(self.requests), "-c", str(self.connections),
                "-P", str(self.pipeline)]

    def values(self, out, cpu):
        got = {"cpu": cpu * 1e6 / (2 * self.requests)}
        for line in out.splitlines():
            cells = line.replace('"', "").split(",")
            if cells[0] in ("SET", "GET"):
                got[cells[0]] = float(cells[1])
                got[cells[0] + " p99"] = float(cells[6])
        if "SET" not in got or "GET" not in got:
            raise Failed("redis-benchmark gave no result: " + out.strip()[-100:])
        return got


def redis_rows(name, target, **sides):
    return [Row(f"redis {test}, {name}", "requests/s", test, target, more=True, **sides)
            for test in ("SET", "GET")]


def as_alone(value, more):
    """Beside another process: no worse a ratio than alone."""
    def target(got):
        ours, kernel = got["ring"][value], got["kernel"][value]
        return ours / kernel if more else kernel / ours
    return target


def within_three(value):
    """Beside another process: at most three times what it is alone."""
    def target(got):
        return got["kernel, busy"][value] / (3 * got["ring"][value])
    return target


def busy_row(name, unit, value, target, more=False):
    return Row(name, unit, value, target, "ring, busy", "kernel, busy", more,
               needs=("kernel", "ring"))


# --- web, cache, database ----------------------------------------------------------


class Nginx(Case):
    CONF = """worker_processes 2;
daemon off;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
	access_log off;
	sendfile on;
	keepalive_requests 10000000;
	client_body_temp_path {dir}/body;
	proxy_temp_path {dir}/proxy;
	fastcgi_temp_path {dir}/fastcgi;
	uwsgi_temp_path {dir}/uwsgi;
	scgi_temp_path {dir}/scgi;
	server {{ listen {address}:{port}; root {dir}/www; }}
}}
"""

    def prepare(self, world):
        need("wrk")

    def serve(self, world, place, port):
        folder = f"{world.work}/nginx-{port}"
        os.makedirs(f"{folder}/www")
        with open(f"{folder}/www/file", "w", encoding="ascii") as f:
            f.write("x" * 612)
        with open(f"{folder}/conf", "w", encoding="ascii") as f:
            f.write(self.CONF.format(dir=folder, address=place.address, port=port))
        return [need("nginx"), "-c", f"{folder}/conf"]

    def client(self, place, port):
        return ["wrk", "-t2", "-c50", "-d2s", f"http://{place.address}:{port}/file"]

    def values(self, out, cpu):
        errors = [line.strip() for line in out.splitlines() if "rrors" in line or "Non-2xx" in line]
        if errors:
            raise Failed("wrk: " + errors[0])
        return {"rate": float(re.search(r"Requests/sec: *([0-9.]+)", out).group(1))}


class Memcached(Case):
    def prepare(self, world):
        need("memcaslap")

    def serve(self, world, place, port):
        return [need("memcached"), "-u", "root", "-t", "2", "-U", "0", "-l", place.address,
                "-p", port]

    def client(self, place, port):
        return ["memcaslap", "-s", f"{place.address}:{port}", "-T", "2", "-c", "50", "-t", "2s"]

    def values(self, out, cpu):
        rate = re.search(r"TPS: *([0-9.]+)", out)
        if not rate or not float(rate.group(1)):
            raise Failed("memcaslap: " + (out.strip() or "it said nothing").splitlines()[-1])
        return {"rate": float(rate.group(1))}


class MariaDB(Case):
    QUICK = ["--no-defaults", "--user=root", "--skip-grant-tables", "--skip-name-resolve",
             "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=64M",
             "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync"]
    TABLES = ["--tables=2", "--table-size=10000"]

    def sysbench(self, *where):
        return ["sysbench", "oltp_read_only", "--db-driver=mysql", "--mysql-user=root",
                "--mysql-db=t", "--threads=16", *self.TABLES, *where]

    def prepare(self, world):
        need("sysbench")
        data = f"{world.work}/mariadb"
        world.run([need("mariadb-install-db"), "--no-defaults", f"--datadir={data}",
                   "--user=root", "--skip-test-db",
                   "--auth-root-authentication-method=normal"], 60)
        os.mkdir(f"{data}/t")
        server = world.serve([need("mariadbd"), *self.QUICK, f"--datadir={data}",
                              f"--socket={data}/s", "--skip-networking"], "mariadb")
        World.wait(20, "mariadbd", server, lambda: os.path.exists(f"{data}/s"))
        world.run(self.sysbench(f"--mysql-socket={data}/s", "prepare"), 60)
        server.process.terminate()
        server.process.wait(20)
        world.end(server)
        self.kept["data"] = data

    def serve(self, world, place, port):
        data = f"{world.work}/mariadb-{port}"
        shutil.copytree(self.kept["data"], data)
        return ["mariadbd", *self.QUICK, f"--datadir={data}", f"--socket={data}/s",
                f"--bind-address={place.address}", f"--port={port}"]

    def client(self, place, port):
        return self.sysbench(f"--mysql-host={place.address}", f"--mysql-port={port}",
                             "--time=3", "run")

    def values(self, out, cpu):
        errors = re.search(r"(ignored errors|reconnects): +[1-9].*", out)
        if errors:
            raise Failed("sysbench: " + errors.group(0))
        return {"rate": float(re.search(r"transactions: .*\((.*) per sec", out).group(1))}


class Iperf(Case):
    def __init__(self, sides, rows, streams):
        super().__init__(sides, rows)
        self.streams = streams

    def serve(self, world, place, port):
        return [need("iperf3"), "-s", "-B", place.address, "-p", port, "--forceflush"]

    def wait_for(self, world, place, server, port):
        # It makes its listener anew after whoever only knocks.
        world.wait(15, "iperf3", server, lambda: "listening" in server.text())

    def client(self, place, port):
        return ["iperf3", "-c", place.address, "-p", port, "-t", "2", "-J", "-P",
                str(self.streams), *(["-C", place.congestion] if place.congestion else [])]

    def values(self, out, cpu):
        got = json.loads(out)
        if "error" in got:
            raise Failed("iperf3: " + got["error"])
        return {"gbit": got["end"]["sum_received"]["bits_per_second"] / 1e9}


class IperfDatagrams(Iperf):
    """As many as it can send; what arrives counts."""

    def client(self, place, port):
        return super().client(place, port) + ["-u", "-b", "0", "-l", "1400"]

    def values(self, out, cpu):
        got = json.loads(out)
        if "error" in got:
            raise Failed("iperf3: " + got["error"])
        sum_ = got["end"]["sum"]
        return {"rate": (sum_["packets"] - sum_["lost_packets"]) / sum_["seconds"]}


def offloads():
    """The same with an offload, in the first column, and without.  Both columns are ours."""
    def case(what, on, off):
        row = Row(f"iperf3, {what}", "Gbit/s", "gbit", ours=on, kernel=off, more=True)
        return Iperf({side: Side(side) for side in (on, off)}, [row], 1)

    link, up, down = "two engines", "to kernel", "from kernel"
    return [case("link, TSO or none", link, f"{link}-no-tso"),
            case("link, checksums left out or not", f"{link}-no-tso", f"{link}-none"),
            case("veth to the kernel, GSO or none", f"{up}-gso", up),
            case("veth from the kernel, GRO or none", down, f"{down}-no-gro")]


class AtRest(Case):
    """An engine that was just started."""

    def measure(self, world, place, side, server, port):
        engine, = place.engines()
        return {"mb": engine.resident() / 1e6}


class Held(Case):
    """Connections that do nothing, whose far ends are no sockets (far_end.py)."""
    COUNT, SECONDS = 15000, 5  # so many; how long they are looked at
    MANY = f"{os.environ.get('BUILD', 'build')}/test/net/many"
    FAR_END = os.path.join(os.path.dirname(__file__), "../net/far_end.py")

    def serve(self, world, place, port):
        return [self.MANY, "serve", port]

    def wait_for(self, world, place, server, port):
        world.wait(15, "the server", server, lambda: "ready" in server.text())

    @staticmethod
    def memory(servers):
        """Of these in bytes, and what the kernel has allocated (Slab of proc(5)): of the whole
        machine, so that nothing else should be at work.  What it takes back when it needs memory,
        as inodes of /proc, is taken back first."""
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
            f.write("2")
        with open("/proc/meminfo", encoding="ascii") as f:
            slab = next(int(line.split()[1]) for line in f if line.startswith("Slab")) * 1024
        return slab + sum(s.proportional() for s in servers)

    def measure(self, world, place, side, server, port):
        fifo = f"{world.work}/held"
        if not os.path.exists(fifo):
            os.mkfifo(fifo)
        engines = place.engines()
        mac = world.mac(f"{side.place}-near", "w0")
        before = self.memory([server, *engines])
        client = world.serve(place.command("client", [
            sys.executable, self.FAR_END, "w0", mac, place.address, port,
            place.address[:-1] + "77", str(self.COUNT), fifo]), "held")
        try:
            world.wait(60, "all connections", client, lambda: "up" in client.text())
            time.sleep(3)  # what is given back after a second
            spent = sum(e.cpu_ns() for e in engines)
            time.sleep(self.SECONDS)
            spent = sum(e.cpu_ns() for e in engines) - spent
            kb = (self.memory([server, *engines]) - before) / self.COUNT / 1024
            # Later ones are given what the first left
            return {"kb": self.kept.setdefault(side.place, kb),
                    "idle": spent / self.SECONDS / 1e7}
        finally:
            world.end(client)


def held():
    count = f"{Held.COUNT:,} idle connections"
    return Held({"ring": Side("held"), "relay": Side("held-relay")}, [
        Row(f"{count}, memory of each (limit 12)", "KB", "kb", limit=12),
        Row(f"{count}, the same, relay plane (limit 12)", "KB", "kb", ours="relay", limit=12),
        Row(f"{count}, engine (limit 1)", "% of a core", "idle", limit=1),
        Row(f"{count}, engine, relay plane (limit 1)", "% of a core", "idle", ours="relay", limit=1),
    ], limit=90)


class Flows(Case):
    """The stack alone, with many connections: flows.c.  Both columns are ours."""

    def measure(self, world, place, side, server, port):
        argv = [f"{world.build}/test/bench/flows", *map(str, side.flows)]
        return json.loads(world.run(argv, self.limit, "flows")[0])


def flows():
    def among(*arguments):
        return Side("kernel", flows=arguments)

    return Flows({"1": among(1, 1), "1,000": among(1000, 1000), "10,000": among(10000, 1000),
                  "100,000": among(100000, 1000), "all": among(100000, 100000),
                  "stamped": among(1000, 1000, "timestamps"), "two": among(1000, 1000, "two"),
                  "apart": among(1000, 1000, "apart")}, [
        Row("echo: 1,000 busy of 10,000 (/ of 1,000)", "cycles", "cycles", 1 / 1.3, "10,000", "1,000"),
        Row("echo: 1,000 busy of 100,000 (/ of 1,000)", "cycles", "cycles", 1 / 1.3, "100,000", "1,000"),
        Row("echo: all of 100,000 busy (/ one)", "cycles", "cycles", 1 / 12, "all", "1"),
        Row("echo: 1,000 busy, with timestamps (/ without)", "cycles", "cycles", None, "stamped", "1,000"),
        Row("echo: two workers at once, each (/ two engines)", "cycles", "cycles", 1 / 1.1, "two", "apart"),
        Row("echo: two workers at once, each (/ one worker)", "cycles", "cycles", None, "two", "1,000"),
        Row("open and close, two workers, each (/ two engines)", "connections/s", "opened", 1 / 1.1, "two",
            "apart", more=True),
        Row("open and close, among 100,000 (/ none)", "connections/s", "opened", 1 / 1.5, "100,000",
            "1", more=True),
        Row("longest slice of timers, 100,000 (limit 100)", "us", "tick", ours="all", limit=100),
        Row("the same, of loops that only read the clock", "us", "loop", ours="all", limit=100),
        Row("engine's memory, 100,000 idle (limit 1,500)", "MB", "mb", ours="100,000", limit=1500),
        Row("engine's memory, 100,000 busy (limit 1,500)", "MB", "mb", ours="all", limit=1500),
    ], limit=60)


class Forwarding(Case):
    """256 frames that go round: testpmd's 5tswap at both ends of a forwarder, which is
    dispatch, or testpmd in io mode, each with a processor.  The ends are two links, or one and
    a veth pair.  Of two workers each has a link, and the third processor is the second one's:
    on one with the ends both would wait for each other's time slices."""

    DISPATCH = """name: {id}-d
run_dir: {at}
port: {port}
workers: {{cpus: {cpus}}}
worker: {{power: poll}}
clients:
  - {{name: a, path: {at}/a, address: 198.18.0.1}}
  - {{name: b, path: {at}/b, address: 198.18.0.2}}
"""

    def prepare(self, world):
        if any(side.flows[3] > 1 for side in self.sides.values()) and (os.cpu_count() or 1) < 3:
            raise Missing("two workers and the ends take three processors")

    @staticmethod
    def testpmd(world, name, lcores, devices, *more):
        argv = [need("dpdk-testpmd"), "--no-huge", "-m", "128", "--no-pci", "--no-telemetry",
                f"--file-prefix={world.id}-{name}", f"--lcores={lcores}"]
        for device in devices:
            argv += ["--vdev", device]
        return argv + ["--", "--total-num-mbufs=8192", "--no-mlockall", *more]

    def forwarder(self, world, who, at, veth, workers):
        if who == "dispatch":
            port = ("{driver: af_packet, iface: v0}" if veth
                    else '{driver: vdev, device: "net_null0,no-rx=1"}')
            config = self.DISPATCH.format(id=world.id, at=at, port=port,
                                          cpus=[1, 2][:workers])
            if veth:  # whatever is no client's goes to the port
                config = config[:config.index("  - {name: b")]
            with open(f"{at}/d.yaml", "w", encoding="ascii") as f:
                f.write(config)
            return [f"{world.build}/bin/gazelle-dispatch", "--config", f"{at}/d.yaml"]
        # --stats-period: it ends when its input does, else.  What comes before it begins is
        # to go round, too
        return self.testpmd(world, "io", "(0-1)@1" if workers == 1 else "(0-1)@1,2@2",
                            [f"net_vhost0,iface={at}/a,client=1",
                             "net_af_packet1,iface=v0" if veth
                             else f"net_vhost1,iface={at}/b,client=1"],
                            "--forward-mode=io", "--no-flush-rx", "--stats-period=3600",
                            f"--nb-cores={workers}")

    @staticmethod
    def veth(world):
        """v0 and v1 in a namespace.  Return: its name"""
        made = "forwarding" in world.namespaces
        ns = world.ns("forwarding")
        if not made:
            for command in (
                    f"ip netns exec {ns} sysctl -qw net.ipv6.conf.default.disable_ipv6=1",
                    f"ip -n {ns} link add v0 type veth peer name v1"):
                subprocess.run(command.split(), check=True)
            world.plain((ns, "v0"), (ns, "v1"))
        return ns

    def measure(self, world, place, side, server, port):
        who, size, veth, workers = side.flows
        at = f"{world.work}/forwarding"
        shutil.rmtree(at, ignore_errors=True)
        os.mkdir(at)
        os.mkfifo(f"{at}/orders")
        within = ["ip", "netns", "exec", self.veth(world)] if veth else []
        links = self.testpmd(
            world, "links", "(0-1)@0",
            [f"net_virtio_user0,path={at}/a,server=1",
             "net_af_packet1,iface=v1" if veth else f"net_virtio_user1,path={at}/b,server=1"],
            "-i", "--forward-mode=5tswap", "--port-topology=loop",
            "--tx-ip=198.18.0.1,198.18.0.2", f"--txpkts={size}")
        ends = world.serve(within + ["sh", "-c", f'exec "$@" <>{at}/orders', "sh", *links], "links")
        try:
            world.wait(5, "testpmd", ends, lambda: os.path.exists(f"{at}/a"))
            forwarder = world.serve(within + self.forwarder(world, who, at, veth, workers),
                                    "forwarder")
        except BaseException:
            world.end(ends)
            raise
        try:
            world.wait(15, "testpmd", ends, lambda: "testpmd>" in ends.text())
            time.sleep(0.5)
            with open(f"{at}/orders", "w", encoding="ascii", buffering=1) as orders:
                # Of dispatch's ends one has the source address: the other's are dropped
                orders.write(f"start tx_first {8 if who == 'dispatch' else 4}\n")
                time.sleep(2)
                orders.write("stop\nquit\n")
                ends.process.wait(10)
            forwarder.check("the forwarder")
            count = re.search(r"all ports\W+RX-packets: (\d+)", ends.text())
            if int(count[1]) < 10000:
                raise Failed("the frames that go round were lost")
            return {"rate": int(count[1]) / 2}
        finally:
            world.end(ends)
            world.end(forwarder)


def forwarding(veth, workers=1):
    sides = {f"{who}, {size}": Side("kernel", flows=(who, size, veth, workers))
             for who in ("dispatch", "testpmd") for size in (64, 1500)}
    way = ("link to veth" if veth else "link to link") + (", 2 workers" if workers > 1 else "")
    return Forwarding(sides, [
        Row(f"dispatch, {way}, {size} B (/ testpmd io)", "packets/s", "rate", 1 / 1.3,
            f"dispatch, {size}", f"testpmd, {size}", more=True) for size in (64, 1500)])


def behind_dispatch():
    """What dispatch adds to the way of an engine: to a client of the kernel's, and back."""
    return PingPong({"dispatch": Side("dispatch"), "wire": Side("wire")}, [
        Row(f"ping-pong 64 B, behind dispatch (/ without), {at}", "us", at,
            ours="dispatch", kernel="wire") for at in ("p50", "p99")])


def goodput(loss):
    """Over 10 ms and a wire that loses by chance: beside the kernel's default, and CUBIC."""
    sides = {"kernel": Side(f"kernel, loss {loss}"), "cubic": Side(f"cubic, loss {loss}"),
             "ring": Side(f"ring, loss {loss}")}
    name = f"iperf3, 10 ms, {loss} % loss"
    return Iperf(sides, [
        Row(name, "Gbit/s", "gbit", 1, more=True),
        Row(f"{name}, kernel with CUBIC", "Gbit/s", "gbit", 1, kernel="cubic", more=True),
    ], 1)


# --- the table ---------------------------------------------------------------------


def all_cases(cpu):
    """@cpu: the processor for what is pinned to one"""
    pinned = {"kernel, pinned": Side("kernel", cpu), "ring, pinned": Side("ring", cpu)}
    beside = {"kernel, busy": Side("kernel", None, True), "ring, busy": Side("ring", None, True)}
    on_one = {"ours": "ring, pinned", "kernel": "kernel, pinned"}
    apart = {"kernel": Side("kernel, veth"), "ring": Side("two engines")}
    outside = {"kernel": Side("kernel, veth"), "ring": Side("kernel client")}
    rate = {"value": "rate", "more": True}
    return [
        Calls(both(), [Row("send+recv 64 B, ready socket", "ns/call", "ns", 8)]),
        PingPong(both(**pinned, **beside), [
            Row("ping-pong 64 B, p50", "us", "p50", 10),
            Row("ping-pong 64 B, p99", "us", "p99"),
            Row("ping-pong 64 B, one core, p50", "us", "p50", 1.2, **on_one),
            Row("ping-pong 64 B, one core, p99", "us", "p99", **on_one),
            busy_row("ping-pong 64 B, a core taken, p50", "us", "p50", as_alone("p50", False)),
            busy_row("ping-pong 64 B, a core taken, p99", "us", "p99", within_three("p99")),
        ]),
        Datagrams(both(relay=Side("relay")), [
            Row("ping-pong 64 B, UDP, p50", "us", "p50"),
            Row("ping-pong 64 B, UDP, p99", "us", "p99"),
            Row("ping-pong 64 B, UDP, relay plane, p50", "us", "p50", ours="relay"),
        ]),
        Idle(both(relay=Side("relay")), [
            Row("first request after 50 ms, p50 (200 us over it)", "us", "p50", within_200_us),
            Row("first request after 50 ms, p90", "us", "p90"),
            Row("first request after 50 ms, relay plane, p50", "us", "p50", within_200_us, "relay"),
        ]),
        Redis(both(relay=Side("relay"), **beside), [
            *redis_rows("50 connections", 7),
            Row("redis, 50 connections, CPU a request", "us", "cpu", 7),
            Row("redis GET, 50 connections, p99", "ms", "GET p99"),
            *redis_rows("50 connections, relay plane", 0.5, ours="relay"),
            busy_row("redis GET, 50 connections, a core taken", "requests/s", "GET",
                     as_alone("GET", True), True),
            busy_row("redis GET, 50 connections, a core taken, p99", "ms", "GET p99",
                     within_three("GET p99")),
        ], 100000),
        Redis(both(), redis_rows("50 connections, -P 16", 2), 500000, pipeline=16),
        Redis(both(**pinned), [*redis_rows("1 connection", 4),
                               *redis_rows("1 connection, one core", 1.4, **on_one)],
              20000, connections=1),
        Redis(apart, redis_rows("50 connections, two engines", 4.6), 100000),
        Redis(outside, redis_rows("50 connections, client of the kernel's", 1), 100000),
        Nginx(both(), [Row("nginx, 2 workers, 612 B, 50 connections", "requests/s", target=2,
                           **rate)]),
        Memcached(both(), [Row("memcached, 50 connections", "requests/s", target=2, **rate)]),
        MariaDB(both(), [Row("MariaDB, sysbench oltp_read_only, 16 threads", "transactions/s",
                             target=1.15, **rate)]),
        Iperf(both(), [Row("iperf3, 1 stream", "Gbit/s", "gbit", 3, more=True)], 1),
        Iperf(both(), [Row("iperf3, 4 streams", "Gbit/s", "gbit", 3, more=True)], 4),
        IperfDatagrams(both(), [Row("iperf3 -u, 1400 B, received", "datagrams/s", **rate)], 1),
        Iperf(apart, [Row("iperf3, 1 stream, two engines", "Gbit/s", "gbit", 1, more=True)], 1),
        *offloads(),
        Connections(both(), [Row("connections: accept, a request, close", "connections/s",
                                 target=1, **rate)]),
        flows(),
        AtRest({"rest": Side("rest")}, [
            Row("engine's memory at rest (limit 64)", "MB", "mb", ours="rest", limit=64)]),
        held(),
        forwarding(False),
        forwarding(False, 2),
        forwarding(True),
        behind_dispatch(),
        goodput("0.1"),
        goodput("1"),
        goodput("3"),
    ]
