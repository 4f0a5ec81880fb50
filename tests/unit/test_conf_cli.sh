#!/bin/sh
# shellcheck disable=SC2086 # $d and $c are commands with their arguments
# The command lines of both daemons with the real modules: what they say, and their exit codes.
# Nothing is started: each call ends before anything is opened.
set -u
build=$(pwd)
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
bad=0 n=0

# expect STATUS TEXT COMMAND...: this status, and exactly this on both outputs
expect() {
	status=$1 text=$2
	shift 2
	n=$((n + 1))
	said=$("$@" 2>&1)
	rc=$?
	if [ "$rc" != "$status" ] || [ "$said" != "$text" ]; then
		bad=$((bad + 1))
		printf 'FAIL: %s\nstatus %s, expected %s\n%s\n--- expected\n%s\n' \
			"$*" "$rc" "$status" "$said" "$text"
	fi
}

# same TEXT WHAT: two texts are one
same() {
	n=$((n + 1))
	[ "$1" = "$2" ] && return
	bad=$((bad + 1))
	printf 'FAIL: %s\n%s\n--- and\n%s\n' "$3" "$1" "$2"
}

for file in server.crt server.key users ca.crt password; do
	echo x >$file
	chmod 600 $file
done
lanewayd=$build/lanewayd
laneway=$build/laneway
d="$lanewayd --config d.yaml --check-config"
c="$laneway --config c.yaml --check-config"

# the short files of the manual
printf 'auth: [{ module: htpasswd, file: users }]\n' >d.yaml
printf 'servers: [udp://vpn.example.net:27690]\nlogin: { user: a, password_file: password }\n' >c.yaml
expect 0 '' $d
expect 0 '' $c

# printed and read again, the values are the same
for program in lanewayd laneway; do
	file=d.yaml
	[ $program = laneway ] && file=c.yaml
	"$build/$program" --config $file --print-config >first.yaml
	"$build/$program" --config first.yaml --print-config >again.yaml
	same "$(sed 's/  #.*//' first.yaml)" "$(sed 's/  #.*//' again.yaml)" "$program --print-config"
done

# command line
expect 64 "lanewayd: unknown option '--network-mut'; did you mean --network-mtu?" \
	$d --network-mut 1400
expect 64 "lanewayd: a value is missing after '--network-mtu'; lanewayd --help lists what there is" \
	$d --network-mtu
expect 64 "lanewayd: unknown word 'start'; lanewayd --help lists what there is" $lanewayd start
expect 64 "--network-mtu: '9' is too small; allowed is 576 to 1419 bytes" $d --network-mtu=9
expect 64 "--login-password: a secret is not taken from the command line; write it into the file" \
	$c --login-password x
expect 78 "LANEWAY_LIMITS_IDLE: '1' lacks a unit; write a duration like 15m or 1h30m" \
	env LANEWAY_LIMITS_IDLE=1 $d
LANEWAY_NETWORK_MTU=1300 $lanewayd --config d.yaml --print-config --network-mtu 1301 >out
same "$(grep mtu: out)" '  mtu: 1301  # command line' 'command line over environment'
LANEWAY_NETWORK_MTU=1300 $lanewayd --config d.yaml --print-config >out
same "$(grep mtu: out)" '  mtu: 1300  # environment' 'environment over default'
said=$(LANEWAY_NETWORK_MUT=1300 $d 2>&1)
same "${said##*warn }" \
	'conf: unknown variable LANEWAY_NETWORK_MUT; did you mean LANEWAY_NETWORK_MTU' \
	'unknown variable'

# files
expect 78 'none.yaml: cannot read the configuration: No such file or directory' \
	$lanewayd --config none.yaml
chmod 644 server.key
expect 78 "d.yaml: key: others may read 'server.key' (mode 0644); run chmod 600 'server.key'" $d
chmod 600 server.key
mv ca.crt elsewhere
expect 78 "c.yaml: ca: cannot read 'ca.crt': No such file or directory" $c
mv elsewhere ca.crt

