#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_topology.sh - Three engines, two hosts and a client that spoofs: redis and HTTP
# from the hosts, and from engine to engine, go on with every byte right while that client
# sends in the others' names, and while an engine is killed and comes again.  The spoofer
# hears what is for it or for all, and nothing else; a host hears nothing of what it spoofs

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

for program in redis-server redis-benchmark curl dpdk-testpmd; do
	command -v $program >/dev/null || skip "$program is missing"
done

cat >"$WORK/spoof.py" <<'END'
import socket, struct, subprocess, sys, time
own, e1, host, stop = bytes.fromhex(sys.argv[1]), bytes.fromhex(sys.argv[2]), '10.1.0.1', sys.argv[3]
ETH_P_ALL = 3
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
s.bind(('evil0', 0))
s.settimeout(0.02)
every = b'\xff' * 6
ip = socket.inet_aton
ip6 = lambda a: socket.inet_pton(socket.AF_INET6, a)

def fold(b):
    n = sum(struct.unpack('!%dH' % (len(b) // 2), b))
    while n >> 16:
        n = (n >> 16) + (n & 0xffff)
    return ~n & 0xffff

def arp(op, sha, spa, tpa, dst=every, src=own):
    return dst + src + b'\x08\x06' + struct.pack('!HHBBH', 1, 0x800, 6, 4, op) + sha + ip(spa) + bytes(6) + ip(tpa)

def udp(spa, dpa, src=own, proto=17, data=b'spoofed!'):
    l4 = struct.pack('!HHHH', 7000, 7000, 8 + len(data), 0) + data
    if proto == 6:
        l4 = struct.pack('!HHIIBBHHH', 6379, 40000, 0, 0, 0x50, 4, 0, 0, 0)
    h = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(l4), 0, 0, 64, proto, 0) + ip(spa) + ip(dpa)
    h = h[:10] + struct.pack('!H', fold(h)) + h[12:]
    return every + src + b'\x08\x00' + h + l4

def icmp6(src, dst, body, mac=own):
    pseudo = ip6(src) + ip6(dst) + struct.pack('!II', len(body), 58)
    body = body[:2] + struct.pack('!H', fold(pseudo + body)) + body[4:]
    return b'\x33\x33\0\0\0\1' + mac + b'\x86\xdd' + struct.pack('!IHBB', 6 << 28, len(body), 58, 255) + \
        ip6(src) + ip6(dst) + body

# Of who has no address yet
def igmp(src):
    m = struct.pack('!BBH', 0x16, 0, 0) + ip('239.1.2.3')
    h = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(m), 0, 0, 1, 2, 0) + ip('0.0.0.0') + ip('239.1.2.3')
    return b'\1\0\x5e\1\2\3' + src + b'\x08\x00' + h[:10] + struct.pack('!H', fold(h)) + h[12:] + \
        m[:2] + struct.pack('!H', fold(m)) + m[4:]

local = 'fe80::' + ':'.join('%02x%02x' % p for p in zip(*[iter(bytes([own[0] ^ 2]) + own[1:3] + b'\xff\xfe' + own[3:])] * 2))
neighbour = struct.pack('!BBHI', 136, 0, 0, 1 << 29) + ip6('fd00:1::2') + b'\2\1' + own
router = struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0) + b'\1\1' + own
bad = [
    arp(2, own, '10.1.0.2', host), arp(1, own, '10.1.0.2', '10.1.0.2'), arp(2, e1, '10.1.0.66', host),
    udp('10.1.0.2', host), udp('10.1.0.2', host, e1), udp('10.1.0.66', host, e1), udp('192.0.2.1', '10.1.0.3'),
    udp('10.1.0.2', host, proto=6), udp(host, '10.1.0.2', proto=6), arp(2, own, host, '10.1.0.2'),
    igmp(e1), icmp6('::', 'ff02::2', struct.pack('!BBHI', 133, 0, 0, 0), e1),
    icmp6('fd00:1::2', 'ff02::1', neighbour), icmp6(local, 'ff02::1', neighbour), icmp6(local, 'ff02::1', router),
]
with open(sys.argv[4] + '~', 'w') as f:
    print(*[b.hex() for b in bad], sep='\n', file=f)
