/* SPDX-License-Identifier: BSD-3-Clause
 *
 * attach.c - Being a client of gazelle-dispatch, by its control socket
 *
 * Theory of operation.  The first HELLO is main's, so that a refusal ends the engine with
 * a reason.  Opening the port then makes the vhost-user socket and waits there until
 * somebody connects; so it is the keeper, a thread, that offers the socket to dispatch.
 * It stays connected for as long as the engine lives, and begins again when dispatch
 * is gone: DPDK's driver listens on at the same socket.  dispatch/attach.h has the
 * messages.
 *
 * If other engines have our address too, a port that is not of our lease is claimed
 * before bind() or listen() has it, by whichever thread that is.  When no socket has it
 * any more the keeper gives it back.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "dispatch/attach.h"
#include "engine/attach.h"
#include "engine/log.h"
#include "engine/port.h"
#include "engine/ports.h"

#define RETRY_MS 100
#define REFUSED_MS 1000
#define BUSY_TRIES 50 /* a predecessor that was killed may not be noticed yet */
#define ANSWER_S 5

static struct {
	struct sockaddr_un dispatch;
	char link[GZ_PATH_MAX];
	struct gz_attach_request hello;
	pthread_mutex_t lock; /* of fd, one request and its answer, and mine[] */
	int fd;
	bool shares;
	int wake;			/* eventfd: ports were left */
	_Atomic uint8_t mine[2][65536]; /* enum: TCP, UDP; host order */
	_Atomic bool left[2][65536];
} self = {.fd = -1, .wake = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

enum { NOT_MINE, CLAIMED, LEASED };

static void nap(unsigned ms)
{
	const struct timespec t = {ms / 1000, ms % 1000 * 1000000l};

	nanosleep(&t, NULL);
}

/* --- messages -------------------------------------------------------------- */

/**
 * ask() - One request, locked once there are threads
 * @with:	A descriptor that goes with it; -1: none
 * @a:		Filled
 *
 * Return: 0 or -errno, of the answer too; -ECONNRESET: dispatch is gone
 */
static int ask(const struct gz_attach_request *r, int with, struct gz_attach_answer *a, char *text,
	       size_t n)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} ctl = {0};
	struct iovec v = {(void *)r, sizeof(*r)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	if (with >= 0) {
		m.msg_control = ctl.buf;
		m.msg_controllen = sizeof(ctl.buf);
		ctl.h.cmsg_level = SOL_SOCKET;
		ctl.h.cmsg_type = SCM_RIGHTS;
		ctl.h.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&ctl.h), &with, sizeof(with));
	}
	if (sendmsg(self.fd, &m, MSG_NOSIGNAL) != sizeof(*r) ||
	    recv(self.fd, a, sizeof(*a), 0) != sizeof(*a) || a->magic != GZ_ATTACH_MAGIC)
		return gz_failed(text, n, ECONNRESET, "dispatch hung up");
	if (a->status)
		return gz_failed(text, n, a->status, "%.*s", (int)sizeof(a->text), a->text);
	return 0;
}

static struct gz_attach_request request(enum gz_attach_op op)
{
	return (struct gz_attach_request){
	    .magic = GZ_ATTACH_MAGIC, .version = GZ_ATTACH_VERSION, .op = (uint16_t)op};
}

/** ask_port() - CLAIM or RELEASE.  Locked */
static int ask_port(enum gz_attach_op op, bool udp, uint16_t port, char *text, size_t n)
{
	struct gz_attach_request r = request(op);
	struct gz_attach_answer a;

	r.udp = udp;
	r.port_lo = port;
	return ask(&r, -1, &a, text, n);
}

/* --- being registered ------------------------------------------------------ */

static void hang_up(void)
{
	if (self.fd >= 0)
		close(self.fd);
	self.fd = -1;
}

/** take_lease() - Our part of an address that is shared.  It is asked for again then */
static int take_lease(const struct gz_attach_answer *a, char *text, size_t n)
{
	struct gz_attach_request *h = &self.hello;

	if (h->lease_lo && (a->lease_lo != h->lease_lo || a->lease_hi != h->lease_hi))
		return gz_failed(text, n, EADDRINUSE, "ports %u-%u are not ours any more",
				 h->lease_lo, h->lease_hi);
	h->lease_lo = a->lease_lo;
	h->lease_hi = a->lease_hi;
	for (unsigned port = a->lease_lo; port && port <= a->lease_hi; port++) {
		atomic_store(&self.mine[false][port], LEASED);
		atomic_store(&self.mine[true][port], LEASED);
	}
	return 0;
}

