/* SPDX-License-Identifier: BSD-3-Clause
 *
 * main.c - gazelle-engine: start-up, control socket, end
 *
 * Theory of operation.  main() is the script of start-up: configuration, lock,
 * namespaces, memory, port, worker, control socket.  Then this thread accepts
 * launchers and hands each one's notification listener to a service thread,
 * sweeps for closed shadows, and in an embedded engine notices that the last
 * client is gone.  It ends in the reverse order.
 *
 * Namespaces.  Shadows live in a network namespace of the engine's own, so that
 * their abstract names are nobody else's business.  Our end of a veth pair lives
 * there too, and the kernel's stack on it stays silent.  Other ports are opened
 * in the namespace that we started in.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_eal.h>

#include "config/config.h"
#include "engine/attach.h"
#include "engine/client.h"
#include "engine/control.h"
#include "engine/counters.h"
#include "engine/cpus.h"
#include "engine/devices.h"
#include "engine/link.h"
#include "engine/live.h"
#include "engine/log.h"
#include "engine/own4.h"
#include "engine/ports.h"
#include "engine/reaper.h"
#include "engine/route.h"
#include "engine/service.h"
#include "engine/stale.h"
#include "engine/stats.h"
#include "engine/telemetry.h"
#include "engine/warden.h"
#include "engine/worker.h"

#define SWEEP_MS 100
#define LEASE_WAIT_MS                                                                              \
	5000 /* for DHCP, before the engine is ready without; less than launchers wait */
#define LINK_MS 1000
#define PEERS_MAX 64
#define GIVE_BACK 1000 /* sockets: fewer keep no memory worth it */

static_assert(GZ_CPUS_MAX == GZ_WORKERS_MAX, "each has a copy of the code");

static struct gz_engine_config cfg;
static int ready_fd = -1;

/* A launcher's child between connect and welcome. */
static struct {
	struct pollfd fd[8 + PEERS_MAX];
	uint64_t since[8 + PEERS_MAX];
	unsigned n;
} io;

enum { FD_SIGNAL, FD_LISTEN, FD_CLIENTS, FD_LINK, FD_FIRST_PEER };

static void tell_ready(const char *line)
{
	if (ready_fd < 0)
		return;
	if (write(ready_fd, line, strlen(line)) < 0)
		gz_debug("nobody waits for us: %s", strerror(errno));
	close(ready_fd);
	ready_fd = -1;
}

static void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void fail(const char *fmt, ...)
{
	char text[400], line[420];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	gz_err("%s", text);
	snprintf(line, sizeof(line), "error: %s\n", text);
	tell_ready(line);
}

static void usage(FILE *f)
{
	fputs("Usage: gazelle-engine [OPTION...]\n"
	      "A TCP/IP stack for programs started by gazelle-run.\n\n"
	      "  -c, --config FILE   read this YAML file (default: built-in, a private veth pair)\n"
	      "      --check FILE    only check the file: exit 0, or 2 with what is wrong\n"
	      "      --print-config  print the configuration in force, commented, and exit\n"
	      "      --embedded      end a moment after the last program has ended\n"
	      "      --ready-fd N    write \"ok\", \"busy\" or \"error: TEXT\" there when it is "
	      "known\n"
	      "  -h, --help          this\n"
	      "  -V, --version       version\n",
	      f);
}

struct args {
	const char *config;
	const char *check;
	bool embedded, print;
};

