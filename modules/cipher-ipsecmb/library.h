/* SPDX-License-Identifier: MIT */
/* The header of Intel's multi-buffer library, which does not meet our warnings. */
#ifndef LW_CIPHER_IPSECMB_LIBRARY_H
#define LW_CIPHER_IPSECMB_LIBRARY_H

#define LINUX 1 /* it aligns its structures then */

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wredundant-decls"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <intel-ipsec-mb.h>
#pragma GCC diagnostic pop

#endif
