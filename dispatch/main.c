/* SPDX-License-Identifier: BSD-3-Clause
 *
 * main.c - gazelle-dispatch: one port, shared by several engines
 *
 * Theory of operation: main() is the script of start-up and, in reverse, of the
 * end.  In between it serves the control socket, tends the links' connections every
 * TEND_MS and waits for a signal; the ports' devices are the monitor's (monitor.c), packets the
 * workers' (worker.h, wire.c), decisions switch.c's, a client's link is link.c's.
 *
 * Needs CAP_NET_ADMIN and CAP_NET_RAW for a kernel interface, CAP_SYS_ADMIN for
 * the private namespace of a veth pair.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <rte_lcore.h>
#include <rte_mempool.h>

#include "dispatch/dispatch.h"
#include "dispatch/takeover.h"

#ifndef GZ_VERSION
#define GZ_VERSION "0.1"
#endif

#define TEND_MS 50

enum { EXIT_FINE, EXIT_FAILED, EXIT_USAGE };

static _Atomic enum gz_log_level log_level = GZ_LOG_INFO;

void set_log_level(enum gz_log_level level)
{
	atomic_store(&log_level, level);
}

void say(enum gz_log_level level, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (level > atomic_load(&log_level))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(stderr, "gazelle-dispatch: %s\n", line);
}

static void usage(FILE *f)
{
	fputs("Usage: gazelle-dispatch [OPTIONS]\n\n"
	      "Shares one Ethernet port among several gazelle-engines.  Runs in the\n"
	      "foreground until SIGTERM or SIGINT; SIGHUP: reads FILE again.\n\n"
	      "Options:\n"
	      "  -c, --config FILE   Configuration; without it, the built-in one\n"
	      "      --takeover      In place of the one of that name that runs\n"
	      "      --check FILE    Only say whether FILE is a good configuration\n"
	      "      --print-config  Print the configuration, commented, and end\n"
	      "  -h, --help          This text\n"
	      "      --version       Version of gazelle-dispatch\n\n"
	      "Exit status: 0 fine, 1 it could not start, 2 usage or configuration.\n",
	      f);
}

/**
 * options() - Read the command line and the configuration
 * @c:		Filled
 * @config:	Filled: the file that it is from, or NULL
 * @takeover:	Filled
 *
 * Return: -1 to go on, else exit status
 */
static int options(int argc, char **argv, struct gz_dispatch_config *c, const char **config,
		   bool *takeover)
{
	enum { OPT_CHECK = 256, OPT_PRINT, OPT_TAKEOVER, OPT_VERSION };
	static const struct option longs[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"check", required_argument, NULL, OPT_CHECK},
	    {"print-config", no_argument, NULL, OPT_PRINT},
	    {"takeover", no_argument, NULL, OPT_TAKEOVER},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, OPT_VERSION},
	    {0},
	};
	const char *file = NULL;
	bool check = false, print = false;
	int o;

	while ((o = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
		switch (o) {
		case 'c':
		case OPT_CHECK:
			file = optarg;
			check = o == OPT_CHECK;
			break;
		case OPT_PRINT:
			print = true;
			break;
		case OPT_TAKEOVER:
			*takeover = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_FINE;
		case OPT_VERSION:
			printf("gazelle-dispatch %s\n", GZ_VERSION);
			return EXIT_FINE;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "gazelle-dispatch: '%s': expected no argument\n", argv[optind]);
		usage(stderr);
		return EXIT_USAGE;
	}
	gz_dispatch_config_default(c);
	if (file && gz_dispatch_config_load(file, c, stderr))
		return EXIT_USAGE;
	if (check) {
		printf("%s: fine\n", file);
		return EXIT_FINE;
	}
	if (print) {
		gz_dispatch_config_print(c, stdout);
		return EXIT_FINE;
	}
	if (!c->nclients) {
		fprintf(stderr, "gazelle-dispatch: no clients: expected `clients:` in %s\n",
			file ? file : "a file given with --config");
		return EXIT_USAGE;
	}
	*config = file;
	return -1;
}

/** raise_limits() - A link costs a dozen descriptors */
static void raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

/**
 * enter_private_netns() - Make the veth pair, and go where our end is
 * @c:	veth_host is not empty
 *
 * Our end must not be where the kernel routes: with ip_forward on it would send
 * what it meets there back to the pair.  The namespace, and with it the pair,
 * lasts as long as this process.
 *
 * Return: 0 or -errno with the reason in @err
 */