/* Return: -1 to go on, else the exit status */
static int parse(int argc, char **argv, struct args *a)
{
	static const struct option opts[] = {
	    {"config", required_argument, NULL, 'c'},	{"check", required_argument, NULL, 'k'},
	    {"print-config", no_argument, NULL, 'p'},	{"embedded", no_argument, NULL, 'e'},
	    {"ready-fd", required_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},	{NULL, 0, NULL, 0},
	};
	char *end;
	int o;

	while ((o = getopt_long(argc, argv, "c:hV", opts, NULL)) != -1) {
		switch (o) {
		case 'c':
			a->config = optarg;
			break;
		case 'k':
			a->check = optarg;
			break;
		case 'p':
			a->print = true;
			break;
		case 'e':
			a->embedded = true;
			break;
		case 'r':
			ready_fd = (int)strtol(optarg, &end, 10);
			if (*end || fcntl(ready_fd, F_SETFD, FD_CLOEXEC) < 0) {
				fprintf(stderr,
					"gazelle-engine: --ready-fd %s: not an open descriptor\n",
					optarg);
				return 2;
			}
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			puts("gazelle-engine " GZ_VERSION);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "gazelle-engine: unexpected argument '%s'\n", argv[optind]);
		return 2;
	}
	if (a->check && (a->config || a->print || a->embedded)) {
		fputs("gazelle-engine: --check takes no other options\n", stderr);
		return 2;
	}
	return -1;
}

/* One engine of a name: the lock lives as long as the process. */
static int take_lock(void)
{
	char path[sizeof(cfg.run_dir) + sizeof(cfg.name) + 8];
	int fd;

	if (mkdir(cfg.run_dir, 0755) < 0 && errno != EEXIST) {
		fail("Couldn't make %s: %s", cfg.run_dir, strerror(errno));
		return -1;
	}
	snprintf(path, sizeof(path), "%s/%s.lock", cfg.run_dir, cfg.name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		fail("Couldn't open %s: %s", path, strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		gz_err("engine '%s' is already running (%s)", cfg.name, path);
		tell_ready("busy\n");
		close(fd);
		return -1;
	}
	return fd;
}

static int open_control(char *path, size_t n)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd;

	if (gz_control_path(path, n, cfg.run_dir, cfg.name) < 0 ||
	    strlen(path) >= sizeof(a.sun_path)) {
		fail("The control socket's path is too long: %s/%s.sock", cfg.run_dir, cfg.name);
		return -1;
	}
	strcpy(a.sun_path, path);
	unlink(path); /* ours: we hold the lock */
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 128) < 0) {
		fail("Couldn't listen on %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

static int enter_private_netns(struct gz_homes *h)
{
	h->host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (h->host < 0)
		return -errno;
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	h->private = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return h->private < 0 ? -errno : 0;
}

/* --- launchers ----------------------------------------------------------- */

static void drop_peer(unsigned i)
{
	close(io.fd[i].fd);
	io.n--;
	io.fd[i] = io.fd[io.n];
	io.since[i] = io.since[io.n];
}

static void welcome(int fd, int status, uint32_t client, const char *text)
{
	struct gz_welcome w = {
	    .magic = GZ_CONTROL_MAGIC,
	    .version = GZ_CONTROL_VERSION,
	    .status = (uint16_t)status,
	    .client = client,
	    .ring = cfg.plane == GZ_CHOOSE_RING,
	};

	snprintf(w.text, sizeof(w.text), "%s", text);
	if (send(fd, &w, sizeof(w), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		gz_debug("a launcher left early: %s", strerror(errno));
}

/*
 * A launcher attached to another process: the pidfd says to which, the kernel
 * of whom.  Who is neither root nor that user stays who he is.
 */
static void look_at_process(int pidfd, struct ucred *cred)
{
	char path[64], line[256];
	pid_t pid = 0;
	uid_t uid = (uid_t)-1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "Pid:", 4))
			pid = atoi(line + 4);
	if (f)
		fclose(f);
	if (pid <= 0)
		return; /* no pidfd, or it has ended */
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "Uid:", 4)) /* real, effective, ... */
			sscanf(line + 4, "%*u %u", &uid);
	if (f)
		fclose(f);
	if (cred->uid != 0 && cred->uid != uid)
		return;
	cred->pid = pid;
	if (uid != (uid_t)-1)
		cred->uid = uid;
}

