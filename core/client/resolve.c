/* SPDX-License-Identifier: MIT */
#include "client/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "worker/thread.h"

#define WHO "client"

/* Two threads know it, and the last one frees it. */
struct lw_resolve {
	struct lw_mail mail; /* first */
	struct lw_mailbox *mb;
	void (*done)(void *arg, const struct lw_resolved *found);
	void *arg;
	struct lw_client_server servers[LW_CLIENT_SERVERS]; /* hosts are copies */
	uint32_t n;
	struct lw_resolved found;
	pthread_mutex_t lock;
	bool finished; /* the thread is through */
	bool dropped;  /* nobody waits */
};

static void add(const struct addrinfo *ai, const struct lw_client_server *server, uint32_t index,
                struct lw_resolved *ret)
{
	struct lw_target *t = &ret->targets[ret->n];
	struct sockaddr_storage ss = { 0 };

	if (ret->n == LW_CLIENT_SERVERS || ai->ai_addrlen > sizeof(ss))
		return;
	memcpy(&ss, ai->ai_addr, ai->ai_addrlen);
	if (lw_addr_from_sockaddr(&ss, &t->addr) < 0)
		return;
	t->addr.port = server->port;
	t->server = index;
	t->tcp = server->tcp;
	ret->n++;
}

static int look_up(const struct lw_client_server *server, uint32_t index, int flags,
                   struct lw_resolved *ret)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
		                        .ai_socktype = SOCK_DGRAM,
		                        .ai_flags = flags };
	struct addrinfo *list = NULL;
	int r = getaddrinfo(server->host, NULL, &hints, &list);

	if (r != 0)
		return r;
	for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
		add(ai, server, index, ret);
	freeaddrinfo(list);
	return 0;
}

bool lw_resolve_numeric(const struct lw_client_server *servers, uint32_t n, struct lw_resolved *ret)
{
	struct lw_resolved found = { .n = 0 };

	for (uint32_t i = 0; i < n; i++) {
		if (look_up(&servers[i], i, AI_NUMERICHOST, &found) != 0)
			return false;
	}
	*ret = found;
	return true;
}

static void look_up_all(const struct lw_client_server *servers, uint32_t n, struct lw_resolved *ret)
{
	for (uint32_t i = 0; i < n; i++) {
		int r = look_up(&servers[i], i, AI_NUMERICHOST, ret);

		if (r == EAI_NONAME)
			r = look_up(&servers[i], i, AI_ADDRCONFIG, ret);
		if (r == 0)
			continue;
		(void)snprintf(ret->why, sizeof(ret->why), "%s", gai_strerror(r));
		lw_log_write(LW_LOG_WARN, WHO, "no address for '%s': %s", servers[i].host,
		             ret->why);
	}
}

static void destroy(struct lw_resolve *r)
{
	for (uint32_t i = 0; i < r->n; i++) {
		union {
			const char *in;
			char *out;
		} host = { .in = r->servers[i].host };

		free(host.out);
	}
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

static void *resolve_main(void *arg)
{
	struct lw_resolve *r = arg;
	bool dropped;

	look_up_all(r->servers, r->n, &r->found);
	(void)pthread_mutex_lock(&r->lock);
	r->finished = true;
	dropped = r->dropped;
	/* under the lock: who drops it may end the mailbox next */
	if (!dropped)
		lw_mailbox_post(r->mb, &r->mail);
	(void)pthread_mutex_unlock(&r->lock);
	if (dropped)
		destroy(r);
	return NULL;
}

static void deliver(struct lw_mail *m)
{
	struct lw_resolve *r = (struct lw_resolve *)(void *)m;

	r->done(r->arg, &r->found);
}

static int copy_servers(struct lw_resolve *r, const struct lw_client_server *servers, uint32_t n)
{
	for (uint32_t i = 0; i < n && i < LW_CLIENT_SERVERS; i++) {
		r->servers[i] = servers[i];
		r->servers[i].host = strdup(servers[i].host);
		if (r->servers[i].host == NULL)
			return -ENOMEM;
		r->n++;
	}
	return 0;
}

int lw_resolve_start(const struct lw_client_server *servers, uint32_t n, struct lw_mailbox *mb,
                     void (*done)(void *arg, const struct lw_resolved *found), void *arg,
                     struct lw_resolve **ret)
{
	struct lw_resolve *r = calloc(1, sizeof(*r));
	pthread_t thread;
	int error;

	if (r == NULL)
		return -ENOMEM;
	r->mail.deliver = deliver;
	r->mb = mb;
	r->done = done;
	r->arg = arg;
	(void)pthread_mutex_init(&r->lock, NULL);
	error = copy_servers(r, servers, n);
	if (error == 0)
		error = lw_thread_start(&thread, resolve_main, r);
	if (error != 0) {
		destroy(r);
		return error;
	}
	(void)pthread_detach(thread);
	*ret = r;
	return 0;
}

void lw_resolve_drop(struct lw_resolve *r)
{
	bool finished;

	if (r == NULL)
		return;
	(void)pthread_mutex_lock(&r->lock);
	r->dropped = true;
	finished = r->finished;
	(void)pthread_mutex_unlock(&r->lock);
	if (finished)
		destroy(r);
}
