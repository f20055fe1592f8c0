/* SPDX-License-Identifier: BSD-3-Clause
 *
 * config.h - What the YAML files say, as structures
 *
 * One table per file (schema.c) names every key with its type, range, default
 * and help.  The parser, --check, --print-config, the commented default files
 * and the documentation are all made from that table.  Everything here is
 * filled once at start-up by the main thread and read-only afterwards.
 */
#ifndef GZ_CONFIG_H
#define GZ_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#define GZ_NAME_MAX 32	/* engine, dispatch and client names, with NUL */
#define GZ_PATH_MAX 108 /* fits sockaddr_un.sun_path, with NUL */
#define GZ_ADDRS_MAX 8
#define GZ_PORTS_MAX 8 /* of an engine */
#define GZ_OWN4_MAX (GZ_PORTS_MAX * GZ_ADDRS_MAX)
#define GZ_CONFIGURED6_MAX (GZ_PORTS_MAX * GZ_ADDRS_MAX)
#define GZ_CLIENTS_MAX 64
#define GZ_EAL_ARGS_MAX 16
#define GZ_RULES_MAX 64
#define GZ_ROUTES_MAX 64
#define GZ_KERNEL_RULES_MAX 32
#define GZ_BOND_PORTS_MAX 8
#define GZ_DISPATCH_PORTS_MAX 8
#define GZ_BOND_TARGETS_MAX 8

enum gz_log_level { GZ_LOG_ERROR, GZ_LOG_WARN, GZ_LOG_INFO, GZ_LOG_DEBUG };
enum gz_hugepages { GZ_HUGE_AUTO, GZ_HUGE_ALWAYS, GZ_HUGE_NEVER };
enum gz_power { GZ_POWER_ADAPTIVE, GZ_POWER_POLL, GZ_POWER_INTERRUPT };
/** How bytes of a program go that does not say itself (gazelle-run --relay, --ring). */
enum gz_plane_choice { GZ_CHOOSE_RELAY, GZ_CHOOSE_RING };
enum gz_cookies { GZ_COOKIES_OFF, GZ_COOKIES_FLOOD, GZ_COOKIES_ALWAYS };

/** Device families.  AUTO: AF_XDP on port.iface, AF_PACKET where that fails. */
enum gz_driver {
	GZ_DRV_AUTO,
	GZ_DRV_AF_XDP,
	GZ_DRV_AF_PACKET,
	GZ_DRV_TAP,
	GZ_DRV_VIRTIO_USER, /* link to gazelle-dispatch, or any vhost-user */
	GZ_DRV_VHOST,
	GZ_DRV_PCI,
	GZ_DRV_VDEV,	 /* port.device is a DPDK --vdev string, verbatim */
	GZ_DRV_DISPATCH, /* attaches to gazelle-dispatch (engine/attach.c) */
	GZ_DRV_MEMIF,	 /* shared memory, of whoever is at the other end of path */
	GZ_DRV_PCAP,	 /* frames of a file, and into one */
	GZ_DRV_RING,	 /* what is sent comes back */
	GZ_DRV_NULL,	 /* what is sent is gone, nothing comes */
};

/** Who makes the socket of a memif: its server. */
enum gz_memif_role { GZ_MEMIF_CLIENT, GZ_MEMIF_SERVER };

/** What the configuration calls @driver, "af_xdp" for one; static. */
const char *gz_driver_name(enum gz_driver driver);

/** What the configuration calls them; static. */
const char *gz_power_name(enum gz_power power);
const char *gz_log_level_name(enum gz_log_level level);
/** The other way.  Return: false, @name is none */
bool gz_power_of(const char *name, enum gz_power *power);
bool gz_log_level_of(const char *name, enum gz_log_level *level);

/** An IPv4 prefix.  addr is in network byte order; len 0..32. */
struct gz_prefix4 {
	uint32_t addr;
	uint8_t len;
};

/** A network of either family; IPv4 as v4-mapped, len counting the 96 bits before it. */
struct gz_prefix {
	struct in6_addr addr;
	uint8_t len; /* 0..128 */
	bool set;
};

/** One of stack.routes (engine/route.c). */
struct gz_route {
	struct gz_prefix to;
	struct gz_prefix via; /* a neighbour: len 128 */
	char dev[IFNAMSIZ];   /* the interface of a link-local via; "": the first with IPv6 */
	uint8_t port;	      /* of the engine's, that dev says */
	struct gz_prefix src; /* an address of ours; not set: as without the route */
};

/** Whose 127/8 is, and where wildcard and loopback listeners answer (engine/twin.c). */
enum gz_loopback { GZ_LO_BOTH, GZ_LO_ENGINE, GZ_LO_KERNEL };

