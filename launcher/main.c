/* SPDX-License-Identifier: BSD-3-Clause
 *
 * main.c - gazelle-run: run an unmodified program on a Gazelle engine
 *
 * Theory of operation: find or start the engine (engine.c), build the filter
 * (filter.c, from the table in calls.c), fork the program, which joins the
 * engine and execs (spawn.c), then stay as its transparent parent (wrap.c).
 * Or put the filter on a process that runs already (attach.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/config.h"
#include "launcher/attach.h"
#include "launcher/engine.h"
#include "launcher/filter.h"
#include "launcher/say.h"
#include "launcher/signals.h"
#include "launcher/spawn.h"
#include "launcher/wrap.h"

#ifndef GZ_VERSION
#define GZ_VERSION "0.1"
#endif

#ifndef SIOCUNIXFILE /* of linux/un.h, which does not go with sys/un.h */
#define SIOCUNIXFILE 0x89E0
#endif

#define AGAIN_MAX 5 /* engines that leave between PING and SERVE */

/** How the program's bytes go: as the engine's configuration says, if nothing is. */
enum plane { PLANE_CONFIGURED, PLANE_RELAY, PLANE_RING };

struct options {
	const char *engine; /* NULL: not given */
	const char *config; /* NULL: not given */
	pid_t attach;	    /* 0: run a program */
	bool adopt;
	bool wait;
	enum plane plane;
};

static void usage(void)
{
	fputs("Usage: gazelle-run [OPTIONS] [--] PROGRAM [ARG...]\n"
	      "       gazelle-run [OPTIONS] --attach PID [--wait]\n\n"
	      "Runs PROGRAM, as it is, on the TCP/IP stack of a gazelle-engine, or moves\n"
	      "process PID there, which runs already.\n\n"
	      "Options:\n"
	      "  -e, --engine NAME   Join the engine NAME, which must be running, unless it is\n"
	      "                      the configured one (default: default)\n"
	      "  -c, --config FILE   Configuration of the engine that is joined, or started\n"
	      "  -p, --attach PID    Take over process PID with all its threads: new sockets\n"
	      "                      are the stack's, those that it has stay the kernel's.\n"
	      "                      `--attach -- PROGRAM' runs PROGRAM, as without --attach\n"
	      "      --adopt-listeners  With --attach PID: its listening TCP sockets are moved to\n"
	      "                      the stack, if the process also accepts what waits in them\n"
	      "      --wait          With --attach PID: end when the process ends, not at once\n"
	      "      --ring          Bytes go through shared memory where that can be, and\n"
	      "                      through the kernel's sockets where not\n"
	      "      --relay         Bytes go through the kernel's sockets, as with --attach PID\n"
	      "                      (default: as `plane:' of the engine's configuration says,\n"
	      "                      which is ring unless it is changed)\n"
	      "  -v, --verbose       Say what is done\n"
	      "  -q, --quiet         Say nothing, not even errors\n"
	      "  -h, --help          This text\n"
	      "      --version       Version of gazelle-run\n\n"
	      "Without a running engine a private one is started, which ends some time after\n"
	      "its last program; its messages go to NAME.log beside its control socket.\n\n"
	      "gazelle-run waits for PROGRAM, passes on the signals that it is sent, stops when\n"
	      "PROGRAM stops, and ends as it ends. Two signals cannot be passed on: SIGSTOP, and\n"
	      "SIGKILL; if gazelle-run is killed so, PROGRAM goes on, served by the engine.\n"
	      "Children of PROGRAM are served too. Under another gazelle-run it only executes\n"
	      "PROGRAM, which is served already.\n\n"
	      "With --attach PID it prints nothing and ends with 0. Children that PID has\n"
	      "already are not taken, later ones are. There is no way back. If it cannot be\n"
	      "done the reason is said, and PID goes on as it was. Without CAP_SYS_ADMIN of its\n"
	      "own PID gets no_new_privs: setuid programs that it executes gain nothing.\n\n"
	      "A listener that cannot be moved is named, with the reason, and stays the\n"
	      "kernel's; the exit status is 1 then.\n\n"
	      "Exit status: PROGRAM's; 125 gazelle-run failed (2: FILE is wrong), 126 PROGRAM "
	      "cannot be executed,\n"
	      "127 it was not found. If a signal ended PROGRAM, the same ends gazelle-run.\n",
	      stdout);
}

