/* SPDX-License-Identifier: BSD-3-Clause
 *
 * option_table.c - Every option of a TCP socket of either family: what a fresh one says,
 * and what becomes of 0, 1, -1, 2 and 70000
 *
 * The values are those of Linux 6.18, by root.  An option that is younger than
 * some kernel that we run on, or left out of it, may be missing (may_lack[]).
 */
#include <linux/tcp.h>
#define _NETINET_TCP_H 1
#include "check.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef IP_PROTOCOL
#define IP_PROTOCOL 52
#endif
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#define SO_PEERPIDFD 77
#endif
#ifndef TCP_IS_MPTCP
#define TCP_IS_MPTCP 43
#endif

/* Of linux/in6.h, beside which the C library's header cannot be */
#ifndef IPV6_FLOWINFO
#define IPV6_FLOWINFO 11
#endif
#ifndef IPV6_FLOWLABEL_MGR
#define IPV6_FLOWLABEL_MGR 32
#define IPV6_FLOWINFO_SEND 33
#endif
#ifndef IPV6_RECVORIGDSTADDR
#define IPV6_RECVORIGDSTADDR 74
#define IPV6_TRANSPARENT 75
#define IPV6_UNICAST_IF 76
#endif
#ifndef IPV6_MINHOPCOUNT
#define IPV6_MINHOPCOUNT 73
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#define IPV6_ROUTER_ALERT_ISOLATE 30
#define IPV6_RECVERR_RFC4884 31
#endif
#define PREFER_PUBLIC 0x0002
#define PREFER_COA 0x0004
#define PREFER_DEFAULT 0x0100
#define PREFER_HOME 0x0400

#define OPT(level, name) level, name, #name
#define E(error) (-100000 - (error))
#define DONE -99999 /* set, and cannot be read back */
#define ANY -99998

struct option {
	int level, name;
	const char *text;
	int len, value; /* of getsockopt() with 512 bytes of room */
	int after[5];	/* the value, or the error, after each of values[] is set */
};

static const int values[5] = {0, 1, -1, 2, 70000};

static const int may_lack[][2] = {
    {SOL_SOCKET, SO_RCVMARK},	   {SOL_SOCKET, SO_TXREHASH},	 {IPPROTO_IP, IP_LOCAL_PORT_RANGE},
    {IPPROTO_IP, IP_PROTOCOL},	   {SOL_SOCKET, SO_PASSPIDFD},	 {SOL_SOCKET, SO_PEERPIDFD},
    {IPPROTO_TCP, TCP_IS_MPTCP},   {SOL_SOCKET, SO_RESERVE_MEM}, {SOL_SOCKET, SO_BUF_LOCK},
    {SOL_SOCKET, SO_NETNS_COOKIE}, {SOL_SOCKET, SO_PEEK_OFF},	 {SOL_SOCKET, SO_PASSCRED},
    {SOL_SOCKET, SO_PASSSEC},	   {IPPROTO_TCP, TCP_MD5SIG},	 {IPPROTO_TCP, TCP_MD5SIG_EXT},
};

