/* SPDX-License-Identifier: MIT */
#include "session/reassembly.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define UNIT  8u /* offsets count these */
#define UNITS (LW_REASSEMBLY_BYTES / UNIT)

struct slot {
	bool used;
	uint16_t id;
	uint64_t touched; /* number of the call that touched it last */
	uint32_t have;    /* bytes that came */
	uint32_t total;   /* 0: the last fragment has not come */
	uint32_t end;     /* highest byte that came */
	uint8_t seen[UNITS / 8];
	uint8_t bytes[LW_REASSEMBLY_BYTES];
};

struct lw_reassembly {
	uint64_t calls; /* fragments come in batches of one time, so the time gives no order */
	struct slot slots[LW_REASSEMBLY_SLOTS];
};

static struct slot *slot_for(struct lw_reassembly *r, uint16_t id)
{
	struct slot *best = &r->slots[0];

	for (uint32_t i = 0; i < LW_REASSEMBLY_SLOTS; i++) {
		struct slot *s = &r->slots[i];

		if (s->used && s->id == id)
			return s;
		if (best->used && (!s->used || s->touched < best->touched))
			best = s;
	}
	memset(best, 0, offsetof(struct slot, bytes));
	best->used = true;
	best->id = id;
	return best;
}

static bool fits(const struct slot *s, const struct lw_frame_frag *f)
{
	uint32_t end;

	if (f->data.len == 0 || f->offset > LW_REASSEMBLY_BYTES ||
	    f->data.len > LW_REASSEMBLY_BYTES - f->offset)
		return false;
	end = f->offset + (uint32_t)f->data.len;
	if (f->more ? f->data.len % UNIT != 0 : s->total != 0)
		return false;
	if (s->total != 0 && end > s->total)
		return false;
	return f->more || end >= s->end;
}

/* Marks the units of a fragment; false when one was there already. */
static bool mark(struct slot *s, const struct lw_frame_frag *f)
{
	uint32_t last = (uint32_t)(f->offset + f->data.len - 1) / UNIT;

	for (uint32_t u = f->offset / UNIT; u <= last; u++) {
		uint8_t bit = (uint8_t)(1u << (u % 8));

		if (s->seen[u / 8] & bit)
			return false;
		s->seen[u / 8] |= bit;
	}
	return true;
}

struct lw_reassembly *lw_reassembly_create(void)
{
	return calloc(1, sizeof(struct lw_reassembly));
}

void lw_reassembly_destroy(struct lw_reassembly *r)
{
	free(r);
}

int lw_reassembly_add(struct lw_reassembly *r, const struct lw_frame_frag *f,
                      const uint8_t **ret_packet, size_t *ret_len)
{
	struct slot *s = slot_for(r, f->id);

	s->touched = r->calls++;
	if (!fits(s, f) || !mark(s, f)) {
		s->used = false;
		return -EBADMSG;
	}
	memcpy(s->bytes + f->offset, f->data.p, f->data.len);
	s->have += (uint32_t)f->data.len;
	if (f->offset + f->data.len > s->end)
		s->end = f->offset + (uint32_t)f->data.len;
	if (!f->more)
		s->total = s->end;
	if (s->total == 0 || s->have < s->total)
		return 0;
	s->used = false;
	*ret_packet = s->bytes;
	*ret_len = s->total;
	return 1;
}
