/* SPDX-License-Identifier: BSD-3-Clause
 *
 * config_blocks_test.c - Blocks and lists: port, keys together, clients, rules
 */
#include "config_load.h"

static void a_port_block_replaces_the_default_veth_pair(void **state)
{
	(void)state;
	good("port: {driver: af_packet, iface: eth1}\n"
	     "stack: {addresses: [192.0.2.1/24]}\n");
	assert_string_equal(engine.port.iface, "eth1");
	assert_string_equal(engine.port.veth_host, "");
	assert_int_equal(engine.port.veth_address.addr, 0);
	good("port: {veth: {host: gz7}}\n");
	assert_string_equal(engine.port.veth_host, "gz7");
	assert_string_equal(engine.port.iface, "gz7e");
	assert_int_equal(engine.port.veth_address.addr, 0);
	assert_int_equal(engine.addrs[0].addr, ip("10.213.0.2"));
	good("port: {iface: mine, veth: {host: gz7}}\n");
	assert_string_equal(engine.port.iface, "mine");
	good("port: {driver: virtio_user, path: /x}\n"
	     "stack: {addresses: [192.0.2.1/24]}\n");
	assert_string_equal(engine.port.iface, "");
	bad("port: {driver: af_packet, iface: eth1}\n",
	    "1:1: key 'port': without veth: the default address does not apply");
}

