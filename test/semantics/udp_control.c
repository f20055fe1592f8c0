/* SPDX-License-Identifier: BSD-3-Clause
 *
 * udp_control.c - Control messages of datagrams, and several datagrams at once
 */
#include <time.h>

#include "udp.h"

#ifdef UDP_V6
#define LEVEL IPPROTO_IPV6
#define PKTINFO IPV6_PKTINFO
#define RECV_PKTINFO IPV6_RECVPKTINFO
#define HOPS IPV6_HOPLIMIT
#define RECV_HOPS IPV6_RECVHOPLIMIT
#define SET_HOPS IPV6_UNICAST_HOPS
#define CLASS IPV6_TCLASS
#define RECV_CLASS IPV6_RECVTCLASS
#define CLASS_SIZE sizeof(int)
#define ORIGINAL IPV6_ORIGDSTADDR
typedef struct in6_pktinfo pktinfo;
#else
#define LEVEL IPPROTO_IP
#define PKTINFO IP_PKTINFO
#define RECV_PKTINFO IP_PKTINFO
#define HOPS IP_TTL
#define RECV_HOPS IP_RECVTTL
#define SET_HOPS IP_TTL
#define CLASS IP_TOS
#define RECV_CLASS IP_RECVTOS
#define CLASS_SIZE 1
#define ORIGINAL IP_ORIGDSTADDR
typedef struct in_pktinfo pktinfo;
#endif

#define CONTROL 256

/* A message to be received, with room for @room bytes of control messages */
struct in {
	struct msghdr m;
	struct iovec v;
	udp_addr from;
	char buf[64];
	_Alignas(struct cmsghdr) char control[CONTROL];
};

static struct msghdr *prepare(struct in *in, size_t room)
{
	memset(in, 0, sizeof(*in));
	in->v = (struct iovec){in->buf, sizeof(in->buf)};
	in->m = (struct msghdr){.msg_name = &in->from,
				.msg_namelen = sizeof(in->from),
				.msg_iov = &in->v,
				.msg_iovlen = 1,
				.msg_control = room ? in->control : NULL,
				.msg_controllen = room};
	return &in->m;
}

static struct cmsghdr *find(struct msghdr *m, int level, int type)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == level && c->cmsg_type == type)
			break;
	return c;
}