static int enter_private_netns(const struct gz_port_config *c, char *err, size_t n)
{
	int home, own = -1, rc = 0;

	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0 || unshare(CLONE_NEWNET)) {
		rc = -errno;
		snprintf(err, n, "no private network namespace for %s: %m", c->iface);
		goto out;
	}
	own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (own < 0 || setns(home, CLONE_NEWNET)) {
		rc = -errno;
		snprintf(err, n, "no way back from the private network namespace: %m");
		goto out;
	}
	rc = gz_veth_create(c, own, err, n);
	if (!rc && setns(own, CLONE_NEWNET)) {
		rc = -errno;
		snprintf(err, n, "the private network namespace cannot be entered: %m");
	}
out:
	if (own >= 0)
		close(own);
	if (home >= 0)
		close(home);
	return rc;
}

/** enter_netns_of() - Where the one that we take over from has its veth pair */
static int enter_netns_of(pid_t pid, char *err, size_t n)
{
	char path[32];
	int fd, rc = 0;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		rc = gz_failed(err, n, errno,
			       "the network namespace of process %d cannot be entered: %m",
			       (int)pid);
	if (fd >= 0)
		close(fd);
	return rc;
}

static void tell_of_ports(const struct dispatch *d)
{
	char names[512] = "";
	size_t k = 0;

	for (const struct dispatch *p = d; p; p = p->next) {
		for (unsigned i = 0; i < p->wire.n && k < sizeof(names); i++)
			k += (size_t)snprintf(names + k, sizeof(names) - k, "%s%s%s%s (%s)",
					      k ? ", " : "", p->name, p->name[0] ? ": " : "",
					      atomic_load(&p->wire.port[i].open)
						  ? p->wire.port[i].port.device
						  : "not there yet",
					      p->wire.port[i].name);
	}
	say(GZ_LOG_INFO, "'%s' serves %u clients on %s", d->config.name, clients_count(d), names);
}

/** take_name() - When the one that had it has ended.  Return: the name of EAL's files */
static const char *take_name(const struct dispatch *d, const char *name)
{
	static bool tried;

	if (name == d->whole->name || tried || !takeover_over())
		return name;
	tried = true;
	if (!gz_eal_rename(name, d->whole->name))
		return d->whole->name;
	say(GZ_LOG_ERROR, "gazelle-ctl finds us as '%s' only: %m", name);
	return name;
}

/**
 * tend_until_signal() - And until another process takes over
 * @name:	Of EAL's files; changed when they have got the right one
 *
 * Return: why it ends
 */
static const char *tend_until_signal(struct dispatch *d, int signals, const char **name)
{
	struct signalfd_siginfo sig;

	for (;;) {
		workers_watch(d);
		links_tend();
		for (struct dispatch *p = d; p; p = p->next)
			clients_tend(p);
		*name = take_name(d, *name);
		attach_wait(d, signals, TEND_MS);
		if (takeover_wanted())
			return "another process takes over";
		if (read(signals, &sig, sizeof(sig)) != sizeof(sig))
			continue;
		if (sig.ssi_signo == SIGHUP)
			reload(d);
		else if (sig.ssi_signo == SIGUSR2)
			orders_run(d);
		else
			return strsignal((int)sig.ssi_signo);
	}
}

static bool has_pci(const struct gz_dispatch_config *c)
{
	bool pci = c->port.driver == GZ_DRV_PCI;

	for (unsigned i = 0; i < c->bond.nports; i++)
		pci |= c->bond.ports[i].driver == GZ_DRV_PCI;
	for (unsigned i = 0; i < c->nports; i++)
		pci |= c->ports[i].port.driver == GZ_DRV_PCI;
	for (unsigned i = 0; i < c->nports * GZ_BOND_PORTS_MAX; i++)
		pci |= c->ports[i / GZ_BOND_PORTS_MAX].bond[i % GZ_BOND_PORTS_MAX].driver ==
		       GZ_DRV_PCI;
	return pci;
}

/** largest_mtu() - Of all ports: they have one kind of mbuf */
static uint16_t largest_mtu(const struct gz_dispatch_config *c)
{
	uint16_t mtu = c->port.mtu;

	for (unsigned i = 0; i < c->nports; i++)
		mtu = RTE_MAX(mtu, c->ports[i].port.mtu);
	return mtu;
}

/** share_out() - Mbufs and queues, to each port */
static void share_out(struct dispatch *first, struct rte_mempool *pool)
{
	for (struct dispatch *d = first; d; d = d->next) {
		struct gz_port_config *p = &d->config.port;

		d->pool = pool;
		gz_port_share(p, gz_eal_workers());
	}
}

