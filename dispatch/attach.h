/* SPDX-License-Identifier: BSD-3-Clause
 *
 * attach.h - What an engine and gazelle-dispatch say to each other
 *
 * Over RUN_DIR/NAME.sock, dispatch's, an AF_UNIX socket of SOCK_SEQPACKET: one request a
 * packet, of one size, and one answer to each, in the same order.
 *
 *	engine			dispatch
 *	HELLO	->		who asks (SO_PEERCRED), is there a client of that name
 *				for that user, are the addresses within its own?
 *			<-	0, and from now on the addresses are the engine's
 *	LINK, a descriptor ->	of the socket at which the engine listens for
 *				vhost-user (O_PATH will do): dispatch connects to it
 *			<-	0: it will
 *	CLAIM, a port	->	of an address that engines share (see below)
 *			<-	0, or EADDRINUSE: it is another one's
 *	RELEASE, a port ->	it is not needed any more
 *			<-	0
 *
 *	another dispatcher
 *	TAKEOVER ->		of our user: it is to take our place (takeover.h)
 *			<-	a descriptor with each answer, text says which; then
 *			<-	0 without one: all else is closed
 *
 * When the client's address is shared (clients[].shared), the answer to HELLO leases a
 * range to the engine, out of its ephemeral ports: those are its own there, of TCP and of
 * UDP.  Others it claims, one at a time.  An engine that comes to a dispatcher that was
 * started again asks for the lease that it had.
 *
 * The engine stays connected: when it hangs up, its addresses are nobody's and its link
 * is cut.  Dispatch hangs up on whoever does not keep to this.  Nothing that an engine
 * says is believed; an answer of a dispatcher is, that is who the engine was told to ask.
 */
#ifndef GZ_DISPATCH_ATTACH_H
#define GZ_DISPATCH_ATTACH_H

#include <assert.h>
#include <stdint.h>
#include <netinet/in.h>

#define GZ_ATTACH_MAGIC 0x747a6741u
#define GZ_ATTACH_VERSION 2
#define GZ_ATTACH_ADDRS 16

enum gz_attach_op {
	GZ_ATTACH_HELLO = 1,
	GZ_ATTACH_LINK,
	GZ_ATTACH_CLAIM,
	GZ_ATTACH_RELEASE,
	GZ_ATTACH_TAKEOVER,
};

/** Numbers in the machine's order, addresses and names as they are; what is not used: 0 */
struct gz_attach_request {
	uint32_t magic;
	uint16_t version;
	uint16_t op;
	char name[32]; /* HELLO: the engine's and the client's, NUL-terminated */
	uint32_t naddrs;
	struct in6_addr addr[GZ_ATTACH_ADDRS]; /* IPv4 as v4-mapped */
	uint16_t port_lo, port_hi;	       /* HELLO: ephemeral ports; CLAIM, RELEASE: port_lo */
	uint16_t lease_lo, lease_hi;	       /* HELLO: the lease that it had; 0: none */
	uint32_t udp;			       /* CLAIM, RELEASE: else TCP */
};

/** status: 0, or a positive errno with @text saying why; EBUSY and EAGAIN may pass */
struct gz_attach_answer {
	uint32_t magic;
	uint16_t version;
	uint16_t status;
	uint16_t lease_lo, lease_hi; /* of HELLO, if the address is shared; else 0 */
	char text[120];
};

static_assert(sizeof(struct gz_attach_request) == 312, "ABI");
static_assert(sizeof(struct gz_attach_answer) == 132, "ABI");

#endif
