/* SPDX-License-Identifier: BSD-3-Clause
 *
 * orders.h - What gazelle-ctl has main do
 *
 * Theory of operation: telemetry's threads may not change what the worker reads; main
 * may.  So an order is left for it, with SIGUSR2, and whoever gave it waits for what
 * comes of it, one at a time.
 */
#ifndef GZ_DISPATCH_ORDERS_H
#define GZ_DISPATCH_ORDERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct dispatch;

#define ORDER_PARAMS_MAX 512
#define ORDER_TEXT_MAX 2048

/**
 * Carry an order out.  Main
 * @params:	May be changed
 * @text:	Filled with the reason if it fails
 *
 * Return: false if all is as before
 */
typedef bool order_fn(struct dispatch *d, char *params, char *text, size_t n);

struct orders {
	pthread_mutex_t turn; /* of who asks */
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t over;
	order_fn *fn; /* NULL: none is left */
	char params[ORDER_PARAMS_MAX];
	char text[ORDER_TEXT_MAX]; /* "" if it was fine */
	unsigned long done;
};

/** orders_init() - Main, before there are threads */
void orders_init(struct dispatch *d);

/** orders_run() - Carry out what was left.  Main, on SIGUSR2 */
void orders_run(struct dispatch *d);

/** order_ask() - Have main do it, and wait.  Telemetry.  Return: 0, or -1 with @text */
int order_ask(struct dispatch *d, order_fn *fn, const char *params, char *text, size_t n);

/** order_reload() - Read the configuration again, as on SIGHUP */
order_fn order_reload;
/** order_limit() - "CLIENT KEY VALUE": a limit of the client's; 0: none */
order_fn order_limit;
/** order_policy() - kernel.rules, as the file has them: "{protocol: tcp, ports: 22}, ..." */
order_fn order_policy;

#endif
