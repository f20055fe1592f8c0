/* SPDX-License-Identifier: BSD-3-Clause
 *
 * option_table.h - The rows of the table of socket options, for options.c
 */
#ifndef GZ_OPTION_TABLE_H
#define GZ_OPTION_TABLE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include <linux/in6.h>

#include "engine/options.h"

/* Younger than the headers that we may be built with */
#ifndef IPV6_MINHOPCOUNT
#define IPV6_MINHOPCOUNT 73
#endif
#ifndef IP_PROTOCOL
#define IP_PROTOCOL 52
#endif
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#define SO_PEERPIDFD 77
#endif
#ifndef IPV6_2292PKTOPTIONS
#define IPV6_2292PKTOPTIONS 6
#endif
#ifndef TCP_IS_MPTCP
#define TCP_IS_MPTCP 43
#endif

enum verdict { SERVED, STORED, REFUSED };

enum kind {
	FLAG,	 /* int, any non-zero value is 1 */
	INT,	 /* int in [lo, hi], else the row's error */
	BUFSIZE, /* SO_SNDBUF, SO_RCVBUF: kept doubled, with a floor */
	LINGER,
	STAMP, /* SO_TIMESTAMP and kin: one of them */
	STAMPING,
	TIME,	  /* struct timeval; honoured by the shadow natively */
	DEVICE,	  /* an interface's name */
	COMPUTED, /* read only, by compute() */
	FIXED,	  /* only [lo, hi], and zeros of any length, may be set; reads as dfl */
	NONE,	  /* neither set nor read */
};

struct gz_option_row {
	int level, opt;
	const char *name;
	enum verdict verdict;
	enum kind kind;
	size_t offset; /* in struct gz_options; 0: in plain[], in the order of the rows */
	int lo, hi;
	int dfl;
	int set_error, get_error;
};

#define AT(f) offsetof(struct gz_options, f)

extern const struct gz_option_row gz_option_rows[];
extern const size_t gz_option_nrows;

/** Return: NULL, there is none */
const struct gz_option_row *gz_option_row(int level, int opt);
/** Where the value of a row of ints is kept; found by counting */
int *gz_option_int(struct gz_options *o, const struct gz_option_row *r);
bool gz_option_is_int(const struct gz_option_row *r);
/** Has it a place in plain[]? */
bool gz_option_is_plain(const struct gz_option_row *r);

#endif