static void refuse(int fd, int status)
{
	welcome(fd, status, 0,
		status == EUSERS ? "the engine has all the clients that limits.clients allows"
				 : strerror(status));
	gz_count(GZ_C_REFUSED_LIMIT);
}

/* @other: of a process that is not the sender, or the broker's socket */
static void serve(int fd, const struct gz_hello *h, int listener, int other)
{
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);
	struct gz_client *c;
	char program[64];

	if (listener < 0) {
		welcome(fd, EINVAL, 0, "no notification listener came with the request");
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		gz_warn("no credentials: %s", strerror(errno));
	if (other >= 0 && h->op == GZ_OP_SERVE)
		look_at_process(other, &cred);
	snprintf(program, sizeof(program), "%.63s", h->program);
	c = gz_client_start(listener, h->op == GZ_OP_SERVE ? -1 : dup(other),
			    h->op == GZ_OP_SERVE_RING, cred.pid, cred.uid, program,
			    cfg.max_clients);
	if (!c) {
		refuse(fd, errno);
		return;
	}
	gz_debug("client %u: %s, pid %d, uid %u", c->id, program, (int)cred.pid, cred.uid);
	welcome(fd, 0, c->id, "");
}

/* Return: false when the peer is finished with */
static bool peer_says(int fd)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(4 * sizeof(int))];
	} ctl;
	struct gz_hello h = {0};
	struct iovec v = {&h, sizeof(h)};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = ctl.buf,
			   .msg_controllen = sizeof(ctl.buf)};
	int fds[4], nfds = 0;
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	for (struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL; c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			nfds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			memcpy(fds, CMSG_DATA(c), (size_t)nfds * sizeof(int));
		}
	}
	for (int i = 2; i < nfds; i++)
		close(fds[i]);
	if (n <= 0) {
		for (int i = 0; i < nfds && i < 2; i++)
			close(fds[i]);
		return false;
	}
	h.program[sizeof(h.program) - 1] = 0;
	if (n != sizeof(h) || h.magic != GZ_CONTROL_MAGIC || h.version != GZ_CONTROL_VERSION) {
		welcome(fd, EPROTO, 0, "launcher and engine are of different versions");
	} else if (h.op == GZ_OP_PING) {
		welcome(fd, 0, 0, "");
	} else if (h.op == GZ_OP_MAY_SERVE && gz_client_count() >= cfg.max_clients) {
		refuse(fd, EUSERS);
	} else if (h.op == GZ_OP_MAY_SERVE) {
		welcome(fd, 0, 0, "");
	} else if (h.op == GZ_OP_SERVE || h.op == GZ_OP_SERVE_RING || h.op == GZ_OP_SERVE_RELAY) {
		serve(fd, &h, nfds ? fds[0] : -1, nfds > 1 ? fds[1] : -1);
		if (nfds > 1)
			close(fds[1]);
		return true; /* serve() took the listener */
	} else {
		welcome(fd, EOPNOTSUPP, 0, "unknown request");
	}
	for (int i = 0; i < nfds && i < 2; i++)
		close(fds[i]);
	return true;
}

