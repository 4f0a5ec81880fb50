/* SPDX-License-Identifier: MIT */
#include "wire/frame.h"

#include <assert.h>
#include <string.h>

#include "base/cursor.h"
#include "wire/header.h"
#include "wire/utf8.h"

#define SUCCESS_FIELD  24
#define FRAG_MORE      0x2000
#define FRAG_OFFSET    0x1fff /* in units of 8 bytes */
#define XL_ENABLED     0x80
#define XL_ACK         0x40
#define XL_VERSION_MAX 2

/* Decoders read the body behind the type byte. What is missing leaves r->bad set, and the caller
 * turns that into LW_FRAME_MORE; a decoder that looks at values asks for r->bad first. */
typedef int decode_fn(struct lw_reader *r, struct lw_frame *f);
/* Encoders check first, then write; r->bad at the end is LW_FRAME_NO_ROOM. */
typedef int encode_fn(struct lw_writer *w, const struct lw_frame *f);

struct frame_kind {
	const char *name;
	size_t min_len;
	decode_fn *decode;
	encode_fn *encode;
};

static struct lw_bytes read_view(struct lw_reader *r, size_t len)
{
	const uint8_t *p = lw_read_bytes(r, len);

	return (struct lw_bytes){ .p = p, .len = p != NULL ? len : 0 };
}

static bool text_ok(struct lw_bytes text)
{
	return lw_utf8_valid(text.p, text.len);
}

static int decode_nothing(struct lw_reader *r, struct lw_frame *f)
{
	(void)r;
	(void)f;
	return 0;
}

static int encode_nothing(struct lw_writer *w, const struct lw_frame *f)
{
	(void)w;
	(void)f;
	return 0;
}

static int decode_ping(struct lw_reader *r, struct lw_frame *f)
{
	uint16_t len;

	f->ping.id = lw_read_u16(r);
	len = lw_read_u16(r);
	f->ping.payload = read_view(r, len);
	return 0;
}

static int encode_ping(struct lw_writer *w, const struct lw_frame *f)
{
	if (f->ping.payload.len > UINT16_MAX)
		return LW_FRAME_TOO_LARGE;
	lw_write_u16(w, f->ping.id);
	lw_write_u16(w, (uint16_t)f->ping.payload.len);
	lw_write_bytes(w, f->ping.payload.p, f->ping.payload.len);
	return 0;
}

/* All 102 bytes come before any check; the padding is not looked at. */
static int decode_password(struct lw_reader *r, struct lw_frame_auth *a)
{
	size_t user_len = lw_read_u8(r);
	size_t secret_len = lw_read_u8(r);
	struct lw_bytes user = read_view(r, LW_AUTH_FIELD_MAX);
	struct lw_bytes secret = read_view(r, LW_AUTH_FIELD_MAX);

	if (r->bad)
		return LW_FRAME_MORE;
	if (user_len > LW_AUTH_FIELD_MAX || secret_len > LW_AUTH_FIELD_MAX)
		return LW_FRAME_TOO_LARGE;
	a->user = (struct lw_bytes){ .p = user.p, .len = user_len };
	a->secret = (struct lw_bytes){ .p = secret.p, .len = secret_len };
	return text_ok(a->user) && text_ok(a->secret) ? 0 : LW_FRAME_BAD_TEXT;
}

/* The limit is checked as soon as the length is here, so that no peer makes us wait for more. */
static int decode_secret(struct lw_reader *r, struct lw_frame_auth *a, size_t max)
{
	size_t len = lw_read_u16(r);

	if (r->bad)
		return LW_FRAME_MORE;
	if (len > max)
		return LW_FRAME_TOO_LARGE;
	a->secret = read_view(r, len);
	return r->bad ? LW_FRAME_MORE : 0;
}

static int decode_token(struct lw_reader *r, struct lw_frame_auth *a, size_t max)
{
	int ret = decode_secret(r, a, max);

	if (ret == 0 && !text_ok(a->secret))
		return LW_FRAME_BAD_TEXT;
	return ret;
}

