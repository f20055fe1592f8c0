/* SPDX-License-Identifier: BSD-3-Clause
 *
 * kernel_listener.c - A listening socket of the kernel's TCP that is to be moved
 *
 * Connections that wait in its queue are not to be lost.  A socket filter makes it drop
 * new SYNs, and who holds it accepts what there is; when the queue is empty it may be
 * moved.  If it does not get empty, the filter is taken off and the listener stays.
 */
#include "launcher/kernel_listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/clock.h"
#include "launcher/say.h"

#define DRAIN_MS 2000	 /* for its holders to accept what waits */
#define HALF_OPEN_MS 300 /* for handshakes that have begun */
#define TWIN_MS 1000	 /* for the engine to see a last close */
#define POLL_MS 5
#define TCP_SYN_RECV_HEX "03" /* in /proc/net/tcp */

void gz_listener_stays(struct gz_listener *l, const char *what, int err)
{
	if (!l->why[0])
		snprintf(l->why, sizeof(l->why), "%s%s%s", what, err ? ": " : "",
			 err ? strerror(err) : "");
}

static void name_of(struct gz_listener *l)
{
	const struct sockaddr_in *in = (const void *)&l->addr;
	const struct sockaddr_in6 *in6 = (const void *)&l->addr;
	char text[INET6_ADDRSTRLEN] = "?";

	if (l->domain == AF_INET) {
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
		snprintf(l->name, sizeof(l->name), "%s:%u", text, ntohs(in->sin_port));
	} else {
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		snprintf(l->name, sizeof(l->name), "[%s]:%u", text, ntohs(in6->sin6_port));
	}
}

int gz_listener_option(int fd, int level, int name)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(fd, level, name, &v, &len) ? -1 : v;
}

bool gz_listener_look_at(int copy, struct gz_listener *l)
{
	struct stat st;

	*l = (struct gz_listener){.copy = copy, .len = sizeof(l->addr)};
	l->domain = gz_listener_option(copy, SOL_SOCKET, SO_DOMAIN);
	if ((l->domain != AF_INET && l->domain != AF_INET6) ||
	    gz_listener_option(copy, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP ||
	    gz_listener_option(copy, SOL_SOCKET, SO_ACCEPTCONN) != 1 || fstat(copy, &st) ||
	    getsockname(copy, (struct sockaddr *)&l->addr, &l->len))
		return false;
	l->ino = st.st_ino;
	l->reuse = gz_listener_option(copy, SOL_SOCKET, SO_REUSEADDR);
	l->reuseport = gz_listener_option(copy, SOL_SOCKET, SO_REUSEPORT);
	name_of(l);
	return true;
}

/* --- its queue ---------------------------------------------------------------- */

int gz_listener_queue_length(struct gz_listener *l)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(l->copy, IPPROTO_TCP, TCP_INFO, &info, &len))
		return -1;
	l->backlog = (int)info.tcpi_sacked; /* tcp_get_info() has them here for listeners */
	return (int)info.tcpi_unacked;
}

/* Handshakes that have begun, of all listeners at that port */
static unsigned half_open(pid_t pid, const struct gz_listener *l)
{
	unsigned want = ntohs(((const struct sockaddr_in *)&l->addr)->sin_port), n = 0;

	for (int v6 = 0; v6 < 2; v6++) {
		char path[64], line[512], state[8];
		unsigned port;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/net/tcp%s", (int)pid, v6 ? "6" : "");
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			n += sscanf(line, " %*d: %*[0-9A-F]:%x %*[0-9A-F:] %7s", &port, state) ==
				 2 &&
			     port == want && !strcmp(state, TCP_SYN_RECV_HEX);
		if (f)
			fclose(f);
	}
	return n;
}

static int refuse_syns(struct gz_listener *l)
{
	/* The segment begins with its TCP header; ret 0 drops it. */
	struct sock_filter insns[] = {
	    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
	    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, TH_SYN, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, 0),
	    BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog prog = {.len = sizeof(insns) / sizeof(insns[0]), .filter = insns};
	socklen_t len = 0;

	if (getsockopt(l->copy, SOL_SOCKET, SO_GET_FILTER, NULL, &len) || len)
		return -EEXIST;
	if (setsockopt(l->copy, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)))
		return -errno;
	l->filtered = true;
	return 0;
}

void gz_listener_take_syns(struct gz_listener *l)
{
	int unused = 0; /* sk_setsockopt() wants an int for every option */

	if (l->filtered &&
	    setsockopt(l->copy, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)))
		gz_error("listener %s: its filter stays: %s", l->name, strerror(errno));
	l->filtered = false;
}

void gz_listener_drain(struct gz_listener *l, pid_t pid)
{
	int64_t start = gz_now_ms();
	int rc = refuse_syns(l), n;

	if (rc) {
		gz_listener_stays(l, "its socket filter is in the way", -rc);
		return;
	}
	while (half_open(pid, l) && gz_now_ms() < start + HALF_OPEN_MS)
		gz_pause_ms(POLL_MS);
	while ((n = gz_listener_queue_length(l)) > 0 && gz_now_ms() < start + DRAIN_MS)
		gz_pause_ms(POLL_MS);
	if (!n)
		return;
	snprintf(l->why, sizeof(l->why),
		 "the process does not accept what waits in its queue: %d connections", n);
	gz_listener_take_syns(l);
}

/* --- its port ----------------------------------------------------------------- */

static void set_flag(int fd, int name, int on)
{
	setsockopt(fd, SOL_SOCKET, name, &on, sizeof(on)); /* these cannot fail */
}

/*
 * inet_csk_bind_conflict() asks for SO_REUSEPORT of both, whenever it was set, and for one
 * owner, who is this process for whatever the engine makes.
 */
void gz_listener_share_port(struct gz_listener *l)
{
	struct stat st;

	set_flag(l->copy, SO_REUSEADDR, 1);
	set_flag(l->copy, SO_REUSEPORT, 1);
	if (!fstat(l->copy, &st))
		l->owner = st.st_uid;
	if (l->owner != geteuid() && fchown(l->copy, geteuid(), (gid_t)-1))
		gz_step("listener %s: no change of owner: %s", l->name, strerror(errno));
}

void gz_listener_yield_port(const struct gz_listener *l)
{
	shutdown(l->copy, SHUT_RDWR);
}

void gz_listener_take_port_back(struct gz_listener *l)
{
	int64_t until = gz_now_ms() + TWIN_MS;
	int rc;

	while ((rc = listen(l->copy, l->backlog)) && errno == EADDRINUSE && gz_now_ms() < until)
		gz_pause_ms(POLL_MS);
	if (rc)
		gz_error("listener %s does not listen any more: %s", l->name, strerror(errno));
	set_flag(l->copy, SO_REUSEADDR, l->reuse);
	set_flag(l->copy, SO_REUSEPORT, l->reuseport);
	if (l->owner != geteuid() && fchown(l->copy, l->owner, (gid_t)-1))
		gz_step("listener %s: no change of owner: %s", l->name, strerror(errno));
}
