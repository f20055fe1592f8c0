/* SPDX-License-Identifier: BSD-3-Clause
 *
 * lwipopts.h - How the unmodified lwIP 2.2.1 is compiled
 *
 * NO_SYS with the raw API; timers are ours (timers.c); every allocation goes to
 * malloc, because lwIP's own heap is a first-fit list and its pool counts are
 * 16 bits wide.
 */
#ifndef GZ_LWIPOPTS_H
#define GZ_LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_SINGLE_NETIF 0

/* Memory: limits are enforced by the engine, not by pools. */
#define MEM_ALIGNMENT 8
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEMP_OVERFLOW_CHECK 0
#define MEMP_SANITY_CHECK 0
#define PBUF_POOL_BUFSIZE 2048

#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define IPV6_FRAG_COPYHEADER 1	   /* lwIP asserts otherwise on 64 bits */
#define LWIP_IPV6_NUM_ADDRESSES 12 /* link-local, GZ_ADDRS_MAX, three by SLAAC */
#define LWIP_ND6_NUM_NEIGHBORS 64
#define LWIP_ND6_NUM_DESTINATIONS 120
#define LWIP_ND6_NUM_PREFIXES 16 /* of all ports */
#define LWIP_ND6_NUM_ROUTERS 8
#define MEMP_NUM_ND6_QUEUE 256
#define LWIP_ARP 1
#define ARP_TABLE_SIZE 127
#define ARP_QUEUEING 1
#define ETHARP_SUPPORT_STATIC_ENTRIES 1
#define IP_REASSEMBLY 1
#define IP_FRAG 1
#define IP_REASS_MAX_PBUFS 1024
#define MEMP_NUM_REASSDATA 64
#define LWIP_ICMP 1
#define LWIP_RAW 0
#define LWIP_UDP 1
#define LWIP_IGMP 1
/* engine/dhcp.c.  Leases are kept to the second, however long: lwIP's own macros do not. */
#define LWIP_DHCP 1
#define LWIP_DHCP_DOES_ACD_CHECK 0
#define DHCP_COARSE_TIMER_SECS 1
#define DHCP_TIMEOUT_SIZE_T u32_t
#define DHCP_DEFINE_CUSTOM_TIMEOUTS
#define DHCP_SET_TIMEOUT_FROM_OFFERED_T0_LEASE(res, dhcp)                                          \
	((res) = LWIP_MAX((dhcp)->offered_t0_lease, 1u))
#define DHCP_SET_TIMEOUT_FROM_OFFERED_T1_RENEW(res, dhcp)                                          \
	((res) = LWIP_MAX((dhcp)->offered_t1_renew, 1u))
#define DHCP_SET_TIMEOUT_FROM_OFFERED_T2_REBIND(res, dhcp)                                         \
	((res) = LWIP_MAX((dhcp)->offered_t2_rebind, 1u))
#define DHCP_NEXT_TIMEOUT_THRESHOLD 60 /* RFC 2131 section 4.4.5 */
#define DHCP_REQUEST_BACKOFF_SEQUENCE(tries) ((tries) < 6 ? 1000u << (tries) : 60000u) /* ms */
#define DHCP_ADD_EXTRA_REQUEST_OPTIONS , DHCP_OPTION_MTU
#define LWIP_HOOK_DHCP_PARSE_OPTION(netif, dhcp, state, msg, type, option, len, p, at)             \
	do {                                                                                       \
		LWIP_UNUSED_ARG(msg);                                                              \
		gz_dhcp_option(netif, option, len, p, at);                                         \
	} while (0)
#define LWIP_DNS 0
#define LWIP_ACD 0
#define LWIP_AUTOIP 0
#define LWIP_NETIF_LOOPBACK 0 /* netif.c loops by itself */
#define LWIP_HAVE_LOOPIF 0
#define LWIP_NETIF_TX_SINGLE_PBUF 0
#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define LWIP_NETIF_HWADDRHINT 1
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1