static int decode_versioned_token(struct lw_reader *r, struct lw_frame_auth *a)
{
	struct lw_reader length;

	a->major = lw_read_u8(r);
	a->minor = lw_read_u8(r);
	length = *r;
	(void)lw_read_u16(&length);
	if (length.bad)
		return LW_FRAME_MORE;
	if (!lw_wire_version_ok(a->major, a->minor))
		return LW_FRAME_BAD_VERSION;
	return decode_token(r, a, LW_AUTH_VERSIONED_MAX);
}

static int decode_auth(struct lw_reader *r, struct lw_frame *f)
{
	struct lw_frame_auth *a = &f->auth;

	a->method = lw_read_u8(r);
	if (r->bad)
		return LW_FRAME_MORE;
	switch (a->method) {
	case LW_AUTH_METHOD_PASSWORD:
		return decode_password(r, a);
	case LW_AUTH_METHOD_TOKEN:
		return decode_token(r, a, LW_AUTH_TOKEN_MAX);
	case LW_AUTH_METHOD_VERSIONED_TOKEN:
		return decode_versioned_token(r, a);
	case LW_AUTH_METHOD_CALLBACK:
		return decode_secret(r, a, LW_AUTH_TOKEN_MAX);
	default:
		return LW_FRAME_BAD_ENUM;
	}
}

static void write_padded(struct lw_writer *w, struct lw_bytes text, size_t field)
{
	lw_write_bytes(w, text.p, text.len);
	lw_write_zeros(w, field - text.len);
}

static int encode_password(struct lw_writer *w, const struct lw_frame_auth *a)
{
	if (a->user.len > LW_AUTH_FIELD_MAX || a->secret.len > LW_AUTH_FIELD_MAX)
		return LW_FRAME_TOO_LARGE;
	if (!text_ok(a->user) || !text_ok(a->secret))
		return LW_FRAME_BAD_TEXT;
	lw_write_u8(w, (uint8_t)a->user.len);
	lw_write_u8(w, (uint8_t)a->secret.len);
	write_padded(w, a->user, LW_AUTH_FIELD_MAX);
	write_padded(w, a->secret, LW_AUTH_FIELD_MAX);
	return 0;
}

static int encode_secret(struct lw_writer *w, const struct lw_frame_auth *a, size_t max)
{
	if (a->secret.len > max)
		return LW_FRAME_TOO_LARGE;
	lw_write_u16(w, (uint16_t)a->secret.len);
	lw_write_bytes(w, a->secret.p, a->secret.len);
	return 0;
}

static int encode_token(struct lw_writer *w, const struct lw_frame_auth *a, size_t max)
{
	if (a->secret.len <= max && !text_ok(a->secret))
		return LW_FRAME_BAD_TEXT;
	return encode_secret(w, a, max);
}

static int encode_versioned_token(struct lw_writer *w, const struct lw_frame_auth *a)
{
	if (!lw_wire_version_ok(a->major, a->minor))
		return LW_FRAME_BAD_VERSION;
	lw_write_u8(w, a->major);
	lw_write_u8(w, a->minor);
	return encode_token(w, a, LW_AUTH_VERSIONED_MAX);
}

static int encode_auth(struct lw_writer *w, const struct lw_frame *f)
{
	const struct lw_frame_auth *a = &f->auth;

	lw_write_u8(w, a->method);
	switch (a->method) {
	case LW_AUTH_METHOD_PASSWORD:
		return encode_password(w, a);
	case LW_AUTH_METHOD_TOKEN:
		return encode_token(w, a, LW_AUTH_TOKEN_MAX);
	case LW_AUTH_METHOD_VERSIONED_TOKEN:
		return encode_versioned_token(w, a);
	case LW_AUTH_METHOD_CALLBACK:
		return encode_secret(w, a, LW_AUTH_TOKEN_MAX);
	default:
		return LW_FRAME_BAD_ENUM;
	}
}

static int decode_data(struct lw_reader *r, struct lw_frame *f)
{
	uint16_t len = lw_read_u16(r);

	f->data = read_view(r, len);
	return 0;
}