static void keys_that_do_not_go_together_are_refused(void **state)
{
#define STACK "\nstack: {addresses: [192.0.2.1/24]}"
#define ROUTE(to, via) "stack: {routes: [{to: " to ", via: " via "}]}"
	static const struct {
		const char *text, *message;
	} t[] = {
	    {"port: {mtu: 1400}" STACK, "1:1: key 'port.iface': missing: "
					"expected a value, driver auto needs it or port.veth.host"},
	    {"port: {veth: {host: \"\"}}" STACK, "1:1: key 'port.iface': missing"},
	    {"log: info\nport:\n  driver: af_xdp" STACK,
	     "2:1: key 'port.iface': missing: expected a value, driver af_xdp"},
	    {"port: {driver: virtio_user}" STACK, "1:1: key 'port.path': missing"},
	    {"port: {driver: vhost}" STACK, "1:1: key 'port.path': missing"},
	    {"port: {driver: pci}" STACK, "1:1: key 'port.device': missing"},
	    {"port: {driver: vdev}" STACK, "1:1: key 'port.device': missing"},
	    {"port: {driver: pci, device: eth0}" STACK,
	     "1:29: key 'port.device': 'eth0' is not a PCI address"},
	    {"port: {driver: pci, device: 02:00:00:00:00}" STACK,
	     "1:29: key 'port.device': '02:00:00:00:00' is not a PCI address"},
	    {"port: {driver: memif}" STACK, "1:1: key 'port.path': missing"},
	    {"port: {driver: memif, path: /x, queue_size: 32768}\nmemory: {mbufs: 65536}" STACK,
	     "1:45: key 'port.queue_size': '32768' is out of range: expected at most 16384"},
	    {"port: {driver: tap, memif: {id: 3}}" STACK,
	     "1:33: key 'port.memif.id': not used by driver tap: expected it to be left out"},
	    {"port: {driver: pcap}" STACK,
	     "1:1: key 'port.pcap': no file: expected port.pcap.receive or port.pcap.send"},
	    {"port: {driver: pcap, pcap: {send: /x, repeat: true}}" STACK,
	     "1:47: key 'port.pcap.repeat': nothing to repeat"},
	    {"port: {driver: pcap, pcap: {send: \"/x,y\"}}" STACK,
	     "1:35: key 'port.pcap.send': has a comma"},
	    {"port: {driver: ring, pcap: {send: /x}}" STACK,
	     "1:35: key 'port.pcap.send': not used by driver ring"},
	    {"port: {driver: null, iface: a}" STACK,
	     "1:29: key 'port.iface': not used by driver null"},
	    {"port: {driver: virtio_user, path: /x, iface: eth0}" STACK,
	     "1:46: key 'port.iface': not used by driver virtio_user"},
	    {"port: {driver: af_xdp, iface: a, path: /x}" STACK,
	     "1:40: key 'port.path': not used by driver af_xdp"},
	    {"port: {driver: tap, veth: {host: a}}" STACK,
	     "1:21: key 'port.veth': not used by driver tap"},
	    {"port: {driver: af_xdp, iface: a, mtu: 3499}" STACK,
	     "1:39: key 'port.mtu': '3499' is out of range: expected at most "
	     "3498 with driver af_xdp"},
	    {"port: {veth: {host: a}, mtu: 67}" STACK,
	     "1:30: key 'port.mtu': '67' is out of range: expected a number, 68"},
	    {"port: {veth: {host: a}, mtu: 1279}\nstack: {addresses6: [\"fd00::2/64\"]}",
	     "1:30: key 'port.mtu': too small for IPv6"},
	    {"port: {veth: {host: a}, mtu: 68}\nstack: {slaac: true}",
	     "1:30: key 'port.mtu': too small for IPv6"},
	    {"port: {veth: {host: abcdefghijklmno}}" STACK,
	     "1:21: key 'port.veth.host': 'abcdefghijklmno' is too long to"},
	    {"port: {iface: a, veth: {host: a}}" STACK,
	     "1:15: key 'port.iface': 'a' is the other end's name too"},
	    {"port: {iface: a, veth: {address: 10.0.0.1/24}}" STACK,
	     "1:34: key 'port.veth.address': no pair to put it on"},
	    {"port: {veth: {host: a, address: 10.0.0.1/24}}",
	     "1:33: key 'port.veth.address': not in the stack's default"},
	    {"memory: {mbufs: 2047}", "1:17: key 'memory.mbufs': 2047 mbufs for "
				      "queues of 1024: expected at least twice as many"},
	    {"port: {veth: {host: a}, queue_size: 8192}",
	     "1:37: key "
	     "'port.queue_size': 8191 mbufs for queues of 8192"},
	    {"name: 0123456789012345678901234567890\nrun_dir: /123456789012345678"
	     "901234567890123456789012345678901234567890123456789012345678",
	     "2:10: key 'run_dir': /12345"},
	    {"stack: {addresses: []}", "1:20: key 'stack.addresses': empty"},
	    {"stack:\n  addresses:\n", "2:13: key 'stack.addresses': empty"},
	    {"stack: {addresses: [10.213.0.2/24, 10.213.0.2/16]}",
	     "1:36: key 'stack.addresses[1]': '10.213.0.2' is there already"},
	    {"stack: {addresses: [10.213.0.1/24]}",
	     "1:21: key "
	     "'stack.addresses[0]': '10.213.0.1' is port.veth.address"},
	    {"stack: {gateway: 10.213.0.2}", "1:18: key 'stack.gateway': "
					     "'10.213.0.2' is the stack's own"},
	    {"stack: {gateway: 10.213.1.1}", "1:18: key 'stack.gateway': "
					     "'10.213.1.1' is in no network of stack.addresses"},
	    {ROUTE("10.8.0.0/16", "10.214.0.3"),
	     "1:41: key 'stack.routes[0].via': in no network of stack.addresses"},
	    {ROUTE("10.8.0.1/16", "10.213.0.3"),
	     "1:23: key 'stack.routes[0].to': '10.8.0.1/16' is not a network"},
	    {ROUTE("10.8.0.0/16", "10.213.0.2"),
	     "1:41: key 'stack.routes[0].via': the stack's own address"},
	    {ROUTE("10.8.0.0/16", "10.213.0.0/24"),
	     "1:41: key 'stack.routes[0].via': not a host's address"},
	    {ROUTE("10.8.0.0/16", "\"fe80::1\""),
	     "1:41: key 'stack.routes[0].via': of the other family: expected an IPv4"},
	    {ROUTE("\"fd00:8::/32\"", "10.213.0.3"),
	     "1:43: key 'stack.routes[0].via': of the other family: expected an IPv6"},
	    {ROUTE("\"fd00:8::/32\"", "\"fd00:7::1\""),
	     "1:43: key 'stack.routes[0].via': in no network of stack.addresses6"},
	    {ROUTE("10.8.0.0/16", "10.213.0.3, src: 10.213.0.4"),
	     "1:58: key 'stack.routes[0].src': not in stack.addresses"},
	    {ROUTE("10.213.0.0/24", "10.213.0.3"),
	     "1:23: key 'stack.routes[0].to': on the link already"},
	    {ROUTE("127.0.0.0/8", "10.213.0.3"), "1:23: key 'stack.routes[0].to': loopback's"},
	    {ROUTE("10.8.0.0/16", "10.213.0.3}, {to: 10.8.0.0/16, via: 10.213.0.4"),
	     "1:59: key 'stack.routes[1].to': there already"},
	    {"stack: {gateway: 10.213.0.1, routes: [{to: 0.0.0.0/0, via: 10.213.0.3}]}",
	     "1:44: key 'stack.routes[0].to': what stack.gateway is for"},
	    {"stack: {routes: [{to: 10.8.0.0/16}]}",
	     "1:18: key 'stack.routes[0]': 'via' is missing"},
	    {"stack: {dhcp: true, addresses: [10.213.0.2/24]}",
	     "1:15: key 'stack.dhcp': not used beside stack.addresses"},
	    {"stack: {dhcp: true, gateway: 10.213.0.1}",
	     "1:15: key 'stack.dhcp': not used beside stack.gateway"},
	    {"port: {driver: dispatch, path: /a}\nstack: {dhcp: true}",
	     "2:15: key 'stack.dhcp': not used by driver dispatch"},
	    {"port: {driver: tap, mtu: 575}\nstack: {dhcp: true}",
	     "1:26: key 'port.mtu': too small for DHCP"},
	};

	(void)state;
	for (size_t i = 0; i < LEN(t); i++)
		bad(t[i].text, t[i].message);
	good(
	    "port: {driver: tap}\nstack: {dhcp: true, routes: [{to: 10.8.0.0/16, via: 10.9.0.1}]}");
	assert_int_equal(engine.naddrs, 0);
	good("stack: {dhcp: true}");
	assert_int_equal(engine.naddrs, 0);
	good(ROUTE("10.8.0.0/16", "10.213.0.3, src: 10.213.0.2"));
	assert_int_equal(engine.nroutes, 1);
	assert_int_equal(engine.routes[0].to.len, 96 + 16);
	good(ROUTE("10.213.0.128/25", "10.213.0.3"));
	good(ROUTE("0.0.0.0/0", "10.213.0.3"));
	good(ROUTE("\"fd00:8::/32\"", "\"fe80::1\""));
	good("port: {driver: af_xdp, iface: a, mtu: 3498}" STACK);
	good("port: {veth: {host: a}, mtu: 68}" STACK);
	good("port: {veth: {host: a}, mtu: 1280}\nstack: {addresses6: [\"fd00::2/64\"]}");
	good("port: {driver: pci, device: 0000:01:00.0}" STACK);
	good("port: {driver: pci, device: 01:00.0}" STACK);
	good("port: {driver: pci, device: 02:00:00:00:00:01}" STACK);
	good("port: {driver: null}" STACK);
	assert_int_equal(engine.port.driver, GZ_DRV_NULL);
	good("port: {driver: \"null\"}" STACK);
	good("port: {driver: ring}" STACK);
	good("port: {driver: memif, path: /x, memif: {role: server, id: 7, secret: s}}" STACK);
	assert_int_equal(engine.port.memif_role, GZ_MEMIF_SERVER);
	good("memory: {mbufs: 2048}");
	good("port: {driver: tap}\nstack: {addresses: [192.0.2.1/32], "
	     "gateway: 198.51.100.1}");
#undef STACK
}