enum gz_rule_action { GZ_RULE_ENGINE, GZ_RULE_KERNEL, GZ_RULE_DEFAULT };
enum gz_direction { GZ_DIR_ANY, GZ_DIR_BIND, GZ_DIR_CONNECT };
enum gz_rule_protocol { GZ_PROTO_ANY, GZ_PROTO_TCP, GZ_PROTO_UDP };

/** One rule of policy.rules; what is not set matches everything (engine/policy.c). */
struct gz_rule {
	enum gz_rule_action action;
	enum gz_direction direction;
	enum gz_rule_protocol protocol;
	struct gz_prefix net;
	uint16_t port_lo, port_hi; /* host order; 0, 0: any */
	uint32_t uid;
	bool uid_set;
	char program[64];
	unsigned line; /* in the file, for messages */
};

/** What is left to the device, or to the other end of a link, where it can it. */
struct gz_offloads {
	bool checksum; /* of TCP, both ways */
	bool tso;      /* segments of TCP larger than the MSS, sent */
	bool lro;      /* and received */
	bool gso;      /* the former cut in software, where there is no tso */
	bool gro;      /* the latter merged in software, where there is no lro */
};

struct gz_port_config {
	enum gz_driver driver;
	char iface[IFNAMSIZ];	/* af_xdp, af_packet, tap */
	char device[256];	/* pci address or MAC, or vdev string */
	char path[GZ_PATH_MAX]; /* virtio_user, vhost, memif socket; dispatch's control socket */
	uint8_t mac[6];		/* all zero: the device's own */
	bool mac_set;
	uint16_t mtu;	     /* bytes of IP packet */
	uint16_t queue_size; /* descriptors, a power of two */
	bool promiscuous;
	uint16_t vlan; /* its frames' tag; 0: none */
	struct gz_offloads offloads;
	/* A veth pair that the program makes itself; empty host_iface: none. */
	char veth_host[IFNAMSIZ];	/* the kernel's end, e.g. gz0 */
	struct gz_prefix4 veth_address; /* its address */
	struct gz_prefix veth_address6;
	enum gz_memif_role memif_role;
	uint32_t memif_id;
	char memif_secret[24];
	char pcap_receive[GZ_PATH_MAX], pcap_send[GZ_PATH_MAX];
	bool pcap_repeat;
	uint16_t link_queues; /* memif, virtio_user, vhost: as the other end has; 0: one */
	uint16_t queues;      /* no key: what it is to have, if the driver has them; 0: one */
	bool isolate;	      /* no key: kernel.bifurcate */
};

/** One of an engine's ports besides the first */
struct gz_engine_port {
	struct gz_port_config port;
	unsigned naddrs;
	struct gz_prefix4 addrs[GZ_ADDRS_MAX];
	bool dhcp; /* its address is a server's to say */
	unsigned naddrs6;
	struct gz_prefix addrs6[GZ_ADDRS_MAX];
	bool slaac;
};

struct gz_memory_config {
	enum gz_hugepages hugepages;
	uint32_t mbufs;
	uint32_t megabytes; /* DPDK memory; 0: enough for mbufs */
};

#define GZ_CPUS_MAX 16 /* of workers.cpus */

/* worker.cpu and workers: one worker on cpu, unless it is said how many or where */
struct gz_workers_config {
	int cpu; /* worker.cpu; -1: floats */
	unsigned ncpus;
	int cpus[GZ_CPUS_MAX]; /* workers.cpus: a worker each */
	uint32_t count;	       /* workers.count: so many that float, or are on node's; 0: unsaid */
	int node;	       /* workers.node: on processors of this NUMA node; -1: unsaid */
};

