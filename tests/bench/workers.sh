#!/bin/bash
# workers: TCP of many clients through one server, with one worker and with two. See
# `tests/bench/run --help`, and README.md for what the columns are.
# shellcheck source=tests/scenario/box.sh
. "${BASH_SOURCE[0]%/*}/../scenario/box.sh"
# shellcheck source=tests/scenario/laneway.sh
. "${BASH_SOURCE[0]%/*}/../scenario/laneway.sh"
# shellcheck disable=SC2154 # box.sh's
bench=$box_top/tests/bench
# shellcheck source=tests/bench/measure.sh
. "$bench/measure.sh"
# shellcheck source=tests/bench/ends.sh
. "$bench/ends.sh"
# shellcheck source=tests/bench/rows.sh
. "$bench/rows.sh"

# Where the server is to be the limit, and not those who load it, which share the machine with it:
# what it may have for each worker, of a processor, and in which time, in us
HELD=0.3
HELD_US=1500
HELD_PERIOD_US=5000

usage_error() {
	echo "tests/bench/run workers: $*" >&2
	exit 64
}

json=0 repeats=3 clients=16 seconds=3
while [ $# -gt 0 ]; do
	case $1 in
	--json) json=1 ;;
	--repeats | --clients | --seconds)
		[[ ${2-} =~ ^[1-9][0-9]?$ ]] || usage_error "$1 takes a number from 1 to 99, not '${2-}'"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	*) usage_error "unknown word '$1'" ;;
	esac
	shift
done

# --- measuring ---

# held_group: the control group of the held server, v1 or v2; fails where the kernel has none
held_group() {
	local at
	for at in /sys/fs/cgroup/cpu "$LW_TMP/groups"; do
		[ -e "$at/cpu.cfs_quota_us" ] || continue
		echo "$at/laneway-bench"
		return
	done
	if grep -qsw cpu /sys/fs/cgroup/cgroup.subtree_control; then
		echo /sys/fs/cgroup/laneway-bench
	else
		return 1
	fi
}

# find_groups: where nobody has mounted them, as in a bare Debian, that is done here
find_groups() {
	held_group >/dev/null && return
	mkdir "$LW_TMP/groups" && mount -t cgroup -o cpu cgroup "$LW_TMP/groups" && return
	say "this kernel has no control groups that could hold the server"
}

# hold WORKERS PID: the kernel gives it HELD of a processor for each worker. When that is used up it
# waits for the next period, however idle the processors are.
hold() {
	local group quota=$(($1 * HELD_US))
	group=$(held_group) && mkdir -p "$group" || return 1
	if [ -e "$group/cpu.max" ]; then
		echo "$quota $HELD_PERIOD_US" >"$group/cpu.max" || return 1
	else
		echo $HELD_PERIOD_US >"$group/cpu.cfs_period_us" &&
			echo $quota >"$group/cpu.cfs_quota_us" || return 1
	fi
	echo "$2" >"$group/cgroup.procs"
}

# let_go: when the held server has ended
let_go() {
	local group
	group=$(held_group) || return 0
	[ ! -d "$group" ] || rmdir "$group"
}

# processors: `ticks`, those of them in which the kernel worked for no process in particular, and
# seconds of the server and of the clients
processors() {
	local pids=() name
	for name in "${client_ends[@]}"; do pids+=("$(pid_of "$name")"); done
	echo "$(ticks) $(awk '/^cpu / { print $7 + $8 }' /proc/stat)" \
		"$(cpu_seconds "$(pid_of "$server_end")") $(cpu_seconds "${pids[@]}")"
}

# one_flow WORKERS HELD DIRECTION: a line of values, in the order of `columns`, is added to the file
# of this row
one_flow() {
	local before values
	before=$(processors)
	flow "$inside_ip" "$3" 1 "$clients" "$seconds" >"$LW_TMP/flow.result" || return 1
	values=$(processors)
	echo "$before $values $(cat "$LW_TMP/flow.result")" |
		awk -v hz="$(getconf CLK_TCK)" -v workers="$1" '{
			all = ($7 - $1 + $8 - $2) / hz
			server = $11 - $5; clients = $12 - $6; ours = ($9 - $3) / hz
			gbps = $13; gb = $14; flowing = gb * 8 / gbps
			print gbps, server / gb, clients / gb, $15 / gb, server / flowing / workers,
				server / all, clients / all, (ours - server - clients) / all,
				(($7 - $1) / hz - ours) / all, ($8 - $2) / hz / all, ($10 - $4) / hz / all
		}' >>"$LW_TMP/flow.$1.$2.$3"
}