static void checks_keep_quiet_about_keys_already_reported(void **state)
{
	(void)state;
	bad("port: {driver: af_xpd}\nstack: {addresses: [192.0.2.1/24]}",
	    "1:16: key 'port.driver'");
	bad("port: {veth: {host: a/b}}\nstack: {addresses: [192.0.2.1/24]}",
	    "1:21: key 'port.veth.host'");
	bad("port: {ifcae: eth0}\nstack: {addresses: [192.0.2.1/24]}", "1:8: key 'port.ifcae'");
	bad("stack: {addresses: [192.0.2.1], gateway: 192.0.2.2}",
	    "1:21: key 'stack.addresses[0]'");
}

static void clients_are_read_and_kept_apart(void **state)
{
	(void)state;
	assert_int_equal(load_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.1")
					   CLIENT("b", "/b", "10.1.0.0/16")),
			 0);
	assert_int_equal(dispatch.nclients, 2);
	assert_string_equal(dispatch.clients[0].name, "a");
	assert_string_equal(dispatch.clients[0].path, "/a");
	assert_int_equal(dispatch.clients[0].address.addr, ip("10.0.0.1"));
	assert_int_equal(dispatch.clients[0].address.len, 32);
	assert_int_equal(dispatch.clients[0].line, 2);
	assert_string_equal(dispatch.clients[1].name, "b");
	assert_int_equal(dispatch.clients[1].address.len, 16);
	assert_int_equal(dispatch.clients[1].line, 5);

	bad_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.1") CLIENT("a", "/b", "10.0.0.2"),
		     "5:11: key 'clients[1].name': 'a' is a client already, on "
		     "line 2");
	bad_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.1") CLIENT("b", "/a", "10.0.0.2"),
		     "6:11: key 'clients[1].path': '/a' is the client's on line 2");
	bad_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.1") CLIENT("b", "/b", "10.0.0.1"),
		     "7:14: key 'clients[1].address': overlaps");
	bad_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.0/24") CLIENT("b", "/b", "10.0.0.1"),
		     "7:14: key 'clients[1].address': overlaps");
	bad_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.1") CLIENT("b", "/b", "10.0.0.0/24"),
		     "7:14: key 'clients[1].address': overlaps");
	bad_dispatch("clients:\n" CLIENT("a", "/a", "10.0.0.1/24"),
		     "4:14: key 'clients[0].address': '10.0.0.1/24' is not a "
		     "network (it has host bits set)");
	bad_dispatch("port: {iface: a, mtu: 1279}\nclients: [{name: a, address: 10.0.0.1, "
		     "address6: \"fd00::1\"}]",
		     "1:23: key 'port.mtu': too small for IPv6");
	bad_dispatch("clients:\n  - name: a\n    path: /a\n",
		     "2:5: key 'clients[0]': 'address' is missing");
	bad_dispatch("clients: [a]", "1:11: key 'clients[0]': 'a' is not a block");
	bad_dispatch("clients: a", "1:10: key 'clients': 'a' is not a list: "
				   "expected a list of blocks");
	bad_dispatch("port: {iface: a, mac: \"02:00:00:00:00:07\"}\nclients: [{name: a, address: "
		     "10.0.0.1, mac: \"02:00:00:00:00:07\"}]",
		     "2:45: key 'clients[0].mac': the port's own address");
	bad_dispatch(
	    "ports: [{name: p, iface: a, mac: \"02:00:00:00:00:07\"}, {name: q, iface: b}]\n"
	    "clients: [{name: a, port: q, address: 10.0.0.1, mac: \"02:00:00:00:00:07\"},\n"
	    "  {name: b, port: p, address: 10.0.0.2, mac: \"02:00:00:00:00:07\"}]",
	    "3:46: key 'clients[1].mac': the port's own address");
}

