/* SPDX-License-Identifier: MIT */
/*
 * A path with modules in memory, and for each of its tunnels the other end, online already. What
 * the modules answer is written down by the test.
 */
#ifndef LW_TESTS_PATH_BED_H
#define LW_TESTS_PATH_BED_H

#include <stdbool.h>
#include <stdint.h>

#include "fake/fake_cipher.h"
#include "path/path.h"
#include "unit/session_pair.h"

#define BED_PEERS   8
#define BED_FILTERS 3
#define BED_STEPS   8
#define BED_MTU     1350u
#define BED_TUN     0x64400006u /* 100.64.0.6: what the client's system uses */
#define BED_TOLD    0x0a7d0005u /* 10.125.0.5: what the pair tells every client */
#define BED_HOST    0x08080808u /* somebody behind the server */
#define BED_UDP_TAG 100u        /* of peer 0 */
#define BED_TCP_TAG 200u

/* bytes in order, with their boundaries */
struct bed_item {
	struct bed_item *next;
	uint32_t tag;
	uint32_t len;
	uint16_t gso_size;
	uint8_t data[];
};

struct bed_queue {
	struct bed_item *head;
	struct bed_item *tail;
	uint32_t n;
};

/* answers of a send(); after the last everything is taken */
struct bed_step {
	int r;
	uint32_t take;
};

struct bed_script {
	struct bed_step steps[BED_STEPS];
	uint32_t n;
	uint32_t calls;
	int status; /* of the packet that a step does not take */
};

/* one TCP connection in the module */
struct bed_conn {
	struct bed_queue in;
	struct bed_queue out;
	uint32_t chunk;      /* most bytes that one recv() gives, 0: as many as there is room for */
	uint64_t send_room;  /* bytes that send() takes before it says -EAGAIN */
	uint32_t send_chunk; /* most bytes that one send() takes, 0: no limit */
	int recv_end;        /* what recv() says when nothing is left; 0: orderly end */
	int send_error;      /* what send() says, 0: it works */
	uint32_t dies_at;    /* call of send() that says -EPIPE, 0: none */
	uint32_t recv_lie;   /* what recv() and send() say that they took, instead of the truth */
	uint32_t send_lie;
	uint32_t recv_calls;
	uint32_t send_calls;
	uint32_t closed;
};

struct bed_peer {
	struct pair *pair;
	struct lw_tunnel *t;      /* in the path; NULL: destroyed */
	struct lw_tunnel *remote; /* its other end */
	struct pair_side *side;   /* of the other end */
	struct bed_queue got;     /* inside packets that came out there */
	uint32_t tag;
	uint32_t address; /* server: its inside address */
	bool listed;      /* the role finds it */
	uint32_t deadlines;
	uint32_t wants; /* calls of want_write */
};

struct path_bed;

/* a filter: what it is to do with each batch, after it was logged */
struct bed_filter {
	struct path_bed *bed;
	char name;
	void (*ingress)(struct lw_packet *p);
	void (*egress)(struct lw_packet *p);
	int open_r;
	uint32_t packets; /* that it was shown */
};

struct path_bed {
	struct lw_path path;
	struct lw_worker w;
	uint64_t now;
	struct bed_peer peers[BED_PEERS];
	uint32_t n_peers;
	struct bed_queue inside_in;
	struct bed_queue inside_out;
	struct bed_script inside_script;
	int inside_end;        /* what inside recv() says when nothing is left */
	uint32_t inside_burst; /* most packets of one recv(), 0: what the batch holds */
	uint32_t inside_recvs;
	void (*inside_act)(struct lw_packet *p); /* what recv() does to each packet */
	struct bed_queue udp_in;
	struct bed_queue udp_out;
	struct bed_script udp_script;
	int udp_end;
	uint32_t udp_burst;
	uint32_t looked;        /* datagrams and runs that by_dgram() was asked about */
	uint32_t frames_heard;  /* that heard() was told of */
	uint32_t looked_handed; /* the same, and packets, while path.handed */
	uint32_t afters;        /* calls of after_dgrams() */
	uint32_t afters_handed;
	bool (*elsewhere)(struct path_bed *b, const struct lw_packet *p); /* NULL: nothing is */
	struct bed_conn conns[BED_PEERS];                                 /* by tag - BED_TCP_TAG */
	struct bed_filter filters[BED_FILTERS];
	struct lw_fake_cipher ciphers[2]; /* of Expresslane: the path's, the other ends' */
	struct lw_random randoms[2];
	struct lw_lane_env lane; /* of the other ends */
	char log[1024];          /* events, filters' sessions, closed tags, ends: in order */
	void (*on_event)(struct path_bed *b, struct bed_peer *peer, const struct lw_event *e);
};

