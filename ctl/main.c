// SPDX-License-Identifier: BSD-3-Clause
/*
 * main.c - gazelle-ctl: look into a running gazelle-engine
 *
 * Theory of operation: one table lists the verbs; everything that needs the
 * list (dispatch, help, the error for an unknown word) loops over it.  No verb
 * means "stats".  Options may stand before or after the verb.  The engine
 * needs no knowledge of this program: it answers DPDK's telemetry protocol,
 * so dpdk-telemetry.py and exporters written for it read the same figures.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

#ifndef GZ_VERSION
#define GZ_VERSION "0.1"
#endif

#define ENGINE_NAME_MAX 31 /* GZ_NAME_MAX of config.h, without its NUL */

static ctl_verb_fn ctl_help;

static const struct verb {
	const char *name;
	ctl_verb_fn *run;
	const char *usage; /* arguments, "" when none */
	const char *brief; /* one line */
	const char *help;  /* paragraphs for "help VERB" */
} verbs[] = {
    {"stats", ctl_stats, "", "Counters of the engine, its ports, protocols and clients",
     "Prints what the engine is, what its ports and each protocol have counted,\n"
     "what was refused (requests that the stack does not support, only those that\n"
     "happened) and one line per client.  Counters run from the engine's start.\n"
     "With --json: one object with the members engine, port (of several an array), proto,\n"
     "refused (all counters, zeros too) and clients (an array).\n"},
    {"port", ctl_port, "[NAME]", "The Ethernet ports: driver, link, offloads, counters",
     "NAME: the one that programs see as gazelle0, gazelle1 and so on; left out: all.\n"
     "Prints the driver, MAC address, MTU, queues, the link as the driver reports it,\n"
     "the offloads that the device offers and those in use, and counters.\n"
     "With --json: one object, of several ports an array of them; the offloads are arrays\n"
     "of DPDK's names.\n"},
    {"ss", ctl_ss, "", "Sockets, in the manner of ss(8)",
     "One line per socket: tcp, udp or icmp, state, of TCP the bytes received that the\n"
     "program has not read and those written that the peer has not acknowledged,\n"
     "addresses, the client as program,id, and the plane that carries its data\n"
     "(relay or ring).  why: is the reason that a connection is not in the rings; `planes'\n"
     "has the words.\n"
     "With --json: an array of objects.\n"},
    {"planes", ctl_planes, "", "Which plane each process is on, and why not the ring",
     "One line per process: the program and its client; ring when the agent that knows\n"
     "the rings is in it, else relay; from how many places of its code calls are led to\n"
     "the agent, and how many could not be; the reason why it is not on the ring or,\n"
     "when it is, why its last new place could not be.  Of a connection (`ss'):\n"
     "relay: rings were not asked for; option: one that only the relay has;\n"
     "no-slot; sandbox; call: no agent answers it; agent: it left the call, for a flag\n"
     "or a full ring; site: a place in the code that stays as it is; passed-on;\n"
     "traced; no-broker: gazelle-run is gone; busy; no-room; urgent; broken.\n"
     "With --json: an array of objects.\n"},
    {"routes", ctl_routes, "", "Networks on the link, routes and gateways",
     "One line per route: the destinations, the next hop (none: they are on the link), the\n"
     "interface, the source that connections get where the route says it, and what it is from: "
     "link, an\n"
     "address of the stack's; routes, gateway, gateway6, as the configuration has them.\n"
     "Of those that an address is in, the one with the longest prefix holds.\n"
     "With --json: an array of objects.\n"},
    {"workers", ctl_workers, "", "What each worker does",
     "One line per worker: its processor (-1: it floats), the queue of the port that it\n"
     "receives from (-1: none, others hand packets to it; of several ports one of each), and "
     "counters of its own:\n"
     "connections accepted and made, packets, those that it handed to other workers,\n"
     "rounds of its loop.  `stats' has the sums.\n"
     "With --json: an array of objects.\n"},
    {"dispatch", ctl_dispatch, "[WORD] [NAME]",
     "A gazelle-dispatch: show, rate, clients, bond, latency, set, reload, quit",
     "show, the default: one line for the port and for each client: frames received\n"
     "and sent, frames dropped, beyond its limits, malformed and so on, whether the link\n"
     "is up and how often it came up.  Only the first 21 clients are in the answer.\n"
     "rate: the same, of one second.\n"
     "clients: a line for each client, all of them, with its address, the MAC address\n"
     "that it was seen with, the multicast groups that it is in and how often it was\n"
     "refused more, the TCP connections that count against its limit, its priority,\n"
     "and what it leaves to others (checksum, tso) and gets unfinished (lro).\n"
     "bond: one line for each Ethernet port: its state (absent; down: no link; silent:\n"
     "link, but no probe is answered; good) and for how long, whether it is the active\n"
     "one, frames, those ignored because another one was active, probes answered and\n"
     "not; and how often another one took over.\n"
     "latency: how long frames were in dispatch, from the look that found them until they\n"
     "were handed over, since it started and since this was asked last.\n"
     "set loglevel error|warn|info|debug: which messages it logs from now on.\n"
     "set limit CLIENT KEY VALUE: send_kbits, send_packets, receive_kbits,\n"
     "receive_packets, connections or priority of a client; 0: none.\n"
     "set policy RULES|none: kernel.rules, as the configuration has them:\n"
     "'{protocol: tcp, ports: 22}, {net: 192.0.2.1}'.  What is set holds until the\n"
     "configuration is read again.\n"
     "reload: it reads its configuration again, as by SIGHUP; what is wrong in it is said\n"
     "with its line, and nothing changes.\n"
     "quit: it ends, as by SIGTERM.\n"
     "NAME is the dispatcher's, by default \"dispatch\"; -e does not matter.\n"
     "With --json: an array of objects; of bond, an object.\n"},
    {"why", ctl_why, "PID [FD]", "Whose the sockets of a process are, and which rule said so",
     "One line per socket: descriptor, engine or kernel, the call and the address\n"
     "that were asked about last, and the rule of policy: or the default that\n"
     "decided.  Of each program the last 128 sockets that went to the kernel are\n"
     "remembered.  With --json: an array of objects.\n"},
    {"set", ctl_set, "KEY VALUE", "Set power or loglevel of a running engine",
     "power: poll, adaptive or interrupt, as worker.power of the configuration, which\n"
     "says what each does.  loglevel: error, warn, info or debug.  It holds until the\n"
     "engine ends.  `stats' shows both.\n"},
    {"help", ctl_help, "[VERB]", "This text, or more about a verb", NULL},
};

