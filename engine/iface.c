/* SPDX-License-Identifier: BSD-3-Clause
 *
 * iface.c - ioctl() about interfaces: the stack's own beside the kernel's
 *
 * Theory of operation.  Such calls may come on a socket of any family: glibc's
 * if_nametoindex() uses an AF_UNIX one.  On a socket of the kernel's only what is about
 * the stack's interface is answered here; the rest continues.  A shadow is in the
 * engine's network namespace, where the kernel would tell of, or change, interfaces that
 * are none of the program's: questions are put to a socket made in the program's
 * namespace, and whoever wants more than ask gets such a socket in the shadow's place.
 * The engine itself changes nothing for a program: it may have rights that the program
 * has not.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/address.h"
#include "engine/counters.h"
#include "engine/dgram.h"
#include "engine/iface.h"
#include "engine/link.h"
#include "engine/netlink.h"
#include "engine/own4.h"
#include "engine/policy.h"
#include "engine/service.h"
#include "engine/shadow.h"
#include "engine/worker.h"

#define CONF_MAX (1 << 20) /* bytes of struct ifreq that SIOCGIFCONF gives at most */
#define TXQLEN 1000

bool gz_iface_is_request(unsigned request)
{
	/* Those below are of sockets, not of devices; 0x8b: wireless extensions. */
	if (request == SIOCOUTQNSD)
		return false;
	switch (request) {
	case SIOCADDRT ... SIOCSIFMAP:
	case SIOCADDDLCI ... SIOCSIFVLAN:
	case SIOCBONDENSLAVE ... SIOCBONDCHANGEACTIVE:
	case SIOCBRADDBR ... SIOCGHWTSTAMP:
	case SIOCPROTOPRIVATE ... 0x89ff:
	case 0x8b00 ... 0x8bff:
		return true;
	default: /* what is between is nobody's: ENOTTY */
		return false;
	}
}

/* Questions whose answer is in struct ifreq itself, for anybody who asks. */
static bool is_question(unsigned request)
{
	switch (request) {
	case SIOCGIFNAME:
	case SIOCGIFINDEX:
	case SIOCGIFFLAGS:
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFBRDADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFMETRIC:
	case SIOCGIFMTU:
	case SIOCGIFHWADDR:
	case SIOCGIFTXQLEN:
	case SIOCGIFMAP:
		return true;
	default:
		return false;
	}
}

static bool is_address(unsigned request)
{
	return request == SIOCGIFADDR || request == SIOCGIFDSTADDR || request == SIOCGIFBRDADDR ||
	       request == SIOCGIFNETMASK;
}

static int domain_of(int fd)
{
	int v = 0;
	socklen_t len = sizeof(v);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v, &len) < 0 ? 0 : v;
}

/* The family that the program asked for, whatever the shadow is. */
static int family_of(const struct gz_call_ctx *c)
{
	return c->s ? c->s->family : c->nl ? AF_NETLINK : domain_of(c->fd);
}

/* --- the stack's interfaces ---------------------------------------------- */

const char *gz_iface_name(const struct gz_port *p, char name[16])
{
	snprintf(name, IFNAMSIZ, GZ_IFACE_NAME "%u", (unsigned)(p - gz_ports));
	return name;
}

int gz_iface_index(const struct gz_port *p)
{
	return GZ_IFACE_INDEX + (int)(p - gz_ports);
}

struct gz_port *gz_iface_by_index(int index)
{
	int i = index >= GZ_IFACE_INDEX ? index - GZ_IFACE_INDEX : -1;

	return i >= 0 && (unsigned)i < gz_nports ? &gz_ports[i] : NULL;
}

/* @name may have no NUL */
static struct gz_port *named(const char *name)
{
	char of[IFNAMSIZ];

	for (unsigned i = 0; i < gz_nports; i++)
		if (!strncmp(name, gz_iface_name(&gz_ports[i], of), IFNAMSIZ))
			return &gz_ports[i];
	return NULL;
}

