/* SPDX-License-Identifier: BSD-3-Clause
 *
 * codes.h - What the process calls of a worker's own code
 *
 * Each worker has a copy of the files in WORKER_SRC (Makefile) and of lwIP, with variables
 * of its own, in which all names but gz_code_N are local.
 */
#ifndef GZ_CODES_H
#define GZ_CODES_H

#define GZ_WORKERS_MAX 16 /* so many copies are linked */

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

struct gz_datagram;
struct gz_stat;
struct gz_worker;

struct gz_code {
	struct gz_worker *worker;
	_Atomic uint64_t *counters; /* of enum gz_counter; any thread */
	const struct gz_stat *(*stats)(unsigned *n);
	int (*init)(void);
	int (*main)(void *); /* an lcore function; its argument is not used */
	void (*destroy)(void);
	/* In the worker's thread: udp.h, icmp.h */
	void (*datagram)(const struct gz_datagram *d);
	bool (*icmp)(const struct gz_datagram *d);
};

extern const struct gz_code gz_code;
extern const struct gz_code *const gz_codes[GZ_WORKERS_MAX];
#endif
#endif
