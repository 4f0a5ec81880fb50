# shellcheck shell=bash
# Sourced after laneway.sh: a server that many clients may use, and the load.
# shellcheck disable=SC2154 # LW_BUILD and LW_TMP are box.sh's

# addresses of clients and of strangers, all of them local ones of namespace client
LOAD_CLIENTS=10.64.0.0/16
LOAD_STRANGERS=10.80.0.0/12

# load_path: namespaces server and client, and a way back to all those addresses
load_path() {
	local range
	[ -x "$LW_BUILD/tests/load/load" ] || bail "there is no $LW_BUILD/tests/load/load"
	server_and_client_ns
	for range in $LOAD_CLIENTS $LOAD_STRANGERS; do
		ip -n client route add local "$range" dev lo || bail "no route for $range"
		ip -n server route add "$range" via 198.51.100.2 || bail "no way to $range"
	done
}

# load_server [LINES...]: a server that lets everybody in, at once, and sets no limits; LINES are
# added to server.yaml
load_server() {
	server_config 'log: { level: notice }' 'limits: { sessions: 1000000, handshakes: 1000000/s }' "$@"
	sed -i '/module: htpasswd/,/file: users/c\  - module: anyone' "$LW_TMP/server.yaml"
	start_server
}

# load_server_bcrypt [LINES...]: the same, but it lets in whose password fits, which takes a core 50 ms
load_server_bcrypt() {
	server_config 'log: { level: notice }' 'limits: { sessions: 1000000, handshakes: 1000000/s }' "$@"
	perl -e 'print "load:", crypt("load", "\$2b\$10\$" . "LanewayLanewayLaneway."), "\n"' >>"$LW_TMP/users"
	start_server
}

# load_start NAME WORDS...: in the background, in namespace client; its line goes to NAME.json
load_start() {
	local name=$1
	shift
	# shellcheck disable=SC2016 # the inner shell's
	start "$name" client bash -c 'exec "$@" >"$0"' "$LW_TMP/$name.json" "$LW_BUILD/tests/load/load" \
		--server "$SERVER_IP:27690" --ca "$LW_TMP/ca.crt" --server-name vpn.test \
		--source $LOAD_CLIENTS "$@"
}

# load_end NAME: wait until it ends by itself, with its status
load_end() {
	local status=0
	wait "$(pid_of "$1")" || status=$?
	unset "box_pid[$1]"
	return $status
}

# load NAME WORDS...: from begin to end
load() {
	load_start "$@"
	load_end "$1"
}

# of_load NAME KEY: a number or a word of its line
of_load() {
	grep -o "\"$2\":[^,}]*" "$LW_TMP/$1.json" | head -n 1 | cut -d : -f 2-
}

# is NAME KEY RELATION VALUE: of the load's line
is() {
	local v
	v=$(of_load "$1" "$2")
	awk -v a="$v" -v b="$4" "BEGIN { exit !(a != \"\" && a + 0 $3 b + 0) }" && return
	echo "$2 is '$v', not $3 $4"
	return 1
}
