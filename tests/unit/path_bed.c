/* SPDX-License-Identifier: MIT */
#include "unit/path_bed.h"

#include <errno.h>

#include "base/addr.h"
#include "path/path_priv.h"
#include "session/tunnel_priv.h"
#include "unit/test.h"

#define ADDRESS_FIRST 0x0a7d440au /* 10.125.68.10 */

void bed_script_set(struct bed_script *s, const struct bed_step *steps)
{
	*s = (struct bed_script){ 0 };
	while (steps[s->n].r != 0 || steps[s->n].take != 0) {
		s->steps[s->n] = steps[s->n];
		s->n++;
		assert_true(s->n < BED_STEPS);
	}
}

static struct bed_step next_step(struct bed_script *s, uint32_t n)
{
	struct bed_step all = { .r = 0, .take = n };
	struct bed_step step = s->calls < s->n ? s->steps[s->calls] : all;

	s->calls++;
	return step;
}

static void note(struct path_bed *b, const char *what, const struct lw_tunnel *t)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%s%u ", what, (unsigned)t->s.serial);
	assert_true(strlen(b->log) + strlen(text) < sizeof(b->log));
	strcat(b->log, text);
}

/* --- modules --- */

static int inside_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *batch)
{
	struct path_bed *b = inst;

	(void)w;
	(void)tag;
	b->inside_recvs++;
	for (uint32_t n = 0; b->inside_in.head != NULL; n++) {
		struct bed_item *item = b->inside_in.head;
		struct lw_packet *p = lw_batch_reserve(batch, item->len);

		if (p == NULL || (b->inside_burst > 0 && n == b->inside_burst))
			return 0;
		memcpy(lw_packet_data(p), item->data, item->len);
		p = lw_batch_commit(batch, item->len);
		if (b->inside_act != NULL)
			b->inside_act(p);
		free(bed_pop(&b->inside_in));
	}
	return b->inside_end;
}

/* What is not adjacent is put together. */
static void push_packet(struct bed_queue *out, const struct lw_packet *p)
{
	static uint8_t bytes[1 << 16];
	struct bed_item *item;
	uint32_t len = p->len;

	assert_true(p->len + p->more_len <= sizeof(bytes));
	memcpy(bytes, lw_packet_data(p), p->len);
	for (uint32_t i = 0; i < p->n_more; i++) {
		memcpy(bytes + len, p->more[i].iov_base, p->more[i].iov_len);
		len += (uint32_t)p->more[i].iov_len;
	}
	assert_int_equal(len, p->len + p->more_len);
	item = bed_push(out, bytes, len);
	item->tag = p->endpoint != NULL ? p->endpoint->tag : 0;
	item->gso_size = p->gso_size;
}

static int send_all(struct bed_script *script, struct lw_batch *batch, struct bed_queue *out,
                    uint32_t *ret_done)
{
	struct bed_step step = next_step(script, batch->n);

	assert_true(batch->n > 0);
	for (uint32_t i = 0; i < step.take && i < batch->n; i++)
		push_packet(out, &batch->pkt[i]);
	if (step.r < 0 && step.take < batch->n)
		batch->pkt[step.take].status = script->status;
	*ret_done = step.take;
	return step.r;
}

static int inside_send(void *inst, struct lw_worker *w, struct lw_batch *batch, uint32_t *ret_done)
{
	struct path_bed *b = inst;

	(void)w;
	return send_all(&b->inside_script, batch, &b->inside_out, ret_done);
}

static const struct lw_inside_ops inside_ops = { .size = sizeof(inside_ops),
	                                         .recv = inside_recv,
	                                         .send = inside_send };

static int udp_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *batch)
{
	struct path_bed *b = inst;

	(void)w;
	(void)tag;
	for (uint32_t n = 0; b->udp_in.head != NULL; n++) {
		struct bed_item *item = b->udp_in.head;
		struct lw_packet *p = lw_batch_reserve(batch, item->len);

		if (p == NULL || (b->udp_burst > 0 && n == b->udp_burst))
			return 0;
		memcpy(lw_packet_data(p), item->data, item->len);
		*p->endpoint = (struct lw_endpoint){ .tag = item->tag };
		if (item->gso_size > 0) {
			p->gso_type = LW_GSO_RUN;
			p->gso_size = item->gso_size;
		}
		(void)lw_batch_commit(batch, item->len);
		free(bed_pop(&b->udp_in));
	}
	return b->udp_end;
}

