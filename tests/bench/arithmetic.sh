#!/bin/bash
# What the bench of the tunnel makes of what it measured: fixed results of iperf3 and ping, rows,
# medians, figures and JSON, each with the output that is right by hand. No root, no network.
bench=$(cd "${BASH_SOURCE[0]%/*}" && pwd) || exit 1
failed=0

# gives NAME EXPECTED ACTUAL
gives() {
	[ "$2" = "$3" ] && return
	echo "$1: not what was expected (<) but (>):"
	diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") | sed 's/^/  /'
	failed=1
}

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# --- iperf3 ---

# iperf CONGESTION SUMS...: the parts of its output that count, and some that do not. SUMS are
# "NAME BYTES BITS_PER_SECOND [RETRANSMITS]"
iperf() {
	local sums=$2 name bytes bps retransmits
	printf '{\n\t"start":\t{\n\t},\n\t"intervals":\t[{\n\t\t\t"sum_sent":\t{\n\t\t\t\t"end":\t1.0,\n'
	printf '\t\t\t\t"bytes":\t77,\n\t\t\t\t"retransmits":\t77\n\t\t\t}\n\t\t}],\n\t"end":\t{\n'
	printf '\t\t"streams":\t[{\n\t\t\t\t"receiver":\t{\n\t\t\t\t\t"bytes":\t88,\n'
	printf '\t\t\t\t\t"bits_per_second":\t88\n\t\t\t\t}\n\t\t\t}],\n'
	while read -r name bytes bps retransmits; do
		printf '\t\t"%s":\t{\n\t\t\t"end":\t1.0,\n\t\t\t"bytes":\t%s,\n' "$name" "$bytes"
		printf '\t\t\t"bits_per_second":\t%s,\n' "$bps"
		[ -z "$retransmits" ] || printf '\t\t\t"retransmits":\t%s,\n' "$retransmits"
		printf '\t\t\t"sender":\ttrue\n\t\t},\n'
	done <<<"$sums"
	printf '\t\t"sender_tcp_congestion":\t"%s",\n\t\t"receiver_tcp_congestion":\t"other"\n\t}\n}\n' "$1"
}

of_iperf() {
	awk -v congestion=cubic -f "$bench/iperf.awk" "$@" || echo "status $?"
}

iperf cubic 'sum_sent 9000000000 72000000001 3
sum_received 8000000000 64000000000.5' >"$dir/one"
iperf cubic 'sum_sent 1000000000 1000000000 5
sum_received 900000000 720000000
sum_sent_bidir_reverse 800000000 640000000 6
sum_received_bidir_reverse 700000000 560000000' >"$dir/both"
iperf bbr 'sum_sent 1 1 0
sum_received 1 1' >"$dir/bbr"
echo '{ "error": "unable to connect" }' >"$dir/error"
: >"$dir/empty"
gives iperf-one $'64.000000\t8.000000\t3' "$(of_iperf "$dir/one")"
gives iperf-both $'1.280000\t1.600000\t11' "$(of_iperf "$dir/both")"
gives iperf-two-clients $'65.280000\t9.600000\t14' "$(of_iperf "$dir/one" "$dir/both")"
gives iperf-other-congestion 'status 1' "$(of_iperf "$dir/one" "$dir/bbr")"
gives iperf-error 'status 1' "$(of_iperf "$dir/one" "$dir/error")"
gives iperf-empty 'status 1' "$(of_iperf "$dir/empty")"

# --- ping ---

# ping SENT MS...
ping() {
	local sent=$1 ms
	shift
	for ms in "$@"; do echo "64 bytes from 192.0.2.1: icmp_seq=1 ttl=64 time=$ms ms"; done
	echo "$sent packets transmitted, $# received, 0% packet loss, time 9ms"
	echo "rtt min/avg/max/mdev = 0.1/0.2/0.3/0.4 ms"
}

of_ping() {
	awk -f "$bench/pings.awk" || echo "status $?"
}