struct gz_engine_config {
	char name[GZ_NAME_MAX];
	enum gz_log_level log;
	char run_dir[80];   /* control sockets live here */
	uint32_t linger_ms; /* after the last app; 0: never ends */
	enum gz_plane_choice plane;
	struct gz_memory_config memory;
	struct gz_port_config port; /* the first */
	unsigned nmore;
	struct gz_engine_port more[GZ_PORTS_MAX - 1]; /* ports */
	unsigned naddrs;
	struct gz_prefix4 addrs[GZ_ADDRS_MAX]; /* stack.addresses, of the first port */
	uint32_t gateway;		       /* network order, 0: none */
	unsigned naddrs6;
	struct gz_prefix addrs6[GZ_ADDRS_MAX]; /* stack.addresses6, of the first port */
	struct in6_addr gateway6;	       /* ::, none */
	unsigned nroutes;
	struct gz_route routes[GZ_ROUTES_MAX]; /* stack.routes */
	bool slaac;			       /* stack.slaac, of the first port */
	bool dhcp; /* stack.dhcp: the IPv4 address and the gateway are a server's to say */
	struct gz_workers_config workers;
	enum gz_power power;
	uint32_t spin_us;	   /* adaptive: polls this long before sleep */
	uint32_t burst;		   /* worker.burst, packets a loop */
	uint32_t messages;	   /* worker.messages a loop */
	uint32_t events;	   /* worker.events a loop */
	uint32_t pumped;	   /* worker.sockets a loop */
	uint32_t max_sockets;	   /* limits.sockets */
	uint32_t max_clients;	   /* limits.clients */
	uint32_t client_sockets;   /* limits.client_sockets */
	uint32_t max_time_waits;   /* limits.time_wait */
	uint32_t max_buffers;	   /* limits.buffers, MB */
	uint32_t syn_retries;	   /* tcp.syn_retries */
	uint32_t rto_give_up_s;	   /* tcp.give_up, seconds */
	bool tcp_timestamps;	   /* tcp.timestamps */
	uint16_t port_lo, port_hi; /* tcp.ephemeral_ports */
	enum gz_cookies cookies;   /* tcp.syn_cookies */
	enum gz_loopback loopback; /* policy.loopback */
	unsigned nrules;
	struct gz_rule rules[GZ_RULES_MAX]; /* policy.rules */
	unsigned neal;
	char *eal[GZ_EAL_ARGS_MAX]; /* eal_args: extra EAL words */
};

/** When the bond goes back to a port that is earlier in its list. */
enum gz_failback { GZ_FAILBACK_ALWAYS, GZ_FAILBACK_NEVER };

/** Several ports of which one is active (dispatch/bond.h).  nports 0: there is none. */
struct gz_bond_config {
	unsigned nports;
	/* driver, iface, device, path, mac; what else there is, is of `port` */
	struct gz_port_config ports[GZ_BOND_PORTS_MAX];
	enum gz_failback failback;
	uint32_t miimon_ms;
	uint32_t up_delay_ms;
	unsigned ntargets;
	struct gz_prefix targets[GZ_BOND_TARGETS_MAX]; /* hosts of either family */
	uint32_t probe_interval_ms;
	uint32_t probe_misses;
};

/** What is the kernel's although the address is a client's; unset: everything. */
struct gz_kernel_rule {
	enum gz_rule_protocol protocol;
	struct gz_prefix net;
	uint16_t port_lo, port_hi; /* host order; 0, 0: any */
};

#define GZ_CONNECTIONS_MAX 65536
#define GZ_PRIORITY_MAX 7

/** What a client may leave to dispatch, and takes unfinished, if it wants to */
enum gz_client_offloads { GZ_OFFLOADS_ALL, GZ_OFFLOADS_CHECKSUM, GZ_OFFLOADS_NONE };

struct gz_dispatch_client {
	char name[GZ_NAME_MAX];
	char port[GZ_NAME_MAX];	   /* of several the one at which it is; "": there is one */
	char path[GZ_PATH_MAX];	   /* vhost-user socket, engine is server; "": it attaches */
	struct gz_prefix4 address; /* /32 or wider: what is the client's */
	struct gz_prefix address6; /* of IPv6, if it is set */
	uint32_t uid;		   /* of the engine's process */
	bool uid_set;
	uint8_t mac[6]; /* that it must have */
	bool mac_set;	/* else any, one */
	uint16_t vlan;	/* 0: the port's */
	bool shared;	/* address is other clients' too, who say so as well */
	/* Limits a second, as the client sees it; 0: none */
	uint32_t send_kbits, send_packets;
	uint32_t receive_kbits, receive_packets;
	uint32_t connections; /* of TCP at a time; 0: any number */
	uint32_t priority;    /* at a port that is short */
	enum gz_client_offloads offloads;
	unsigned line; /* in the file, for messages */
};

/** One of several ports that have nothing to do with each other */
struct gz_dispatch_port {
	char name[GZ_NAME_MAX];
	struct gz_port_config port; /* with a bond only what holds for all its ports */
	unsigned nbond;		    /* 0: it is one device */
	struct gz_port_config bond[GZ_BOND_PORTS_MAX];
	unsigned ntargets; /* of the bond's probes */
	struct gz_prefix targets[GZ_BOND_TARGETS_MAX];
	char kernel_iface[IFNAMSIZ]; /* "": no way to the kernel */
	uint32_t send_kbits;
};