static int udp_send(void *inst, struct lw_worker *w, struct lw_batch *batch, uint32_t *ret_done)
{
	struct path_bed *b = inst;

	(void)w;
	return send_all(&b->udp_script, batch, &b->udp_out, ret_done);
}

static const struct lw_outside_udp_ops udp_ops = { .size = sizeof(udp_ops),
	                                           .recv = udp_recv,
	                                           .send = udp_send };

static struct bed_conn *conn(struct path_bed *b, uint32_t tag)
{
	assert_in_range(tag, BED_TCP_TAG, BED_TCP_TAG + BED_PEERS - 1);
	assert_int_equal(b->conns[tag - BED_TCP_TAG].closed, 0);
	return &b->conns[tag - BED_TCP_TAG];
}

static int tcp_recv(void *inst, struct lw_worker *w, uint32_t tag, void *buf, uint32_t cap,
                    uint32_t *ret_len)
{
	struct bed_conn *c = conn(inst, tag);
	uint32_t room = c->chunk > 0 && c->chunk < cap ? c->chunk : cap;

	(void)w;
	c->recv_calls++;
	*ret_len = 0;
	if (c->in.head == NULL)
		return c->recv_end;
	while (c->in.head != NULL && room > 0) {
		struct bed_item *item = bed_pop(&c->in);
		uint32_t n = item->len < room ? item->len : room;

		memcpy((uint8_t *)buf + *ret_len, item->data, n);
		*ret_len += n;
		room -= n;
		if (n < item->len) { /* the rest stays in front */
			struct bed_queue rest = { 0 };

			bed_push(&rest, item->data + n, item->len - n)->next = c->in.head;
			if (c->in.tail == NULL)
				c->in.tail = rest.head;
			c->in.head = rest.head;
			c->in.n++;
		}
		free(item);
	}
	if (c->recv_lie > 0)
		*ret_len = c->recv_lie;
	return 0;
}

static int tcp_send(void *inst, struct lw_worker *w, uint32_t tag, const struct iovec *iov,
                    uint32_t n, uint32_t *ret_sent)
{
	struct bed_conn *c = conn(inst, tag);
	uint64_t room = c->send_room;

	(void)w;
	c->send_calls++;
	*ret_sent = 0;
	if (c->send_error != 0)
		return c->send_error;
	if (c->send_calls == c->dies_at)
		return -EPIPE;
	if (c->send_chunk > 0 && c->send_chunk < room)
		room = c->send_chunk;
	for (uint32_t i = 0; i < n && room > 0; i++) {
		uint32_t take = iov[i].iov_len < room ? (uint32_t)iov[i].iov_len : (uint32_t)room;

		(void)bed_push(&c->out, iov[i].iov_base, take);
		*ret_sent += take;
		room -= take;
	}
	c->send_room -= *ret_sent;
	if (c->send_lie > 0)
		*ret_sent = c->send_lie;
	return *ret_sent > 0 ? 0 : -EAGAIN;
}

static void tcp_close(void *inst, struct lw_worker *w, uint32_t tag)
{
	struct path_bed *b = inst;
	struct bed_conn *c = conn(b, tag);

	(void)w;
	c->closed++;
	for (uint32_t i = 0; i < b->n_peers; i++) {
		if (b->peers[i].tag == tag)
			note(b, "tcp-close", b->peers[i].t);
	}
}

static const struct lw_outside_tcp_ops tcp_ops = {
	.size = sizeof(tcp_ops), .recv = tcp_recv, .send = tcp_send, .close = tcp_close
};

static const struct lw_module udp_module = { .kind = LW_KIND_OUTSIDE_UDP,
	                                     .name = "udp",
	                                     .ops = { .udp = &udp_ops } };
