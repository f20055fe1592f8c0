/* SPDX-License-Identifier: BSD-3-Clause
 *
 * options.h - Socket options: one table of what is served, stored, refused
 */
#ifndef GZ_OPTIONS_H
#define GZ_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>

/* Younger than the headers that we may be built with: Linux 6.3 */
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

struct gz_sock;

/** Values as getsockopt() returns them, unless said otherwise. */
struct gz_options {
#define GZ_OPTION_ROWS 224
#define GZ_OPTION_PLAIN 80
	int plain[GZ_OPTION_PLAIN]; /* of rows of ints without a field of their own; first */
	int reuseaddr, reuseport, keepalive, broadcast, oobinline, priority, mark, dontroute;
	int rcvbuf, sndbuf, rcvlowat;
	bool rcvbuf_set, sndbuf_set; /* by the program: they bound, as the kernel's locks do */
	struct linger linger;
	struct timeval rcvtimeo, sndtimeo;
	int quickack_asked; /* how often it was set */
	int stamp;	    /* SO_TIMESTAMP, SO_TIMESTAMPNS or one of the new ones; 0: none */
	int stamping;	    /* SO_TIMESTAMPING */
	bool stamping_new;  /* as SO_TIMESTAMPING_NEW has it */
	int nodelay, cork, quickack, keepidle, keepintvl, keepcnt, syncnt, maxseg;
	int user_timeout, defer_accept, linger2, notsent_lowat, inq, save_syn;
	int tos, ttl, v6only, mtu_discover, recverr, bind_no_port, minttl, window_clamp, freebind;
	int hops, tclass, minhops; /* of IPv6 */
	int port_range;		   /* IP_LOCAL_PORT_RANGE: the first, and the last << 16 */
	int reno;		   /* TCP_CONGESTION: 1 for that, 0 for the default */
	char device[16];
	uint8_t at; /* the same as a number, see gz_iface_bound() */
};

void gz_options_init(struct gz_options *o);

/**
 * gz_option_set() - setsockopt(2) on a socket of ours
 * @s:		Locked by the caller
 * @shadow:	The application's descriptor here, for what the kernel's own
 *		socket must honour as well (timeouts)
 * @tid:	Whose capabilities count
 * @val, @len:	Already copied from the application
 *
 * Return: 0 or -errno, the kernel's; what is unknown is counted as refused.
 */
int gz_option_set(struct gz_sock *s, int shadow, pid_t tid, int level, int opt, const void *val,
		  socklen_t len);

/** Has the shadow nothing of its own to be told? */
bool gz_options_are_native(const struct gz_options *o);
/** What a new shadow must know itself: time-outs, SO_RCVLOWAT, SO_OOBINLINE. */
void gz_options_natively(const struct gz_options *o, int shadow);

/** Does gz_option_get() say what gz_info_ask() asked for? */
bool gz_option_is_asked(int level, int opt);
/**
 * gz_option_get() - getsockopt(2)
 * @len:	In: room at @val, at least 256; out: bytes there
 */
int gz_option_get(struct gz_sock *s, int level, int opt, void *val, socklen_t *len);

/** Is @opt stored as a plain value?  For copying options to a kernel socket. */
void gz_options_replay(const struct gz_options *o, int family, int fd);

#endif
