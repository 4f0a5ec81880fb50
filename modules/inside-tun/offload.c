/* SPDX-License-Identifier: MIT */
#include "offload.h"

#include <assert.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <laneway/module.h>

#include "ethtool.h"
#include "inside-tun.h"
#include "vnet.h"

enum { TRI_OFF, TRI_ON, TRI_AUTO };

/* each capability, the option that switches it, and what happens without it */
enum { READ_CSUM, READ_TSO, READ_USO, WRITE_TSO, WRITE_USO };
static const struct facility {
	uint64_t cap;
	const char *option;
	const char *what;
	const char *instead;
	const char *since;
} facilities[] = {
	[READ_CSUM] = { LW_CAP_CSUM, "checksum", "partial checksums", "reading complete ones", "" },
	[READ_TSO] = { LW_CAP_TSO, "tso", "TCP superpackets", "reading single packets", "" },
	[READ_USO] = { LW_CAP_USO, "uso", "UDP superpackets", "reading single ones",
	               " before Linux 6.2" },
	[WRITE_TSO] = { LW_CAP_SEND_TSO, "coalesce", "TCP superpackets", "writing single packets",
	                "" },
	[WRITE_USO] = { LW_CAP_SEND_USO, "coalesce", "UDP superpackets", "writing single ones",
	                " before Linux 6.2" },
};

#define N_FACILITIES (sizeof(facilities) / sizeof(facilities[0]))
static_assert(N_FACILITIES == LW_TUN_FACILITIES, "each has its place in a wish");

int lw_tun_offload_check(const struct lw_tun_options *o, struct lw_err *err)
{
	if (o->checksum == TRI_OFF && (o->tso == TRI_ON || o->uso == TRI_ON))
		return lw_err_set_at(err, -EINVAL, "checksum",
		                     "superpackets leave the checksum to us: with tso or uso on, "
		                     "checksum cannot be off");
	if (o->coalesce == TRI_ON && o->tso == TRI_OFF && o->uso == TRI_OFF)
		return lw_err_set_at(err, -EINVAL, "coalesce",
		                     "with tso and uso off there is nothing to coalesce");
	return 0;
}

static int32_t own_or_all(int32_t own, int32_t all)
{
	return own == TRI_AUTO ? all : own;
}

/* @needs: an option on which it depends and that is off, NULL: none */
static void wish_for(struct lw_tun_wish *w, size_t i, int32_t own, int32_t all, const char *needs)
{
	int32_t tri = own_or_all(own, all);

	if (own == TRI_OFF)
		w->off_by[i] = facilities[i].option;
	else if (needs != NULL)
		w->off_by[i] = needs;
	else if (tri == TRI_OFF)
		w->off_by[i] = "offload";
	if (w->off_by[i] != NULL)
		return;
	w->want |= facilities[i].cap;
	if (tri != TRI_ON)
		return;
	w->must |= facilities[i].cap;
	if (own != TRI_ON)
		w->by_offload |= facilities[i].cap;
}

static bool sends(const struct facility *f)
{
	return (f->cap & LW_TUN_CAPS_SEND) != 0;
}

/* @who does not @verb what was demanded */
static int refuse(const struct facility *f, const struct lw_tun_wish *w, const char *who,
                  const char *verb, struct lw_err *err)
{
	const char *option = (w->by_offload & f->cap) != 0 ? "offload" : f->option;

	return lw_err_set_at(err, -EOPNOTSUPP, option, "%s %s no %s: set %s to auto or off", who,
	                     verb, f->what, option);
}

int lw_tun_offload_wish(const struct lw_tun_options *o, uint64_t wanted, struct lw_tun_wish *ret,
                        struct lw_err *err)
{
	struct lw_tun_wish w = { .want = 0 };
	bool superpackets = o->tso == TRI_ON || o->uso == TRI_ON;

