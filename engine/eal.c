/* SPDX-License-Identifier: BSD-3-Clause
 *
 * eal.c - Our configuration in DPDK's words
 *
 * Theory of operation: EAL can be initialised once in a process, so everything
 * that may fail is looked at first: the CPUs we may run on, the free hugepages,
 * a running namesake.  Then one argument vector is built and rte_eal_init() is
 * called with it.
 *
 * Memory.  With hugepages: --in-memory --single-file-segments, pages come from
 * memfd, nothing to mount and nothing left behind by SIGKILL; one file a
 * segment list, because vhost-user passes at most 8 descriptors.  Without:
 * --no-huge, which DPDK also backs with one memfd that a vhost-user peer can
 * map.  --no-shconf goes with both: no secondary processes, and no 1.8 MB of
 * files in the run-time directory.  Telemetry does not depend on it.
 * Who has found free hugepages holds a lock until EAL has them.
 *
 * Messages.  DPDK says why something failed only in its log.  All of it passes
 * log_write(), which hands the first error of a gz_log_hold() to our caller.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include "engine/cpus.h"
#include "engine/port.h"

#define HUGE_2MB "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define ARGS_MAX (24 + GZ_EAL_ARGS_MAX)
/* Besides the mbufs: rings, queues, heap headers and what drivers keep. */
#define OVERHEAD_MB 16
/* Besides these and the workers' stacks: its control threads, and what it allocates */
#define CONTROL_THREADS 3
#define SLACK_MB 8
/* EAL starts in some 100 ms; who takes so long is stopped, or waits for a device. */
#define HUGE_LOCK_MS 3000 /* less than launchers wait for an engine */
#define HUGE_LOCK_POLL_MS 5

/* What EAL may not print on its own: the first error since gz_log_hold() */
static struct {
	pthread_mutex_t lock;
	bool held;
	char line[256];
} held = {.lock = PTHREAD_MUTEX_INITIALIZER};

int gz_failed(char *err, size_t n, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, n, fmt, ap);
	va_end(ap);
	return -error;
}

/**
 * log_write() - DPDK's log: to stderr, or into held.line
 * @cookie:	Unused
 * @buf, @size:	One message with its newline
 *
 * Any thread.  Return: @size, as a stream's write function
 */
static ssize_t log_write(void *cookie, const char *buf, size_t size)
{
	int level = rte_log_cur_msg_loglevel();
	bool hide = level <= (int)RTE_LOG_WARNING && rte_log_get_global_level() < RTE_LOG_DEBUG;

	(void)cookie;
	pthread_mutex_lock(&held.lock);
	if (held.held && level <= (int)RTE_LOG_ERR && !held.line[0]) {
		const char *text = memmem(buf, size, "(): ", 4);
		size_t len;

		/* "function(): text": the function helps nobody here */
		text = text ? text + 4 : buf;
		len = size - (size_t)(text - buf);
		while (len && (text[len - 1] == '\n' || text[len - 1] == '.'))
			len--;
		snprintf(held.line, sizeof(held.line), "%.*s", (int)len, text);
	}
	if (!(held.held && hide) && fwrite(buf, 1, size, stderr) != size) {
		/* nobody is left to be told */
	}
	pthread_mutex_unlock(&held.lock);
	return (ssize_t)size;
}

static void log_open(void)
{
	static const cookie_io_functions_t io = {.write = log_write};
	static FILE *stream;

	if (!stream)
		stream = fopencookie(NULL, "w", io);
	if (stream)
		rte_openlog_stream(stream);
}

void gz_log_hold(void)
{
	pthread_mutex_lock(&held.lock);
	held.held = true;
	held.line[0] = '\0';
	pthread_mutex_unlock(&held.lock);
}

void gz_log_release(char *line, size_t n)
{
	pthread_mutex_lock(&held.lock);
	held.held = false;
	snprintf(line, n, "%s", held.line);
	pthread_mutex_unlock(&held.lock);
}

/** runtime_base() - What has this user's folder of DPDK's, as eal_create_runtime_dir() has it */
static const char *runtime_base(void)
{
	const char *base = getuid() ? getenv("XDG_RUNTIME_DIR") : "/var/run";

	return base ? base : "/tmp";
}

