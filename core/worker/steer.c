/* SPDX-License-Identifier: MIT */
#include "worker/steer.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "base/log.h"
#include "wire/header.h"
#include "worker/engine.h"

/* where things lie: wire.md 1.1 and the headers of IP */
#define ID       8u
#define IPV4_SRC 12u
#define IPV4_DST 16u
#define IPV4_PORT                                                                                  \
	20u /* without options; with some, it is what stands there, of one peer the same */
#define IPV6_SRC3  20u /* the last four bytes */
#define IPV6_DST3  36u
#define IPV6_PORT  40u
#define FROM_IP(k) ((uint32_t)SKF_NET_OFF + (k))

/* spreads what differs in a few bits, as Knuth's multiplicative hashing */
#define SPREAD 0x9e3779b1u

void lw_steer_outside(uint32_t workers, struct sock_filter insns[LW_STEER_OUTSIDE_INSNS])
{
	const struct sock_filter program[LW_STEER_OUTSIDE_INSNS] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, LW_WIRE_HEADER_LEN, 0, 9),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LW_WIRE_MAGIC, 0, 7),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ID),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ID + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ID),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, workers, 1, 0),
		BPF_STMT(BPF_RET | BPF_A, 0),
		/* a stranger's */
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FROM_IP(0)),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 6, 4, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FROM_IP(IPV4_SRC)),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, FROM_IP(IPV4_PORT)),
		BPF_JUMP(BPF_JMP | BPF_JA, 3, 0, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FROM_IP(IPV6_SRC3)),
		BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, FROM_IP(IPV6_PORT)),
		BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
		BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, SPREAD),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, workers),
		BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, workers),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};

	memcpy(insns, program, sizeof(program));
}

#define INSN(c, d, s, o, i)                                                                        \
	(struct bpf_insn)                                                                          \
	{                                                                                          \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)                \
	}

int lw_steer_inside(uint32_t workers, struct lw_err *err)
{
	/* what a load finds goes to register 0, and register 6 has the packet */
	const struct bpf_insn program[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0),
		INSN(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_0, 0, 0, 4),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 2, 6),
		INSN(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, IPV4_DST),
		INSN(BPF_JMP | BPF_JA, 0, 0, 1, 0),
		INSN(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, IPV6_DST3),
		INSN(BPF_ALU | BPF_MOD | BPF_K, BPF_REG_0, 0, 0, (int32_t)workers),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		                .insn_cnt = sizeof(program) / sizeof(program[0]),
		                .insns = (uintptr_t)program,
		                .license = (uintptr_t) "MIT" };
	long fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	if (fd < 0)
		return lw_err_set(err, -errno, "cannot load a program for the inside device: %s",
		                  strerror(errno));
	return (int)fd;
}

static int probe_outside(struct lw_err *err)
{
	struct sock_filter insns[LW_STEER_OUTSIDE_INSNS];
	const struct sock_fprog program = { .len = LW_STEER_OUTSIDE_INSNS, .filter = insns };
	const int on = 1;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = 0;

	lw_steer_outside(2, insns);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0)
		r = lw_err_set(err, -errno, "cannot give sockets a program: %s", strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return r;
}

int lw_steer_probe(struct lw_err *err)
{
	int r = probe_outside(err);
	int fd;

	if (r < 0)
		return r;
	fd = lw_steer_inside(2, err);
	if (fd < 0)
		return fd;
	(void)close(fd);
	return 0;
}

/* a table of an older module may end before it */
#define HAS_STEER(ops) ((ops)->size > offsetof(__typeof__(*(ops)), steer) && (ops)->steer != NULL)

static void warn(const struct lw_instance *in, uint32_t workers, int r)
{
	if (workers == 1)
		lw_log_write(
			LW_LOG_WARN, in->module->name,
			"the kernel gives strangers no queue of their own: %s; a flood of them "
			"takes from sessions",
			strerror(-r));
	else
		lw_log_write(LW_LOG_WARN, in->module->name,
		             "packets cannot be brought to their worker by the kernel: %s; workers "
		             "hand them to each other, which costs",
		             strerror(-r));
}

static void steer_outside(const struct lw_instance *in, uint32_t workers)
{
	const struct lw_outside_udp_ops *ops = in->module->ops.udp;
	struct sock_filter insns[LW_STEER_OUTSIDE_INSNS];
	const struct lw_steer program = { .insns = insns,
		                          .n = LW_STEER_OUTSIDE_INSNS,
		                          .prog_fd = -1 };
	int r = HAS_STEER(ops) ? 0 : -EOPNOTSUPP;

	if (r < 0 && workers == 1)
		return; /* it has one queue, and wants no help with it */
	lw_steer_outside(workers, insns);
	for (uint32_t tag = 0; r == 0; tag++)
		r = ops->steer(in->inst, tag, &program);
	if (r != -ENOENT)
		warn(in, workers, r);
}

static void steer_inside(const struct lw_instance *in, uint32_t workers)
{
	const struct lw_inside_ops *ops = in->module->ops.inside;
	struct lw_err err = { 0 };
	struct lw_steer program = { .prog_fd = -1 };
	int r = HAS_STEER(ops) ? 0 : -EOPNOTSUPP;

	if (r == 0)
		program.prog_fd = lw_steer_inside(workers, &err);
	if (program.prog_fd >= 0) {
		r = ops->steer(in->inst, 0, &program);
		(void)close(program.prog_fd); /* the device keeps the program */
	} else if (r == 0) {
		r = program.prog_fd;
	}
	if (r < 0)
		warn(in, workers, r);
}

void lw_engine_steer(const struct lw_engine *e)
{
	for (uint32_t i = 0; i < e->n_instances; i++) {
		const struct lw_instance *in = e->instances[i];

		if (in->module->kind == LW_KIND_OUTSIDE_UDP)
			steer_outside(in, e->n_workers);
		else if (in->module->kind == LW_KIND_INSIDE && e->n_workers > 1)
			steer_inside(in, e->n_workers);
	}
}
