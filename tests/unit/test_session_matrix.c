/* SPDX-License-Identifier: MIT */
/* wire.md 2.1, "Reaction matrix": every frame, in every column, on both transports. */
#include <errno.h>

#include "session/tunnel_priv.h"
#include "unit/frame_examples.h"
#include "unit/hex.h"
#include "unit/session_pair.h"
#include "unit/test.h"

#define HEX_PACKET "4500001400010000400100000a7d00050a7d0006"

enum column { CLIENT_AUTHENTICATING, CLIENT_ONLINE, SERVER_LINK_UP, SERVER_ONLINE, COLUMNS };

static const char *const column_names[] = { "client authenticating", "client online",
	                                    "server link up", "server online" };

/* what a frame that is handled brings about at its receiver */
struct effects {
	uint32_t answers; /* frames that reach the sender */
	uint32_t packets;
	uint32_t logins;
	uint32_t online;
	uint32_t fragments;
	uint32_t pongs;
};

/*
 * R handled, I ignored, S wrong state, M wrong role, A login refused, G goodbye. Where wire.md says
 * F, "codec does not exist" is M here: there is no codec. It is looked at first (2.12), so also
 * where the matrix says S.
 */
static const struct row {
	const char *name;
	const char *hex;
	const char *cells;
	struct effects handled;
} rows[] = {
	{ "noop", "01", "IIII", { 0 } },
	{ "ping", "02 1234 0000", "SRSR", { .answers = 1 } },
	{ "pong", "03 0000 0000", "SRSR", { .pongs = 1 } },
	{ "pong, a probe's", "03 0001 0000", "SRSR", { 0 } },
	{ "auth request, password", HEX_PASSWORD, "MMRR", { .logins = 1 } },
	{ "auth request, token", "04 02 0005 746f6b656e", "MMRR", { .logins = 1 } },
	{ "auth request, versioned", "04 03 01 03 0005 746f6b656e", "MMRR", { .logins = 1 } },
	{ "auth request, callback", "04 17 0004 01020304", "MMRR", { .logins = 1 } },
	{ "data", "05 0014" HEX_PACKET, "SRSR", { .packets = 1 } },
	{ "auth success", HEX_SUCCESS, "RIMI", { .online = 1 } },
	{ "auth failure",
	  "07 0000000000000000000000000000000000000000" HEX_ZEROS_32,
	  "AAAA",
	  { 0 } },
	{ "goodbye", "0c", "GGGG", { 0 } },
	{ "server config", "0e 000d 73657276657220636f6e666967", "IIII", { 0 } },
	{ "data fragment", "0f 0008 1234 2000 4500001400010000", "SRSR", { .fragments = 1 } },
	{ "encoded data", "10 0003 febeaa", "SMSM", { 0 } },
	{ "encoded data fragment",
	  "11 0008 1234 2000 4500001400010000",
	  "SRSR",
	  { .fragments = 1 } },
	{ "encoding request", "12 0000000000000201 01", "IIII", { 0 } },
	{ "encoding response", "13 0000000000000201 01", "MMMM", { 0 } },
	{ "expresslane config",
	  "14 02 80 0000 0000000000000001" HEX_KEY_32,
	  "SRSR",
	  { .answers = 1 } },
	{ "expresslane config, ack", "14 02 c0 0000 0000000000000001" HEX_KEY_32, "SRSR", { 0 } },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* one cell: a frame of the sender reaches the receiver, which is in the column's state */
struct cell {
	const struct row *row;
	enum column column;
	char letter;
	struct pair *p;
	struct pair_side *receiver;
	struct pair_side *sender;
	struct lw_counters before;
	struct effects seen;
	uint64_t sent_us;
};

static struct effects count(const struct cell *c)
{
	return (struct effects){
		.answers = (uint32_t)c->sender->counters.n[LW_CTR_FRAMES_RX],
		.packets = c->receiver->n_got,
		.logins = c->receiver->n_auth_wanted,
		.online = c->receiver->n_online,
		.fragments = (uint32_t)c->receiver->counters.n[LW_CTR_FRAGMENTS_RX],
		.pongs = c->receiver->t->keepalive_due ? 0 : 1,
	};
}

/* As if the client's own login had not come yet, and a Ping of the receiver were unanswered. */
static void prepare(struct cell *c)
{
	struct lw_tunnel *server = c->p->server.t;

	server->auth_pending = false;
	server->last_login_us = 0;
	server->auth_at = LW_NEVER;
	c->receiver->t->keepalive_due = true;
	c->receiver->t->ping_sent_us = c->p->now_us;
}

static void open_cell(struct cell *c, const struct row *row, enum column column, bool stream)
{
	bool online = column == CLIENT_ONLINE || column == SERVER_ONLINE;
	bool client = column == CLIENT_AUTHENTICATING || column == CLIENT_ONLINE;

	*c = (struct cell){ .row = row, .column = column, .letter = row->cells[column] };
	c->p = online ? pair_online(stream) : pair_at_login(stream);
	c->p->answer_at_once = false;
	c->receiver = client ? &c->p->client : &c->p->server;
	c->sender = client ? &c->p->server : &c->p->client;
	prepare(c);
	c->before = c->receiver->counters;
	c->sent_us = c->p->now_us;
	print_message("%s, %s, %s\n", row->name, column_names[column], stream ? "TCP" : "UDP");
}

static void send_cell(struct cell *c)
{
	uint8_t frame[FRAME_MAX_EXAMPLE];
	size_t len = hex_read(c->row->hex, frame, sizeof(frame));
	struct effects before = count(c);
	struct effects after;

	pair_inject(c->p, c->sender, frame, len);
	pair_run(c->p, 10 * LW_MS, false);
	after = count(c);
	c->seen = (struct effects){ .answers = after.answers - before.answers,
		                    .packets = after.packets - before.packets,
		                    .logins = after.logins - before.logins,
		                    .online = after.online - before.online,
		                    .fragments = after.fragments - before.fragments,
		                    .pongs = after.pongs - before.pongs };
}

static uint64_t moved(const struct cell *c, enum lw_counter i)
{
	return c->receiver->counters.n[i] - c->before.n[i];
}

/* The session goes on: what came counted as activity or not, and the next frame is taken. */
static void check_lives(struct cell *c, bool accepted)
{
	assert_int_equal(c->receiver->n_closed, 0);
	assert_int_equal(c->receiver->t->last_rx_us > c->sent_us, accepted);
	pair_check_lives(c->p, c->receiver);
}

static void check_ended(struct cell *c, enum lw_close_reason reason, enum lw_counter counter,
                        int error)
{
	assert_true(pair_closed(c->receiver));
	assert_int_equal(c->receiver->t->reason, reason);
	assert_int_equal(c->receiver->n_closed, 1);
	assert_int_equal(c->receiver->result, error);
	assert_int_equal(moved(c, counter), 1);
	assert_int_equal(moved(c, LW_CTR_SESSIONS_CLOSED), 1);
	/* and says so: wire.md 2.2 */
	assert_true(pair_closed(c->sender));
	assert_int_equal(c->sender->t->reason, LW_CLOSE_PEER);
}

static void check_cell(struct cell *c)
{
	const struct effects none = { 0 };
	const struct effects *expected = c->letter == 'R' ? &c->row->handled : &none;
	bool lives = c->letter == 'R' || c->letter == 'I' || (c->letter == 'S' && !c->p->stream);

	if (lives)
		assert_memory_equal(&c->seen, expected, sizeof(*expected));
	assert_int_equal(moved(c, LW_CTR_FRAME_BAD_STATE), c->letter == 'S');
	assert_int_equal(moved(c, LW_CTR_FRAME_BAD_MODE), c->letter == 'M');
	assert_int_equal(moved(c, LW_CTR_FRAME_UNKNOWN) + moved(c, LW_CTR_FRAME_MALFORMED), 0);
	if (lives)
		check_lives(c, c->letter != 'S');
	else if (c->letter == 'A')
		check_ended(c, LW_CLOSE_AUTH, LW_CTR_CLOSED_AUTH, -EACCES);
	else if (c->letter == 'G')
		check_ended(c, LW_CLOSE_PEER, LW_CTR_CLOSED_BY_PEER, -ECONNRESET);
	else
		check_ended(c, LW_CLOSE_PROTOCOL, LW_CTR_CLOSED_PROTOCOL, -EPROTO);
}

static void check_column(enum column column, bool stream)
{
	struct cell c;

	for (size_t i = 0; i < ROWS; i++) {
		open_cell(&c, &rows[i], column, stream);
		send_cell(&c);
		check_cell(&c);
		pair_destroy(c.p);
	}
}

static void frame__client_authenticating__as_in_the_matrix(void **state)
{
	(void)state;
	check_column(CLIENT_AUTHENTICATING, false);
	check_column(CLIENT_AUTHENTICATING, true);
}

static void frame__client_online__as_in_the_matrix(void **state)
{
	(void)state;
	check_column(CLIENT_ONLINE, false);
	check_column(CLIENT_ONLINE, true);
}

static void frame__server_link_up__as_in_the_matrix(void **state)
{
	(void)state;
	check_column(SERVER_LINK_UP, false);
	check_column(SERVER_LINK_UP, true);
}

static void frame__server_online__as_in_the_matrix(void **state)
{
	(void)state;
	check_column(SERVER_ONLINE, false);
	check_column(SERVER_ONLINE, true);
}

/* every type has a row, and every row is of the type that it says */
static void matrix__types__all_have_a_row(void **state)
{
	bool seen[LW_FRAME_TYPES] = { false };
	uint8_t frame[FRAME_MAX_EXAMPLE];

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		struct lw_frame f;
		size_t len = hex_read(rows[i].hex, frame, sizeof(frame));

		assert_int_equal(lw_frame_decode(frame, len, &f), len);
		assert_int_equal(strlen(rows[i].cells), COLUMNS);
		assert_memory_equal(rows[i].name, lw_frame_name(f.type),
		                    strlen(lw_frame_name(f.type)));
		seen[f.type] = true;
	}
	for (int type = 0; type < LW_FRAME_TYPES; type++)
		assert_int_equal(seen[type], lw_frame_min_len((uint8_t)type) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matrix__types__all_have_a_row),
		cmocka_unit_test(frame__client_authenticating__as_in_the_matrix),
		cmocka_unit_test(frame__client_online__as_in_the_matrix),
		cmocka_unit_test(frame__server_link_up__as_in_the_matrix),
		cmocka_unit_test(frame__server_online__as_in_the_matrix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
