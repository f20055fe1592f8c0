/* SPDX-License-Identifier: BSD-3-Clause
 *
 * attach.c - The control socket, by which engines become clients: see attach.h
 *
 * Theory of operation: main serves it, one packet of a peer at a time, so that nobody
 * keeps another waiting for more than a packet.  Whoever may connect may ask; there is
 * room for PEERS_SPARE who are no clients yet, and the one that has been there longest
 * without becoming one makes room.  Who does not read its answers is hung up on.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dispatch/dispatch.h"
#include "dispatch/takeover.h"

#define PEERS_SPARE 32
#define PEERS_MAX (GZ_CLIENTS_MAX + PEERS_SPARE)
#define ACCEPTS 8 /* a turn */

struct peer {
	struct dispatch *d; /* the port of its place */
	int place;	    /* -1: none yet */
	uint64_t number;
	struct ucred who;
};

/* What poll(2) looks at: what the caller waits for, new peers, then peers */
enum { FD_CALLER, FD_LISTEN, FD_PEERS };

static struct {
	struct pollfd fd[FD_PEERS + PEERS_MAX];
	struct peer peer[PEERS_MAX];
	unsigned n; /* peers */
	uint64_t number;
	char path[GZ_PATH_MAX];
} control = {.fd[FD_LISTEN].fd = -1};

/* --- messages -------------------------------------------------------------- */

/** answer() - Return: false if the peer does not take it */
static bool answer(int fd, int rc, const char *text, const struct client *leased)
{
	struct gz_attach_answer a = {
	    .magic = GZ_ATTACH_MAGIC,
	    .version = GZ_ATTACH_VERSION,
	    .status = (uint16_t)(rc < 0 ? -rc : 0),
	};

	if (leased && leased->ports) {
		a.lease_lo = leased->lease_lo;
		a.lease_hi = leased->lease_hi;
	}
	snprintf(a.text, sizeof(a.text), "%s", rc < 0 ? text : "");
	return send(fd, &a, sizeof(a), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(a);
}

/**
 * read_request() - One packet
 * @fd:		Filled: the descriptor that came with it, or -1; more are closed
 *
 * Return: its bytes, 0 at the end, -1: none
 */
static ssize_t read_request(int from, struct gz_attach_request *r, int *fd)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} control_data;
	struct iovec v = {r, sizeof(*r)};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = &control_data,
			   .msg_controllen = sizeof(control_data)};
	ssize_t n = recvmsg(from, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);

	*fd = -1;
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return n;
	memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	/* A second one fits in where one is aligned */
	for (size_t at = sizeof(int); CMSG_LEN(at) < c->cmsg_len; at += sizeof(int)) {
		int more;

		memcpy(&more, CMSG_DATA(c) + at, sizeof(more));
		close(more);
	}
	return n;
}

/** serve() - Return: 0 or -errno with the reason in @text */
static int serve(struct dispatch *first, struct peer *p, const struct gz_attach_request *r, int *fd,
		 char *text, size_t n)
{
	int rc, taken = *fd;

	switch (r->op) {
	case GZ_ATTACH_HELLO:
		if (p->place >= 0)
			return gz_failed(text, n, EALREADY, "said already");
		p->d = port_of_client(first, r->name);
		rc = client_attach(p->d, &p->who, r, text, n);
		if (rc < 0)
			return rc;
		p->place = rc;
		return 0;
	case GZ_ATTACH_LINK:
		if (p->place < 0)
			return gz_failed(text, n, EPROTO, "expected HELLO first");
		if (taken < 0)
			return gz_failed(text, n, EINVAL, "expected a descriptor with it");
		*fd = -1;
		return client_link(p->d, (unsigned)p->place, &p->who, taken, text, n);
	case GZ_ATTACH_CLAIM:
	case GZ_ATTACH_RELEASE:
		if (p->place < 0)
			return gz_failed(text, n, EPROTO, "expected HELLO first");
		return (r->op == GZ_ATTACH_CLAIM ? client_claim : client_release)(
		    p->d, (unsigned)p->place, r->udp, r->port_lo, text, n);
	case GZ_ATTACH_TAKEOVER:
		return gz_failed(text, n, EACCES, "user %u may not take over", p->who.uid);
	default:
		return gz_failed(text, n, EOPNOTSUPP, "unknown request %u", r->op);
	}
}

