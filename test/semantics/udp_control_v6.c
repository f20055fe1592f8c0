/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp_control_v6.c - The same over IPv6
 */
#define UDP_V6
#include "udp_control.c"
