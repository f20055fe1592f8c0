/* SPDX-License-Identifier: BSD-3-Clause
 *
 * shadow.h - The AF_UNIX socket that a program holds in place of its own
 *
 * All of it runs in service threads, which live in the shadows' namespace.
 */
#ifndef GZ_SHADOW_H
#define GZ_SHADOW_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct gz_call_ctx;
struct gz_sock;
struct gz_verdict;

/** An unconnected shadow; @flags: SOCK_NONBLOCK or 0.  Return: descriptor or -errno */
int gz_shadow_new(int flags, uint64_t *name, ino_t *ino);
/**
 * gz_shadow_give() - Hand a new socket's shadow to the program: the last step of socket(2)
 * @s:		The caller's reference is taken
 * @fd:		Taken
 * @type:	SOCK_CLOEXEC of it matters
 *
 * Return: the program's descriptor, or -errno; the socket is closed then
 */
int64_t gz_shadow_give(struct gz_call_ctx *c, struct gz_sock *s, int fd, int type);
/** Give the program's end @fd the send buffer that the relay counts on. */
void gz_shadow_sndbuf(int fd);
/** Connect the shadow @fd to a new engine's end.  Return: the end or -errno */
int gz_shadow_join(int fd);
/** A kernel socket in the network namespace of thread @tid.  Return: descriptor or -errno */
int gz_kernel_socket(pid_t tid, int family, int type, int protocol);
/** A file of /proc/sys/net there, into @text[@n].  Return: 0 or -errno */
int gz_kernel_sysctl(pid_t tid, const char *path, char *text, size_t n);
/** F_GETFL of @fd, or 0 */
int gz_file_flags(int fd);
/** Put it in the shadow's place; takes @fd.  Return: GZ_CONTINUE or -errno */
int64_t gz_put_kernel_socket(struct gz_call_ctx *c, int fd, const struct gz_verdict *v);
/**
 * gz_swap_to_kernel() - The policy says that this socket is not the stack's
 * @v:	Why, for the client's record
 *
 * Return: GZ_CONTINUE, with a kernel socket in the shadow's place, or -errno
 */
int64_t gz_swap_to_kernel(struct gz_call_ctx *c, const struct gz_verdict *v);

#endif