static int number(struct msghdr *m, int type)
{
	struct cmsghdr *c = find(m, LEVEL, type);
	int v = 0;

	CHECK(c);
	memcpy(&v, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	return v;
}

/* Send @text with a number as a control message */
static ssize_t send_with(int fd, const char *text, udp_addr to, int type, const void *data,
			 size_t len)
{
	_Alignas(struct cmsghdr) char control[CONTROL] = "";
	struct cmsghdr *c = (struct cmsghdr *)control;
	struct iovec v = {(void *)(uintptr_t)text, strlen(text)};
	struct msghdr m = {.msg_name = &to,
			   .msg_namelen = sizeof(to),
			   .msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = CMSG_SPACE(len)};

	*c = (struct cmsghdr){CMSG_LEN(len), LEVEL, type};
	memcpy(CMSG_DATA(c), data, len);
	return sendmsg(fd, &m, 0);
}

static void send_number(int fd, const char *text, udp_addr to, int type, int v)
{
	CHECK_EQ(send_with(fd, text, to, type, &v, sizeof(v)), strlen(text));
}

static void receive(int fd, struct in *in, const char *text)
{
	wait_bits(fd, POLLIN);
	CHECK_EQ(recvmsg(fd, prepare(in, CONTROL), 0), strlen(text));
	CHECK_EQ(memcmp(in->buf, text, strlen(text)), 0);
	CHECK_EQ(in->m.msg_flags, 0);
}

static bool is_at(const pktinfo *info, udp_addr a)
{
#ifdef UDP_V6
	return !memcmp(&info->ipi6_addr, &a.sin6_addr, 16) && info->ipi6_ifindex;
#else
	return info->ipi_addr.s_addr == a.sin_addr.s_addr &&
	       info->ipi_spec_dst.s_addr == a.sin_addr.s_addr && info->ipi_ifindex;
#endif
}

/* What was asked for is told, and nothing else, in the kernel's order. */
static void tells(void)
{
	static const struct {
		int level, opt, type;
		size_t size;
	} all[] = {
	    {SOL_SOCKET, SO_TIMESTAMPNS, SO_TIMESTAMPNS, sizeof(struct timespec)},
	    {LEVEL, RECV_PKTINFO, PKTINFO, sizeof(pktinfo)},
	    {LEVEL, RECV_HOPS, HOPS, sizeof(int)},
	    {LEVEL, RECV_CLASS, CLASS, CLASS_SIZE},
	};
	struct in in;
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket();

	for (unsigned set = 0; set < 16; set++) {
		struct cmsghdr *h;
		size_t sum = 0;

		for (unsigned k = 0; k < 4; k++)
			set_option(s, all[k].level, all[k].opt, set >> k & 1);
		udp_send(c, "x", a);
		receive(s, &in, "x");
		h = CMSG_FIRSTHDR(&in.m);
		for (unsigned k = 0; k < 4; k++) {
			if (!(set >> k & 1))
				continue;
			CHECK(h && h->cmsg_level == all[k].level && h->cmsg_type == all[k].type);
			CHECK_EQ(h->cmsg_len, CMSG_LEN(all[k].size));
			sum += CMSG_SPACE(all[k].size);
			h = CMSG_NXTHDR(&in.m, h);
		}
		CHECK(!h);
		CHECK_EQ(in.m.msg_controllen, sum);
		if (set & 2) {
			pktinfo info;

			memcpy(&info, CMSG_DATA(find(&in.m, LEVEL, PKTINFO)), sizeof(info));
			CHECK(is_at(&info, a));
		}
	}
	CHECK_EQ(number(&in.m, HOPS), 64);
	CHECK_EQ(number(&in.m, CLASS), 0);
}

/* SO_TIMESTAMP in its four forms: now, in microseconds or nanoseconds; the last one set */
static void time_of_arrival(void)
{
	static const int forms[] = {SO_TIMESTAMP_OLD, SO_TIMESTAMPNS_OLD, SO_TIMESTAMP_NEW,
				    SO_TIMESTAMPNS_NEW};
	struct in in;
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket();

	for (unsigned k = 0; k < 4; k++) {
		struct timespec before, t, after;

		set_option(s, SOL_SOCKET, forms[k], 1);
		clock_gettime(CLOCK_REALTIME, &before);
		udp_send(c, "x", a);
		receive(s, &in, "x");
		clock_gettime(CLOCK_REALTIME, &after);
		CHECK(find(&in.m, SOL_SOCKET, forms[k]));
		CHECK_EQ(in.m.msg_controllen, CMSG_SPACE(sizeof(t)));
		memcpy(&t, CMSG_DATA(find(&in.m, SOL_SOCKET, forms[k])), sizeof(t));
		CHECK(t.tv_sec >= before.tv_sec && t.tv_sec <= after.tv_sec);
		CHECK(t.tv_nsec < (k % 2 ? 1000000000 : 1000000));
	}
	set_option(s, SOL_SOCKET, forms[0], 0);
	udp_send(c, "x", a);
	receive(s, &in, "x");
	CHECK_EQ(in.m.msg_controllen, 0);
}

/* put_cmsg(): what has no room is cut, and said to be. */
static void no_room(void)
{
	struct in in;
	struct cmsghdr *h = (struct cmsghdr *)in.control;
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket();
	static const struct {
		size_t room, told;
		bool cut;
	} t[] = {
	    {0, 0, true},
	    {sizeof(*h) - 1, 0, true},
	    {CMSG_LEN(2), CMSG_LEN(2), true},
	    {CMSG_LEN(sizeof(int)), CMSG_LEN(sizeof(int)), false},
	    {CONTROL, CMSG_SPACE(sizeof(int)), false},
	};

	set_option(s, LEVEL, RECV_HOPS, 1);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		udp_send(c, "x", a);
		wait_bits(s, POLLIN);
		CHECK_EQ(recvmsg(s, prepare(&in, t[i].room), 0), 1);
		CHECK_EQ(in.m.msg_flags, t[i].cut ? MSG_CTRUNC : 0);
		CHECK_EQ(in.m.msg_controllen, t[i].told);
		if (t[i].told)
			CHECK_EQ(h->cmsg_len, t[i].cut ? CMSG_LEN(2) : CMSG_LEN(sizeof(int)));
	}
	/* Both at once */
	udp_send(c, "abc", a);
	wait_bits(s, POLLIN);
	prepare(&in, 0)->msg_iov->iov_len = 1;
	CHECK_EQ(recvmsg(s, &in.m, 0), 1);
	CHECK_EQ(in.m.msg_flags, MSG_CTRUNC | MSG_TRUNC);
}

