#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
#
# run.py - Both planes beside the plain kernel, interleaved; medians
#
#	test/bench/run.py [OUT]		OUT: a file for the rows, as JSON
#
# A benchmark, not a test: nothing fails for being slow. Needs root, for a network
# namespace of its own. The engine's busy time is not counted here.

import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD", "build")
ROUNDS = int(os.environ.get("ROUNDS", "3"))
NS = f"gzb{os.getpid()}"
OURS, LOOPBACK, PORT = "10.213.0.2", "127.0.0.1", "6399"
PLANES = ("kernel", "relay", "ring")
# name, unit, is more better, target of the plane of rings
ROWS = (
    ("send+recv 64 B, ready socket", "ns a call", False, 8),
    ("64 B ping-pong, two processes, p50", "us", False, 10),
    ("redis SET, 50 connections", "requests/s", True, 7),
    ("redis GET, 50 connections", "requests/s", True, 7),
)


def command(plane, config, *args):
    run = ["ip", "netns", "exec", NS]
    if plane != "kernel":
        run += [f"{BUILD}/bin/gazelle-run", "--config", config, "--" + plane, "--"]
    return run + list(args)


def address(plane):
    return LOOPBACK if plane == "kernel" else OURS


def sockets(plane, config, what):
    out = subprocess.run(
        command(plane, config, f"{BUILD}/test/bench/sockets", what, address(plane)),
        check=True, capture_output=True, text=True, timeout=120)
    return float(out.stdout)


def redis(plane, config):
    ip = address(plane)
    server = subprocess.Popen(
        command(plane, config, "redis-server", "--bind", ip, "--port", PORT,
                "--protected-mode", "no", "--save", ""),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            ping = subprocess.run(command(plane, config, "redis-cli", "-h", ip, "-p", PORT, "ping"),
                                  capture_output=True, text=True)
            if "PONG" in ping.stdout:
                break
            time.sleep(0.1)
        out = subprocess.run(
            command(plane, config, "redis-benchmark", "-h", ip, "-p", PORT, "-t", "set,get",
                    "-n", "50000", "-c", "50", "--csv"),
            check=True, capture_output=True, text=True, timeout=120).stdout
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)
    return [float(re.search(f'"{test}","([0-9.]+)"', out).group(1)) for test in ("SET", "GET")]


def measure(config):
    """Every plane in each round: what else the machine does is everybody's."""
    got = {plane: [[] for _ in ROWS] for plane in PLANES}
    for n in range(ROUNDS):
        for plane in PLANES:
            print(f"round {n + 1} of {ROUNDS}: {plane}", file=sys.stderr)
            values = [sockets(plane, config, "calls"), sockets(plane, config, "pingpong")]
            for row, value in zip(got[plane], values + redis(plane, config)):
                row.append(value)
    return {plane: [statistics.median(row) for row in rows] for plane, rows in got.items()}


def report(medians):
    rows = []
    print(f"{platform.release()}, {os.cpu_count()} cores; medians of {ROUNDS}; "
          "ratio above 1: better than the kernel")
    print(f"{'':37}{'kernel':>10}{'relay':>10}{'ratio':>8}{'ring':>10}{'ratio':>8}")
    for i, (name, unit, more, target) in enumerate(ROWS):
        kernel = medians["kernel"][i]
        line = f"{name:37}{kernel:10.1f}"
        for plane in PLANES[1:]:
            ours = medians[plane][i]
            ratio = ours / kernel if more else kernel / ours
            line += f"{ours:10.1f}{ratio:8.2f}"
            rows.append({"name": f"{name} ({plane})", "unit": unit, "ours": ours,
                         "kernel": kernel, "ratio": ratio,
                         "target": target if plane == "ring" else None})
        print(f"{line}  {unit}")
    return rows


def main():
    subprocess.run(["ip", "netns", "add", NS], check=True)
    try:
        subprocess.run(["ip", "-n", NS, "link", "set", "lo", "up"], check=True)
        with tempfile.TemporaryDirectory() as work:
            config = f"{work}/bench.yaml"
            with open(config, "w", encoding="ascii") as f:
                f.write(f"name: bench\nrun_dir: {work}\nlinger: 3s\nport:\n"
                        "  veth: {host: gzb0, address: 10.213.0.1/24}\n  iface: gzb0e\n"
                        "stack:\n  addresses: [10.213.0.2/24]\n")
            rows = report(measure(config))
            time.sleep(4)  # the engine's linger
        if len(sys.argv) > 1:
            with open(sys.argv[1], "w", encoding="ascii") as f:
                json.dump({"rows": rows}, f, indent=1)
    finally:
        subprocess.run(["ip", "netns", "del", NS], check=False)


main()