static void a_bond_has_the_ports(void **state)
{
	(void)state;
	assert_int_equal(
	    load_dispatch("port: {mtu: 3000}\nbond: {ports: [{iface: a}, {driver: pci, "
			  "device: 01:00.0}], probe: [10.0.0.1, \"fe80::1\"]}\n"),
	    0);
	assert_int_equal(dispatch.bond.nports, 2);
	assert_int_equal(dispatch.bond.ports[1].mtu, 3000);
	assert_int_equal(dispatch.bond.ports[1].driver, GZ_DRV_PCI);
	assert_int_equal(dispatch.bond.ntargets, 2);
	assert_string_equal(dispatch.port.veth_host, "");
	/* beside it port: has nothing of its own, the default pair included */
	assert_int_equal(load_dispatch("bond: {ports: [{iface: a}]}\n"), 0);
	assert_string_equal(dispatch.port.iface, "");

	bad_dispatch("port: {iface: b}\nbond: {ports: [{iface: a}]}",
		     "1:15: key 'port.iface': not used beside bond.ports");
	bad_dispatch("bond: {ports: [{iface: a}, {iface: a}]}",
		     "1:28: key 'bond.ports[1]': the same device as bond.ports[0]");
	bad_dispatch("bond: {ports: [{driver: pci, device: 01:00.0, iface: a}]}",
		     "1:54: key 'bond.ports[0].iface': not used by driver pci");
	bad_dispatch("bond: {ports: [{iface: a}], probe: [10.0.0.0/24]}",
		     "1:37: key 'bond.probe[0]': a network: expected a host's address");
	bad_dispatch("bond: {ports: [{iface: a}, {iface: b}]}\nmemory: {mbufs: 4095}",
		     "2:17: key 'memory.mbufs': 4095 mbufs for 2 ports with queues of 1024");
}

static void several_ports(void **state)
{
	struct gz_dispatch_config one;

	(void)state;
	assert_int_equal(
	    load_dispatch("port: {mtu: 3000}\nports:\n"
			  "  - {name: in, iface: a, kernel: k, vlan: 7, send_kbits: 5}\n"
			  "  - {name: out, driver: pci, device: 01:00.0, mtu: 9000}\n"
			  "kernel: {rules: [{ports: 22}]}\n"
			  "clients: [{name: c1, port: in, address: 10.0.0.1},\n"
			  "          {name: c2, port: out, address: 10.0.0.1},\n"
			  "          {name: c3, port: in, address: 10.0.0.2}]\n"),
	    0);
	assert_int_equal(dispatch.nports, 2);
	gz_dispatch_config_of(&dispatch, 0, &one);
	assert_int_equal(one.port.mtu, 3000);
	assert_int_equal(one.port.vlan, 7);
	assert_int_equal(one.send_kbits, 5);
	assert_string_equal(one.kernel_iface, "k");
	assert_int_equal(one.nkernel_rules, 1);
	assert_int_equal(one.nclients, 2);
	assert_string_equal(one.clients[1].name, "c3");
	gz_dispatch_config_of(&dispatch, 1, &one);
	assert_int_equal(one.port.mtu, 9000);
	assert_int_equal(one.port.driver, GZ_DRV_PCI);
	assert_string_equal(one.kernel_iface, "");
	assert_int_equal(one.nclients, 1);
	assert_string_equal(one.clients[0].name, "c2");

	bad_dispatch("clients: [{name: c, address: 10.0.0.1, mac: 02:00:00:00:00:01},\n"
		     " {name: d, address: 10.0.0.2, mac: 02:00:00:00:00:01}]",
		     "2:36: key 'clients[1].mac': the client's on line 1 has it");
#define TWO "ports: [{name: in, iface: a}, {name: out, iface: b}]\n"
	bad_dispatch(TWO "clients: [{name: c, address: 10.0.0.1}]",
		     "2:11: key 'clients[0]': expected port: the name of one of ports");
	bad_dispatch(TWO "clients: [{name: c, port: up, address: 10.0.0.1}]",
		     "2:27: key 'clients[0].port': 'up' is no port");
	bad_dispatch("clients: [{name: c, port: up, address: 10.0.0.1}]",
		     "1:27: key 'clients[0].port': there is one port");
	bad_dispatch(TWO "clients: [{name: c, port: in, address: 10.0.0.1},\n"
			 " {name: d, port: in, address: 10.0.0.1}]",
		     "3:31: key 'clients[1].address': overlaps");
	bad_dispatch("port: {iface: c}\n" TWO, "1:15: key 'port.iface': not used beside ports");
	bad_dispatch(TWO "kernel: {iface: k}", "2:17: key 'kernel.iface': not used beside ports");
	bad_dispatch(TWO "send_kbits: 7", "2:13: key 'send_kbits': not used beside ports");
	bad_dispatch(TWO "bond: {ports: [{iface: c}]}",
		     "2:15: key 'bond.ports': not used beside ports");
	bad_dispatch("ports: [{name: in, iface: a}, {name: in, iface: b}]",
		     "1:38: key 'ports[1].name': 'in' is a port already");
	bad_dispatch("ports: [{name: in, iface: a}, {name: out, iface: a}]",
		     "1:31: key 'ports[1]': the same device as ports[0]");
	bad_dispatch("ports: [{name: in, iface: a, kernel: k}, {name: out, iface: b, kernel: k}]",
		     "1:72: key 'ports[1].kernel': 'k' is another port's");
	bad_dispatch("ports: [{name: in, iface: a}]\nkernel: {rules: [{ports: 22}]}",
		     "2:17: key 'kernel.rules': there is no way to the kernel");
	bad_dispatch("ports: [{iface: a}]", "1:9: key 'ports[0]': 'name' is missing");
#undef TWO
}

