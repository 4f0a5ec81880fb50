/* SPDX-License-Identifier: MIT */
#include "worker/helper.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/thread.h"

/*
 * Where each processor has a worker, helpers share it with one. Packets go first: with this a
 * helper gets a tenth of a processor that its worker could use up, and all of one that has time.
 */
#define NICE 10

struct call {
	void (*fn)(void *arg);
	void *arg;
};

struct lw_helpers {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t *threads;
	uint32_t n_threads;
	bool stop;
	struct call *ring;
	uint32_t cap;
	uint32_t first;
	uint32_t n;
};

static void *helper_main(void *arg)
{
	struct lw_helpers *h = arg;

	(void)!nice(NICE); /* of this thread: so it is on Linux */
	(void)pthread_mutex_lock(&h->lock);
	for (;;) {
		struct call c;

		while (h->n == 0 && !h->stop)
			(void)pthread_cond_wait(&h->wake, &h->lock);
		if (h->n == 0)
			break;
		c = h->ring[h->first];
		h->first = (h->first + 1) % h->cap;
		h->n--;
		(void)pthread_mutex_unlock(&h->lock);
		c.fn(c.arg);
		(void)pthread_mutex_lock(&h->lock);
	}
	(void)pthread_mutex_unlock(&h->lock);
	return NULL;
}

int lw_helpers_create(uint32_t threads, uint32_t queue, struct lw_helpers **ret)
{
	struct lw_helpers *h = calloc(1, sizeof(*h));
	int r = 0;

	if (h == NULL)
		return -ENOMEM;
	(void)pthread_mutex_init(&h->lock, NULL);
	(void)pthread_cond_init(&h->wake, NULL);
	h->cap = queue;
	h->ring = calloc(queue, sizeof(*h->ring));
	h->threads = calloc(threads, sizeof(*h->threads));
	if (h->ring == NULL || h->threads == NULL) {
		lw_helpers_destroy(h);
		return -ENOMEM;
	}
	while (r == 0 && h->n_threads < threads) {
		r = lw_thread_start(&h->threads[h->n_threads], helper_main, h);
		if (r == 0)
			h->n_threads++;
	}
	if (r < 0) {
		lw_helpers_destroy(h);
		return r;
	}
	*ret = h;
	return 0;
}

void lw_helpers_destroy(struct lw_helpers *h)
{
	if (h == NULL)
		return;
	(void)pthread_mutex_lock(&h->lock);
	h->stop = true;
	(void)pthread_cond_broadcast(&h->wake);
	(void)pthread_mutex_unlock(&h->lock);
	for (uint32_t i = 0; i < h->n_threads; i++)
		(void)pthread_join(h->threads[i], NULL);
	(void)pthread_cond_destroy(&h->wake);
	(void)pthread_mutex_destroy(&h->lock);
	free(h->threads);
	free(h->ring);
	free(h);
}

int lw_helpers_call(struct lw_helpers *h, void (*fn)(void *arg), void *arg)
{
	int r = -EAGAIN;

	(void)pthread_mutex_lock(&h->lock);
	if (h->n < h->cap && !h->stop) {
		h->ring[(h->first + h->n) % h->cap] = (struct call){ .fn = fn, .arg = arg };
		h->n++;
		(void)pthread_cond_signal(&h->wake);
		r = 0;
	}
	(void)pthread_mutex_unlock(&h->lock);
	return r;
}
