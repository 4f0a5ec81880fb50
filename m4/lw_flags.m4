# Compiler and linker flags: each is tried, none is assumed.

# LW_TRY_CFLAGS(VARIABLE, FLAGS): append those FLAGS that the compiler takes without a warning
AC_DEFUN([LW_TRY_CFLAGS], [
	for lw_flag in $2; do
		AC_MSG_CHECKING([whether $CC accepts $lw_flag])
		lw_save_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS -Werror $lw_flag"
		AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
			[AC_MSG_RESULT([yes]); $1="$$1 $lw_flag"], [AC_MSG_RESULT([no])])
		CFLAGS=$lw_save_CFLAGS
	done
])

# LW_TRY_LDFLAGS(VARIABLE, FLAGS): the same for the linker
AC_DEFUN([LW_TRY_LDFLAGS], [
	for lw_flag in $2; do
		AC_MSG_CHECKING([whether the linker accepts $lw_flag])
		lw_save_LDFLAGS=$LDFLAGS
		LDFLAGS="$LDFLAGS $lw_flag"
		AC_LINK_IFELSE([AC_LANG_PROGRAM()],
			[AC_MSG_RESULT([yes]); $1="$$1 $lw_flag"], [AC_MSG_RESULT([no])])
		LDFLAGS=$lw_save_LDFLAGS
	done
])

AC_DEFUN([LW_WARNING_FLAGS], [
	AC_ARG_ENABLE([werror],
		[AS_HELP_STRING([--enable-werror], [treat compiler warnings as errors])])
	LW_TRY_CFLAGS([WARN_CFLAGS], [-Wall -Wextra -Wpedantic -Wshadow -Wconversion dnl
-Wcast-qual -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wundef -Wvla dnl
-Wformat=2 -Wnull-dereference -Wwrite-strings -Wpointer-arith -Wredundant-decls dnl
-Wimplicit-fallthrough -Wswitch-enum])
	AS_IF([test "$enable_werror" = yes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
	LW_TRY_CFLAGS([WARN_CFLAGS], [-std=gnu11])
	AC_SUBST([WARN_CFLAGS])
])

AC_DEFUN([LW_HARDENING_FLAGS], [
	AC_ARG_ENABLE([hardening],
		[AS_HELP_STRING([--disable-hardening], [leave hardening flags to CFLAGS])],
		[], [enable_hardening=yes])
	AS_IF([test "$enable_hardening" = yes], [
		LW_TRY_CFLAGS([HARDEN_CFLAGS], [-fstack-protector-strong -fstack-clash-protection dnl
-fcf-protection -ftrivial-auto-var-init=zero -fno-strict-overflow])
		AS_CASE([$CFLAGS], [*-O0*], [],
			[LW_TRY_CFLAGS([HARDEN_CFLAGS], ["-D_FORTIFY_SOURCE=3"])])
		LW_TRY_LDFLAGS([HARDEN_LDFLAGS], [-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack])
		LW_TRY_LDFLAGS([PIE_LDFLAGS], [-pie])
		AS_IF([test -n "$PIE_LDFLAGS"], [LW_TRY_CFLAGS([PIE_CFLAGS], [-fPIE])])
	])
	AC_SUBST([HARDEN_CFLAGS])
	AC_SUBST([HARDEN_LDFLAGS])
	AC_SUBST([PIE_CFLAGS])
	AC_SUBST([PIE_LDFLAGS])
])

AC_DEFUN([LW_SANITIZERS], [
	AC_ARG_ENABLE([sanitizers],
		[AS_HELP_STRING([--enable-sanitizers@<:@=LIST@:>@],
			[build with -fsanitize=LIST (default address,undefined)])],
		[], [enable_sanitizers=no])
	AS_CASE([$enable_sanitizers],
		[no], [],
		[yes], [SAN_FLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"],
		[SAN_FLAGS="-fsanitize=$enable_sanitizers -fno-sanitize-recover=all -fno-omit-frame-pointer"])
	AS_IF([test -n "$SAN_FLAGS"], [
		lw_save_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS $SAN_FLAGS"
		AC_LINK_IFELSE([AC_LANG_PROGRAM()], [],
			[AC_MSG_ERROR([$CC cannot link with $SAN_FLAGS: install its sanitizer runtime])])
		CFLAGS=$lw_save_CFLAGS
	], [
		dnl clang leaves its sanitizer runtime undefined in shared objects
		LW_TRY_LDFLAGS([MODULE_LINK_FLAGS], [-Wl,-z,defs])
	])
	LW_TRY_CFLAGS([MODULE_CFLAGS], [-fvisibility=hidden])
	AS_IF([test -n "$SAN_FLAGS"], [SAN_LIBS="-Wl,--no-as-needed -lcrypt"])
	AC_SUBST([SAN_FLAGS])
	AC_SUBST([SAN_LIBS])
	AC_SUBST([MODULE_CFLAGS])
	AC_SUBST([MODULE_LINK_FLAGS])
])

AC_DEFUN([LW_ARG_STATIC_MODULES], [
	AC_ARG_ENABLE([static-modules],
		[AS_HELP_STRING([--enable-static-modules], [link the modules into the programs])],
		[], [enable_static_modules=no])
	AM_CONDITIONAL([STATIC_MODULES], [test "$enable_static_modules" = yes])
	AS_IF([test "$enable_static_modules" = yes],
		[AC_DEFINE([LW_STATIC_MODULES], [1], [Define to 1 if the modules are linked in.])])
])

AC_DEFUN([LW_SUMMARY], [
	AC_MSG_NOTICE([
  laneway $PACKAGE_VERSION
    compiler        $CC $CFLAGS
    modules         $(test "$enable_static_modules" = yes && echo "linked into the programs" || echo "shared, in $libdir/laneway/modules")
    hardening       $enable_hardening    sanitizers $enable_sanitizers    tests $enable_tests
    ciphers         $lw_ciphers
    wolfSSL         $lw_wolfssl_version: $lw_wolfssl_can])
	AS_IF([test -n "$lw_wolfssl_cannot"], [AC_MSG_WARN([this wolfSSL $lw_wolfssl_cannot])])
	AS_IF([test -n "$lw_no_ciphers"], [AC_MSG_NOTICE([this build is$lw_no_ciphers])])
])
