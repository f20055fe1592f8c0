#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
#
# run.py - The stack beside the plain kernel: rounds in turns, medians, ratios
#
#	test/bench/run.py [OUT]		OUT: a file for the rows, as JSON
#
#	ROWS=PATTERN	only rows whose name matches (a regular expression, any case)
#	ROUNDS=N	how often each side is measured (default 3)
#	SVG=FILE	a picture as well
#	LIMIT=SECONDS	no round begins after it (default 540)
#	LIST=1		only print the names of the rows
#
# A benchmark, not a test: nothing fails for being slow.  What cannot be measured says
# why in the table, and has no figures in the JSON.  Needs root, for network namespaces
# of its own.

import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import picture  # noqa: E402  no bytecode beside the source
from cases import all_cases  # noqa: E402
from world import Failed, Missing, World  # noqa: E402

BUILD = os.environ.get("BUILD", "build")
ROUNDS = int(os.environ.get("ROUNDS") or 3)
LIMIT = float(os.environ.get("LIMIT") or 540)
FIRST_PORT = 7000


def note(text):
    print(text, file=sys.stderr, flush=True)


class Running:
    """A case while it is measured: its servers, what was got, what failed."""

    def __init__(self, world, case, ports):
        self.world, self.case, self.ports = world, case, ports
        self.servers = {}  # by place and processor: the server, its port
        self.got = {}  # by side: lists of values
        self.failed = {}  # by side: why

    def start(self, side):
        key = (side.place, side.cpu)
        place = self.world.place(side.place)
        if key not in self.servers:
            port = str(next(self.ports))
            argv = self.case.serve(self.world, place, port)
            server = argv and self.world.serve(place.command("server", argv, side.cpu),
                                               f"server-{port}")
            self.servers[key] = server, port
            if server:
                self.case.wait_for(self.world, place, server, port)
        return (place, *self.servers[key])

    def one(self, name):
        side = self.case.sides[name]
        try:
            place, server, port = self.start(side)
            values = self.case.measure(self.world, place, side, server, port)
        except (Failed, OSError, subprocess.SubprocessError, ValueError, KeyError,
                AttributeError) as e:
            self.failed[name] = f"failed: {e}"
            note(f"  {name}: {self.failed[name]}")
            self.stop()
            self.world.restart_engines()
            return
        self.got.setdefault(name, []).append(values)

    def stop(self):
        for server, _ in self.servers.values():
            if server:
                self.world.end(server)
        self.servers.clear()

    def medians(self):
        return {name: {key: statistics.median(v[key] for v in values) for key in values[0]}
                for name, values in self.got.items() if name not in self.failed}


def row_of(row, running, why):
    """The row's line for the JSON, and why it has no figures, if it has none."""
    ours = kernel = ratio = target = None
    got = running.medians() if running else {}
    if running and not why:
        why = next((running.failed[s] for s in sorted(row.sides()) if s in running.failed), None)
    if not why and not row.sides() <= got.keys():
        why = "not run: out of time"
    if not why:
        ours = got[row.ours][row.value]
        if row.limit:
            ratio = row.limit / ours if ours else None
        else:
            kernel = got[row.kernel][row.value]
            ratio = (ours / kernel if row.more else kernel / ours) if ours and kernel else None
        target = row.target(got) if callable(row.target) else row.target
    elif not callable(row.target):
        target = row.target
    target = 1 if row.limit else target
    return {"name": row.name, "unit": row.unit, "ours": ours, "kernel": kernel, "ratio": ratio,
            "target": target}, why


def measure(world, case, rows, ports, deadline):
    sides = [s for s in case.sides if any(s in row.sides() for row in rows)]
    try:
        case.prepare(world)
    except Missing as e:
        return [row_of(row, None, f"not run: {e}") for row in rows]
    except (Failed, OSError) as e:
        return [row_of(row, None, f"failed: {e}") for row in rows]
    running = Running(world, case, ports)
    why = None
    try:
        for n in range(ROUNDS):
            # In turns, and from the other end each time
            for name in sides if n % 2 == 0 else sides[::-1]:
                if name not in running.failed and time.monotonic() < deadline:
                    running.one(name)
    except Missing as e:
        why = f"not run: {e}"
    finally:
        running.stop()
    return [row_of(row, running, why) for row in rows]


