# shellcheck shell=bash
# Sourced by tunnel.sh: flows of iperf3 and pings, processor time, system calls.
# shellcheck disable=SC2154 # LW_TMP is box.sh's, bench tunnel.sh's

CONGESTION=cubic

# cpu_seconds PID...: user and system time so far, of all together
cpu_seconds() {
	local pid files=()
	for pid in "$@"; do files+=("/proc/$pid/stat"); done
	awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); t += $12 + $13; n++ }
		END { if (n == 0) exit 1; printf "%.2f\n", t / hz }' "${files[@]}"
}

# ticks: clock ticks until now that the machine's processors worked, that they waited, and that the
# processes of this box worked, those included that have ended
ticks() {
	awk '/^cpu / { busy = $2 + $3 + $4 + $7 + $8 + $9; idle = $5 + $6 }
		FILENAME != "/proc/stat" { sub(/.*\) /, ""); ours += $12 + $13 + $14 + $15 }
		END { printf "%.0f %.0f %.0f\n", busy, idle, ours }' /proc/stat /proc/[0-9]*/stat 2>/dev/null
}

# others BEFORE: the share of all processors that somebody else had since ticks said BEFORE: other
# programs, the host, and threads of the kernel, ours too
others() {
	echo "$1 $(ticks)" | awk '{ busy = $4 - $1; all = busy + $5 - $2; other = busy - ($6 - $3)
		printf "%.3f\n", (all > 0 && other > 0 ? other / all : 0) }'
}

# --- system calls ---
# perf counts them, never strace; but to count is not free, about a twentieth of the CPU time of a
# tunnel without offload. So they are counted in a flow of their own.

calls_can() {
	command -v perf >/dev/null &&
		perf stat -x, -e raw_syscalls:sys_enter -p $$ true 2>&1 | grep -q '^[0-9<].*raw_syscalls'
}

# calls_begin NAME PID...: count their system calls until calls_end. perf counts for as long as its
# command runs: one that reads a pipe which we close.
declare -A calls_pid=() calls_fd=()
calls_begin() {
	local name=$1 fd pids
	shift
	pids=$(IFS=,; echo "$*")
	rm -f "$LW_TMP/pipe.$name" "$LW_TMP/calls.$name"
	mkfifo "$LW_TMP/pipe.$name" || return 1
	perf stat -x, -e raw_syscalls:sys_enter -p "$pids" -o "$LW_TMP/calls.$name" \
		head -n 1 "$LW_TMP/pipe.$name" >/dev/null 2>&1 &
	calls_pid[$name]=$!
	exec {fd}<>"$LW_TMP/pipe.$name"
	calls_fd[$name]=$fd
	wait_for 5 calls_attached "${calls_pid[$name]}"
}
calls_attached() {
	find "/proc/$1/fd" -lname 'anon_inode:*perf_event*' 2>/dev/null | grep -q .
}
# calls_end NAME: prints how many
calls_end() {
	local name=$1 fd=${calls_fd[$1]}
	echo >&"$fd"
	exec {fd}>&-
	wait "${calls_pid[$name]}" 2>/dev/null
	awk -F, '/raw_syscalls/ && $1 ~ /^[0-9]+$/ { n = $1 } END { print n == "" ? "null" : n }' \
		"$LW_TMP/calls.$name" 2>/dev/null
}

# --- flows ---

# flow ADDRESS DIRECTION STREAMS CLIENTS SECONDS: from every client at once. Prints, separated by
# tabs, Gbit/s, GB and retransmits of all together.
flow() {
	local address=$1 how=() i pids=() failed=0 files=()
	case $2 in
	down) how=(-R) ;;
	both) how=(--bidir) ;;
	esac
	for ((i = 1; i <= $4; i++)); do
		start "iperf$i" server iperf3 -s -1 -B "$address" -p $((5200 + i)) --forceflush
	done
	for ((i = 1; i <= $4; i++)); do
		wait_for 5 says "iperf$i" 'Server listening' || return 1
	done
	for ((i = 1; i <= $4; i++)); do
		files+=("$LW_TMP/flow$i.json")
		in_ns "$(client_ns "$i" "$4")" timeout $(($5 + 20)) iperf3 -C $CONGESTION -c "$address" \
			-p $((5200 + i)) -P "$3" -t "$5" -J "${how[@]}" >"$LW_TMP/flow$i.json" 2>&1 &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || failed=1; done
	for ((i = 1; i <= $4; i++)); do
		wait_for 2 ended "iperf$i" || kill -KILL "$(pid_of "iperf$i")"
		unset "box_pid[iperf$i]"
	done
	[ $failed = 0 ] && awk -v congestion=$CONGESTION -f "$bench/iperf.awk" "${files[@]}"
}

# pings ADDRESS SECONDS: one every 20 ms. Prints median and p99 in ms, separated by a tab.
pings() {
	in_ns client ping -n -i 0.02 -c $(($2 * 50)) -W 1 "$1" >"$LW_TMP/pings" 2>&1
	awk -f "$bench/pings.awk" "$LW_TMP/pings"
}
