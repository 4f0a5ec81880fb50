/* SPDX-License-Identifier: MIT */
/* cipher-wolfcrypt as what a thread uses for records: its keys and calls are watched, and it can be
 * slow or broken. */
#ifndef LW_TESTS_UNIT_RECORDS_BED_H
#define LW_TESTS_UNIT_RECORDS_BED_H

#include <pthread.h>
#include <stdbool.h>

#include "tls/records.h"

struct records_bed {
	struct lw_worker w;
	struct lw_tls_records *records;
	pthread_t thread; /* the one that may call */
	int alive;        /* keys */
	int no_key;       /* what key_create answers */
	int broken;       /* what seal and open answer */
	int slow_us;      /* so long does an operation take */
};

/* the table; an instance of it is a struct records_bed */
extern const struct lw_cipher_ops records_bed_ops;

/* a bed for the calling thread; all keys must be gone when it is closed */
void records_bed_open(struct records_bed *b);
void records_bed_close(struct records_bed *b);

#endif
