// SPDX-License-Identifier: BSD-3-Clause
/*
 * telemetry.c - Client of DPDK's telemetry socket, version 2
 *
 * Theory of operation (DPDK's howto/telemetry): the engine listens on an
 * AF_UNIX SEQPACKET socket in EAL's run-time folder.  It greets every
 * connection with {"version", "pid", "max_output_len"}; after that each packet
 * we send is a command, "/path" or "/path,arguments", and each packet received
 * is {"/path": value}.  A command that nobody registered has the value null.
 *
 * The values can hold text that a served program chose (its name), so replies
 * are cleaned before they are parsed, and parsed before they are printed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl/telemetry.h"

#define REPLY_DEFAULT 16384  /* DPDK's MAX_OUTPUT_LEN so far */
#define REPLY_MAX (16 << 20) /* beyond it the greeting is nonsense */
#define TIMEOUT_S 5	     /* the telemetry thread answers in microseconds */
#define COMMAND_MAX 128

struct telemetry {
	int fd;
	const char *engine;
	size_t size; /* of buf, without the NUL that is put behind a reply */
	char *buf;
};

/*
 * socket_path() - Where EAL puts the socket of a process run by root
 * @sun:	Filled
 * @engine:	Name; the engine's EAL file prefix is gazelle-NAME
 *
 * Return: 0 or -1 when the path is too long for an AF_UNIX socket.
 */
static int socket_path(struct sockaddr_un *sun, const char *engine)
{
	const char *base = getenv("RUNTIME_DIRECTORY"); /* as EAL does */
	int n;

	if (!base || !*base)
		base = "/var/run";
	sun->sun_family = AF_UNIX;
	n = snprintf(sun->sun_path, sizeof(sun->sun_path), "%s/dpdk/gazelle-%s/dpdk_telemetry.v2",
		     base, engine);
	if (n < 0 || (size_t)n >= sizeof(sun->sun_path)) {
		fprintf(stderr,
			"gazelle-ctl: the path of the engine's socket is too long: "
			"%s/dpdk/gazelle-%s/…\n",
			base, engine);
		return -1;
	}
	return 0;
}

/* Control characters never belong in a reply: they would reach a terminal */
static void clean_controls(char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			s[i] = s[i] == '\n' || s[i] == '\t' || s[i] == '\r' ? ' ' : '?';
	}
}

static void clean_non_ascii(char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] & 0x80)
			s[i] = '?';
	}
}

/*
 * receive() - One packet, as JSON
 * @t:		Connection
 * @what:	For messages: the command, or what else was awaited
 *
 * Return: a new reference to an object, or NULL.
 */
static json_t *receive(struct telemetry *t, const char *what)
{
	json_error_t err;
	json_t *j;
	ssize_t n;

	do {
		n = recv(t->fd, t->buf, t->size, MSG_TRUNC);
	} while (n < 0 && errno == EINTR);

	if (n < 0) {
		const char *why = errno == EAGAIN ? "it does not answer" : strerror(errno);

		fprintf(stderr, "gazelle-ctl: `%s': %s: %s\n", t->engine, what, why);
		return NULL;
	}
	if (n == 0) {
		/* DPDK closes at once when ten clients are connected already */
		fprintf(stderr, "gazelle-ctl: `%s' closed the connection: %s\n", t->engine, what);
		return NULL;
	}
	if ((size_t)n > t->size) {
		fprintf(stderr, "gazelle-ctl: `%s': %s: a reply of %zd bytes, over %zu\n",
			t->engine, what, n, t->size);
		return NULL;
	}

	clean_controls(t->buf, n);
	j = json_loadb(t->buf, n, 0, &err);
	if (!j) { /* a program's name need not be UTF-8, JSON must */
		clean_non_ascii(t->buf, n);
		j = json_loadb(t->buf, n, 0, &err);
	}
	if (!json_is_object(j)) {
		t->buf[n] = '\0';
		fprintf(stderr, "gazelle-ctl: `%s': %s: not a JSON object (%s): %.200s\n",
			t->engine, what, j ? "something else" : err.text, t->buf);
		json_decref(j);
		return NULL;
	}
	return j;
}

