/* SPDX-License-Identifier: MIT */
/*
 * A slow path between two network namespaces: a TUN device in each, and between them, in each
 * direction, a queue that drops at its tail, a line of a fixed rate, a delay, and chance loss.
 *
 * The queue is a number: a line that is busy until T has (T - now) * rate bytes before it. A packet
 * that is taken gets the time at which it comes out, and waits in a ring until then. Both devices
 * lose their offloads here: the kernel hands over single packets, with their checksums done.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define PACKET_MAX 2048
#define SLOTS      16384 /* 500 kB of the smallest packets, and as many on the line */
#define READS_MAX  64    /* of one device before the other has its turn */

struct path {
	double rate_mbit;
	double delay_ms;
	double queue_bytes;
	double loss_percent;
	double seed;
};

struct slot {
	uint64_t due_ns;
	uint32_t len;
	bool lost;
	uint8_t bytes[PACKET_MAX];
};

/* one direction */
struct lane {
	const char *name;
	int from;
	int to;
	uint64_t busy_until_ns;
	struct slot *ring;
	uint32_t first;
	uint32_t n;
	uint64_t passed;
	uint64_t full;    /* dropped by the queue */
	uint64_t lost;    /* by chance */
	uint64_t refused; /* by the device that they came to */
	uint64_t longest_queue_bytes;
};

static volatile sig_atomic_t told_to_end;

static void end_soon(int sig)
{
	(void)sig;
	told_to_end = 1;
}

static void die(const char *what)
{
	(void)fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* by_chance() - whether the next packet is lost: xorshift64* */
static bool by_chance(const struct path *p)
{
	static uint64_t state;

	if (state == 0)
		state = (uint64_t)p->seed * 0x9e3779b97f4a7c15 + 1;
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (double)((state * 0x2545f4914f6cdd1d) >> 11) / 9007199254740992.0 * 100 <
	       p->loss_percent;
}

/* take() - the packet in the next slot has come: it gets its time, or is dropped */
static void take(struct lane *l, const struct path *p, uint32_t len, uint64_t now)
{
	double bytes_per_ns = p->rate_mbit / 8e3;
	double waiting;
	struct slot *s = &l->ring[(l->first + l->n) % SLOTS];

	if (l->busy_until_ns < now)
		l->busy_until_ns = now;
	waiting = (double)(l->busy_until_ns - now) * bytes_per_ns + len;
	if (waiting > p->queue_bytes) {
		l->full++;
		return;
	}
	if ((uint64_t)waiting > l->longest_queue_bytes)
		l->longest_queue_bytes = (uint64_t)waiting;
	l->busy_until_ns += (uint64_t)(len / bytes_per_ns);
	s->due_ns = l->busy_until_ns + (uint64_t)(p->delay_ms * 1e6);
	s->len = len;
	s->lost = by_chance(p);
	l->n++;
}

static void take_all(struct lane *l, const struct path *p)
{
	for (int i = 0; i < READS_MAX && l->n < SLOTS; i++) {
		struct slot *s = &l->ring[(l->first + l->n) % SLOTS];
		ssize_t n = read(l->from, s->bytes, sizeof(s->bytes));

		if (n > 0)
			take(l, p, (uint32_t)n, now_ns());
		else if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		else
			die("cannot read a packet");
	}
}

/* give_due() - what has come out by now; returns when the next does, 0: nothing is on its way */
static uint64_t give_due(struct lane *l)
{
	while (l->n > 0) {
		const struct slot *s = &l->ring[l->first];

		if (s->due_ns > now_ns())
			return s->due_ns;
		if (s->lost)
			l->lost++;
		else if (write(l->to, s->bytes, s->len) == (ssize_t)s->len)
			l->passed++;
		else
			l->refused++;
		l->first = (l->first + 1) % SLOTS;
		l->n--;
	}
	return 0;
}

static void run(struct lane *lanes, const struct path *p)
{
	sigset_t none;

	(void)sigemptyset(&none);
	while (!told_to_end) {
		struct pollfd fds[2];
		struct timespec wait = { .tv_sec = 1 };
		uint64_t next = UINT64_MAX;

		for (int i = 0; i < 2; i++) {
			uint64_t due = give_due(&lanes[i]);

			if (due != 0 && due < next)
				next = due;
			fds[i] = (struct pollfd){ .fd = lanes[i].from, .events = POLLIN };
			if (lanes[i].n == SLOTS)
				fds[i].fd = -1;
		}
		if (next != UINT64_MAX) {
			uint64_t now = now_ns();

			next = next > now ? next - now : 0;
			wait = (struct timespec){ .tv_sec = (time_t)(next / 1000000000),
				                  .tv_nsec = (long)(next % 1000000000) };
		}
		if (ppoll(fds, 2, &wait, &none) < 0 && errno != EINTR)
			die("cannot wait");
		take_all(&lanes[0], p);
		take_all(&lanes[1], p);
	}
}

/* open_end() - a device of this name in a namespace as `ip netns` makes them */
static int open_end(const char *end)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	const char *colon = strchr(end, ':');
	char name[128];
	int fd;

	if (colon == NULL || strlen(colon + 1) >= sizeof(ifr.ifr_name) ||
	    snprintf(name, sizeof(name), "/run/netns/%.*s", (int)(colon - end), end) >=
	            (int)sizeof(name)) {
		errno = EINVAL;
		die(end);
	}
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(name);
	(void)close(fd);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		die("/dev/net/tun");
	memcpy(ifr.ifr_name, colon + 1, strlen(colon + 1));
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		die(end);
	return fd;
}