static const struct lw_module tcp_module = { .kind = LW_KIND_OUTSIDE_TCP,
	                                     .name = "tcp",
	                                     .ops = { .tcp = &tcp_ops } };

/* --- filters --- */

static int filter_run(struct bed_filter *f, struct lw_batch *batch, void (*act)(struct lw_packet *))
{
	f->packets += batch->n;
	LW_BATCH_FOREACH (p, batch) {
		if (act != NULL)
			act(p);
	}
	return 0;
}

static int filter_ingress(void *inst, struct lw_worker *w, struct lw_batch *batch)
{
	struct bed_filter *f = inst;

	(void)w;
	return filter_run(f, batch, f->ingress);
}

static int filter_egress(void *inst, struct lw_worker *w, struct lw_batch *batch)
{
	struct bed_filter *f = inst;

	(void)w;
	return filter_run(f, batch, f->egress);
}

static int filter_open(void *inst, struct lw_worker *w, struct lw_session *s)
{
	struct bed_filter *f = inst;

	(void)w;
	note(f->bed, (const char[]){ f->name, '+', '\0' }, (struct lw_tunnel *)s);
	return f->open_r;
}

static void filter_close(void *inst, struct lw_worker *w, struct lw_session *s)
{
	struct bed_filter *f = inst;

	(void)w;
	note(f->bed, (const char[]){ f->name, '-', '\0' }, (struct lw_tunnel *)s);
}

static const struct lw_filter_ops filter_ops = { .size = sizeof(filter_ops),
	                                         .session_open = filter_open,
	                                         .session_close = filter_close,
	                                         .ingress = filter_ingress,
	                                         .egress = filter_egress };

struct bed_filter *bed_add_filter(struct path_bed *b)
{
	struct lw_chain *c = &b->path.chain;
	struct bed_filter *f = &b->filters[c->n];

	assert_true(c->n < BED_FILTERS);
	*f = (struct bed_filter){ .bed = b, .name = (char)('A' + c->n) };
	c->links[c->n++] = (struct lw_link){ .ops = &filter_ops, .inst = f, .w = &b->w };
	return f;
}

/* --- the role and the driver --- */

static struct lw_tunnel *by_inside(void *role, const struct lw_packet *p)
{
	struct path_bed *b = role;
	const uint8_t *dst = lw_packet_data(p) + 16;

	b->looked_handed += b->path.handed;
	for (uint32_t i = 0; i < b->n_peers; i++) {
		const struct bed_peer *peer = &b->peers[i];

		if (peer->listed && (b->path.role_kind == LW_ROLE_CLIENT ||
		                     memcmp(dst, peer->t->s.inside.ip, 4) == 0))
			return peer->t;
	}
	return NULL;
}

static bool elsewhere(void *role, const struct lw_packet *p)
{
	struct path_bed *b = role;

	return b->elsewhere != NULL && b->elsewhere(b, p);
}

static bool knows(void *role, const struct lw_port *port, const struct lw_packet *dgram)
{
	const struct path_bed *b = role;

	(void)port;
	for (uint32_t i = 0; i < b->n_peers; i++) {
		if (b->peers[i].listed && b->peers[i].tag == dgram->endpoint->tag)
			return true;
	}
	return false;
}

static struct lw_tunnel *by_dgram(void *role, struct lw_port *port, struct lw_packet *dgram)
{
	struct path_bed *b = role;

	assert_ptr_equal(port, bed_udp_port(b));
	b->looked++;
	b->looked_handed += b->path.handed;
	for (uint32_t i = 0; i < b->n_peers; i++) {
		if (b->peers[i].listed && b->peers[i].tag == dgram->endpoint->tag)
			return b->peers[i].t;
	}
	return NULL;
}

static void heard(void *role, struct lw_port *port, struct lw_tunnel *t,
                  const struct lw_packet *dgram, int frames)
{
	struct path_bed *b = role;

	assert_ptr_equal(t->port, port);
	assert_non_null(dgram->endpoint);
	b->frames_heard += frames > 0 ? (uint32_t)frames : 0;
}

