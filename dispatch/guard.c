/* SPDX-License-Identifier: BSD-3-Clause
 *
 * guard.c - The kernel receives nothing over an interface that is ours
 *
 * Theory of operation: a base chain of family netdev at the ingress hook with policy
 * drop, and no rule.  Sockets of AF_PACKET are served before that hook.  The table is
 * owned by the netlink socket that made it (NFT_TABLE_F_OWNER): the kernel removes it
 * when that is closed, at the latest with the process.  nf_tables(4), as in
 * linux/netfilter/nf_tables.h; a batch is taken as a whole or not at all.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "dispatch/dispatch.h"

#ifndef NFT_TABLE_F_OWNER
#define NFT_TABLE_F_OWNER 0x2
#endif

static struct nl_msg *message(int type, int family, int flags)
{
	struct nfgenmsg h = {.nfgen_family = (uint8_t)family, .version = NFNETLINK_V0};
	struct nl_msg *m = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

	if (m && type < NLMSG_MIN_TYPE + 2)
		h.res_id = htons(NFNL_SUBSYS_NFTABLES); /* of the batch */
	if (m && nlmsg_append(m, &h, sizeof(h), NLMSG_ALIGNTO)) {
		nlmsg_free(m);
		m = NULL;
	}
	return m;
}

#define NFT(type) (NFNL_SUBSYS_NFTABLES << 8 | (type))

static struct nl_msg *table_message(const char *table)
{
	struct nl_msg *m =
	    message(NFT(NFT_MSG_NEWTABLE), NFPROTO_NETDEV, NLM_F_CREATE | NLM_F_EXCL);

	if (m && (nla_put_string(m, NFTA_TABLE_NAME, table) ||
		  nla_put_u32(m, NFTA_TABLE_FLAGS, htonl(NFT_TABLE_F_OWNER)))) {
		nlmsg_free(m);
		m = NULL;
	}
	return m;
}

static struct nl_msg *chain_message(const char *table, const char *iface)
{
	struct nl_msg *m =
	    message(NFT(NFT_MSG_NEWCHAIN), NFPROTO_NETDEV, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK);
	struct nlattr *hook;

	if (!m)
		return NULL;
	if (nla_put_string(m, NFTA_CHAIN_TABLE, table) ||
	    nla_put_string(m, NFTA_CHAIN_NAME, iface) ||
	    nla_put_string(m, NFTA_CHAIN_TYPE, "filter") ||
	    nla_put_u32(m, NFTA_CHAIN_POLICY, htonl(NF_DROP)))
		goto out;
	hook = nla_nest_start(m, NFTA_CHAIN_HOOK);
	if (!hook || nla_put_u32(m, NFTA_HOOK_HOOKNUM, htonl(NF_NETDEV_INGRESS)) ||
	    nla_put_u32(m, NFTA_HOOK_PRIORITY, htonl((uint32_t)-1)) ||
	    nla_put_string(m, NFTA_HOOK_DEV, iface))
		goto out;
	nla_nest_end(m, hook);
	return m;
out:
	nlmsg_free(m);
	return NULL;
}

/** add() - Behind what @buf holds.  Return: 0 or -ENOMEM */
static int add(uint8_t *buf, size_t room, size_t *len, struct nl_msg *m)
{
	int rc = -ENOMEM;

	if (m) {
		struct nlmsghdr *h = nlmsg_hdr(m);
		size_t n = NLMSG_ALIGN(h->nlmsg_len);

		if (*len + n <= room) {
			memcpy(buf + *len, h, h->nlmsg_len);
			*len += n;
			rc = 0;
		}
	}
	nlmsg_free(m);
	return rc;
}

/** answer() - Return: 0, or -errno of what the kernel refused */
static int answer(int fd)
{
	const struct timeval limit = {.tv_sec = 2};
	uint8_t buf[4096];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		struct nlmsghdr *h = (struct nlmsghdr *)buf;

		if (n < 0)
			return -errno;
		for (int left = (int)n; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)nlmsg_data(h))->error;
		}
	}
}

int guard_open(const char *name, const char *iface, char *err, size_t n)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER), rc;
	char table[GZ_NAME_MAX + IFNAMSIZ + 16];
	uint8_t buf[2048] = {0};
	size_t len = 0;

	if (fd < 0 || bind(fd, (struct sockaddr *)&kernel, sizeof(kernel))) {
		rc = -errno;
		goto out;
	}
	snprintf(table, sizeof(table), "gazelle-%s-%s", name, iface);
	rc = add(buf, sizeof(buf), &len, message(NFNL_MSG_BATCH_BEGIN, AF_UNSPEC, 0));
	if (!rc)
		rc = add(buf, sizeof(buf), &len, table_message(table));
	if (!rc)
		rc = add(buf, sizeof(buf), &len, chain_message(table, iface));
	if (!rc)
		rc = add(buf, sizeof(buf), &len, message(NFNL_MSG_BATCH_END, AF_UNSPEC, 0));
	if (!rc && sendto(fd, buf, len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		rc = -errno;
	if (!rc)
		rc = answer(fd);
	if (!rc)
		return fd;
out:
	if (fd >= 0)
		close(fd);
	return gz_failed(err, n, -rc,
			 "the kernel cannot be kept from receiving over %s itself (nf_tables, "
			 "family netdev): %s; with driver af_xdp it need not",
			 iface, strerror(-rc));
}