# --- what is printed -------------------------------------------------------------------


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    with open("/proc/meminfo", encoding="utf-8") as f:
        memory = int(f.readline().split()[1]) >> 20
    return (f"{model}, {os.cpu_count()} processors, {memory} GB, "
            f"{platform.system()} {platform.release()}")


def configuration(world):
    """Of the engine, as it says itself."""
    text = "gazelle-run --ring, worker.power and worker.spin as by default"
    try:
        name = f"{world.id}-e"
        stats = json.loads(subprocess.run(
            [f"{BUILD}/bin/gazelle-ctl", "--engine", name, "stats", "--json"],
            capture_output=True, text=True, timeout=5, check=True).stdout)
        engine, port = stats["engine"], stats["port"]
        text += f"; power {engine['power']}, {engine['memory']}, {port['driver']} on a veth pair"
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        pass
    return text


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 10000 else f"{value:.2f}"


def verdict(line):
    if line["target"] is None or line["ratio"] is None:
        return ""
    return "pass" if line["ratio"] >= line["target"] else "short"


HEAD = f"{'':46}{'ours':>10}{'kernel':>10}{'ratio':>8}{'target':>8}  {'':5}  unit"


def print_row(line, why):
    start = f"{line['name']:46}"
    if why:
        print(f"{start}  {why}", flush=True)
        return
    print(f"{start}{number(line['ours']):>10}{number(line['kernel']):>10}"
          f"{number(line['ratio']):>8}{number(line['target']):>8}  {verdict(line):5}  "
          f"{line['unit']}", flush=True)


def bench(wanted):
    deadline = time.monotonic() + LIMIT
    lines, ports = [], iter(range(FIRST_PORT, 65536))
    # TERM as ^C: what was started must end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = tempfile.mkdtemp(prefix="gzb.")
    os.chmod(work, 0o755)  # servers that drop root read there
    world = World(BUILD, work)
    head = [f"{machine()}; load average {os.getloadavg()[0]:.2f} before"]
    try:
        for case, rows in wanted:
            note(", ".join(row.name for row in rows))
            got = measure(world, case, rows, ports, deadline)
            if "e" in world.engines and len(head) == 1:
                head.append(configuration(world))
            for line, why in got:
                lines.append((line, why))
    finally:
        world.close()
        shutil.rmtree(work, ignore_errors=True)
    head.append(f"medians of {ROUNDS}; a ratio above 1: better than the kernel")
    print("\n".join(head))
    print(HEAD)
    for line, why in lines:
        print_row(line, why)
    return head, lines


def main():
    pattern = re.compile(os.environ.get("ROWS") or "", re.IGNORECASE)
    wanted = [(case, [row for row in case.rows if pattern.search(row.name)])
              for case in all_cases(max(os.sched_getaffinity(0)))]
    wanted = [(case, rows) for case, rows in wanted if rows]
    if os.environ.get("LIST"):
        print("\n".join(row.name for _, rows in wanted for row in rows))
        return 0
    if not wanted:
        note(f"no row's name matches '{pattern.pattern}'")
        return 2
    if os.geteuid():
        note("it needs root, for network namespaces")
        return 2
    head, lines = bench(wanted)
    if len(sys.argv) > 1:
        with open(sys.argv[1], "w", encoding="ascii") as f:
            json.dump({"rows": [line for line, _ in lines]}, f, indent=1)
            f.write("\n")
    if os.environ.get("SVG"):
        with open(os.environ["SVG"], "w", encoding="utf-8") as f:
            f.write(picture.draw(head, lines))
    return 0


sys.exit(main())