	wish_for(&w, READ_CSUM, o->checksum, superpackets ? TRI_AUTO : o->offload, NULL);
	wish_for(&w, READ_TSO, o->tso, o->offload, w.off_by[READ_CSUM]);
	wish_for(&w, READ_USO, o->uso, o->offload, w.off_by[READ_CSUM]);
	wish_for(&w, WRITE_TSO, o->coalesce, o->offload, o->tso == TRI_OFF ? "tso" : NULL);
	wish_for(&w, WRITE_USO, o->coalesce, o->offload, o->uso == TRI_OFF ? "uso" : NULL);
	if ((wanted & LW_CAP_CSUM) == 0)
		wanted &= ~(uint64_t)LW_TUN_CAPS_RECV;
	for (size_t i = 0; i < N_FACILITIES; i++) {
		if ((w.must & ~wanted & facilities[i].cap) != 0)
			return refuse(&facilities[i], &w, "this version",
			              sends(&facilities[i]) ? "writes" : "reads", err);
	}
	w.want &= wanted;
	*ret = w;
	return 0;
}

void lw_tun_offload_remember(struct lw_tun_offload *o, const char *name)
{
	if (lw_tun_ethtool_get(name, &o->mask_before) < 0)
		o->mask_before = 0;
}

int lw_tun_offload_can_frame(int fd)
{
	unsigned features = 0;

	if (ioctl(fd, TUNGETFEATURES, &features) < 0)
		return -errno;
	return (features & IFF_VNET_HDR) != 0 ? 1 : 0;
}

/* One step after the other: a kernel refuses a mask with a bit that it does not know as a whole,
 * and what it had accepted before stays in force. */
static uint32_t climb(int fd, uint64_t want)
{
	static const struct {
		uint64_t cap;
		uint32_t bits;
	} steps[] = {
		{ LW_CAP_CSUM, TUN_F_CSUM },
		{ LW_CAP_TSO, TUN_F_TSO4 },
		{ LW_CAP_TSO, TUN_F_TSO6 },
		{ LW_CAP_TSO, TUN_F_TSO_ECN },
		{ LW_CAP_USO, TUN_F_USO4 | TUN_F_USO6 }, /* one without the other is refused */
	};
	uint32_t mask = 0;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if ((want & steps[i].cap) != 0 &&
		    ioctl(fd, TUNSETOFFLOAD, (unsigned long)(mask | steps[i].bits)) == 0)
			mask |= steps[i].bits;
	}
	return mask;
}

static uint64_t caps_of(uint32_t mask)
{
	uint64_t caps = 0;

	if ((mask & TUN_F_CSUM) == 0)
		return 0;
	caps |= LW_CAP_CSUM;
	if ((mask & TUN_F_TSO4) != 0)
		caps |= LW_CAP_TSO;
	if ((mask & TUN_F_USO4) != 0)
		caps |= LW_CAP_USO;
	return caps;
}

/* flags and header are properties of the device, and what earlier programs set stays with it */
static int look_back(int fd, const char *name, bool framed, struct lw_err *err)
{
	unsigned expected = IFF_TUN | IFF_NO_PI | (framed ? IFF_VNET_HDR : 0u);
	struct ifreq ifr;
	unsigned flags;
	int hdr = 0;

	memset(&ifr, 0, sizeof(ifr));
	if (ioctl(fd, TUNGETIFF, &ifr) < 0 || ioctl(fd, TUNGETVNETHDRSZ, &hdr) < 0) {
		int r = -errno;

		return lw_err_set(err, r, "cannot ask for the offload of device \"%s\": %s", name,
		                  strerror(-r));
	}
	flags = (unsigned short)ifr.ifr_flags;
	if ((flags & (IFF_TUN | IFF_NO_PI | IFF_VNET_HDR)) == expected && hdr == LW_TUN_VNET_BYTES)
		return 0;
	return lw_err_set_at(err, -EINVAL, "name",
	                     "device \"%s\" keeps packet headers of another program (flags 0x%x, "
	                     "%d bytes): delete it and make it again",
	                     name, flags, hdr);
}