static int encode_data(struct lw_writer *w, const struct lw_frame *f)
{
	if (f->data.len > UINT16_MAX)
		return LW_FRAME_TOO_LARGE;
	lw_write_u16(w, (uint16_t)f->data.len);
	lw_write_bytes(w, f->data.p, f->data.len);
	return 0;
}

static int decode_server_config(struct lw_reader *r, struct lw_frame *f)
{
	uint16_t len = lw_read_u16(r);

	if (!r->bad && len > LW_SERVER_CONFIG_MAX)
		return LW_FRAME_TOO_LARGE;
	f->data = read_view(r, len);
	return 0;
}

static int encode_server_config(struct lw_writer *w, const struct lw_frame *f)
{
	return f->data.len > LW_SERVER_CONFIG_MAX ? LW_FRAME_TOO_LARGE : encode_data(w, f);
}

/* A text ends at the first zero; the 24th byte is never looked at. */
static struct lw_bytes read_text(struct lw_reader *r)
{
	struct lw_bytes field = read_view(r, SUCCESS_FIELD);
	const uint8_t *zero;

	if (field.p == NULL)
		return field;
	zero = memchr(field.p, 0, LW_SUCCESS_TEXT_MAX);
	field.len = zero != NULL ? (size_t)(zero - field.p) : LW_SUCCESS_TEXT_MAX;
	return field;
}

static bool success_texts_ok(const struct lw_frame_success *s)
{
	return text_ok(s->local) && text_ok(s->peer) && text_ok(s->dns) && text_ok(s->mtu);
}

static int decode_success(struct lw_reader *r, struct lw_frame *f)
{
	struct lw_frame_success *s = &f->success;

	s->local = read_text(r);
	s->peer = read_text(r);
	s->dns = read_text(r);
	s->mtu = read_text(r);
	s->session = lw_read_u64(r);
	if (r->bad)
		return LW_FRAME_MORE;
	return success_texts_ok(s) ? 0 : LW_FRAME_BAD_TEXT;
}

static int write_text(struct lw_writer *w, struct lw_bytes text)
{
	if (text.len > LW_SUCCESS_TEXT_MAX)
		return LW_FRAME_TOO_LARGE;
	if (!text_ok(text) || (text.len > 0 && memchr(text.p, 0, text.len) != NULL))
		return LW_FRAME_BAD_TEXT;
	write_padded(w, text, SUCCESS_FIELD);
	return 0;
}

static int encode_success(struct lw_writer *w, const struct lw_frame *f)
{
	const struct lw_frame_success *s = &f->success;
	const struct lw_bytes texts[] = { s->local, s->peer, s->dns, s->mtu };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int ret = write_text(w, texts[i]);

		if (ret < 0)
			return ret;
	}
	lw_write_u64(w, s->session);
	return 0;
}

static int decode_failure(struct lw_reader *r, struct lw_frame *f)
{
	(void)f;
	(void)lw_read_bytes(r, LW_FRAME_FAILURE_LEN - 1);
	return 0;
}

static int encode_failure(struct lw_writer *w, const struct lw_frame *f)
{
	(void)f;
	lw_write_zeros(w, LW_FRAME_FAILURE_LEN - 1);
	return 0;
}

static int decode_frag(struct lw_reader *r, struct lw_frame *f)
{
	uint16_t len = lw_read_u16(r);
	uint16_t place;

	f->frag.id = lw_read_u16(r);
	place = lw_read_u16(r);
	f->frag.more = (place & FRAG_MORE) != 0;
	f->frag.offset = (uint16_t)((place & FRAG_OFFSET) * 8);
	f->frag.data = read_view(r, len);
	return 0;
}

static void write_frag_header(struct lw_writer *w, uint16_t len, const struct lw_frame_frag *f)
{
	lw_write_u16(w, len);
	lw_write_u16(w, f->id);
	lw_write_u16(w, (uint16_t)(f->offset / 8 | (f->more ? FRAG_MORE : 0)));
}

