/* SPDX-License-Identifier: BSD-3-Clause
 *
 * stream_msg.h - TCP: calls with messages and names; handlers, see calls.h
 */
#ifndef GZ_STREAM_MSG_H
#define GZ_STREAM_MSG_H

#include <stdint.h>

struct gz_call_ctx;

int64_t gz_stream_recvfrom(struct gz_call_ctx *c);
int64_t gz_stream_recvmsg(struct gz_call_ctx *c);
int64_t gz_stream_recvmmsg(struct gz_call_ctx *c);
int64_t gz_stream_sendto(struct gz_call_ctx *c);
int64_t gz_stream_sendmsg(struct gz_call_ctx *c);
int64_t gz_stream_sendmmsg(struct gz_call_ctx *c);

#endif
