/* SPDX-License-Identifier: BSD-3-Clause
 *
 * rack.h - When a segment is lost, by the time that it was sent (RFC 8985); all of it is the
 * worker's
 */
#ifndef GZ_RACK_H
#define GZ_RACK_H

#include <stdbool.h>
#include <stdint.h>

struct gz_measure;
struct tcp_pcb;
struct tcp_seg;

#define GZ_RACK_LOG 32 /* a power of two */

struct gz_rack {
	struct {
		uint32_t seq; /* what begins here, and was sent once, */
		uint32_t us;  /* left from here on, of a clock in us */
	} log[GZ_RACK_LOG];
	uint32_t n;	  /* entries that were made */
	uint32_t next;	  /* the number after what is in the log */
	bool on;	  /* something came while more was under way: */
	uint32_t us, end; /* when what of this was sent last left, and its end, */
	uint32_t rtt;	  /* and how long it took, us */
	uint32_t fack;	  /* the highest end of what came */
	bool reordered;	  /* the path changes the order of segments */
	bool redone;	  /* after a timeout all up to @doubt is sent a second time */
	uint32_t doubt;
	/* So many quarters of the shortest round trip, and one, is what is late waited for */
	unsigned mult;
	unsigned persist; /* recoveries that this is kept for */
	bool repeats;	  /* the peer told of something twice, when @round was to be sent */
	uint32_t round;
};

/** What is lost now, of a connection: gz_rack_draw() */
struct gz_rack_line {
	uint32_t us;	/* what left up to here, before what came, is lost; */
	uint32_t edge;	/* of what was sent once that is what begins before this, */
	uint32_t reach; /* and what begins before this will be */
	uint32_t due;	/* us until some of that is */
	uint32_t wait;	/* the least of what gz_rack_is_lost() has seen; UINT32_MAX: nothing */
};

/** gz_rack_sent() - Data of [@seq, @end) leave, at gz_measure.sent_at */
void gz_rack_sent(struct gz_measure *m, uint32_t seq, uint32_t end);
/** gz_rack_again() - @s was sent again, at gz_measure.sent_at: its header has that time */
void gz_rack_again(const struct gz_measure *m, struct tcp_seg *s);
/** gz_rack_came() - @s has arrived; @again: it was sent more than once */
void gz_rack_came(const struct tcp_pcb *p, struct gz_measure *m, const struct tcp_seg *s,
		  bool again);
/** gz_rack_acked() - Up to @ackno is acknowledged; @all: nothing is under way any more */
void gz_rack_acked(struct gz_rack *k, uint32_t ackno, bool all);
/** gz_rack_twice() - The peer said that it had something already (RFC 2883) */
void gz_rack_twice(const struct tcp_pcb *p, struct gz_rack *k);
/** gz_rack_recovered() - A recovery is over */
void gz_rack_recovered(struct gz_rack *k);
/** gz_rack_timeout() - All that is under way is about to be sent again */
void gz_rack_timeout(struct gz_measure *m);

/** gz_rack_draw() - How late is lost now?  @segments that are behind what is missing have come */
void gz_rack_draw(const struct gz_measure *m, unsigned segments, struct gz_rack_line *line);
/** gz_rack_is_lost() - Is @s, which did not come? */
bool gz_rack_is_lost(const struct gz_rack *k, struct gz_rack_line *line, const struct tcp_seg *s,
		     bool again);

#endif