/* By a message for one datagram, by an option for all */
static void sets(void)
{
	struct in in;
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket();

	set_option(s, LEVEL, RECV_HOPS, 1);
	set_option(s, LEVEL, RECV_CLASS, 1);
	for (int i = 0; i < 3; i++) {
		send_number(c, "hops", a, HOPS, 9 + i);
		send_number(c, "class", a, CLASS, 0x10 + 8 * i);
		udp_send(c, "plain", a);
		receive(s, &in, "hops");
		CHECK_EQ(number(&in.m, HOPS), 9 + i);
		CHECK_EQ(number(&in.m, CLASS), i ? 0x20 : 0);
		receive(s, &in, "class");
		CHECK_EQ(number(&in.m, HOPS), i ? 30 : 64);
		CHECK_EQ(number(&in.m, CLASS), 0x10 + 8 * i);
		set_option(c, LEVEL, SET_HOPS, 30);
		set_option(c, LEVEL, CLASS, 0x20);
		/* Sent before that */
		receive(s, &in, "plain");
		CHECK_EQ(number(&in.m, HOPS), i ? 30 : 64);
		CHECK_EQ(number(&in.m, CLASS), i ? 0x20 : 0);
	}
	OK(connect(c, SA(&a), sizeof(a)));
	CHECK_EQ(send(c, "peer", 4, 0), 4);
	receive(s, &in, "peer");
	CHECK_EQ(number(&in.m, HOPS), 30);
	CHECK_EQ(number(&in.m, CLASS), 0x20);
}

/* The answer comes from where the question went to. */
static void answers_from_there(void)
{
	struct in in;
	udp_addr a, any;
	int s = udp_socket(), c = udp_socket();

	any = udp_any(udp_address(0));
	OK(bind(s, SA(&any), sizeof(any)));
	a = udp_address(0);
	a.PORT = udp_name(s).PORT;
	set_option(s, LEVEL, RECV_PKTINFO, 1);
	for (int i = 0; i < 5; i++) {
		pktinfo info;

		udp_send(c, "question", a);
		receive(s, &in, "question");
		memcpy(&info, CMSG_DATA(find(&in.m, LEVEL, PKTINFO)), sizeof(info));
		CHECK(is_at(&info, a));
		CHECK_EQ(send_with(s, "answer", in.from, PKTINFO, &info, sizeof(info)), 6);
		CHECK(udp_same(udp_expect(c, "answer"), a));
	}
}

static void bad_ones(void)
{
	int v[] = {0, 256, -2, 5};
	pktinfo info = {0};
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket();

	udp_send(c, "x", a);
	udp_expect(s, "x");
	CHECK_ERRNO(send_with(c, "x", a, HOPS, &v[1], sizeof(int)), EINVAL);
	CHECK_ERRNO(send_with(c, "x", a, HOPS, &v[2], sizeof(int)), EINVAL);
	CHECK_ERRNO(send_with(c, "x", a, HOPS, &v[3], 2), EINVAL);
	CHECK_ERRNO(send_with(c, "x", a, CLASS, &v[1], sizeof(int)), EINVAL);
	CHECK_ERRNO(send_with(c, "x", a, PKTINFO, &info, 4), EINVAL);
#ifdef UDP_V6
	info.ipi6_addr = udp_nowhere().sin6_addr;
	CHECK_ERRNO(send_with(c, "x", a, PKTINFO, &info, sizeof(info)), EINVAL);
#else
	CHECK_ERRNO(send_with(c, "x", a, HOPS, &v[0], sizeof(int)), EINVAL);
#endif
	udp_send(c, "y", a);
	udp_expect(s, "y");
}

/* --- several at once -------------------------------------------------------------------- */

#define MANY 8

static void prepare_many(struct mmsghdr *mm, struct in *in)
{
	for (int i = 0; i < MANY; i++)
		mm[i] = (struct mmsghdr){.msg_hdr = *prepare(&in[i], CONTROL)};
}