static const struct option alike[] = {
    {OPT(SOL_SOCKET, SO_DEBUG), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_REUSEADDR), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_TYPE),
     4,
     1,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_ERROR),
     4,
     0,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_DONTROUTE), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_BROADCAST), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_SNDBUF), 4, ANY, {4608, 4608, ANY, 4608, 140000}},
    {OPT(SOL_SOCKET, SO_RCVBUF), 4, ANY, {2304, 2304, ANY, 2304, 140000}},
    {OPT(SOL_SOCKET, SO_KEEPALIVE), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_OOBINLINE), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_NO_CHECK), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_PRIORITY), 4, 0, {0, 1, -1, 2, 70000}},
    {OPT(SOL_SOCKET, SO_LINGER), 8, 0, {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_BSDCOMPAT), 4, 0, {0, 0, 0, 0, 0}},
    {OPT(SOL_SOCKET, SO_REUSEPORT), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_PASSCRED),
     0,
     E(EOPNOTSUPP),
     {E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP)}},
    {OPT(SOL_SOCKET, SO_PEERCRED),
     12,
     0,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_RCVLOWAT), 4, 1, {1, 1, ANY, 2, 70000}},
    {OPT(SOL_SOCKET, SO_SNDLOWAT),
     4,
     1,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_RCVTIMEO), 16, 0, {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_SNDTIMEO), 16, 0, {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_BINDTODEVICE), 0, 0, {0, E(ENODEV), E(ENODEV), E(ENODEV), E(ENODEV)}},
    {OPT(SOL_SOCKET, SO_DETACH_FILTER),
     0,
     E(ENOPROTOOPT),
     {E(ENOENT), E(ENOENT), E(ENOENT), E(ENOENT), E(ENOENT)}},
    {OPT(SOL_SOCKET, SO_PEERNAME),
     0,
     E(ENOTCONN),
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_ACCEPTCONN),
     4,
     0,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_SNDBUFFORCE), 0, E(ENOPROTOOPT), {DONE, DONE, DONE, DONE, DONE}},
    {OPT(SOL_SOCKET, SO_RCVBUFFORCE), 0, E(ENOPROTOOPT), {DONE, DONE, DONE, DONE, DONE}},
    {OPT(SOL_SOCKET, SO_PASSSEC),
     0,
     E(EOPNOTSUPP),
     {E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP)}},
    {OPT(SOL_SOCKET, SO_MARK), 4, 0, {0, 1, -1, 2, 70000}},
    {OPT(SOL_SOCKET, SO_PROTOCOL),
     4,
     6,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_DOMAIN),
     4,
     2,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_RXQ_OVFL), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_WIFI_STATUS), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_NOFCS), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_LOCK_FILTER), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_SELECT_ERR_QUEUE), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_BUSY_POLL), 4, 0, {0, 1, E(EINVAL), 2, 70000}},
    {OPT(SOL_SOCKET, SO_BPF_EXTENSIONS),
     4,
     64,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_INCOMING_CPU), 4, -1, {0, 1, -1, 2, 70000}},
    {OPT(SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_CNX_ADVICE), 0, E(ENOPROTOOPT), {DONE, DONE, DONE, DONE, DONE}},
    {OPT(SOL_SOCKET, SO_MEMINFO),
     36,
     ANY,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_INCOMING_NAPI_ID),
     4,
     ANY,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_COOKIE),
     8,
     ANY,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_PEERGROUPS),
     0,
     E(ENODATA),
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_RCVTIMEO_NEW),
     16,
     0,
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_SNDTIMEO_NEW),
     16,
     0,
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_DETACH_REUSEPORT_BPF),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_PREFER_BUSY_POLL), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_BUSY_POLL_BUDGET),
     0,
     E(ENOPROTOOPT),
     {DONE, DONE, E(EINVAL), DONE, E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_NETNS_COOKIE),
     0,
     E(EINVAL),
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_BUF_LOCK), 4, 0, {0, 1, E(EINVAL), 2, E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_TXREHASH), 4, 1, {0, 1, 1, E(EINVAL), E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_RCVMARK), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_PASSPIDFD),
     0,
     E(EOPNOTSUPP),
     {E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP)}},
    {OPT(SOL_SOCKET, SO_PEERPIDFD),
     0,
     E(ENODATA),
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(IPPROTO_TCP, TCP_NODELAY), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_TCP, TCP_MAXSEG), 4, 536, {536, E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_CORK), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_TCP, TCP_KEEPIDLE), 4, 7200, {E(EINVAL), 1, E(EINVAL), 2, E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_KEEPINTVL), 4, 75, {E(EINVAL), 1, E(EINVAL), 2, E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_KEEPCNT), 4, 9, {E(EINVAL), 1, E(EINVAL), 2, E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_SYNCNT), 4, 6, {E(EINVAL), 1, E(EINVAL), 2, E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_LINGER2), 4, 60, {60, 1, -1, 2, 120}},
    {OPT(IPPROTO_TCP, TCP_DEFER_ACCEPT), 4, 0, {0, 1, 0, 3, 29887}},
    {OPT(IPPROTO_TCP, TCP_WINDOW_CLAMP), 4, 0, {0, 1152, 1152, 1152, 70000}},
    {OPT(IPPROTO_TCP, TCP_INFO),
     ANY,
     ANY,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(IPPROTO_TCP, TCP_QUICKACK), 4, 1, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_TCP, TCP_CONGESTION),
     16,
     ANY,
     {E(ENOENT), E(ENOENT), E(ENOENT), E(ENOENT), E(ENOENT)}},
    {OPT(IPPROTO_TCP, TCP_MD5SIG),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS), 4, 0, {0, 1, E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_THIN_DUPACK), 4, 0, {0, 0, E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_USER_TIMEOUT), 4, 0, {0, 1, E(EINVAL), 2, 70000}},
    {OPT(IPPROTO_TCP, TCP_REPAIR_QUEUE),
     0,
     E(EINVAL),
     {E(EPERM), E(EPERM), E(EPERM), E(EPERM), E(EPERM)}},
    {OPT(IPPROTO_TCP, TCP_QUEUE_SEQ),
     0,
     E(EINVAL),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_REPAIR_OPTIONS),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_NOTSENT_LOWAT), 4, ANY, {0, 1, -1, 2, 70000}},
    {OPT(IPPROTO_TCP, TCP_CC_INFO),
     ANY,
     ANY,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(IPPROTO_TCP, TCP_SAVED_SYN),
     0,
     0,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(IPPROTO_TCP, TCP_REPAIR_WINDOW),
     0,
     E(EINVAL),
     {E(EPERM), E(EPERM), E(EPERM), E(EPERM), E(EPERM)}},
    {OPT(IPPROTO_TCP, TCP_ULP), 0, 0, {E(ENOENT), E(ENOENT), E(ENOENT), E(ENOENT), E(ENOENT)}},
    {OPT(IPPROTO_TCP, TCP_MD5SIG_EXT),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_FASTOPEN_KEY),
     0,
     0,
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE), 4, 0, {0, 1, E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_IS_MPTCP),
     4,
     0,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(IPPROTO_IP, IP_TOS), 4, 0, {0, 0, 252, 0, 112}},
    {OPT(IPPROTO_IP, IP_TTL), 4, 64, {E(EINVAL), 1, 64, 2, E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_HDRINCL),
     4,
     0,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(IPPROTO_IP, IP_ROUTER_ALERT),
     4,
     0,
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_RECVOPTS), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IP, IP_RETOPTS), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IP, IP_PKTINFO), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IP, IP_PKTOPTIONS),
     0,
     0,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(IPPROTO_IP, IP_MTU_DISCOVER), 4, ANY, {0, 1, E(EINVAL), 2, E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_RECVERR), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IP, IP_RECVTTL), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IP, IP_RECVTOS), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IP, IP_MTU),
     0,
     E(ENOTCONN),
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(IPPROTO_IP, IP_IPSEC_POLICY),
     0,
     E(ENOPROTOOPT),
     {E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP)}},
    {OPT(IPPROTO_IP, IP_XFRM_POLICY),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_PASSSEC), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IP, IP_RECVORIGDSTADDR), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IP, IP_MINTTL), 4, 0, {0, 1, E(EINVAL), 2, E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_NODEFRAG),
     4,
     0,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(IPPROTO_IP, IP_CHECKSUM), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IP, IP_RECVFRAGSIZE),
     4,
     0,
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_RECVERR_RFC4884), 4, 0, {0, 1, E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_MULTICAST_IF),
     4,
     0,
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_MULTICAST_TTL),
     4,
     1,
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_MULTICAST_LOOP), 4, 1, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IP, IP_ADD_MEMBERSHIP),
     0,
     E(ENOPROTOOPT),
     {E(EPROTO), E(EPROTO), E(EPROTO), E(EPROTO), E(EPROTO)}},
    {OPT(IPPROTO_IP, IP_DROP_MEMBERSHIP),
     0,
     E(ENOPROTOOPT),
     {E(EPROTO), E(EPROTO), E(EPROTO), E(EPROTO), E(EPROTO)}},
    {OPT(IPPROTO_IP, IP_UNBLOCK_SOURCE),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_BLOCK_SOURCE),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_MSFILTER),
     0,
     E(EINVAL),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, MCAST_JOIN_GROUP),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, MCAST_BLOCK_SOURCE),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, MCAST_UNBLOCK_SOURCE),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, MCAST_LEAVE_GROUP),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, MCAST_MSFILTER),
     0,
     E(EINVAL),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_MULTICAST_ALL), 4, 1, {0, 1, E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_UNICAST_IF),
     4,
     0,
     {0, E(EADDRNOTAVAIL), E(EADDRNOTAVAIL), E(EADDRNOTAVAIL), E(EADDRNOTAVAIL)}},
    {OPT(SOL_SOCKET, SO_PEEK_OFF), 4, -1, {0, 1, -1, 2, 70000}},
    {OPT(IPPROTO_IP, IP_LOCAL_PORT_RANGE), 4, 0, {0, 1, -1, 2, E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_PROTOCOL),
     4,
     0,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(SOL_SOCKET, SO_TIMESTAMP), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_TIMESTAMPNS), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_TIMESTAMP_NEW), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(SOL_SOCKET, SO_TIMESTAMPNS_NEW), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_TCP, TCP_INQ), 4, 0, {0, 1, E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_FREEBIND), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_V6ONLY),
     0,
     E(EOPNOTSUPP),
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
};