static void after_dgrams(void *role, struct lw_port *port)
{
	struct path_bed *b = role;

	assert_ptr_equal(port, bed_udp_port(b));
	b->afters++;
	b->afters_handed += b->path.handed;
}

static void on_event(void *role, struct lw_tunnel *t, const struct lw_event *e)
{
	static const char *const names[] = { [LW_EVENT_AUTH_WANTED] = "login",
		                             [LW_EVENT_ONLINE] = "online",
		                             [LW_EVENT_KEY_UPDATE] = "key update",
		                             [LW_EVENT_ROTATED] = "rotated",
		                             [LW_EVENT_CLOSED] = "closed" };
	struct path_bed *b = role;
	struct bed_peer *peer = t->owner;

	note(b, names[e->type], t);
	if (e->type == LW_EVENT_CLOSED) {
		assert_true(peer->listed);
		assert_int_equal(e->arg, t->reason);
		peer->listed = false;
	}
	if (b->on_event != NULL)
		b->on_event(b, peer, e);
}

static void gone(void *role, struct lw_tunnel *t)
{
	struct path_bed *b = role;
	struct bed_peer *peer = t->owner;

	note(b, "gone", t);
	peer->t = NULL;
}

static const struct lw_role_ops role_ops = { .by_inside = by_inside,
	                                     .elsewhere = elsewhere,
	                                     .knows = knows,
	                                     .by_dgram = by_dgram,
	                                     .heard = heard,
	                                     .after_dgrams = after_dgrams,
	                                     .event = on_event,
	                                     .gone = gone };

static void on_deadline(void *driver, struct lw_tunnel *t)
{
	struct bed_peer *peer = t->owner;

	(void)driver;
	peer->deadlines++;
}

static void on_want_write(void *driver, struct lw_port *port, uint32_t tag)
{
	struct path_bed *b = driver;

	(void)port;
	for (uint32_t i = 0; i < b->n_peers; i++)
		b->peers[i].wants += b->peers[i].tag == tag;
}

static const struct lw_driver_ops driver_ops = { .deadline = on_deadline,
	                                         .want_write = on_want_write };

/* --- life --- */

struct lw_port *bed_udp_port(struct path_bed *b)
{
	return &b->path.ports[0];
}

struct lw_port *bed_tcp_port(struct path_bed *b)
{
	return &b->path.ports[1];
}

struct path_bed *bed_create(uint32_t role, uint32_t chunks)
{
	return bed_create_with(role, chunks, 0, 0);
}

struct path_bed *bed_create_with(uint32_t role, uint32_t chunks, uint64_t caps, uint32_t run_segs)
{
	struct path_bed *b = calloc(1, sizeof(*b));
	struct lw_path *p = &b->path;

	assert_non_null(b);
	b->inside_end = -EAGAIN;
	b->udp_end = -EAGAIN;
	for (uint32_t i = 0; i < BED_PEERS; i++)
		b->conns[i] = (struct bed_conn){ .send_room = UINT64_MAX, .recv_end = -EAGAIN };
	p->ops = &role_ops;
	p->role = b;
	p->driver_ops = &driver_ops;
	p->driver = b;
	p->role_kind = role;
	p->inside_mtu = BED_MTU;
	p->tun_address = lw_addr_ipv4(BED_TUN, 0);
	p->inside = &inside_ops;
	p->inside_inst = b;
	p->inside_w = &b->w;
	p->inside_caps.flags = caps;
	p->n_ports = 2;
	*bed_udp_port(b) = (struct lw_port){ .module = &udp_module, .inst = b, .w = &b->w };
	bed_udp_port(b)->caps = (struct lw_caps){ .flags = caps, .max_segs = run_segs };
	*bed_tcp_port(b) = (struct lw_port){
		.module = &tcp_module, .inst = b, .w = &b->w, .index = 1, .tcp = true
	};
	assert_int_equal(lw_path_init(p, chunks), 0);
	return b;
}