/* Each with control messages of its own */
static void many_tell(void)
{
	struct in out[MANY], in[MANY];
	struct mmsghdr tx[MANY], rx[MANY];
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket();

	set_option(s, LEVEL, RECV_HOPS, 1);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++) {
			struct msghdr *m = prepare(&out[i], CMSG_SPACE(sizeof(int)));
			struct cmsghdr *h = CMSG_FIRSTHDR(m);
			int v = 10 + round * MANY + i;

			*h = (struct cmsghdr){CMSG_LEN(sizeof(v)), LEVEL, HOPS};
			memcpy(CMSG_DATA(h), &v, sizeof(v));
			out[i].from = a;
			out[i].v.iov_len = (size_t)i;
			tx[i] = (struct mmsghdr){.msg_hdr = *m};
		}
		CHECK_EQ(sendmmsg(c, tx, MANY, 0), MANY);
		prepare_many(rx, in);
		CHECK_EQ(recvmmsg(s, rx, MANY, 0, NULL), MANY);
		for (int i = 0; i < MANY; i++) {
			CHECK_EQ(tx[i].msg_len, i);
			CHECK_EQ(rx[i].msg_len, i);
			CHECK_EQ(number(&rx[i].msg_hdr, HOPS), 10 + round * MANY + i);
			CHECK_EQ(in[i].from.PORT, udp_name(c).PORT);
		}
	}
}

/* Small and large, to some that were never sent to, from one call, in their order */
static void many_kinds(void)
{
	static char big[60000], got[60000];
	static const size_t sizes[MANY] = {1, 2, 60000, 3, 40000, 4, 5, 6};
	struct iovec v[MANY];
	struct mmsghdr tx[MANY];
	udp_addr a, b;
	int s = udp_bound(&a), t = udp_bound(&b), c = udp_socket();

	udp_send(c, "known", a);
	udp_expect(s, "known");
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 >> 2);
	for (int i = 0; i < MANY; i++) {
		v[i] = (struct iovec){big, sizes[i]};
		tx[i] = (struct mmsghdr){.msg_hdr = {.msg_name = i == 6 ? &b : &a,
						     .msg_namelen = sizeof(a),
						     .msg_iov = &v[i],
						     .msg_iovlen = 1}};
	}
	for (int round = 0; round < 3; round++) {
		CHECK_EQ(sendmmsg(c, tx, MANY, 0), MANY);
		for (int i = 0; i < MANY; i++) {
			int fd = i == 6 ? t : s;

			CHECK_EQ(tx[i].msg_len, sizes[i]);
			wait_bits(fd, POLLIN);
			CHECK_EQ(recv(fd, got, sizeof(got), 0), sizes[i]);
			CHECK_EQ(memcmp(got, big, sizes[i]), 0);
		}
	}
	udp_silent(s);
}

/* What is refused ends it, and is told when it is the first. */
static void many_and_a_bad_one(void)
{
	struct iovec v = {(void *)"x", 1};
	struct mmsghdr tx[4];
	udp_addr a, bad;
	int s = udp_bound(&a), c = udp_socket();

	bad = a;
	bad.PORT = 0;
	for (int i = 0; i < 4; i++)
		tx[i] = (struct mmsghdr){.msg_hdr = {.msg_name = i == 2 ? &bad : &a,
						     .msg_namelen = sizeof(a),
						     .msg_iov = &v,
						     .msg_iovlen = 1}};
	for (int round = 0; round < 3; round++) {
		CHECK_EQ(sendmmsg(c, tx, 4, 0), 2);
		CHECK_ERRNO(sendmmsg(c, tx + 2, 2, 0), EINVAL);
		CHECK_EQ(sendmmsg(c, tx, 0, 0), 0);
		udp_expect(s, "x");
		udp_expect(s, "x");
	}
	udp_silent(s);
	CHECK_ERRNO(sendmmsg(c, (void *)8, 2, 0), EFAULT);
	CHECK_ERRNO(recvmmsg(s, (void *)8, 2, MSG_DONTWAIT, NULL), EFAULT);
}

