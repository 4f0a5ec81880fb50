/* SPDX-License-Identifier: MIT */
/*
 * filter-debug: does to every Nth packet of a kind what the configuration says, for tests of the
 * chain and of how the core takes a filter that misbehaves.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <laneway/module.h>

#define IPV4_HEADER_MIN 20u
#define ICMP_PROTOCOL   1
#define ICMP_ECHO       8
#define ICMP_ECHO_REPLY 0
#define BAD_VERDICT     200

enum { DIR_BOTH, DIR_INGRESS, DIR_EGRESS };
enum { ACT_COUNT, ACT_DROP, ACT_REPLY, ACT_CORRUPT, ACT_FAIL, ACT_BAD_VERDICT, ACT_BAD_LENGTH };

enum {
	DEBUG_CTR_INGRESS_PACKETS,
	DEBUG_CTR_EGRESS_PACKETS,
	DEBUG_CTR_SUPERPACKETS,
	DEBUG_CTR_MATCHED,
	DEBUG_CTR_DROPPED,
	DEBUG_CTR_REPLIED,
	DEBUG_CTR_CORRUPTED,
	DEBUG_CTR_SESSIONS_OPENED,
	DEBUG_CTR_SESSIONS_CLOSED,
	DEBUG_CTR_SESSION_PACKETS
};

struct debug_options {
	struct lw_addr prefix;
	int64_t protocol;
	int64_t every;
	int32_t direction;
	int32_t action;
	int32_t super;
};

/* one per session: that the core keeps it apart from others and zeroes it */
struct debug_session {
	uint64_t packets;
};

/* one per worker */
struct debug_worker {
	uint64_t matched;
};

struct debug {
	const struct debug_options
		*first; /* the options of the start; a reload does not change them */
};

static int debug_check(const void *opts, struct lw_err *err)
{
	const struct debug_options *o = opts;

	if (o->prefix.family == 6)
		return lw_err_set_at(err, -EINVAL, "prefix", "the inside is IPv4 only");
	return 0;
}