/* bed_create() - a path without tunnels; its ports are one UDP and one TCP instance */
struct path_bed *bed_create(uint32_t role, uint32_t chunks);
/* bed_create_with() - the same with LW_CAP_* of both outsides and the inside, and the limit of runs
 */
struct path_bed *bed_create_with(uint32_t role, uint32_t chunks, uint64_t caps, uint32_t run_segs);
void bed_destroy(struct path_bed *b);

/* bed_add_filter() - one more in the chain, that lets everything pass */
struct bed_filter *bed_add_filter(struct path_bed *b);

/* bed_join() - one more tunnel, online on both ends and known to the filters */
struct bed_peer *bed_join(struct path_bed *b, bool stream);

/* bed_join_lane() - one over UDP with Expresslane ready both ways */
struct bed_peer *bed_join_lane(struct path_bed *b);

/* bed_join_pending() - one that waits for the server's answer to its login */
struct bed_peer *bed_join_pending(struct path_bed *b, bool stream);

struct lw_port *bed_udp_port(struct path_bed *b);
struct lw_port *bed_tcp_port(struct path_bed *b);
struct bed_conn *bed_conn_of(struct path_bed *b, const struct bed_peer *peer);

/* bed_packet() - an IPv4 packet with UDP and right checksums; its payload repeats the mark */
void bed_packet(uint8_t *buf, uint32_t len, uint32_t src, uint32_t dst, uint8_t mark);

/* bed_tcp_packet() - the same with TCP, 40 bytes of headers; its sequence number */
void bed_tcp_packet(uint8_t *buf, uint32_t len, uint32_t src, uint32_t dst, uint32_t seq,
                    uint8_t mark);

/* bed_packet_ok() - both checksums are right */
bool bed_packet_ok(const struct bed_item *item);
uint32_t bed_packet_src(const struct bed_item *item);
uint32_t bed_packet_dst(const struct bed_item *item);

/* bed_inside() - a packet for the inside module to give, from the role's own system to a peer */
void bed_inside(struct path_bed *b, const struct bed_peer *to, uint32_t len, uint8_t mark);

/* bed_remote() - the other end sends a packet: it lies in the outside module afterwards */
void bed_remote(struct path_bed *b, struct bed_peer *from, uint32_t len, uint8_t mark);

/* bed_inside_all(), bed_remote_all() - the same for each mark of a text */
void bed_inside_all(struct path_bed *b, const struct bed_peer *to, uint32_t len, const char *marks);
void bed_remote_all(struct path_bed *b, struct bed_peer *from, uint32_t len, const char *marks);

/* bed_remote_packet() - the same with a packet of the test's own */
void bed_remote_packet(struct path_bed *b, struct bed_peer *from, const void *packet, uint32_t len);

/* bed_remote_frames() - any plaintext from the other end, one record */
void bed_remote_frames(struct path_bed *b, struct bed_peer *from, const void *p, size_t len);

/* bed_remote_flush() - move what the other end made to the outside module */
void bed_remote_flush(struct path_bed *b, struct bed_peer *from);

/* bed_make_run() - join the first n datagrams that wait into one, as receive offload does */
void bed_make_run(struct path_bed *b, uint32_t n);

/* bed_remote_auth() - the other end, a server, answers the login */
void bed_remote_auth(struct path_bed *b, struct bed_peer *from);

/* bed_deliver() - the other ends take what the path has sent */
void bed_deliver(struct path_bed *b);

/* bed_udp(), bed_tcp(), bed_from_inside() - the path reads, once */
int bed_udp(struct path_bed *b);
int bed_tcp(struct path_bed *b, struct bed_peer *peer);
int bed_from_inside(struct path_bed *b);

/* bed_answer() - the role answers the login of a pending one, as a server does */
void bed_answer(struct path_bed *b, const struct bed_peer *peer, uint32_t verdict);

/* bed_counter() - what the path tells under this name; a name that it lacks fails the test */
uint64_t bed_counter(const struct path_bed *b, const char *name);

/* queues */
struct bed_item *bed_push(struct bed_queue *q, const void *data, uint32_t len);
struct bed_item *bed_pop(struct bed_queue *q); /* free() it; NULL when empty */
void bed_clear(struct bed_queue *q);

/* bed_assert_marks() - the packets in the queue, by the last byte of each; empties it */
void bed_assert_marks(struct bed_queue *q, const char *marks);

/* bed_script_set() - the next answers; the last step has r 0 and take 0 */
void bed_script_set(struct bed_script *s, const struct bed_step *steps);

#endif