/*
 * A descriptor that we open must not become 0, 1 or 2, where our messages go.
 * Close-on-exec: the program finds them closed, as they were.
 */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static bool parse_pid(const char *text, pid_t *pid)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n <= 0 || n > INT32_MAX)
		return false;
	*pid = (pid_t)n;
	return true;
}

/* What goes together.  Return: as parse() */
static int check_options(const struct options *o, bool program)
{
	if ((o->wait || o->adopt) && !o->attach)
		gz_error("%s is for --attach PID; try `gazelle-run --help'",
			 o->wait ? "--wait" : "--adopt-listeners");
	else if (o->plane == PLANE_RING && o->attach)
		gz_error("--ring is not for --attach PID");
	else if (o->attach && program)
		gz_error("--attach %d and a program: either, not both", (int)o->attach);
	else if (!o->attach && !program)
		gz_error("no program given; try `gazelle-run --help'");
	else
		return -1;
	return GZ_EXIT_FAILED;
}

/* Return: -1, go on; else the exit status */
static int parse(int argc, char **argv, struct options *o)
{
	enum { OPT_RELAY = 256, OPT_RING, OPT_VERSION, OPT_WAIT, OPT_ADOPT };
	static const struct option options[] = {
	    {"engine", required_argument, NULL, 'e'},
	    {"config", required_argument, NULL, 'c'},
	    {"relay", no_argument, NULL, OPT_RELAY},
	    {"ring", no_argument, NULL, OPT_RING},
	    {"verbose", no_argument, NULL, 'v'},
	    {"quiet", no_argument, NULL, 'q'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, OPT_VERSION},
	    {"attach", required_argument, NULL, 'p'},
	    {"wait", no_argument, NULL, OPT_WAIT},
	    {"adopt-listeners", no_argument, NULL, OPT_ADOPT},
	    {0},
	};
	bool end = false; /* of the options: --attach swallowed the -- */
	int c;

	while (!end && (c = getopt_long(argc, argv, "+e:c:p:vqh", options, NULL)) != -1) {
		switch (c) {
		case 'e':
			o->engine = optarg;
			break;
		case 'c':
			o->config = optarg;
			break;
		case 'p':
			end = !strcmp(optarg, "--");
			if (end)
				o->attach = 0;
			else if (!parse_pid(optarg, &o->attach)) {
				gz_error("--attach: '%s' is not a process id", optarg);
				return GZ_EXIT_FAILED;
			}
			break;
		case OPT_ADOPT:
			o->adopt = true;
			break;
		case OPT_WAIT:
			o->wait = true;
			break;
		case OPT_RELAY:
		case OPT_RING: /* the last one counts */
			o->plane = c == OPT_RING ? PLANE_RING : PLANE_RELAY;
			break;
		case 'v':
			gz_say_level = GZ_SAY_STEPS;
			break;
		case 'q':
			gz_say_level = GZ_SAY_NOTHING;
			break;
		case 'h':
			usage();
			return fflush(stdout) ? GZ_EXIT_FAILED : 0;
		case OPT_VERSION:
			puts("gazelle-run " GZ_VERSION);
			return fflush(stdout) ? GZ_EXIT_FAILED : 0;
		default:
			fputs("Try `gazelle-run --help'.\n", stderr);
			return GZ_EXIT_FAILED;
		}
	}
	return check_options(o, optind < argc);
}

/* It becomes part of a path */
static bool is_engine_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < GZ_NAME_MAX && name[0] != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789._-") == len;
}

