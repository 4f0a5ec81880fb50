/* SPDX-License-Identifier: MIT */
/* Random packets of several flows, with everything that goes wrong on the way. */
#ifndef LW_TESTS_REF_PACKET_STREAM_H
#define LW_TESTS_REF_PACKET_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "ref/coalesce_case.h"

#define REF_STREAM_FLOWS 8

/*
 * flows:       how many, at most REF_STREAM_FLOWS
 * packets:     how many in all
 * trouble:     each kind of it befalls one packet of so many
 * tcp, udp:    what flows there are
 * forwardable: a router passes all of them on: what is damaged is behind the IP header
 */
struct ref_stream {
	uint32_t flows;
	uint32_t packets;
	uint32_t trouble;
	bool tcp;
	bool udp;
	bool forwardable;
};

/* ref_stream_flow() - the first packet of a flow like this one, otherwise drawn */
struct ref_packet ref_stream_flow(uint64_t *seed, const struct ref_packet *kind, uint8_t number);

/* ref_stream_fill() - add such packets to an empty case */
void ref_stream_fill(const struct ref_stream *s, uint64_t *seed, struct coalesce_case *t);

#endif