import os
os.rename(sys.argv[4] + '~', sys.argv[4])
# What is its own passes: it is heard
asked = arp(1, own, '10.1.0.66', host)
sent, foreign, answers, spoofs = 0, set(), 0, 0
s.send(asked)
while not os.path.exists(stop):
    for f in bad:
        s.send(f.ljust(60, b'\0'))
        spoofs += 1
    s.send(asked)
    end = time.monotonic() + 0.02
    while time.monotonic() < end:
        try:
            f, who = s.recvfrom(2000)
        except TimeoutError:
            break
        if who[2] == socket.PACKET_OUTGOING:
            continue
        answers += f[:6] == own and f[12:14] == b'\x08\x06'
        if not f[0] & 1 and f[:6] != own:
            foreign.add(f[:14].hex())
print('spoofs', spoofs, 'answers', answers, 'foreign', *sorted(foreign))
END

# What a host hears of that, whatever the destination has become
cat >"$WORK/watch.py" <<'END'
import os, socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(('ve2', 0))
s.settimeout(0.1)
print('ready', flush=True)
heard, last = set(), False
while not last:
    last = os.path.exists(sys.argv[2])
    try:
        heard.add(s.recv(2000)[6:])
    except TimeoutError:
        pass
with open(sys.argv[1]) as f:
    for bad in f.read().split():
        if any(h.startswith(bytes.fromhex(bad)[6:]) for h in heard):
            print('heard', bad)
END

hosts() { # two of them, and the port, at a bridge
	local ns
	netns stack
	netns switch
	netns h1
	netns h2
	ip -n "$GZ_TEST_ID-switch" link add br0 type bridge
	ip -n "$GZ_TEST_ID-switch" link set br0 up
	veth switch s0 "" stack ve1
	veth switch s1 "" h1 ve2 10.1.0.1/24
	veth switch s2 "" h2 ve2 10.1.0.101/24
	for ns in s0 s1 s2; do
		ip -n "$GZ_TEST_ID-switch" link set $ns master br0
	done
	for ns in h1 h2; do
		in_ns $ns sysctl -qw net.ipv6.conf.ve2.disable_ipv6=0
	done
	in_ns h1 ip address add fd00:1::1/64 dev ve2 nodad
}

serve_e3() {
	dispatch_engine e3 10.1.0.4
	background e3 gz e3 redis-server --bind 10.1.0.4 --protected-mode no --save ''
	wait_port h1 10.1.0.4 6379
}

# Over and over: what e2 serves, by HTTP
fetch() {
	until [ -e "$WORK/over" ]; do
		curl -sf --max-time 20 http://10.1.0.3:8000/data | sha256sum
	done
}

# From engine to engine: what is set is got
sets() {
	local i
	for ((i = 0; ; i++)); do
		[ ! -e "$WORK/over" ] || break
		redis-cli -h 10.1.0.2 set "$1$i" "value $i" >/dev/null
		[ "$(redis-cli -h 10.1.0.2 get "$1$i")" = "value $i" ] || echo "wrong at $i"
	done
	echo "$i rounds"
}

hosts
start_dispatch e1=10.1.0.2,fd00:1::2 e2=10.1.0.3 e3=10.1.0.4 evil=10.1.0.66
dispatch_engine e1 10.1.0.2 fd00:1::2
dispatch_engine e2 10.1.0.3
background redis gz e1 redis-server --bind 10.1.0.2 --protected-mode no --save ''
mkdir "$WORK/www"
head -c 3M /dev/urandom >"$WORK/www/data"
background http gz e2 python3 -m http.server --bind 10.1.0.3 --directory "$WORK/www" 8000
wait_port h1 10.1.0.2 6379
wait_port h2 10.1.0.3 8000
serve_e3

