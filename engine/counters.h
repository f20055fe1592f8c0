/* SPDX-License-Identifier: BSD-3-Clause
 *
 * counters.h - Named counters, one table
 *
 * Relaxed atomics, any thread.  Each worker has its own, and the process has some for its
 * other threads; who asks is told the sum.  gazelle-ctl shows GZ_REFUSED_* as "refused":
 * what the stack does not have, answered with the kernel's errno.
 */
#ifndef GZ_COUNTERS_H
#define GZ_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#define GZ_COUNTERS(X)                                                                             \
	/* engine */                                                                               \
	X(NOTIFICATIONS, notifications)                                                            \
	X(CONTINUED, continued)                                                                    \
	X(GONE, notifications_gone)                                                                \
	X(APART, notifications_apart)                                                              \
	X(PARKED, parked)                                                                          \
	X(INTERRUPTED, interrupted)                                                                \
	X(MESSAGES, messages)                                                                      \
	X(LOOPS, loops)                                                                            \
	X(SLEEPS, sleeps)                                                                          \
	X(SOCKETS, sockets_created)                                                                \
	X(KERNEL_SOCKETS, kernel_sockets)                                                          \
	X(KERNEL_SWAPS, kernel_swaps)                                                              \
	X(STALE_SWAPS, inherited_swaps)                                                            \
	X(NETLINK_DUMPS, netlink_dumps)                                                            \
	X(REAPED, reaped)                                                                          \
	X(FOREIGN, foreign_connections)                                                            \
	X(ACCEPTED, accepted)                                                                      \
	X(KERNEL_ACCEPTED, kernel_accepted)                                                        \
	X(CONNECTED, connected)                                                                    \
	X(CONNECT_FAILED, connect_failed)                                                          \
	X(BACKLOG_DROPS, backlog_drops)                                                            \
	X(COOKIES_SENT, syncookies_sent)                                                           \
	X(COOKIES_RECEIVED, syncookies_received)                                                   \
	X(COOKIES_FAILED, syncookies_failed)                                                       \
	X(TIME_WAIT_CUT, time_wait_cut_short)                                                      \
	X(TICKS, flow_ticks)                                                                       \
	X(TICK_SLICES, tick_slices)                                                                \
	X(TICK_LONGEST, tick_longest_us)                                                           \
	X(RELAY_RX, relay_to_app_bytes)                                                            \
	X(UDP_DROPPED, udp_rx_no_room)                                                             \
	X(UDP_TWIN_RX, kernel_datagrams_in)                                                        \
	X(UDP_TWIN_TX, kernel_datagrams_out)                                                       \
	X(UDP_TX_DROPPED, udp_tx_dropped)                                                          \
	X(UDP_NO_PORT, udp_no_port)                                                                \
	X(UDP_ERRORS, udp_icmp_errors)                                                             \
	X(RELAY_TX, relay_from_app_bytes)                                                          \
	X(CHALLENGE_ACKS, challenge_acks)                                                          \
	X(OLD_TIMESTAMPS, tcp_old_timestamps)                                                      \
	X(PATH_MTU, path_mtu_shrunk)                                                               \
	X(PATH_BLACK_HOLES, path_black_holes)                                                      \
	X(PATH_WIDENED, path_widened)                                                              \
	X(TSO, tso)                                                                                \
	X(GSO, gso)                                                                                \
	X(GRO, gro)                                                                                \
	X(TSO_CUT, tso_cut)                                                                        \
	X(RECOVERIES, tcp_recoveries)                                                              \
	X(TAIL_PROBES, tcp_tail_probes)                                                            \
	X(WINDOWS_GROWN, tcp_windows_grown)                                                        \
	X(BUFFERS_REFUSED, tcp_buffers_refused)                                                    \
	X(RING_SOCKETS, ring_sockets)                                                              \
	X(RING_LEFT, ring_left)                                                                    \
	X(RING_FORCED, ring_left_by_force)                                                         \
	X(RING_BACK, ring_came_back)                                                               \
	X(RING_NO_SLOT, ring_no_slot)                                                              \
	X(RING_JOINED, ring_joined)                                                                \
	X(RING_LANES, ring_lanes)                                                                  \
	X(RING_DIRECT, ring_direct_bytes)                                                          \
	X(RING_BELLS, ring_bells)                                                                  \
	X(RING_TOKENS, ring_tokens)                                                                \
	X(RING_TRIMMED, ring_trimmed)                                                              \
	X(RING_BROKEN, ring_broken)                                                                \
	X(RING_RX, ring_to_app_bytes)                                                              \
	X(RING_TX, ring_from_app_bytes)                                                            \
	X(RING_DGRAM_RX, ring_to_app_datagrams)                                                    \
	X(RING_DGRAM_TX, ring_from_app_datagrams)                                                  \
	X(RING_SITES, ring_sites)                                                                  \
	X(RING_REFUSED, ring_sites_refused)                                                        \
	/* port */                                                                                 \
	X(PORT_RX, rx_packets)                                                                     \
	X(PORT_RX_BYTES, rx_bytes)                                                                 \
	X(PORT_TX, tx_packets)                                                                     \
	X(PORT_TX_BYTES, tx_bytes)                                                                 \
	X(PORT_TX_DROPPED, tx_dropped)                                                             \
	X(SOURCE_GONE, tx_source_gone)                                                             \
	X(PORT_NO_MBUF, tx_no_mbuf)                                                                \
	X(PORT_MALFORMED, rx_malformed)                                                            \
	X(PORT_OTHER, rx_other_protocol)                                                           \
	X(PORT_VLAN, rx_other_vlan)                                                                \
	X(CARRIER_CHANGES, carrier_changes)                                                        \
	X(HANDED, handed_to_other_workers)                                                         \
	X(HANDED_DROPPED, handed_dropped)                                                          \
	X(LOOPED, looped_packets)                                                                  \
	/* refused */                                                                              \
	X(REFUSED_FAULT, bad_pointer)                                                              \
	X(REFUSED_GETOPT, getsockopt_unknown)                                                      \
	X(REFUSED_SETOPT, setsockopt_unknown)                                                      \
	X(REFUSED_FLAGS, unsupported_flags)                                                        \
	X(REFUSED_MPTCP, mptcp_sockets)                                                            \
	X(URGENT_LOST, urgent_not_marked)                                                          \
	X(REFUSED_IOCTL, ioctl_unsupported)                                                        \
	X(REFUSED_NETLINK, netlink_requests)                                                       \
	X(REFUSED_CONTROL, unsupported_control_messages)                                           \
	X(REFUSED_NOT_SOCKET, not_ours_bad_descriptor)                                             \
	X(REFUSED_LIMIT, limit_reached)                                                            \
	X(REFUSED_NO_MEMORY, no_memory)                                                            \
	X(LOST_DUPLICATES, swap_lost_duplicates)                                                   \
	X(LOST_EVENTS, swap_lost_events)                                                           \
	X(REFUSED_TWIN, no_kernel_listener)                                                        \
	X(REFUSED_UNREACHABLE, not_reached_any_more)                                               \
	X(REFUSED_ADDRESS, address_not_available)                                                  \
	X(REFUSED_TCP_OPTIONS, tcp_bad_options)

