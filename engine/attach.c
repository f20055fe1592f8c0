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
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "dispatch/attach.h"
#include "engine/attach.h"
#include "engine/log.h"
#include "engine/port.h"

#define RETRY_MS 100
#define REFUSED_MS 1000
#define BUSY_TRIES 50 /* a predecessor that was killed may not be noticed yet */
#define ANSWER_S 5

static struct {
	struct sockaddr_un dispatch;
	char link[GZ_PATH_MAX];
	struct gz_attach_request hello;
	int fd; /* main's until the keeper runs, then the keeper's */
} self = {.fd = -1};

static void nap(unsigned ms)
{
	const struct timespec t = {ms / 1000, ms % 1000 * 1000000l};

	nanosleep(&t, NULL);
}

/* --- messages -------------------------------------------------------------- */

/** ask() - One request, with a descriptor unless @with is -1.  Return: 0 or -errno, of
 * the answer too; -ECONNRESET: dispatch is gone */
static int ask(const struct gz_attach_request *r, int with, char *text, size_t n)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} ctl = {0};
	struct iovec v = {(void *)r, sizeof(*r)};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	struct gz_attach_answer a;

	if (with >= 0) {
		m.msg_control = ctl.buf;
		m.msg_controllen = sizeof(ctl.buf);
		ctl.h.cmsg_level = SOL_SOCKET;
		ctl.h.cmsg_type = SCM_RIGHTS;
		ctl.h.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&ctl.h), &with, sizeof(with));
	}
	if (sendmsg(self.fd, &m, MSG_NOSIGNAL) != sizeof(*r) ||
	    recv(self.fd, &a, sizeof(a), 0) != sizeof(a) || a.magic != GZ_ATTACH_MAGIC)
		return gz_failed(text, n, ECONNRESET, "dispatch hung up");
	if (a.status)
		return gz_failed(text, n, a.status, "%.*s", (int)sizeof(a.text), a.text);
	return 0;
}

/* --- being registered ------------------------------------------------------ */

static void hang_up(void)
{
	if (self.fd >= 0)
		close(self.fd);
	self.fd = -1;
}

/** hello() - Connect and register.  Return: 0 or -errno with the reason in @text */
static int hello(char *text, size_t n)
{
	const struct timeval limit = {.tv_sec = ANSWER_S};
	int rc;

	self.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (self.fd < 0 ||
	    connect(self.fd, (struct sockaddr *)&self.dispatch, sizeof(self.dispatch))) {
		rc = gz_failed(text, n, errno, "%m");
		hang_up();
		return rc;
	}
	setsockopt(self.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	rc = ask(&self.hello, -1, text, n);
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
	const struct timeval none = {0};
	struct gz_attach_request r = {
	    .magic = GZ_ATTACH_MAGIC, .version = GZ_ATTACH_VERSION, .op = GZ_ATTACH_LINK};
	int fd, rc;

	while ((fd = open(self.link, O_PATH | O_CLOEXEC)) < 0)
		nap(RETRY_MS / 10);
	rc = ask(&r, fd, text, n);
	close(fd);
	setsockopt(self.fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	return rc;
}

static void *keep(void *arg)
{
	bool told = false;
	char text[160];
	int rc = 0;

	(void)arg;
	for (;;) {
		if (self.fd < 0)
			rc = hello(text, sizeof(text));
		if (!rc)
			rc = offer_link(text, sizeof(text));
		if (rc) {
			hang_up();
			if (!told && !is_absent(rc) && rc != -EBUSY) {
				gz_warn("dispatch at %s: %s", self.dispatch.sun_path, text);
				told = true;
			}
			nap(told ? REFUSED_MS : RETRY_MS);
			continue;
		}
		told = false;
		/* Nothing comes but the end */
		while (recv(self.fd, text, sizeof(text), 0) > 0 || errno == EINTR)
			errno = 0;
		gz_warn("dispatch at %s hung up", self.dispatch.sun_path);
		hang_up();
	}
	return NULL;
}

/* --- start ----------------------------------------------------------------- */

static void fill_hello(const struct gz_engine_config *c)
{
	struct gz_attach_request *r = &self.hello;

	*r = (struct gz_attach_request){
	    .magic = GZ_ATTACH_MAGIC, .version = GZ_ATTACH_VERSION, .op = GZ_ATTACH_HELLO};
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
