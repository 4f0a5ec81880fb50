/* SPDX-License-Identifier: MIT */
/*
 * inside-tun: the tunnel's own packets come from and go to a TUN device of the kernel, one queue
 * for each worker.
 */
#include "inside-tun.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* IPv4 demands that every host takes packets of this size (RFC 791) */
#define MTU_MIN 576
#define MTU_MAX 65535

/* where an operator gives no address: those that stock Lightway uses */
static const struct lw_addr server_address = { .family = 4, .prefix = 16, .ip = { 10, 125, 0, 1 } };
static const struct lw_addr client_address = { .family = 4, .prefix = 32, .ip = { 100, 64, 0, 6 } };
static const struct lw_addr client_peer = { .family = 4, .ip = { 100, 64, 0, 5 } };

/* The kernel takes "lw%d" as a template, and other programs choke on the rest. */
static bool name_is_good(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (name[i] <= ' ' || name[i] > '~' || strchr("%/:\"\\", name[i]) != NULL)
			return false;
	}
	return true;
}

static int tun_check(const void *opts, struct lw_err *err)
{
	const struct lw_tun_options *o = opts;

	if (!name_is_good(o->name))
		return lw_err_set_at(err, -EINVAL, "name",
		                     "a device name has 1 to %d letters, digits, dots or dashes",
		                     IFNAMSIZ - 1);
	if (o->address.family == 6 || o->peer.family == 6)
		return lw_err_set_at(err, -EINVAL, o->address.family == 6 ? "address" : "peer",
		                     "the inside is IPv4 only");
	if (o->address.family != 0 && o->address.prefix == 0)
		return lw_err_set_at(err, -EINVAL, "address",
		                     "an address needs its prefix length, such as 10.125.0.1/16");
	if (o->peer.family != 0 && o->address.prefix != 32)
		return lw_err_set_at(err, -EINVAL, "peer",
		                     "a point-to-point device needs an address with /32");
	return lw_tun_offload_check(o, err);
}

static int tun_create(const struct lw_host *h, const void *opts, void **ret_inst,
                      const void **ret_conf, struct lw_err *err)
{
	struct lw_tun *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return lw_err_set(err, -ENOMEM, "out of memory");
	t->host = h;
	t->opts = opts;
	*ret_inst = t;
	*ret_conf = opts;
	return 0;
}

static void choose_addresses(const struct lw_tun_options *o, uint32_t role, struct lw_tun_setup *s)
{
	s->address = o->address;
	s->peer = o->peer;
	if (o->address.family != 0)
		return;
	s->address = role == LW_ROLE_CLIENT ? client_address : server_address;
	if (role == LW_ROLE_CLIENT)
		s->peer = client_peer;
}

/* UDP superpackets have at most 64 segments before Linux 6.9; full TCP segments reach 64 KiB sooner
 */
static struct lw_caps caps_of(const struct lw_tun_offload *o)
{
	struct lw_caps caps = { .flags = o->caps };

	if ((o->caps & LW_TUN_CAPS_SEND) != 0) {
		caps.max_segs = 64;
		caps.max_bytes = LW_TUN_PACKET4_MAX;
	}
	return caps;
}

static int tun_prepare(void *inst, const struct lw_env *env, struct lw_caps *ret_caps,
                       struct lw_err *err)
{
	struct lw_tun *t = inst;
	const struct lw_tun_options *o = t->opts;
	struct lw_tun_setup s = {
		.name = o->name,
		.path = o->device,
		.mtu = o->mtu != 0 ? (uint32_t)o->mtu : env->inside_mtu,
		.queue_len = (uint32_t)o->queue_length,
		.role = env->role,
		.queues = env->workers,
	};
	int r;

	if (s.mtu > env->inside_mtu)
		return lw_err_set_at(err, -EINVAL, "mtu",
		                     "%u is more than the tunnel takes, which is %u", s.mtu,
		                     env->inside_mtu);
	choose_addresses(o, env->role, &s);
	r = lw_tun_offload_wish(o, lw_env_caps_wanted(env), &s.wish, err);
	if (r == 0)
		r = lw_tun_device_open(&s, &t->dev, t->host, err);
	if (r < 0)
		return r;
	*ret_caps = caps_of(&t->dev.offload);
	lw_log(t->host, LW_LOG_INFO, "device %s: %u.%u.%u.%u/%u, MTU %u, %u queue%s", s.name,
	       s.address.ip[0], s.address.ip[1], s.address.ip[2], s.address.ip[3], s.address.prefix,
	       s.mtu, s.queues, s.queues == 1 ? "" : "s");
	return 0;
}

static int tun_worker_start(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err)
{
	struct lw_tun *t = inst;
	int r;

	if (w->index >= t->dev.n_queues)
		return lw_err_set(err, -EINVAL, "device %s has no queue for worker %u", t->dev.name,
		                  w->index);
	r = t->host->watch(t->host, w, t->dev.queues[w->index].fd, w->index);
	if (r < 0)
		return lw_err_set(err, r, "cannot watch device %s: %s", t->dev.name, strerror(-r));
	*ret_state = &t->dev.queues[w->index];
	return 0;
}

static void tun_worker_stop(void *inst, struct lw_worker *w)
{
	const struct lw_tun *t = inst;

	t->host->unwatch(t->host, w, t->dev.queues[w->index].fd);
}

static int tun_steer(void *inst, uint32_t tag, const struct lw_steer *s)
{
	struct lw_tun *t = inst;

	return tag == 0 ? lw_tun_device_steer(&t->dev, s->prog_fd) : -ENOENT;
}