/* Of an IPv6 socket */
static const struct option alike6[] = {
    {OPT(IPPROTO_IPV6, IPV6_ADDRFORM),
     0,
     E(ENOTCONN),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(ENOTCONN), E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_2292PKTINFO), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_2292HOPOPTS), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_2292DSTOPTS), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_2292RTHDR), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_2292PKTOPTIONS), 0, 0, {0, 0, 0, 0, 0}},
    {OPT(IPPROTO_IPV6, IPV6_2292HOPLIMIT), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_UNICAST_HOPS), 4, 64, {0, 1, 64, 2, E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_MULTICAST_IF),
     4,
     0,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(IPPROTO_IPV6, IPV6_MULTICAST_HOPS),
     4,
     1,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(IPPROTO_IPV6, IPV6_MULTICAST_LOOP), 4, 1, {0, 1, E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_JOIN_GROUP),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_LEAVE_GROUP),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_ROUTER_ALERT),
     4,
     0,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(IPPROTO_IPV6, IPV6_MTU_DISCOVER), 4, 1, {0, 1, E(EINVAL), 2, E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_MTU),
     0,
     E(ENOTCONN),
     {E(ENOTCONN), E(EINVAL), E(EINVAL), E(EINVAL), E(ENOTCONN)}},
    {OPT(IPPROTO_IPV6, IPV6_RECVERR), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_V6ONLY), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_JOIN_ANYCAST),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_LEAVE_ANYCAST),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_MULTICAST_ALL), 4, 1, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_ROUTER_ALERT_ISOLATE), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_RECVERR_RFC4884), 4, 0, {0, 1, E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_FLOWLABEL_MGR),
     0,
     E(ENOENT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_IPSEC_POLICY),
     0,
     E(ENOPROTOOPT),
     {E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP), E(EOPNOTSUPP)}},
    {OPT(IPPROTO_IPV6, IPV6_XFRM_POLICY),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_RECVPKTINFO), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_PKTINFO),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_RECVHOPLIMIT), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_RECVHOPOPTS), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_HOPOPTS),
     0,
     0,
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_RTHDRDSTOPTS),
     0,
     0,
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_RECVRTHDR), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_RTHDR), 0, 0, {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_RECVDSTOPTS), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_DSTOPTS),
     0,
     0,
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_RECVPATHMTU), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_PATHMTU),
     0,
     E(ENOTCONN),
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(IPPROTO_IPV6, IPV6_DONTFRAG), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_RECVTCLASS), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_TCLASS), 4, 0, {0, 0, 0, 0, E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_ADDR_PREFERENCES), 4, 1280, {1280, 1025, E(EINVAL), 1026, 1280}},
    {OPT(IPPROTO_IPV6, IPV6_MINHOPCOUNT), 4, 0, {0, 1, E(EINVAL), 2, E(EINVAL)}},
    {OPT(IPPROTO_IPV6, IPV6_RECVORIGDSTADDR), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_UNICAST_IF),
     4,
     0,
     {0, E(EADDRNOTAVAIL), E(EADDRNOTAVAIL), E(EADDRNOTAVAIL), E(EADDRNOTAVAIL)}},
    {OPT(IPPROTO_IPV6, IPV6_RECVFRAGSIZE), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_FREEBIND), 4, 0, {0, 1, 1, 1, 1}},
};