/** start_clients() - And their links, at all ports.  Return: 0 or -ENOMEM */
static int start_clients(struct dispatch *first)
{
	const struct gz_dispatch_config *c = first->whole;
	struct link *links = links_start(c->nports ? c->nports : 1, first->worker, first->nworkers,
					 c->log != GZ_LOG_DEBUG);
	int rc = links ? 0 : -ENOMEM;

	for (struct dispatch *d = first; d && !rc; d = d->next) {
		d->link = links + d->number * GZ_CLIENTS_MAX;
		rc = clients_start(d);
	}
	return rc;
}

int main(int argc, char **argv)
{
	static struct gz_dispatch_config whole;
	struct gz_dispatch_config *c = &whole;
	char err[512], next[GZ_NAME_MAX + 16];
	struct rte_mempool *pool;
	struct dispatch *d;
	int rc, signals, status = EXIT_FAILED;
	const char *name = c->name, *file = NULL, *why;
	bool takeover = false;
	pid_t before = 0;
	sigset_t set;

	rc = options(argc, argv, c, &file, &takeover);
	if (rc >= 0) {
		gz_dispatch_config_free(c);
		return rc;
	}
	d = ports_new(c, file);
	if (!d) {
		say(GZ_LOG_ERROR, "no memory");
		goto out_config;
	}

	set_log_level(c->log);
	orders_init(d);
	/* before there are threads, so that they all inherit it */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	raise_limits();

	if (takeover) {
		before = takeover_find(d, err, sizeof(err));
		if (before < 0) {
			say(GZ_LOG_ERROR, "%s", err);
			goto out_config;
		}
		snprintf(next, sizeof(next), "%.*s~%d", GZ_NAME_MAX, c->name, (int)getpid());
		name = next;
	}
	rc = gz_eal_start(&(struct gz_eal_config){.name = name,
						  .memory = &c->memory,
						  .workers = &c->workers,
						  .log = c->log,
						  .extra = c->eal,
						  .nextra = c->neal,
						  .mtu = largest_mtu(c)},
			  has_pci(c), err, sizeof(err));
	if (rc) {
		say(GZ_LOG_ERROR, "%s", err);
		goto out_config;
	}
	say(GZ_LOG_INFO, "%s", err);

	if (c->port.veth_host[0])
		rc = takeover ? enter_netns_of(before, err, sizeof(err))
			      : enter_private_netns(&c->port, err, sizeof(err));
	if (rc) {
		say(GZ_LOG_ERROR, "%s", err);
		goto out_eal;
	}
	pool = gz_port_pool("mbufs", c->memory.mbufs, gz_eal_workers(), largest_mtu(c));
	if (!pool) {
		say(GZ_LOG_ERROR, "no memory for %u mbufs a worker: raise memory.megabytes",
		    c->memory.mbufs);
		goto out_eal;
	}
	share_out(d, pool);
	rc = workers_new(d);
	if (rc) {
		say(GZ_LOG_ERROR, "the workers cannot be made: %s", strerror(-rc));
		goto out_pool;
	}
	rc = takeover ? takeover_begin(err, sizeof(err)) : 0;
	if (rc) {
		say(GZ_LOG_ERROR, "%s", err);
		goto out_pool;
	}
	rc = ports_open(d, err, sizeof(err));
	if (rc) {
		say(GZ_LOG_ERROR, "%s", err);
		goto out_ports;
	}
	if (start_clients(d) || telemetry_start(d)) {
		say(GZ_LOG_ERROR, "no memory");
		goto out_links;
	}
	if (attach_open(d, err, sizeof(err))) {
		say(GZ_LOG_ERROR, "%s", err);
		goto out_links;
	}
	rc = monitor_start(d);
	if (rc) {
		say(GZ_LOG_ERROR, "the ports cannot be monitored: %s", strerror(-rc));
		goto out_links;
	}
	rc = workers_start(d);
	if (rc) {
		say(GZ_LOG_ERROR, "the workers cannot be started: %s", strerror(-rc));
		goto out_workers;
	}
	takeover_done();
	tell_of_ports(d);

	why = tend_until_signal(d, signals, &name);
	say(GZ_LOG_INFO, "%s: ending", why);
	status = EXIT_FINE;

out_workers:
	monitor_stop(d); /* before the workers, which it may wait for */
	workers_stop(d);
out_links:
	monitor_stop(d);
	attach_close();
	links_stop();
	for (struct dispatch *p = d; p; p = p->next)
		clients_stop(p);
out_ports:
	ports_close(d);
	takeover_given();
out_pool:
	workers_free(d);
	rte_mempool_free(pool);
out_eal:
	gz_eal_stop(name, false);
out_config:
	ports_free(d);
	gz_dispatch_config_free(c);
	return status;
}
