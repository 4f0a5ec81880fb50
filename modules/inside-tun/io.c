/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <unistd.h>

#include "inside-tun.h"

/* what one call of recv saw */
struct tally {
	uint64_t packets;
	uint64_t bytes;
	uint64_t superpackets;
	uint64_t segments;
	uint64_t partial;
	uint64_t too_long;
	uint64_t invalid;
};

static ssize_t read_packet(int fd, void *buf, size_t cap)
{
	ssize_t n;

	do {
		n = read(fd, buf, cap);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/*
 * The virtio header goes into the headroom, so that the packet stands where a bare one would. A
 * batch without one gets room for it, 16 bytes, in front of the packet.
 */
static struct lw_packet *reserve(const struct lw_tun_queue *q, struct lw_batch *b)
{
	uint32_t pad = b->headroom < q->hdr ? (q->hdr + 15u) & ~15u : 0;
	struct lw_packet *p = lw_batch_reserve(b, pad + q->room);

	if (p != NULL)
		p->off += pad;
	return p;
}

/*
 * The kernel cuts a packet that does not fit, without a word. There is room for one byte more than
 * is granted, which tells a whole packet from one that was cut because somebody raised the MTU of
 * the device since.
 */
static bool take(const struct lw_tun_queue *q, struct lw_packet *p, size_t n, struct tally *t)
{
	uint32_t len = (uint32_t)n - q->hdr;
	uint32_t segments = 1;
	int r;

	if (n <= q->hdr)
		r = -EBADMSG;
	else if (q->hdr == 0)
		r = len > q->mtu ? -EMSGSIZE : 0;
	else
		r = lw_tun_vnet_parse(lw_packet_data(p) - q->hdr, q->mask, q->mtu, len, p,
		                      &segments);
	if (r < 0) {
		t->too_long += r == -EMSGSIZE;
		t->invalid += r != -EMSGSIZE;
		return false;
	}
	t->packets++;
	t->bytes += len;
	t->partial += (p->flags & LW_PKT_CSUM_PARTIAL) != 0;
	if (p->gso_size > 0) {
		t->superpackets++;
		t->segments += segments;
	}
	return true;
}

static void count_received(struct lw_worker *w, const struct tally *t)
{
	lw_worker_count(w, TUN_CTR_RX_PACKETS, t->packets);
	lw_worker_count(w, TUN_CTR_RX_BYTES, t->bytes);
	lw_worker_count(w, TUN_CTR_RX_SUPERPACKETS, t->superpackets);
	lw_worker_count(w, TUN_CTR_RX_SEGMENTS, t->segments);
	lw_worker_count(w, TUN_CTR_RX_PARTIAL, t->partial);
	lw_worker_count(w, TUN_CTR_RX_TOO_LONG, t->too_long);
	lw_worker_count(w, TUN_CTR_RX_INVALID, t->invalid);
}

/* As many reads as the batch has descriptors, dropped ones included, so that a round ends. */
int lw_tun_recv(void *inst, struct lw_worker *w, uint32_t tag, struct lw_batch *b)
{
	const struct lw_tun_queue *q = w->state;
	struct tally t = { .packets = 0 };
	int r = 0;

	(void)inst;
	(void)tag;
	for (uint32_t reads = 0; reads < b->cap; reads++) {
		struct lw_packet *p = reserve(q, b);
		ssize_t n;

		if (p == NULL)
			break;
		n = read_packet(q->fd, lw_packet_data(p) - q->hdr, q->hdr + q->room);
		if (n < 0) {
			r = (int)n;
			break;
		}
		if (take(q, p, (size_t)n, &t))
			lw_batch_commit(b, (uint32_t)n - q->hdr);
	}
	count_received(w, &t);
	if (r < 0 && r != -EAGAIN)
		lw_worker_count(w, TUN_CTR_RX_ERRORS, 1);
	return r;
}

/*
 * Put the payload behind the n pieces that there are already. Its bytes stay where they are, but
 * small pieces. Returns the pieces in all, 0: more_len is not their sum.
 */
static uint32_t gather(const struct lw_packet *p, struct lw_tun_scratch *s, uint32_t n)
{
	uint8_t *end = s->copy;
	size_t left = p->more_len;
	bool joins = false;

	if (left > sizeof(s->copy))
		return 0;
	for (uint32_t i = 0; i < p->n_more; i++) {
		const struct iovec *m = &p->more[i];
		bool copied = m->iov_len <= LW_TUN_COPY_MAX;

		if (m->iov_len > left)
			return 0;
		if (m->iov_len == 0)
			continue;
		left -= m->iov_len;
		if (copied && joins)
			s->iov[n - 1].iov_len += m->iov_len;
		else
			s->iov[n++] = (struct iovec){ .iov_base = copied ? end : m->iov_base,
				                      .iov_len = m->iov_len };
		if (copied) {
			memcpy(end, m->iov_base, m->iov_len);
			end += m->iov_len;
		}
		joins = copied;
	}
	return left == 0 ? n : 0;
}

static int write_pieces(int fd, const struct iovec *iov, uint32_t n)
{
	ssize_t done;

	do {
		done = n == 1 ? write(fd, iov->iov_base, iov->iov_len) : writev(fd, iov, (int)n);
	} while (done < 0 && errno == EINTR);
	return done < 0 ? -errno : 0;
}

static bool granted(const struct lw_tun_queue *q, const struct lw_packet *p)
{
	uint64_t cap = p->gso_type == LW_GSO_UDP ? LW_CAP_SEND_USO : LW_CAP_SEND_TSO;

	return (q->caps & cap) != 0;
}

int lw_tun_write(const struct lw_tun_queue *q, const struct lw_packet *p, uint32_t *ret_segments)
{
	struct iovec few[2];
	struct iovec *iov = few;
	struct virtio_net_hdr h;
	uint32_t n = 0;
	int r = 0;

	*ret_segments = 1;
	if (p->gso_size > 0 && !granted(q, p))
		return -EOPNOTSUPP;
	if ((p->n_more > 0 && q->scratch == NULL) ||
	    (q->hdr == 0 && (p->flags & LW_PKT_CSUM_PARTIAL) != 0))
		return -EINVAL;
	if (p->n_more > 0)
		iov = q->scratch->iov;
	if (q->hdr > 0) {
		r = lw_tun_vnet_make(p, &h, ret_segments);
		iov[n++] = (struct iovec){ .iov_base = &h, .iov_len = sizeof(h) };
	}
	iov[n++] = (struct iovec){ .iov_base = lw_packet_data(p), .iov_len = p->len };
	if (r == 0 && p->n_more > 0) {
		n = gather(p, q->scratch, n);
		r = n == 0 ? -EINVAL : 0;
	}
	return r < 0 ? r : write_pieces(q->fd, iov, n);
}

/* what the caller hears: of a superpacket that it can be sent again as single ones, of a single one
 * never that */
static int answer(const struct lw_packet *p, int r)
{
	if (r == -ENOMEM)
		return -ENOBUFS;
	if (p->gso_size == 0)
		return r == -EOPNOTSUPP || r == -EMSGSIZE ? -EINVAL : r;
	return r == -EINVAL || r == -EIO ? -EOPNOTSUPP : r;
}

static uint32_t cause_of(int r)
{
	switch (r) {
	case -EAGAIN:
	case -ENOBUFS:
		return TUN_CTR_TX_BUSY;
	case -EIO: /* the device is down */
		return TUN_CTR_TX_DOWN;
	case -EINVAL: /* no IP packet */
		return TUN_CTR_TX_INVALID;
	case -EOPNOTSUPP:
		return TUN_CTR_TX_REFUSED;
	default:
		return TUN_CTR_TX_ERRORS;
	}
}

int lw_tun_send(void *inst, struct lw_worker *w, struct lw_batch *b, uint32_t *ret_done)
{
	const struct lw_tun_queue *q = w->state;
	uint64_t bytes = 0;
	uint64_t superpackets = 0;
	uint64_t segments = 0;
	uint32_t done = 0;
	int r = 0;

	(void)inst;
	for (; done < b->n; done++) {
		const struct lw_packet *p = &b->pkt[done];
		uint32_t n;

		r = lw_tun_write(q, p, &n);
		if (r < 0) {
			b->pkt[done].status = r;
			r = answer(p, r);
			lw_worker_count(w, cause_of(r), 1);
			break;
		}
		bytes += p->len + p->more_len;
		superpackets += p->gso_size > 0;
		segments += p->gso_size > 0 ? n : 0;
	}
	lw_worker_count(w, TUN_CTR_TX_PACKETS, done);
	lw_worker_count(w, TUN_CTR_TX_BYTES, bytes);
	lw_worker_count(w, TUN_CTR_TX_SUPERPACKETS, superpackets);
	lw_worker_count(w, TUN_CTR_TX_SEGMENTS, segments);
	*ret_done = done;
	return r;
}