struct gz_port *gz_iface_by_name(const char *name)
{
	struct gz_port *p = named(name);

	for (unsigned i = 0; *name && !p && i < gz_nports; i++)
		if (!strcmp(name, gz_engine_port(gz_cfg, i)->iface))
			p = &gz_ports[i];
	return p;
}

uint8_t gz_iface_bound(const char *name)
{
	const struct gz_port *p = gz_iface_by_name(name);

	return p ? (uint8_t)(GZ_AT_PORT + (p - gz_ports)) : gz_iface_is_lo(name) ? GZ_AT_LO : 0;
}

int gz_iface_index_at(uint8_t at)
{
	return at == GZ_AT_LO ? 1 : gz_iface_index(&gz_ports[at - GZ_AT_PORT]);
}

int gz_iface_index_of(const char *name)
{
	const struct gz_port *p = gz_iface_by_name(name);

	return p ? gz_iface_index(p) : gz_iface_is_lo(name);
}

static void put_ipv4(struct sockaddr *a, uint32_t addr)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = addr};

	memcpy(a, &in, sizeof(in));
}

/* devinet_ioctl(): of several addresses the one that the program names, or the first */
static int own_address(unsigned request, const struct gz_port *port, struct ifreq *r)
{
	const struct gz_own4 *have = gz_own4();
	unsigned number = (unsigned)(port - gz_ports);
	int first = gz_own4_of(have, number);
	const struct gz_prefix4 *p;
	struct sockaddr_in in;
	uint32_t mask;

	if (first < 0)
		return -EADDRNOTAVAIL;
	p = &have->addr[first];
	memcpy(&in, &r->ifr_addr, sizeof(in));
	for (unsigned i = 0; in.sin_family == AF_INET && i < have->n; i++)
		if (have->addr[i].addr == in.sin_addr.s_addr && have->port[i] == number)
			p = &have->addr[i];
	mask = gz_own4_mask(p->len);
	if (request == SIOCGIFNETMASK)
		put_ipv4(&r->ifr_addr, mask);
	else if (request == SIOCGIFBRDADDR)
		put_ipv4(&r->ifr_addr, p->len < 31 ? p->addr | ~mask : 0);
	else
		put_ipv4(&r->ifr_addr, p->addr);
	return 0;
}

static int own(unsigned request, const struct gz_port *p, struct ifreq *r)
{
	switch (request) {
	case SIOCGIFNAME:
		gz_iface_name(p, r->ifr_name);
		return 0;
	case SIOCGIFINDEX:
		r->ifr_ifindex = gz_iface_index(p);
		return 0;
	case SIOCGIFFLAGS:
		r->ifr_flags = IFF_UP | IFF_BROADCAST | IFF_MULTICAST;
		if (gz_link_is_up(p))
			r->ifr_flags |= IFF_RUNNING;
		return 0;
	case SIOCGIFMTU:
		r->ifr_mtu = p->mtu;
		return 0;
	case SIOCGIFHWADDR:
		r->ifr_hwaddr.sa_family = ARPHRD_ETHER;
		memcpy(r->ifr_hwaddr.sa_data, p->mac.addr_bytes, 6);
		return 0;
	case SIOCGIFMETRIC:
		r->ifr_metric = 0;
		return 0;
	case SIOCGIFTXQLEN:
		r->ifr_qlen = TXQLEN;
		return 0;
	case SIOCGIFMAP:
		memset(&r->ifr_map, 0, sizeof(r->ifr_map));
		return 0;
	default:
		return own_address(request, p, r);
	}
}

/* The port whose interface @r is about; NULL: it is none of the stack's */
static const struct gz_port *about_own(unsigned request, const struct ifreq *r)
{
	if (request == SIOCGIFNAME)
		return gz_iface_by_index(r->ifr_ifindex);
	return named(r->ifr_name);
}

/* --- the kernel's -------------------------------------------------------- */

