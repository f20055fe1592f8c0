/* SPDX-License-Identifier: BSD-3-Clause
 *
 * schema.c - The keys of the engine's and of dispatch's configuration file
 *
 * The tables are the manual: what stands in `help` and `more` is what the
 * commented default files say.  To add a key, add a field to config.h and a
 * row here; add a check to check.c only if it concerns two keys at once.
 */
#include "config/schema.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

#define FIELD(S, f) .offset = offsetof(S, f), .size = sizeof(((S *)0)->f)
#define LIST(S, f, n)                                                                              \
	.offset = offsetof(S, f), .size = sizeof(((S *)0)->f[0]), .list = LEN(((S *)0)->f),        \
	.stride = sizeof(((S *)0)->f[0]), .count = offsetof(S, n)
#define RANGE(lo, hi) .min = (lo), .max = (hi)
#define US .unit = 1
#define MS .unit = 1000
#define SEC .unit = 1000000

/* In the order of the enums of config.h. */
static const char *const log_names[] = {[GZ_LOG_ERROR] = "error",
					[GZ_LOG_WARN] = "warn",
					[GZ_LOG_INFO] = "info",
					[GZ_LOG_DEBUG] = "debug",
					NULL};

static const char *const hugepages_names[] = {
    [GZ_HUGE_AUTO] = "auto", [GZ_HUGE_ALWAYS] = "always", [GZ_HUGE_NEVER] = "never", NULL};

static const char *const client_offloads_names[] = {[GZ_OFFLOADS_ALL] = "all",
						    [GZ_OFFLOADS_CHECKSUM] = "checksum",
						    [GZ_OFFLOADS_NONE] = "none",
						    NULL};

static const char *const power_names[] = {[GZ_POWER_ADAPTIVE] = "adaptive",
					  [GZ_POWER_POLL] = "poll",
					  [GZ_POWER_INTERRUPT] = "interrupt",
					  NULL};

static const char *const plane_names[] = {
    [GZ_CHOOSE_RELAY] = "relay", [GZ_CHOOSE_RING] = "ring", NULL};

static const char *const cookies_names[] = {
    [GZ_COOKIES_OFF] = "off", [GZ_COOKIES_FLOOD] = "flood", [GZ_COOKIES_ALWAYS] = "always", NULL};

static const char *const driver_names[] = {[GZ_DRV_AUTO] = "auto",
					   [GZ_DRV_AF_XDP] = "af_xdp",
					   [GZ_DRV_AF_PACKET] = "af_packet",
					   [GZ_DRV_TAP] = "tap",
					   [GZ_DRV_VIRTIO_USER] = "virtio_user",
					   [GZ_DRV_VHOST] = "vhost",
					   [GZ_DRV_PCI] = "pci",
					   [GZ_DRV_VDEV] = "vdev",
					   [GZ_DRV_DISPATCH] = "dispatch",
					   [GZ_DRV_MEMIF] = "memif",
					   [GZ_DRV_PCAP] = "pcap",
					   [GZ_DRV_RING] = "ring",
					   [GZ_DRV_NULL] = "null",
					   NULL};

static const char *const memif_role_names[] = {
    [GZ_MEMIF_CLIENT] = "client", [GZ_MEMIF_SERVER] = "server", NULL};

const char *gz_driver_name(enum gz_driver driver)
{
	return driver_names[driver];
}

