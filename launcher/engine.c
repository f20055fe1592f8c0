/* SPDX-License-Identifier: BSD-3-Clause
 *
 * engine.c - Find the engine that will serve the program, or start one
 *
 * Theory of operation: whoever listens on RUN_DIR/NAME.sock and answers a PING
 * is the engine.  If nobody does, and the name is not one that the user chose
 * among engines he runs, we start a private one: `gazelle-engine --embedded`,
 * a daemon that ends some time after its last program.  It says on a pipe when
 * it serves: "ok", "error: why", or "busy", when another one holds the lock
 * because two gazelle-runs started at once; then that one's socket appears
 * soon.  An engine may also end between our PING and what we ask next; whoever
 * sees that starts over, a bounded number of times.
 */
#include "launcher/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "launcher/clock.h"
#include "launcher/say.h"

#define ENGINE_PROGRAM "gazelle-engine"
#define ANSWER_TIME_S 10   /* for a welcome, and for a start */
#define BUSY_TIME_MS 15000 /* for another's start to end */
#define BUSY_POLL_MS 20
#define BUSY_AGAIN_MS 1000 /* the other may have failed: try it ourselves */
#define START_TRIES 5
#define LOG_MAX_BYTES (1 << 20)

#define READY_FD 3 /* the engine's end of the pipe */

/* --- the control socket ---------------------------------------------------- */

int gz_engine_connect(const struct gz_engine *e)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = ANSWER_TIME_S};
	int fd, rc;

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", e->sock);
	/* Both: a connect() to a full backlog waits as long as a send may. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)))
		goto fail;
	do
		rc = connect(fd, (struct sockaddr *)&sun, sizeof(sun));
	while (rc && errno == EINTR);
	if (rc)
		goto fail;
	return fd;
fail:
	rc = errno == EAGAIN ? -ETIMEDOUT : -errno;
	close(fd);
	return rc;
}

static int send_hello(int sock, const struct gz_hello *h, int fd, int other)
{
	struct iovec iov = {.iov_base = (void *)h, .iov_len = sizeof(*h)};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(2 * sizeof(int))];
	} control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (fd >= 0) {
		int fds[2] = {fd, other};
		size_t len = (other < 0 ? 1 : 2) * sizeof(int);
		struct cmsghdr *cmsg;

		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(len);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(len);
		memcpy(CMSG_DATA(cmsg), fds, len);
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EPIPE)
		return -ECONNRESET;
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return n == (ssize_t)sizeof(*h) ? 0 : -EPROTO;
}

static int receive_welcome(int sock, struct gz_welcome *w)
{
	struct iovec iov = {.iov_base = w, .iov_len = sizeof(*w)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return -ECONNRESET;
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (n != (ssize_t)sizeof(*w) || w->magic != GZ_CONTROL_MAGIC ||
	    w->version != GZ_CONTROL_VERSION)
		return -EPROTO;
	w->text[sizeof(w->text) - 1] = '\0';
	return 0;
}

int gz_engine_ask(int sock, enum gz_control_op op, const char *program, int fd, int other,
		  struct gz_welcome *w)
{
	struct gz_hello h = {
	    .magic = GZ_CONTROL_MAGIC, .version = GZ_CONTROL_VERSION, .op = (uint16_t)op};
	int rc;

	if (program)
		snprintf(h.program, sizeof(h.program), "%s", program);
	rc = send_hello(sock, &h, fd, other);
	if (fd >= 0)
		close(fd);
	return rc ? rc : receive_welcome(sock, w);
}

void gz_engine_say_failure(const struct gz_engine *e, int err)
{
	switch (-err) {
	case EACCES:
	case EPERM:
		gz_error("no right to join engine '%s' (%s: %s): it takes write permission on that "
			 "socket; run as its owner, or have the owner grant it with chgrp and "
			 "chmod g+w",
			 e->name, e->sock, strerror(-err));
		break;
	case ETIMEDOUT:
		gz_error("engine '%s' does not answer (%s: nothing for %d seconds)", e->name,
			 e->sock, ANSWER_TIME_S);
		break;
	case EPROTO:
		gz_error("engine '%s' speaks another version of the protocol (%s): gazelle-run and "
			 "gazelle-engine must be of one release; restart the engine",
			 e->name, e->sock);
		break;
	default:
		gz_error("Couldn't reach engine '%s' (%s: %s)", e->name, e->sock, strerror(-err));
	}
}

static int ping(const struct gz_engine *e, bool *ring)
{
	struct gz_welcome w;
	int sock, rc;

	sock = gz_engine_connect(e);
	if (sock < 0)
		return sock;
	rc = gz_engine_ask(sock, GZ_OP_PING, NULL, -1, -1, &w);
	close(sock);
	if (!rc && w.status) {
		gz_error("engine '%s': %s", e->name, w.text[0] ? w.text : strerror(w.status));
		rc = -ECANCELED;
	}
	if (!rc && ring)
		*ring = w.ring;
	return rc;
}

/* Nobody there, or somebody who was about to leave */
static bool is_absent(int rc)
{
	return rc == -ENOENT || rc == -ECONNREFUSED || rc == -ECONNRESET;
}

