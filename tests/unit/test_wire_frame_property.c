/* SPDX-License-Identifier: MIT */
/* What holds for every frame and for any bytes: round trips, and no mutation that does harm. */
#include "hex.h"

#include "frame_examples.h"
#include "wire/frame.h"

#define ROUNDS 3000

static const uint8_t types[] = { 1, 2, 3, 4, 5, 6, 7, 12, 14, 15, 16, 17, 18, 19, 20 };
static uint64_t seed = 0x77697265;
static uint8_t pool[65536];     /* random bytes */
static uint8_t text_pool[1400]; /* random UTF-8 without zeros, sequences of 1 to 4 bytes */
static uint8_t out[LW_FRAME_MAX];

static uint32_t below(uint32_t n)
{
	return (uint32_t)(test_random(&seed) % n);
}

static void fill_pools(void)
{
	static const char *const pieces[] = { "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
	size_t at = 0;

	for (size_t i = 0; i < sizeof(pool); i++)
		pool[i] = (uint8_t)test_random(&seed);
	while (at < sizeof(text_pool) - 4) {
		const char *piece = pieces[below(4)];

		memcpy(text_pool + at, piece, strlen(piece));
		at += strlen(piece);
	}
	memset(text_pool + at, 'z', sizeof(text_pool) - at);
}

static struct lw_bytes random_bytes(uint32_t max)
{
	uint32_t len = below(4) == 0 ? max : below(max + 1);

	return (struct lw_bytes){ .p = pool + below((uint32_t)sizeof(pool) - max), .len = len };
}

/* cuts at the borders of sequences, so that the text is valid */
static struct lw_bytes random_text(uint32_t max)
{
	const uint8_t *p = text_pool + below((uint32_t)sizeof(text_pool) - max);
	const uint8_t *end = p + below(max + 1);

	while (p < end && (*p & 0xc0) == 0x80)
		p++;
	while (end > p && end < text_pool + sizeof(text_pool) && (*end & 0xc0) == 0x80)
		end--;
	return (struct lw_bytes){ .p = p, .len = (size_t)(end - p) };
}

static struct lw_frame_auth random_auth(void)
{
	static const uint8_t methods[] = { 1, 2, 3, 23 };
	struct lw_frame_auth a = { .method = methods[below(4)] };

	if (a.method == LW_AUTH_METHOD_PASSWORD)
		a.user = random_text(LW_AUTH_FIELD_MAX);
	if (a.method == LW_AUTH_METHOD_VERSIONED_TOKEN) {
		a.major = 1;
		a.minor = (uint8_t)(1 + below(3));
	}
	switch (a.method) {
	case LW_AUTH_METHOD_PASSWORD:
		a.secret = random_text(LW_AUTH_FIELD_MAX);
		break;
	case LW_AUTH_METHOD_CALLBACK:
		a.secret = random_bytes(LW_AUTH_TOKEN_MAX);
		break;
	default:
		a.secret = random_text(LW_AUTH_VERSIONED_MAX);
	}
	return a;
}

static struct lw_frame random_frame(uint8_t type)
{
	struct lw_frame f = { .type = type };

	switch (type) {
	case LW_FRAME_PING:
	case LW_FRAME_PONG:
		f.ping = (struct lw_frame_ping){ (uint16_t)below(65536), random_bytes(2000) };
		break;
	case LW_FRAME_AUTH_REQUEST:
		f.auth = random_auth();
		break;
	case LW_FRAME_DATA:
	case LW_FRAME_ENCODED_DATA:
		f.data = random_bytes(below(50) == 0 ? 65535 : 1500);
		break;
	case LW_FRAME_SERVER_CONFIG:
		f.data = random_bytes(LW_SERVER_CONFIG_MAX);
		break;
	case LW_FRAME_AUTH_SUCCESS:
		f.success = (struct lw_frame_success){ random_text(23), random_text(23),
			                               random_text(23), random_text(23),
			                               test_random(&seed) };
		break;
	case LW_FRAME_DATA_FRAG:
	case LW_FRAME_ENCODED_DATA_FRAG:
		f.frag = (struct lw_frame_frag){ .id = (uint16_t)below(65536),
			                         .offset = (uint16_t)(below(8192) * 8),
			                         .more = below(2) == 1,
			                         .data = random_bytes(below(50) == 0 ? 65535
			                                                             : 1500) };
		break;
	case LW_FRAME_ENCODING_REQUEST:
	case LW_FRAME_ENCODING_RESPONSE:
		f.encoding = (struct lw_frame_encoding){ test_random(&seed), below(2) == 1 };
		break;
	case LW_FRAME_EXPRESSLANE_CONFIG:
		f.expresslane = (struct lw_frame_expresslane){ .version = (uint8_t)below(3),
			                                       .enabled = below(2) == 1,
			                                       .ack = below(2) == 1,
			                                       .counter = test_random(&seed),
			                                       .key = pool + below(60000) };
		break;
	default:
		break;
	}
	return f;
}

static void assert_bytes(struct lw_bytes a, struct lw_bytes b)
{
	assert_int_equal(a.len, b.len);
	if (a.len > 0)
		assert_memory_equal(a.p, b.p, a.len);
}

static void assert_auth(const struct lw_frame_auth *a, const struct lw_frame_auth *b)
{
	assert_int_equal(a->method, b->method);
	assert_int_equal(a->major, b->major);
	assert_int_equal(a->minor, b->minor);
	assert_bytes(a->user, b->user);
	assert_bytes(a->secret, b->secret);
}

static void assert_success(const struct lw_frame_success *a, const struct lw_frame_success *b)
{
	assert_bytes(a->local, b->local);
	assert_bytes(a->peer, b->peer);
	assert_bytes(a->dns, b->dns);
	assert_bytes(a->mtu, b->mtu);
	assert_true(a->session == b->session);
}

static void assert_expresslane(const struct lw_frame_expresslane *a,
                               const struct lw_frame_expresslane *b)
{
	assert_int_equal(a->version, b->version);
	assert_int_equal(a->enabled, b->enabled);
	assert_int_equal(a->ack, b->ack);
	assert_true(a->counter == b->counter);
	assert_memory_equal(a->key, b->key, LW_FRAME_KEY_LEN);
}

static void assert_frame(const struct lw_frame *a, const struct lw_frame *b)
{
	assert_int_equal(a->type, b->type);
	switch (a->type) {
	case LW_FRAME_PING:
	case LW_FRAME_PONG:
		assert_int_equal(a->ping.id, b->ping.id);
		assert_bytes(a->ping.payload, b->ping.payload);
		break;
	case LW_FRAME_AUTH_REQUEST:
		assert_auth(&a->auth, &b->auth);
		break;
	case LW_FRAME_DATA:
	case LW_FRAME_ENCODED_DATA:
	case LW_FRAME_SERVER_CONFIG:
		assert_bytes(a->data, b->data);
		break;
	case LW_FRAME_AUTH_SUCCESS:
		assert_success(&a->success, &b->success);
		break;
	case LW_FRAME_DATA_FRAG:
	case LW_FRAME_ENCODED_DATA_FRAG:
		assert_int_equal(a->frag.id, b->frag.id);
		assert_int_equal(a->frag.offset, b->frag.offset);
		assert_int_equal(a->frag.more, b->frag.more);
		assert_bytes(a->frag.data, b->frag.data);
		break;
	case LW_FRAME_ENCODING_REQUEST:
	case LW_FRAME_ENCODING_RESPONSE:
		assert_true(a->encoding.id == b->encoding.id);
		assert_int_equal(a->encoding.enable, b->encoding.enable);
		break;
	case LW_FRAME_EXPRESSLANE_CONFIG:
		assert_expresslane(&a->expresslane, &b->expresslane);
		break;
	default:
		break;
	}
}

static void frame__random_content__survives_a_round_trip(void **state)
{
	(void)state;
	for (size_t t = 0; t < sizeof(types); t++) {
		for (int i = 0; i < ROUNDS; i++) {
			struct lw_frame f = random_frame(types[t]);
			struct lw_frame back;
			int len = lw_frame_encode(out, sizeof(out), &f);
			uint8_t *copy;

			assert_true(len > 0 && (size_t)len >= lw_frame_min_len(f.type));
			copy = exact_copy(out, (size_t)len);
			assert_int_equal(lw_frame_decode(copy, (size_t)len, &back), len);
			assert_frame(&f, &back);
			free(copy);
		}
	}
}

static void frame__random_truncation__needs_more(void **state)
{
	(void)state;
	for (size_t t = 0; t < sizeof(types); t++) {
		for (int i = 0; i < ROUNDS; i++) {
			struct lw_frame f = random_frame(types[t]);
			size_t len = (size_t)lw_frame_encode(out, sizeof(out), &f);
			size_t cut = below((uint32_t)len);
			uint8_t *copy = exact_copy(out, cut);
			struct lw_frame ignored;

			assert_int_equal(lw_frame_decode(copy, cut, &ignored), LW_FRAME_MORE);
			free(copy);
		}
	}
}

static bool is_frame_error(int r)
{
	static const int errors[] = { LW_FRAME_MORE,     LW_FRAME_UNKNOWN,  LW_FRAME_TOO_LARGE,
		                      LW_FRAME_BAD_ENUM, LW_FRAME_BAD_TEXT, LW_FRAME_BAD_VERSION,
		                      LW_FRAME_BAD_BOOL };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (r == errors[i])
			return true;
	}
	return false;
}