/** claim_again() - With a dispatcher that was started again */
static int claim_again(char *text, size_t n)
{
	int rc;

	for (unsigned i = 0; self.shares && i < 2 * 65536; i++) {
		bool udp = i >= 65536;
		uint16_t port = (uint16_t)i;

		if (atomic_load(&self.mine[udp][port]) != CLAIMED)
			continue;
		rc = ask_port(GZ_ATTACH_CLAIM, udp, port, text, n);
		if (rc)
			return rc;
	}
	return 0;
}

/** hello() - Connect and register.  Return: 0 or -errno with the reason in @text */
static int hello(char *text, size_t n)
{
	const struct timeval limit = {.tv_sec = ANSWER_S};
	struct gz_attach_answer a;
	int rc;

	self.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (self.fd < 0 ||
	    connect(self.fd, (struct sockaddr *)&self.dispatch, sizeof(self.dispatch))) {
		rc = gz_failed(text, n, errno, "%m");
		hang_up();
		return rc;
	}
	setsockopt(self.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	rc = ask(&self.hello, -1, &a, text, n);
	if (!rc)
		rc = take_lease(&a, text, n);
	if (!rc)
		rc = claim_again(text, n);
	if (rc)
		hang_up();
	return rc;
}

/** is_absent() - Does the error say that no dispatcher is there, or not any more? */
static bool is_absent(int rc)
{
	return rc == -ENOENT || rc == -ECONNREFUSED || rc == -ECONNRESET || rc == -EAGAIN;
}

/** offer_link() - Show dispatch where we listen; that socket may be about to be made */
static int offer_link(char *text, size_t n)
{
	struct gz_attach_request r = request(GZ_ATTACH_LINK);
	struct gz_attach_answer a;
	int fd, rc;

	while ((fd = open(self.link, O_PATH | O_CLOEXEC)) < 0)
		nap(RETRY_MS / 10);
	rc = ask(&r, fd, &a, text, n);
	close(fd);
	return rc;
}

/* --- ports of an address that is shared ------------------------------------ */

bool gz_attach_shares(void)
{
	return self.shares;
}

bool gz_attach_is_mine(bool udp, uint16_t port)
{
	return atomic_load_explicit(&self.mine[udp][port], memory_order_relaxed) != NOT_MINE;
}

/** take_port() - struct gz_ports_outside */
static int take_port(bool udp, uint16_t port)
{
	char text[160] = "no dispatch is there";
	int rc = 0;

	pthread_mutex_lock(&self.lock);
	if (!gz_attach_is_mine(udp, port)) {
		rc = self.fd < 0 ? -EADDRINUSE
				 : ask_port(GZ_ATTACH_CLAIM, udp, port, text, sizeof(text));
		if (!rc)
			atomic_store(&self.mine[udp][port], CLAIMED);
		else
			gz_debug("port %u of %s: %s", port, udp ? "UDP" : "TCP", text);
	}
	pthread_mutex_unlock(&self.lock);
	/* bind() and listen() know one reason */
	return rc ? -EADDRINUSE : 0;
}

/** leave_port() - struct gz_ports_outside */
static void leave_port(bool udp, uint16_t port)
{
	const uint64_t one = 1;

	if (atomic_load(&self.mine[udp][port]) != CLAIMED)
		return;
	atomic_store(&self.left[udp][port], true);
	if (write(self.wake, &one, sizeof(one)) < 0) {
		/* full: it will wake */
	}
}

/** give_back() - What no socket has any more */
static void give_back(void)
{
	char text[160];
	uint64_t count;

	if (read(self.wake, &count, sizeof(count)) < 0)
		return;
	for (unsigned i = 0; i < 2 * 65536; i++) {
		bool udp = i >= 65536;
		uint16_t port = (uint16_t)i;

		if (!atomic_exchange(&self.left[udp][port], false))
			continue;
		pthread_mutex_lock(&self.lock);
		/* Whoever comes for it now finds it ours, or waits until it is not */
		if (!gz_port_used(udp, port) && atomic_load(&self.mine[udp][port]) == CLAIMED) {
			atomic_store(&self.mine[udp][port], NOT_MINE);
			if (ask_port(GZ_ATTACH_RELEASE, udp, port, text, sizeof(text)))
				gz_warn("port %u is not given back: %s", port, text);
		}
		pthread_mutex_unlock(&self.lock);
	}
}

/** stay() - Until dispatch hangs up */
static void stay(void)
{
	struct pollfd p[] = {{.fd = self.fd, .events = POLLRDHUP},
			     {.fd = self.wake, .events = POLLIN}};

	while (!p[0].revents) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents)
			give_back();
	}
}