/* Reads the greeting and makes room for the longest reply it announces */
static int greet(struct telemetry *t)
{
	json_t *info = receive(t, "greeting");
	json_int_t max;
	char *buf;

	if (!info)
		return -1;
	max = json_integer_value(json_object_get(info, "max_output_len"));
	json_decref(info);
	if (max <= (json_int_t)t->size || max > REPLY_MAX)
		return 0;
	buf = realloc(t->buf, max + 1);
	if (!buf) {
		fprintf(stderr, "gazelle-ctl: %s\n", strerror(ENOMEM));
		return -1;
	}
	t->buf = buf;
	t->size = max;
	return 0;
}

static void explain_connect(const char *engine, const char *path, int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED:
		fprintf(stderr, "gazelle-ctl: `%s' is not running (nobody at %s)\n", engine, path);
		break;
	case EACCES:
	case EPERM:
		fprintf(stderr, "gazelle-ctl: `%s': %s: %s (the engine's user and root may)\n",
			engine, path, strerror(error));
		break;
	default:
		fprintf(stderr, "gazelle-ctl: Couldn't connect to `%s' at %s: %s\n", engine, path,
			strerror(error));
	}
}

struct telemetry *telemetry_open(const char *engine)
{
	struct timeval timeout = {.tv_sec = TIMEOUT_S};
	struct sockaddr_un sun = {0};
	struct telemetry *t;

	if (socket_path(&sun, engine))
		return NULL;

	t = calloc(1, sizeof(*t));
	if (!t)
		goto nomem;
	t->fd = -1;
	t->engine = engine;
	t->size = REPLY_DEFAULT;
	t->buf = malloc(t->size + 1);
	if (!t->buf)
		goto nomem;

	t->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (t->fd < 0 ||
	    /* also bounds connect() to a listener whose backlog is full */
	    setsockopt(t->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    connect(t->fd, (struct sockaddr *)&sun, sizeof(sun))) {
		explain_connect(engine, sun.sun_path, errno);
		goto fail;
	}
	if (greet(t))
		goto fail;
	return t;

nomem:
	fprintf(stderr, "gazelle-ctl: %s\n", strerror(ENOMEM));
fail:
	telemetry_close(t);
	return NULL;
}

void telemetry_close(struct telemetry *t)
{
	if (!t)
		return;
	if (t->fd >= 0)
		close(t->fd);
	free(t->buf);
	free(t);
}

json_t *telemetry_get(struct telemetry *t, const char *command)
{
	ssize_t n = send(t->fd, command, strlen(command), MSG_NOSIGNAL);
	json_t *reply, *value;

	if (n < 0) {
		fprintf(stderr, "gazelle-ctl: `%s': Couldn't ask %s: %s\n", t->engine, command,
			errno == EAGAIN ? "it does not listen" : strerror(errno));
		return NULL;
	}
	reply = receive(t, command);
	if (!reply)
		return NULL;
	/* One member, named after the command without its arguments */
	value = json_object_iter_value(json_object_iter(reply));
	value = value ? json_incref(value) : json_null();
	json_decref(reply);
	return value;
}

/*
 * take_page() - Move a page's objects to the list
 * @all:	List
 * @page:	Reply, an object
 *
 * Return: START of the next page, 0 at the end.
 */
static json_int_t take_page(json_t *all, json_t *page)
{
	const char *key;
	json_t *value;

	json_object_foreach(page, key, value)
	{
		if (json_is_object(value))
			json_array_append(all, value);
	}
	return json_integer_value(json_object_get(page, "next"));
}

json_t *telemetry_get_all(struct telemetry *t, const char *command)
{
	json_int_t start = 0, next;
	json_t *all = json_array();

	do {
		char page_command[COMMAND_MAX];
		json_t *page;

		snprintf(page_command, sizeof(page_command), "%s,%" JSON_INTEGER_FORMAT, command,
			 start);
		page = telemetry_get(t, page_command);
		if (!json_is_object(page)) {
			json_decref(all);
			return page; /* null: unknown; NULL: failed */
		}
		next = take_page(all, page);
		json_decref(page);
		if (next && next <= start) { /* would never end */
			fprintf(stderr,
				"gazelle-ctl: `%s': %s: page %" JSON_INTEGER_FORMAT
				" leads back to %" JSON_INTEGER_FORMAT "\n",
				t->engine, command, start, next);
			json_decref(all);
			return NULL;
		}
		start = next;
	} while (next);
	return all;
}

json_t *telemetry_ask_all(const char *engine, const char *command)
{
	struct telemetry *t = telemetry_open(engine);
	json_t *all = t ? telemetry_get_all(t, command) : NULL;

	telemetry_close(t);
	return all;
}