/* --- starting one ---------------------------------------------------------- */

enum start_result { START_OK, START_BUSY, START_FAILED };

static bool is_program(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK);
}

static bool find_in_path(char *path, size_t n)
{
	const char *dirs = getenv("PATH");

	while (dirs && *dirs) {
		size_t len = strcspn(dirs, ":");
		int k = snprintf(path, n, "%.*s/" ENGINE_PROGRAM, (int)len, dirs);

		/* Only absolute ones: the program runs with our rights. */
		if (dirs[0] == '/' && k > 0 && (size_t)k < n && is_program(path))
			return true;
		dirs += len + (dirs[len] == ':');
	}
	return false;
}

/* Beside us, as built and as installed; where distributions put helpers; PATH */
static bool find_program(char *path, size_t n)
{
	static const char *const places[] = {"", "../libexec/gazelle/"};
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len > 0) {
		self[len] = '\0';
		*strrchr(self, '/') = '\0';
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			int k = snprintf(path, n, "%s/%s" ENGINE_PROGRAM, self, places[i]);

			if (k > 0 && (size_t)k < n && is_program(path))
				return true;
		}
	}
	if (find_in_path(path, n))
		return true;
	gz_error("Couldn't find " ENGINE_PROGRAM ": neither in %s, nor in ../libexec/gazelle from "
		 "there, nor in PATH",
		 len > 0 ? self : "gazelle-run's folder");
	return false;
}

/* Names of the capabilities that a private engine needs and would not have */
static bool missing_rights(const char *program, char *text, size_t n)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
	    {CAP_NET_ADMIN, "CAP_NET_ADMIN"},	/* the veth pair, XDP */
	    {CAP_NET_RAW, "CAP_NET_RAW"},	/* AF_PACKET, AF_XDP */
	    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},	/* BPF programs */
	    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE"}, /* arguments in the program's memory */
	};
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	struct stat st;
	size_t used = 0;

	text[0] = '\0';
	if (syscall(SYS_capget, &head, data))
		return false;
	/* A program with rights of its own (setcap, setuid) will tell itself. */
	if (getxattr(program, "security.capability", NULL, 0) > 0 ||
	    (!stat(program, &st) && (st.st_mode & S_ISUID)))
		return false;
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		uint32_t bits = data[CAP_TO_INDEX(needed[i].cap)].effective;

		if (bits & CAP_TO_MASK(needed[i].cap))
			continue;
		used += (size_t)snprintf(text + used, n - used, "%s%s", used ? ", " : "",
					 needed[i].name);
	}
	return used > 0;
}

/* Descriptor of the engine's log, at its end; /dev/null where there cannot be one */
static int open_log(const struct gz_engine *e, char *path, size_t n, off_t *start)
{
	struct stat st;
	int fd;

	snprintf(path, n, "%s/%s.log", e->run_dir, e->name);
	if (mkdir(e->run_dir, 0755) && errno != EEXIST)
		gz_step("Couldn't make %s: %s", e->run_dir, strerror(errno));
	*start = 0;
	fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
	if (fd < 0) {
		gz_step("Couldn't open %s: %s; the engine's messages are lost", path,
			strerror(errno));
		path[0] = '\0';
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	}
	if (!fstat(fd, &st) && S_ISREG(st.st_mode)) {
		*start = st.st_size;
		if (st.st_size > LOG_MAX_BYTES && !ftruncate(fd, 0))
			*start = 0;
	}
	return fd;
}

/* In the new process: nothing of the program's surroundings goes with the engine */
static void exec_engine(const struct gz_engine *e, const char *program, int log, int ready)
{
	char *argv[8], number[8];
	sigset_t none;
	int n = 0, null;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);

	/* Above 3, so that the dup2()s do not step on each other; 0 to 2 are open, see main(). */
	log = fcntl(log, F_DUPFD, 10);
	ready = fcntl(ready, F_DUPFD, 10);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (log < 0 || ready < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0 ||
	    dup2(ready, READY_FD) < 0)
		_exit(1);
	close_range(READY_FD + 1, ~0U, 0);
	umask(022);
	if (chdir("/"))
		_exit(1);

	snprintf(number, sizeof(number), "%d", READY_FD);
	argv[n++] = (char *)program;
	argv[n++] = (char *)"--embedded";
	if (e->config[0]) {
		argv[n++] = (char *)"--config";
		argv[n++] = (char *)e->config;
	}
	argv[n++] = (char *)"--ready-fd";
	argv[n++] = number;
	argv[n] = NULL;
	execv(program, argv);
	dprintf(READY_FD, "error: %s: %s\n", program, strerror(errno));
	_exit(1);
}

/*
 * Twice forked: the engine is init's child, not ours, and so never a zombie of
 * the program's.  The first child is a clone without an exit signal, because
 * an ignored SIGCHLD, which we may have inherited, would reap it unseen.
 */