# The client that spoofs: what a TAP of its own sends, testpmd puts on its link
netns evil
mkfifo "$WORK/words"
sleep 120 >"$WORK/words" &
background testpmd in_ns evil bash -c "exec dpdk-testpmd --no-huge -m 64 --no-pci --no-telemetry \
	--file-prefix '$GZ_TEST_ID-evil' -l 0,1 --vdev net_tap0,iface=evil0 \
	--vdev 'net_virtio_user0,path=$WORK/evil.vhost,server=1,queues=1,queue_size=256' \
	-- -i --auto-start --forward-mode=io --total-num-mbufs=8192 --no-mlockall <'$WORK/words'"
within 20 dispatch_has evil_link 1
within 20 in_ns evil ip link set evil0 up
mac=$(in_ns evil cat /sys/class/net/evil0/address)
in_ns h1 ping -q -c 1 -W 2 10.1.0.2 >/dev/null
in_ns h1 ping -6 -q -c 1 -W 2 fd00:1::2 >/dev/null
neighbours() { in_ns h1 ip neigh show | grep -E '10.1.0.2 |fd00:1::2 ' | sed 's/ lladdr \([^ ]*\).*/ \1/' | sort; }
before=$(neighbours)
e1=$(sed -n 's/^10.1.0.2 .* //p' <<<"$before")
background watch in_ns h1 python3 -S "$WORK/watch.py" "$WORK/bad" "$WORK/over"
WATCH=$PID
wait_line watch ready
background spoofer in_ns evil python3 -S "$WORK/spoof.py" "${mac//:/}" "${e1//:/}" "$WORK/over" "$WORK/bad"
SPOOFER=$PID

background benchmark in_ns h1 redis-benchmark -h 10.1.0.2 -c 8 -n 100000000 -t set,get
BENCHMARK=$PID
background fetched in_ns h2 bash -c "$(declare -f fetch); WORK='$WORK' fetch"
FETCH=$PID
background sets gz e2 bash -c "$(declare -f sets); WORK='$WORK' sets from-e2-"
SETS=$PID
sleep 3
kill -KILL "$(engine_pid e3)"
sleep 1
serve_e3
assert_eq "$(in_ns h2 redis-cli -h 10.1.0.4 ping)" PONG
sleep 2

kill -0 "$BENCHMARK" || fail "redis-benchmark: $(cat "$WORK/benchmark")"
end "$BENCHMARK" INT
refute grep -iE 'error|closed' "$WORK/benchmark"
touch "$WORK/over"
for pid in "$SPOOFER" "$WATCH" "$FETCH" "$SETS"; do
	assert finish "$pid" 30
done
assert_eq "$(sort -u "$WORK/fetched")" "$(sha256sum <"$WORK/www/data")" "what was fetched"
assert_match "$(cat "$WORK/sets")" '^[1-9][0-9]+ rounds$' "from engine to engine"
assert_eq "$(neighbours)" "$before" "where h1 knows e1"
read -r _ spoofs _ answers _ foreign <"$WORK/spoofer"
echo "$spoofs frames spoofed, $answers answers"
assert_eq "$(cat "$WORK/watch")" ready "spoofed frames that h1 heard"
[ "$answers" -gt 0 ] || fail "the spoofer's own requests had no answer"
assert_eq "$foreign" "" "frames of others that the spoofer heard"
counted=$(($(dispatch_counter evil_spoofed) + $(dispatch_counter evil_unclaimed)))
[ "$counted" -ge $((spoofs * 9 / 10)) ] || fail "$counted of $spoofs spoofed frames were counted"
for key in e1_spoofed e2_spoofed e3_spoofed e1_malformed e2_malformed; do
	assert_eq "$(dispatch_counter $key)" 0 $key
done
stop_dispatch