# one_server WORKERS: all its rows once
one_server() {
	# shellcheck disable=SC2034 # ends.sh reads it
	local WORKERS=$1 direction client_ends=() server_end inside_ip server
	laneway_ends all udp-auto "$clients" || return 1
	server=$(pid_of "$server_end")
	for direction in down up; do one_flow "$1" no $direction || return 1; done
	if hold "$1" "$server"; then
		for direction in down up; do one_flow "$1" $HELD $direction || return 1; done
	fi
	end_all
	let_go
}

# --- rows and figures ---

# of WORKERS HELD DIRECTION FIELD: the median
of() {
	awk -v f="$4" '{ print $f }' "$LW_TMP/flow.$1.$2.$3" 2>/dev/null | middle
}

worker_row() {
	local i values=() file=$LW_TMP/flow.$1.$2.$3
	[ -e "$file" ] || return 0
	for ((i = 2; i <= 11; i++)); do values+=("$(calc v v="$(of "$1" "$2" "$3" $i)")"); done
	row "$1" "$clients" "$3" "$2" "$(wc -l <"$file")" "$(of "$1" "$2" "$3" 1)" \
		"$(sort -g "$file" | awk 'NR == 1 { print $1 }')" \
		"$(sort -g "$file" | awk 'END { print $1 }')" "${values[@]}"
}

# limited WORKERS HELD DIRECTION: the workers had nearly all that they may have
limited() {
	awk -v busy="$(of "$1" "$2" "$3" 5)" -v most="$2" 'BEGIN {
		exit !(busy > 0.9 * (most == "no" ? 1 : most)) }'
}

# ratio HELD DIRECTION FIELD: of two workers to one
ratio() {
	local one two
	one=$(of 1 "$1" "$2" "$3") two=$(of 2 "$1" "$2" "$3")
	if [ "$one" = null ] || [ "$two" = null ]; then
		echo null
	else
		calc 'b / a' a="$one" b="$two"
	fi
}

# figures HELD DIRECTION WORDS
figures() {
	local faster
	figure "server CPU-s/GB, 2 workers / 1, $2$3" "$(ratio "$1" "$2" 2)" '<=' 1.1
	faster=$(ratio "$1" "$2" 1)
	if ! limited 1 "$1" "$2" || ! limited 2 "$1" "$2"; then faster=null; fi
	figure "throughput, 2 workers / 1, $2$3" "$faster" '>=' 1.8
}

# --- the run ---

# shellcheck disable=SC2317 # the trap calls it; a group outlives this box
finish() {
	local status=$?
	end_all
	let_go
	[ ! -e "$LW_TMP/groups/tasks" ] || umount "$LW_TMP/groups"
	box_end "$status"
}
trap finish EXIT
[ -x "$LW_BUILD/lanewayd" ] || bail "$LW_BUILD/lanewayd is not built"
machine_facts
fact congestion "inner and outer: $CONGESTION"
fact held "the server to $HELD of a processor for each worker, by its control group"
fact open "throughput, where the workers had not nearly all that they may have: they were not the limit"
find_groups
veth_path
laneway_keys bench
many_path "$clients" || bail "no path for $clients clients"
# shellcheck disable=SC2034 # ends.sh reads it
outside_ip=$MANY_IP
before=$(ticks)
for ((pass = 1; pass <= repeats; pass++)); do
	for workers in 1 2; do
		say "[pass $pass of $repeats] workers: $workers"
		one_server $workers || bail "no traffic with workers: $workers"
	done
done
columns workers clients direction held repeats gbps gbps_least gbps_most server_cpu_s_per_gb \
	client_cpu_s_per_gb retransmits_per_gb worker_busy server_share clients_share iperf_share \
	other_share idle_share softirq_share
for held in no $HELD; do
	for direction in down up; do
		for workers in 1 2; do worker_row $workers "$held" $direction; done
	done
done
for direction in down up; do
	figures no $direction ''
	figures $HELD $direction ", held"
done
print_rows "$before" $json
exit 0