static pid_t fork_engine(const struct gz_engine *e, const char *program, int log, int ready)
{
	pid_t *shared, middle, engine = -1;

	shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -1;
	*shared = -1;
	middle = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
	if (!middle) {
		pid_t pid;

		setsid();
		pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
		if (!pid)
			exec_engine(e, program, log, ready);
		*shared = pid;
		_exit(0);
	}
	if (middle > 0) {
		while (waitpid(middle, NULL, __WALL) < 0 && errno == EINTR)
			;
		engine = *shared;
	}
	munmap(shared, sizeof(*shared));
	return engine;
}

/* Read the engine's line; *n is its length, without the newline */
static int read_line(int fd, char *buf, size_t size, size_t *n)
{
	int64_t until = gz_now_ms() + ANSWER_TIME_S * 1000;

	*n = 0;
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = until - gz_now_ms();
		ssize_t k;

		if (left <= 0 || *n == size - 1)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		k = read(fd, buf + *n, size - 1 - *n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		*n += (size_t)k;
		if (buf[*n - 1] == '\n')
			break;
	}
	while (*n && buf[*n - 1] == '\n')
		--*n;
	buf[*n] = '\0';
	return 0;
}

/* The engine ended without a word: what it wrote to its log is the best there is */
static void say_silent_end(const struct gz_engine *e, int log, off_t start, const char *path)
{
	char text[2048];
	ssize_t n = pread(log, text, sizeof(text) - 1, start);

	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n > 0)
		gz_error("engine '%s' ended before it was ready; its log (%s) says:\n%.*s", e->name,
			 path, (int)n, text);
	else
		gz_error("engine '%s' ended before it was ready, and said nothing", e->name);
}

static enum start_result start(const struct gz_engine *e)
{
	char program[PATH_MAX], path[PATH_MAX], line[3072], missing[96];
	enum start_result result = START_FAILED;
	int ready[2], log;
	off_t log_start;
	size_t n;
	pid_t pid;

	if (!find_program(program, sizeof(program)))
		return START_FAILED;
	if (missing_rights(program, missing, sizeof(missing))) {
		gz_error("engine '%s' is not running (%s), and starting one takes rights that you "
			 "lack: %s; run gazelle-run as root, or let root start gazelle-engine and "
			 "give you write permission on its socket",
			 e->name, e->sock, missing);
		return START_FAILED;
	}
	if (pipe2(ready, O_CLOEXEC)) {
		gz_error("Couldn't make a pipe: %s", strerror(errno));
		return START_FAILED;
	}
	log = open_log(e, path, sizeof(path), &log_start);
	gz_step("starting %s%s%s, log %s", program, e->config[0] ? " --config " : "", e->config,
		path[0] ? path : "nowhere");
	pid = fork_engine(e, program, log, ready[1]);
	close(ready[1]);
	if (pid < 0) {
		gz_error("Couldn't start %s: %s", program, strerror(errno));
		goto out;
	}
	if (read_line(ready[0], line, sizeof(line), &n)) {
		gz_error("engine '%s' was not ready after %d seconds%s%s", e->name, ANSWER_TIME_S,
			 path[0] ? "; see " : "", path);
		kill(pid, SIGTERM);
	} else if (!strcmp(line, "ok")) {
		result = START_OK;
	} else if (!strcmp(line, "busy")) {
		result = START_BUSY;
	} else if (n) {
		gz_error("Couldn't start engine '%s': %s", e->name,
			 strncmp(line, "error: ", 7) ? line : line + 7);
	} else {
		say_silent_end(e, log, log_start, path);
	}
out:
	close(ready[0]);
	if (log >= 0)
		close(log);
	return result;
}

int gz_engine_ready(const struct gz_engine *e, bool *ring)
{
	int64_t until = 0, again = 0; /* while another one starts */
	int tries = 0, rc;

	for (;;) {
		rc = ping(e, ring);
		if (!rc) {
			gz_step("engine '%s' is at %s", e->name, e->sock);
			return 0;
		}
		if (rc == -ECANCELED) /* was said */
			return GZ_EXIT_FAILED;
		if (!is_absent(rc)) {
			gz_engine_say_failure(e, rc);
			return GZ_EXIT_FAILED;
		}
		if (!e->may_start) {
			gz_error("no engine '%s' (%s: %s); start one with: " ENGINE_PROGRAM
				 " --config FILE",
				 e->name, e->sock, strerror(-rc));
			return GZ_EXIT_FAILED;
		}
		if (until && gz_now_ms() < again) {
			gz_pause_ms(BUSY_POLL_MS);
			continue;
		}
		if (until ? gz_now_ms() > until : tries == START_TRIES) {
			gz_error("engine '%s' ends as soon as it is started (%s: %s)", e->name,
				 e->sock, strerror(-rc));
			return GZ_EXIT_FAILED;
		}
		switch (start(e)) {
		case START_OK:
			until = 0;
			tries++;
			break;
		case START_BUSY:
			again = gz_now_ms() + BUSY_AGAIN_MS;
			if (!until)
				until = gz_now_ms() + BUSY_TIME_MS;
			break;
		case START_FAILED:
			return GZ_EXIT_FAILED;
		}
	}
}
