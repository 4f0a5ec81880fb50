# shellcheck shell=bash
# Sourced first by every scenario, with the scenario's own arguments:
#
#	. "${BASH_SOURCE[0]%/*}/box.sh"
#
# It starts the script again as process 1 of a box: network, mount and process namespaces of its
# own. Names never collide with those of another scenario, and when the script ends, however it
# ends, the kernel takes away every process, namespace, device and mount in the box.
#
# A scenario prints a line for each case (ok, not_ok, skip); its exit status follows from them.
# In the box, /run is empty and the scenario's own: sockets and state files of daemons go there.

box_top=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd) || exit 1

if [ "${LW_BOX-}" != inside ] || [ $$ != 1 ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "not ok box # a scenario needs root"
		exit 1
	fi
	LW_BOX=inside exec unshare -n -m -p -f --kill-child --mount-proc -- "$BASH" "$0" "$@"
fi
unset LW_BOX

set -u
umask 022
# The folder with the programs to test, and one for files of this scenario
LW_BUILD=${LW_BUILD:-$box_top/build}
LW_TMP=/run/box
export LW_BUILD LW_TMP
box_failed=0
declare -A box_pid=()

# Process 1 gets only the signals it asked for.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'box_end $?' EXIT

box_end() {
	[ "$box_failed" = 0 ] || exit 1
	exit "$1"
}

box_setup() {
	mount -t tmpfs -o mode=755 box /run && mkdir -p /run/netns "$LW_TMP" &&
		mount -t tmpfs -o mode=755 netns /run/netns && ip link set lo up
}
if ! box_setup; then
	echo "not ok box # cannot be made"
	exit 1
fi

# --- cases ---

# ok NAME
ok() {
	printf 'ok %s\n' "$*"
}

# not_ok NAME [WHY]: the case failed; shows the end of what each program of the box has said
not_ok() {
	local name
	box_failed=$((box_failed + 1))
	printf 'not ok %s%s\n' "$1" "${2:+ # $2}"
	for name in "${!box_pid[@]}"; do
		printf '  %s said:\n' "$name"
		tail -n 30 "$LW_TMP/$name.log" | sed 's/^/    /'
	done
}

# skip NAME REASON: what the kernel or the processor lacks; a missing program is a failure
skip() {
	printf 'skip %s # %s\n' "$1" "$2"
}

# check_that NAME COMMAND...: the case passes if COMMAND does; what it says is shown if not
check_that() {
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then
		ok "$name"
	else
		not_ok "$name" "failed: $*"
		[ -z "$said" ] || printf '%s\n' "$said" | sed 's/^/    /'
		return 1
	fi
}

# bail WHY: nothing that follows would make sense
bail() {
	not_ok "${0##*/}" "$*"
	exit 1
}

# --- waiting ---

# wait_for SECONDS COMMAND...: until COMMAND succeeds; fails when it has not by then
wait_for() {
	local until=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/[.,]/}" -lt "$until" ] || return 1
		sleep 0.02
	done
}

# --- networks ---

# new_ns NAME...: make network namespaces with their loopback up
new_ns() {
	local name
	for name in "$@"; do
		ip netns add "$name" || bail "cannot make namespace $name"
		ip -n "$name" link set lo up || bail "no loopback in namespace $name"
	done
}

# in_ns NAME COMMAND...: run it in a namespace; NAME - is the box itself
in_ns() {
	if [ "$1" = - ]; then
		shift
		"$@"
	else
		ip netns exec "$@"
	fi
}

# link_ns NS1 IF1 ADDRESSES1 NS2 IF2 ADDRESSES2: a veth pair between two namespaces. ADDRESSES is
# one word, as "192.0.2.1/24 2001:db8::1/64", usable when this returns
link_ns() {
	ip link add "$2" netns "$1" type veth peer name "$5" netns "$4" || bail "cannot link $1 and $4"
	box_addresses "$1" "$2" "$3"
	box_addresses "$4" "$5" "$6"
}

box_addresses() {
	local address
	for address in $3; do
		case $address in
		*:*) ip -n "$1" addr add "$address" dev "$2" nodad ;;
		*) ip -n "$1" addr add "$address" dev "$2" ;;
		esac || bail "cannot give $address to $2"
	done
	ip -n "$1" link set "$2" up || bail "cannot bring up $2"
}

# --- programs ---

# start NAME NS COMMAND...: run it in the background in namespace NS (or -); what it says goes to
# $LW_TMP/NAME.log, and its process id is that of COMMAND itself
start() {
	local name=$1 ns=$2
	shift 2
	: >"$LW_TMP/$name.log" # now: what waits for its words must not find those of an earlier one
	if [ "$ns" = - ]; then
		"$@" </dev/null >>"$LW_TMP/$name.log" 2>&1 &
	else
		ip netns exec "$ns" "$@" </dev/null >>"$LW_TMP/$name.log" 2>&1 &
	fi
	box_pid[$name]=$!
}

# pid_of NAME: print the process id of a started program
pid_of() {
	echo "${box_pid[$1]}"
}

# runs NAME: whether it still does
runs() {
	kill -0 "${box_pid[$1]}" 2>/dev/null
}

ended() {
	! runs "$1"
}

# says NAME TEXT: whether a started program has said it
says() {
	grep -qF -- "$2" "$LW_TMP/$1.log"
}

# end NAME [SIGNAL [SECONDS]]: send SIGNAL (TERM) and wait for the end; returns the exit status, and
# kills the program and returns 124 if it does not end in SECONDS (10)
end() {
	local pid=${box_pid[$1]} status=0
	kill -s "${2:-TERM}" "$pid" 2>/dev/null
	if ! wait_for "${3:-10}" ended "$1"; then
		kill -s KILL "$pid"
		status=124
	fi
	wait "$pid" 2>/dev/null || status=$((status ? status : $?))
	unset "box_pid[$1]"
	return "$status"
}