static int encode_frag(struct lw_writer *w, const struct lw_frame *f)
{
	if (f->frag.data.len > UINT16_MAX)
		return LW_FRAME_TOO_LARGE;
	if (f->frag.offset % 8 != 0)
		return LW_FRAME_BAD_OFFSET;
	write_frag_header(w, (uint16_t)f->frag.data.len, &f->frag);
	lw_write_bytes(w, f->frag.data.p, f->frag.data.len);
	return 0;
}

static int decode_encoding(struct lw_reader *r, struct lw_frame *f)
{
	uint8_t enable;

	f->encoding.id = lw_read_u64(r);
	enable = lw_read_u8(r);
	f->encoding.enable = enable == 1;
	return enable > 1 ? LW_FRAME_BAD_BOOL : 0;
}

static int encode_encoding(struct lw_writer *w, const struct lw_frame *f)
{
	lw_write_u64(w, f->encoding.id);
	lw_write_u8(w, f->encoding.enable);
	return 0;
}

static int decode_expresslane(struct lw_reader *r, struct lw_frame *f)
{
	uint8_t version = lw_read_u8(r);
	uint8_t bits = lw_read_u8(r);

	(void)lw_read_u16(r); /* reserved */
	f->expresslane.version = version <= XL_VERSION_MAX ? version : 0;
	f->expresslane.enabled = (bits & XL_ENABLED) != 0;
	f->expresslane.ack = (bits & XL_ACK) != 0;
	f->expresslane.counter = lw_read_u64(r);
	f->expresslane.key = lw_read_bytes(r, LW_FRAME_KEY_LEN);
	return 0;
}

static int encode_expresslane(struct lw_writer *w, const struct lw_frame *f)
{
	const struct lw_frame_expresslane *x = &f->expresslane;

	if (x->version > XL_VERSION_MAX)
		return LW_FRAME_BAD_VERSION;
	lw_write_u8(w, x->version);
	lw_write_u8(w, (uint8_t)((x->enabled ? XL_ENABLED : 0) | (x->ack ? XL_ACK : 0)));
	lw_write_u16(w, 0);
	lw_write_u64(w, x->counter);
	if (x->key != NULL)
		lw_write_bytes(w, x->key, LW_FRAME_KEY_LEN);
	else
		lw_write_zeros(w, LW_FRAME_KEY_LEN);
	return 0;
}

static const struct frame_kind kinds[LW_FRAME_TYPES] = {
	[LW_FRAME_NOOP] = { "noop", 1, decode_nothing, encode_nothing },
	[LW_FRAME_PING] = { "ping", LW_FRAME_PING_HEADER, decode_ping, encode_ping },
	[LW_FRAME_PONG] = { "pong", LW_FRAME_PING_HEADER, decode_ping, encode_ping },
	[LW_FRAME_AUTH_REQUEST] = { "auth request", 4, decode_auth, encode_auth },
	[LW_FRAME_DATA] = { "data", LW_FRAME_DATA_HEADER, decode_data, encode_data },
	[LW_FRAME_AUTH_SUCCESS] = { "auth success", LW_FRAME_SUCCESS_LEN, decode_success,
	                            encode_success },
	[LW_FRAME_AUTH_FAILURE] = { "auth failure", LW_FRAME_FAILURE_LEN, decode_failure,
	                            encode_failure },
	[LW_FRAME_GOODBYE] = { "goodbye", 1, decode_nothing, encode_nothing },
	[LW_FRAME_SERVER_CONFIG] = { "server config", 3, decode_server_config,
	                             encode_server_config },
	[LW_FRAME_DATA_FRAG] = { "data fragment", LW_FRAME_FRAG_HEADER, decode_frag, encode_frag },
	[LW_FRAME_ENCODED_DATA] = { "encoded data", LW_FRAME_DATA_HEADER, decode_data,
	                            encode_data },
	[LW_FRAME_ENCODED_DATA_FRAG] = { "encoded data fragment", LW_FRAME_FRAG_HEADER, decode_frag,
	                                 encode_frag },
	[LW_FRAME_ENCODING_REQUEST] = { "encoding request", LW_FRAME_ENCODING_LEN, decode_encoding,
	                                encode_encoding },
	[LW_FRAME_ENCODING_RESPONSE] = { "encoding response", LW_FRAME_ENCODING_LEN,
	                                 decode_encoding, encode_encoding },
	[LW_FRAME_EXPRESSLANE_CONFIG] = { "expresslane config", LW_FRAME_EXPRESSLANE_LEN,
	                                  decode_expresslane, encode_expresslane },
};