/** hear() - Read and answer a packet.  Return: false if the peer is finished with */
static bool hear(struct dispatch *first, int from, struct peer *p)
{
	struct gz_attach_request r;
	char text[sizeof(((struct gz_attach_answer *)0)->text)] = "";
	int fd = -1, rc;
	ssize_t len = read_request(from, &r, &fd);
	bool goes_on;

	if (len < 0)
		return errno == EAGAIN || errno == EINTR;
	/* The end, or an empty packet, which may have a descriptor with it */
	if (!len) {
		goes_on = false;
	} else if (len != sizeof(r) || r.magic != GZ_ATTACH_MAGIC ||
		   r.version != GZ_ATTACH_VERSION) {
		answer(from, -EPROTO, "engine and dispatch are of different versions", NULL);
		goes_on = false;
	} else if (!memchr(r.name, 0, sizeof(r.name))) {
		answer(from, -EPROTO, "a name without an end", NULL);
		goes_on = false;
	} else if (r.op == GZ_ATTACH_TAKEOVER && p->place < 0 && p->who.uid == geteuid()) {
		takeover_asked(from); /* it is answered when there is something to take */
		goes_on = false;
	} else {
		rc = serve(first, p, &r, &fd, text, sizeof(text));
		goes_on =
		    answer(from, rc, text,
			   r.op == GZ_ATTACH_HELLO && !rc ? &p->d->clients.place[p->place] : NULL);
	}
	if (fd >= 0)
		close(fd);
	return goes_on;
}

/* --- peers ----------------------------------------------------------------- */

static void hang_up(unsigned i)
{
	unsigned last = --control.n;

	close(control.fd[FD_PEERS + i].fd);
	if (control.peer[i].place >= 0)
		client_detach(control.peer[i].d, (unsigned)control.peer[i].place);
	control.fd[FD_PEERS + i] = control.fd[FD_PEERS + last];
	control.peer[i] = control.peer[last];
}

/** make_room() - Whoever is no client longest goes.  There is one: clients have less room */
static void make_room(void)
{
	unsigned oldest = PEERS_MAX;

	for (unsigned i = 0; i < control.n; i++) {
		if (control.peer[i].place < 0 &&
		    (oldest == PEERS_MAX || control.peer[i].number < control.peer[oldest].number))
			oldest = i;
	}
	hang_up(oldest);
}

static void take_peer(void)
{
	int fd = accept4(control.fd[FD_LISTEN].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer p = {.place = -1, .number = control.number++};
	socklen_t len = sizeof(p.who);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &p.who, &len)) {
		close(fd);
		return;
	}
	if (control.n == PEERS_MAX)
		make_room();
	control.fd[FD_PEERS + control.n] = (struct pollfd){.fd = fd, .events = POLLIN};
	control.peer[control.n++] = p;
}

void attach_wait(struct dispatch *first, int fd, int ms)
{
	control.fd[FD_CALLER] = (struct pollfd){.fd = fd, .events = POLLIN};
	if (poll(control.fd, FD_PEERS + control.n, ms) <= 0)
		return;
	/* Backwards: whoever takes the place of one that left has had its turn */
	for (unsigned i = control.n; i-- > 0;) {
		if (control.fd[FD_PEERS + i].revents &&
		    !hear(first, control.fd[FD_PEERS + i].fd, &control.peer[i]))
			hang_up(i);
	}
	for (unsigned i = 0; control.fd[FD_LISTEN].revents && i < ACCEPTS; i++)
		take_peer();
}

void attach_cut(struct dispatch *d, unsigned place)
{
	for (unsigned i = 0; i < control.n; i++) {
		if (control.peer[i].d == d && control.peer[i].place == (int)place) {
			hang_up(i);
			return;
		}
	}
}

/* --- start and end --------------------------------------------------------- */

int attach_open(struct dispatch *d, char *err, size_t n)
{
	const struct gz_dispatch_config *c = &d->config;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd;

	if (mkdir(c->run_dir, 0755) && errno != EEXIST)
		return gz_failed(err, n, errno, "%s cannot be made: %m", c->run_dir);
	if (gz_control_path(control.path, sizeof(control.path), c->run_dir, c->name))
		return gz_failed(err, n, ENAMETOOLONG, "%s/%s.sock is too long", c->run_dir,
				 c->name);
	control.fd[FD_LISTEN] = (struct pollfd){.fd = takeover_take("control"), .events = POLLIN};
	if (control.fd[FD_LISTEN].fd >= 0) {
		listen(control.fd[FD_LISTEN].fd, GZ_CLIENTS_MAX); /* SO_PEERCRED is ours now */
		return 0;
	}
	memcpy(a.sun_path, control.path, sizeof(a.sun_path));
	unlink(a.sun_path); /* of a predecessor: EAL lets only one of a name run */
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Anybody may ask, see client_attach() */
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || chmod(a.sun_path, 0666) ||
	    listen(fd, GZ_CLIENTS_MAX)) {
		gz_failed(err, n, errno, "the control socket %s cannot be made: %m", a.sun_path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	control.fd[FD_LISTEN].fd = fd;
	return 0;
}

void attach_close(void)
{
	if (control.fd[FD_LISTEN].fd < 0)
		return;
	takeover_give(control.fd[FD_LISTEN].fd, "control", "");
	if (!takeover_wanted())
		unlink(control.path);
	close(control.fd[FD_LISTEN].fd);
	control.fd[FD_LISTEN].fd = -1;
	while (control.n)
		hang_up(control.n - 1);
}