/* do_recvmmsg(): what is left of the time is told; it is looked at after a datagram only. */
static void many_with_a_time(void)
{
	struct in in[MANY];
	struct mmsghdr rx[MANY];
	struct timespec t = {5, 0};
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket();

	for (int round = 0; round < 3; round++) {
		t = (struct timespec){5, 0};
		udp_send(c, "x", a);
		wait_bits(s, POLLIN);
		prepare_many(rx, in);
		CHECK_EQ(recvmmsg(s, rx, MANY, MSG_WAITFORONE, &t), 1);
		CHECK(t.tv_sec == 4 && t.tv_nsec > 0);
		t = (struct timespec){0, 1};
		udp_send(c, "1", a);
		udp_send(c, "2", a);
		wait_bits(s, POLLIN);
		prepare_many(rx, in);
		CHECK_EQ(recvmmsg(s, rx, MANY, 0, &t), 1);
		CHECK(!t.tv_sec && !t.tv_nsec);
		udp_expect(s, "2");
		/* Nothing came: as it was */
		t = (struct timespec){3, 7};
		prepare_many(rx, in);
		CHECK_ERRNO(recvmmsg(s, rx, MANY, MSG_DONTWAIT, &t), EAGAIN);
		CHECK(t.tv_sec == 3 && t.tv_nsec == 7);
	}
	t.tv_nsec = 1000000000;
	CHECK_ERRNO(recvmmsg(s, rx, MANY, 0, &t), EINVAL);
}

/* IP_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR: where to, with the port */
static void original_destination(void)
{
	struct cmsghdr *h;
	struct in in;
	udp_addr a, any = udp_any(udp_address(0)), told;
	int s = udp_bound(&a), wild = udp_socket(), c = udp_socket();

	OK(bind(wild, SA(&any), sizeof(any)));
	for (int i = 0; i < 2; i++) {
		int fd = i ? wild : s;

		a.PORT = udp_name(fd).PORT;
		CHECK_EQ(get_option(fd, LEVEL, ORIGINAL), 0);
		set_option(fd, LEVEL, ORIGINAL, 1);
		CHECK_EQ(get_option(fd, LEVEL, ORIGINAL), 1);
		udp_send(c, "where to", a);
		receive(fd, &in, "where to");
		h = find(&in.m, LEVEL, ORIGINAL);
		CHECK(h && h->cmsg_len == CMSG_LEN(sizeof(told)));
		memcpy(&told, CMSG_DATA(h), sizeof(told));
		CHECK_EQ(SA(&told)->sa_family, UDP_FAMILY);
		CHECK(udp_same(told, a));
		set_option(fd, LEVEL, ORIGINAL, 0);
		udp_send(c, "not asked", a);
		receive(fd, &in, "not asked");
		CHECK(!CMSG_FIRSTHDR(&in.m));
	}
}

#ifdef UDP_V6
/* RFC 2292's names of what RFC 3542 has others for */
static void older_names(void)
{
	struct in6_pktinfo info = {0};
	struct cmsghdr *h;
	struct in in;
	udp_addr a;
	int s = udp_bound(&a), c = udp_socket();

	set_option(s, IPPROTO_IPV6, IPV6_2292PKTINFO, 1);
	set_option(s, IPPROTO_IPV6, IPV6_2292HOPLIMIT, 1);
	CHECK_EQ(get_option(s, IPPROTO_IPV6, IPV6_2292PKTINFO), 1);
	CHECK_EQ(get_option(s, IPPROTO_IPV6, IPV6_2292HOPLIMIT), 1);
	send_number(c, "hops", a, IPV6_2292HOPLIMIT, 33);
	receive(s, &in, "hops");
	CHECK_EQ(number(&in.m, IPV6_2292HOPLIMIT), 33);
	h = find(&in.m, IPPROTO_IPV6, IPV6_2292PKTINFO);
	CHECK(h && h->cmsg_len == CMSG_LEN(sizeof(info)));
	memcpy(&info, CMSG_DATA(h), sizeof(info));
	CHECK(is_at(&info, a));
	info = (struct in6_pktinfo){.ipi6_addr = udp_nowhere().sin6_addr};
	CHECK_ERRNO(send_with(c, "x", a, IPV6_2292PKTINFO, &info, sizeof(info)), EINVAL);
	info.ipi6_addr = a.sin6_addr;
	CHECK_EQ(send_with(c, "from", a, IPV6_2292PKTINFO, &info, sizeof(info)), 4);
	receive(s, &in, "from");
	CHECK(udp_same_host(in.from, a));
}

#define OLDER CASE(older_names),
#else
#define OLDER
#endif

CHECK_MAIN(CASE(tells), CASE(original_destination), OLDER CASE(time_of_arrival), CASE(no_room),
	   CASE(sets), CASE(answers_from_there), CASE(bad_ones), CASE(many_tell), CASE(many_kinds),
	   CASE(many_and_a_bad_one), CASE(many_with_a_time))
