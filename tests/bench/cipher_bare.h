/* SPDX-License-Identifier: MIT */
/*
 * The calls of each engine, bare: one key, nothing between the loop and the library, no look at
 * what it says. In the form of a cipher's operations, so that the same clock times both.
 */
#ifndef LW_TESTS_BENCH_CIPHER_BARE_H
#define LW_TESTS_BENCH_CIPHER_BARE_H

#include <laneway/module.h>

extern const struct lw_cipher_ops bare_wolfcrypt;
extern const struct lw_cipher_ops bare_ipsecmb;
extern const struct lw_cipher_ops bare_openssl;

#endif
