/* SPDX-License-Identifier: MIT */
/*
 * What a module offers: one const symbol, made by LW_MODULE().
 *
 * load -> check -> create -> prepare -> worker_start (each worker) -> reload -> worker_stop ->
 * destroy. A step that fails undoes itself; the core undoes the steps before it.
 */
#ifndef LW_LANEWAY_MODULE_H
#define LW_LANEWAY_MODULE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <laneway/abi.h>
#include <laneway/addr.h>
#include <laneway/err.h>
#include <laneway/host.h>
#include <laneway/option.h>
#include <laneway/packet.h>

/* capabilities, as prepare() found them */
enum {
	LW_CAP_TSO = 1,       /* inside: TCP superpackets on receive */
	LW_CAP_USO = 2,       /* inside: UDP superpackets on receive */
	LW_CAP_CSUM = 4,      /* inside: partial checksums on receive; TSO and USO need it too */
	LW_CAP_GSO = 8,       /* outside: runs on send */
	LW_CAP_GRO = 16,      /* outside: runs on receive */
	LW_CAP_SUPER = 32,    /* filter: takes superpackets whole */
	LW_CAP_SEND_TSO = 64, /* inside: TCP superpackets on send; since ABI 0.2 */
	LW_CAP_SEND_USO = 128 /* inside: UDP superpackets on send; since ABI 0.2 */
};

/**
 * struct lw_caps - what an instance can really do
 *
 * @flags:     LW_CAP_*
 * @max_segs:  most segments of a superpacket or run, 0: no limit of its own
 * @max_bytes: most bytes of one, 0: no limit of its own
 * @headroom:  bytes it needs in front of a packet
 * @tailroom:  bytes it needs behind one
 * @burst:     outside_udp: most datagrams of one session that leave at once, 0: as the core finds
 *             best; since ABI 0.4
 *
 * Since: ABI 0.1
 */
struct lw_caps {
	uint64_t flags;
	uint32_t max_segs;
	uint32_t max_bytes;
	uint32_t headroom;
	uint32_t tailroom;
	uint32_t burst;
	uint32_t reserved32;
	uint64_t reserved[3];
};
LW_ASSERT_SIZE(lw_caps, 56);

enum { LW_ROLE_SERVER, LW_ROLE_CLIENT };

/**
 * struct lw_env - what prepare() may want to know
 *
 * @size:        sizeof(struct lw_env) of the host
 * @role:        LW_ROLE_*
 * @workers:     number of workers; an answer of -EUSERS says that fewer would do
 * @inside_mtu:  bytes of the largest inside packet, or of one segment of a superpacket
 * @caps_wanted: LW_CAP_* that the host can deal with; a module grants no other. Read it with
 *               lw_env_caps_wanted(); since ABI 0.2
 *
 * Since: ABI 0.1
 */
struct lw_env {
	uint32_t size;
	uint32_t role;
	uint32_t workers;
	uint32_t inside_mtu;
	uint64_t caps_wanted;
};
LW_ASSERT_SIZE(lw_env, 24);

/**
 * lw_env_caps_wanted() - the capabilities that a host can deal with
 *
 * @env: as prepare() got it; borrowed
 *
 * Context: control thread, in prepare().
 * Return:  LW_CAP_*; 0 from a host before ABI 0.2: single packets with complete checksums only.
 * Since:   ABI 0.2
 */
static inline uint64_t lw_env_caps_wanted(const struct lw_env *env)
{
	const uint32_t needed = offsetof(struct lw_env, caps_wanted) + sizeof(env->caps_wanted);

	return env->size >= needed ? env->caps_wanted : 0;
}

