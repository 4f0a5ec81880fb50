/* SPDX-License-Identifier: MIT */
/* An instance of outside-udp on loopback, and a plain socket as its peer. */
#ifndef LW_TEST_OUTSIDE_UDP_BED_H
#define LW_TEST_OUTSIDE_UDP_BED_H

#include "fake/fake_host.h"
#include "outside-udp.h"

#define BED_WORKERS_MAX 4
#define BED_LISTEN_MAX  2
#define BED_DATAGRAM    64

extern const struct lw_module laneway_module;

struct bed {
	struct lw_fake_host host;
	struct lw_addr listen[BED_LISTEN_MAX];
	struct udp_options opts;
	uint64_t wanted; /* what the host can deal with: LW_CAP_* */
	struct lw_caps caps;
	struct lw_err err;
	void *inst;
	struct lw_fake_worker workers[BED_WORKERS_MAX];
	uint32_t n_workers;
	struct lw_batch *b;
	int peer;
};

/* bed_addr() - an address from its text; a wrong one ends the test program */
struct lw_addr bed_addr(const char *text);

/* bed_has_ipv6() - whether this kernel has ::1 */
bool bed_has_ipv6(void);

/* bed_free_port() - a port that nobody has on any address of both families */
uint16_t bed_free_port(void);

/* bed_create() - an instance with these options, not yet prepared; n_listen texts, NULL for none */
void bed_create(struct bed *bed, const char *listen0, const char *listen1, uint16_t port);

/* bed_prepare() - call prepare(); answers what it answers, err is in the bed */
int bed_prepare(struct bed *bed, uint32_t workers, uint32_t role);

/* bed_start() - create, prepare and start; the peer has a socket on an address of the family */
void bed_start(struct bed *bed, const char *listen0, uint32_t workers);

/* bed_start_runs() - the same for a host that can deal with these of LW_CAP_GSO and LW_CAP_GRO,
 * which must be granted */
void bed_start_runs(struct bed *bed, const char *listen0, uint64_t wanted);

/* bed_start_client() - the same without a listener, in the client's role */
void bed_start_client(struct bed *bed, const char *peer);
void bed_start_client_runs(struct bed *bed, const char *peer, uint64_t wanted);

/* bed_connect() - a socket of the client towards a server */
struct lw_endpoint bed_connect(struct bed *bed, const struct lw_addr *server);

/* bed_stop() - all the way down; what is left watched or open fails the test */
void bed_stop(struct bed *bed);

/* bed_socket() - a blocking socket bound to an address, with a receive timeout */
int bed_socket(const char *at, uint16_t port);

/* bed_name() - what a socket is bound to */
struct lw_addr bed_name(int fd);

/* bed_send() - from a plain socket */
void bed_send(int fd, const struct lw_addr *to, const void *data, size_t len);

/* bed_receive() - on a plain socket; -1 after two seconds of silence */
ssize_t bed_receive(int fd, void *data, size_t cap, struct lw_addr *ret_from);

/* bed_silent() - whether nothing waits on a plain socket */
bool bed_silent(int fd);

/* bed_collect() - recv() of the module until the batch has n packets or two seconds went by */
void bed_collect(struct bed *bed, uint32_t worker, uint32_t tag, uint32_t n);

/* bed_collect_any() - the same until anything came */
void bed_collect_any(struct bed *bed, uint32_t tag);

/* bed_bytes() - fill with what belongs at a place of an endless row of bytes, which tells its own
 * order */
void bed_bytes(uint8_t *dst, uint64_t at, uint32_t len);

/* bed_add_run() - append a run to the batch, of bytes of that row; stride 0: a single datagram */
struct lw_packet *bed_add_run(struct bed *bed, struct lw_endpoint *ep, uint64_t at, uint32_t len,
                              uint16_t stride);

/* bed_expect() - on a plain socket: the datagrams of a run must come, one by one */
void bed_expect(int fd, uint64_t at, uint32_t len, uint16_t stride);

/* bed_counter() - of worker 0 */
uint64_t bed_counter(const struct bed *bed, const char *name);

/* bed_fds() - how many descriptors this process has */
unsigned bed_fds(void);

static inline struct lw_worker *bed_worker(struct bed *bed, uint32_t i)
{
	return &bed->workers[i].w;
}

static inline int bed_recv(struct bed *bed, uint32_t tag)
{
	return laneway_module.ops.udp->recv(bed->inst, bed_worker(bed, 0), tag, bed->b);
}

static inline int bed_send_batch(struct bed *bed, uint32_t *ret_done)
{
	return laneway_module.ops.udp->send(bed->inst, bed_worker(bed, 0), bed->b, ret_done);
}

#endif
