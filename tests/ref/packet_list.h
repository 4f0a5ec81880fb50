/* SPDX-License-Identifier: MIT */
/* Packets in a row, and whether two rows are the same as far as a receiver can tell. */
#ifndef LW_TESTS_REF_PACKET_LIST_H
#define LW_TESTS_REF_PACKET_LIST_H

#include <stdbool.h>
#include <stdint.h>

#define REF_LIST_MAX 1024

struct ref_item {
	uint8_t kind;
	uint8_t key[38];
	uint32_t len;
	uint8_t *bytes;
};

struct ref_list {
	struct ref_item item[REF_LIST_MAX];
	uint32_t n;
};

/* ref_list_add() - append a copy */
void ref_list_add(struct ref_list *l, const uint8_t *bytes, uint32_t len);

/* ref_list_clear() - free the copies */
void ref_list_clear(struct ref_list *l);

/**
 * ref_list_same() - whether the same packets are in both, and each flow in the same order
 *
 * A packet that may be of any flow (a fragment, nonsense) has its place in all of them. The
 * identification of IPv4 packets with DF is not compared. Says on stderr what differs.
 */
bool ref_list_same(const struct ref_list *a, const struct ref_list *b);

#endif