/**
 * struct lw_life_ops - the life of an instance; only create and destroy are required
 *
 * Control thread unless named worker_*; the latter run on their worker.
 *
 * @check:        rules across options; pure: opens nothing, changes nothing
 * @create:       make an instance and its first snapshot; @opts lives as long as that snapshot.
 *                Opens nothing that needs privileges
 * @prepare:      the last step with privileges: opens every worker's descriptors, probes, and
 *                answers the effective capabilities. -EOPNOTSUPP: try the next of the list
 * @worker_start: answers the worker's state and watches its descriptors
 * @reload:       a new snapshot from new options; changes nothing else
 * @worker_conf:  between rounds, before w->conf becomes @next
 * @retire:       no worker uses @conf any more, or it was never used
 * @worker_stop:  undo worker_start
 * @destroy:      takes NULL and half-built instances
 * @ready:        a descriptor watched for the control thread is readable
 *
 * Since: ABI 0.1
 */
struct lw_life_ops {
	uint32_t size;
	uint32_t reserved;
	int (*check)(const void *opts, struct lw_err *err);
	int (*create)(const struct lw_host *h, const void *opts, void **ret_inst,
	              const void **ret_conf, struct lw_err *err);
	int (*prepare)(void *inst, const struct lw_env *env, struct lw_caps *ret_caps,
	               struct lw_err *err);
	int (*worker_start)(void *inst, struct lw_worker *w, void **ret_state, struct lw_err *err);
	int (*reload)(void *inst, const void *opts, const void **ret_conf, struct lw_err *err);
	void (*worker_conf)(void *inst, struct lw_worker *w, const void *next);
	void (*retire)(void *inst, const void *conf);
	void (*worker_stop)(void *inst, struct lw_worker *w);
	void (*destroy)(void *inst);
	void (*ready)(void *inst, uint32_t tag);
};

/**
 * struct lw_steer - a program that brings packets to their owner's queue or socket
 *
 * It answers the number of a worker; what is no worker's number is left to the kernel's own choice.
 * For a peer without a session that of an outside answers the number of all workers plus that of
 * one, whose socket for strangers it means: if the module has such, they are bound behind the
 * others.
 *
 * @insns:   outside: array of struct sock_filter (classic BPF)
 * @n:       how many
 * @prog_fd: inside: descriptor of a loaded eBPF program, else -1
 *
 * Since: ABI 0.1
 */
struct lw_steer {
	const void *insns;
	uint32_t n;
	int32_t prog_fd;
};

/*
 * Sending, for every send of a batch: *ret_done tells how many packets were taken whole, in order.
 *   0            all were taken
 *   -EAGAIN      wait until the socket is writable; the caller keeps [done, n)
 *   -ENOBUFS     the same, but try again in 1 ms
 *   -EOPNOTSUPP  packet [done] has a superpacket or run form that the kernel refused; never of a
 *                single one. Its status is then what the kernel said, a negative errno, or 0: not
 *                told; since ABI 0.3
 *   -EMSGSIZE    packet [done] is larger than the path allows; of a run: one of its datagrams or
 *                the sum of them is, so some may pass one by one
 *   any other    the caller drops and counts packet [done]
 * The module maps errno; what to do about it is the core's policy.
 *
 * Receiving appends to the batch. 0: the batch is full; -EAGAIN: drained; any other: the tag is
 * dead.
 */

/**
 * struct lw_inside_ops - where the tunnel's own packets come from and go to
 *
 * @recv:  append packets of queue @tag
 * @send:  write the batch to the worker's queue
 * @steer: install a program on the device, @tag 0, until the instance is destroyed; control thread,
 *         after prepare() and before worker_start(); may be NULL
 *
 * What was granted of lw_env.caps_wanted changes what the packets may be; without any of it they
 * are single, with complete checksums.
 * recv, with CSUM: LW_PKT_CSUM_PARTIAL with csum_start and csum_off, both inside the packet; or
 *   LW_PKT_CSUM_GOOD. With TSO, USO: gso_type and gso_size too; the length fields of the headers
 *   are the superpacket's. Nothing in a header is verified but that type, version and the place of
 *   the checksum agree and that no segment is larger than the MTU: the receiver parses, l4_off and
 *   hdr_len are 0. A superpacket without CSUM_PARTIAL has a checksum field that is no seed. The
 *   arena of the batch holds at least headroom, 66 KiB and tailroom.
 * send, with SEND_TSO, SEND_USO: packets with gso_size > 0 of that kind. They have CSUM_PARTIAL,
 *   more than one segment, at most lw_caps.max_segs of them and max_bytes, and the length fields
 *   and the sum of the superpacket. The payload may lie in more. A single packet has gso_size 0
 *   and a complete checksum or, with any capability granted, CSUM_PARTIAL; with SEND_TSO or
 *   SEND_USO it may have more.
 *
 * Since: ABI 0.1
 */
