/* SPDX-License-Identifier: MIT */
#include "tls/internal.h"

#include <errno.h>
#include <stdio.h>

/* RFC 8446, section 6 */
static const struct {
	int code;
	const char *name;
} alert_names[] = {
	{ 0, "close_notify" },
	{ 10, "unexpected_message" },
	{ 20, "bad_record_mac" },
	{ 22, "record_overflow" },
	{ 40, "handshake_failure" },
	{ 42, "bad_certificate" },
	{ 43, "unsupported_certificate" },
	{ 44, "certificate_revoked" },
	{ 45, "certificate_expired" },
	{ 46, "certificate_unknown" },
	{ 47, "illegal_parameter" },
	{ 48, "unknown_ca" },
	{ 49, "access_denied" },
	{ 50, "decode_error" },
	{ 51, "decrypt_error" },
	{ 70, "protocol_version" },
	{ 71, "insufficient_security" },
	{ 80, "internal_error" },
	{ 86, "inappropriate_fallback" },
	{ 90, "user_canceled" },
	{ 109, "missing_extension" },
	{ 110, "unsupported_extension" },
	{ 112, "unrecognized_name" },
	{ 113, "bad_certificate_status_response" },
	{ 115, "unknown_psk_identity" },
	{ 116, "certificate_required" },
	{ 120, "no_application_protocol" },
};

static const struct {
	int code;
	const char *text;
} certificate_errors[] = {
	{ DOMAIN_NAME_MISMATCH, "it is for another domain name" },
	{ ASN_NO_SIGNER_E, "it was not issued by the configured CA" },
	{ ASN_SELF_SIGNED_E, "it is self-signed and not the configured CA" },
	{ ASN_SIG_CONFIRM_E, "its signature is wrong" },
	{ ASN_AFTER_DATE_E, "it has expired" },
	{ ASN_BEFORE_DATE_E, "it is not valid yet" },
	{ RSA_KEY_SIZE_E, "its RSA key is shorter than 2048 bits" },
	{ ECC_KEY_SIZE_E, "its EC key is shorter than 256 bits" },
	{ NO_PEER_CERT, "there is none" },
	{ ASN_PATHLEN_SIZE_E, "its chain is longer than an issuer allows" },
	{ ASN_PATHLEN_INV_E, "its chain is longer than an issuer allows" },
	{ ASN_NAME_INVALID_E, "an issuer does not allow its name" },
	{ MAX_CHAIN_ERROR, "its chain is too long" },
};

const char *lw_tls_library_text(int code, char buf[static WOLFSSL_MAX_ERROR_SZ])
{
	wolfSSL_ERR_error_string_n((unsigned long)code, buf, WOLFSSL_MAX_ERROR_SZ);
	return buf;
}

static const char *certificate_error(int code)
{
	for (size_t i = 0; i < sizeof(certificate_errors) / sizeof(*certificate_errors); i++) {
		if (certificate_errors[i].code == code)
			return certificate_errors[i].text;
	}
	return NULL;
}

static const char *alert_name(int code)
{
	for (size_t i = 0; i < sizeof(alert_names) / sizeof(*alert_names); i++) {
		if (alert_names[i].code == code)
			return alert_names[i].name;
	}
	return "unknown";
}

/* the code of the alert that came in, or -1 */
static int received_alert(WOLFSSL *ssl)
{
	WOLFSSL_ALERT_HISTORY history;

	if (wolfSSL_get_alert_history(ssl, &history) != WOLFSSL_SUCCESS)
		return -1;
	return history.last_rx.code;
}

static int fail_with(struct lw_tls *t, int r, const char *what, const char *detail)
{
	(void)snprintf(t->error, sizeof(t->error), "%s%s", what, detail);
	t->failed = r;
	return r;
}

int lw_tls_fail_timeout(struct lw_tls *t)
{
	return fail_with(t, -ETIMEDOUT, "the peer does not answer", "");
}

int lw_tls_fail(struct lw_tls *t, int code)
{
	char buf[WOLFSSL_MAX_ERROR_SZ];
	const char *certificate = certificate_error(code);

	if (t->out_error != 0)
		return fail_with(t, t->out_error, "the transport is gone", "");
	if (certificate != NULL)
		return fail_with(t, -EKEYREJECTED,
		                 "the peer's certificate is refused: ", certificate);
	if (code == WOLFSSL_ERROR_ZERO_RETURN || code == ZERO_RETURN)
		return fail_with(t, -ESHUTDOWN, "the peer closed the session", "");
	if (code == MEMORY_E || code == MEMORY_ERROR)
		return fail_with(t, -ENOMEM, "out of memory", "");
	if (code == FATAL_ERROR && received_alert(t->ssl) >= 0)
		return fail_with(t, -ECONNRESET, "the peer sent a fatal alert: ",
		                 alert_name(received_alert(t->ssl)));
	return fail_with(t, -EPROTO,
	                 "the peer broke the protocol: ", lw_tls_library_text(code, buf));
}
