/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ping_v6.c - The same over IPv6
 */
#define UDP_V6
#include "ping.c"