# every mistake of one file in one run
cat >d.yaml <<'YAML'
network:
  pool: 10.125.0.0/33
  mtu: 1500
outside:
  - module: udp
    lisen: ["0.0.0.0:1"]
  - module: tcp
    listen: ["0.0.0.0"]
  - module: udpp
auth:
  - module: htpasswd
limits: { handshakes: 100 }
worker: 4
YAML
expect 78 "d.yaml:2:9: pool: '10.125.0.0/33' is not a prefix; write one like 10.125.0.0/16
d.yaml:3:8: mtu: '1500' is too large; allowed is 576 to 1419 bytes
d.yaml:6:5: unknown key 'lisen' in outside-udp; did you mean 'listen'?
d.yaml:9:5: outside: no module outside-udpp in WHERE; did you mean outside-udp
d.yaml:12:23: handshakes: '100' lacks a unit; write a rate like 1000/s
d.yaml:13:1: unknown key 'worker'; did you mean 'workers'?
d.yaml:8:14: listen: 0.0.0.0:0 lacks a port
d.yaml:11:5: file is missing: File of user:hash lines, readable by its owner only; htpasswd -B \
adds one." sh -c "$d 2>&1 | sed 's/ in [^ ]*modules[^;]*;/ in WHERE;/; s/ in this program;/ in WHERE;/'
	exit 78"

cat >c.yaml <<'YAML'
servers:
  - udp://vpn.example.net:27690
  - vpn.example.net:27690
login: { user: a, password: x, password_file: password }
routes: [10.0.0.0/8, "2001:db8::/32"]
reconnect: { min: 1m }
YAML
chmod 600 c.yaml
expect 78 "c.yaml:3:5: servers: 'vpn.example.net:27690' is not udp://HOST:PORT or tcp://HOST:PORT, \
with an IPv6 address in brackets
c.yaml:4:29: login needs either password_file or password
c.yaml:5:22: routes: the inside is IPv4 only; write an IPv4 prefix
c.yaml:6:19: reconnect: min is above max" $c

cat >c.yaml <<'YAML'
servers: [udp://vpn.example.net:27690, tcp://vpn.example.net:27690]
login: { user: a, password_file: password }
outside:
  - module: udp
    gso: off
  - module: udp
YAML
expect 78 "c.yaml:6:5: outside: a second module of this kind; one carries all servers
c.yaml:1:40: servers: 'tcp://vpn.example.net:27690' needs a module for TCP in outside" $c

for burst in 0:'too small; allowed is 1 to 63' 64:'too large; allowed is 1 to 63' \
	on:'not a number or auto; write one like 1 or 1000'; do
	cat >c.yaml <<-YAML
	servers: [udp://vpn.example.net:27690]
	login: { user: a, password_file: password }
	outside: [{ module: udp, burst: ${burst%%:*} }]
	YAML
	expect 78 "c.yaml:3:33: burst: '${burst%%:*}' is ${burst#*:}" $c
done

# what the tables print for others
for program in lanewayd laneway; do
	"$build/$program" --print-schema >schema.json || bad=$((bad + 1))
	if command -v python3 >/dev/null; then
		python3 -c 'import json; json.load(open("schema.json"))' || bad=$((bad + 1))
	fi
	same "$(grep -c '"anyOf":\[{"const":"auto"},{"type":"integer","minimum":1,"maximum":63}\]' schema.json)" \
		1 "$program schema of a number or auto"
	same "$("$build/$program" --print-reference | head -n 1)" '.SH KEYS' "$program reference"
	same "$("$build/$program" --help | grep -c '^  network.mtu  (')" 1 "$program --help"
done
same "$($lanewayd --module-help outside-udp | sed -n 's/^\(outside-udp\) .*/\1/p')" outside-udp \
	'--module-help'

[ "$bad" = 0 ] && echo "conf_cli: $n texts ok"
exit $((bad > 0))