/* What a stack may well refuse */
static const struct option optional[] = {
    {OPT(SOL_SOCKET, SO_ATTACH_FILTER),
     0,
     0,
     {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_TIMESTAMPING), 8, 0, {0, 1, E(EINVAL), 2, E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_MAX_PACING_RATE), 8, -1, {0, 1, -1, 2, 70000}},
    {OPT(SOL_SOCKET, SO_ATTACH_BPF),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EBADF), E(EINVAL), E(EBADF)}},
    {OPT(SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF),
     0,
     E(ENOPROTOOPT),
     {E(EINVAL), E(EINVAL), E(EBADF), E(EINVAL), E(EBADF)}},
    {OPT(SOL_SOCKET, SO_ZEROCOPY), 4, 0, {0, 1, E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_TXTIME), 8, 0, {E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_BINDTOIFINDEX), 4, 0, {0, 1, E(EINVAL), 2, 70000}},
    {OPT(SOL_SOCKET, SO_TIMESTAMPING_NEW), 8, 0, {0, 1, E(EINVAL), 2, E(EINVAL)}},
    {OPT(SOL_SOCKET, SO_RESERVE_MEM),
     4,
     0,
     {E(EOPNOTSUPP), E(EOPNOTSUPP), E(EINVAL), E(EOPNOTSUPP), E(EOPNOTSUPP)}},
    {OPT(IPPROTO_TCP, TCP_REPAIR), 4, 0, {0, 1, 0, E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_FASTOPEN), 4, 0, {0, 1, E(EINVAL), 2, 4096}},
    {OPT(IPPROTO_TCP, TCP_TIMESTAMP), 4, ANY, {E(EPERM), E(EPERM), E(EPERM), E(EPERM), E(EPERM)}},
    {OPT(IPPROTO_TCP, TCP_SAVE_SYN), 4, 0, {0, 1, E(EINVAL), 2, E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_FASTOPEN_CONNECT), 4, 0, {0, 1, E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE),
     64,
     0,
     {E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT), E(ENOPROTOOPT)}},
    {OPT(IPPROTO_TCP, TCP_TX_DELAY), 4, 0, {0, 1, E(EINVAL), 2, 70000}},
    {OPT(IPPROTO_IP, IP_OPTIONS), 0, 0, {0, 1, E(EINVAL), E(EINVAL), E(EINVAL)}},
    {OPT(IPPROTO_IP, IP_TRANSPARENT), 4, 0, {0, 1, 1, 1, 1}},
};