/**
 * runtime_dir() - Where DPDK puts the telemetry socket
 * @path, @n:	Filled
 * @name:	Of the engine or dispatch
 */
static void runtime_dir(char *path, size_t n, const char *name)
{
	snprintf(path, n, "%s/dpdk/gazelle-%s", runtime_base(), name);
}

/** socket_alive() - Does somebody answer on this telemetry socket? */
static bool socket_alive(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool alive;

	if (s < 0)
		return false;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	alive = !connect(s, (struct sockaddr *)&sun, sizeof(sun));
	close(s);
	return alive;
}

/** runtime_remove() - Remove the directory, which holds plain files only */
static void runtime_remove(const char *dir)
{
	struct dirent *e;
	DIR *d = opendir(dir);

	if (!d)
		return;
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	rmdir(dir);
}

/**
 * cpu_words() - The CPUs that this process may use, as --lcores wants them
 * @buf, @n:	Filled, e.g. "0-1,4"
 * @cpu, @ncpu:	Must be among them, unless negative
 *
 * Return: 0, -errno, or the number of the first that is not, from 1
 */
static int cpu_words(char *buf, size_t n, const int *cpu, unsigned ncpu)
{
	cpu_set_t set;
	size_t k = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		return -errno;
	buf[0] = '\0';
	for (int i = 0; i < CPU_SETSIZE && i < RTE_MAX_LCORE && k < n; i++) {
		int from = i;

		if (!CPU_ISSET(i, &set))
			continue;
		while (i + 1 < CPU_SETSIZE && i + 1 < RTE_MAX_LCORE && CPU_ISSET(i + 1, &set))
			i++;
		k += (size_t)snprintf(buf + k, n - k, k ? ",%d" : "%d", from);
		if (i > from && k < n)
			k += (size_t)snprintf(buf + k, n - k, "-%d", i);
	}
	if (k >= n)
		return -E2BIG;
	for (unsigned i = 0; i < ncpu; i++)
		if (cpu[i] >= 0 && (cpu[i] >= CPU_SETSIZE || !CPU_ISSET(cpu[i], &set)))
			return (int)i + 1;
	return 0;
}

/** huge_number() - One of the kernel's counters of 2 MB pages; 0 if none */
static unsigned long huge_number(const char *name)
{
	char path[128];
	unsigned long v = 0;
	FILE *f;

	snprintf(path, sizeof(path), HUGE_2MB "%s", name);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%lu", &v) != 1)
		v = 0;
	fclose(f);
	return v;
}

/** huge_free() - Free pages that are not promised to somebody */
static unsigned long huge_free(void)
{
	unsigned long free = huge_number("free_hugepages");
	unsigned long resv = huge_number("resv_hugepages");

	return free > resv ? free - resv : 0;
}

/**
 * huge_lock() - Until EAL has its hugepages nobody else of this user counts on them
 *
 * Nothing else stands between the look at the kernel's counters and the pages that EAL
 * takes, some 100 ms later.  A file of the kernel's would do for all users, but each network
 * namespace sees another /sys.
 *
 * Return: to be closed when EAL has started; -1 if there is no such directory, or if somebody
 *	   has had the lock for HUGE_LOCK_MS
 */
static int huge_lock(void)
{
	char dir[80];
	int fd;

	snprintf(dir, sizeof(dir), "%s/dpdk", runtime_base());
	mkdir(dir, 0700); /* as EAL does a moment later */
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int ms = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB); ms += HUGE_LOCK_POLL_MS) {
		if (ms >= HUGE_LOCK_MS) {
			close(fd);
			return -1;
		}
		usleep(HUGE_LOCK_POLL_MS * 1000);
	}
	return fd;
}

/** memory_mb() - Megabytes that EAL is to have for @workers */
static unsigned memory_mb(const struct gz_eal_config *c, unsigned workers)
{
	size_t room = gz_port_data_room(c->mtu);
	/* + 128: the mempool's header, slack, and rounding to cache lines */
	size_t object = sizeof(struct rte_mbuf) + GZ_MBUF_PRIV + room + 128;
	size_t need = (c->memory->mbufs * workers * object >> 20) + 1 + OVERHEAD_MB;

	return c->memory->megabytes ? c->memory->megabytes : (unsigned)RTE_ALIGN(need, 2);
}