/*
 * A socket where the kernel's interfaces are the program's; *own says that it is to be
 * closed.  Return: descriptor or -errno
 */
static int kernel_socket(struct gz_call_ctx *c, bool *own_it)
{
	*own_it = c->s != NULL;
	if (c->s)
		return gz_kernel_socket(c->tid, c->s->family, c->s->type, 0);
	return c->nl ? gz_netlink_kernel(c->nl) : c->fd;
}

static int ask_kernel(struct gz_call_ctx *c, unsigned request, void *arg)
{
	bool own_it;
	int fd = kernel_socket(c, &own_it), err;

	if (fd < 0)
		return fd;
	err = ioctl(fd, request, arg) < 0 ? -errno : 0;
	if (own_it)
		close(fd);
	return err;
}

/* SIOCGIFCONF: the kernel's list, and the stack's addresses behind it */
static int64_t conf(struct gz_call_ctx *c)
{
	const struct gz_own4 *have = gz_own4();
	struct ifconf user, mine;
	int64_t err;

	err = gz_app_read(c->tid, c->args[2], &user, sizeof(user));
	if (err)
		return err;
	if (user.ifc_len < 0)
		return -EINVAL;
	mine = (struct ifconf){.ifc_len = user.ifc_len > CONF_MAX ? CONF_MAX : user.ifc_len};
	if (user.ifc_buf) {
		mine.ifc_buf = calloc(1, (size_t)mine.ifc_len + 1);
		if (!mine.ifc_buf)
			return -ENOMEM;
	}
	err = ask_kernel(c, SIOCGIFCONF, &mine);
	for (unsigned i = 0; !err && i < have->n; i++) {
		struct ifreq r = {0};

		gz_iface_name(&gz_ports[have->port[i]], r.ifr_name);
		if (user.ifc_buf) {
			if (user.ifc_len - mine.ifc_len < (int)sizeof(r))
				break;
			put_ipv4(&r.ifr_addr, have->addr[i].addr);
			memcpy(mine.ifc_buf + mine.ifc_len, &r, sizeof(r));
		}
		mine.ifc_len += (int)sizeof(r); /* without a buffer: what would be needed */
	}
	if (!err && user.ifc_buf)
		err = gz_app_write(c->tid, (uintptr_t)user.ifc_buf, mine.ifc_buf,
				   (size_t)mine.ifc_len);
	if (!err)
		err = gz_app_write(c->tid, c->args[2], &mine.ifc_len, sizeof(mine.ifc_len));
	free(mine.ifc_buf);
	return err;
}

struct trial {
	int fd;
	unsigned request;
	char *arg;
};

static int64_t try_now(const void *of)
{
	const struct trial *t = of;

	return ioctl(t->fd, t->request, t->arg) < 0 ? -errno : 0;
}

/*
 * What the kernel says of a @request about the device of that name to who may change
 * nothing.  @arg is larger than what any of them has, and but for the name empty: no
 * pointer in it is good.
 */
static int64_t without_rights(struct gz_call_ctx *c, unsigned request, const char name[IFNAMSIZ])
{
	char arg[512] = "";
	struct trial t = {.request = request, .arg = arg};
	bool own_it;
	int64_t err;

	memcpy(arg, name, IFNAMSIZ);
	t.fd = kernel_socket(c, &own_it);
	if (t.fd < 0)
		return t.fd;
	err = gz_without_rights(try_now, &t);
	if (own_it)
		close(t.fd);
	return err;
}

static bool is_used(const struct gz_call_ctx *c)
{
	return c->s && gz_sock_state(c->s) != GZ_FRESH;
}

