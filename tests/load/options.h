/* SPDX-License-Identifier: MIT */
#ifndef LW_LOAD_OPTIONS_H
#define LW_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <laneway/addr.h>
#include <laneway/err.h>

#include "load/range.h"

enum load_bulk { LOAD_BULK_NONE, LOAD_BULK_UP, LOAD_BULK_DOWN };

/* what strangers send: a ClientHello, an id that nobody has, or bytes that mean nothing */
enum load_spoof { LOAD_SPOOF_HELLO, LOAD_SPOOF_UNKNOWN, LOAD_SPOOF_JUNK };

struct load_options {
	struct lw_addr server;
	bool tcp;
	const char *ca;
	const char *server_name;
	const char *user;
	const char *password;
	/* clients */
	uint64_t clients;
	struct load_range source; /* n 0: as the system chooses */
	uint64_t rate;            /* that begin in a second, 0: no limit */
	uint64_t concurrent;      /* on their way at once */
	uint64_t wait_ms;
	uint64_t hold_s;
	uint64_t seconds; /* the whole may take */
	uint64_t keepalive_s;
	uint64_t keepalive_timeout_s;
	uint64_t outside_mtu;
	bool no_expresslane;
	/* inside the tunnel */
	struct lw_addr inside;
	uint64_t probe_ms; /* between two of one client, 0: none */
	uint64_t probe_clients;
	uint32_t bulk; /* enum load_bulk */
	uint64_t bulk_clients;
	uint64_t bulk_mbit; /* of each, 0: no limit */
	uint64_t bulk_bytes;
	uint64_t bulk_port;
	/* strangers */
	uint64_t spoof; /* datagrams a second, 0: none */
	struct load_range spoof_source;
	uint32_t spoof_kind; /* enum load_spoof */
	/* the other end of bulk */
	struct lw_addr answer; /* family 0: this is not it */
	bool help;
};

/**
 * load_options_parse() - read the command line
 *
 * @argv: its words stay in use
 *
 * Return: 0, or -EINVAL with a sentence that names the option.
 */
int load_options_parse(int argc, char *const *argv, struct load_options *ret, struct lw_err *err);

/* load_options_help() - what there is, with what holds when nothing is said */
void load_options_help(FILE *to);

#endif