/**
 * choose_memory() - Hugepages or not
 * @c:		Configuration
 * @mb:		Megabytes wanted
 * @huge:	Answer
 * @lock:	What keeps the hugepages for us, to be closed when EAL has them; else -1
 * @err, @n:	One line that says which memory, or what is missing
 *
 * Return: 0, -ENOMEM if hugepages are demanded and there are too few
 */
static int choose_memory(const struct gz_eal_config *c, unsigned mb, bool *huge, int *lock,
			 char *err, size_t n)
{
	unsigned long pages = (mb + 1) / 2, free;

	*lock = c->memory->hugepages != GZ_HUGE_NEVER && huge_free() ? huge_lock() : -1;
	free = huge_free();
	*huge = c->memory->hugepages != GZ_HUGE_NEVER && free >= pages;
	if (!*huge && *lock >= 0) {
		close(*lock);
		*lock = -1;
	}
	if (*huge)
		snprintf(err, n, "memory: %u MB in 2 MB hugepages", mb);
	else if (c->memory->hugepages == GZ_HUGE_NEVER)
		snprintf(err, n, "memory: %u MB without hugepages (as configured)", mb);
	else if (c->memory->hugepages == GZ_HUGE_ALWAYS)
		return gz_failed(
		    err, n, ENOMEM,
		    "%lu hugepages of 2 MB are needed and %lu are free: write a larger "
		    "number to " HUGE_2MB "nr_hugepages, or set memory.hugepages to auto",
		    pages, free);
	else if (free)
		snprintf(err, n, "memory: %u MB without hugepages (%lu needed, %lu free)", mb,
			 pages, free);
	else
		snprintf(err, n, "memory: %u MB without hugepages (none free)", mb);
	return 0;
}

/**
 * has_space() - May @mb megabytes, and the stacks of EAL's threads, be mapped? (RLIMIT_AS)
 *
 * EAL aborts the process where it gets no thread.
 *
 * Return: 0, or -ENOMEM with the reason in @err
 */
static int has_space(unsigned mb, unsigned workers, char *err, size_t n)
{
	pthread_attr_t attr;
	size_t stack, size;
	void *p;

	pthread_attr_init(&attr);
	pthread_attr_getstacksize(&attr, &stack);
	pthread_attr_destroy(&attr);
	size = ((size_t)mb + SLACK_MB) << 20;
	size += (workers + CONTROL_THREADS) * stack;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	if (p == MAP_FAILED)
		return gz_failed(err, n, ENOMEM,
				 "no memory: %zu MB of address space are needed, see RLIMIT_AS",
				 size >> 20);
	munmap(p, size);
	return 0;
}

