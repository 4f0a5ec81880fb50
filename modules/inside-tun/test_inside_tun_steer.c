/* SPDX-License-Identifier: MIT */
/* A program says which queue a packet goes to, as long as there is the instance that got it. */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test_inside_tun_bed.h"
#include "unit/test.h"

#define FLOWS 64
#define LEN   10

/* a program that sends all packets to one queue */
static int load(int32_t queue)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = queue },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		                .insn_cnt = 2,
		                .insns = (uintptr_t)insns,
		                .license = (uintptr_t) "MIT" };

	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static bool may_load(void)
{
	int fd = load(0);

	if (fd >= 0)
		(void)close(fd);
	else
		print_message("SKIP: this user may load no program\n");
	return fd >= 0;
}

#define NEEDS_PROGRAMS()                                                                           \
	do {                                                                                       \
		if (bed_skips() || !may_load())                                                    \
			skip();                                                                    \
	} while (0)

static int steer(struct bed *b, uint32_t tag, int fd)
{
	const struct lw_steer s = { .prog_fd = fd };

	return laneway_module.ops.inside->steer(b->inst, tag, &s);
}

static void must_steer(struct bed *b, int32_t queue)
{
	int fd = load(queue);

	assert_true(fd >= 0);
	assert_int_equal(steer(b, 0, fd), 0);
	(void)close(fd); /* the device keeps it */
}

static void start_two(struct bed *b)
{
	bed_init(b);
	b->env.workers = 2;
	bed_start(b);
}

/* One datagram of each of many flows into the device. */
static void send_flows(void)
{
	for (int i = 0; i < FLOWS; i++) {
		uint16_t port;
		int fd = bed_udp(&port);

		bed_udp_send(fd, LEN);
		(void)close(fd);
	}
}

static uint32_t count_of(struct bed *b, uint32_t worker)
{
	uint32_t n = 0;

	do {
		lw_batch_reset(b->batch);
		(void)laneway_module.ops.inside->recv(b->inst, &b->workers[worker].w, worker,
		                                      b->batch);
		n += b->batch->n;
	} while (b->batch->n > 0);
	return n;
}

static void steer__a_program__says_where_all_packets_go(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_PROGRAMS();
	start_two(&b);
	for (uint32_t queue = 2; queue-- > 0;) {
		must_steer(&b, (int32_t)queue); /* in the place of the one before */
		send_flows();
		assert_int_equal(count_of(&b, queue), FLOWS);
		assert_int_equal(count_of(&b, 1 - queue), 0);
	}
	bed_stop(&b);
	assert_false(bed_exists("lw0"));
}

static void steer__another_tag__there_is_no_such_device(void **state)
{
	struct bed b;
	int fd;

	(void)state;
	NEEDS_PROGRAMS();
	start_two(&b);
	fd = load(1);
	assert_int_equal(steer(&b, 1, fd), -ENOENT);
	assert_int_equal(steer(&b, UINT32_MAX, fd), -ENOENT);
	(void)close(fd);
	bed_stop(&b);
}

static void steer__no_program__says_so(void **state)
{
	struct bed b;

	(void)state;
	NEEDS_PROGRAMS();
	start_two(&b);
	assert_int_equal(steer(&b, 0, 1000), -EBADF);
	assert_true(steer(&b, 0, b.host.watches[0].fd) < 0); /* no program */
	bed_stop(&b);
}

/* whether each of two queues that another program opens gets some of many flows */
static bool both_are_used(void)
{
	int fds[2];
	uint32_t n[2] = { 0 };
	char buf[2048];

	for (int i = 0; i < 2; i++) {
		fds[i] = bed_attach("lw0", IFF_MULTI_QUEUE);
		assert_true(fds[i] >= 0);
	}
	bed_bring_up("lw0", BED_SERVER);
	send_flows();
	for (int i = 0; i < 2; i++) {
		while (read(fds[i], buf, sizeof(buf)) > 0)
			n[i]++;
		(void)close(fds[i]);
	}
	assert_int_equal(n[0] + n[1], FLOWS);
	return n[0] > 0 && n[1] > 0;
}

/* The device outlives us: what we put into it must not. */
static void destroy__persistent_device__program_is_taken_off(void **state)
{
	(void)state;
	NEEDS_PROGRAMS();
	for (int32_t queue = 0; queue < 2; queue++) {
		struct bed b;

		bed_persist("lw0", IFF_MULTI_QUEUE);
		start_two(&b);
		must_steer(&b, queue);
		bed_stop(&b);
		assert_true(both_are_used());
		bed_unpersist("lw0", IFF_MULTI_QUEUE);
	}
}

/* What the operator has put there is not ours. */
static void destroy__persistent_device_of_a_program_not_ours__stays(void **state)
{
	struct bed b;
	int program;
	int fd;

	(void)state;
	NEEDS_PROGRAMS();
	bed_persist("lw0", IFF_MULTI_QUEUE);
	program = load(1);
	fd = bed_attach("lw0", IFF_MULTI_QUEUE);
	assert_int_equal(ioctl(fd, TUNSETSTEERINGEBPF, &program), 0);
	(void)close(fd);
	(void)close(program);
	start_two(&b);
	bed_stop(&b);
	assert_false(both_are_used());
	bed_unpersist("lw0", IFF_MULTI_QUEUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steer__a_program__says_where_all_packets_go),
		cmocka_unit_test(steer__another_tag__there_is_no_such_device),
		cmocka_unit_test(steer__no_program__says_so),
		cmocka_unit_test(destroy__persistent_device__program_is_taken_off),
		cmocka_unit_test(destroy__persistent_device_of_a_program_not_ours__stays),
	};

	(void)bed_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