void bed_destroy(struct path_bed *b)
{
	for (uint32_t i = 0; i < b->n_peers; i++) {
		lw_tunnel_destroy(b->peers[i].t);
		bed_clear(&b->peers[i].got);
		pair_destroy(b->peers[i].pair);
	}
	for (uint32_t i = 0; i < BED_PEERS; i++) {
		bed_clear(&b->conns[i].in);
		bed_clear(&b->conns[i].out);
	}
	bed_clear(&b->inside_in);
	bed_clear(&b->inside_out);
	bed_clear(&b->udp_in);
	bed_clear(&b->udp_out);
	lw_path_fini(&b->path);
	free(b);
}

/* Moves one end of the pair into the path. */
static struct bed_peer *move_in(struct path_bed *b, struct pair *pair)
{
	bool server = b->path.role_kind == LW_ROLE_SERVER;
	struct pair_side *ours = server ? &pair->server : &pair->client;
	uint32_t i = b->n_peers++;
	struct bed_peer *peer = &b->peers[i];
	struct lw_tunnel *t = ours->t;

	assert_true(b->n_peers <= BED_PEERS);
	assert_int_equal(t->stream.used, 0);
	ours->t = NULL;
	*peer = (struct bed_peer){ .pair = pair, .t = t, .listed = true };
	peer->side = server ? &pair->client : &pair->server;
	peer->remote = peer->side->t;
	peer->address = ADDRESS_FIRST + i;
	peer->tag = (t->is_stream ? BED_TCP_TAG : BED_UDP_TAG) + i;
	t->s.serial = i + 1;
	t->s.inside = server ? lw_addr_ipv4(peer->address, 0) : t->s.told;
	t->owner = peer;
	t->port = t->is_stream ? bed_tcp_port(b) : bed_udp_port(b);
	t->endpoint.tag = peer->tag;
	t->counters = &b->path.sessions;
	lw_stream_init(&t->stream, &b->path.chunks);
	b->now = pair->now_us > b->now ? pair->now_us : b->now;
	b->w.now_us = b->now;
	return peer;
}

static struct bed_peer *join(struct path_bed *b, struct pair *pair)
{
	struct bed_peer *peer;

	pair_connect(pair);
	peer = move_in(b, pair);
	assert_int_equal(lw_chain_open(&b->path.chain, &peer->t->s), 0);
	peer->t->in_chain = true;
	lw_path_burst_begin(peer->t);
	b->log[0] = '\0';
	return peer;
}

struct bed_peer *bed_join(struct path_bed *b, bool stream)
{
	return join(b, pair_create(stream, b->n_peers + 1));
}

struct bed_peer *bed_join_lane(struct path_bed *b)
{
	struct pair *pair = pair_prepare(false, b->n_peers + 1);
	struct bed_peer *peer;

	lw_lane_env_init(&b->path.lane, &lw_fake_cipher_ops, &b->ciphers[0], &b->w, &b->randoms[0]);
	lw_lane_env_init(&b->lane, &lw_fake_cipher_ops, &b->ciphers[1], &b->w, &b->randoms[1]);
	for (int i = 0; i < 2; i++) {
		bool server = i == 1;

		pair_end(pair, server)->conf.lane_rotate_us = 900 * LW_S;
		pair_end(pair, server)->lane =
			server == (b->path.role_kind == LW_ROLE_SERVER) ? &b->path.lane : &b->lane;
	}
	pair_open(pair);
	peer = join(b, pair);
	assert_true(lw_lane_ready(peer->t->lane) && lw_lane_ready(peer->remote->lane));
	return peer;
}

struct bed_peer *bed_join_pending(struct path_bed *b, bool stream)
{
	struct pair *pair = pair_create(stream, b->n_peers + 1);

	pair->answer_at_once = false;
	pair_begin(pair);
	pair_run(pair, 60 * LW_MS, false);
	assert_int_equal(pair->server.n_auth_wanted, 1);
	assert_int_equal(pair->client.t->state, LW_TUNNEL_AUTHENTICATING);
	return move_in(b, pair);
}
