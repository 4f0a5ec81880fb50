#!/bin/bash
# handshake, idle and flood: many clients of one server, and strangers. See `tests/bench/run --help`,
# and README.md for what the columns are.
# shellcheck source=tests/scenario/box.sh
. "${BASH_SOURCE[0]%/*}/../scenario/box.sh"
# shellcheck source=tests/scenario/laneway.sh
. "${BASH_SOURCE[0]%/*}/../scenario/laneway.sh"
# shellcheck disable=SC2154 # box.sh's
bench=$box_top/tests/bench
# shellcheck source=tests/bench/measure.sh
. "$bench/measure.sh"
# shellcheck source=tests/bench/rows.sh
. "$bench/rows.sh"
# shellcheck source=tests/load/load.sh
. "$box_top/tests/load/load.sh"

usage_error() {
	echo "tests/bench/run $bench_name: $*" >&2
	exit 64
}

bench_name=${1-} json=0 repeats=3 clients='' seconds='' kind_wanted=''
shift
case $bench_name in
handshake | idle | flood) ;;
*) usage_error "no benchmark of this name" ;;
esac
while [ $# -gt 0 ]; do
	case $1 in
	--json) json=1 ;;
	--repeats | --clients | --seconds)
		[[ ${2-} =~ ^[1-9][0-9]{0,5}$ ]] || usage_error "$1 takes a number, not '${2-}'"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	--kind)
		[[ ${2-} =~ ^(hello|junk|unknown|handshakes)$ ]] ||
			usage_error "--kind takes hello, junk, unknown or handshakes, not '${2-}'"
		kind_wanted=$2
		shift
		;;
	*) usage_error "unknown word '$1'" ;;
	esac
	shift
done

server_cpu() {
	cpu_seconds "$(pid_of lanewayd)"
}

# server_memory: bytes that the server has resident
server_memory() {
	awk '/^VmRSS:/ { print $2 * 1024 }' "/proc/$(pid_of lanewayd)/status"
}

# settled: the server has no session
settled() {
	[ "$(counter lanewayd sessions)" = 0 ]
}

# --- handshake ---

# one_handshake TRANSPORT MTU: n clients connect as fast as they can
one_handshake() {
	local words=(--outside-mtu "$2") before name=load
	[ "$1" = udp ] || words+=(--tcp)
	before=$(server_cpu)
	load_start "$name" --clients "$n" --hold 1 --seconds 60 "${words[@]}"
	wait_for 60 says "$name" connected: || return 1
	calc 'b - a' a="$before" b="$(server_cpu)" >"$LW_TMP/cpu"
	load_end "$name" || return 1
	wait_for 10 settled || return 1
	printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$(cat "$LW_TMP/cpu")" "$(of_load "$name" handshakes_per_s)" \
		"$(of_load "$name" connect_p50_ms)" "$(of_load "$name" connect_p99_ms)" \
		"$(of_load "$name" own_share_connecting)" "$(of_load "$name" group | tr -d '"')" >>"$LW_TMP/handshake.$1.$2"
}

# one_crowd AUTH RATE FLOW: a flow of one session for $seconds, and beside it RATE clients a second who
# connect. Of those who are refused some give up
one_crowd() {
	local words=(--bulk "$3")
	[ "$3" != ping ] || words=(--probe 5)
	load_start flow --clients 1 --wait 500 --hold "$seconds" "${words[@]}"
	wait_for 10 says flow connected: || return 1
	[ "$2" = 0 ] || load crowd --clients $(($2 * seconds)) --rate "$2" --concurrent 100000 --seconds 60 ||
		[ "$1" = bcrypt ] || return 1
	load_end flow || return 1
	printf '%s\t%s\t%s\t%s\n' "$(of_load flow probe_p50_ms)" "$(of_load flow probe_p99_ms)" \
		"$(of_load flow probe_max_ms)" "$(of_load flow goodput_mbit)" >>"$LW_TMP/crowd.$1.$2.$3"
	wait_for 20 settled || return 1
}

crowd_row() {
	local name=crowd.$1.$2
	row udp ecdsa-p256 null "$1" "$2/s" "$repeats" null null null null null null \
		"$(median "$name.ping" 1)" "$(median "$name.ping" 2)" "$(median "$name.ping" 3)" \
		"$(median "$name.up" 4)" "$(counter lanewayd logins_busy)"
}

# crowd AUTH RATE...: what clients take from the session of one who is there
crowd() {
	local auth=$1 rate flow pass
	shift
	for ((pass = 1; pass <= repeats; pass++)); do
		for rate in "$@"; do
			for flow in ping up; do
				say "[pass $pass of $repeats] $flow beside $rate clients a second, $auth"
				one_crowd "$auth" "$rate" "$flow" || bail "$auth $rate: the flow does not run"
			done
		done
	done
	for rate in "$@"; do
		crowd_row "$auth" "$rate"
	done
}