struct gz_dispatch_config {
	char name[GZ_NAME_MAX];
	enum gz_log_level log;
	char run_dir[80];
	struct gz_memory_config memory;
	struct gz_port_config port; /* with a bond only what holds for all its ports */
	struct gz_bond_config bond;
	unsigned nports; /* 0: one, of port or bond */
	struct gz_dispatch_port ports[GZ_DISPATCH_PORTS_MAX];
	uint32_t send_kbits;	     /* all that leaves; 0: as the port takes it */
	char kernel_iface[IFNAMSIZ]; /* kernel.iface; "": no way to the kernel */
	char kernel_own[IFNAMSIZ];   /* kernel.bifurcate; "": the port is all ours */
	unsigned nkernel_rules;
	struct gz_kernel_rule kernel_rules[GZ_KERNEL_RULES_MAX];
	struct gz_workers_config workers;
	enum gz_power power;
	uint32_t spin_us;
	uint32_t burst;
	unsigned nclients;
	struct gz_dispatch_client clients[GZ_CLIENTS_MAX];
	unsigned neal;
	char *eal[GZ_EAL_ARGS_MAX];
};

/** The built-in configuration: the embedded default, a private veth pair. */
void gz_engine_config_default(struct gz_engine_config *c);
void gz_dispatch_config_default(struct gz_dispatch_config *c);

/**
 * gz_engine_config_load() - Read a YAML file over the defaults
 * @path:	File to read
 * @c:		Filled; strings in eal[] are malloc()ed, free with _free()
 * @err:	Where `file:line:column: text, expected` lines go
 *
 * Return: 0, or the number of errors found (each was printed), nothing else
 * is touched.
 */
int gz_engine_config_load(const char *path, struct gz_engine_config *c, FILE *err);
int gz_dispatch_config_load(const char *path, struct gz_dispatch_config *c, FILE *err);
/**
 * gz_dispatch_config_reload() - Read it again, while a program runs by @running
 *
 * What cannot change then and has another value is an error.  Otherwise as above.
 */
int gz_dispatch_config_reload(const char *path, const struct gz_dispatch_config *running,
			      struct gz_dispatch_config *c, FILE *err);
/**
 * gz_dispatch_config_of() - What concerns one port of several
 * @i:	Its number; 0 where there is one
 * @c:	Filled: port, send_kbits, kernel and clients are its own.  Strings in eal[] stay @all's
 */
void gz_dispatch_config_of(const struct gz_dispatch_config *all, unsigned i,
			   struct gz_dispatch_config *c);
void gz_engine_config_free(struct gz_engine_config *c);
void gz_dispatch_config_free(struct gz_dispatch_config *c);

/** Port @i of an engine's, from 0 */
static inline const struct gz_port_config *gz_engine_port(const struct gz_engine_config *c,
							  unsigned i)
{
	return i ? &c->more[i - 1].port : &c->port;
}

/** Is a DHCP server asked for the address at port @i? */
static inline bool gz_engine_asks(const struct gz_engine_config *c, unsigned i)
{
	return i ? c->more[i - 1].dhcp : c->dhcp;
}

/** At any port? */
static inline bool gz_engine_asks_any(const struct gz_engine_config *c)
{
	bool any = false;

	for (unsigned i = 0; i <= c->nmore; i++)
		any |= gz_engine_asks(c, i);
	return any;
}

/** All IPv4 addresses of @c's ports, with their ports.  Return: how many */
unsigned gz_engine_addresses(const struct gz_engine_config *c, struct gz_prefix4 addr[GZ_OWN4_MAX],
			     uint8_t port[GZ_OWN4_MAX]);

/** The same of IPv6, those of advertisements not among them */
unsigned gz_engine_addresses6(const struct gz_engine_config *c,
			      struct gz_prefix addr[GZ_CONFIGURED6_MAX],
			      uint8_t port[GZ_CONFIGURED6_MAX]);

/** Does port @i listen to router advertisements? */
static inline bool gz_engine_slaac(const struct gz_engine_config *c, unsigned i)
{
	return i ? c->more[i - 1].slaac : c->slaac;
}

/** Has port @i IPv6? */
static inline bool gz_engine_has6(const struct gz_engine_config *c, unsigned i)
{
	return gz_engine_slaac(c, i) || (i ? c->more[i - 1].naddrs6 : c->naddrs6);
}

/** The first port that has IPv6; 0: none has */
static inline unsigned gz_engine_first6(const struct gz_engine_config *c)
{
	for (unsigned i = 0; i <= c->nmore; i++)
		if (gz_engine_has6(c, i))
			return i;
	return 0;
}

/** Print the commented YAML file, every key with help and its value in @c. */
void gz_engine_config_print(const struct gz_engine_config *c, FILE *out);
void gz_dispatch_config_print(const struct gz_dispatch_config *c, FILE *out);

/** Path of an engine's control socket: RUN_DIR/NAME.sock. */
static inline int gz_control_path(char *buf, size_t n, const char *run_dir, const char *name)
{
	int k = snprintf(buf, n, "%s/%s.sock", run_dir, name);

	return k > 0 && (size_t)k < n ? 0 : -1;
}

#endif
