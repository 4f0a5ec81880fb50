# The libraries of ciphers that a build may lack: each brings a module, none is required.

# LW_CIPHER_LIBRARY(NAME, WITH, VARIABLE, PROLOGUE, BODY, COST): try VARIABLE_LIBS; without it
# there is no module cipher-NAME, which is told with what it costs
AC_DEFUN([LW_CIPHER_LIBRARY], [
	AC_ARG_WITH([$1],
		[AS_HELP_STRING([--without-$1], [leave out the module cipher-$1, which needs $2])],
		[], [with_$1=auto])
	lw_have_$1=no
	AS_IF([test "$with_$1" != no], [
		AC_MSG_CHECKING([whether $2 can be used])
		lw_save_CFLAGS=$CFLAGS; lw_save_LIBS=$LIBS
		CFLAGS="$CFLAGS $$3[]_CFLAGS"; LIBS="$$3[]_LIBS $LIBS"
		AC_LINK_IFELSE([AC_LANG_PROGRAM([$4], [$5])], [lw_have_$1=yes])
		CFLAGS=$lw_save_CFLAGS; LIBS=$lw_save_LIBS
		AC_MSG_RESULT([$lw_have_$1])
		AS_IF([test "$lw_have_$1$with_$1" = noyes],
			[AC_MSG_ERROR([$2 not found, which --with-$1 asks for])])
	])
	AS_IF([test "$lw_have_$1" = yes], [
		lw_ciphers="$lw_ciphers, $1"
	], [
		lw_no_ciphers="$lw_no_ciphers
    without cipher-$1 ($(test "$with_$1" = no && echo "as asked for" || echo "no $2")): $6"
	])
])

AC_DEFUN([LW_CIPHERS], [
	lw_ciphers=wolfcrypt
	IPSECMB_LIBS=-lIPSec_MB
	AC_SUBST([IPSECMB_LIBS])
	LW_CIPHER_LIBRARY([ipsecmb], [Intel's multi-buffer library (libipsec-mb-dev)], [IPSECMB], [
#define LINUX 1
#include <intel-ipsec-mb.h>], [
		IMB_MGR *m = alloc_mb_mgr(0);
		init_mb_mgr_auto(m, 0);
		return m->gcm256_enc == 0 || m->gcm256_dec == 0 || m->gcm256_pre == 0;],
		[on a processor with VAES, sealing a packet takes more than twice as long])
	PKG_CHECK_MODULES([LIBCRYPTO], [libcrypto >= 3.0], [:], [:])
	LW_CIPHER_LIBRARY([openssl], [OpenSSL 3 (libssl-dev)], [LIBCRYPTO], [
#include <openssl/evp.h>], [return EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL) == NULL;],
		[nothing, where the others are faster])
	AM_CONDITIONAL([HAVE_IPSECMB], [test "$lw_have_ipsecmb" = yes])
	AM_CONDITIONAL([HAVE_LIBCRYPTO], [test "$lw_have_openssl" = yes])
])