static void an_engine_has_several_ports(void **state)
{
	struct gz_prefix4 addr[GZ_OWN4_MAX];
	uint8_t port[GZ_OWN4_MAX];

	(void)state;
	good("port: {iface: a, mtu: 3000, queue_size: 512, offloads: {gro: false}}\n"
	     "ports: [{iface: b, addresses: [10.2.0.2/24, 10.3.0.2/16], mtu: 1400, vlan: 7},\n"
	     "        {driver: vhost, path: /p, addresses: [10.4.0.2/24]}]\n"
	     "stack: {addresses: [10.1.0.2/24], gateway: 10.3.1.1,\n"
	     "        routes: [{to: 10.8.0.0/16, via: 10.4.0.1, src: 10.2.0.2}]}\n");
	assert_int_equal(engine.nmore, 2);
	assert_string_equal(gz_engine_port(&engine, 1)->iface, "b");
	assert_int_equal(gz_engine_port(&engine, 1)->mtu, 1400);
	assert_int_equal(gz_engine_port(&engine, 1)->vlan, 7);
	assert_int_equal(gz_engine_port(&engine, 2)->mtu, 3000);
	assert_int_equal(gz_engine_port(&engine, 2)->queue_size, 512);
	assert_false(gz_engine_port(&engine, 2)->offloads.gro);
	assert_int_equal(gz_engine_addresses(&engine, addr, port), 4);
	assert_int_equal(addr[2].len, 16);
	assert_memory_equal(port, "\0\1\1\2", 4);

#define ONE "port: {iface: a}\nstack: {addresses: [10.1.0.2/24]}\n"
	good("port: {iface: a}\nstack: {dhcp: true}\nports: [{iface: b, dhcp: true}]\n");
	assert_true(gz_engine_asks(&engine, 0) && gz_engine_asks(&engine, 1));
	bad(ONE "ports: [{iface: b}]", "3:9: key 'ports[0].addresses': missing");
	bad(ONE "ports: [{iface: b, addresses: []}]", "3:31: key 'ports[0].addresses': missing");
	bad(ONE "ports: [{iface: b, dhcp: true, addresses: [10.2.0.2/24]}]",
	    "3:26: key 'ports[0].dhcp': not used beside addresses");
	bad(ONE "ports: [{iface: b, dhcp: true, mtu: 500}]",
	    "3:37: key 'ports[0].mtu': too small for DHCP");
	bad(ONE "ports: [{iface: a, addresses: [10.2.0.2/24]}]",
	    "3:9: key 'ports[0]': the same device as port");
	bad(ONE "ports: [{iface: b, addresses: [10.2.0.2/24]}, {iface: b, addresses: "
		"[10.3.0.2/24]}]",
	    "3:47: key 'ports[1]': the same device as ports[0]");
	bad(ONE "ports: [{iface: b, addresses: [10.1.0.2/24]}]",
	    "3:32: key 'ports[0].addresses[0]': '10.1.0.2' is there already");
	bad(ONE "ports: [{iface: b, addresses: [10.2.0.2/24, 10.1.0.3/24]}]",
	    "3:45: key 'ports[0].addresses[1]': '10.1.0.3' is in a network of another port");
	bad("port: {veth: {host: gz7}}\nports: [{iface: gz7, addresses: [10.2.0.2/24]}]",
	    "2:17: key 'ports[0].iface': 'gz7' is the kernel's end of port.veth");
	bad("port: {veth: {host: gz7, address: 10.2.0.2/24}}\nstack: {dhcp: true}\n"
	    "ports: [{iface: b, addresses: [10.2.0.2/24]}]",
	    "3:32: key 'ports[0].addresses[0]': '10.2.0.2' is port.veth.address");
	bad("port: {iface: a, queue_size: 32768}\nstack: {addresses: [10.1.0.2/24]}\n"
	    "memory: {mbufs: 200000}\nports: [{driver: memif, path: /p, addresses: [10.2.0.2/24]}]",
	    "1:30: key 'port.queue_size': '32768' is out of range: expected at most 16384");
	bad(ONE "ports: [{driver: dispatch, path: /p, addresses: [10.2.0.2/24]}]",
	    "3:18: key 'ports[0].driver': 'dispatch' is for port alone");
	bad(ONE "ports: [{iface: b, mtu: 4000, driver: af_xdp, addresses: [10.2.0.2/24]}]",
	    "3:25: key 'ports[0].mtu': '4000' is out of range");
	bad(ONE "ports: [{iface: b, addresses: [10.2.0.2/24]}]\nmemory: {mbufs: 4095}",
	    "4:17: key 'memory.mbufs': 4095 mbufs for 2 ports with queues of 1024");
	good("port: {driver: dispatch, path: /p}\nstack: {addresses: [10.1.0.2/24]}\n"
	     "ports: [{iface: b, addresses: [10.2.0.2/24]}]");
	bad("port: {iface: a}\nstack: {addresses: [10.1.0.2/24], gateway: 10.3.0.1}\n"
	    "ports: [{iface: b, addresses: [10.2.0.2/24]}]",
	    "2:44: key 'stack.gateway': '10.3.0.1' is in no network of stack.addresses or ports");
}