/* TCP */
#define LWIP_TCP 1
#define TCP_MSS 9560 /* of the largest port.mtu; what the port has is less */
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 7
#define TCP_WND (4 * 1024 * 1024) /* = GZ_RX_MOST; engine/window.c gives less */
#define TCP_SND_BUF (256 * 1024)  /* = GZ_TX_RING */
#define TCP_SND_QUEUELEN 0xfff0
#define TCP_SNDLOWAT 16384 /* unused; lwIP checks it */
#define TCP_WND_UPDATE_THRESHOLD (4 * 1460)
#define TCP_SNDQUEUELOWAT (TCP_SND_QUEUELEN / 2)
#define TCP_OVERSIZE 0 /* data is referenced, not copied */
#define LWIP_TCP_SACK_OUT 1
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_PBUFS 512
#define LWIP_TCP_TIMESTAMPS 1 /* tcp.timestamps may forbid them, timestamp.c */
#define LWIP_TCP_KEEPALIVE 1
#define TCP_TMR_INTERVAL 10    /* ms; a slow tick is 20 ms */
#define LWIP_TCP_RTO_TIME 1000 /* RFC 6298 section 2 */
#define TCP_MAXRTX 12	       /* held below by timers.c */
#define TCP_SYNMAXRTX 12       /* held below by timers.c */
#define TCP_MSL 30000	       /* TIME_WAIT 60 s, as Linux */
#define TCP_LISTEN_BACKLOG 0   /* listener.c counts, not u8 */
#define SO_REUSE 1
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1

#define LWIP_STATS 1
#define LWIP_STATS_LARGE 1
#define LWIP_STATS_DISPLAY 0
#define MEM_STATS 0
#define MEMP_STATS 0
#define SYS_STATS 0
#define MIB2_STATS 0

#ifndef __ASSEMBLER__
#include <stdint.h>
uint16_t gz_chksum(const void *data, int len);
#define LWIP_CHKSUM gz_chksum

/* RFC 6528, RFC 7323: initial sequence numbers and clocks are keyed (sys.c). */
struct ip_addr;
uint32_t gz_tcp_ts_offset(const struct ip_addr *lip, const struct ip_addr *rip);
uint32_t gz_tcp_isn(const struct ip_addr *lip, uint16_t lport, const struct ip_addr *rip,
		    uint16_t rport);
/* Not NULL: it is this one, which the peer was told already (engine/cookie.c). */
void gz_tcp_isn_next(const uint32_t *isn);

/* engine/segment.c sees each segment. */
struct tcp_pcb;
struct tcp_hdr;
struct pbuf;
int8_t gz_segment_in(struct tcp_pcb *pcb, const struct tcp_hdr *h, const struct pbuf *p);
uint32_t *gz_segment_out(const struct pbuf *p, struct tcp_hdr *h, const struct tcp_pcb *pcb,
			 uint32_t *opts);
uint8_t gz_timestamp_room(const struct tcp_pcb *pcb, uint8_t len);
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, hdr, optlen, opt1len, opt2, p) gz_segment_in(pcb, hdr, p)
#define LWIP_HOOK_TCP_OUT_TCPOPT_LENGTH(pcb, len) gz_timestamp_room(pcb, len)
#define LWIP_HOOK_TCP_OUT_ADD_TCPOPTS(p, hdr, pcb, opts) gz_segment_out(p, hdr, pcb, opts)

struct netif;
struct ip6_addr;
void gz_dhcp_option(struct netif *nif, uint8_t option, uint8_t len, struct pbuf *p, uint16_t at);
const struct ip6_addr *gz_nd6_gateway(struct netif *nif, const struct ip6_addr *dest);
#define LWIP_HOOK_ND6_GET_GW(nif, dest) gz_nd6_gateway(nif, dest)
struct netif *gz_ip6_route(const struct ip6_addr *src, const struct ip6_addr *dest);
#define LWIP_HOOK_IP6_ROUTE(src, dest) gz_ip6_route(src, dest)
struct ip4_addr;
struct netif *gz_ip4_route(const struct ip4_addr *src, const struct ip4_addr *dest);
const struct ip4_addr *gz_etharp_gateway(struct netif *nif, const struct ip4_addr *dest);
#define LWIP_HOOK_IP4_ROUTE_SRC(src, dest) gz_ip4_route(src, dest)
#define LWIP_HOOK_ETHARP_GET_GW(nif, dest) gz_etharp_gateway(nif, dest)
#define LWIP_HOOK_TCP_ISN(lip, lport, rip, rport) gz_tcp_isn(lip, lport, rip, rport)
#endif

#endif