static void open_lane(struct lane *l, int from, int to, const char *name)
{
	*l = (struct lane){ .name = name, .from = from, .to = to };
	l->ring = calloc(SLOTS, sizeof(*l->ring));
	if (l->ring == NULL)
		die("no memory");
}

static void tell(const struct lane *l)
{
	printf("from %s passed %" PRIu64 " full %" PRIu64 " lost %" PRIu64 " refused %" PRIu64
	       " longest_queue %" PRIu64 "\n",
	       l->name, l->passed, l->full, l->lost, l->refused, l->longest_queue_bytes);
}

static _Noreturn void usage(void)
{
	(void)fprintf(stderr, "usage: relay [--rate MBIT_PER_S] [--delay MS] [--queue BYTES] "
	                      "[--loss PERCENT] [--seed N] NAMESPACE:DEVICE NAMESPACE:DEVICE\n");
	exit(64);
}

static double number(const char *text, double min, double max)
{
	char *end = NULL;
	double d = strtod(text, &end);

	if (end == text || *end != '\0' || !(d >= min && d <= max))
		usage();
	return d;
}

static void read_options(int argc, char **argv, struct path *p)
{
	static const struct option known[] = {
		{ "rate", required_argument, NULL, 'r' },
		{ "delay", required_argument, NULL, 'd' },
		{ "queue", required_argument, NULL, 'q' },
		{ "loss", required_argument, NULL, 'l' },
		{ "seed", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'r':
			p->rate_mbit = number(optarg, 0.1, 10000);
			break;
		case 'd':
			p->delay_ms = number(optarg, 0, 10000);
			break;
		case 'q':
			p->queue_bytes = number(optarg, PACKET_MAX, 1e9);
			break;
		case 'l':
			p->loss_percent = number(optarg, 0, 100);
			break;
		case 's':
			p->seed = number(optarg, 0, 1e9);
			break;
		default:
			usage();
		}
	}
	if (argc - optind != 2)
		usage();
}

int main(int argc, char **argv)
{
	struct path p = { .rate_mbit = 200, .delay_ms = 10, .queue_bytes = 500000, .seed = 1 };
	struct sigaction act = { .sa_handler = end_soon };
	struct lane lanes[2];
	sigset_t both;
	int ends[2];

	read_options(argc, argv, &p);
	/* only ppoll() lets them in: none is missed before it waits */
	(void)sigemptyset(&both);
	(void)sigaddset(&both, SIGTERM);
	(void)sigaddset(&both, SIGINT);
	if (sigprocmask(SIG_BLOCK, &both, NULL) < 0 || sigaction(SIGTERM, &act, NULL) < 0 ||
	    sigaction(SIGINT, &act, NULL) < 0)
		die("no signals");
	(void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	ends[0] = open_end(argv[optind]);
	ends[1] = open_end(argv[optind + 1]);
	open_lane(&lanes[0], ends[0], ends[1], argv[optind]);
	open_lane(&lanes[1], ends[1], ends[0], argv[optind + 1]);
	printf("ready\n");
	(void)fflush(stdout);
	run(lanes, &p);
	tell(&lanes[0]);
	tell(&lanes[1]);
	free(lanes[0].ring);
	free(lanes[1].ring);
	return 0;
}