# shellcheck disable=SC2046 # words
{
	gives ping-hundred $'50.0\t99.0' "$(ping 100 $(seq 100 -1 1) | of_ping)"
	gives ping-one-lost $'50.0\t99.0' "$(ping 100 $(seq 1 99) | of_ping)"
	gives ping-two-lost $'50.0\t1000.0' "$(ping 100 $(seq 1 98) | of_ping)"
	gives ping-odd $'2.0\t30.5' "$(ping 3 30.5 1 2 | of_ping)"
	gives ping-none 'status 1' "$(ping 100 | of_ping)"
	gives ping-silent 'status 1' "$(: | of_ping)"
}

# --- rows, medians ---

# raw "NAME" GBPS GB RETRANSMITS CPU_C CPU_S CALLS_C CALLS_S CALLS_GB P50 P99 [WHY]
raw() {
	local IFS=$'\t' name
	IFS=' ' read -r -a name <<<"$1"
	shift
	echo "${name[*]}"$'\t'"$*$([ $# -ge 11 ] || echo $'\t')"
}
nothing=(null null null null null null null null null null)

rows() {
	# by hand: of three the middle, of two the mean
	raw 'laneway none udp veth up 1 1' 2 1 10 3 2 900000 800000 0.5 null null
	raw 'laneway all udp veth up 1 1' 8 4 0 2 1.6 20000 18000 0.5 null null
	raw 'laneway none udp veth up 1 1' 1 2 50 5 4 500000 500000 0.5 null null
	raw 'laneway all udp veth up 1 1' 10 5 100 3 2.5 30000 20000 0.5 null null
	raw 'laneway none udp veth up 1 1' 1.5 1 0 2.4 2.1 1000000 900000 0.5 null null
	raw 'laneway all udp veth up 1 1' "${nothing[@]}" 'no traffic'
	raw 'wireguard-go all udp veth up 1 1' "${nothing[@]}" 'no peer'
	raw 'plain none none veth up 1 1' 40 20 5 null null null null null null null
	raw 'plain none none slow down 1 1' 0.19 0.1 5 null null null null null 30 40
	raw 'laneway all tcp slow down 1 1' 0.18 0.1 5 0.1 0.1 null null null 70 80.4
	# not of one flow and one client, so no figure
	raw 'laneway all udp veth up 4 1' 99 99 0 1 1 1 1 1 null null
	raw 'laneway all udp veth up 1 4' 99 99 0 1 1 1 1 1 null null
}

rows >"$dir/rows"
awk -f "$bench/medians.awk" "$dir/rows" >"$dir/medians"
gives medians "$(tr '|' '\t' <<'TEXT'
laneway|none|udp|veth|up|1|1|3|1.5|1|2|2.5|2|1800000|1600000|10|10|null|null|
laneway|all|udp|veth|up|1|1|2|9|8|10|0.55|0.45|50000|38000|50|10|null|null|no traffic
wireguard-go|all|udp|veth|up|1|1|0|null|null|null|null|null|null|null|null|null|null|null|no peer
plain|none|none|veth|up|1|1|1|40|40|40|null|null|null|null|5|0.25|null|null|
plain|none|none|slow|down|1|1|1|0.19|0.19|0.19|null|null|null|null|5|50|30|40|
laneway|all|tcp|slow|down|1|1|1|0.18|0.18|0.18|1|1|null|null|5|50|70|80.4|
laneway|all|udp|veth|up|4|1|1|99|99|99|0.010101|0.010101|1|1|0|0|null|null|
laneway|all|udp|veth|up|1|4|1|99|99|99|0.010101|0.010101|1|1|0|0|null|null|
TEXT
)" "$(cat "$dir/medians")"

# --- figures ---

