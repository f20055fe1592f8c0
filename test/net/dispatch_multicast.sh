#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_multicast.sh - A group's datagrams go to the engine that has joined it, and to
# no other: after the join, no more after the leave, and again when dispatch was restarted;
# of IPv4 and of IPv6, from outside and from another engine

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

cat >"$WORK/group.py" <<'END'
import socket, struct, sys
what, group, own = sys.argv[1:4]
six = ':' in group
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
if what == 'hear':
    s.bind((group, 7000))
    if six:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                     socket.inet_pton(socket.AF_INET6, group) + struct.pack('i', 0))
    else:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                     socket.inet_aton(group) + socket.inet_aton(own))
    print('joined', flush=True)
    while True:
        print(s.recv(100).decode(), flush=True)
else:
    if six:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF,
                     socket.if_nametoindex(own) if own != '-' else 0)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 4)
    else:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
    for i in range(int(what)):
        s.sendto(b'datagram %d' % i, (group, 7000))
END

joins() { # OUT ENGINE GROUP OWN
	background "$1" gz "$2" python3 -S "$WORK/group.py" hear "$3" "$4"
	wait_line "$1" joined
	within 10 heard "$1" "$3"
}

heard() { # OUT GROUP: one more datagram from outside than before
	local before
	before=$(grep -c datagram "$WORK/$1") || :
	send "$2" 1
	sleep 0.2
	[ "$(grep -c datagram "$WORK/$1")" -gt "$before" ]
}

send() { # GROUP N
	case $1 in
	*:*) in_ns peer python3 -S "$WORK/group.py" "$2" "$1" ve2 ;;
	*) in_ns peer python3 -S "$WORK/group.py" "$2" "$1" 10.1.0.1 ;;
	esac
}

# Frames that go to the engines while 100 datagrams for the group are sent
told() { # GROUP E1 E2: at least and at most 50 stand for 100 and 0
	local before after
	read -r -a before <<<"$(dispatch_counter e1_tx e2_tx)"
	send "$1" 100
	sleep 0.5
	read -r -a after <<<"$(dispatch_counter e1_tx e2_tx)"
	assert_eq "$(((after[0] - before[0]) / 50)) $(((after[1] - before[1]) / 50))" "$2 $3" \
		"fifties of frames of $1 to e1 and e2"
}

two_engines6
within 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:1::3

told 239.1.2.3 0 0
told ff05::1:2 0 0
joins four e1 239.1.2.3 10.1.0.2
FOUR=$PID
joins six e2 ff05::1:2 -
told 239.1.2.3 2 0
told ff05::1:2 0 2
told 224.0.0.251 2 2

# From engine to engine, without a way back to the one that sends
background sends gz e2 python3 -S "$WORK/group.py" 100 239.1.2.3 10.1.0.3
assert finish "$PID" 10
within 5 grep -q "datagram 99" "$WORK/four"

# Nobody in the network asks: dispatch does, when it comes again
stop_dispatch KILL
start_dispatch e1=10.1.0.2,fd00:1::2 e2=10.1.0.3,fd00:1::3
within 10 dispatch_has e1_link 1
within 10 dispatch_has e2_link 1
within 10 heard four 239.1.2.3
within 10 heard six ff05::1:2
told 239.1.2.3 2 0
told ff05::1:2 0 2

end "$FOUR"
sleep 1
told 239.1.2.3 0 0
stop_dispatch
