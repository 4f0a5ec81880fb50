# What the wolfSSL that pkg-config names can do. DTLS 1.3 is required; whatever else is missing
# is told with what it costs, since distributions link a wolfSSL of their own making.

# LW_WOLFSSL_TRY(WHAT, PROGRAM BODY, IF YES, COST IF NO)
AC_DEFUN([LW_WOLFSSL_TRY], [
	AC_MSG_CHECKING([whether wolfSSL has $1])
	AC_LINK_IFELSE([AC_LANG_PROGRAM([
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>], [$2])],
		[AC_MSG_RESULT([yes])
		lw_wolfssl_can="$lw_wolfssl_can $1,"
		$3],
		[AC_MSG_RESULT([no])
		lw_wolfssl_cannot="$lw_wolfssl_cannot
    lacks $1: $4"])
])

# LW_WOLFSSL_DEFINE(MACRO, VALUE, COST): a build-time define that the protocol needs
AC_DEFUN([LW_WOLFSSL_DEFINE], [
	AC_MSG_CHECKING([whether wolfSSL was built with $1[]m4_ifval([$2], [ = $2])])
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM([
#include <wolfssl/options.h>
#ifndef $1
#error not defined
#endif
m4_ifval([$2], [#if ($1 + 0) != ($2)
#error another value
#endif])])],
		[AC_MSG_RESULT([yes])],
		[AC_MSG_RESULT([no])
		lw_wolfssl_cannot="$lw_wolfssl_cannot
    was built without $1[]m4_ifval([$2], [ = $2]): $3"])
])

AC_DEFUN([LW_WOLFSSL], [
	dnl a static wolfSSL needs its private libraries too (-lm)
	PKG_CHECK_MODULES_STATIC([WOLFSSL], [wolfssl >= 5.5.0],,
		[AC_MSG_ERROR([wolfSSL not found by pkg-config: run "./run build", which builds one, or set PKG_CONFIG_PATH])])
	lw_wolfssl_version=$($PKG_CONFIG --modversion wolfssl)
	lw_save_CFLAGS=$CFLAGS; lw_save_LIBS=$LIBS
	CFLAGS="$CFLAGS $WOLFSSL_CFLAGS"; LIBS="$WOLFSSL_LIBS $LIBS"
	lw_have_dtls13=no
	LW_WOLFSSL_TRY([DTLS 1.3], [return wolfDTLSv1_3_server_method() == 0;], [lw_have_dtls13=yes], [required])
	AS_IF([test "$lw_have_dtls13" = no],
		[AC_MSG_ERROR([wolfSSL $lw_wolfssl_version has no DTLS 1.3, which every Lightway tunnel over UDP needs: run "./run build", which builds a wolfSSL that has it, or configure wolfSSL with --enable-dtls --enable-dtls13 --enable-dtls-mtu])])
	LW_WOLFSSL_TRY([stateless cookies], [return wolfDTLS_accept_stateless((WOLFSSL *)0);],
		[AC_DEFINE([HAVE_WOLFDTLS_ACCEPT_STATELESS], [1], [Define to 1 if wolfSSL checks DTLS cookies without state.])],
		[UDP listeners are refused; wolfSSL 5.8 or newer has them])
	LW_WOLFSSL_TRY([fragmented ClientHellos], [return wolfSSL_dtls13_allow_ch_frag((WOLFSSL *)0, 1);],
		[AC_DEFINE([HAVE_WOLFSSL_DTLS13_ALLOW_CH_FRAG], [1], [Define to 1 if wolfSSL takes fragmented ClientHellos.])],
		[clients with post-quantum key shares cannot connect over UDP])
	LW_WOLFSSL_TRY([X25519MLKEM768], [return WOLFSSL_X25519MLKEM768;],
		[AC_DEFINE([HAVE_X25519MLKEM768], [1], [Define to 1 if wolfSSL has the group X25519MLKEM768.])],
		[handshakes are not post-quantum])
	LW_WOLFSSL_TRY([AES-NI], [
#ifndef WOLFSSL_AESNI
#error none
#endif
		return 0;],
		[AC_DEFINE([HAVE_WOLFSSL_AESNI], [1], [Define to 1 if wolfSSL uses AES instructions.])],
		[data costs several times the processor time; configure wolfSSL with --enable-intelasm])
	LW_WOLFSSL_TRY([X25519], [return WOLFSSL_ECC_X25519 + (wolfSSL_dtls_set_mtu((WOLFSSL *)0, 1456));], [],
		[the group x25519 or a settable DTLS MTU is missing; configure wolfSSL with --enable-curve25519 --enable-dtls-mtu])
	LW_WOLFSSL_DEFINE([WOLFSSL_DTLS13_ECHO_LEGACY_SESSION_ID], [],
		[clients built on wolfSSL 5.9.0 or older cannot connect over UDP])
	LW_WOLFSSL_DEFINE([DTLS13_MIN_RTX_INTERVAL], [100],
		[lost handshake datagrams are sent again after 1 s only])
	LW_WOLFSSL_DEFINE([WOLFSSL_MIN_RSA_BITS], [2048], [a client accepts short RSA keys])
	LW_WOLFSSL_DEFINE([WOLFSSL_MIN_ECC_BITS], [256], [a client accepts short EC keys])
	CFLAGS=$lw_save_CFLAGS; LIBS=$lw_save_LIBS
])
