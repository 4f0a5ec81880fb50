# shellcheck shell=bash
# Sourced by tunnel.sh: the paths, and both ends of each tunnel on them.
# shellcheck disable=SC2154,SC2153 # LW_TMP, LW_BUILD are box.sh's, others laneway.sh's
# shellcheck disable=SC2034 # what tunnel.sh and laneway.sh read

# Paths: a veth pair between namespaces server and client (laneway.sh), the same from many clients
# through a bridge, and a slow one with a queue.
MANY_IP=192.0.2.1
SLOW_IP=203.0.113.1
SLOW=(--rate 200 --delay 10 --queue 500000)
many_made=0

# client_ns I CLIENTS: the namespace of client I of so many
client_ns() {
	if [ "$2" = 1 ]; then echo client; else echo "c$1"; fi
}

# cubic NS DEVICE PREFIX: the congestion control of all TCP through this route, the tunnels' own
# too; a namespace may not choose it by sysctl
cubic() {
	ip -n "$1" route change "$3" dev "$2" congctl "$CONGESTION"
}

veth_path() {
	server_and_client_ns
	cubic server veth-s 198.51.100.0/24 || bail "this kernel has no $CONGESTION"
	cubic client veth-c 198.51.100.0/24 || bail "this kernel has no $CONGESTION"
}

# many_path CLIENTS: at least so many
many_path() {
	local i
	if [ $many_made = 0 ]; then
		# a MAC of its own: else each new port may change it, and what clients know of it is stale
		ip -n server link add br0 address 02:00:5e:00:00:01 type bridge || return 1
		box_addresses server br0 "$MANY_IP/24"
		cubic server br0 192.0.2.0/24 || return 1
	fi
	for ((i = many_made + 1; i <= $1; i++)); do
		new_ns "c$i"
		ip link add "vs$i" netns server type veth peer name eth0 netns "c$i" || return 1
		ip -n server link set "vs$i" master br0 up
		box_addresses "c$i" eth0 "192.0.2.$((i + 10))/24"
		cubic "c$i" eth0 192.0.2.0/24 || return 1
		many_made=$i
	done
}

# slow_path: a relay for one row, which end_all ends; it takes its turn before the tunnels
slow_path() {
	start relay - nice -n -15 "$LW_BUILD/tests/bench/relay" "${SLOW[@]}" server:slow client:slow
	wait_for 5 says relay ready || return 1
	box_addresses server slow "$SLOW_IP/24"
	box_addresses client slow 203.0.113.2/24
	cubic server slow 203.0.113.0/24 && cubic client slow 203.0.113.0/24
}

# path_make PATH CLIENTS: make the path, and put the server's address there into outside_ip
path_make() {
	case $1 in
	slow) slow_path && outside_ip=$SLOW_IP ;;
	veth) if [ "$2" = 1 ]; then outside_ip=$SERVER_IP; else many_path "$2" && outside_ip=$MANY_IP; fi ;;
	esac
}

end_all() {
	local name
	[ ${#box_pid[@]} = 0 ] || kill "${box_pid[@]}" 2>/dev/null
	for name in "${!box_pid[@]}"; do
		end "$name" TERM 3
	done
}

# Every KIND_ends leaves the names of started programs in server_end and client_ends, and in
# inside_ip where the server is to be reached through the tunnel.

# What each end does: nothing, send (superpackets are read, runs are sent), all
declare -A switches=([none]='off off off off' [send]='on off on off' [all]='auto auto auto auto')

# laneway_ends OFFLOAD TRANSPORT CLIENTS: the transport is tcp, udp in DTLS, tcp+CIPHER or udp+CIPHER
# with that cipher for the records, or udp-CIPHER on Expresslane with it; "null" encrypts nothing. The
# server has as many workers as WORKERS says, 1
laneway_ends() {
	local READS WRITES GSO GRO CLIENT_SERVER=$outside_ip i lane='expresslane: { enabled: off }'
	case $2 in
	udp-*) lane="expresslane: { cipher: \"${2#udp-}\" }" ;;
	*+*) lane="expresslane: { enabled: off, cipher: \"${2#*+}\" }" ;;
	esac
	read -r READS WRITES GSO GRO <<<"${switches[$1]}"
	server_config 'log: { level: notice }' "workers: ${WORKERS:-1}" "$lane"
	start lanewayd server "$LW_BUILD/lanewayd" --config "$LW_TMP/server.yaml"
	server_end=lanewayd inside_ip=$INSIDE_IP
	wait_for 10 says lanewayd ready || return 1
	for ((i = 1; i <= $3; i++)); do
		client_config "lwc$i" "${2%%[-+]*}" 'routes: [10.125.0.0/16]' "$lane"
		start "lwc$i" "$(client_ns "$i" "$3")" "$LW_BUILD/laneway" --config "$LW_TMP/lwc$i.yaml"
		client_ends+=("lwc$i")
	done
	for ((i = 1; i <= $3; i++)); do
		wait_for 15 says "lwc$i" 'connected to' || return 1
	done
}

