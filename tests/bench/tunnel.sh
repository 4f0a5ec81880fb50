#!/bin/bash
# One TCP flow of iperf3 between two namespaces: plain, through our tunnel with and without offload,
# and through wireguard-go where that is installed. CPU is user and system time of each tunnel end;
# system calls are counted by perf, never under strace. GB is 10^9 bytes of TCP payload.
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

# The engines of Expresslane that were built, the fastest of most machines first
engines=()
for engine in ipsecmb wolfcrypt openssl; do
	[ ! -e "$LW_BUILD/modules/.libs/cipher-$engine.so" ] || engines+=("$engine")
done

# laneway_ends OFFLOAD TRANSPORT CIPHER: a server and a client that is connected. CIPHER is dtls,
# tls, expresslane/ENGINE, or null/none, which goes where Expresslane does and encrypts nothing
laneway_ends() {
	local READS WRITES GSO GRO lane='expresslane: { enabled: off }'
	case $3 in
	expresslane/*) lane="expresslane: { cipher: ${3#*/} }" ;;
	null/*) lane='expresslane: { cipher: "null" }' ;;
	esac
	# shellcheck disable=SC2034 # they are for the configurations
	read -r READS WRITES GSO GRO <<<"${switches[$1]}"
	server_config 'log: { level: notice }' "$lane"
	client_config lwc "$2" 'routes: [10.125.0.0/16]' "$lane"
	start_server
	start lwc client "$LW_BUILD/laneway" --config "$LW_TMP/lwc.yaml"
	wait_for 10 says lwc 'connected to'
}

# wireguard_ends: the same of wireguard-go, with its own addresses inside
WG_IP=10.77.0.1
wireguard_ends() {
	local ns key
	for ns in server client; do
		[ -e "$LW_TMP/wg-$ns.key" ] || (umask 077 && wg genkey >"$LW_TMP/wg-$ns.key") || return 1
		start "wg-$ns" "$ns" wireguard-go -f "wg-$ns"
		wait_for 5 in_ns "$ns" wg show "wg-$ns" || return 1
	done
	key=$(wg pubkey <"$LW_TMP/wg-client.key")
	in_ns server wg set wg-server private-key "$LW_TMP/wg-server.key" listen-port 51820 \
		peer "$key" allowed-ips 10.77.0.2/32 || return 1
	key=$(wg pubkey <"$LW_TMP/wg-server.key")
	in_ns client wg set wg-client private-key "$LW_TMP/wg-client.key" \
		peer "$key" endpoint "$SERVER_IP:51820" allowed-ips "$WG_IP/32" || return 1
	ip -n server addr add "$WG_IP/24" dev wg-server && ip -n server link set wg-server up || return 1
	ip -n client addr add 10.77.0.2/24 dev wg-client && ip -n client link set wg-client up || return 1
	wait_for 10 in_ns client ping -c 1 -W 1 "$WG_IP"
}

# row TUNNEL OFFLOAD TRANSPORT CIPHER DIRECTION: one measured row, columns divided by tabs
row() {
	local what=$1$'\t'$2$'\t'$3$'\t'$4$'\t'$5 back=() c s calls_c calls_s got
	local client=lwc server=lanewayd address=$INSIDE_IP
	[ "$5" = up ] || back=(-R)
	case $1 in
	plain)
		got=$(flow "$SERVER_IP" "${back[@]}") || return 1
		printf '%s\t%s\tnull\tnull\tnull\tnull\n' "$what" "$got"
		return
		;;
	wireguard-go)
		client=wg-client server=wg-server address=$WG_IP
		wireguard_ends || return 1
		;;
	laneway) laneway_ends "$2" "$3" "$4" || return 1 ;;
	esac
	c=$(ticks "$(pid_of $client)") s=$(ticks "$(pid_of $server)")
	calls_begin client "$(pid_of $client)"
	calls_begin server "$(pid_of $server)"
	got=$(flow "$address" "${back[@]}") || return 1
	c=$(($(ticks "$(pid_of $client)") - c)) s=$(($(ticks "$(pid_of $server)") - s))
	calls_end client >"$LW_TMP/calls.n"
	calls_c=$(cat "$LW_TMP/calls.n")
	calls_end server >"$LW_TMP/calls.n"
	calls_s=$(cat "$LW_TMP/calls.n")
	end $client
	end $server
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
	{ key = $1 "\t" $2 "\t" $3 "\t" $4 "\t" $5; if (!(key in gbps)) order[++n] = key
	  split($6, f, " "); gb = f[2] / 1e9
	  gbps[key] = gbps[key] " " f[1] / 1e9; retr[key] = retr[key] " " f[3]
	  cc[key] = cc[key] " " ($7 == "null" ? "null" : $7 / hz / gb)
	  sc[key] = sc[key] " " ($8 == "null" ? "null" : $8 / hz / gb)
	  ck[key] = ck[key] " " ($9 == "null" ? "null" : $9 / gb)
	  sk[key] = sk[key] " " ($10 == "null" ? "null" : $10 / gb) }
	END { for (i = 1; i <= n; i++) { k = order[i]
		print k "\t" median(gbps[k]) "\t" median(cc[k]) "\t" median(sc[k]) "\t" median(ck[k]) \
			"\t" median(sk[k]) "\t" median(retr[k]) } }'
}

print_table() {
	awk -F'\t' 'BEGIN { printf "%-12s %-7s %-5s %-21s %-4s %8s %18s %18s %20s %20s %8s\n", "tunnel", "offload", "outer", "cipher", "dir",
		"Gbit/s", "client CPU-s/GB", "server CPU-s/GB", "client calls/GB", "server calls/GB", "retrans" }
	function num(v, f) { return v == "null" ? "-" : sprintf(f, v) }
	{ printf "%-12s %-7s %-5s %-21s %-4s %8.2f %18s %18s %20s %20s %8d\n", $1, $2, $3, $4, $5, $6, num($7, "%.2f"),
		num($8, "%.2f"), num($9, "%.0f"), num($10, "%.0f"), $11 }'
}

print_json() {
	awk -F'\t' -v kernel="$(uname -r)" -v cpus="$(nproc)" '
	function engine() {
		if (split($4, part, "/") == 2) return part[2]
		return $1 == "laneway" ? "wolfssl" : $1 == "plain" ? "none" : "go"
	}
	function cipher() { split($4, part, "/"); return part[1] }
	BEGIN { printf "{\"machine\":{\"kernel\":\"%s\",\"processors\":%d},\"rows\":[", kernel, cpus }
	{ printf "%s{\"tunnel\":\"%s\",\"offload\":\"%s\",\"transport\":\"%s\",\"cipher\":\"%s\",\"engine\":\"%s\",\"direction\":\"%s\",\"streams\":1,\"clients\":1,\"workers\":1,\"gbps\":%s,\"client_cpu_s_per_gb\":%s,\"server_cpu_s_per_gb\":%s,\"client_syscalls_per_gb\":%s,\"server_syscalls_per_gb\":%s,\"retransmits\":%s}", \
		(NR > 1 ? "," : ""), $1, $2, $3, cipher(), engine(), $5, $6, $7, $8, $9, $10, $11 }
	END { print "]}" }'
}

server_and_client_ns
laneway_keys bench
wireguard=
if command -v wireguard-go wg >/dev/null; then
	wireguard=yes
else
	echo "no row of wireguard-go: it, or wireguard-tools, is not installed" >&2
fi
for _ in $(seq "$repeats"); do
	for direction in up down; do
		row plain none none null $direction || bail "plain $direction"
		for offload in none send all; do
			ciphers=(dtls "expresslane/${engines[0]}")
			[ $offload != all ] || ciphers=(dtls "${engines[@]/#/expresslane/}" null/none)
			for cipher in "${ciphers[@]}"; do
				row laneway $offload udp "$cipher" $direction ||
					bail "laneway $offload udp $cipher $direction"
			done
		done
		for offload in none all; do
			row laneway $offload tcp tls $direction || bail "laneway $offload tcp $direction"
		done
		[ -z "$wireguard" ] || row wireguard-go all udp chacha20 $direction || bail "wireguard-go $direction"
	done
done >"$LW_TMP/rows"
if [ $json = 1 ]; then medians <"$LW_TMP/rows" | print_json; else medians <"$LW_TMP/rows" | print_table; fi