enum gz_counter {
#define X(id, name) GZ_C_##id,
	GZ_COUNTERS(X)
#undef X
	    GZ_COUNTER_MAX
};

/* Those of each port are counted there, see struct gz_wire */
#define GZ_PORT_COUNTERS (GZ_C_PORT_VLAN - GZ_C_PORT_RX + 1)

extern _Atomic uint64_t gz_counters[GZ_COUNTER_MAX];
extern const char *const gz_counter_names[GZ_COUNTER_MAX];

static inline void gz_add(enum gz_counter c, uint64_t n)
{
	atomic_fetch_add_explicit(&gz_counters[c], n, memory_order_relaxed);
}

static inline void gz_count(enum gz_counter c)
{
	gz_add(c, 1);
}

struct gz_port;
struct gz_worker;

/** Of the process and all workers; workers.c */
uint64_t gz_counter_of_all(enum gz_counter c);
/** Of one worker, of all its ports */
uint64_t gz_counter_of_worker(const struct gz_worker *w, enum gz_counter c);
/** Of one port, of all workers: one from GZ_C_PORT_RX to GZ_C_PORT_VLAN */
uint64_t gz_counter_of_port(const struct gz_port *p, enum gz_counter c);
/** The caller's own */
static inline uint64_t gz_counter(enum gz_counter c)
{
	return atomic_load_explicit(&gz_counters[c], memory_order_relaxed);
}

#endif
