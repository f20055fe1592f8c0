/* SPDX-License-Identifier: BSD-3-Clause
 *
 * lead.h - A call's site is led to the agent, by gazelle-run
 *
 * The service thread of a client whose bytes may be in rings.
 */
#ifndef GZ_LEAD_H
#define GZ_LEAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct gz_call_ctx;
struct gz_call_info;

#define GZ_SYSCALL_BYTES 2 /* the instruction's */

enum gz_site {
	GZ_SITE_NO_AGENT, /* the process has none */
	GZ_SITE_NEW,
	GZ_SITE_KNOWN,	/* leads to the agent */
	GZ_SITE_FAILED, /* cannot */
	GZ_SITE_RETIRED /* the process's agent was taken out of its calls */
};

/** gz_lead_look_up() - What is the `syscall` at @site?  It is the program's own word. */
enum gz_site gz_lead_look_up(pid_t tid, uint64_t site);
/**
 * gz_lead_is_refused() - Did the agent see the call, and leave it to the engine?
 *
 * Of a call from a GZ_SITE_KNOWN.  It is forgotten by asking.
 */
bool gz_lead_is_refused(struct gz_call_ctx *c);
/**
 * gz_lead_patch() - Have the call's site lead to the agent, and the call begin again there
 *
 * Return: false, that could not be, or did not help: nothing was answered
 */
bool gz_lead_patch(struct gz_call_ctx *c, pid_t pid, const struct gz_call_info *call);
/** gz_lead_retire() - Have the agent taken out of the process's calls.  Return: as gz_lead_patch()
 */
bool gz_lead_retire(struct gz_call_ctx *c, pid_t pid);

#endif