/* Which engine, and whether it is ours to start */
static int choose_engine(const struct options *o, struct gz_engine *e)
{
	static struct gz_engine_config c; /* large */
	int rc = GZ_EXIT_FAILED;

	memset(e, 0, sizeof(*e));
	gz_engine_config_default(&c);
	if (o->config) {
		if (!realpath(o->config, e->config)) {
			gz_error("Couldn't read %s: %s", o->config, strerror(errno));
			goto out;
		}
		if (gz_engine_config_load(o->config, &c, stderr)) {
			rc = 2; /* as gazelle-engine; the errors were printed, by line */
			goto out;
		}
	}
	if (o->engine && !is_engine_name(o->engine)) {
		gz_error("'%s' cannot be the name of an engine", o->engine);
		goto out;
	}
	e->may_start = !o->engine || !strcmp(o->engine, c.name);
	snprintf(e->name, sizeof(e->name), "%s", o->engine ? o->engine : c.name);
	snprintf(e->run_dir, sizeof(e->run_dir), "%s", c.run_dir);
	if (gz_control_path(e->sock, sizeof(e->sock), e->run_dir, e->name)) {
		gz_error("the path of engine '%s' in %s is too long for a socket", e->name,
			 e->run_dir);
		goto out;
	}
	rc = 0;
out:
	gz_engine_config_free(&c);
	return rc;
}

/*
 * A listener is above us.  Is it an engine?  A shadow is an AF_UNIX socket,
 * whose answer to this request, without an address, no AF_INET socket gives.
 */
static void warn_if_not_served(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (ioctl(fd, SIOCUNIXFILE, NULL) < 0 && (errno == ENOENT || errno == EPERM))
		gz_step("served already, by the engine above");
	else
		gz_error("the seccomp listener of another program is in the way: "
			 "what follows runs on the kernel's stack");
	close(fd);
}

/* Return: 0, or the exit status, and it was said */
static int build_filter(struct sock_fprog *filter, bool ring)
{
	int rc = gz_filter_build(filter, ring);

	if (!rc)
		return 0;
	gz_error("Couldn't build the seccomp filter: %s", gz_filter_strerror(rc));
	return GZ_EXIT_FAILED;
}

/* Return: gazelle-run's exit status, unless it ends as the program did */
static int run(const struct gz_engine *e, enum plane plane, char *const *argv)
{
	struct gz_signals inherited;
	struct sock_fprog filter;
	struct gz_child child;
	int status, rc;
	bool ring;

	for (int i = 0; i < AGAIN_MAX; i++) {
		rc = gz_engine_ready(e, &ring);
		if (rc)
			return rc;
		if (plane != PLANE_CONFIGURED)
			ring = plane == PLANE_RING;
		rc = build_filter(&filter, ring);
		if (rc)
			return rc;
		gz_signals_take(&inherited);
		rc = gz_spawn(e, &filter, &inherited, ring, argv, &child);
		gz_filter_free(&filter);
		if (!rc)
			rc = gz_wrap(&child, &status);
		if (!rc)
			gz_end_like(status);
		gz_signals_restore(&inherited);
		if (rc < 0) {
			gz_error("Couldn't run '%s': %s", argv[0], strerror(-rc));
			return GZ_EXIT_FAILED;
		}
		gz_step("engine '%s' went away, once more", e->name);
	}
	gz_error("engine '%s' (%s) goes away whenever it is asked to serve", e->name, e->sock);
	return GZ_EXIT_FAILED;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	struct sock_fprog filter;
	struct gz_engine engine;
	int rc;

	fill_standard_descriptors();
	rc = parse(argc, argv, &o);
	if (rc >= 0)
		return rc;
	argv += optind;
	rc = choose_engine(&o, &engine);
	if (rc)
		return rc;
	if (!o.attach && gz_filter_inherited()) {
		warn_if_not_served();
		return gz_exec(argv);
	}
	if (!o.attach)
		return run(&engine, o.plane, argv);
	rc = build_filter(&filter, false);
	if (rc)
		return rc;
	rc = gz_attach(&engine, &filter, o.attach, o.adopt, o.wait);
	gz_filter_free(&filter);
	return rc;
}
