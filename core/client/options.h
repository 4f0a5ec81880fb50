/* SPDX-License-Identifier: MIT */
#ifndef LW_CLIENT_OPTIONS_H
#define LW_CLIENT_OPTIONS_H

#include <laneway/option.h>

#include "conf/conf.h"
#include "conf/expresslane.h"

/* what laneway.yaml fills */
struct lw_client_options {
	struct lw_list servers; /* of const char * */
	struct {
		const char *ca;
		const char *server_name;
	} identity;
	struct {
		const char *user;
		const char *password;
		const char *password_file;
	} login;
	struct {
		int64_t mtu;
		int64_t outside_mtu;
	} network;
	struct lw_list inside;  /* of struct lw_conf_use */
	struct lw_list outside; /* of struct lw_conf_use */
	struct lw_expresslane_options expresslane;
	struct lw_list routes; /* of const char * */
	int32_t cipher;        /* enum lw_tls_cipher */
	struct {
		int64_t min_us;
		int64_t max_us;
	} reconnect;
	struct {
		int64_t interval_us;
		int64_t timeout_us;
	} keepalive;
	struct {
		int32_t level;
	} log;
	struct {
		const char *socket;
		const char *group;
	} control;
};

extern const struct lw_conf_program lw_client_program;

#endif
