/* SPDX-License-Identifier: BSD-3-Clause
 *
 * switch_frames.h - Frames of IPv4 and ARP in f, for switch_*_test.c; after switch_expect.h
 */
#ifndef GZ_TEST_SWITCH_FRAMES_H
#define GZ_TEST_SWITCH_FRAMES_H

static inline void put16(unsigned at, uint16_t v)
{
	f[at] = (uint8_t)(v >> 8);
	f[at + 1] = (uint8_t)v;
}

static inline void ip(const uint8_t *src_mac, const char *src, const uint8_t *dst_mac,
		      const char *dst, uint8_t proto)
{
	uint32_t from = inet_addr(src), to = inet_addr(dst);

	memset(f, 0, sizeof(f));
	memcpy(f, dst_mac, 6);
	memcpy(f + 6, src_mac, 6);
	put16(12, 0x0800);
	f[14] = 0x45;
	put16(16, 40);
	f[22] = 64;
	f[23] = proto;
	memcpy(f + 26, &from, 4);
	memcpy(f + 30, &to, 4);
	f[34 + 12] = 0x50;
	len = 54;
}

static inline void tcp(const uint8_t *src_mac, const char *src, uint16_t sport,
		       const uint8_t *dst_mac, const char *dst, uint16_t dport)
{
	ip(src_mac, src, dst_mac, dst, IPPROTO_TCP);
	put16(34, sport);
	put16(36, dport);
}

static inline void arp(uint16_t op, const uint8_t *src_mac, const char *sender,
		       const uint8_t *dst_mac, const char *target)
{
	uint32_t from = inet_addr(sender), to = inet_addr(target);

	memset(f, 0, sizeof(f));
	memcpy(f, dst_mac, 6);
	memcpy(f + 6, src_mac, 6);
	put16(12, 0x0806);
	put16(14, 1);
	put16(16, 0x0800);
	f[18] = 6;
	f[19] = 4;
	put16(20, op);
	memcpy(f + 22, src_mac, 6);
	memcpy(f + 28, &from, 4);
	memcpy(f + 38, &to, 4);
	len = 60;
}

#endif