/* any bytes: an error, or a frame within them that encodes to something that means the same */
static void check_any_bytes(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = exact_copy(bytes, len);
	struct lw_frame f;
	struct lw_frame back;
	int r = lw_frame_decode(copy, len, &f);

	if (r > 0) {
		assert_true((size_t)r <= len);
		assert_int_equal(lw_frame_encode(out, sizeof(out), &f), r);
		assert_int_equal(lw_frame_decode(out, (size_t)r, &back), r);
		assert_frame(&f, &back);
	} else {
		assert_true(is_frame_error(r));
	}
	free(copy);
}

static void frame__every_mutation_of_one_byte__is_harmless(void **state)
{
	(void)state;
	for (size_t i = 0; i < FRAME_EXAMPLES; i++) {
		uint8_t bytes[FRAME_MAX_EXAMPLE];
		size_t len = hex_read(frame_examples[i], bytes, sizeof(bytes));

		for (size_t at = 0; at < len; at++) {
			uint8_t kept = bytes[at];

			for (unsigned value = 0; value < 256; value++) {
				bytes[at] = (uint8_t)value;
				check_any_bytes(bytes, len);
			}
			bytes[at] = kept;
		}
	}
}

static void frame__random_bytes__are_harmless(void **state)
{
	uint8_t bytes[160];

	(void)state;
	for (int i = 0; i < 100000; i++) {
		size_t len = below(sizeof(bytes));

		for (size_t at = 0; at < len; at++)
			bytes[at] = (uint8_t)(below(3) == 0 ? 0 : test_random(&seed));
		if (len > 0)
			bytes[0] = types[below(sizeof(types))];
		check_any_bytes(bytes, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame__random_content__survives_a_round_trip),
		cmocka_unit_test(frame__random_truncation__needs_more),
		cmocka_unit_test(frame__every_mutation_of_one_byte__is_harmless),
		cmocka_unit_test(frame__random_bytes__are_harmless),
	};

	fill_pools();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