int gz_eal_start(const struct gz_eal_config *c, bool pci, char *err, size_t n)
{
	char cpus[256], lcores[2048], prefix[64], mbytes[2 * RTE_MAX_NUMA_NODES + 16], level[16],
	    dir[80], sock[108];
	char reason[256], *argv[ARGS_MAX];
	unsigned mb, argc = 0;
	struct gz_cpus on;
	bool huge, local;
	size_t k;
	int rc, lock;

	rc = gz_cpus_choose(c->workers, &on, err, n);
	if (rc)
		return rc;
	rc = cpu_words(cpus, sizeof(cpus), on.cpu, on.n);
	if (rc > 0)
		return gz_failed(
		    err, n, EINVAL, "%s is %d, but this process may only run on CPU %s",
		    on.n > 1 ? "one of workers.cpus" : "worker.cpu", on.cpu[rc - 1], cpus);
	if (rc)
		return gz_failed(err, n, -rc, "the CPUs of this process cannot be read: %s",
				 strerror(-rc));

	/* systemd sets it; our clients look in one fixed place */
	unsetenv("RUNTIME_DIRECTORY");
	runtime_dir(dir, sizeof(dir), c->name);
	snprintf(sock, sizeof(sock), "%s/dpdk_telemetry.v2", dir);
	if (socket_alive(sock))
		return gz_failed(err, n, EADDRINUSE, "another '%s' is running (it answers on %s)",
				 c->name, sock);
	runtime_remove(dir);

	k = (size_t)snprintf(lcores, sizeof(lcores), "0@(%s)", cpus);
	for (unsigned i = 1; i <= on.n && k < sizeof(lcores); i++) {
		if (on.cpu[i - 1] >= 0)
			k += (size_t)snprintf(lcores + k, sizeof(lcores) - k, ",%u@%d", i,
					      on.cpu[i - 1]);
		else
			k += (size_t)snprintf(lcores + k, sizeof(lcores) - k, ",%u@(%s)", i, cpus);
	}
	if (k >= sizeof(lcores))
		return gz_failed(err, n, E2BIG, "%u workers are too many", on.n);

	mb = memory_mb(c, on.n);
	rc = has_space(mb, on.n, err, n);
	if (rc)
		return rc;
	rc = choose_memory(c, mb, &huge, &lock, err, n);
	if (rc)
		return rc;

	snprintf(prefix, sizeof(prefix), "gazelle-%s", c->name);
	local = huge && on.node >= 0 && on.node < RTE_MAX_NUMA_NODES;
	/* --socket-mem has a place for each node; what --no-huge gives obeys gz_cpus_prefer() */
	for (k = 0; local && k < 2 * (size_t)on.node; k += 2)
		memcpy(mbytes + k, "0,", 2);
	snprintf(mbytes + k, sizeof(mbytes) - k, "%u", mb);
	snprintf(level, sizeof(level), "%s",
		 c->log == GZ_LOG_DEBUG	  ? "*:debug"
		 : c->log == GZ_LOG_ERROR ? "error"
					  : "warning");

#define ARG(s) (argv[argc++] = (char *)(s))
	ARG("gazelle");
	ARG("--lcores"), ARG(lcores);
	ARG("--file-prefix"), ARG(prefix);
	ARG("--log-level"), ARG(level);
	/* or it complains that there is no socket of the old protocol */
	if (c->log != GZ_LOG_DEBUG)
		ARG("--log-level"), ARG("lib.telemetry:error");
	ARG(local ? "--socket-mem" : "-m"), ARG(mbytes);
	if (huge)
		ARG("--in-memory"), ARG("--single-file-segments");
	else
		ARG("--no-huge"), ARG("--no-shconf");
	/* Virtual addresses suit every virtual device, and AF_XDP's memory must
	 * not have the gaps that physical addressing leaves between mbufs. */
	if (!pci)
		ARG("--no-pci"), ARG("--iova-mode=va");
	for (unsigned i = 0; i < c->nextra && argc < ARGS_MAX - 1; i++)
		ARG(c->extra[i]);
#undef ARG
	argv[argc] = NULL;

	/* vhost-user peers that die leave sockets and eventfds half closed */
	signal(SIGPIPE, SIG_IGN);

	log_open();
	if (c->log != GZ_LOG_DEBUG) {
		/* chatty, even when all is well */
		libbpf_set_print(NULL);
		libxdp_set_print(NULL);
	}
	gz_cpus_prefer(&on);
	gz_log_hold();
	rc = rte_eal_init((int)argc, argv);
	gz_log_release(reason, sizeof(reason));
	if (lock >= 0)
		close(lock);
	if (rc >= 0)
		return 0;
	rc = rte_errno ? rte_errno : EINVAL;
	runtime_remove(dir);
	return gz_failed(err, n, rc, "DPDK does not start: %s",
			 reason[0] ? reason : rte_strerror(rc));
}

unsigned gz_eal_workers(void)
{
	return rte_lcore_count() - 1;
}

int gz_eal_worker_cpu(unsigned worker)
{
	rte_cpuset_t on = rte_lcore_cpuset(worker + 1);

	for (int i = 0; CPU_COUNT(&on) == 1 && i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &on))
			return i;
	return -1;
}

int gz_eal_rename(const char *from, const char *to)
{
	char dir[80], now[80];

	runtime_dir(dir, sizeof(dir), from);
	runtime_dir(now, sizeof(now), to);
	runtime_remove(now);
	return rename(dir, now) ? -errno : 0;
}

void gz_eal_stop(const char *name, bool in_use)
{
	char dir[80];

	if (!in_use)
		rte_eal_cleanup();
	runtime_dir(dir, sizeof(dir), name);
	runtime_remove(dir);
}