struct lw_inside_ops {
	uint32_t size;
	uint32_t reserved;
	int (*recv)(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *b);
	int (*send)(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done);
	int (*steer)(void *inst, uint32_t tag, const struct lw_steer *s);
};

/**
 * struct lw_outside_udp_ops - datagrams to and from peers
 *
 * @recv:    append datagrams of socket @tag; one receive-offload message is one packet of type RUN
 * @send:    send the batch; each packet's endpoint names socket, destination and source
 * @connect: client: a socket of its own towards @remote; fills the endpoint with its tag
 * @close:   end such a socket
 * @steer:   install a program on the sockets of a listener, @tag from 0 on; -ENOENT: there is no
 *           such listener; control thread, after prepare() and before worker_start(); may be NULL
 *
 * What was granted of lw_env.caps_wanted changes what the packets may be; without any of it they
 * are single datagrams.
 * recv, with GRO: gso_type LW_GSO_RUN and gso_size, smaller than len, for datagrams of one sender,
 *   at most 65,527 bytes and any number of pieces. The arena of the batch holds at least headroom,
 *   64 KiB and tailroom; 16 times that is a call's fill.
 * send, with GSO: LW_GSO_RUN and gso_size for datagrams to one endpoint, at most lw_caps.max_segs
 *   and max_bytes; all but the last are of gso_size bytes. A run goes whole or not at all. The
 *   payload may lie in more, at most 1,000 pieces, with or without a run.
 *
 * Since: ABI 0.1
 */
struct lw_outside_udp_ops {
	uint32_t size;
	uint32_t reserved;
	int (*recv)(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *b);
	int (*send)(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done);
	int (*connect)(void *inst, struct lw_worker *w, const struct lw_addr *remote,
	               struct lw_endpoint *ret_ep);
	void (*close)(void *inst, struct lw_worker *w, uint32_t tag);
	int (*steer)(void *inst, uint32_t tag, const struct lw_steer *s);
};

/**
 * struct lw_outside_tcp_ops - byte streams to and from peers; each connection has a tag, unique in
 * instance and worker
 *
 * @accept:  take one connection of listener @tag; -EAGAIN: none left. *ret_ep's tag is the
 *           connection's
 * @connect: start one; it stands when send or recv says something else than -EINPROGRESS
 * @recv:    read at most @cap bytes; 0 with *ret_len 0: orderly end
 * @send:    write what the socket takes, may be less; keeps no pointer
 * @close:   end a connection
 *
 * Since: ABI 0.1
 */
struct lw_outside_tcp_ops {
	uint32_t size;
	uint32_t reserved;
	int (*accept)(void *inst, struct lw_worker *w, uint32_t tag, struct lw_endpoint *ret_ep);
	int (*connect)(void *inst, struct lw_worker *w, const struct lw_addr *remote,
	               struct lw_endpoint *ret_ep);
	int (*recv)(void *inst, struct lw_worker *w, uint32_t tag, void *buf, uint32_t cap,
	            uint32_t *ret_len);
	int (*send)(void *inst, struct lw_worker *w, uint32_t tag, const struct iovec *iov,
	            uint32_t n, uint32_t *ret_sent);
	void (*close)(void *inst, struct lw_worker *w, uint32_t tag);
};

/**
 * struct lw_cipher_op - one AES-256-GCM operation: 12-byte iv, 16-byte tag, any alignment
 *
 * @key:     from key_create
 * @dst:     result, len bytes; equal to src or disjoint from it
 * @src:     input, len bytes
 * @iv:      12 bytes
 * @aad:     associated data, aad_len bytes
 * @tag:     16 bytes, written by seal, read by open
 * @user:    the caller's
 * @len:     bytes
 * @aad_len: bytes
 * @status:  written by seal and open: 0, or -EBADMSG (dst is then undefined)
 *
 * Since: ABI 0.1
 */
