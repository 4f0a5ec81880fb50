/* SPDX-License-Identifier: MIT */
#ifndef LW_SERVER_OPTIONS_H
#define LW_SERVER_OPTIONS_H

#include <laneway/option.h>

#include "conf/conf.h"
#include "conf/expresslane.h"

/* what lanewayd.yaml fills */
struct lw_server_options {
	int64_t workers; /* 0: auto */
	struct {
		const char *certificate;
		const char *key;
	} identity;
	struct {
		struct lw_addr pool;
		struct lw_addr client_address;
		struct lw_addr server_address;
		struct lw_addr dns;
		int64_t mtu;
	} network;
	struct lw_list inside; /* of struct lw_conf_use, as all lists here */
	struct lw_list outside;
	struct lw_expresslane_options expresslane;
	struct lw_list chain;
	struct lw_list auth;
	struct {
		int64_t sessions;
		int64_t handshakes;
		int64_t idle_us;
	} limits;
	struct {
		int32_t level;
	} log;
	struct {
		const char *socket;
		const char *group;
	} control;
};

extern const struct lw_conf_program lw_server_program;

#endif