awk -f "$bench/figures.awk" "$dir/medians" >"$dir/figures"
gives figures "$(tr '|' '\t' <<'TEXT'
UDP, system calls per GB, none / all|up, client|36|at least|20|yes|
UDP, system calls per GB, none / all|up, server|42.11|at least|20|yes|
UDP, throughput, all / none|up|6|at least|3.5|yes|
UDP, CPU-s per GB, all / none|up, client|0.22|at most|0.3|yes|
UDP, CPU-s per GB, all / none|up, server|0.225|at most|0.3|yes|
UDP, throughput, all / wireguard-go|up|null|at least|1.6|open|wireguard-go all udp veth up: no peer
TCP, ping p99 inside / the path's own queue|down, slow path|2.01|at most|2|no|
UDP, retransmits per GB, all|up|10|at most|10|yes|
UDP, throughput, none / plain veth|up|0.0375|at least|0.05|no|
UDP, CPU-s per GB, none|up, client|2.5|at most|6|yes|
UDP, CPU-s per GB, none|up, server|2|at most|6|yes|
TEXT
)" "$(grep -v ': not measured$' "$dir/figures")"
# without rows each figure is there, and open
gives figures-all 27 "$(wc -l <"$dir/figures")"
gives figures-of-nothing '27 open' \
	"$(awk -f "$bench/figures.awk" /dev/null | cut -f 6 | sort | uniq -c | sed 's/^ *//')"
gives figures-reason 'stock none tcp veth up: not measured' "$(awk -F'\t' \
	'$1 == "TCP, throughput, all / stock TCP" && $2 == "up" { print $7 }' <(
	printf 'laneway\tall\ttcp\tveth\tup\t1\t1\t1\t5\t5\t5\t1\t1\t1\t1\t0\t0\tnull\tnull\t\n' |
		awk -f "$bench/figures.awk"))"

# --- what is printed ---

printf 'kernel\t6.1 "x"\nprocessors\t2\nload_before\t0.10 0.20 0.30\n' >"$dir/facts"
gives json "$(printf '%s' '{"machine":{"kernel":"6.1 \"x\"","processors":2,"load_before":"0.10 0.20 0.30"},' \
	'"rows":[{"tunnel":"laneway","offload":"all","transport":"udp","path":"veth","direction":"up",' \
	'"streams":1,"clients":1,"workers":1,"cipher":"dtls","engine":"auto","congestion":"cubic",' \
	'"repeats":2,"gbps":9,"gbps_least":8,"gbps_most":10,"client_cpu_s_per_gb":0.55,' \
	'"server_cpu_s_per_gb":0.45,"client_syscalls_per_gb":50000,"server_syscalls_per_gb":38000,' \
	'"retransmits":50,"retransmits_per_gb":10,"ping_p50_ms":null,"ping_p99_ms":null,' \
	'"missing":"no traffic"}],"figures":[{"figure":"UDP, throughput, all / none","where":"up",' \
	'"measured":6,"asked":"at least 3.5","reached":"yes","why_open":null}]}')" \
	"$(awk -f "$bench/json.awk" "$dir/facts" <(sed -n 2p "$dir/medians") \
		<(grep $'^UDP, throughput, all / none\tup\t' "$dir/figures"))"
# who seals, which the transport tells
for row in 'udp dtls auto' 'udp+wolfcrypt dtls wolfcrypt' 'udp-ipsecmb expresslane ipsecmb' \
	'udp-null null null' 'tcp tls auto' 'tcp+wolfcrypt tls wolfcrypt'; do
	read -r transport cipher engine <<<"$row"
	gives "json-engine-of-$transport" "\"cipher\":\"$cipher\",\"engine\":\"$engine\"" \
		"$(printf 'laneway\tall\t%s\tveth\tup\t1\t1\t1\t5\t5\t5\t1\t1\t1\t1\t0\t0\tnull\tnull\t\n' "$transport" |
			awk -f "$bench/json.awk" | grep -o '"cipher":"[a-z]*","engine":"[a-z]*"')"
done
awk -f "$bench/table.awk" "$dir/medians" "$dir/figures" >"$dir/table"
gives table-row 'laneway all udp veth up 1 1 9.000 8.000-10.000 0.55 0.45 50k 38k 10.0 - -' \
	"$(grep -m 1 '^laneway  *all  *udp' "$dir/table" | tr -s ' ')"
gives table-missing 'laneway all udp veth up 1 1 of this, repeats are missing: no traffic
wireguard-go all udp veth up 1 1 not measured: no peer' "$(tr -s ' ' <"$dir/table" | grep ' 1 1 .*: no ')"
gives table-sum '8 reached, 2 missed, 17 open' "$(tail -n 1 "$dir/table")"

[ $failed = 0 ] && echo "all as expected"
exit $failed