static int debug_create(const struct lw_host *h, const void *opts, void **ret_inst,
                        const void **ret_conf, struct lw_err *err)
{
	struct debug *d = calloc(1, sizeof(*d));

	(void)h;
	if (d == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	d->first = opts;
	*ret_inst = d;
	*ret_conf = opts;
	return 0;
}

static int debug_prepare(void *inst, const struct lw_env *env, struct lw_caps *ret_caps,
                         struct lw_err *err)
{
	const struct debug *d = inst;

	(void)env;
	(void)err;
	*ret_caps = (struct lw_caps){ .flags = d->first->super != 0 ? LW_CAP_SUPER : 0 };
	return 0;
}

static int debug_worker_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	struct debug_worker *dw = calloc(1, sizeof(*dw));

	(void)inst;
	(void)w;
	if (dw == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	*ret_state = dw;
	return 0;
}

static int debug_reload(void *inst, const void *opts, const void **ret_conf, struct lw_err *err)
{
	(void)inst;
	(void)err;
	*ret_conf = opts;
	return 0;
}

static void debug_worker_stop(void *inst, struct lw_worker *w)
{
	(void)inst;
	free(w->state);
}

static void debug_destroy(void *inst)
{
	free(inst);
}

static int debug_session_open(void *inst, struct lw_worker *w, struct lw_session *s)
{
	const struct debug_session *ds = lw_session_state(s, w);

	(void)inst;
	if (ds->packets != 0)
		return -EINVAL; /* the core promises zeroed bytes */
	lw_worker_count(w, DEBUG_CTR_SESSIONS_OPENED, 1);
	return 0;
}

static void debug_session_close(void *inst, struct lw_worker *w, struct lw_session *s)
{
	const struct debug_session *ds = lw_session_state(s, w);

	(void)inst;
	lw_worker_count(w, DEBUG_CTR_SESSIONS_CLOSED, 1);
	lw_worker_count(w, DEBUG_CTR_SESSION_PACKETS, ds->packets);
}

/* bytes of the header; 0: no IPv4 packet */
static uint32_t ipv4_header(const struct lw_packet *p)
{
	const uint8_t *ip = lw_packet_data(p);
	uint32_t hl;

	if (p->len < IPV4_HEADER_MIN || ip[0] >> 4 != 4)
		return 0;
	hl = (ip[0] & 0x0fu) * 4u;
	return hl >= IPV4_HEADER_MIN && hl <= p->len ? hl : 0;
}

static bool in_prefix(const uint8_t *ip, const struct lw_addr *prefix)
{
	for (uint32_t bit = 0; bit < prefix->prefix; bit++) {
		if (((ip[bit / 8] ^ prefix->ip[bit / 8]) & (0x80u >> (bit % 8))) != 0)
			return false;
	}
	return true;
}

/* a whole request, for a fragment lacks what its checksum covers */
static bool is_echo_request(const struct lw_packet *p, uint32_t hl)
{
	const uint8_t *ip = lw_packet_data(p);

	return p->gso_size == 0 && hl != 0 && ip[9] == ICMP_PROTOCOL && p->len >= hl + 8 &&
	       (ip[6] & 0x3f) == 0 && ip[7] == 0 && ip[hl] == ICMP_ECHO && ip[hl + 1] == 0;
}

static bool matches(const struct debug_options *o, const struct lw_packet *p)
{
	const uint8_t *ip = lw_packet_data(p);
	uint32_t hl = ipv4_header(p);

	if (hl == 0 && (o->protocol != 0 || o->prefix.family != 0))
		return false;
	if (o->protocol != 0 && ip[9] != o->protocol)
		return false;
	if (o->prefix.family != 0 && !in_prefix(ip + 12, &o->prefix) &&
	    !in_prefix(ip + 16, &o->prefix))
		return false;
	return o->action != ACT_REPLY || is_echo_request(p, hl);
}

/* turn the request around; only the type changes the ICMP checksum (RFC 1624, equation 3) */
static void answer_echo(struct lw_packet *p)
{
	uint8_t *ip = lw_packet_data(p);
	uint8_t *icmp = ip + ipv4_header(p);
	uint32_t sum = (uint16_t) ~(icmp[2] << 8 | icmp[3]);
	uint8_t from[4];

	memcpy(from, ip + 12, 4);
	memcpy(ip + 12, ip + 16, 4);
	memcpy(ip + 16, from, 4);
	sum += (uint16_t) ~(ICMP_ECHO << 8) + (ICMP_ECHO_REPLY << 8);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	icmp[0] = ICMP_ECHO_REPLY;
	icmp[2] = (uint8_t)(sum >> 8);
	icmp[3] = (uint8_t)sum;
	p->verdict = LW_VERDICT_REPLY;
}

static void flip_last_bit(struct lw_packet *p)
{
	if (p->len > 0)
		lw_packet_data(p)[p->len - 1] ^= 1;
}

static int act(const struct debug_options *o, struct lw_worker *w, struct lw_packet *p)
{
	switch (o->action) {
	case ACT_DROP:
		p->verdict = LW_VERDICT_DROP;
		lw_worker_count(w, DEBUG_CTR_DROPPED, 1);
		break;
	case ACT_REPLY:
		answer_echo(p);
		lw_worker_count(w, DEBUG_CTR_REPLIED, 1);
		break;
	case ACT_CORRUPT:
		flip_last_bit(p);
		lw_worker_count(w, DEBUG_CTR_CORRUPTED, 1);
		break;
	case ACT_FAIL:
		return -EIO;
	case ACT_BAD_VERDICT:
		p->verdict = BAD_VERDICT;
		break;
	case ACT_BAD_LENGTH:
		p->len = p->cap - p->off + 1;
		break;
	default:
		break;
	}
	return 0;
}

static void note(struct lw_worker *w, const struct lw_packet *p)
{
	if (p->gso_size > 0)
		lw_worker_count(w, DEBUG_CTR_SUPERPACKETS, 1);
	if (p->session != NULL)
		((struct debug_session *)lw_session_state(p->session, w))->packets++;
}

static int run(struct lw_worker *w, struct lw_batch *b, int32_t direction)
{
	const struct debug_options *o = w->conf;
	struct debug_worker *dw = w->state;
	int r = 0;

	LW_BATCH_FOREACH (p, b) {
		note(w, p);
		if ((o->direction != DIR_BOTH && o->direction != direction) || !matches(o, p))
			continue;
		lw_worker_count(w, DEBUG_CTR_MATCHED, 1);
		if (++dw->matched % (uint64_t)o->every == 0 && r == 0)
			r = act(o, w, p);
	}
	return r;
}

static int debug_ingress(void *inst, struct lw_worker *w, struct lw_batch *b)
{
	(void)inst;
	lw_worker_count(w, DEBUG_CTR_INGRESS_PACKETS, b->n);
	return run(w, b, DIR_INGRESS);
}

static int debug_egress(void *inst, struct lw_worker *w, struct lw_batch *b)
{
	(void)inst;
	lw_worker_count(w, DEBUG_CTR_EGRESS_PACKETS, b->n);
	return run(w, b, DIR_EGRESS);
}

static const char *const directions[] = {
	[DIR_BOTH] = "both",
	[DIR_INGRESS] = "ingress",
	[DIR_EGRESS] = "egress",
	NULL,
};

static const char *const actions[] = {
	[ACT_COUNT] = "count",
	[ACT_DROP] = "drop",
	[ACT_REPLY] = "reply",
	[ACT_CORRUPT] = "corrupt",
	[ACT_FAIL] = "fail",
	[ACT_BAD_VERDICT] = "bad_verdict",
	[ACT_BAD_LENGTH] = "bad_length",
	NULL,
};

static const struct lw_option options[] = {
	{ .name = "action",
	  .def = "count",
	  .doc = "what happens to a packet: nothing, it is dropped, an echo request is answered, "
	         "its "
	         "last bit is flipped; or the filter fails or breaks a rule",
	  .choices = actions,
	  .type = LW_OPT_ENUM,
	  .flags = LW_OPTF_RELOAD,
	  LW_OPTION_AT(struct debug_options, action) },
	{ .name = "direction",
	  .def = "both",
	  .doc = "which way: ingress is from the inside to the outside",
	  .choices = directions,
	  .type = LW_OPT_ENUM,
	  .flags = LW_OPTF_RELOAD,
	  LW_OPTION_AT(struct debug_options, direction) },
	{ .name = "every",
	  .def = "1",
	  .doc = "every how many packets of this kind, counted by each worker",
	  .type = LW_OPT_INT,
	  .flags = LW_OPTF_RELOAD,
	  LW_OPTION_AT(struct debug_options, every),
	  .min = 1,
	  .max = 1000000000 },
	{ .name = "protocol",
	  .def = "0",
	  .doc = "only packets of this IP protocol, 0: of any",
	  .type = LW_OPT_INT,
	  .flags = LW_OPTF_RELOAD,
	  LW_OPTION_AT(struct debug_options, protocol),
	  .min = 0,
	  .max = 255 },
	{ .name = "prefix",
	  .doc = "only packets from or to these addresses",
	  .type = LW_OPT_PREFIX,
	  .flags = LW_OPTF_RELOAD,
	  LW_OPTION_AT(struct debug_options, prefix) },
	{ .name = "super",
	  .def = "yes",
	  .doc = "take superpackets whole",
	  .type = LW_OPT_BOOL,
	  .flags = 0,
	  LW_OPTION_AT(struct debug_options, super) },
	{ .name = NULL },
};

static const char *const counters[] = {
	[DEBUG_CTR_INGRESS_PACKETS] = "ingress_packets",
	[DEBUG_CTR_EGRESS_PACKETS] = "egress_packets",
	[DEBUG_CTR_SUPERPACKETS] = "superpackets",
	[DEBUG_CTR_MATCHED] = "matched",
	[DEBUG_CTR_DROPPED] = "dropped",
	[DEBUG_CTR_REPLIED] = "replied",
	[DEBUG_CTR_CORRUPTED] = "corrupted",
	[DEBUG_CTR_SESSIONS_OPENED] = "sessions_opened",
	[DEBUG_CTR_SESSIONS_CLOSED] = "sessions_closed",
	[DEBUG_CTR_SESSION_PACKETS] = "session_packets",
	NULL,
};

static const struct lw_life_ops life = {
	.size = sizeof(life),
	.check = debug_check,
	.create = debug_create,
	.prepare = debug_prepare,
	.worker_start = debug_worker_start,
	.reload = debug_reload,
	.worker_stop = debug_worker_stop,
	.destroy = debug_destroy,
};

static const struct lw_filter_ops ops = {
	.size = sizeof(ops),
	.session_open = debug_session_open,
	.session_close = debug_session_close,
	.ingress = debug_ingress,
	.egress = debug_egress,
};

LW_MODULE(LW_KIND_FILTER, "filter-debug", "0.1.0", "does odd things to packets, for tests", options,
          sizeof(struct debug_options), counters, &life, &ops, sizeof(struct debug_session));
