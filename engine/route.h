/* SPDX-License-Identifier: BSD-3-Clause
 *
 * route.h - stack.routes: next hops besides the gateways
 */
#ifndef GZ_ROUTE_H
#define GZ_ROUTE_H

#include <netinet/in.h>

#include "engine/end.h"

struct gz_engine_config;
struct gz_route;
struct rte_tel_data;

/** Make the table; main thread, after EAL.  Return: 0 or -errno */
int gz_route_init(const struct gz_engine_config *cfg);
/** The route with the longest prefix that @to, of either family, is in; NULL: none.  Any thread */
const struct gz_route *gz_route_find(const struct in6_addr *to);
/** Its next hop, with its scope; port 0.  Any thread */
struct gz_end gz_route_hop(const struct gz_route *r);
/** The same of stack.gateway6 */
struct gz_end gz_route_gateway6(void);
/** /gazelle/routes: networks on the link, routes and gateways */
int gz_telemetry_routes(const char *cmd, const char *params, struct rte_tel_data *d);

#endif