struct lw_cipher_op {
	void *key;
	uint8_t *dst;
	const uint8_t *src;
	const uint8_t *iv;
	const uint8_t *aad;
	uint8_t *tag;
	uint64_t user;
	uint32_t len;
	uint16_t aad_len;
	int16_t status;
};
LW_ASSERT_SIZE(lw_cipher_op, 64);

/**
 * struct lw_cipher_ops - AES-256-GCM over arrays of operations
 *
 * @key_create:  set up 32 key bytes
 * @key_destroy: wipe and free
 * @seal:        every op is tried; a negative return: the engine is broken
 * @open:        the same
 *
 * Since: ABI 0.1
 */
struct lw_cipher_ops {
	uint32_t size;
	uint32_t reserved;
	int (*key_create)(void *inst, struct lw_worker *w, const uint8_t *key32, void **ret_key);
	void (*key_destroy)(void *inst, struct lw_worker *w, void *key);
	int (*seal)(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n);
	int (*open)(void *inst, struct lw_worker *w, struct lw_cipher_op *ops, uint32_t n);
};

/**
 * struct lw_filter_ops - looks at inside packets and decides
 *
 * A filter sets verdicts and may change bytes, and the length of a single packet within its
 * capacity. With LW_VERDICT_REPLY the packet's bytes are now the answer to its sender.
 *
 * @session_open:  a session came online; may be NULL
 * @session_close: it ended; may be NULL
 * @ingress:       inside -> outside
 * @egress:        outside -> inside
 *
 * Since: ABI 0.1
 */
struct lw_filter_ops {
	uint32_t size;
	uint32_t reserved;
	int (*session_open)(void *inst, struct lw_worker *w, struct lw_session *s);
	void (*session_close)(void *inst, struct lw_worker *w, struct lw_session *s);
	int (*ingress)(void *inst, struct lw_worker *w, struct lw_batch *b);
	int (*egress)(void *inst, struct lw_worker *w, struct lw_batch *b);
};

/**
 * struct lw_codec_ops - turns packets into other units and back
 *
 * @in is of one session and never holds a superpacket; results are appended to @out.
 *
 * @encode: -ENOSPC: out is full, *ret_done packets of in are taken
 * @decode: the same
 * @flush:  give out what is held; *ret_next_us 0: nothing is held any more
 *
 * Since: ABI 0.1
 */
struct lw_codec_ops {
	uint32_t size;
	uint32_t reserved;
	int (*session_open)(void *inst, struct lw_worker *w, struct lw_session *s);
	void (*session_close)(void *inst, struct lw_worker *w, struct lw_session *s);
	int (*encode)(void *inst, struct lw_worker *w, struct lw_batch *in, struct lw_batch *out,
	              uint32_t *ret_done);
	int (*decode)(void *inst, struct lw_worker *w, struct lw_batch *in, struct lw_batch *out,
	              uint32_t *ret_done);
	int (*flush)(void *inst, struct lw_worker *w, struct lw_session *s, struct lw_batch *out,
	             uint64_t *ret_next_us);
};

/* methods of an authentication request, numbered as on the wire */
enum {
	LW_AUTH_METHOD_PASSWORD = 1,
	LW_AUTH_METHOD_TOKEN = 2,
	LW_AUTH_METHOD_VERSIONED_TOKEN = 3,
	LW_AUTH_METHOD_CALLBACK = 23
};

/**
 * struct lw_auth_request - who wants in
 *
 * @size:       sizeof(struct lw_auth_request) of the host
 * @method:     LW_AUTH_METHOD_*
 * @token:      names the request in lw_host.answer()
 * @user:       name, ends with a zero; "" where the method has none
 * @secret:     password, token or callback data; wiped by the core after the answer
 * @secret_len: bytes
 * @from:       where the request came from
 *
 * The core owns it; it lives until the answer.
 * Since: ABI 0.1
 */
