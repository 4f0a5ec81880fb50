/* SPDX-License-Identifier: MIT */
/*
 * The number that a module and its host compare, and the tools that keep layouts fixed.
 *
 * A module loads when its major equals the host's and its minor is not above the host's.
 * A minor appends: members at the end of structs that carry their size, new kinds, new values.
 * While the major is 0 the interface may still change with every minor.
 *
 * Changelog
 *   0.1  first version
 *   0.2  lw_env.caps_wanted; runs of an outside; LW_CAP_SEND_TSO, LW_CAP_SEND_USO and
 *        superpackets of an inside
 *   0.3  lw_host.lacks(); lw_packet.status of what the system refused
 *   0.4  LW_OPTF_AUTO; lw_caps.burst; prepare() answers -EUSERS for more workers than it can
 *        serve
 *   0.5  LW_TAG_STRANGERS; steer() is called before worker_start()
 */
#ifndef LW_LANEWAY_ABI_H
#define LW_LANEWAY_ABI_H

#define LW_ABI_MAGIC 0x4c414e45u /* "LANE" */
#define LW_ABI_MAJOR 0
#define LW_ABI_MINOR 5

#ifdef __cplusplus
#define LW_EXTERN extern "C"
#else
#define LW_EXTERN extern
#endif

/* a negative array size stops any C99 and any C++11 compiler */
#define LW_STATIC_ASSERT(cond, name)                                                               \
	typedef char lw_assert_##name[(cond) ? 1 : -1] __attribute__((unused))
#define LW_ASSERT_SIZE(type, n)                                                                    \
	LW_STATIC_ASSERT(sizeof(void *) != 8 || sizeof(struct type) == (n), type)

#endif
