/* SPDX-License-Identifier: MIT */
/* Big-endian fields at places that are known to be in the packet. */
#ifndef LW_PACKET_BYTES_H
#define LW_PACKET_BYTES_H

#include <stdint.h>

static inline uint16_t lw_load16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t lw_load32(const uint8_t *p)
{
	return (uint32_t)lw_load16(p) << 16 | lw_load16(p + 2);
}

static inline void lw_store16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void lw_store32(uint8_t *p, uint32_t v)
{
	lw_store16(p, (uint16_t)(v >> 16));
	lw_store16(p + 2, (uint16_t)v);
}

#endif