crowds() {
	local seconds=${seconds:-2} alone auth
	start answer server "$LW_BUILD/tests/load/load" --answer "$INSIDE_IP:5201" --seconds 3600
	wait_for 5 says answer answers || bail "nobody answers bulk"
	crowd anyone 0 500
	end lanewayd
	load_server_bcrypt
	crowd bcrypt 500
	alone=$(median crowd.anyone.0.up 4)
	for auth in anyone bcrypt; do
		figure "p99 ms of pings beside 500/s, $auth" "$(median "crowd.$auth.500.ping" 2)" '<=' 10
		figure "throughput kept beside 500/s, $auth" \
			"$(calc 'b / a' a="$alone" b="$(median "crowd.$auth.500.up" 4)")" '>=' 0.5
	done
}

handshake() {
	# with the smaller MTU the ClientHello has no room for the share of ML-KEM: the group is x25519
	local n=${clients:-4000} kind kinds=('udp 1500' 'udp 1400' 'tcp 1500')
	local pass values cpu core group
	columns transport certificate group auth clients repeats handshakes_per_s_per_core handshakes_per_s \
		p50_ms p99_ms server_cpu_us load_share flow_p50_ms flow_p99_ms flow_max_ms flow_mbit refused
	load_server
	for ((pass = 1; pass <= repeats; pass++)); do
		for kind in "${kinds[@]}"; do
			say "[pass $pass of $repeats] $kind"
			# shellcheck disable=SC2086 # two words
			one_handshake $kind || bail "$kind: not all connect"
		done
	done
	for kind in "${kinds[@]}"; do
		values=()
		for i in 1 2 3 4 5; do
			values+=("$(median "handshake.${kind// /.}" $i)")
		done
		group=$(tail -n 1 "$LW_TMP/handshake.${kind// /.}" | cut -f 6)
		cpu=${values[0]} core=$(calc 'n / cpu' n="$n" cpu="$cpu")
		# shellcheck disable=SC2086 # two words
		set -- $kind
		row "$1" ecdsa-p256 "$group" anyone "$n" "$repeats" "$core" "${values[1]}" "${values[2]}" \
			"${values[3]}" "$(calc '1e6 * cpu / n' n="$n" cpu="$cpu")" "${values[4]}" \
			null null null null null
		[ "$1" = tcp ] || figure "DTLS handshakes/s and core, $group" "$core" '>=' 3000
	done
	fact hellos_dropped "$(counter lanewayd hellos_dropped)"
	crowds
}

# --- idle ---

# one_idle TRANSPORT
one_idle() {
	local words=() before after cpu name=load idle_s=${seconds:-10} bytes
	[ "$1" = udp ] || words+=(--tcp)
	load_server
	before=$(server_memory)
	load_start "$name" --clients "$n" --concurrent 32 --hold $((idle_s + 2)) --seconds 180 "${words[@]}"
	wait_for 100 says "$name" connected: || return 1
	sleep 1
	after=$(server_memory) cpu=$(server_cpu)
	sleep "$idle_s"
	cpu=$(calc '(b - a) / t' a="$cpu" b="$(server_cpu)" t="$idle_s")
	load_end "$name" || return 1
	end lanewayd
	bytes=$(calc '(b - a) / n' a="$before" b="$after" n="$n")
	row "$1" "$n" "$bytes" "$before" "$after" "$cpu" "$tick"
	figure "bytes per idle session, $1" "$bytes" '<=' 65536
	figure "the same, aimed at" "$bytes" '<=' 24576
}

idle() {
	local n=${clients:-10000} transport tick
	tick=$("$LW_BUILD/tests/bench/wheel" "$n") || bail "no time per tick"
	columns transport sessions bytes_per_session rss_before rss_after cpu_s_per_s tick_us
	for transport in udp tcp; do
		say "$n sessions over $transport"
		one_idle "$transport" || bail "$transport: not all connect"
	done
}

# --- flood ---

# beside NAME FLOW WORDS...: a flow of one session for $seconds, and beside it what the load does with
# WORDS; goodput, p50 and p99 of pings go to $LW_TMP/NAME
beside() {
	local name=$1 words=(--bulk "$2")
	[ "$2" != ping ] || words=(--probe 5)
	shift 2
	load_start flow --clients 1 --wait 500 --hold "$seconds" "${words[@]}"
	wait_for 10 says flow connected: || return 1
	load strangers --seconds 60 "$@"
	load_end flow || return 1
	printf '%s\t%s\t%s\n' "$(of_load flow goodput_mbit)" "$(of_load flow probe_p50_ms)" \
		"$(of_load flow probe_p99_ms)" >>"$LW_TMP/$name"
}

# one_flood KIND PPS FLOW: by turns, towards a socket that nobody reads and towards the server
one_flood() {
	local name=flood.$1.$2.$3 memory cpu words=() other=()
	if [ "$1" = handshakes ]; then
		# real clients, of whom there is one for the comparison
		words=(--clients $(($2 * (seconds + 1))) --rate "$2" --hold 1)
		other=(--clients 1 --hold $((seconds + 1)))
	else
		words=(--spoof "$2" --spoof-kind "$1" --spoof-source "$LOAD_STRANGERS" --hold $((seconds + 1)))
		other=("${words[@]}" --server "$SERVER_IP:27699")
	fi
	beside "$name.beside" "$3" "${other[@]}" || return 1
	memory=$(server_memory) cpu=$(server_cpu)
	beside "$name.under" "$3" "${words[@]}" || return 1
	cpu=$(calc '(b - a) / t' a="$cpu" b="$(server_cpu)" t=$((seconds + 1)))
	printf '%s\t%s\t%s\t%s\t%s\n' "$(calc 'b - a' a="$memory" b="$(server_memory)")" \
		"$(of_load strangers spoof_per_s)" "$(of_load strangers bytes_out_per_byte_in)" \
		"$(of_load strangers own_share_spoofing)" "$cpu" >>"$LW_TMP/$name.flood"
	# the flow's farewell may have been lost in the flood: then its session stays, alone
	wait_for 1 settled || :
}

flood_row() {
	local name=flood.$1.$2.$3 kept=null growth answered
	[ "$3" = ping ] || kept=$(paste "$LW_TMP/$name.under" "$LW_TMP/$name.beside" |
		awk '{ print ($4 > 0 ? $1 / $4 : "null") }' | middle)
	growth=$(median "$name.flood" 1) answered=$(median "$name.flood" 3)
	row "$1" "$2" "$3" "$repeats" "$(median "$name.flood" 2)" "$kept" "$(median "$name.beside" 1)" \
		"$(median "$name.under" 1)" "$(median "$name.beside" 3)" "$(median "$name.under" 3)" \
		"$answered" "$growth" "$(median "$name.flood" 5)" "$(median "$name.flood" 4)"
	[ "$1" != handshakes ] || return 0
	[ "$3" = ping ] || figure "goodput kept, $1 $2/s, $3" "$kept" '>=' 0.8
	figure "memory growth in bytes, $1 $2/s, $3" "$growth" '<=' 1048576
	figure "bytes answered for each, $1 $2/s, $3" "$answered" '<=' 1
}

flood() {
	local kind pass seconds=${seconds:-2}
	local kinds=('hello 100000 up' 'hello 100000 down' 'hello 100000 ping' 'junk 100000 up'
		'unknown 100000 up' 'handshakes 500 up' 'handshakes 500 ping')
	[ -z "$kind_wanted" ] || mapfile -t kinds < <(printf '%s\n' "${kinds[@]}" | grep "^$kind_wanted ")
	columns kind pps flow repeats sent_per_s goodput_kept mbit_beside mbit_under p99_ms_beside \
		p99_ms_under bytes_out_per_byte_in rss_growth_bytes server_cpu_s_per_s load_share
	load_server
	start answer server "$LW_BUILD/tests/load/load" --answer "$INSIDE_IP:5201" --seconds 3600
	# a socket that nobody reads
	start unread server perl -MIO::Socket::INET -e '
		$| = 1;
		my $s = IO::Socket::INET->new(LocalAddr => "0.0.0.0:27699", Proto => "udp") or die "bind: $!";
		print "bound\n";
		sleep 3600;'
	wait_for 5 says answer answers || bail "nobody answers bulk"
	wait_for 5 says unread bound || bail "nobody ignores strangers"
	load flow --clients 1 --bulk up --hold 1 || bail "no flow"
	for ((pass = 1; pass <= repeats; pass++)); do
		for kind in "${kinds[@]}"; do
			say "[pass $pass of $repeats] $kind"
			# shellcheck disable=SC2086 # three words
			one_flood $kind || bail "$kind: the flow does not run"
		done
	done
	for kind in "${kinds[@]}"; do
		# shellcheck disable=SC2086 # three words
		flood_row $kind
	done
}

# --- the run ---

for program in lanewayd tests/load/load tests/bench/wheel modules/.libs/auth-anyone.so; do
	[ -e "$LW_BUILD/$program" ] || bail "$LW_BUILD/$program is not built"
done
machine_facts
fact workers auto
load_path
laneway_keys bench
before=$(ticks)
case $bench_name in
handshake) handshake ;;
idle) idle ;;
flood) flood ;;
esac
print_rows "$before" $json
exit 0
