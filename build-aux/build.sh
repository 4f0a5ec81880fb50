# shellcheck shell=bash
# Sourced by ./run and ./check: numbered steps with their seconds, and the build of a tree in a
# folder of its own. The caller sets `top`, the absolute name of the source tree.
: "${top:?}"

# elapsed SINCE: print the seconds since $EPOCHREALTIME was SINCE, as 12.3
elapsed() {
	local us=$((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}))
	printf '%d.%d' $((us / 1000000)) $((us / 100000 % 10))
}

# steps_begin TOTAL LOG: the steps that follow write what they print to LOG
steps_begin() {
	step_total=$1 step_log=$2 step_number=0
	: >"$step_log"
}

# step TITLE COMMAND...: run it, with one line for people; a failing step ends the program
step() {
	local title=$1 began=$EPOCHREALTIME status=0
	shift
	step_number=$((step_number + 1))
	printf '[%d/%d] %-10s' "$step_number" "$step_total" "$title"
	"$@" </dev/null >>"$step_log" 2>&1 || status=$?
	if [ "$status" = 0 ]; then
		printf '%8s s\n' "$(elapsed "$began")"
		return
	fi
	printf '  failed after %s s\n' "$(elapsed "$began")"
	step_failed "$status"
}

# Set-up ends with one sentence that says what helps; of all else, people get the end of the log.
step_failed() {
	case $1 in
	69 | 71 | 77) tail -n 1 "$step_log" >&2 ;;
	*)
		echo "The last lines of $step_log:" >&2
		tail -n 20 "$step_log" >&2
		;;
	esac
	exit "$1"
}

# find_wolfssl: put the wolfSSL to build with into PKG_CONFIG_PATH
find_wolfssl() {
	local found
	found=$("$top/build-aux/setup" wolfssl) || return
	[ -z "$found" ] || export PKG_CONFIG_PATH="$found${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
}

needs_autoreconf() {
	local file
	[ -e "$top/configure" ] && [ -e "$top/Makefile.in" ] && [ -e "$top/config.h.in" ] || return 0
	for file in "$top/configure.ac" "$top"/m4/lw_*.m4; do
		[ "$file" -nt "$top/configure" ] && return 0
	done
	[ -n "$(find "$top/Makefile.am" "$top"/{include,core,modules,tests} -name '*.am' \
		-newer "$top/Makefile.in" -print -quit)" ]
}

# make_configure: what autotools generate, only when something they read is newer
make_configure() {
	needs_autoreconf || return 0
	(cd "$top" && autoreconf -fi) || return
	# autotools leave what did not change as old as it was
	touch "$top/configure" "$top/Makefile.in"
}

# configure_in FOLDER [ARGUMENT...]: make FOLDER ready for make. Other arguments, another compiler
# or another wolfSSL than the last time start the folder anew.
configure_in() (
	folder=$1
	shift
	asked="$* CC=${CC-} CFLAGS=${CFLAGS-} CPPFLAGS=${CPPFLAGS-} LDFLAGS=${LDFLAGS-} ${PKG_CONFIG_PATH-}"
	make_configure && mkdir -p "$folder" && cd "$folder" || exit
	if [ -e Makefile ] && [ "$(cat .configured 2>/dev/null)" != "$asked" ]; then
		make -s clean || exit
		rm -f config.status
	fi
	if [ ! -e config.status ] || [ "$top/configure" -nt config.status ]; then
		rm -f .configured
		"$top/configure" "$@" && printf '%s\n' "$asked" >.configured
	elif [ "$top/Makefile.in" -nt Makefile ]; then
		./config.status
	fi
)

make_in() {
	local folder=$1
	shift
	make -C "$folder" --no-print-directory -j"$(nproc)" "$@"
}
