/* SPDX-License-Identifier: BSD-3-Clause
 *
 * eal.h - DPDK's environment for what takes its memory: cmocka's group setup
 */
#ifndef GZ_TEST_EAL_H
#define GZ_TEST_EAL_H

#include <rte_common.h>
#include <rte_eal.h>

static int start_eal(void **state)
{
	char *args[] = {"test",	       "--no-huge", "--no-pci", "--no-telemetry",
			"--no-shconf", "-m",	    "64",	"--log-level",
			"error",       "-l",	    "0"};

	(void)state;
	return rte_eal_init(RTE_DIM(args), args) < 0;
}

static int stop_eal(void **state)
{
	(void)state;
	return rte_eal_cleanup();
}

#endif
