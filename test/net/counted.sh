#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# counted.sh - What the stack refuses has the kernel's errno, and a counter of its own

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

wire
start_wire_engine e

# refused COUNTER ERRNO PYTHON - the expression fails so, and is counted once
refused() {
	local was now said
	was=$(counter e "$1")
	said=$(gz e python3 -c "
import ctypes, errno, os, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
def call(f, *a):
    if f(*a) < 0:
        raise OSError(ctypes.get_errno(), '')
s = socket.socket()
try:
    $3
    print('no error')
except OSError as e:
    print(errno.errorcode[e.errno])
")
	assert_eq "$said" "$2" "$3"
	now=$(counter e "$1")
	[ "$now" -gt "$was" ] || fail "$1 stays $was: $3"
}

refused bad_pointer EFAULT 'call(libc.bind, s.fileno(), ctypes.c_void_p(8), 16)'
refused bad_pointer EFAULT 'call(libc.setsockopt, s.fileno(), 6, 1, ctypes.c_void_p(8), 4)'
refused setsockopt_unknown ENOPROTOOPT 's.setsockopt(socket.IPPROTO_TCP, 99, 1)'
refused getsockopt_unknown ENOPROTOOPT 's.getsockopt(socket.IPPROTO_TCP, 99)'
refused address_not_available EADDRNOTAVAIL 's.bind(("203.0.113.7", 0))'

# What a queue has no room for is counted, as UdpRcvbufErrors is.
for host in 127.0.0.1 ::1; do
	was=$(counter e udp_rcvbuf_errors)
	got=$(gz e python3 -c "
import socket
family = socket.AF_INET6 if ':' in '$host' else socket.AF_INET
r, s = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
r.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
r.bind(('$host', 0))
for i in range(50):
    s.sendto(b'x' * 1000, r.getsockname())
n = 0
try:
    while True:
        r.recv(2000, socket.MSG_DONTWAIT)
        n += 1
except BlockingIOError:
    print(n)
")
	assert_eq "$(($(counter e udp_rcvbuf_errors) - was))" $((50 - got)) "udp_rcvbuf_errors, $host"
done
stop_engine e