static void *keep(void *arg)
{
	bool told = false;
	char text[160];
	int rc = 0;

	(void)arg;
	for (;;) {
		pthread_mutex_lock(&self.lock);
		if (self.fd < 0)
			rc = hello(text, sizeof(text));
		if (!rc)
			rc = offer_link(text, sizeof(text));
		if (rc)
			hang_up();
		pthread_mutex_unlock(&self.lock);
		if (rc) {
			if (!told && !is_absent(rc) && rc != -EBUSY) {
				gz_warn("dispatch at %s: %s", self.dispatch.sun_path, text);
				told = true;
			}
			nap(told ? REFUSED_MS : RETRY_MS);
			continue;
		}
		told = false;
		stay();
		gz_warn("dispatch at %s hung up", self.dispatch.sun_path);
		pthread_mutex_lock(&self.lock);
		hang_up();
		pthread_mutex_unlock(&self.lock);
	}
	return NULL;
}

/* --- start ----------------------------------------------------------------- */

static void fill_hello(const struct gz_engine_config *c)
{
	struct gz_attach_request *r = &self.hello;

	*r = request(GZ_ATTACH_HELLO);
	r->port_lo = c->port_lo;
	r->port_hi = c->port_hi;
	snprintf(r->name, sizeof(r->name), "%s", c->name);
	for (unsigned i = 0; i < c->naddrs; i++) {
		struct in6_addr *a = &r->addr[r->naddrs++];

		a->s6_addr[10] = a->s6_addr[11] = 0xff;
		memcpy(a->s6_addr + 12, &c->addrs[i].addr, sizeof(c->addrs[i].addr));
	}
	for (unsigned i = 0; i < c->naddrs6; i++)
		r->addr[r->naddrs++] = c->addrs6[i].addr;
}

/** first_hello() - Wait for a dispatcher.  Return: 0, or -errno with the reason in @err */
static int first_hello(char *err, size_t n)
{
	bool told = false;
	char text[160];

	for (unsigned busy = 0;;) {
		int rc = hello(text, sizeof(text));

		if (!rc)
			return 0;
		if (is_absent(rc) && !told) {
			gz_info("waiting for dispatch at %s", self.dispatch.sun_path);
			told = true;
		} else if (!is_absent(rc) && (rc != -EBUSY || ++busy == BUSY_TRIES)) {
			return gz_failed(err, n, -rc, "dispatch at %s: %s", self.dispatch.sun_path,
					 text);
		}
		if (usleep(RETRY_MS * 1000) && errno == EINTR)
			return gz_failed(err, n, EINTR, "interrupted while waiting for dispatch");
	}
}

/** share() - If dispatch said that others have our address too */
static int share(struct gz_engine_config *c, char *err, size_t n)
{
	static const struct gz_ports_outside outside = {.take = take_port, .leave = leave_port};

	if (!self.hello.lease_lo)
		return 0;
	/* A port that is claimed is claimed for all addresses: bind() knows it by its number */
	if (c->nmore)
		return gz_failed(
		    err, n, EINVAL,
		    "dispatch at %s: the address is other engines' too, which is for an "
		    "engine without ports besides the first",
		    self.dispatch.sun_path);
	self.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (self.wake < 0)
		return gz_failed(err, n, errno, "no eventfd: %m");
	self.shares = true;
	c->port_lo = self.hello.lease_lo;
	c->port_hi = self.hello.lease_hi;
	gz_ports_ask(&outside);
	gz_info("the address is shared, ephemeral ports are %u-%u", c->port_lo, c->port_hi);
	return 0;
}

int gz_attach_start(struct gz_engine_config *c, char *err, size_t n)
{
	struct gz_port_config *p = &c->port;
	pthread_t t;
	int rc;

	if (p->driver != GZ_DRV_DISPATCH)
		return 0;
	self.dispatch.sun_family = AF_UNIX;
	memcpy(self.dispatch.sun_path, p->path, sizeof(self.dispatch.sun_path));
	rc = snprintf(self.link, sizeof(self.link), "%s/%s.vhost", c->run_dir, c->name);
	if (rc < 0 || (size_t)rc >= sizeof(self.link))
		return gz_failed(err, n, ENAMETOOLONG, "%s/%s.vhost is too long", c->run_dir,
				 c->name);
	fill_hello(c);
	rc = first_hello(err, n);
	if (rc)
		return rc;
	rc = share(c, err, n);
	if (rc)
		return rc;
	/* The keeper must not find a predecessor's */
	unlink(self.link);
	p->driver = GZ_DRV_VIRTIO_USER;
	memcpy(p->path, self.link, sizeof(p->path));
	rc = pthread_create(&t, NULL, keep, NULL);
	if (rc)
		return gz_failed(err, n, rc, "no thread to keep dispatch: %s", strerror(rc));
	pthread_detach(t);
	return 0;
}
