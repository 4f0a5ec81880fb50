/* SPDX-License-Identifier: MIT */
/*
 * Single packets for filters that take no superpackets: what the filters in front of them let pass
 * is cut up into a batch of its own, as much at a time as that holds.
 */
#include "path/path_priv.h"

/* false: no more fits */
static bool cut_segment(struct lw_path *p, const struct lw_packet *super)
{
	struct lw_packet *single = lw_batch_reserve(p->singles, lw_seg_len_max(&p->cutter));
	uint32_t len;

	if (single == NULL)
		return false;
	single->session = super->session;
	len = lw_seg_copy(&p->cutter, lw_packet_data(single), single->cap - single->off);
	(void)lw_batch_commit(p->singles, len);
	return true;
}

/* A single packet stays where it is; only its checksum is completed. */
static bool take_single(struct lw_path *p, const struct lw_packet *pkt)
{
	struct lw_packet *single = lw_batch_reserve(p->singles, 0);
	uint32_t len;

	if (single == NULL)
		return false;
	(void)lw_seg_expose(&p->cutter, &len);
	*single = *pkt;
	single->gso_type = LW_GSO_NONE;
	single->gso_size = 0;
	p->singles->n++;
	return true;
}

static bool take(struct lw_path *p, const struct lw_packet *pkt)
{
	if (p->cutter.count == 1)
		return take_single(p, pkt);
	while (p->cutter.next < p->cutter.count) {
		if (!cut_segment(p, pkt))
			return false;
	}
	return true;
}

void lw_path_cut_up(struct lw_path *p)
{
	lw_batch_reset(p->singles);
	for (; p->rx_cut < p->rx->n; p->rx_cut++) {
		struct lw_packet *pkt = &p->rx->pkt[p->rx_cut];

		if (!p->cutter_open && (lw_seg_init(&p->cutter, pkt) < 0 ||
		                        lw_seg_len_max(&p->cutter) > p->inside_mtu)) {
			lw_path_add(&p->counters.inside_invalid, 1);
			continue;
		}
		p->cutter_open = !take(p, pkt);
		if (p->cutter_open)
			return;
	}
}
