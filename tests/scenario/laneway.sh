# shellcheck shell=bash
# Sourced after box.sh: a server and clients of ours in namespaces of the box.
# shellcheck disable=SC2154 # LW_BUILD and LW_TMP are box.sh's

SERVER_IP=198.51.100.1
SERVER_IP6=2001:db8:100::1
INSIDE_IP=10.125.0.1

# laneway_keys: a CA, a server's certificate and a file of users, in $LW_TMP
laneway_keys() {
	(
		cd "$LW_TMP" || exit 1
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
			-subj "/CN=$1 test CA" -keyout ca.key -out ca.crt
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
			-subj "/CN=vpn.test" -keyout server.key -out server.csr
		printf 'subjectAltName=DNS:vpn.test\n' >ext
		openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial \
			-days 30 -extfile ext -out server.crt
		printf 'alice:%s\n' "$(openssl passwd -6 secret)" >users
		printf 'secret\n' >password
		chmod 600 server.key users password ca.key
	) >"$LW_TMP/openssl.log" 2>&1 || bail "cannot make keys: $(cat "$LW_TMP/openssl.log")"
}

# The switches of offload, auto, on or off: READS and WRITES superpackets, GSO, GRO.
# inside_yaml NAME: the section of the device
inside_yaml() {
	echo "inside: { module: tun, name: $1, checksum: ${READS:-auto}, coalesce: ${WRITES:-auto} }"
}

