/* SPDX-License-Identifier: MIT */
#include "worker/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "worker/worker.h"

/* On the receiver. */
static void deliver(struct lw_mail *m)
{
	struct lw_parcel *parcel = (struct lw_parcel *)(void *)m;
	struct lw_core *c = parcel->to;

	if (parcel->port == LW_PARCEL_INSIDE)
		lw_core_handed_inside(c, &parcel->pkt);
	else
		lw_path_handed_dgram(&c->path, &c->path.ports[parcel->port], &parcel->pkt,
		                     c->now_us);
	__atomic_store_n(&parcel->busy, 0, __ATOMIC_RELEASE);
}

int lw_handover_init(struct lw_handover *h)
{
	/* pages that were never used cost nothing */
	h->parcels = calloc(LW_HANDOVER_PARCELS, sizeof(*h->parcels));
	h->next = 0;
	return h->parcels != NULL ? 0 : -ENOMEM;
}

void lw_handover_fini(struct lw_handover *h)
{
	free(h->parcels);
	h->parcels = NULL;
}

/* They come back in any order, for there are several receivers. */
static struct lw_parcel *find_idle(struct lw_handover *h)
{
	for (uint32_t i = 0; i < LW_HANDOVER_PARCELS; i++) {
		struct lw_parcel *parcel = &h->parcels[h->next++ % LW_HANDOVER_PARCELS];

		if (__atomic_load_n(&parcel->busy, __ATOMIC_ACQUIRE) == 0)
			return parcel;
	}
	return NULL;
}

int lw_handover_send(struct lw_handover *h, struct lw_core *to, uint32_t port,
                     const struct lw_packet *p)
{
	struct lw_parcel *parcel = p->len <= LW_HANDOVER_BYTES ? find_idle(h) : NULL;

	if (parcel == NULL)
		return -ENOBUFS;
	parcel->mail.deliver = deliver;
	parcel->to = to;
	parcel->port = port;
	parcel->pkt = *p;
	parcel->pkt.buf = parcel->bytes;
	parcel->pkt.off = 0;
	parcel->pkt.cap = LW_HANDOVER_BYTES;
	if (p->endpoint != NULL) {
		parcel->ep = *p->endpoint;
		parcel->pkt.endpoint = &parcel->ep;
	}
	memcpy(parcel->bytes, lw_packet_data(p), p->len);
	__atomic_store_n(&parcel->busy, 1, __ATOMIC_RELAXED);
	lw_mailbox_post(&to->mail, &parcel->mail);
	return 0;
}