static void each_of_several_ports_has_its_blocks(void **state)
{
	(void)state;
	good("port: {veth: {host: gz7, address: 10.1.0.1/24}}\nstack: {addresses: [10.1.0.2/24]}\n"
	     "ports: [{veth: {host: gz8, address: 10.2.0.1/24}, addresses: [10.2.0.2/24]},\n"
	     "        {driver: memif, path: /m, memif: {role: server, id: 7, secret: xy},\n"
	     "         addresses: [10.3.0.2/24]},\n"
	     "        {driver: memif, path: /m, memif: {role: server, id: 8}, queues: 2,\n"
	     "         addresses: [10.4.0.2/24]},\n"
	     "        {driver: pcap, pcap: {receive: /in, send: /out}, addresses: [10.5.0.2/24]}]\n"
	     "workers: {count: 2}\nmemory: {mbufs: 16383}\n");
	assert_string_equal(gz_engine_port(&engine, 1)->veth_host, "gz8");
	assert_string_equal(gz_engine_port(&engine, 1)->iface, "gz8e");
	assert_int_equal(gz_engine_port(&engine, 2)->memif_role, GZ_MEMIF_SERVER);
	assert_int_equal(gz_engine_port(&engine, 2)->memif_id, 7);
	assert_string_equal(gz_engine_port(&engine, 2)->memif_secret, "xy");
	assert_int_equal(gz_engine_port(&engine, 3)->link_queues, 2);
	assert_string_equal(gz_engine_port(&engine, 4)->pcap_send, "/out");
	assert_false(gz_engine_port(&engine, 4)->pcap_repeat);

#define MORE(what) ONE "ports: [{" what ", addresses: [10.2.0.2/24]}]"
	bad(MORE("driver: memif, path: /m, veth: {host: c}"),
	    "3:35: key 'ports[0].veth': not used by driver memif");
	bad(MORE("veth: {host: a}"), "3:23: key 'ports[0].veth.host': 'a' is of port already");
	bad(MORE("veth: {host: c, address: 10.9.0.1/24}"),
	    "3:35: key 'ports[0].veth.address': in no network of addresses");
	bad(MORE("veth: {host: c, address: 10.2.0.2/24}"),
	    "3:61: key 'ports[0].addresses[0]': '10.2.0.2' is ports[0].veth.address");
	bad(MORE("iface: b, memif: {id: 1}"), "3:32: key 'ports[0].memif.id': not used by driver");
	bad(MORE("driver: pcap"), "3:9: key 'ports[0].pcap': no file: expected ports[0].pcap");
	bad(MORE("driver: pcap, pcap: {send: /a}, addresses: [10.3.0.2/24]}, {driver: pcap, pcap: "
		 "{send: /a}"),
	    "3:69: key 'ports[1]': the same device as ports[0]");
	bad(MORE("driver: memif, path: /m, addresses: [10.3.0.2/24]}, {driver: memif, path: /m, "
		 "memif: {id: 1, role: server}"),
	    "3:109: key 'ports[1].memif.role': of one socket all links have one role");
	bad(MORE("driver: memif, path: /m, queues: 2"),
	    "3:43: key 'ports[0].queues': 2 queues for 1 workers");
}

static void each_of_several_ports_has_ipv6(void **state)
{
	struct gz_prefix addr[GZ_CONFIGURED6_MAX];
	uint8_t port[GZ_CONFIGURED6_MAX];

	(void)state;
#define SIX(what) "ports: [{iface: b, addresses6: [\"fd02::2/64\"]" what "}]\n"
	good("port: {iface: a}\nstack: {addresses: [10.1.0.2/24], addresses6: [\"fd01::2/64\"],\n"
	     "        gateway6: \"fd02::1\", routes: [{to: \"fd08::/16\", via: \"fe80::1\"},\n"
	     "          {to: \"fd09::/16\", via: \"fe80::1\", dev: gazelle2},\n"
	     "          {to: \"fd0a::/16\", via: \"fd02::9\"}]}\n"
	     "ports: [{iface: b, addresses6: [\"fd02::2/64\"]}, {iface: c, slaac: true}]\n");
	assert_int_equal(gz_engine_addresses6(&engine, addr, port), 2);
	assert_memory_equal(port, "\0\1", 2);
	assert_true(gz_engine_has6(&engine, 1) && !gz_engine_slaac(&engine, 1));
	assert_true(gz_engine_has6(&engine, 2) && gz_engine_slaac(&engine, 2));
	assert_int_equal(engine.routes[0].port, 0);
	assert_int_equal(engine.routes[1].port, 2);
	good(
	    "port: {iface: a}\nstack: {addresses: [10.1.0.2/24], routes: [{to: \"fd08::/16\", via: "
	    "\"fe80::1\"}]}\n" SIX(""));
	assert_int_equal(engine.routes[0].port, 1);
	bad(ONE SIX(", mtu: 1279"), "3:53: key 'ports[0].mtu': too small for IPv6");
	bad("port: {iface: a, mtu: 1279}\nstack: {addresses: [10.1.0.2/24]}\n" SIX(""),
	    "1:23: key 'port.mtu': too small for IPv6");
	bad(ONE SIX(", addresses: [10.1.0.3/24]"),
	    "3:60: key 'ports[0].addresses[0]': '10.1.0.3' is in a network of another port");
	bad(ONE "ports: [{iface: b, addresses6: [\"fd02::2/64\", \"fd02::2/48\"]}]",
	    "3:47: key 'ports[0].addresses6[1]': 'fd02::2' is there already");
	bad(ONE "ports: [{iface: b, addresses6: [\"fd02::2/64\"]},\n"
		"        {iface: c, addresses6: [\"fd02::3/64\"]}]",
	    "4:33: key 'ports[1].addresses6[0]': 'fd02::3' is in a network of another port");
#define SIXES "port: {iface: a}\nstack: {addresses: [10.1.0.2/24], "
	bad(SIXES "gateway6: \"fd02::2\"}\n" SIX(""),
	    "2:45: key 'stack.gateway6': 'fd02::2' is the stack's own address");
	bad(SIXES "routes: [{to: \"fd08::/16\", via: \"fd03::1\"}]}\n" SIX(""),
	    "2:67: key 'stack.routes[0].via': in no network of stack.addresses6");
	bad(SIXES "routes: [{to: \"fd08::/16\", via: \"fd02::1\", dev: gazelle1}]}\n" SIX(""),
	    "2:83: key 'stack.routes[0].dev': not used with a via that is not link-local");
	bad(SIXES "routes: [{to: \"fd08::/16\", via: \"fe80::1\", dev: gazelle0}]}\n" SIX(""),
	    "2:83: key 'stack.routes[0].dev': 'gazelle0' has no IPv6");
	bad(SIXES "routes: [{to: \"fd08::/16\", via: \"fe80::1\", dev: gazelle2}]}\n" SIX(""),
	    "2:83: key 'stack.routes[0].dev': 'gazelle2' is none of the stack's: expected "
	    "gazelle0, "
	    "gazelle1");
#undef SIXES
#undef SIX
#undef ONE
}