static void accept_peers(void)
{
	for (;;) {
		int fd = accept4(io.fd[FD_LISTEN].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		if (io.n == FD_FIRST_PEER + PEERS_MAX) {
			/* The oldest has had its time. */
			unsigned oldest = FD_FIRST_PEER;

			for (unsigned i = oldest; i < io.n; i++)
				if (io.since[i] < io.since[oldest])
					oldest = i;
			drop_peer(oldest);
		}
		io.fd[io.n] = (struct pollfd){.fd = fd, .events = POLLIN};
		io.since[io.n++] = gz_now_ns();
	}
}

/*
 * Pages of what many sockets had go back to the kernel: free() keeps those below one that is in
 * use.  A second after, when the workers are done with them too.
 */
static void give_back(unsigned socks, uint64_t now)
{
	static unsigned most;
	static uint64_t due;

	if (socks > most)
		most = socks;
	if (most < GIVE_BACK || socks > most / 4) {
		due = 0;
	} else if (!due) {
		due = now + 1000000000;
	} else if (now >= due) {
		malloc_trim(0);
		most = socks;
	}
}

/* Serve until a signal, or until an embedded engine has been idle long enough.
 * Return: false when the end was asked for */
static void run(bool embedded)
{
	uint64_t idle_since = gz_now_ns(), next_sweep = 0, next_link = 0;
	unsigned char signo;
	uint64_t junk;

	for (;;) {
		uint64_t now;
		unsigned socks = gz_table_count(), clients = gz_client_count();
		/* A client's first socket is not told of here. */
		int wait = socks || clients || embedded ? SWEEP_MS
			   : gz_link_is_silent()	? LINK_MS
							: -1;

		if (poll(io.fd, io.n, wait) < 0 && errno != EINTR)
			break;
		now = gz_now_ns();
		if (io.fd[FD_LINK].revents || (gz_link_is_silent() && now >= next_link)) {
			next_link = now + LINK_MS * 1000000ull;
			gz_link_look();
		}
		if (io.fd[FD_SIGNAL].revents & POLLIN &&
		    read(io.fd[FD_SIGNAL].fd, &signo, 1) == 1) {
			gz_info("%s: ending", strsignal(signo));
			return;
		}
		if (io.fd[FD_CLIENTS].revents & POLLIN &&
		    read(io.fd[FD_CLIENTS].fd, &junk, sizeof(junk)) < 0)
			gz_debug("spurious client event");
		if (io.fd[FD_LISTEN].revents & POLLIN)
			accept_peers();
		for (unsigned i = FD_FIRST_PEER; i < io.n;) {
			if (io.fd[i].revents && !peer_says(io.fd[i].fd))
				drop_peer(i);
			else
				i++;
		}
		if ((socks || atomic_load(&gz_stale)) && now >= next_sweep) {
			next_sweep = now + SWEEP_MS * 1000000ull;
			gz_reaper_sweep();
			gz_stale_sweep();
		}
		give_back(socks, now);
		if (clients || gz_client_count() || io.n > FD_FIRST_PEER)
			idle_since = now;
		if (embedded && cfg.linger_ms && now - idle_since > cfg.linger_ms * 1000000ull) {
			gz_info("no program left: ending");
			return;
		}
	}
}

static int signal_pipe[2] = {-1, -1};

/* At any port that is to have one */
static bool lacks_lease(void)
{
	bool lacks = false;

	for (unsigned i = 0; i <= cfg.nmore; i++)
		lacks |= gz_engine_asks(&cfg, i) && gz_link_is_up(&gz_ports[i]) &&
			 gz_own4_of(gz_own4(), i) < 0;
	return lacks;
}

/* Programs that come at once find an address, if there is a server that gives one. */
static void await_lease(void)
{
	struct pollfd end = {.fd = signal_pipe[0], .events = POLLIN};
	uint64_t give_up = gz_now_ns() + LEASE_WAIT_MS * 1000000ull;

	while (lacks_lease() && !end.revents && gz_now_ns() < give_up)
		poll(&end, 1, 5);
	if (lacks_lease() && !end.revents)
		gz_warn("no DHCP server has given an address yet: it is asked for on");
}

/* Of each port, before anything is made.  Return: 0 or -errno, which was reported */
static int choose_queues(void)
{
	struct gz_cpus on;
	char err[300];
	int r = gz_cpus_choose(&cfg.workers, &on, err, sizeof(err));

	if (r < 0) {
		fail("%s", err);
		return r;
	}
	for (unsigned i = 0; i <= cfg.nmore; i++) {
		struct gz_port_config *c = i ? &cfg.more[i - 1].port : &cfg.port;

		gz_port_share(c, on.n);
		if (c->queues <= on.n)
			continue;
		fail("%u queues need as many workers, and there are %u: see port.queues, workers",
		     c->queues, on.n);
		return -EINVAL;
	}
	return 0;
}

/* "net_af_xdp0 (net_af_xdp), net_vhost0 (net_vhost)" */
static void say_ready(const char *path)
{
	char text[GZ_PORTS_MAX * (sizeof(gz_ports[0].device) + sizeof(gz_ports[0].driver) + 6)];
	size_t n = 0;

	for (unsigned i = 0; i < gz_nports; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s (%s)", i ? ", " : "",
				      gz_ports[i].device, gz_ports[i].driver);
	gz_info("engine '%s' on %s, ready at %s", cfg.name, text, path);
}

static void on_signal(int signo)
{
	unsigned char c = (unsigned char)signo;
	int saved = errno;

	if (write(signal_pipe[1], &c, 1) < 0)
		errno = saved; /* full: the end is asked for already */
	errno = saved;
}

/*
 * A handler and a pipe, not a mask and a signalfd: EAL starts threads of its own
 * that block nothing, and one of those would take the signal and end us.
 * Without SA_RESTART, so that waiting for a vhost peer can be interrupted.
 */
static int catch_signals(void)
{
	static const int ends[] = {SIGTERM, SIGINT, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal};

	if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (sigaction(ends[i], &sa, NULL) < 0)
			return -1;
	return 0;
}

/* As many descriptors as may be had.  Return: how many */
static unsigned raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return 0;
	rlim_t want = 1048576;

	r.rlim_cur = r.rlim_max;
	if (r.rlim_max < want)
		r.rlim_cur = r.rlim_max = want;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0) {
		getrlimit(RLIMIT_NOFILE, &r);
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	return r.rlim_cur < UINT_MAX ? (unsigned)r.rlim_cur : UINT_MAX;
}

