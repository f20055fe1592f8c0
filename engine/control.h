/* SPDX-License-Identifier: BSD-3-Clause
 *
 * control.h - The boundary between gazelle-run and gazelle-engine
 *
 * An AF_UNIX SEQPACKET socket at RUN_DIR/NAME.sock.  The launcher connects,
 * the program-to-be (a child of the launcher) sends one gz_hello with the
 * seccomp listener as SCM_RIGHTS, and the engine answers one gz_welcome.  The
 * launcher itself only asks whether an engine is there (PING).  Where it attaches
 * to a running process it sends the listener itself, with a pidfd of that process.
 * Identity is the kernel's (SO_PEERCRED, pidfd), never the message's.
 */
#ifndef GZ_ENGINE_CONTROL_H
#define GZ_ENGINE_CONTROL_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define GZ_CONTROL_MAGIC 0x4c5a4147u /* "GAZL" */
#define GZ_CONTROL_VERSION 3

enum gz_control_op {
	GZ_OP_PING = 1,	 /* is the engine ready?  no descriptor */
	GZ_OP_SERVE = 2, /* descriptors: the notification listener; a pidfd, if not the sender */
	GZ_OP_MAY_SERVE = 3,   /* would SERVE be refused now?  no descriptor */
	GZ_OP_SERVE_RING = 4,  /* descriptors: the listener, and the broker's socket */
	GZ_OP_SERVE_RELAY = 5, /* the same, but no bytes go through rings */
};

/*
 * The broker is gazelle-run, which alone may trace the program: at the other end of
 * a SEQPACKET pair it leads a program's sites to the agent (launcher/inject.c), as
 * the engine asks; and has a process make a call that traps, by which the engine reaches its
 * descriptors (engine/stale.c).
 *
 *	engine			gazelle-run
 *	PATCH, RETIRE, TRAP ->	seizes the threads
 *			<-	SEIZED, or DONE and an error
 *	answers all that wait in the process: they restart
 *	GO, a memfd	->	waits until they stopped, injects, patches
 *			<-	DONE
 */
enum gz_broker_op {
	GZ_BROKER_PATCH = 1,
	GZ_BROKER_RETIRE, /* in the same way: no thread is to be in the agent (launcher/retire.c) */
	GZ_BROKER_TRAP,	  /* in the same way: a thread makes a call that traps, and goes on */
	GZ_BROKER_SEIZED, /* value: 1 if the agent's memory is wanted */
	GZ_BROKER_GO,	  /* value: the memfd's number in the process, or -1 */
	GZ_BROKER_DONE,	  /* value: 0 or a negative errno */
	/* For when the engine is gone, before any PATCH (launcher/heir.c): */
	GZ_BROKER_LISTENER, /* of the program-to-be; the listener */
	GZ_BROKER_RINGS,    /* the engine's; the shared memory */
};

struct gz_broker_msg {
	uint32_t op;
	uint32_t seq; /* of the PATCH */
	int32_t pid, tid;
	uint64_t site; /* address of the `syscall` */
	int32_t value;
	uint32_t unused;
};

struct gz_hello {
	uint32_t magic;
	uint16_t version;
	uint16_t op;
	char program[64]; /* for people: argv[0], NUL-terminated */
};

/** status: 0, or a positive errno with @text saying why. */
struct gz_welcome {
	uint32_t magic;
	uint16_t version;
	uint16_t status;
	uint32_t client; /* number that gazelle-ctl shows */
	uint8_t ring;	 /* of PING: rings, unless gazelle-run was told otherwise */
	char text[115];
};

static_assert(sizeof(struct gz_hello) == 72, "ABI");
static_assert(sizeof(struct gz_welcome) == 128, "ABI");
static_assert(sizeof(struct gz_broker_msg) == 32, "ABI");

/** Is this the call that TRAP has a process make?  It does nothing. */
static inline bool gz_broker_is_trap(long nr, uint64_t fd)
{
	return nr == SYS_getsockname && (int)fd == -1;
}

/**
 * gz_broker_send_fd() - Send @op and a descriptor over a broker's socket
 * @flags:	Of sendmsg(2), MSG_NOSIGNAL among them
 *
 * Either end, any thread.  Return: 0 or -errno
 */
static inline int gz_broker_send_fd(int broker, uint32_t op, int fd, int flags)
{
	struct gz_broker_msg m = {.op = op};
	struct iovec v = {&m, sizeof(m)};
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = {.buf = {0}};
	struct msghdr msg = {.msg_iov = &v,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&msg);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(int));
	return sendmsg(broker, &msg, flags) < 0 ? -errno : 0;
}

#endif