#define NVERBS (sizeof(verbs) / sizeof(verbs[0]))

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < NVERBS; i++) {
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	}
	return NULL;
}

static void usage(FILE *f)
{
	fprintf(f, "Usage: gazelle-ctl [OPTIONS] [VERB]\n\nVerbs (without one: %s):\n",
		verbs[0].name);
	for (size_t i = 0; i < NVERBS; i++)
		fprintf(f, "  %-8s %-9s %s\n", verbs[i].name, verbs[i].usage, verbs[i].brief);
	fputs("\nOptions:\n"
	      "  -e, --engine NAME   Engine to ask (default: default)\n"
	      "      --json          Machine-readable output\n"
	      "  -h, --help          This text\n"
	      "      --version       Version of gazelle-ctl\n"
	      "\nExit status: 0 fine, 1 the engine is not running or did not answer, 2 usage.\n",
	      f);
}

static int ctl_help(const struct ctl *ctl, int argc, char **argv)
{
	const struct verb *v;

	(void)ctl;
	if (argc < 2) {
		usage(stdout);
		return CTL_OK;
	}
	v = find_verb(argv[1]);
	if (!v || argc > 2) {
		fprintf(stderr, "gazelle-ctl: no help on `%s'\n", argv[v ? 2 : 1]);
		return CTL_USAGE;
	}
	printf("gazelle-ctl %s%s%s - %s\n", v->name, *v->usage ? " " : "", v->usage, v->brief);
	if (v->help)
		printf("\n%s", v->help);
	return CTL_OK;
}

int ctl_no_arguments(int argc, char **argv)
{
	if (argc <= 1)
		return CTL_OK;
	fprintf(stderr, "gazelle-ctl: `%s' takes no argument, but there is `%s'\n", argv[0],
		argv[1]);
	return CTL_USAGE;
}

/* The name becomes part of a path: letters, digits and "._-", no leading dot */
bool ctl_valid_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= ENGINE_NAME_MAX && name[0] != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789._-") == len;
}

/* Output that did not reach its file is a failure (a full disk, /dev/full) */
static int finish(int status)
{
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "gazelle-ctl: Couldn't write the output: %s\n", strerror(errno));
		return CTL_FAILED;
	}
	return status;
}

int main(int argc, char **argv)
{
	enum { OPT_JSON = 256, OPT_VERSION };
	static const struct option options[] = {
	    {"engine", required_argument, NULL, 'e'},
	    {"json", no_argument, NULL, OPT_JSON},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, OPT_VERSION},
	    {0},
	};
	struct ctl ctl = {.engine = "default"};
	const struct verb *v = &verbs[0];
	bool help = false;
	int o;

	while ((o = getopt_long(argc, argv, "e:h", options, NULL)) != -1) {
		switch (o) {
		case 'e':
			ctl.engine = optarg;
			break;
		case OPT_JSON:
			ctl.json = true;
			break;
		case 'h':
			help = true;
			break;
		case OPT_VERSION:
			printf("gazelle-ctl " GZ_VERSION "\n");
			return finish(CTL_OK);
		default:
			fputs("Try `gazelle-ctl --help'.\n", stderr);
			return CTL_USAGE;
		}
	}
	argc -= optind;
	argv += optind;

	if (help) { /* "gazelle-ctl ss --help" is "gazelle-ctl help ss" */
		char *words[] = {"help", argc ? argv[0] : NULL, NULL};

		return finish(ctl_help(&ctl, argc ? 2 : 1, words));
	}
	if (!ctl_valid_name(ctl.engine)) {
		fprintf(stderr, "gazelle-ctl: `%s' cannot be the name of an engine\n", ctl.engine);
		return CTL_USAGE;
	}
	if (argc && !(v = find_verb(argv[0]))) {
		fprintf(stderr, "gazelle-ctl: unknown verb `%s'\n\n", argv[0]);
		usage(stderr);
		return CTL_USAGE;
	}
	return finish(v->run(&ctl, argc, argv));
}