/* Return: the number of @name, or -1 */
static int number_of(const char *const *names, const char *name)
{
	for (int i = 0; names[i]; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

const char *gz_power_name(enum gz_power power)
{
	return power_names[power];
}

bool gz_power_of(const char *name, enum gz_power *power)
{
	int i = number_of(power_names, name);

	if (i >= 0)
		*power = (enum gz_power)i;
	return i >= 0;
}

const char *gz_log_level_name(enum gz_log_level level)
{
	return log_names[level];
}

bool gz_log_level_of(const char *name, enum gz_log_level *level)
{
	int i = number_of(log_names, name);

	if (i >= 0)
		*level = (enum gz_log_level)i;
	return i >= 0;
}

static const char *const loopback_names[] = {
    [GZ_LO_BOTH] = "both", [GZ_LO_ENGINE] = "engine", [GZ_LO_KERNEL] = "kernel", NULL};

static const char *const action_names[] = {
    [GZ_RULE_ENGINE] = "engine", [GZ_RULE_KERNEL] = "kernel", [GZ_RULE_DEFAULT] = "default", NULL};

static const char *const direction_names[] = {
    [GZ_DIR_ANY] = "any", [GZ_DIR_BIND] = "bind", [GZ_DIR_CONNECT] = "connect", NULL};

static const char *const failback_names[] = {
    [GZ_FAILBACK_ALWAYS] = "always", [GZ_FAILBACK_NEVER] = "never", NULL};

static const char *const protocol_names[] = {
    [GZ_PROTO_ANY] = "any", [GZ_PROTO_TCP] = "tcp", [GZ_PROTO_UDP] = "udp", NULL};

/* clang-format off */

/* Shared by both files: offsets from their gz_memory_config. */
static const struct gz_cfg_key memory_keys[] = {
	{ "memory", GZ_CFG_BLOCK, .help = "Packet memory." },
	{ "memory.hugepages", GZ_CFG_ENUM, FIELD(struct gz_memory_config, hugepages),
	  .names = hugepages_names, .def = "auto",
	  .help = "Whether DPDK uses hugepages.",
	  .more = "auto: when enough are free; always: fail without them; "
		  "never: ordinary pages." },
	{ "memory.mbufs", GZ_CFG_UINT, FIELD(struct gz_memory_config, mbufs),
	  RANGE(1023, 4194303), .def = "8191",
	  .help = "Packet buffers of the ports, for each worker.",
	  .more = "At least twice port.queue_size. One less than a power of two "
		  "wastes no memory." },
	{ "memory.megabytes", GZ_CFG_UINT, FIELD(struct gz_memory_config, megabytes),
	  RANGE(0, 1048576), .def = "0",
	  .help = "Memory that DPDK reserves, in MB.",
	  .more = "0: as much as mbufs need." },
};

/* Shared by both files: offsets from their gz_port_config. */
static const struct gz_cfg_key port_keys[] = {
	{ "port", GZ_CFG_BLOCK,
	  .help = "The Ethernet device.",
	  .more = "Without a port: block, a private veth pair gz0 - gz0e is made, "
		  "as written here. A port: block replaces that as a whole: "
		  "without iface: it names no interface, and without veth: no "
		  "pair is made." },
	{ "port.driver", GZ_CFG_ENUM, FIELD(struct gz_port_config, driver),
	  .names = driver_names, .def = "auto",
	  .help = "The kind of device.",
	  .more = "auto: af_xdp on iface, af_packet where that fails. "
		  "dispatch: a link to gazelle-dispatch, whose control socket is at "
		  "path. virtio_user: a link to any vhost-user back end, or to "
		  "gazelle-dispatch, at path; vhost: its other end. pci, vdev: see "
		  "device. memif, pcap: see their blocks. ring: what is sent comes back. "
		  "null: what is sent is gone, and nothing comes; for programs that "
		  "talk to each other only." },
	{ "port.iface", GZ_CFG_IFACE, FIELD(struct gz_port_config, iface),
	  .flags = GZ_CFG_OPTIONAL, .def = "gz0e", .example = "eth1",
	  .help = "Network interface of auto, af_xdp, af_packet and tap.",
	  .more = "With veth: it is our end of the pair, and if left out named "
		  "like the host's end with an 'e' after it." },
	{ "port.device", GZ_CFG_TEXT, FIELD(struct gz_port_config, device),
	  .flags = GZ_CFG_OPTIONAL, .def = "", .example = "0000:01:00.0",
	  .help = "pci: the device's address, or its MAC address. vdev: DPDK's --vdev "
		  "text, verbatim." },
	{ "port.path", GZ_CFG_PATH, FIELD(struct gz_port_config, path),
	  .flags = GZ_CFG_OPTIONAL, .def = "",
	  .example = "/run/gazelle/engine1.vhost",
	  .help = "Socket of dispatch, virtio_user, vhost and memif." },
	{ "port.mac", GZ_CFG_MAC, .offset = offsetof(struct gz_port_config, mac),
	  .size = 7, .flags = GZ_CFG_OPTIONAL, .def = "",
	  .example = "02:00:00:00:00:01",
	  .help = "MAC address; left out: the device's own." },
	{ "port.mtu", GZ_CFG_UINT, FIELD(struct gz_port_config, mtu),
	  RANGE(68, 9600), .def = "1500",
	  .help = "Largest IP packet, in bytes.",
	  .more = "af_xdp carries up to 3498." },
	{ "port.queue_size", GZ_CFG_UINT, FIELD(struct gz_port_config, queue_size),
	  .flags = GZ_CFG_POW2, RANGE(64, 32768), .def = "1024",
	  .help = "Descriptors of the receive and of the transmit queue." },
	{ "port.queues", GZ_CFG_UINT, FIELD(struct gz_port_config, link_queues),
	  RANGE(1, 8), .def = "1",
	  .help = "Pairs of queues of memif, virtio_user and vhost.",
	  .more = "Both ends have as many, at most one for each worker. Other drivers have "
		  "one for each worker where they can." },
	{ "port.promiscuous", GZ_CFG_BOOL, FIELD(struct gz_port_config, promiscuous),
	  .def = "false",
	  .help = "Receive frames for other MAC addresses too." },
	{ "port.vlan", GZ_CFG_UINT, FIELD(struct gz_port_config, vlan),
	  RANGE(0, 4094), .def = "0",
	  .help = "VLAN whose tag (802.1Q) frames have on the wire; 0: none.",
	  .more = "An engine hears and sends that one alone; a client of gazelle-dispatch "
		  "may have another." },
	{ "port.veth", GZ_CFG_BLOCK,
	  .help = "A veth pair made at start and removed at the end.",
	  .more = "iface: is our end, the kernel keeps the other: programs "
		  "outside reach the stack through it." },
	{ "port.veth.host", GZ_CFG_IFACE, FIELD(struct gz_port_config, veth_host),
	  .flags = GZ_CFG_OPTIONAL, .def = "gz0", .example = "gz0",
	  .help = "Name of the kernel's end." },
	{ "port.veth.address", GZ_CFG_HOST4, FIELD(struct gz_port_config, veth_address),
	  .flags = GZ_CFG_OPTIONAL, .def = "10.213.0.1/24",
	  .example = "10.213.0.1/24",
	  .help = "Address of the kernel's end; left out: it gets none." },
	{ "port.veth.address6", GZ_CFG_HOST6, FIELD(struct gz_port_config, veth_address6),
	  .flags = GZ_CFG_OPTIONAL, .def = "fd67:617a:656c::1/64",
	  .example = "fd67:617a:656c::1/64",
	  .help = "Its IPv6 address; left out, or IPv6 off in the kernel: none." },
	{ "port.memif", GZ_CFG_BLOCK,
	  .help = "Driver memif: shared memory with another program.",
	  .more = "Another engine, VPP, dpdk-testpmd. Each side can write to what it "
		  "shares: one that is not trusted belongs behind gazelle-dispatch." },
	{ "port.memif.role", GZ_CFG_ENUM, FIELD(struct gz_port_config, memif_role),
	  .names = memif_role_names, .def = "client",
	  .help = "Who makes the socket at port.path (server), and who connects to it." },
	{ "port.memif.id", GZ_CFG_UINT, FIELD(struct gz_port_config, memif_id),
	  RANGE(0, UINT32_MAX - 1), .def = "0",
	  .help = "Which of the socket's links it is; both ends have the same." },
	{ "port.memif.secret", GZ_CFG_NAME, FIELD(struct gz_port_config, memif_secret),
	  .flags = GZ_CFG_OPTIONAL, .def = "", .example = "xyzzy",
	  .help = "Both ends have the same, or both have none." },
	{ "port.pcap", GZ_CFG_BLOCK,
	  .help = "Driver pcap: frames from a file, and into one.",
	  .more = "tcpdump -w and Wireshark write and read such files. At least one of "
		  "the two is needed." },
	{ "port.pcap.receive", GZ_CFG_PATH, FIELD(struct gz_port_config, pcap_receive),
	  .flags = GZ_CFG_OPTIONAL, .def = "", .example = "/tmp/in.pcap",
	  .help = "What the engine receives, as fast as it can; left out: nothing." },
	{ "port.pcap.send", GZ_CFG_PATH, FIELD(struct gz_port_config, pcap_send),
	  .flags = GZ_CFG_OPTIONAL, .def = "", .example = "/tmp/out.pcap",
	  .help = "Where what it sends is written; left out: nowhere." },
	{ "port.pcap.repeat", GZ_CFG_BOOL, FIELD(struct gz_port_config, pcap_repeat),
	  .def = "false",
	  .help = "Receive the file again and again; it must fit into memory.mbufs." },
};

static_assert(offsetof(struct gz_port_config, mac_set) ==
	      offsetof(struct gz_port_config, mac) + 6, "GZ_CFG_MAC");

static const struct gz_cfg_key offload_keys[] = {
	{ "port.offloads", GZ_CFG_BLOCK,
	  .help = "What is left to the device, where it offers it.",
	  .more = "gazelle-ctl port shows what is offered and what is used. "
		  "Those of gazelle-dispatch are the port's; for its clients see there." },
	{ "port.offloads.checksum", GZ_CFG_BOOL, FIELD(struct gz_port_config, offloads.checksum),
	  .def = "true",
	  .help = "Checksums of TCP: of pci, virtio_user and vhost.",
	  .more = "What was not on a wire has none. vhost takes such frames in any case: "
		  "its driver offers it." },
	{ "port.offloads.tso", GZ_CFG_BOOL, FIELD(struct gz_port_config, offloads.tso),
	  .def = "true",
	  .help = "Sending segments of TCP that are larger than the MSS.",
	  .more = "Goes with checksum. Of pci, virtio_user and vhost." },
	{ "port.offloads.lro", GZ_CFG_BOOL, FIELD(struct gz_port_config, offloads.lro),
	  .def = "true",
	  .help = "Receiving them.",
	  .more = "Goes with checksum. Of virtio_user and vhost." },
	/* DEVICE_OFFLOADS: what follows is the engine's own work */
	{ "port.offloads.gso", GZ_CFG_BOOL, FIELD(struct gz_port_config, offloads.gso),
	  .def = "false",
	  .help = "Cutting larger segments in software, just before the port.",
	  .more = "Where it has no tso. Over IPv4. Where each frame costs the kernel's "
		  "work, as on a veth, it gains nothing." },
	{ "port.offloads.gro", GZ_CFG_BOOL, FIELD(struct gz_port_config, offloads.gro),
	  .def = "true",
	  .help = "Merging segments in software, just behind the port.",
	  .more = "Where it has no lro. Over IPv4." },
};

/* Of offload_keys: the block and what is left to devices */
#define DEVICE_OFFLOADS 4

/* The fields lie in both structures, not in one that they share. */
#define HEAD_KEYS(S, default_name, name_help) \
	{ "name", GZ_CFG_NAME, FIELD(S, name), .def = (default_name), \
	  .help = (name_help), \
	  .more = "It names the control socket, RUN_DIR/NAME.sock, and is what " \
		  "telemetry and messages say." }, \
	{ "log", GZ_CFG_ENUM, FIELD(S, log), .names = log_names, .def = "info", \
	  .flags = GZ_CFG_LIVE, .help = "The least serious messages that are logged." }, \
	{ "run_dir", GZ_CFG_PATH, FIELD(S, run_dir), .def = "/run/gazelle", \
	  .help = "Directory of the control socket." }

#define WORKER_KEYS(S) \
	{ "worker", GZ_CFG_BLOCK, .help = "The thread that moves packets." }, \
	{ "worker.cpu", GZ_CFG_INT, FIELD(S, workers.cpu), RANGE(-1, 1023), .def = "-1", \
	  .help = "The processor it is bound to; -1: none, it floats." }, \
	{ "worker.power", GZ_CFG_ENUM, FIELD(S, power), .names = power_names, \
	  .def = "adaptive", \
	  .help = "What it does when there is nothing to do.", \
	  .more = "adaptive: polls for a while, then sleeps until a packet or a " \
		  "program wakes it. interrupt: sleeps at once, for the least " \
		  "power. poll: never sleeps, for the lowest latency at the price " \
		  "of a processor." }, \
	{ "worker.spin", GZ_CFG_DURATION, FIELD(S, spin_us), US, \
	  RANGE(0, 1000000), .def = "50us", \
	  .help = "How long adaptive polls before it sleeps." }, \
	{ "worker.burst", GZ_CFG_UINT, FIELD(S, burst), RANGE(1, 512), \
	  .def = "32", \
	  .help = "Packets taken from the device at a time." }

#define WORKERS_KEYS(S, how) \
	{ "workers", GZ_CFG_BLOCK, .help = "Several such threads." }, \
	{ "workers.cpus", GZ_CFG_INT, LIST(S, workers.cpus, workers.ncpus), \
	  RANGE(-1, 1023), .def = "", .flags = GZ_CFG_OPTIONAL, .example = "[0, 1]", \
	  .help = "The processors that have a worker each; -1: it floats.", \
	  .more = (how) }, \
	{ "workers.node", GZ_CFG_INT, FIELD(S, workers.node), \
	  RANGE(-1, 1023), .def = "-1", .flags = GZ_CFG_OPTIONAL, .example = "0", \
	  .help = "In place of cpus: a worker on each processor of this NUMA node.", \
	  .more = "Memory is the node's, too, as it is where all of cpus are of one." }, \
	{ "workers.count", GZ_CFG_UINT, FIELD(S, workers.count), \
	  RANGE(0, GZ_CPUS_MAX), .def = "0", .flags = GZ_CFG_OPTIONAL, .example = "2", \
	  .help = "In place of cpus: so many workers, on the first of node, or floating." }

#define EAL_KEYS(S) \
	{ "eal_args", GZ_CFG_WORD, LIST(S, eal, neal), .def = "", \
	  .flags = GZ_CFG_OPTIONAL, \
	  .example = "[\"--log-level=lib.eal:debug\"]", \
	  .help = "More arguments for DPDK's EAL, after our own." }

static const struct gz_cfg_key engine_head_keys[] = {
	HEAD_KEYS(struct gz_engine_config, "default", "The engine's name."),
	{ "linger", GZ_CFG_DURATION, FIELD(struct gz_engine_config, linger_ms), MS,
	  RANGE(0, 86400000), .def = "2s",
	  .help = "How long the engine stays after its last program ended.",
	  .more = "0: until it is told to stop." },
	{ "plane", GZ_CFG_ENUM, FIELD(struct gz_engine_config, plane),
	  .names = plane_names, .def = "ring",
	  .help = "How the bytes of programs go.",
	  .more = "ring: through memory that they share with the engine, where "
		  "that can be; gazelle-ctl planes says where not, and why. relay: "
		  "through the kernel's sockets. gazelle-run --relay and --ring say "
		  "otherwise for one program." },
};

static const struct gz_cfg_key rule_keys[] = {
	{ "action", GZ_CFG_ENUM, FIELD(struct gz_rule, action),
	  .names = action_names, .flags = GZ_CFG_REQUIRED,
	  .help = "Whose the socket is." },
	{ "direction", GZ_CFG_ENUM, FIELD(struct gz_rule, direction),
	  .names = direction_names, .flags = GZ_CFG_OPTIONAL,
	  .help = "The call that asks." },
	{ "protocol", GZ_CFG_ENUM, FIELD(struct gz_rule, protocol),
	  .names = protocol_names, .flags = GZ_CFG_OPTIONAL,
	  .help = "Its protocol." },
	{ "net", GZ_CFG_NET, FIELD(struct gz_rule, net),
	  .flags = GZ_CFG_OPTIONAL, .help = "The address lies in it." },
	{ "ports", GZ_CFG_PORTS, .offset = offsetof(struct gz_rule, port_lo),
	  .size = 4, RANGE(1, 65535), .flags = GZ_CFG_OPTIONAL | GZ_CFG_SINGLE,
	  .help = "The port is among them." },
	{ "uid", GZ_CFG_UID, .offset = offsetof(struct gz_rule, uid), .size = 5,
	  .flags = GZ_CFG_OPTIONAL, RANGE(0, 4294967294),
	  .help = "The effective user id." },
	{ "program", GZ_CFG_TEXT, FIELD(struct gz_rule, program),
	  .flags = GZ_CFG_OPTIONAL, .help = "The program's name." },
};

static_assert(offsetof(struct gz_rule, uid_set) == offsetof(struct gz_rule, uid) + 4,
	      "GZ_CFG_UID");
static_assert(offsetof(struct gz_rule, port_hi) == offsetof(struct gz_rule, port_lo) + 2,
	      "GZ_CFG_PORTS");

static const struct gz_cfg_part rule_parts[] = {
	{ rule_keys, LEN(rule_keys), 0 },
};

static const struct gz_cfg_schema rule_schema = {
	NULL, rule_parts, LEN(rule_parts), sizeof(struct gz_rule)
};

static const struct gz_cfg_key route_keys[] = {
	{ "to", GZ_CFG_NET, FIELD(struct gz_route, to),
	  .flags = GZ_CFG_REQUIRED, .help = "The destinations." },
	{ "via", GZ_CFG_NET, FIELD(struct gz_route, via),
	  .flags = GZ_CFG_REQUIRED, .help = "The next hop." },
	{ "dev", GZ_CFG_IFACE, FIELD(struct gz_route, dev),
	  .flags = GZ_CFG_OPTIONAL, .help = "The interface of a link-local next hop." },
	{ "src", GZ_CFG_NET, FIELD(struct gz_route, src),
	  .flags = GZ_CFG_OPTIONAL, .help = "The source of connections there." },
};

static const struct gz_cfg_part route_parts[] = {
	{ route_keys, LEN(route_keys), 0 },
};

static const struct gz_cfg_schema route_schema = {
	NULL, route_parts, LEN(route_parts), sizeof(struct gz_route)
};

/* A port in a list of them */
static const struct gz_cfg_key listed_port_keys[] = {
	{ "driver", GZ_CFG_ENUM, FIELD(struct gz_port_config, driver),
	  .names = driver_names, .flags = GZ_CFG_OPTIONAL,
	  .help = "The kind of device, as in port." },
	{ "iface", GZ_CFG_IFACE, FIELD(struct gz_port_config, iface),
	  .flags = GZ_CFG_OPTIONAL, .help = "Network interface." },
	{ "device", GZ_CFG_TEXT, FIELD(struct gz_port_config, device),
	  .flags = GZ_CFG_OPTIONAL, .help = "PCI or MAC address, or DPDK's --vdev text." },
	{ "path", GZ_CFG_PATH, FIELD(struct gz_port_config, path),
	  .flags = GZ_CFG_OPTIONAL, .help = "Socket of virtio_user, vhost and memif." },
	{ "mac", GZ_CFG_MAC, .offset = offsetof(struct gz_port_config, mac),
	  .size = 7, .flags = GZ_CFG_OPTIONAL, .help = "MAC address." },
};

/* What each of several independent ones may have of its own */
static const struct gz_cfg_key alone_port_keys[] = {
	{ "mtu", GZ_CFG_UINT, FIELD(struct gz_port_config, mtu),
	  .flags = GZ_CFG_OPTIONAL, RANGE(68, 9600), .help = "Largest IP packet, in bytes." },
	{ "queues", GZ_CFG_UINT, FIELD(struct gz_port_config, link_queues),
	  .flags = GZ_CFG_OPTIONAL, RANGE(1, 8), .help = "Pairs of queues, as port.queues." },
	{ "vlan", GZ_CFG_UINT, FIELD(struct gz_port_config, vlan),
	  .flags = GZ_CFG_OPTIONAL, RANGE(1, 4094), .help = "Its VLAN on the wire." },
};

static const struct gz_cfg_key engine_port_keys[] = {
	{ "addresses", GZ_CFG_HOST4, LIST(struct gz_engine_port, addrs, naddrs),
	  .flags = GZ_CFG_OPTIONAL, .help = "The stack's addresses there." },
	{ "dhcp", GZ_CFG_BOOL, FIELD(struct gz_engine_port, dhcp),
	  .flags = GZ_CFG_OPTIONAL, .help = "Ask a DHCP server for the address instead." },
	{ "addresses6", GZ_CFG_HOST6, LIST(struct gz_engine_port, addrs6, naddrs6),
	  .flags = GZ_CFG_OPTIONAL, .help = "Its IPv6 addresses there." },
	{ "slaac", GZ_CFG_BOOL, FIELD(struct gz_engine_port, slaac),
	  .flags = GZ_CFG_OPTIONAL, .help = "Listen to router advertisements there." },
};

/* Blocks of one driver, or of few, as port has them */
static const struct gz_cfg_key port_block_keys[] = {
	{ "veth", GZ_CFG_BLOCK, .help = "A pair made at start." },
	{ "veth.host", GZ_CFG_IFACE, FIELD(struct gz_port_config, veth_host),
	  .flags = GZ_CFG_OPTIONAL, .help = "Name of the kernel's end." },
	{ "veth.address", GZ_CFG_HOST4, FIELD(struct gz_port_config, veth_address),
	  .flags = GZ_CFG_OPTIONAL, .help = "Its address." },
	{ "veth.address6", GZ_CFG_HOST6, FIELD(struct gz_port_config, veth_address6),
	  .flags = GZ_CFG_OPTIONAL, .help = "Its IPv6 address." },
	{ "memif", GZ_CFG_BLOCK, .help = "Driver memif." },
	{ "memif.role", GZ_CFG_ENUM, FIELD(struct gz_port_config, memif_role),
	  .names = memif_role_names, .flags = GZ_CFG_OPTIONAL, .help = "Client or server." },
	{ "memif.id", GZ_CFG_UINT, FIELD(struct gz_port_config, memif_id),
	  .flags = GZ_CFG_OPTIONAL, RANGE(0, UINT32_MAX - 1), .help = "Which of the links." },
	{ "memif.secret", GZ_CFG_NAME, FIELD(struct gz_port_config, memif_secret),
	  .flags = GZ_CFG_OPTIONAL, .help = "Both ends'." },
	{ "pcap", GZ_CFG_BLOCK, .help = "Driver pcap." },
	{ "pcap.receive", GZ_CFG_PATH, FIELD(struct gz_port_config, pcap_receive),
	  .flags = GZ_CFG_OPTIONAL, .help = "What is received." },
	{ "pcap.send", GZ_CFG_PATH, FIELD(struct gz_port_config, pcap_send),
	  .flags = GZ_CFG_OPTIONAL, .help = "Where what is sent is written." },
	{ "pcap.repeat", GZ_CFG_BOOL, FIELD(struct gz_port_config, pcap_repeat),
	  .flags = GZ_CFG_OPTIONAL, .help = "Receive it again and again." },
};

static const struct gz_cfg_part engine_port_parts[] = {
	{ engine_port_keys, LEN(engine_port_keys), 0 },
	{ listed_port_keys, LEN(listed_port_keys), offsetof(struct gz_engine_port, port) },
	{ alone_port_keys, LEN(alone_port_keys), offsetof(struct gz_engine_port, port) },
	{ port_block_keys, LEN(port_block_keys), offsetof(struct gz_engine_port, port) },
};

static const struct gz_cfg_schema engine_port_schema = {
	NULL, engine_port_parts, LEN(engine_port_parts), sizeof(struct gz_engine_port)
};

static const struct gz_cfg_key engine_keys[] = {
	{ "ports", GZ_CFG_MAPS, LIST(struct gz_engine_config, more, nmore),
	  .def = "", .flags = GZ_CFG_OPTIONAL, .maps = &engine_port_schema,
	  .example = "  - driver: af_xdp\n"
		     "    iface: eth2\n"
		     "    addresses: [198.51.100.10/24]\n"
		     "    addresses6: [2001:db8:2::10/64]\n",
	  .help = "More ports of the same stack, besides port, which is the first.",
	  .more = "Programs see them as gazelle0, gazelle1 and so on. driver, iface, device, path, "
		  "mac, vlan, queues, veth, memif, pcap: as port has them; mtu: left out, port.mtu. Its queue_size, "
		  "promiscuous and offloads hold for all, and so do memory.mbufs. addresses: of "
		  "IPv4, in networks that no other port has; stack.gateway and the next hops of "
		  "stack.routes may be in any of them. dhcp: as stack.dhcp, in place of addresses; "
		  "the gateway is that of the first port that was told of one, if "
		  "stack.gateway is left out. addresses6, slaac: as stack.addresses6 and "
		  "stack.slaac, which are the first port's; a port with either may do without "
		  "IPv4." },
	{ "stack", GZ_CFG_BLOCK, .help = "The IP stack." },
	{ "stack.addresses", GZ_CFG_HOST4,
	  LIST(struct gz_engine_config, addrs, naddrs),
	  .def = "10.213.0.2/24", .example = "[192.0.2.10/24]",
	  .help = "Its addresses, each with its network's prefix length.",
	  .more = "The first is the source of outgoing connections. The default "
		  "goes with the default veth pair: a port: block without veth: "
		  "needs addresses." },
	{ "stack.gateway", GZ_CFG_ADDR4, FIELD(struct gz_engine_config, gateway),
	  .flags = GZ_CFG_OPTIONAL, .def = "", .example = "10.213.0.1",
	  .help = "Next hop to everything else; left out: only neighbours are "
		  "reached." },
	{ "stack.addresses6", GZ_CFG_HOST6,
	  LIST(struct gz_engine_config, addrs6, naddrs6),
	  .flags = GZ_CFG_OPTIONAL,
	  .def = "fd67:617a:656c::2/64", .example = "[2001:db8::10/64]",
	  .help = "Its IPv6 addresses, each with its network's prefix length.",
	  .more = "The default goes with the default veth pair: a port: block "
		  "starts from none. Duplicate address detection takes a second, "
		  "except on a pair that veth: makes." },
	{ "stack.gateway6", GZ_CFG_ADDR6, FIELD(struct gz_engine_config, gateway6),
	  .flags = GZ_CFG_OPTIONAL, .def = "", .example = "2001:db8::1",
	  .help = "IPv6's next hop to everything else, link-local or not.",
	  .more = "A link-local one is at the first port that has IPv6. Left out: the router "
		  "that slaac finds." },
	{ "stack.routes", GZ_CFG_MAPS, LIST(struct gz_engine_config, routes, nroutes),
	  .def = "", .flags = GZ_CFG_OPTIONAL, .maps = &route_schema,
	  .example = "  - to: 10.8.0.0/16\n"
		     "    via: 10.213.0.3\n"
		     "  - to: 2001:db8:8::/48\n"
		     "    via: fe80::3\n"
		     "    src: 2001:db8::10\n",
	  .help = "Next hops besides the gateways, of IPv4 and IPv6.",
	  .more = "Of the routes and of the networks of addresses the one with the longest "
		  "prefix holds. via: a neighbour, of IPv6 link-local or not. dev: of several "
		  "ports the one of a link-local via, gazelle1 for example; left out: the first "
		  "that has IPv6. src: which of "
		  "the addresses connections come from; left out: of IPv4 the one in "
		  "via's network." },
	{ "stack.slaac", GZ_CFG_BOOL, FIELD(struct gz_engine_config, slaac),
	  .def = "false",
	  .help = "Make addresses and find a router by router advertisements.",
	  .more = "false: advertisements and redirects are ignored." },
	{ "stack.dhcp", GZ_CFG_BOOL, FIELD(struct gz_engine_config, dhcp),
	  .def = "false",
	  .help = "Ask a DHCP server for the IPv4 address, its network and the gateway.",
	  .more = "In place of addresses and gateway. An MTU that the server tells of is "
		  "taken if it is not larger than port.mtu. The engine is ready when it has a "
		  "lease, or has asked in vain for five seconds, and asks on then." },
	{ "policy", GZ_CFG_BLOCK, .help = "Which sockets are the engine's." },
	{ "policy.loopback", GZ_CFG_ENUM, FIELD(struct gz_engine_config, loopback),
	  .names = loopback_names, .def = "both",
	  .help = "Whose 127.0.0.0/8 is, and who reaches a wildcard listener.",
	  .more = "both: a listener on 0.0.0.0 or a loopback address is the engine's "
		  "and listens on the kernel as well, so that programs outside reach "
		  "it; bind() fails where either has the port. engine: the engine's "
		  "alone. In both, programs under gazelle-run reach the kernel's "
		  "listeners on loopback where the engine has none. kernel: loopback "
		  "is the kernel's, bind() and connect(), and a wildcard listener "
		  "listens there as well." },
	{ "policy.rules", GZ_CFG_MAPS, LIST(struct gz_engine_config, rules, nrules),
	  .def = "", .flags = GZ_CFG_OPTIONAL, .maps = &rule_schema,
	  .example = "  - action: kernel\n"
		     "    direction: connect\n"
		     "    protocol: tcp\n"
		     "    net: 192.0.2.0/24\n"
		     "    ports: 8000-8999\n"
		     "  - action: kernel\n"
		     "    uid: 1000\n"
		     "  - action: default\n"
		     "    program: redis-server\n"
		     "  - action: kernel\n",
	  .help = "Rules, asked at bind(), connect() and a datagram's sendto().",
	  .more = "The first that matches decides; a rule matches when all that it "
		  "names does. action: engine, kernel, or default: as without "
		  "rules. direction: bind, connect (a datagram's destination as "
		  "well) or any. net: an address or a network, IPv4 or IPv6, of "
		  "what is bound or of the destination; 0.0.0.0 is in 0.0.0.0/0 "
		  "only, IPv4 in no IPv6 network. ports: a port or low-high. uid: the effective one. "
		  "program: the process's name or the last part of its executable's "
		  "path. protocol: tcp, udp or any. A last rule without conditions "
		  "turns the default round: the example leaves everything but "
		  "redis-server to the kernel." },
	WORKER_KEYS(struct gz_engine_config),
	{ "worker.messages", GZ_CFG_UINT, FIELD(struct gz_engine_config, messages),
	  RANGE(1, 65536), .def = "4096",
	  .help = "Programs' control calls that are done at a time.",
	  .more = "Packets that came after them wait for them." },
	{ "worker.events", GZ_CFG_UINT, FIELD(struct gz_engine_config, events),
	  RANGE(1, 1024), .def = "128",
	  .help = "Sockets that are asked for what programs wrote, at a time." },
	{ "worker.sockets", GZ_CFG_UINT, FIELD(struct gz_engine_config, pumped),
	  RANGE(1, 4194304), .def = "65536",
	  .help = "Sockets whose bytes are moved before packets are looked at again." },
	WORKERS_KEYS(struct gz_engine_config,
		     "Left out: one worker, on worker.cpu. Connections are spread over "
		     "the workers by a hash of their addresses and ports."),
	{ "limits", GZ_CFG_BLOCK, .help = "What programs can use up." },
	{ "limits.sockets", GZ_CFG_UINT, FIELD(struct gz_engine_config, max_sockets),
	  RANGE(16, 4194304), .def = "262144",
	  .help = "Sockets at a time, of all programs together." },
	{ "limits.clients", GZ_CFG_UINT, FIELD(struct gz_engine_config, max_clients),
	  RANGE(1, 65536), .def = "256",
	  .help = "Programs started with gazelle-run at a time." },
	{ "limits.client_sockets", GZ_CFG_UINT,
	  FIELD(struct gz_engine_config, client_sockets),
	  RANGE(1, 4194304), .def = "262144",
	  .help = "Sockets at a time, of one program and its children.",
	  .more = "More, of one or of all: socket() fails with ENOBUFS, and new "
		  "connections to listeners wait as if the backlog were full." },
	{ "limits.time_wait", GZ_CFG_UINT, FIELD(struct gz_engine_config, max_time_waits),
	  RANGE(1, 4194304), .def = "65536",
	  .help = "Connections in TIME_WAIT at a time; the oldest give way.",
	  .more = "Like net.ipv4.tcp_max_tw_buckets." },
	{ "limits.buffers", GZ_CFG_UINT, FIELD(struct gz_engine_config, max_buffers),
	  RANGE(0, 1048576), .def = "64",
	  .help = "What buffers of connections grow by at most, in MB.",
	  .more = "Beyond 256 KB to send and as much to receive of each, which "
		  "fill 10 Gbit/s where a round trip takes 200 us, up to 4 MB, "
		  "where round trips are longer. One program and its children "
		  "get no more than is left for the others." },
	{ "tcp", GZ_CFG_BLOCK, .help = "TCP's tunables." },
	{ "tcp.syn_retries", GZ_CFG_UINT,
	  FIELD(struct gz_engine_config, syn_retries), RANGE(1, 127), .def = "6",
	  .help = "SYNs sent again before connect() fails with ETIMEDOUT.",
	  .more = "Like net.ipv4.tcp_syn_retries." },
	{ "tcp.give_up", GZ_CFG_DURATION,
	  FIELD(struct gz_engine_config, rto_give_up_s), SEC, RANGE(1, 86400),
	  .def = "924s",
	  .help = "How long unacknowledged data are sent again.",
	  .more = "Then the connection fails with ETIMEDOUT. The default is what "
		  "Linux's net.ipv4.tcp_retries2 of 15 comes to." },
	{ "tcp.timestamps", GZ_CFG_BOOL,
	  FIELD(struct gz_engine_config, tcp_timestamps), .def = "true",
	  .help = "Offer, and take, timestamps (RFC 7323).",
	  .more = "Old duplicates are told by them, and round trips of what was sent "
		  "twice. Like net.ipv4.tcp_timestamps." },
	{ "tcp.ephemeral_ports", GZ_CFG_PORTS,
	  .offset = offsetof(struct gz_engine_config, port_lo), .size = 4,
	  RANGE(1024, 65535), .def = "32768-60999",
	  .help = "Local ports of connections that did not choose one.",
	  .more = "Like net.ipv4.ip_local_port_range." },
	{ "tcp.syn_cookies", GZ_CFG_ENUM, FIELD(struct gz_engine_config, cookies),
	  .names = cookies_names, .def = "flood",
	  .help = "Whether SYNs are answered without remembering them.",
	  .more = "flood: once half-open connections that do not complete fill a "
		  "listener's backlog. always: all of them. off: never; SYNs over the "
		  "backlog are dropped. Like net.ipv4.tcp_syncookies." },
	EAL_KEYS(struct gz_engine_config),
};

static_assert(offsetof(struct gz_engine_config, port_hi) ==
	      offsetof(struct gz_engine_config, port_lo) + 2, "GZ_CFG_PORTS");

static const struct gz_cfg_part engine_parts[] = {
	{ engine_head_keys, LEN(engine_head_keys), 0 },
	{ memory_keys, LEN(memory_keys), offsetof(struct gz_engine_config, memory) },
	{ port_keys, LEN(port_keys), offsetof(struct gz_engine_config, port) },
	{ offload_keys, LEN(offload_keys), offsetof(struct gz_engine_config, port) },
	{ engine_keys, LEN(engine_keys), 0 },
};

const struct gz_cfg_schema gz_engine_schema = {
	"gazelle-engine: configuration.\n"
	"Every key may be left out; the values shown are the defaults unless "
	"changed. Lines commented out show an example of what has no default. "
	"Check a file with gazelle-engine --check.",
	engine_parts, LEN(engine_parts), sizeof(struct gz_engine_config)
};

static const struct gz_cfg_key client_keys[] = {
	{ "name", GZ_CFG_NAME, FIELD(struct gz_dispatch_client, name),
	  .flags = GZ_CFG_REQUIRED, .help = "The client's name." },
	{ "port", GZ_CFG_NAME, FIELD(struct gz_dispatch_client, port),
	  .flags = GZ_CFG_OPTIONAL, .help = "The name of its port, of several." },
	{ "path", GZ_CFG_PATH, FIELD(struct gz_dispatch_client, path),
	  .flags = GZ_CFG_OPTIONAL, .help = "Its vhost-user socket." },
	{ "address", GZ_CFG_NET4, FIELD(struct gz_dispatch_client, address),
	  .flags = GZ_CFG_REQUIRED, .help = "The address or network it owns." },
	{ "address6", GZ_CFG_NET, FIELD(struct gz_dispatch_client, address6),
	  .flags = GZ_CFG_OPTIONAL, .help = "The same of IPv6." },
	{ "uid", GZ_CFG_UID, .offset = offsetof(struct gz_dispatch_client, uid), .size = 5,
	  .flags = GZ_CFG_OPTIONAL, RANGE(0, 4294967294),
	  .help = "The user that the engine must run as." },
	{ "mac", GZ_CFG_MAC, .offset = offsetof(struct gz_dispatch_client, mac), .size = 7,
	  .flags = GZ_CFG_OPTIONAL, .help = "The MAC address that it must have." },
	{ "vlan", GZ_CFG_UINT, FIELD(struct gz_dispatch_client, vlan),
	  .flags = GZ_CFG_OPTIONAL, RANGE(1, 4094),
	  .help = "Its VLAN on the wire." },
	{ "shared", GZ_CFG_BOOL, FIELD(struct gz_dispatch_client, shared),
	  .flags = GZ_CFG_OPTIONAL,
	  .help = "Whether other clients have its addresses too." },
	{ "send_kbits", GZ_CFG_UINT, FIELD(struct gz_dispatch_client, send_kbits),
	  .flags = GZ_CFG_OPTIONAL, RANGE(1, UINT32_MAX),
	  .help = "Thousand bits a second that it may send." },
	{ "send_packets", GZ_CFG_UINT, FIELD(struct gz_dispatch_client, send_packets),
	  .flags = GZ_CFG_OPTIONAL, RANGE(1, UINT32_MAX),
	  .help = "Packets a second that it may send." },
	{ "receive_kbits", GZ_CFG_UINT, FIELD(struct gz_dispatch_client, receive_kbits),
	  .flags = GZ_CFG_OPTIONAL, RANGE(1, UINT32_MAX),
	  .help = "Thousand bits a second that it receives." },
	{ "receive_packets", GZ_CFG_UINT, FIELD(struct gz_dispatch_client, receive_packets),
	  .flags = GZ_CFG_OPTIONAL, RANGE(1, UINT32_MAX),
	  .help = "Packets a second that it receives." },
	{ "connections", GZ_CFG_UINT, FIELD(struct gz_dispatch_client, connections),
	  .flags = GZ_CFG_OPTIONAL, RANGE(1, GZ_CONNECTIONS_MAX),
	  .help = "TCP connections that it may have at a time." },
	{ "priority", GZ_CFG_UINT, FIELD(struct gz_dispatch_client, priority),
	  .flags = GZ_CFG_OPTIONAL, RANGE(1, GZ_PRIORITY_MAX),
	  .help = "Whose frames go first at a port that is short." },
	{ "offloads", GZ_CFG_ENUM, FIELD(struct gz_dispatch_client, offloads),
	  .names = client_offloads_names, .flags = GZ_CFG_OPTIONAL,
	  .help = "What is offered to it." },
};

static_assert(offsetof(struct gz_dispatch_client, uid_set) ==
	      offsetof(struct gz_dispatch_client, uid) + 4, "GZ_CFG_UID");

static const struct gz_cfg_part client_parts[] = {
	{ client_keys, LEN(client_keys), 0 },
};

static const struct gz_cfg_schema client_schema = {
	NULL, client_parts, LEN(client_parts), sizeof(struct gz_dispatch_client)
};

static const struct gz_cfg_part bond_port_parts[] = {
	{ listed_port_keys, LEN(listed_port_keys), 0 },
};

static const struct gz_cfg_schema bond_port_schema = {
	NULL, bond_port_parts, LEN(bond_port_parts), sizeof(struct gz_port_config)
};

/* What each of several independent ones has besides */
static const struct gz_cfg_key own_port_keys[] = {
	{ "name", GZ_CFG_NAME, FIELD(struct gz_dispatch_port, name),
	  .flags = GZ_CFG_REQUIRED, .help = "By which clients name it." },
	{ "bond", GZ_CFG_MAPS, LIST(struct gz_dispatch_port, bond, nbond),
	  .flags = GZ_CFG_OPTIONAL, .maps = &bond_port_schema, .help = "Several as one." },
	{ "probe", GZ_CFG_NET, LIST(struct gz_dispatch_port, targets, ntargets),
	  .flags = GZ_CFG_OPTIONAL, .help = "Neighbours that each of these asks for." },
	{ "kernel", GZ_CFG_IFACE, FIELD(struct gz_dispatch_port, kernel_iface),
	  .flags = GZ_CFG_OPTIONAL, .help = "Interface of its way to the kernel." },
	{ "send_kbits", GZ_CFG_UINT, FIELD(struct gz_dispatch_port, send_kbits),
	  .flags = GZ_CFG_OPTIONAL, RANGE(1, UINT32_MAX),
	  .help = "Thousand bits a second that leave by it." },
};

static const struct gz_cfg_part dispatch_port_parts[] = {
	{ own_port_keys, LEN(own_port_keys), 0 },
	{ listed_port_keys, LEN(listed_port_keys), offsetof(struct gz_dispatch_port, port) },
	{ alone_port_keys, LEN(alone_port_keys), offsetof(struct gz_dispatch_port, port) },
};

static const struct gz_cfg_schema dispatch_port_schema = {
	NULL, dispatch_port_parts, LEN(dispatch_port_parts), sizeof(struct gz_dispatch_port)
};

static const struct gz_cfg_key bond_keys[] = {
	{ "bond", GZ_CFG_BLOCK,
	  .help = "Several ports as one, of which one at a time is active.",
	  .more = "When it is lost, the next takes over and the clients are announced "
		  "there. Devices of any kind, mixed." },
	{ "bond.ports", GZ_CFG_MAPS, LIST(struct gz_bond_config, ports, nports),
	  .def = "", .flags = GZ_CFG_OPTIONAL, .maps = &bond_port_schema,
	  .example = "  - driver: af_xdp\n"
		     "    iface: eth1\n"
		     "  - driver: af_xdp\n"
		     "    iface: eth2\n",
	  .help = "The ports, the one that is wanted most first.",
	  .more = "Each has driver, iface, device, path and mac as port has them, which "
		  "has none then; its mtu and queue_size hold for all. An interface that "
		  "is not there yet, or disappears, is taken when it comes." },
	{ "bond.failback", GZ_CFG_ENUM, FIELD(struct gz_bond_config, failback),
	  .names = failback_names, .def = "always",
	  .help = "Whether a port takes over again when it is good again.",
	  .more = "always: the first good one of the list is active. never: the active one "
		  "stays until it is lost." },
	{ "bond.miimon", GZ_CFG_DURATION, FIELD(struct gz_bond_config, miimon_ms), MS,
	  RANGE(1, 60000), .def = "100ms",
	  .help = "How often the link state is looked at.",
	  .more = "Of a network interface the kernel tells each change at once, as well." },
	{ "bond.up_delay", GZ_CFG_DURATION, FIELD(struct gz_bond_config, up_delay_ms), MS,
	  RANGE(0, 3600000), .def = "0s",
	  .help = "How long a port must have been good before failback to it." },
	{ "bond.probe", GZ_CFG_NET, LIST(struct gz_bond_config, targets, ntargets),
	  .def = "", .flags = GZ_CFG_OPTIONAL, .example = "[192.0.2.1, \"2001:db8::1\"]",
	  .help = "Neighbours that each port asks for, by ARP or neighbour solicitation.",
	  .more = "A port over which none of them answers is lost although its link is up, "
		  "if another one is better. Left out: link state only." },
	{ "bond.probe_interval", GZ_CFG_DURATION,
	  FIELD(struct gz_bond_config, probe_interval_ms), MS, RANGE(10, 60000),
	  .def = "500ms", .help = "Between two probes." },
	{ "bond.probe_misses", GZ_CFG_UINT, FIELD(struct gz_bond_config, probe_misses),
	  RANGE(1, 100), .def = "3",
	  .help = "Probes in a row without an answer that make a port lost." },
};

static const struct gz_cfg_key dispatch_head_keys[] = {
	HEAD_KEYS(struct gz_dispatch_config, "dispatch", "Dispatch's name."),
};

static const struct gz_cfg_key kernel_rule_keys[] = {
	{ "protocol", GZ_CFG_ENUM, FIELD(struct gz_kernel_rule, protocol),
	  .names = protocol_names, .flags = GZ_CFG_OPTIONAL,
	  .help = "Its protocol." },
	{ "net", GZ_CFG_NET, FIELD(struct gz_kernel_rule, net),
	  .flags = GZ_CFG_OPTIONAL, .help = "The address lies in it." },
	{ "ports", GZ_CFG_PORTS, .offset = offsetof(struct gz_kernel_rule, port_lo),
	  .size = 4, RANGE(1, 65535), .flags = GZ_CFG_OPTIONAL | GZ_CFG_SINGLE,
	  .help = "The port is among them." },
};

static_assert(offsetof(struct gz_kernel_rule, port_hi) ==
	      offsetof(struct gz_kernel_rule, port_lo) + 2, "GZ_CFG_PORTS");

static const struct gz_cfg_part kernel_rule_parts[] = {
	{ kernel_rule_keys, LEN(kernel_rule_keys), 0 },
};

static const struct gz_cfg_schema kernel_rule_schema = {
	NULL, kernel_rule_parts, LEN(kernel_rule_parts), sizeof(struct gz_kernel_rule)
};

static const struct gz_cfg_key dispatch_keys[] = {
	{ "ports", GZ_CFG_MAPS, LIST(struct gz_dispatch_config, ports, nports),
	  .def = "", .flags = GZ_CFG_OPTIONAL, .maps = &dispatch_port_schema,
	  .example = "  - name: inside\n"
		     "    driver: af_xdp\n"
		     "    iface: eth1\n"
		     "  - name: outside\n"
		     "    driver: af_xdp\n"
		     "    iface: eth2\n"
		     "    kernel: gzk1\n",
	  .help = "Several ports that have nothing to do with each other, instead of one.",
	  .more = "Each client is at one of them, and nothing goes from one to another. "
		  "name: what clients call it. driver, iface, device, path, mac, vlan: as "
		  "port has them, which has none then; mtu: left out, port.mtu. kernel, "
		  "send_kbits: as kernel.iface and send_kbits, which are left out then; "
		  "kernel.rules hold for all. bond, probe: as bond.ports and bond.probe, "
		  "instead of one device; what else there is in bond holds for all." },
	{ "send_kbits", GZ_CFG_UINT, FIELD(struct gz_dispatch_config, send_kbits),
	  .flags = GZ_CFG_OPTIONAL, .def = "", .example = "900000", RANGE(1, UINT32_MAX),
	  .help = "Thousand bits a second that leave by the port, if that is less than it "
		  "takes.",
	  .more = "What is more waits here, where clients have priorities, and not in the "
		  "network." },
	{ "kernel", GZ_CFG_BLOCK,
	  .help = "The way to the host's own kernel, for what is no client's." },
	{ "kernel.iface", GZ_CFG_IFACE, FIELD(struct gz_dispatch_config, kernel_iface),
	  .flags = GZ_CFG_OPTIONAL, .def = "", .example = "gzk0",
	  .help = "Interface that is made for it, a TAP; left out: there is none.",
	  .more = "It has the port's MAC address and, as long as dispatch runs, the "
		  "addresses and routes of the port's interface, which keeps its own "
		  "for afterwards." },
	{ "kernel.bifurcate", GZ_CFG_IFACE, FIELD(struct gz_dispatch_config, kernel_own),
	  .flags = GZ_CFG_OPTIONAL, .def = "", .example = "eth1",
	  .help = "Interface that the kernel has of the port's own card (mlx5).",
	  .more = "The driver is asked to give dispatch what is for clients or for all, "
		  "and to leave the rest there (rte_flow_isolate). Where it refuses, all "
		  "comes to dispatch, and what is the kernel's goes by kernel.iface. Not "
		  "with kernel.rules or shared clients." },
	{ "kernel.rules", GZ_CFG_MAPS,
	  LIST(struct gz_dispatch_config, kernel_rules, nkernel_rules),
	  .def = "", .flags = GZ_CFG_OPTIONAL | GZ_CFG_LIVE, .maps = &kernel_rule_schema,
	  .example = "  - protocol: tcp\n"
		     "    ports: 22\n",
	  .help = "What goes to the kernel although the address is a client's.",
	  .more = "For an address that host and client share. protocol: tcp, udp or any. "
		  "net: the address or network that is sent to. ports: a port or "
		  "low-high. A fragment that is not the first matches only rules without "
		  "ports." },
	WORKER_KEYS(struct gz_dispatch_config),
	WORKERS_KEYS(struct gz_dispatch_config,
		     "Left out: one worker, on worker.cpu. Each has a queue of the port, "
		     "where the driver has several (af_packet), and its share of the clients."),
	{ "clients", GZ_CFG_MAPS,
	  LIST(struct gz_dispatch_config, clients, nclients), .def = "",
	  .flags = GZ_CFG_OPTIONAL | GZ_CFG_LIVE, .maps = &client_schema,
	  .example = "  - name: engine1\n"
		     "    uid: 1000\n"
		     "    address: 10.213.0.2/32\n"
		     "    address6: fd67:617a:656c::2\n"
		     "    send_kbits: 100000\n"
		     "  - name: engine2\n"
		     "    path: /run/gazelle/engine2.vhost\n"
		     "    address: 10.213.0.3/32\n",
	  .help = "The engines that share the port.",
	  .more = "name: how messages and telemetry call it, and the name of an engine "
		  "that attaches. port: at which of several ports it is. It attaches by "
		  "the control socket (its driver: dispatch), as a process of user uid; left out: of dispatch's own user. It "
		  "registers its addresses, which must be within address or address6. "
		  "path: it does not attach. With driver virtio_user and the same path it "
		  "makes a vhost-user socket, to which dispatch connects; all of address "
		  "and address6 is the client's then, and uid the user whose process must "
		  "listen there, left out: any that can make the socket. "
		  "address, address6: the address or the network that "
		  "is the client's alone; what it sends from elsewhere is dropped. "
		  "mac: the MAC address that it must have (its port.mac); left out: what its "
		  "first frame has. "
		  "vlan: its VLAN on the wire (802.1Q), left out: port.vlan. "
		  "shared: address, a single one, and address6, if it is there, are those "
		  "of other clients with shared as well; each has ports of its own there. "
		  "send_kbits, send_packets, receive_kbits, receive_packets: limits, a "
		  "second, of what it may send and what it receives, frames' headers "
		  "included; more is dropped. Left out: none. "
		  "connections: TCP connections that it may have at a time; a SYN beyond "
		  "them is dropped. priority: when the port takes less than there is, "
		  "frames of the client with the higher one go first, left out: 0. "
		  "offloads: what it may leave to others, and gets unfinished, if its own "
		  "port.offloads wants that. all: checksums and large segments, checksum or "
		  "none; left out: all." },
	EAL_KEYS(struct gz_dispatch_config),
};

static const struct gz_cfg_part dispatch_parts[] = {
	{ dispatch_head_keys, LEN(dispatch_head_keys), 0 },
	{ memory_keys, LEN(memory_keys),
	  offsetof(struct gz_dispatch_config, memory) },
	{ port_keys, LEN(port_keys), offsetof(struct gz_dispatch_config, port) },
	{ offload_keys, DEVICE_OFFLOADS, offsetof(struct gz_dispatch_config, port) },
	{ bond_keys, LEN(bond_keys), offsetof(struct gz_dispatch_config, bond) },
	{ dispatch_keys, LEN(dispatch_keys), 0 },
};

const struct gz_cfg_schema gz_dispatch_schema = {
	"gazelle-dispatch: configuration.\n"
	"Every key may be left out; the values shown are the defaults unless "
	"changed. Lines commented out show an example of what has no default. "
	"Check a file with gazelle-dispatch --check.",
	dispatch_parts, LEN(dispatch_parts), sizeof(struct gz_dispatch_config)
};

/* clang-format on */