/* The kernel's socket takes the place of one that was not used yet. */
static int64_t give_way(struct gz_call_ctx *c)
{
	struct gz_verdict v;

	if (c->nl)
		return gz_netlink_give_way(c);
	if (is_used(c)) {
		gz_count(GZ_C_REFUSED_IOCTL);
		return -EOPNOTSUPP;
	}
	gz_policy_is(c, GZ_DIR_ANY, c->s->type == SOCK_DGRAM ? IPPROTO_UDP : IPPROTO_TCP,
		     (struct gz_end){0}, GZ_WHY_DEVICE, &v);
	return c->s->type == SOCK_DGRAM ? gz_dgram_to_kernel(c, &v) : gz_swap_to_kernel(c, &v);
}

/* Something else than a question. */
static int64_t command(struct gz_call_ctx *c, unsigned request)
{
	struct ifreq r;
	/* What is no struct ifreq does not begin with the name either. */
	int64_t err = gz_app_read(c->tid, c->args[2], &r.ifr_name, sizeof(r.ifr_name));

	if (!err && about_own(request, &r)) {
		if (without_rights(c, request, r.ifr_name) == -ENOTTY)
			return -ENOTTY;
		gz_count(GZ_C_REFUSED_IOCTL);
		/* As a device that has no such operation. */
		return gz_app_capable(c->tid, CAP_NET_ADMIN) ? -EOPNOTSUPP : -EPERM;
	}
	if (!c->s && !c->nl)
		return GZ_CONTINUE;
	if (is_used(c) && !err) {
		/* Nobody has such a request or such a device, or it is not for who asks. */
		err = without_rights(c, request, r.ifr_name);
		if (err == -EPERM && gz_app_capable(c->tid, CAP_NET_ADMIN))
			err = 0;
		if (err != -ENOTTY && err != -ENODEV && err != -EPERM)
			err = 0;
	}
	return err ? err : give_way(c);
}

int64_t gz_iface_ioctl(struct gz_call_ctx *c)
{
	unsigned request = (unsigned)c->args[1];
	const struct gz_port *p;
	struct ifreq r;
	int err;

	if (request == SIOCGIFCONF)
		return conf(c);
	if (!is_question(request))
		return command(c, request);
	err = gz_app_read(c->tid, c->args[2], &r, sizeof(r));
	if (err)
		return c->s || c->nl ? err : GZ_CONTINUE;
	/* Only IPv4 sockets know of addresses (net/ipv4/af_inet.c). */
	p = about_own(request, &r);
	if (p && !(is_address(request) && family_of(c) != AF_INET))
		err = own(request, p, &r);
	else if (c->s || c->nl)
		err = ask_kernel(c, request, &r);
	else
		return GZ_CONTINUE;
	return err ? err : gz_app_write(c->tid, c->args[2], &r, sizeof(r));
}

/* Has the stack this one, by whatever name? */
static bool is_own(const char *name)
{
	return !*name || gz_iface_is_lo(name) || gz_iface_by_name(name);
}

bool gz_iface_is_lo(const char *name)
{
	return !strcmp(name, "lo");
}

int64_t gz_iface_bind(struct gz_call_ctx *c, const void *val, int len, char name[16])
{
	struct ifreq r = {0};
	const struct gz_port *p;
	int index = 0;

	if ((int)c->args[2] == SO_BINDTOIFINDEX) {
		if (len < (int)sizeof(index))
			return -EINVAL;
		memcpy(&index, val, sizeof(index));
		if (index < 0)
			return -EINVAL;
		r.ifr_ifindex = index;
		p = gz_iface_by_index(index);
		if (p)
			gz_iface_name(p, r.ifr_name);
		else if (index && ask_kernel(c, SIOCGIFNAME, &r))
			goto none;
	} else {
		memcpy(r.ifr_name, val, (size_t)(len < IFNAMSIZ - 1 ? len : IFNAMSIZ - 1));
	}
	memcpy(name, r.ifr_name, IFNAMSIZ);
	if (is_own(name))
		return 0;
	if (ask_kernel(c, SIOCGIFINDEX, &r) == 0)
		return give_way(c);
none:
	gz_count(GZ_C_REFUSED_SETOPT);
	return -ENODEV;
}
