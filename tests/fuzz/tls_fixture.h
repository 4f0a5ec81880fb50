/* SPDX-License-Identifier: MIT */
/* What both fuzzers of core/tls need: contexts from tests/data/tls, and fixed secrets. */
#ifndef LW_TESTS_FUZZ_TLS_FIXTURE_H
#define LW_TESTS_FUZZ_TLS_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "tls/listener.h"
#include "tls/tls.h"

extern const uint8_t fixture_secret[LW_TLS_SECRET_SIZE];
extern const uint8_t fixture_old_secret[LW_TLS_SECRET_SIZE];

/* made at the first call, and kept until the process ends */
struct lw_tls_ctx *fixture_server(void);
struct lw_tls_ctx *fixture_client(void);

/* the address that the seeds' cookies are bound to */
struct lw_endpoint fixture_endpoint(void);

#endif