static const struct option optional6[] = {
    {OPT(IPPROTO_IPV6, IPV6_FLOWINFO), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_FLOWINFO_SEND), 4, 0, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL), 4, 1, {0, 1, 1, 1, 1}},
    {OPT(IPPROTO_IPV6, IPV6_TRANSPARENT), 4, 0, {0, 1, 1, 1, 1}},
};

static int family = AF_INET;

static bool lacks(const struct option *o)
{
	for (size_t i = 0; i < sizeof(may_lack) / sizeof(may_lack[0]); i++)
		if (may_lack[i][0] == o->level && may_lack[i][1] == o->name)
			return true;
	return false;
}

/* Return: what getsockopt() says, or E(errno); *len as it gave it */
static int get(int fd, const struct option *o, int *len)
{
	char room[512] = {0};
	socklen_t n = sizeof(room);
	int v;

	*len = 0;
	if (getsockopt(fd, o->level, o->name, room, &n) < 0)
		return E(errno);
	*len = (int)n;
	memcpy(&v, room, sizeof(v));
	return v;
}

static int set_and_get(const struct option *o, int v)
{
	int fd = (int)OK(socket(family, SOCK_STREAM, 0)), len, got;

	if (setsockopt(fd, o->level, o->name, &v, sizeof(v)) < 0)
		got = E(errno);
	else
		got = get(fd, o, &len);
	OK(close(fd));
	return got;
}