static void tun_destroy(void *inst)
{
	struct lw_tun *t = inst;

	if (t == NULL)
		return;
	lw_tun_device_close(&t->dev, t->host);
	free(t);
}

static const struct lw_option options[] = {
	{ .name = "name",
	  .def = "lw0",
	  .doc = "name of the device",
	  .type = LW_OPT_STRING,
	  .flags = 0,
	  LW_OPTION_AT(struct lw_tun_options, name) },
	{ .name = "address",
	  .doc = "IPv4 address of the device with its prefix length; without one 10.125.0.1/16 for "
	         "a server, 100.64.0.6/32 with the peer 100.64.0.5 for a client",
	  .type = LW_OPT_PREFIX,
	  .flags = 0,
	  LW_OPTION_AT(struct lw_tun_options, address) },
	{ .name = "peer",
	  .doc = "IPv4 address of the other end, for a device with an address of /32",
	  .type = LW_OPT_ADDR,
	  .flags = 0,
	  LW_OPTION_AT(struct lw_tun_options, peer) },
	{ .name = "mtu",
	  .unit = "bytes",
	  .doc = "largest packet; without one the tunnel's",
	  .type = LW_OPT_INT,
	  .flags = 0,
	  LW_OPTION_AT(struct lw_tun_options, mtu),
	  .min = MTU_MIN,
	  .max = MTU_MAX },
	{ .name = "queue_length",
	  .unit = "packets",
	  .doc = "how many packets the kernel keeps for each worker before it drops; without one "
	         "10000 for a server, 4000 for a client, 2000 superpackets",
	  .type = LW_OPT_INT,
	  .flags = 0,
	  LW_OPTION_AT(struct lw_tun_options, queue_length),
	  .min = 16,
	  .max = 65536 },
	{ .name = "offload",
	  .def = "auto",
	  .doc = "superpackets and partial checksums, both ways: auto takes what the kernel "
	         "grants, "
	         "on demands all",
	  .type = LW_OPT_TRI,
	  .flags = 0,
	  LW_OPTION_AT(struct lw_tun_options, offload) },
	{ .name = "tso",
	  .def = "auto",
	  .doc = "read TCP superpackets; auto: as offload says, off: do not write them either",
	  .type = LW_OPT_TRI,
	  .flags = 0,
	  LW_OPTION_AT(struct lw_tun_options, tso) },
	{ .name = "uso",
	  .def = "auto",
	  .doc = "read UDP superpackets; auto: as offload says, off: do not write them either",
	  .type = LW_OPT_TRI,
	  .flags = 0,
	  LW_OPTION_AT(struct lw_tun_options, uso) },
	{ .name = "checksum",
	  .def = "auto",
	  .doc = "read packets whose checksum is left to us; auto: as offload says, off: no "
	         "superpackets are read either",
	  .type = LW_OPT_TRI,
	  .flags = 0,
	  LW_OPTION_AT(struct lw_tun_options, checksum) },
	{ .name = "coalesce",
	  .def = "auto",
	  .doc = "write superpackets; auto: as offload says",
	  .type = LW_OPT_TRI,
	  .flags = 0,
	  LW_OPTION_AT(struct lw_tun_options, coalesce) },
	{ .name = "device",
	  .def = "/dev/net/tun",
	  .doc = "where the kernel's TUN driver is",
	  .type = LW_OPT_PATH,
	  .flags = 0,
	  LW_OPTION_AT(struct lw_tun_options, device) },
	{ .name = NULL },
};

static const char *const counters[] = {
	[TUN_CTR_RX_PACKETS] = "rx_packets",
	[TUN_CTR_RX_BYTES] = "rx_bytes",
	[TUN_CTR_RX_SUPERPACKETS] = "rx_superpackets",
	[TUN_CTR_RX_SEGMENTS] = "rx_segments",
	[TUN_CTR_RX_PARTIAL] = "rx_partial",
	[TUN_CTR_RX_TOO_LONG] = "rx_too_long",
	[TUN_CTR_RX_INVALID] = "rx_invalid",
	[TUN_CTR_RX_ERRORS] = "rx_errors",
	[TUN_CTR_TX_PACKETS] = "tx_packets",
	[TUN_CTR_TX_BYTES] = "tx_bytes",
	[TUN_CTR_TX_SUPERPACKETS] = "tx_superpackets",
	[TUN_CTR_TX_SEGMENTS] = "tx_segments",
	[TUN_CTR_TX_REFUSED] = "tx_refused",
	[TUN_CTR_TX_BUSY] = "tx_busy",
	[TUN_CTR_TX_DOWN] = "tx_down",
	[TUN_CTR_TX_INVALID] = "tx_invalid",
	[TUN_CTR_TX_ERRORS] = "tx_errors",
	NULL,
};

static const struct lw_life_ops life = {
	.size = sizeof(life),
	.check = tun_check,
	.create = tun_create,
	.prepare = tun_prepare,
	.worker_start = tun_worker_start,
	.worker_stop = tun_worker_stop,
	.destroy = tun_destroy,
};

static const struct lw_inside_ops ops = {
	.size = sizeof(ops),
	.recv = lw_tun_recv,
	.send = lw_tun_send,
	.steer = tun_steer,
};

LW_MODULE(LW_KIND_INSIDE, "inside-tun", "0.1.0", "packets of a TUN device of the kernel", options,
          sizeof(struct lw_tun_options), counters, &life, &ops, 0);
