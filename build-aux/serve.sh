# shellcheck shell=bash
# Sourced by ./run: a real server on this machine, and a client of its own in a namespace that shows
# ping and rate through the tunnel. What is made is named after the process id of ./run; what a
# dead one left is removed first.
: "${top:?}"

run_dir=$top/build/run
run_net=198.18.255
run_pids=()

serve_fail() {
	echo "$*" >&2
	exit 1
}

# What a ./run that was killed left: its namespace; the daemons died with it.
serve_sweep() {
	local ns pid
	for ns in $(ip netns list 2>/dev/null | awk '/^laneway-[0-9]+/ { print $1 }'); do
		pid=${ns#laneway-}
		kill -0 "$pid" 2>/dev/null && continue
		ip netns del "$ns" && echo "removed what process $pid left behind"
	done
}

serve_keys() {
	mkdir -p "$run_dir" && chmod 700 "$run_dir" && cd "$run_dir" || return
	if [ ! -e server.crt ]; then
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
			-subj "/CN=Laneway CA of $(hostname)" -keyout ca.key -out ca.crt &&
			openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
				-subj /CN=laneway.internal -keyout server.key -out server.csr &&
			printf 'subjectAltName=DNS:laneway.internal\n' >ext &&
			openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial \
				-days 3650 -extfile ext -out server.crt.new &&
			mv server.crt.new server.crt || return
	fi
	if [ ! -e password ]; then
		openssl rand -base64 15 >password.new && mv password.new password || return
		printf 'laneway:%s\n' "$(openssl passwd -6 -stdin <password)" >users || return
	fi
	chmod 600 ca.key server.key users password
}

port_is_free() {
	[ -z "$(ss -Hlnut "sport = :$1")" ]
}

serve_config() {
	run_port=27690
	until port_is_free "$run_port"; do run_port=$((run_port + 1)); done
	[ "$run_port" = 27690 ] || echo "port 27690 is taken; this server listens on $run_port"
	cat >server.yaml <<-YAML
	identity: { certificate: server.crt, key: server.key }
	inside: { module: tun, name: lw$$ }
	outside:
	  - module: udp
	    listen: ["0.0.0.0:$run_port", "[::]:$run_port"]
	  - module: tcp
	    listen: ["0.0.0.0:$run_port", "[::]:$run_port"]
	auth:
	  - module: htpasswd
	    file: users
	control: { socket: /run/laneway/run-$$.sock }
	YAML
	serve_client_file "$run_net.1" own.yaml udp 'routes: [10.125.0.0/16]' \
		"control: { socket: /run/laneway/run-$$-client.sock }"
	serve_client_file "$(serve_address)" client.yaml 'udp tcp' 'routes: default'
}

# The address that others most likely reach this machine by
serve_address() {
	ip -4 -o route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p' | grep . ||
		hostname
}

# serve_client_file ADDRESS FILE TRANSPORTS LINES...: one file that connects a client, with all it needs
serve_client_file() {
	local address=$1 file=$2 transport
	local -a servers=()
	for transport in $3; do
		servers+=("\"$transport://$address:$run_port\"")
	done
	shift 3
	(
		umask 077
		{
			printf 'servers: [%s]\n' "$(IFS=,; echo "${servers[*]}")"
			printf 'login: { user: laneway, password: "%s" }\n' "$(cat password)"
			printf '%s\n' "$@"
			printf 'identity:\n  server_name: laneway.internal\n  ca: |\n'
			sed 's/^/    /' ca.crt
		} >"$file"
	)
}

# serve_start LOG COMMAND...: a daemon that ends when this shell does
serve_start() {
	local log=$1
	shift
	: >"$log" # now: serve_wait must not find what an earlier one said
	setpriv --pdeathsig TERM -- "$@" </dev/null >>"$log" 2>&1 &
	run_pids+=($!)
}

serve_wait() {
	local log=$1 text=$2 n
	for n in $(seq 100); do
		grep -qF "$text" "$log" && return
		kill -0 "${run_pids[-1]}" 2>/dev/null || break
		sleep 0.1
	done
	tail -n 20 "$log" >&2
	return 1
}

serve_end() {
	local pid
	trap - EXIT
	for pid in "${run_pids[@]}"; do kill "$pid" 2>/dev/null; done
	for pid in "${run_pids[@]}"; do wait "$pid" 2>/dev/null; done
	ip netns del "laneway-$$" 2>/dev/null
	ip link del "lwv$$" 2>/dev/null
	rm -f "/run/laneway/run-$$.sock" "/run/laneway/run-$$-client.sock"
	echo
	echo "restored: no process, namespace or device is left; keys and password stay in build/run"
}

serve_namespace() {
	ip netns add "laneway-$$" &&
		ip link add "lwv$$" type veth peer name eth0 netns "laneway-$$" &&
		ip addr add "$run_net.1/30" dev "lwv$$" && ip link set "lwv$$" up &&
		ip -n "laneway-$$" addr add "$run_net.2/30" dev eth0 &&
		ip -n "laneway-$$" link set eth0 up && ip -n "laneway-$$" link set lo up
}

# serve_rate [-R]: Mbit/s of TCP through the tunnel for two seconds
serve_rate() {
	local server
	iperf3 -s -1 -B 10.125.0.1 -p 27699 >/dev/null 2>&1 &
	server=$!
	sleep 0.3
	ip netns exec "laneway-$$" timeout 10 iperf3 -c 10.125.0.1 -p 27699 -t 2 -f m "$@" 2>/dev/null |
		awk '/receiver/ { for (i = 1; i < NF; i++) if ($(i + 1) == "Mbits/sec") print $i }'
	kill "$server" 2>/dev/null
	wait "$server" 2>/dev/null
}

serve_tell() {
	local address
	address=$(serve_address)
	cat <<-TEXT

	The server runs: UDP and TCP on port $run_port of this machine, inside address 10.125.0.1.
	  user       laneway
	  password   $(cat password)
	  a client   copy build/run/client.yaml elsewhere, then: laneway --config client.yaml
	  a stock Lightway client: copy build/run/ca.crt too, and give it
	             server: $address:$run_port, mode: udp or tcp, ca_cert: ca.crt,
	             server_dn: laneway.internal, user: laneway, password as above
	Forwarding, firewall, other routes and the resolver of this machine are as they were: clients
	reach this machine, and the rest of the network only if you let it forward.
	Ctrl-C ends and restores everything.
	TEXT
}

# run_serve: all of it, until a signal
run_serve() {
	local rtt
	[ -c /dev/net/tun ] || serve_fail "/dev/net/tun is missing: run modprobe tun, or allow it in this container"
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	serve_sweep
	serve_keys >"$run_dir.log" 2>&1 || serve_fail "cannot make keys: see $run_dir.log"
	trap serve_end EXIT
	serve_config
	serve_namespace || serve_fail "cannot make a namespace; is another ./run using $run_net.0/30?"
	serve_start server.log "$top/build/lanewayd" --config server.yaml
	serve_wait server.log ready || serve_fail "the server did not start"
	serve_start client.log ip netns exec "laneway-$$" "$top/build/laneway" --config own.yaml
	serve_wait client.log 'connected to' || serve_fail "the client of its own did not connect"
	echo "own client, in namespace laneway-$$: $(sed -n 's/.*connected to/connected to/p' client.log)"
	rtt=$(ip netns exec "laneway-$$" ping -c 5 -i 0.1 -W 2 10.125.0.1 | sed -n 's/^rtt //p')
	[ -n "$rtt" ] || serve_fail "no ping passes through the tunnel"
	echo "ping through the tunnel: $rtt"
	echo "TCP through the tunnel: up $(serve_rate) Mbit/s, down $(serve_rate -R) Mbit/s (iperf3, 2 s each)"
	serve_tell
	serve_live
}

# serve_number NAME: a number of the server's status, the first of that name
serve_number() {
	grep -o "\"$1\":[0-9]*" status.json | head -n 1 | tr -dc 0-9
}

# A line a second on a terminal: sessions, and what the tunnel carries; silence elsewhere
serve_live() {
	local rtt up down was_up=0 was_down=0 now was=
	while kill -0 "${run_pids[0]}" 2>/dev/null; do
		sleep 1 &
		wait $!
		[ -t 1 ] || continue
		rtt=$(ip netns exec "laneway-$$" ping -c 1 -W 1 10.125.0.1 | sed -n 's/.*time=//p')
		"$top/build/lanewayctl" --socket "/run/laneway/run-$$.sock" --json status >status.json || continue
		now=${EPOCHREALTIME/[.,]/} up=$(serve_number inside_tx_bytes) down=$(serve_number inside_rx_bytes)
		[ -z "$was" ] || printf '\r\033[Ksessions %s, up %s Mbit/s, down %s Mbit/s, round trip %s' \
			"$(serve_number sessions_online)" $(((up - was_up) * 8 / (now - was))) \
			$(((down - was_down) * 8 / (now - was))) "${rtt:-none}"
		was=$now was_up=$up was_down=$down
	done
	serve_fail "the server has ended: see build/run/server.log"
}