static bool is(int got, int want)
{
	return want == ANY || got == want || (want == DONE && got == E(ENOPROTOOPT));
}

static unsigned check_one(const struct option *o)
{
	int fd = (int)OK(socket(family, SOCK_STREAM, 0)), len, got = get(fd, o, &len);
	unsigned wrong = 0;

	OK(close(fd));
	if (lacks(o) && got != o->value)
		return 0;
	if (!is(got, o->value) || !is(len, o->len)) {
		fprintf(stderr, "%s: %d, %d bytes; expected %d, %d bytes\n", o->text, got, len,
			o->value, o->len);
		wrong++;
	}
	for (int i = 0; i < 5; i++) {
		got = set_and_get(o, values[i]);
		if (is(got, o->after[i]))
			continue;
		fprintf(stderr, "%s set to %d: %d, expected %d\n", o->text, values[i], got,
			o->after[i]);
		wrong++;
	}
	return wrong;
}

static void all_of(const struct option *o, size_t n, const char *prefix)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < n; i++)
		if (!strncmp(o[i].text, prefix, strlen(prefix)) ||
		    (*prefix == 'I' && !strncmp(o[i].text, "MCAST_", 6)))
			wrong += check_one(&o[i]);
	CHECK_EQ(wrong, 0);
}

#define ALL(table, prefix) all_of(table, sizeof(table) / sizeof(table[0]), prefix)

static void socket_level(void)
{
	ALL(alike, "SO_");
}

static void tcp_level(void)
{
	ALL(alike, "TCP_");
}

static void ip_level(void)
{
	ALL(alike, "IP_");
}

static void ipv6_level(void)
{
	ALL(alike, "IPV6_");
	family = AF_INET6;
	ALL(alike6, "IPV6_");
}

/* What has an effect that a table does not show */
static void ipv6_headers_and_preferences(void)
{
	static const int header[] = {IPV6_HOPOPTS, IPV6_RTHDRDSTOPTS, IPV6_RTHDR, IPV6_DSTOPTS};
	int fd = (int)OK(socket(AF_INET6, SOCK_STREAM, 0));
	struct ipv6_mreq none = {.ipv6mr_interface = 0};

	for (int i = 0; i < 4; i++)
		OK(setsockopt(fd, IPPROTO_IPV6, header[i], NULL, 0)); /* take it away */
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &none, sizeof(none)), EPROTO);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &none, sizeof(none)), EPROTO);
	/* Of each pair the one that is named, else the default */
	set_option(fd, IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, PREFER_PUBLIC);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_ADDR_PREFERENCES), PREFER_PUBLIC | PREFER_HOME);
	set_option(fd, IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, PREFER_COA);
	CHECK_EQ(get_option(fd, IPPROTO_IPV6, IPV6_ADDR_PREFERENCES), PREFER_DEFAULT | PREFER_COA);
	CHECK_ERRNO(setsockopt(fd, IPPROTO_IPV6, IPV6_ADDR_PREFERENCES,
			       &(int){PREFER_COA | PREFER_HOME}, sizeof(int)),
		    EINVAL);
}

static void optional_at_socket_level(void)
{
	ALL(optional, "SO_");
}

static void optional_at_tcp_level(void)
{
	ALL(optional, "TCP_");
}

static void optional_at_ip_level(void)
{
	ALL(optional, "IP_");
}

static void optional_at_ipv6_level(void)
{
	family = AF_INET6;
	ALL(optional6, "IPV6_");
}

CHECK_MAIN(CASE(socket_level), CASE(tcp_level), CASE(ip_level), CASE(ipv6_level),
	   CASE(ipv6_headers_and_preferences), CASE(optional_at_socket_level),
	   CASE(optional_at_tcp_level), CASE(optional_at_ip_level), CASE(optional_at_ipv6_level))