# wireguard_ends: wireguard-go, with its own addresses inside
WG_IP=10.77.0.1
wireguard_ends() {
	local ns key
	server_end=wg-server client_ends=(wg-client) inside_ip=$WG_IP
	for ns in server client; do
		[ -e "$LW_TMP/wg-$ns.key" ] || (umask 077 && wg genkey >"$LW_TMP/wg-$ns.key") || return 1
		start "wg-$ns" "$ns" "$wireguard" -f "wg-$ns"
		wait_for 5 in_ns "$ns" wg show "wg-$ns" || return 1
	done
	key=$(wg pubkey <"$LW_TMP/wg-client.key")
	in_ns server wg set wg-server private-key "$LW_TMP/wg-server.key" listen-port 51820 \
		peer "$key" allowed-ips 10.77.0.2/32 || return 1
	key=$(wg pubkey <"$LW_TMP/wg-server.key")
	in_ns client wg set wg-client private-key "$LW_TMP/wg-client.key" \
		peer "$key" endpoint "$outside_ip:51820" allowed-ips "$WG_IP/32" || return 1
	ip -n server addr add "$WG_IP/24" dev wg-server && ip -n server link set wg-server up || return 1
	ip -n client addr add 10.77.0.2/24 dev wg-client && ip -n client link set wg-client up || return 1
	wait_for 10 in_ns client ping -c 1 -W 1 "$WG_IP"
}

# stock_ends TRANSPORT: Lightway's own programs, which leave addresses and routes to us. They want
# their files unreadable for others.
stock_ends() {
	local ns
	server_end=stock-server client_ends=(stock-client) inside_ip=$INSIDE_IP
	(
		umask 077
		cat >"$LW_TMP/stock-server.yaml" <<-YAML
		bind_address: $outside_ip:27690
		mode: $1
		server_cert: $LW_TMP/server.crt
		server_key: $LW_TMP/server.key
		user_db: $LW_TMP/users
		tun_name: stock
		tun_ip: $INSIDE_IP
		ip_pool: 10.125.0.0/16
		lightway_server_ip: 169.254.10.1
		lightway_client_ip: 169.254.10.2
		lightway_dns_ip: 169.254.10.5
		udp_buffer_size: 15 MiB
		log_level: info
		YAML
		cat >"$LW_TMP/stock-client.yaml" <<-YAML
		server: $outside_ip:27690
		mode: $1
		ca_cert: $LW_TMP/ca.crt
		server_dn: vpn.test
		user: alice
		password: secret
		cipher: aes256
		tun_name: stock
		tun_local_ip: 100.64.0.6
		tun_peer_ip: 100.64.0.5
		tun_dns_ip: 100.64.0.1
		outside_mtu: 1500
		keepalive_interval: 10s
		keepalive_timeout: 30s
		route_mode: noexec
		dns_config_mode: noexec
		log_level: info
		YAML
	)
	start stock-server server "$LW_STOCK_SERVER" -c "$LW_TMP/stock-server.yaml"
	wait_for 10 ip -n server link show stock || return 1
	ip -n server addr add "$INSIDE_IP/16" dev stock && ip -n server link set stock mtu 1350 up || return 1
	start stock-client client "$LW_STOCK_CLIENT" -c "$LW_TMP/stock-client.yaml"
	wait_for 15 ip -n client link show stock || return 1
	ip -n client link set stock mtu 1350 up || return 1
	ip -n client addr replace 100.64.0.6/32 dev stock || return 1
	ip -n client route replace "$INSIDE_IP/32" dev stock src 100.64.0.6 || return 1
	wait_for 10 in_ns client ping -c 1 -W 1 "$INSIDE_IP"
}