# server_config [LINES...]: write server.yaml; LINES are added at its end
server_config() {
	{
		cat <<-YAML
		identity: { certificate: server.crt, key: server.key }
		$(inside_yaml lw0)
		outside:
		  - module: udp
		    listen: ["0.0.0.0:27690", "[::]:27690"]
		    gso: ${GSO:-auto}
		    gro: ${GRO:-auto}
		    burst: ${BURST:-auto}
		  - module: tcp
		    listen: ["0.0.0.0:27690", "[::]:27690"]
		auth:
		  - module: htpasswd
		    file: users
		control: { socket: $LW_TMP/lanewayd.sock }
		YAML
		[ $# = 0 ] || printf '%s\n' "$@"
	} >"$LW_TMP/server.yaml"
}

# client_config NAME TRANSPORT [LINES...]: write NAME.yaml for a client with device NAME
client_config() {
	local name=$1 transport=$2
	shift 2
	{
		cat <<-YAML
		servers: ["$transport://${CLIENT_SERVER:-$SERVER_IP}:27690"]
		identity: { ca: ${CLIENT_CA:-ca.crt}, server_name: vpn.test }
		login: { user: alice, password_file: ${CLIENT_PASSWORD:-password} }
		$(inside_yaml "$name")
		outside:
		  - { module: udp, gso: ${GSO:-auto}, gro: ${GRO:-auto}, burst: ${BURST:-auto} }
		  - module: tcp
		control: { socket: $LW_TMP/$name.sock }
		YAML
		if [ $# = 0 ]; then echo 'routes: default'; else printf '%s\n' "$@"; fi
	} >"$LW_TMP/$name.yaml"
}

# start_server [NAME]: in namespace server, until it is ready
start_server() {
	start "${1:-lanewayd}" server "$LW_BUILD/lanewayd" --config "$LW_TMP/server.yaml"
	wait_for 10 says "${1:-lanewayd}" ready || bail "the server does not get ready"
}

# start_client NAME NS: until it is connected
start_client() {
	start "$1" "$2" "$LW_BUILD/laneway" --config "$LW_TMP/$1.yaml"
	wait_for 10 says "$1" 'connected to' || {
		not_ok "connect-$1" "the client does not connect"
		return 1
	}
}

# server_and_client_ns: namespaces server and client, joined
server_and_client_ns() {
	new_ns server client
	link_ns server veth-s "$SERVER_IP/24 $SERVER_IP6/64" \
		client veth-c "198.51.100.2/24 2001:db8:100::2/64"
}

# server_with_bridge: namespace server, which clients join with client_ns
server_with_bridge() {
	new_ns server
	# a MAC of its own: else each new port may change it, and what clients know of it is stale
	ip -n server link add br0 address 02:00:5e:00:00:01 type bridge || bail "no bridge"
	ip -n server addr add "$SERVER_IP/24" dev br0
	ip -n server link set br0 up
}

# client_ns NUMBER: namespace cNUMBER, at the server's bridge
client_ns() {
	new_ns "c$1"
	ip link add "vs$1" netns server type veth peer name eth0 netns "c$1" || bail "no veth"
	ip -n server link set "vs$1" master br0 up
	ip -n "c$1" addr add "198.51.100.$(($1 + 10))/24" dev eth0
	ip -n "c$1" link set eth0 up
}

# all_connected N: clients lw1 to lwN are
all_connected() {
	local i
	for i in $(seq "$1"); do
		says "lw$i" 'connected to' || return 1
	done
}

# all_ping N: in all of c1 to cN the server's inside answers each ping
all_ping() {
	local i pids=() failed=0
	for i in $(seq "$1"); do
		in_ns "c$i" ping -c 5 -i 0.1 -W 2 "$INSIDE_IP" >"$LW_TMP/ping$i" 2>&1 &
		pids+=($!)
	done
	for i in $(seq "$1"); do
		wait "${pids[i - 1]}" && continue
		failed=1
		echo "client $i:"
		cat "$LW_TMP/ping$i"
	done
	return $failed
}

# snapshot NS: what must be the same before and after: routes, addresses and devices. Link-local
# IPv6 is left out: the kernel still finds it out while a test begins.
snapshot() {
	{
		ip -n "$1" -o route show table all
		ip -n "$1" -o addr | sed 's/ valid_lft.*//'
	} | grep -vE 'fe80::|ff00::' | sort
}

# check_same NAME NS BEFORE: the namespace is as it was
check_same() {
	local now
	now=$(snapshot "$2")
	if [ "$now" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "something was left behind"
		diff <(printf '%s\n' "$3") <(printf '%s\n' "$now") | sed 's/^/    /'
	fi
}

# refuses NAME NS STATUS TEXT COMMAND...: ends by itself with this status and this in its words
refuses() {
	local name=$1 ns=$2 status=$3 text=$4 said rc
	shift 4
	said=$(in_ns "$ns" timeout 30 "$@" 2>&1)
	rc=$?
	if [ $rc = "$status" ] && grep -qF -- "$text" <<<"$said"; then
		ok "$name"
	else
		not_ok "$name" "status $rc, expected $status and '$text'"
		sed 's/^/    /' <<<"$said"
	fi
}

# ends CASE PROGRAM [SIGNAL [SECONDS [STATUS]]]: the case passes if it ends so: TERM, 10, 0
ends() {
	local status=0
	end "$2" "${3:-TERM}" "${4:-10}" || status=$?
	if [ $status = "${5:-0}" ]; then
		ok "$1"
	else
		not_ok "$1" "status $status, expected ${5:-0}"
	fi
}

# no_daemon: neither of ours runs in this box
no_daemon() {
	! pgrep -x lanewayd && ! pgrep -x laneway
}

# nothing_left: no process of ours is left, and no socket or state file in $LW_TMP and /run
nothing_left() {
	no_daemon && [ -z "$(find "$LW_TMP" -type s)" ] &&
		[ -z "$(find /run/laneway -type f 2>/dev/null)" ]
}

# show_peers: a program in namespace server that tells each connection to port 7777 its address
show_peers() {
	start peers server perl -MIO::Socket::INET -e '
		$| = 1;
		my $l = IO::Socket::INET->new(LocalPort => 7777, Listen => 16, ReuseAddr => 1)
			or die "listen: $!";
		print "listening\n";
		while (my $c = $l->accept) { print $c $c->peerhost, "\n"; close($c); }'
	wait_for 5 says peers listening || bail "show_peers does not listen"
}

# seen_as NS ADDRESS: print under which address NS is seen when it connects to ADDRESS
seen_as() {
	in_ns "$1" timeout 5 bash -c "cat </dev/tcp/$2/7777"
}

# goes_inside NS ADDRESS, goes_outside NS ADDRESS: which way a connection takes, and that it passes
goes_inside() {
	[[ $(seen_as "$1" "$2") == 10.125.* ]]
}

goes_outside() {
	[[ $(seen_as "$1" "$2") == 198.51.100.* ]]
}

# there_and_back: one TCP connection through the tunnel: 8 MB to the server, and the same back
there_and_back() {
	local sum
	[ -e "$LW_TMP/file" ] || head -c 8000000 /dev/urandom >"$LW_TMP/file"
	sum=$(sha256sum <"$LW_TMP/file")
	start echo server perl -MIO::Socket::INET -e '
		$| = 1;
		my $l = IO::Socket::INET->new(LocalAddr => shift, LocalPort => 5555, Listen => 1, ReuseAddr => 1)
			or die "listen: $!";
		print "listening\n";
		my $c = $l->accept;
		my ($got, $buf) = ("");
		$got .= $buf while length $got < 8000000 && sysread($c, $buf, 65536);
		open(my $f, ">", shift) or die;
		print $f $got;
		close $f;
		print $c $got;' "$INSIDE_IP" "$LW_TMP/there"
	wait_for 5 says echo listening || return 1
	in_ns client timeout 30 bash -c "exec 3<>/dev/tcp/$INSIDE_IP/5555 && cat $LW_TMP/file >&3 &&
		head -c 8000000 <&3 >$LW_TMP/back" || return 1
	wait_for 5 ended echo || return 1
	[ "$(sha256sum <"$LW_TMP/there")" = "$sum" ] && [ "$(sha256sum <"$LW_TMP/back")" = "$sum" ]
}

# counter WHO NAME: of the server or the client, now
counter() {
	"$LW_BUILD/lanewayctl" --socket "$LW_TMP/$1.sock" --json status |
		grep -o "\"$2\":[0-9]*" | head -n 1 | cut -d : -f 2
}

# by_worker: the sessions online of each worker of the server, in one line
by_worker() {
	"$LW_BUILD/lanewayctl" --socket "$LW_TMP/lanewayd.sock" --json status |
		sed 's/.*"load":\[//; s/\].*//' | grep -o '"sessions_online":[0-9]*' |
		cut -d : -f 2 | tr '\n' ' '
}

# sum NUMBER...
sum() {
	local n total=0
	for n in "$@"; do total=$((total + n)); done
	echo $total
}

# none_strayed: no worker had to hand anything over, and nothing was lost on the way
none_strayed() {
	local name
	for name in handed_over handed_over_dropped handed_dropped inside_no_session \
		unknown_datagrams; do
		[ "$(counter lanewayd $name)" = 0 ] ||
			{ echo "$name is $(counter lanewayd $name)"; return 1; }
	done
}
