#!/bin/bash
# One TCP flow of iperf3 between two namespaces: plain, and through our tunnel with and without
# offload. CPU is user and
# system time of each tunnel end; system calls are counted by perf, never under strace. GB is 10^9
# bytes of TCP payload.
. "${BASH_SOURCE[0]%/*}/../scenario/box.sh"
. "${BASH_SOURCE[0]%/*}/../scenario/laneway.sh"

json=0 seconds=5 repeats=3
while [ $# -gt 0 ]; do
	case $1 in
	--json) json=1 ;;
	--seconds) seconds=$2 && shift ;;
	--repeats) repeats=$2 && shift ;;
	*) bail "unknown word $1" ;;
	esac
	shift
done

# ticks PID: clock ticks of processor time so far
ticks() {
	awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"
}

# calls_begin NAME PID: count its system calls until calls_end; where perf cannot, the column is
# null. perf counts for as long as its command runs: one that reads a pipe which we close.
declare -A calls_pid=() calls_fd=()
calls_begin() {
	local fd
	rm -f "$LW_TMP/pipe.$1"
	mkfifo "$LW_TMP/pipe.$1"
	perf stat -x, -e raw_syscalls:sys_enter -p "$2" -o "$LW_TMP/calls.$1" head -n 1 "$LW_TMP/pipe.$1" \
		>/dev/null 2>&1 &
	calls_pid[$1]=$!
	exec {fd}<>"$LW_TMP/pipe.$1"
	calls_fd[$1]=$fd
}
calls_end() {
	local fd=${calls_fd[$1]}
	echo >&"$fd"
	exec {fd}>&-
	wait "${calls_pid[$1]}" 2>/dev/null
	awk -F, '/raw_syscalls/ && $1 ~ /^[0-9]+$/ { n = $1 } END { print n == "" ? "null" : n }' \
		"$LW_TMP/calls.$1" 2>/dev/null
}

# flow SERVER_ADDRESS [-R]: prints bits per second, payload bytes and retransmits
flow() {
	local address=$1
	shift
	start iperf server iperf3 -s -1 -B "$address" --forceflush
	wait_for 5 says iperf 'Server listening' || return 1
	in_ns client timeout $((seconds + 20)) iperf3 -C cubic -c "$address" -t "$seconds" -J "$@" \
		>"$LW_TMP/iperf.json" || return 1
	awk '/"sum_sent"/ { s = 1 } /"sum_received"/ { r = 1 }
		s && !r && /"retransmits"/ { sub(/.*: */, ""); retr = $0 + 0 }
		r && /"bytes"/ && !b { sub(/.*: */, ""); b = $0 + 0 }
		r && /"bits_per_second"/ && !bps { sub(/.*: */, ""); bps = $0 + 0 }
		END { printf "%.0f %.0f %d\n", bps, b, retr }' "$LW_TMP/iperf.json"
}

# What each end does: nothing, send (superpackets are read, runs are sent), all
declare -A switches=([none]='off off off off' [send]='on off on off' [all]='auto auto auto auto')

# ends OFFLOAD TRANSPORT: a server and a client that is connected
ends() {
	local READS WRITES GSO GRO
	# shellcheck disable=SC2034 # they are for the configurations
	read -r READS WRITES GSO GRO <<<"${switches[$1]}"
	server_config 'log: { level: notice }'
	client_config lwc "$2" 'routes: [10.125.0.0/16]'
	start_server
	start lwc client "$LW_BUILD/laneway" --config "$LW_TMP/lwc.yaml"
	wait_for 10 says lwc 'connected to'
}

# row TUNNEL OFFLOAD TRANSPORT DIRECTION: one measured row, columns divided by tabs
row() {
	local what=$1$'\t'$2$'\t'$3$'\t'$4 address=$INSIDE_IP back=() c s calls_c calls_s got
	[ "$4" = up ] || back=(-R)
	if [ "$1" = plain ]; then
		got=$(flow "$SERVER_IP" "${back[@]}") || return 1
		printf '%s\t%s\tnull\tnull\tnull\tnull\n' "$what" "$got"
		return
	fi
	ends "$2" "$3" || return 1
	c=$(ticks "$(pid_of lwc)") s=$(ticks "$(pid_of lanewayd)")
	calls_begin client "$(pid_of lwc)"
	calls_begin server "$(pid_of lanewayd)"
	got=$(flow "$address" "${back[@]}") || return 1
	c=$(($(ticks "$(pid_of lwc)") - c)) s=$(($(ticks "$(pid_of lanewayd)") - s))
	calls_end client >"$LW_TMP/calls.n"
	calls_c=$(cat "$LW_TMP/calls.n")
	calls_end server >"$LW_TMP/calls.n"
	calls_s=$(cat "$LW_TMP/calls.n")
	end lwc
	end lanewayd
	printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$what" "$got" "$c" "$s" "$calls_c" "$calls_s"
}