int lw_tun_offload_set(int fd, const char *name, uint64_t want, struct lw_tun_offload *o,
                       struct lw_err *err)
{
	int hdr = LW_TUN_VNET_BYTES;
	uint32_t in_force;
	int r = 0;

	if (ioctl(fd, TUNGETVNETHDRSZ, &o->hdr_before) < 0)
		r = -errno;
	o->touched = r == 0;
	if (r == 0 && (ioctl(fd, TUNSETOFFLOAD, 0ul) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &hdr) < 0))
		r = -errno;
	if (r < 0)
		return lw_err_set(err, r, "cannot reset the offload of device \"%s\": %s", name,
		                  strerror(-r));
	o->mask = o->framed ? climb(fd, want) : 0;
	o->caps = caps_of(o->mask);
	if (o->mask != 0 && lw_tun_ethtool_get(name, &in_force) == 0)
		o->caps = caps_of(o->mask & in_force);
	return look_back(fd, name, o->framed, err);
}

int lw_tun_offload_restore(int fd, const struct lw_tun_offload *o)
{
	if (ioctl(fd, TUNSETVNETHDRSZ, &o->hdr_before) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, (unsigned long)o->mask_before) < 0)
		return -errno;
	return 0;
}

static bool takes(const struct lw_tun_queue *q, uint8_t protocol, uint8_t gso_type,
                  uint16_t csum_off)
{
	enum { IP_BYTES = 20, L4_BYTES = 20, SEGMENT = 64, TOTAL = IP_BYTES + L4_BYTES + 128 };
	uint8_t bytes[TOTAL] = { 0x45, 0, 0, TOTAL, 0, 0, 0x40, 0, 1, protocol };
	struct lw_packet p = { .buf = bytes,
		               .cap = sizeof(bytes),
		               .len = sizeof(bytes),
		               .gso_size = SEGMENT,
		               .gso_type = gso_type,
		               .flags = LW_PKT_CSUM_PARTIAL,
		               .csum_start = IP_BYTES,
		               .csum_off = csum_off };
	uint32_t segments;

	bytes[IP_BYTES + 12] = L4_BYTES / 4 << 4; /* TCP: where its data begins */
	bytes[IP_BYTES + 5] = TOTAL - IP_BYTES;   /* UDP: its length */
	return lw_tun_write(q, &p, &segments) == 0;
}

uint64_t lw_tun_offload_probe(const struct lw_tun_queue *q, uint64_t want)
{
	struct lw_tun_queue probe = *q;
	uint64_t caps = 0;

	probe.caps |= want;
	if ((want & LW_CAP_SEND_TSO) != 0 && takes(&probe, IPPROTO_TCP, LW_GSO_TCP4, 16))
		caps |= LW_CAP_SEND_TSO;
	if ((want & LW_CAP_SEND_USO) != 0 && takes(&probe, IPPROTO_UDP, LW_GSO_UDP, 6))
		caps |= LW_CAP_SEND_USO;
	return caps;
}

int lw_tun_offload_judge(const struct lw_tun_wish *w, uint64_t caps, const char *name,
                         const struct lw_host *h, struct lw_err *err)
{
	for (size_t i = 0; i < N_FACILITIES; i++) {
		const struct facility *f = &facilities[i];
		const char *verb = sends(f) ? "takes" : "gives";
		char why[LW_WHY_MAX];

		if (w->off_by[i] != NULL) {
			(void)snprintf(why, sizeof(why), "%s is off in the configuration",
			               w->off_by[i]);
			lw_host_lacks(h, f->cap, why);
		}
		if ((w->want & ~caps & f->cap) == 0)
			continue;
		if ((w->must & f->cap) != 0)
			return refuse(f, w, "the kernel", verb, err);
		(void)snprintf(why, sizeof(why), "the kernel %s no %s%s", verb, f->what, f->since);
		lw_host_lacks(h, f->cap, why);
		lw_log(h, LW_LOG_WARN, "device %s: %s, %s", name, why, f->instead);
	}
	return 0;
}
