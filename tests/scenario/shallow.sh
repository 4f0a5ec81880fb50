# shellcheck shell=bash
# Sourced after laneway.sh: a tunnel through a path whose queue is shallow, and what is lost there.
# shellcheck disable=SC2154,SC2034 # LW_BUILD and LW_TMP are box.sh's; BURST is read by laneway.sh

# 200 Mbit/s, 10 ms each way; 24,000 bytes are a millisecond of it, 17 datagrams
SHALLOW=(--rate 200 --delay 10 --queue 24000)

# shallow_make: namespaces and keys, once
shallow_make() {
	new_ns server client
	laneway_keys shallow
}

# bursty_tcp SECONDS OMITTED: a stream from the client, whose application writes 100 Mbit/s in
# pieces of 128 KiB, and whose sender heeds no single loss
bursty_tcp() {
	in_ns client iperf3 -J -c "$INSIDE_IP" -C bbr -b 100M -t "$1" -O "$2"
}

# bulk_tcp SECONDS OMITTED: four streams that send what they can
bulk_tcp() {
	in_ns client iperf3 -J -c "$INSIDE_IP" -C cubic -P 4 -t "$1" -O "$2"
}

# bursty_udp SECONDS OMITTED: 100 Mbit/s in bursts of 40 datagrams
bursty_udp() {
	in_ns client iperf3 -J -c "$INSIDE_IP" -u -l 1290 -b 100M/40 -t "$1" -O "$2"
}

# through_shallow BURST TRAFFIC SECONDS OMITTED: a tunnel with that burst, and that traffic through
# it; leaves goodput_mbit and lost_per_million of the traffic, the client's limit and counters, and
# what its status said of bursts
through_shallow() {
	local figures
	BURST=$1
	start relay - chrt -f 10 "$LW_BUILD/tests/bench/relay" "${SHALLOW[@]}" client:slow server:slow
	wait_for 5 says relay ready || return 1
	box_addresses server slow "$SERVER_IP/24"
	box_addresses client slow 198.51.100.2/24
	server_config
	client_config lwc udp 'routes: [10.125.0.1/32]'
	start_server
	start_client lwc client || return 1
	start sink server iperf3 -s -1 --forceflush
	wait_for 5 says sink 'Server listening' || return 1
	"$2" "$3" "$4" >"$LW_TMP/figures.json" 2>&1 || return 1
	figures=$(perl -MJSON::PP -0777 -e '
		my $e = decode_json(<STDIN>)->{end};
		my ($s, $r) = @$e{qw(sum_sent sum_received)};
		my $lost = exists $s->{retransmits} ? $s->{retransmits} * 1298 / $s->{bytes}
			: $e->{sum}{lost_packets} / $e->{sum}{packets};
		printf "%.0f %.0f", $r->{bits_per_second} / 1e6, $lost * 1e6;' <"$LW_TMP/figures.json") || return 1
	read -r goodput_mbit lost_per_million <<<"$figures"
	said=$("$LW_BUILD/lanewayctl" --socket "$LW_TMP/lwc.sock" status | grep -A 2 '^bursts')
	limit=$(counter lwc burst)
	shrunk=$(counter lwc bursts_shrunk)
	spaced=$(counter lwc outside_tx_spaced)
	end sink && end lwc && end lanewayd && end relay
}