struct lw_auth_request {
	uint32_t size;
	uint32_t method;
	uint64_t token;
	const char *user;
	const uint8_t *secret;
	uint64_t secret_len;
	struct lw_addr from;
};

/**
 * struct lw_auth_ops - decides who may connect
 *
 * @submit: helper thread, may block. 0: lw_host.answer() was or will be called once;
 *          negative errno: it will not be
 *
 * Since: ABI 0.1
 */
struct lw_auth_ops {
	uint32_t size;
	uint32_t reserved;
	int (*submit)(void *inst, const struct lw_auth_request *rq);
};

enum {
	LW_KIND_INSIDE = 1,
	LW_KIND_OUTSIDE_UDP,
	LW_KIND_OUTSIDE_TCP,
	LW_KIND_CIPHER,
	LW_KIND_FILTER,
	LW_KIND_CODEC,
	LW_KIND_AUTH
};

/**
 * struct lw_module - the descriptor
 *
 * @magic:         LW_ABI_MAGIC. This and all up to @version is frozen
 * @abi_major:     LW_ABI_MAJOR the module was built with
 * @abi_minor:     LW_ABI_MINOR the module was built with
 * @size:          sizeof(struct lw_module) of the module
 * @kind:          LW_KIND_*
 * @name:          as in the file name: inside-tun
 * @version:       the module's own
 * @summary:       one sentence for --module-help
 * @options:       table of options, NULL for none
 * @counters:      names of counters, ends with NULL; NULL for none
 * @life:          required
 * @ops:           table of operations of its kind, required
 * @options_size:  bytes of the options struct
 * @session_bytes: bytes it needs in each session
 *
 * Since: ABI 0.1
 */
struct lw_module {
	uint32_t magic;
	uint16_t abi_major;
	uint16_t abi_minor;
	uint32_t size;
	uint32_t kind;
	const char *name;
	const char *version;
	const char *summary;
	const struct lw_option *options;
	const char *const *counters;
	const struct lw_life_ops *life;
	union {
		const void *any;
		const struct lw_inside_ops *inside;
		const struct lw_outside_udp_ops *udp;
		const struct lw_outside_tcp_ops *tcp;
		const struct lw_cipher_ops *cipher;
		const struct lw_filter_ops *filter;
		const struct lw_codec_ops *codec;
		const struct lw_auth_ops *auth;
	} ops;
	uint32_t options_size;
	uint32_t session_bytes;
};
LW_ASSERT_SIZE(lw_module, 80);

/* A static build gives each module's descriptor a name of its own. */
#ifdef LW_STATIC_MODULE
#define LW_MODULE_PASTE_(name) lw_module_##name
#define LW_MODULE_PASTE(name)  LW_MODULE_PASTE_(name)
#define LW_MODULE_SYMBOL       LW_MODULE_PASTE(LW_STATIC_MODULE)
#else
#define LW_MODULE_SYMBOL laneway_module
#endif

/**
 * LW_MODULE() - define the one symbol that a module exports
 *
 * Since: ABI 0.1
 */
#define LW_MODULE(kind, name, version, summary, opts, opts_size, counters, life, ops,              \
                  session_bytes)                                                                   \
	LW_EXTERN __attribute__((visibility("default"))) const struct lw_module LW_MODULE_SYMBOL;  \
	const struct lw_module LW_MODULE_SYMBOL = { LW_ABI_MAGIC,                                  \
		                                    LW_ABI_MAJOR,                                  \
		                                    LW_ABI_MINOR,                                  \
		                                    (uint32_t)sizeof(struct lw_module),            \
		                                    kind,                                          \
		                                    name,                                          \
		                                    version,                                       \
		                                    summary,                                       \
		                                    opts,                                          \
		                                    counters,                                      \
		                                    life,                                          \
		                                    { ops },                                       \
		                                    (uint32_t)(opts_size),                         \
		                                    (uint32_t)(session_bytes) }

#endif
