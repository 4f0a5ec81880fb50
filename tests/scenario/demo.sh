#!/bin/bash
# ./run demo: a server and a client in two namespaces, TCP through the tunnel both ways.
. "${BASH_SOURCE[0]%/*}/box.sh"
. "${BASH_SOURCE[0]%/*}/laneway.sh"

SECONDS_EACH=3
server_and_client_ns
laneway_keys demo
server_config 'log: { level: notice }'
client_config lwc udp 'routes: [10.125.0.0/16]'
start_server
start_client lwc client || exit 1
echo "server and client in two namespaces of this machine, joined by a veth pair; tunnel over UDP"
sed -n 's/.*\(connected to .*\)/\1/p' "$LW_TMP/lwc.log"
in_ns client ping -c 5 -i 0.1 -W 2 "$INSIDE_IP" >"$LW_TMP/ping" || bail "no ping passes"
sed -n 's/^rtt/ping through the tunnel, 5 packets: rtt/p' "$LW_TMP/ping"

# gbps [-R]: what iperf3's receiver counted of TCP payload
gbps() {
	start iperf server iperf3 -s -1 -B "$INSIDE_IP" --forceflush
	wait_for 5 says iperf 'Server listening' || return 1
	in_ns client timeout 20 iperf3 -c "$INSIDE_IP" -t "$SECONDS_EACH" -J "$@" >"$LW_TMP/iperf.json" || return 1
	awk '/"sum_received"/ { got = 1 } got && /"bits_per_second"/ {
		sub(/.*: */, ""); printf "%.2f\n", $0 / 1e9; exit }' "$LW_TMP/iperf.json"
}
up=$(gbps) || bail "no TCP passes from the client"
down=$(gbps -R) || bail "no TCP passes to the client"
end lwc || bail "the client does not end well"
end lanewayd || bail "the server does not end well"
echo "each figure: iperf3, one TCP flow inside for $SECONDS_EACH s, payload that the receiver counted;" \
	"both tunnel ends and both iperf3 ends share this machine's $(nproc) processors"
awk "BEGIN { exit !($up > 0 && $down > 0) }" || bail "no traffic"
printf 'demo: up %s Gbit/s, down %s Gbit/s\n' "$up" "$down"