# medians: of the repeats of each row; ticks and calls become per GB
medians() {
	awk -F'\t' -v hz="$(getconf CLK_TCK)" '
	function median(list, n, v, i, j, t) {
		n = split(list, v, " ")
		for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] + 0 < v[j-1] + 0; j--) {
			t = v[j]; v[j] = v[j-1]; v[j-1] = t }
		return v[int((n + 1) / 2)]
	}
	{ key = $1 "\t" $2 "\t" $3 "\t" $4; if (!(key in gbps)) order[++n] = key
	  split($5, f, " "); gb = f[2] / 1e9
	  gbps[key] = gbps[key] " " f[1] / 1e9; retr[key] = retr[key] " " f[3]
	  cc[key] = cc[key] " " ($6 == "null" ? "null" : $6 / hz / gb)
	  sc[key] = sc[key] " " ($7 == "null" ? "null" : $7 / hz / gb)
	  ck[key] = ck[key] " " ($8 == "null" ? "null" : $8 / gb)
	  sk[key] = sk[key] " " ($9 == "null" ? "null" : $9 / gb) }
	END { for (i = 1; i <= n; i++) { k = order[i]
		print k "\t" median(gbps[k]) "\t" median(cc[k]) "\t" median(sc[k]) "\t" median(ck[k]) \
			"\t" median(sk[k]) "\t" median(retr[k]) } }'
}

print_table() {
	awk -F'\t' 'BEGIN { printf "%-8s %-7s %-5s %-4s %8s %18s %18s %20s %20s %8s\n", "tunnel", "offload", "outer", "dir",
		"Gbit/s", "client CPU-s/GB", "server CPU-s/GB", "client calls/GB", "server calls/GB", "retrans" }
	function num(v, f) { return v == "null" ? "-" : sprintf(f, v) }
	{ printf "%-8s %-7s %-5s %-4s %8.2f %18s %18s %20s %20s %8d\n", $1, $2, $3, $4, $5, num($6, "%.2f"),
		num($7, "%.2f"), num($8, "%.0f"), num($9, "%.0f"), $10 }'
}

print_json() {
	awk -F'\t' -v kernel="$(uname -r)" -v cpus="$(nproc)" '
	BEGIN { printf "{\"machine\":{\"kernel\":\"%s\",\"processors\":%d},\"rows\":[", kernel, cpus }
	{ printf "%s{\"tunnel\":\"%s\",\"offload\":\"%s\",\"transport\":\"%s\",\"cipher\":\"%s\",\"engine\":\"%s\",\"direction\":\"%s\",\"streams\":1,\"clients\":1,\"workers\":1,\"gbps\":%s,\"client_cpu_s_per_gb\":%s,\"server_cpu_s_per_gb\":%s,\"client_syscalls_per_gb\":%s,\"server_syscalls_per_gb\":%s,\"retransmits\":%s}", \
		(NR > 1 ? "," : ""), $1, $2, $3, ($1 == "plain" ? "null" : "dtls"), \
		($1 == "plain" ? "none" : "wolfssl"), $4, $5, $6, $7, $8, $9, $10 }
	END { print "]}" }'
}

server_and_client_ns
laneway_keys bench
for _ in $(seq "$repeats"); do
	for direction in up down; do
		row plain none none $direction || bail "plain $direction"
		for offload in none send all; do
			row laneway $offload udp $direction || bail "laneway $offload udp $direction"
		done
		for offload in none all; do
			row laneway $offload tcp $direction || bail "laneway $offload tcp $direction"
		done
	done
done >"$LW_TMP/rows"
if [ $json = 1 ]; then medians <"$LW_TMP/rows" | print_json; else medians <"$LW_TMP/rows" | print_table; fi