static void one_of_several_ports_is_a_bond(void **state)
{
	static struct gz_dispatch_config one;

	(void)state;
	assert_int_equal(
	    load_dispatch("bond: {failback: never, miimon: 7ms}\nport: {mtu: 3000}\n"
			  "ports:\n"
			  "  - {name: in, bond: [{iface: a}, {iface: b}], probe: [10.0.0.9]}\n"
			  "  - {name: out, iface: c, mtu: 2000}\n"),
	    0);
	gz_dispatch_config_of(&dispatch, 0, &one);
	assert_int_equal(one.bond.nports, 2);
	assert_string_equal(one.bond.ports[1].iface, "b");
	assert_int_equal(one.bond.ports[1].mtu, 3000);
	assert_int_equal(one.bond.ports[1].queue_size, 1024);
	assert_int_equal(one.bond.ntargets, 1);
	assert_int_equal(one.bond.failback, GZ_FAILBACK_NEVER);
	assert_int_equal(one.bond.miimon_ms, 7);
	gz_dispatch_config_of(&dispatch, 1, &one);
	assert_int_equal(one.bond.nports, 0);
	assert_int_equal(one.bond.ntargets, 0);
	assert_int_equal(one.port.mtu, 2000);
#define BOND "ports: [{name: in, bond: [{iface: a}, {iface: b}]}, "
	bad_dispatch(BOND "{name: out, iface: b}]",
		     "1:53: key 'ports[1]': the same device as ports[0].bond[1]");
	bad_dispatch(BOND "{name: out, bond: [{iface: c}, {iface: c}]}]\nport: {queue_size: 512}",
		     "1:84: key 'ports[1].bond[1]': the same device as ports[1].bond[0]");
	bad_dispatch(BOND "{name: out, iface: c, bond: [{iface: d}]}]",
		     "1:53: key 'ports[1]': not used beside ports[1].bond");
	bad_dispatch(BOND "{name: out, bond: [{driver: dispatch, path: /a}]}]",
		     "1:81: key 'ports[1].bond[0].driver': 'dispatch' is for engines");
	bad_dispatch(BOND "{name: out, bond: [{iface: c}], probe: [10.0.0.0/8]}]",
		     "1:93: key 'ports[1].probe[0]': a network: expected a host's address");
	bad_dispatch(BOND "{name: out, iface: c, probe: [10.0.0.1]}]",
		     "1:82: key 'ports[1].probe': there is no bond");
	bad_dispatch(BOND "{name: out, iface: c}]\nbond: {probe: [10.0.0.1]}",
		     "2:15: key 'bond.probe': not used beside ports");
#undef BOND
}

static void a_way_to_the_kernel(void **state)
{
	(void)state;
	assert_int_equal(
	    load_dispatch("port: {iface: a}\nkernel: {iface: k, rules: [{protocol: tcp, "
			  "ports: 22, net: 10.0.0.1}, {ports: 7-9}]}\n"),
	    0);
	assert_string_equal(dispatch.kernel_iface, "k");
	assert_int_equal(dispatch.nkernel_rules, 2);
	assert_int_equal(dispatch.kernel_rules[1].port_hi, 9);
	bad_dispatch("kernel: {iface: k}", "1:17: key 'kernel.iface': not used with port.veth");
	bad_dispatch("port: {iface: a}\nkernel: {rules: [{ports: 22}]}",
		     "2:17: key 'kernel.rules': there is no way to the kernel");
}

