/* SPDX-License-Identifier: MIT */
#include "ethtool.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vnet.h"

/* kernels of 2026 have 70 */
#define FEATURES_MAX 256u

/* names as in ethtool -k; both kinds of UDP come together */
static const struct {
	const char *name;
	uint32_t mask;
} known[] = {
	{ "tx-checksum-ip-generic", TUN_F_CSUM },
	{ "tx-tcp-segmentation", TUN_F_TSO4 },
	{ "tx-tcp6-segmentation", TUN_F_TSO6 },
	{ "tx-tcp-ecn-segmentation", TUN_F_TSO_ECN },
	{ "tx-udp-segmentation", TUN_F_USO4 | TUN_F_USO6 },
};

/* the kernel's requests end with arrays of any length */
union request {
	struct ethtool_sset_info info;
	struct ethtool_gstrings strings;
	struct ethtool_gfeatures features;
	uint8_t room[sizeof(struct ethtool_gstrings) + (size_t)FEATURES_MAX * ETH_GSTRING_LEN];
};

static int ask(int fd, const char *name, union request *q)
{
	struct ifreq ifr;

	memset(&ifr, 0, sizeof(ifr));
	(void)strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	ifr.ifr_data = (char *)q;
	return ioctl(fd, SIOCETHTOOL, &ifr) < 0 ? -errno : 0;
}

static int count(int fd, const char *name, uint32_t *ret)
{
	union request q;
	int r;

	memset(&q, 0, sizeof(q.info) + sizeof(uint32_t));
	q.info.cmd = ETHTOOL_GSSET_INFO;
	q.info.sset_mask = 1ull << ETH_SS_FEATURES;
	r = ask(fd, name, &q);
	if (r < 0)
		return r;
	memcpy(ret, q.room + sizeof(q.info), sizeof(*ret));
	return q.info.sset_mask != 0 && *ret <= FEATURES_MAX ? 0 : -EOPNOTSUPP;
}

static bool is_active(const union request *q, uint32_t bit)
{
	struct ethtool_get_features_block block;

	memcpy(&block, q->room + sizeof(q->features) + bit / 32 * sizeof(block), sizeof(block));
	return (block.active >> bit % 32 & 1u) != 0;
}

static uint32_t mask_of(const uint8_t *feature)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strncmp((const char *)feature, known[i].name, ETH_GSTRING_LEN) == 0)
			return known[i].mask;
	}
	return 0;
}

static int get(int fd, const char *name, uint32_t *ret_mask)
{
	union request names;
	union request now;
	uint32_t n = 0;
	uint32_t mask = 0;
	int r = count(fd, name, &n);

	if (r < 0)
		return r;
	memset(&names, 0, sizeof(names));
	names.strings.cmd = ETHTOOL_GSTRINGS;
	names.strings.string_set = ETH_SS_FEATURES;
	names.strings.len = n;
	r = ask(fd, name, &names);
	if (r < 0)
		return r;
	memset(&now, 0, sizeof(now));
	now.features.cmd = ETHTOOL_GFEATURES;
	now.features.size = (n + 31) / 32;
	r = ask(fd, name, &now);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n; i++) {
		if (is_active(&now, i))
			mask |= mask_of(names.room + sizeof(names.strings) +
			                (size_t)i * ETH_GSTRING_LEN);
	}
	*ret_mask = mask;
	return 0;
}

int lw_tun_ethtool_get(const char *name, uint32_t *ret_mask)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = get(fd, name, ret_mask);
	(void)close(fd);
	return r;
}