/* A socket has a descriptor of ours, and calls need some for a moment. */
static unsigned most_sockets(const struct gz_engine_config *c, unsigned files)
{
	unsigned most = files - files / 16;

	if (c->max_sockets <= most)
		return c->max_sockets;
	gz_info("descriptors (RLIMIT_NOFILE, %u) for %u sockets, not %u", files, most,
		c->max_sockets);
	return most;
}

int main(int argc, char **argv)
{
	struct args a = {0};
	unsigned files;
	struct gz_eal_config eal;
	char err[300], path[GZ_PATH_MAX];
	int lock, status, r, control = -1;
	struct gz_homes homes = {-1, -1};

	status = parse(argc, argv, &a);
	if (status >= 0)
		return status;
	if (a.check) {
		if (gz_engine_config_load(a.check, &cfg, stderr))
			return 2;
		gz_engine_config_free(&cfg);
		return 0;
	}
	gz_engine_config_default(&cfg);
	if (a.config && gz_engine_config_load(a.config, &cfg, stderr)) {
		tell_ready("error: the configuration is wrong, see above\n");
		return 2;
	}
	if (a.print) {
		gz_engine_config_print(&cfg, stdout);
		return 0;
	}
	gz_log_level = cfg.log;
	gz_live_init(&cfg);
	gz_cfg = &cfg;
	gz_own4_init(&cfg);
	status = 1;

	signal(SIGPIPE, SIG_IGN);
	if (catch_signals() < 0) {
		fail("Couldn't catch signals: %s", strerror(errno));
		return 1;
	}
	files = raise_limits();
	if (choose_queues() < 0)
		return 1;
	lock = take_lock();
	if (lock < 0)
		return 1;
	r = enter_private_netns(&homes);
	gz_netns = homes.private;
	if (r < 0) {
		fail("Couldn't make a network namespace: %s%s", strerror(-r),
		     r == -EPERM ? " (CAP_SYS_ADMIN is needed)" : "");
		goto out_lock;
	}
	r = gz_warden_start();
	if (r < 0)
		gz_warn(
		    "programs that wait for connections will not wake if this engine is killed: %s",
		    strerror(-r));
	if (setns(homes.host, CLONE_NEWNET) < 0) {
		fail("Couldn't return to the host's network namespace: %s", strerror(errno));
		goto out_lock;
	}
	r = gz_devices_pairs(&cfg, homes.private, err, sizeof(err));
	if (r < 0) {
		fail("%s", err);
		goto out_lock;
	}
	/* EAL's threads are to be where the first port is: our end of a pair is in there. */
	if (cfg.port.veth_host[0] && setns(homes.private, CLONE_NEWNET) < 0) {
		fail("Couldn't enter the private network namespace: %s", strerror(errno));
		goto out_veth;
	}
	eal = (struct gz_eal_config){
	    .name = cfg.name,
	    .memory = &cfg.memory,
	    .workers = &cfg.workers,
	    .log = cfg.log,
	    .extra = cfg.eal,
	    .nextra = cfg.neal,
	    .mtu = gz_devices_mtu(&cfg),
	};
	r = gz_eal_start(&eal, gz_devices_pci(&cfg), err, sizeof(err));
	if (r < 0) {
		fail("%s", err);
		goto out_veth;
	}
	gz_info("%s", err);
	r = gz_route_init(&cfg);
	if (r < 0) {
		fail("Couldn't make the table of routes: %s", strerror(-r));
		goto out_eal;
	}
	gz_telemetry_init(&cfg, err);
	r = gz_attach_start(&cfg, err, sizeof(err));
	if (r < 0) {
		fail("%s", err);
		goto out_eal;
	}
	r = gz_devices_open(&cfg, &homes, err, sizeof(err));
	if (r < 0) {
		fail("%s", err);
		goto out_eal;
	}
	if (setns(homes.private, CLONE_NEWNET) < 0) {
		fail("Couldn't enter the private network namespace: %s", strerror(errno));
		goto out_port;
	}
	gz_table_limit(most_sockets(&cfg, files), cfg.client_sockets);
	gz_ports_init(cfg.port_lo, cfg.port_hi);
	r = gz_workers_init(gz_eal_workers(), gz_codes);
	if (r < 0) {
		fail("Couldn't set the worker up: %s", strerror(-r));
		goto out_port;
	}
	control = open_control(path, sizeof(path));
	if (control < 0)
		goto out_worker;
	if (gz_workers_start() < 0) {
		fail("Couldn't start the worker");
		goto out_control;
	}
	if (gz_engine_asks_any(&cfg))
		await_lease();
	io.fd[FD_SIGNAL] = (struct pollfd){.fd = signal_pipe[0], .events = POLLIN};
	io.fd[FD_LISTEN] = (struct pollfd){.fd = control, .events = POLLIN};
	io.fd[FD_LINK] = (struct pollfd){.fd = gz_link_fd(), .events = POLLIN};
	io.fd[FD_CLIENTS] = (struct pollfd){.fd = gz_client_event(), .events = POLLIN};
	io.n = FD_FIRST_PEER;
	say_ready(path);
	tell_ready("ok\n");

	run(a.embedded);

	/* New launchers must not find us: first the name, then the rest. */
	unlink(path);
	gz_post(&(struct gz_msg){.op = GZ_OP_STOP, .fd = -1});
	gz_workers_wait();
	status = 0;
	/* Whoever is still served sees its calls fail and its sockets hang up when
	 * this process ends; service threads may be in the middle of a call. */
out_control:
	close(control);
	if (status)
		unlink(path);
out_worker:
	if (status)
		gz_workers_destroy();
out_port:
	gz_devices_close(&cfg, &homes);
out_eal:
	gz_eal_stop(cfg.name, !status); /* service threads post to the workers' rings */
out_veth:
	if (setns(homes.host, CLONE_NEWNET) < 0)
		gz_warn("Couldn't return to the host's network namespace: %s", strerror(errno));
	else
		gz_devices_unpair(&cfg, cfg.nmore + 1);
out_lock:
	close(lock);
	tell_ready("error: see the engine's log\n");
	fflush(NULL);
	/* No destructors under the feet of service threads. */
	_exit(status);
}
