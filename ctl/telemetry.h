/* SPDX-License-Identifier: BSD-3-Clause
 *
 * telemetry.h - Client of DPDK's telemetry socket, version 2
 *
 * One connection, one command at a time, from one thread.  Errors are said on
 * stderr here, where the path and the command are known; callers pass on the
 * failure.
 */
#ifndef GZ_CTL_TELEMETRY_H
#define GZ_CTL_TELEMETRY_H

#include <jansson.h>

struct telemetry;

/**
 * telemetry_open() - Connect to an engine
 * @engine:	Its name, already found valid
 *
 * Return: the connection, for telemetry_close(), or NULL.
 */
struct telemetry *telemetry_open(const char *engine);
void telemetry_close(struct telemetry *t); /* NULL: nothing */

/**
 * telemetry_get() - Run one command
 * @t:		Connection
 * @command:	e.g. "/gazelle/engine" or "/gazelle/ss,0"
 *
 * Return: the value, a new reference; JSON null when this engine does not know
 * the command; NULL on failure.
 */
json_t *telemetry_get(struct telemetry *t, const char *command);

/**
 * telemetry_get_all() - Run a paged command to its end
 * @t:		Connection
 * @command:	Without the ",START"
 *
 * A page is a dict of objects and "next", the START of the following page or 0.
 *
 * Return: an array of the objects in the engine's order, a new reference; JSON
 * null when this engine does not know the command; NULL on failure.
 */
json_t *telemetry_get_all(struct telemetry *t, const char *command);

/** telemetry_ask_all() - The same on a connection of its own to @engine */
json_t *telemetry_ask_all(const char *engine, const char *command);

#endif