static const struct frame_kind *find_kind(uint8_t type)
{
	return type < LW_FRAME_TYPES && kinds[type].name != NULL ? &kinds[type] : NULL;
}

int lw_frame_decode(const uint8_t *buf, size_t len, struct lw_frame *ret_frame)
{
	struct lw_reader r = lw_reader_init(buf, len);
	struct lw_frame f = { .type = lw_read_u8(&r) };
	const struct frame_kind *kind = find_kind(f.type);
	int ret;

	if (len == 0)
		return LW_FRAME_MORE;
	if (kind == NULL)
		return LW_FRAME_UNKNOWN;
	ret = kind->decode(&r, &f);
	if (ret < 0)
		return ret;
	if (r.bad)
		return LW_FRAME_MORE;
	*ret_frame = f;
	return (int)(len - lw_reader_left(&r));
}

int lw_frame_encode(uint8_t *dst, size_t cap, const struct lw_frame *f)
{
	struct lw_writer w = lw_writer_init(dst, cap);
	const struct frame_kind *kind = find_kind(f->type);
	int ret;

	if (kind == NULL)
		return LW_FRAME_UNKNOWN;
	lw_write_u8(&w, f->type);
	ret = kind->encode(&w, f);
	if (ret < 0)
		return ret;
	return w.bad ? LW_FRAME_NO_ROOM : (int)(cap - lw_writer_left(&w));
}

const char *lw_frame_name(uint8_t type)
{
	const struct frame_kind *kind = find_kind(type);

	return kind != NULL ? kind->name : "unknown";
}

size_t lw_frame_min_len(uint8_t type)
{
	const struct frame_kind *kind = find_kind(type);

	return kind != NULL ? kind->min_len : 0;
}

uint8_t *lw_frame_put_data(uint8_t *packet, uint8_t type, uint16_t len)
{
	uint8_t *frame = packet - LW_FRAME_DATA_HEADER;
	struct lw_writer w = lw_writer_init(frame, LW_FRAME_DATA_HEADER);

	lw_write_u8(&w, type);
	lw_write_u16(&w, len);
	return frame;
}

uint8_t *lw_frame_put_frag(uint8_t *data, uint16_t len, uint8_t type, const struct lw_frame_frag *f)
{
	uint8_t *frame = data - LW_FRAME_FRAG_HEADER;
	struct lw_writer w = lw_writer_init(frame, LW_FRAME_FRAG_HEADER);

	assert(f->offset % 8 == 0);
	lw_write_u8(&w, type);
	write_frag_header(&w, len, f);
	return frame;
}

int lw_frame_write_ping(uint8_t *dst, size_t cap, uint8_t type, uint16_t id,
                        const struct lw_frame_counters *c)
{
	uint8_t payload[LW_FRAME_COUNTERS_LEN];
	struct lw_writer w = lw_writer_init(payload, sizeof(payload));
	struct lw_frame f = { .type = type, .ping = { .id = id } };

	assert(type == LW_FRAME_PING || type == LW_FRAME_PONG);
	if (c != NULL) {
		lw_write_u64(&w, c->sent);
		lw_write_u64(&w, c->received);
		f.ping.payload = (struct lw_bytes){ .p = payload, .len = sizeof(payload) };
	}
	return lw_frame_encode(dst, cap, &f);
}

bool lw_frame_read_counters(const struct lw_frame_ping *f, struct lw_frame_counters *ret_c)
{
	struct lw_reader r = lw_reader_init(f->payload.p, f->payload.len);

	if (f->payload.len != LW_FRAME_COUNTERS_LEN)
		return false;
	ret_c->sent = lw_read_u64(&r);
	ret_c->received = lw_read_u64(&r);
	return true;
}