static void a_card_that_the_kernel_keeps(void **state)
{
	(void)state;
	assert_int_equal(load_dispatch("port: {driver: pci, device: 01:00.0}\n"
				       "kernel: {iface: k, bifurcate: eth1}\n"),
			 0);
	assert_string_equal(dispatch.kernel_own, "eth1");
	assert_int_equal(load_dispatch("port: {driver: af_packet, iface: eth1}\n"
				       "kernel: {iface: k, bifurcate: eth1}\n"),
			 0);
	bad_dispatch("port: {driver: af_packet, iface: eth1}\nkernel: {iface: k, bifurcate: eth2}",
		     "2:31: key 'kernel.bifurcate': 'eth2' is not the kernel's of that port");
	bad_dispatch("port: {driver: tap, iface: t}\nkernel: {iface: k, bifurcate: t}",
		     "2:31: key 'kernel.bifurcate': 't' is not the kernel's of that port");
#define CARD "port: {driver: pci, device: 01:00.0}\n"
	bad_dispatch(CARD "kernel: {bifurcate: eth1}",
		     "2:21: key 'kernel.bifurcate': what is for all comes to dispatch");
	bad_dispatch(CARD "kernel: {iface: k, bifurcate: eth1, rules: [{ports: 22}]}",
		     "2:31: key 'kernel.bifurcate': not used with kernel.rules");
	bad_dispatch(CARD "kernel: {iface: k, bifurcate: eth1}\n"
			  "clients: [{name: c, address: 10.0.0.1, shared: true}]",
		     "2:31: key 'kernel.bifurcate': not used with clients that share an address");
#undef CARD
}

static void rules_are_read_in_order(void **state)
{
	(void)state;
	good("policy:\n  loopback: kernel\n  rules:\n"
	     "    - {action: kernel, net: 10.0.0.0/8, ports: 53, protocol: udp}\n"
	     "    - {action: engine, direction: bind, ports: 8000-8010, uid: 0}\n"
	     "    - {action: default, net: \"fe80::/10\", program: redis-server}\n"
	     "    - {action: kernel}\n");
	assert_int_equal(engine.loopback, GZ_LO_KERNEL);
	assert_int_equal(engine.nrules, 4);
	assert_int_equal(engine.rules[0].net.len, 104);
	assert_int_equal(engine.rules[0].port_lo, 53);
	assert_int_equal(engine.rules[0].port_hi, 53);
	assert_false(engine.rules[0].uid_set);
	assert_true(engine.rules[1].uid_set); /* root is a user too */
	assert_int_equal(engine.rules[1].uid, 0);
	assert_int_equal(engine.rules[1].direction, GZ_DIR_BIND);
	assert_int_equal(engine.rules[2].action, GZ_RULE_DEFAULT);
	assert_int_equal(engine.rules[2].net.len, 10);
	assert_int_equal(engine.rules[2].line, 6);
	assert_false(engine.rules[3].net.set);

#define RULE(text) "policy:\n  rules:\n    - " text "\n"
	bad(RULE("{net: 10.0.0.0/8}"), "3:7: key 'policy.rules[0]': 'action' is missing");
	bad(RULE("{action: drop}"), "3:16: key 'policy.rules[0].action': 'drop' is not one of");
	bad(RULE("{action: kernel, net: 10.0.0.1/8}"), "3:29: key 'policy.rules[0].net'");
	bad(RULE("{action: kernel, net: \"::1/129\"}"),
	    "3:29: key 'policy.rules[0].net': '::1/129' is without");
	bad(RULE("{action: kernel, ports: 0}"), "3:31: key 'policy.rules[0].ports'");
	bad(RULE("{action: kernel, ports: 2-1}"),
	    "3:31: key 'policy.rules[0].ports': '2-1' is in the wrong");
	bad(RULE("{action: kernel, uid: root}"), "3:29: key 'policy.rules[0].uid': 'root'");
	bad(RULE("{action: kernel, uid: 4294967295}"), "3:29: key 'policy.rules[0].uid'");
	bad(RULE("{action: kernel, program: \"\\e\"}"), "3:33: key 'policy.rules[0].program'");
	bad(RULE("{action: kernel}\n    - {action: engine}"),
	    "4:7: key 'policy.rules[1]': never reached: the rule on line 3");
	bad("policy: {rules: {action: kernel}}", "1:17: key 'policy.rules': a block of keys");
}

static void at_most_64_clients(void **state)
{
	char text[8192] = "clients:\n", *p = text + strlen(text);

	(void)state;
	for (int i = 0; i < GZ_CLIENTS_MAX; i++)
		p += sprintf(p, "- {name: c%d, path: /c%d, address: 10.0.0.%d}\n", i, i, i);
	assert_int_equal(load_dispatch(text), 0);
	assert_int_equal(dispatch.nclients, 64);
	assert_int_equal(dispatch.clients[63].line, 65);
	sprintf(p, "- {name: d, path: /d, address: 10.1.0.1}\n");
	bad_dispatch(text, "66:3: key 'clients': 65 entries: expected at most 64");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_port_block_replaces_the_default_veth_pair),
	    cmocka_unit_test(keys_that_do_not_go_together_are_refused),
	    cmocka_unit_test(checks_keep_quiet_about_keys_already_reported),
	    cmocka_unit_test(clients_are_read_and_kept_apart),
	    cmocka_unit_test(a_bond_has_the_ports),
	    cmocka_unit_test(several_ports),
	    cmocka_unit_test(an_engine_has_several_ports),
	    cmocka_unit_test(each_of_several_ports_has_its_blocks),
	    cmocka_unit_test(each_of_several_ports_has_ipv6),
	    cmocka_unit_test(one_of_several_ports_is_a_bond),
	    cmocka_unit_test(a_way_to_the_kernel),
	    cmocka_unit_test(a_card_that_the_kernel_keeps),
	    cmocka_unit_test(rules_are_read_in_order),
	    cmocka_unit_test(at_most_64_clients),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
