/* SPDX-License-Identifier: BSD-3-Clause
 *
 * why.c - gazelle-ctl why: whose a process's sockets are, and what decided it
 *
 * The process's descriptors are read from /proc and known by their inodes: a
 * shadow is in the table with its verdict, a kernel socket that took a shadow's
 * place is in the record of the client.  Other sockets of the Internet families
 * are asked what they are through a duplicate that lives for an instant.
 *
 * Runs in DPDK's telemetry thread.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_telemetry.h>

#include "engine/calls.h"
#include "engine/client.h"
#include "engine/policy.h"
#include "engine/telemetry.h"

#define WHY_PAGE 32
#define FDS_MAX 65536

struct search {
	ino_t ino;
	struct gz_verdict v;
	bool found;
};

static bool in_record(struct gz_client *c, void *arg)
{
	struct search *s = arg;

	s->found = gz_record_find(&c->record, s->ino, &s->v);
	return !s->found;
}

/* Is the process's descriptor @fd of AF_INET or AF_INET6?  *ours: of a kind that the stack has */
static bool is_inet(int pidfd, int fd, bool *ours)
{
	int dup = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0), domain = 0, type = 0, protocol = 0;
	socklen_t n = sizeof(domain), m = sizeof(type), k = sizeof(protocol);
	bool ok;

	if (dup < 0)
		return false;
	ok = !getsockopt(dup, SOL_SOCKET, SO_DOMAIN, &domain, &n) &&
	     !getsockopt(dup, SOL_SOCKET, SO_TYPE, &type, &m) &&
	     !getsockopt(dup, SOL_SOCKET, SO_PROTOCOL, &protocol, &k) &&
	     (domain == AF_INET || domain == AF_INET6);
	close(dup);
	*ours = type != SOCK_RAW && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
				     protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6);
	return ok;
}

static void add(struct rte_tel_data *d, int fd, const char *whose, const struct gz_verdict *v,
		const char *why)
{
	struct rte_tel_data *e = rte_tel_data_alloc();
	char key[24], end[64];

	if (!e)
		return;
	rte_tel_data_start_dict(e);
	rte_tel_data_add_dict_int(e, "fd", fd);
	rte_tel_data_add_dict_string(e, "whose", whose);
	if (v && v->direction) {
		rte_tel_data_add_dict_string(e, "call",
					     v->direction == GZ_DIR_BIND ? "bind" : "connect");
		gz_end_text(end, sizeof(end), v->end);
		rte_tel_data_add_dict_string(e, "address", end);
		rte_tel_data_add_dict_string(e, "protocol",
					     v->protocol == IPPROTO_TCP	  ? "tcp"
					     : v->protocol == IPPROTO_UDP ? "udp"
									  : "icmp");
	}
	rte_tel_data_add_dict_string(e, "why", why);
	snprintf(key, sizeof(key), "f%d", fd);
	rte_tel_data_add_dict_container(d, key, e, 0);
}

/* One that an agent accepted, and that no call was about yet */
static struct gz_sock *find_accepted(int pidfd, int fd, ino_t ino)
{
	int dup = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	struct gz_sock *sock = NULL;

	if (dup >= 0) {
		sock = gz_accept_find(NULL, dup, ino);
		close(dup);
	}
	return sock;
}

/* Return: false when it is no socket that anybody decides about */
static bool explain(struct rte_tel_data *d, pid_t pid, int pidfd, int fd)
{
	struct search s = {0};
	char path[64], link[64], text[128];
	unsigned long ino;
	struct gz_sock *sock;
	ssize_t n;
	bool ours;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return false;
	link[n] = 0;
	if (sscanf(link, "socket:[%lu]", &ino) != 1)
		return false;
	s.ino = (ino_t)ino;
	sock = gz_table_find(s.ino);
	if (!sock)
		sock = find_accepted(pidfd, fd, s.ino);
	if (sock) {
		pthread_mutex_lock(&sock->lock);
		s.v = sock->verdict;
		pthread_mutex_unlock(&sock->lock);
		gz_sock_unref(sock);
		add(d, fd, "engine", &s.v,
		    s.v.direction ? gz_policy_text(&s.v, text, sizeof(text))
				  : "no bind() or connect() yet");
		return true;
	}
	gz_client_walk(0, in_record, &s);
	if (s.found) {
		add(d, fd, "kernel", &s.v, gz_policy_text(&s.v, text, sizeof(text)));
		return true;
	}
	if (!is_inet(pidfd, fd, &ours))
		return false;
	add(d, fd, "kernel", NULL,
	    ours ? "the kernel's from the start: accepted or inherited, or not remembered"
		 : "the kernel's from socket() on: the stack has no such sockets");
	return true;
}

int gz_telemetry_why(const char *cmd, const char *params, struct rte_tel_data *d)
{
	char path[32], *end = NULL;
	unsigned n = 0;
	int *fds, nfds = 0, start, pidfd;
	struct dirent *e;
	pid_t pid;
	DIR *dir;

	(void)cmd;
	pid = params ? (pid_t)strtol(params, &end, 10) : 0;
	start = end && *end == ',' ? atoi(end + 1) : 0;
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = pid > 0 ? opendir(path) : NULL;
	if (!dir)
		return rte_tel_data_string(d, pid > 0 && errno != ENOENT ? strerror(errno)
									 : "no such process");
	rte_tel_data_start_dict(d);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	fds = malloc(FDS_MAX * sizeof(*fds));
	/* The kernel lists them in ascending order (fs/proc/fd.c). */
	while (fds && nfds < FDS_MAX && (e = readdir(dir)))
		if (e->d_name[0] != '.' && atoi(e->d_name) >= start)
			fds[nfds++] = atoi(e->d_name);
	closedir(dir);
	for (int i = 0; i < nfds; i++) {
		if (n == WHY_PAGE) {
			rte_tel_data_add_dict_u64(d, "next", (uint64_t)fds[i]);
			break;
		}
		n += explain(d, pid, pidfd, fds[i]);
	}
	free(fds);
	if (pidfd >= 0)
		close(pidfd);
	return 0;
}
