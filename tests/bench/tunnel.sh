#!/bin/bash
# TCP between namespaces: plain, through our tunnel with and without offload, and through others'
# tunnels. See `tests/bench/run --help`, and README.md for what the columns are.
# shellcheck source=tests/scenario/box.sh
. "${BASH_SOURCE[0]%/*}/../scenario/box.sh"
# shellcheck source=tests/scenario/laneway.sh
. "${BASH_SOURCE[0]%/*}/../scenario/laneway.sh"
# shellcheck disable=SC2154 # box.sh's
bench=$box_top/tests/bench
# shellcheck source=tests/bench/measure.sh
. "$bench/measure.sh"
# shellcheck source=tests/bench/ends.sh
. "$bench/ends.sh"

usage_error() {
	echo "tests/bench/run tunnel: $*" >&2
	exit 64
}

json=0 full=0 seconds=5 repeats=3 minutes='' again='' only=()
number() {
	[[ ${2-} =~ ^(0|[1-9][0-9]{0,3})$ ]] || usage_error "$1 takes a number, not '${2-}'"
	echo "$2"
}
while [ $# -gt 0 ]; do
	case $1 in
	--json) json=1 ;;
	--full) full=1 ;;
	--seconds | --repeats | --minutes | --again)
		value=$(number "$@") || exit
		printf -v "${1#--}" %s "$value"
		shift
		;;
	--only)
		[ $# -gt 1 ] || usage_error "--only takes a pattern of rows"
		only+=("$2")
		shift
		;;
	*) usage_error "unknown word '$1'" ;;
	esac
	shift
done
[ -n "$minutes" ] || { if [ $full = 1 ]; then minutes=60; else minutes=10; fi; }
[ -n "$again" ] || again=$((minutes * 60 / 5))
[ $((seconds * repeats * minutes)) -gt 0 ] || usage_error "only --again may be 0"

say() {
	printf '%s\n' "$*" >&2
}

# --- rows: "TUNNEL OFFLOAD TRANSPORT PATH DIRECTION STREAMS CLIENTS" ---

default_rows() {
	local direction offload cipher
	for direction in up down; do
		echo "plain none none veth $direction 1 1"
		for offload in none send all; do echo "laneway $offload udp veth $direction 1 1"; done
		for cipher in ipsecmb wolfcrypt openssl null; do
			[ ! -e "$LW_BUILD/modules/.libs/cipher-$cipher.so" ] ||
				echo "laneway all udp-$cipher veth $direction 1 1"
		done
		echo "laneway all udp+wolfcrypt veth $direction 1 1" # wolfSSL seals its records itself
		echo "laneway all tcp+wolfcrypt veth $direction 1 1"
		echo "wireguard-go all udp veth $direction 1 1"
		for offload in none all; do echo "laneway $offload tcp veth $direction 1 1"; done
		echo "stock none tcp veth $direction 1 1"
	done
	echo "plain none none slow down 1 1"
	echo "laneway all tcp slow down 1 1"
}

full_rows() {
	local direction offload transport many
	default_rows
	for many in '1 1' '4 1' '16 1' '1 4' '1 16'; do
		for direction in up down both; do
			echo "plain none none veth $direction $many"
			for transport in udp tcp; do
				for offload in none send all; do
					echo "laneway $offload $transport veth $direction $many"
				done
			done
			case $many in *' 1') echo "wireguard-go all udp veth $direction $many" ;; esac
		done
	done
	echo "laneway all udp slow down 1 1"
	echo "plain none none slow up 1 1"
	echo "laneway all tcp slow up 1 1"
	echo "plain none none slow down 4 1"
	echo "laneway all tcp slow down 4 1"
}

# wanted: leaves out what --only does not name, and what was there
wanted() {
	local row pattern
	awk '!seen[$0]++' | while read -r row; do
		[ "${#only[@]}" -gt 0 ] || echo "$row"
		for pattern in "${only[@]}"; do
			# shellcheck disable=SC2053 # a pattern it is
			if [[ ${row// //} == $pattern ]]; then
				echo "$row"
				break
			fi
		done
	done
}

# --- measuring ---

# make_ends TUNNEL OFFLOAD TRANSPORT CLIENTS
make_ends() {
	case $1 in
	plain) inside_ip=$outside_ip ;;
	laneway) laneway_ends "$2" "$3" "$4" ;;
	wireguard-go) wireguard_ends ;;
	stock) stock_ends "$3" ;;
	esac
}

# Values of the row that is measured, as medians.awk reads them
result() {
	local IFS=$'\t'
	echo "$*"
}

# measure TUNNEL ... CLIENTS: one row, to $LW_TMP/result; else says in `why` what failed
measure() {
	local tunnel=$1 offload=$2 transport=$3 path=$4 direction=$5 streams=$6 clients=$7
	local pids_c=() pid_s='' cpu_c=null cpu_s=null calls=(null null null) ping=$'null\tnull' got name
	local long=$seconds pinging='' before
	server_end='' client_ends=() inside_ip=''
	why="no path"
	path_make "$path" "$clients" || return 1
	why="the tunnel does not come up"
	make_ends "$tunnel" "$offload" "$transport" "$clients" || return 1
	if [ "$tunnel" != plain ]; then
		for name in "${client_ends[@]}"; do pids_c+=("$(pid_of "$name")"); done
		pid_s=$(pid_of "$server_end")
		cpu_c=$(cpu_seconds "${pids_c[@]}") cpu_s=$(cpu_seconds "$pid_s")
	fi
	why="no traffic, or the tunnel ended"
	if [ "$path" = slow ]; then
		long=$((seconds + 2))
		pings "$inside_ip" $long >"$LW_TMP/ping.result" &
		pinging=$!
	fi
	before=$(ticks)
	flow "$inside_ip" "$direction" "$streams" "$clients" "$long" >"$LW_TMP/flow.result" || return 1
	others "$before" >"$LW_TMP/others.now"
	got=$(cat "$LW_TMP/flow.result")
	if [ "$path" = slow ]; then
		wait $pinging || return 1
		ping=$(cat "$LW_TMP/ping.result")
	fi
	if [ "$tunnel" != plain ]; then
		cpu_c=$(cpu_spent "$cpu_c" "${pids_c[@]}") && cpu_s=$(cpu_spent "$cpu_s" "$pid_s") || return 1
		[ "$path" = slow ] || [ $count_calls = 0 ] ||
			count_flow "$direction" "$streams" "$clients" || return 1
	fi
	result "$got" "$cpu_c" "$cpu_s" "${calls[@]}" "$ping" >"$LW_TMP/result"
}

# cpu_spent BEFORE PID...
cpu_spent() {
	local before=$1 now
	shift
	now=$(cpu_seconds "$@") || return 1
	awk -v a="$before" -v b="$now" 'BEGIN { printf "%.2f\n", b - a }'
}

# count_flow DIRECTION STREAMS CLIENTS: a second of it, with system calls counted; into the caller's
# `calls`
count_flow() {
	local c s gb
	calls_begin client "${pids_c[@]}" && calls_begin server "$pid_s" || return 1
	flow "$inside_ip" "$1" "$2" "$3" 1 >"$LW_TMP/flow.result" || return 1
	# not in $( ): that shell could not wait for perf
	calls_end client >"$LW_TMP/calls.c"
	calls_end server >"$LW_TMP/calls.s"
	c=$(cat "$LW_TMP/calls.c") s=$(cat "$LW_TMP/calls.s")
	gb=$(cut -f 2 "$LW_TMP/flow.result")
	calls=("$c" "$s" "$gb")
}

# disturbed: whether others took more than an eighth of one processor from the row just measured
disturbed() {
	awk -v n="$(nproc)" '{ exit !($1 * n > 0.125) }' "$LW_TMP/others.now"
}

# quietly TUNNEL ...: measure; a row that others disturbed is measured again, at most twice and until
# --again seconds are spent so. What the quietest gave counts.
quietly() {
	local try at least=9 now
	for try in 1 2 3; do
		at=$SECONDS
		measure "$@" || return 1
		now=$(cat "$LW_TMP/others.now")
		if awk -v a="$now" -v b="$least" 'BEGIN { exit !(a < b) }'; then
			least=$now
			mv "$LW_TMP/result" "$LW_TMP/quietest"
		fi
		if ! disturbed || [ $try = 3 ] || [ $spent_again -ge "$again" ]; then break; fi
		end_all
		say "  others took $now of the processors: again"
		spent_again=$((spent_again + SECONDS - at))
	done
	echo "$least" >>"$LW_TMP/others"
}

# row "TUNNEL ...": measure it, and print it with its name
row() {
	local values=$'null\tnull\tnull\tnull\tnull\tnull\tnull\tnull\tnull\tnull' why='' log
	# shellcheck disable=SC2086 # words
	set -- $1
	case $1 in
	wireguard-go) why=$no_wireguard ;;
	stock) why=$no_stock ;;
	esac
	if [ -n "$why" ]; then
		:
	elif quietly "$@"; then
		values=$(cat "$LW_TMP/quietest") why=''
	else
		failed_rows=$((failed_rows + 1))
		say "$*: $why; this is the end of what the programs said:"
		for log in "${!box_pid[@]}"; do
			say "$(tail -n 5 "$LW_TMP/$log.log" | sed "s/^/  $log: /")"
		done
	fi
	end_all
	(IFS=$'\t' && echo "$*"$'\t'"$values"$'\t'"$why")
}

# --- the run ---

find_peers() {
	no_wireguard='' no_stock='' wireguard=${LW_WIREGUARD_GO-} wireguard_version=null
	if [ -z "$wireguard" ]; then
		no_wireguard="no wireguard-go of Debian's suite sid"
	elif ! command -v wg >/dev/null; then
		no_wireguard="no wg (package wireguard-tools)"
	else
		# as the package says; the program itself is a year behind
		wireguard_version=${wireguard%/usr/bin/*}
		wireguard_version=${wireguard_version##*/wireguard-go-}
	fi
	if [ ! -x "${LW_STOCK_CLIENT-}" ] || [ ! -x "${LW_STOCK_SERVER-}" ]; then
		no_stock="no stock peer: LW_STOCK_CLIENT and LW_STOCK_SERVER name no programs"
	fi
}

# commit: of the tree, which the programs may not be of
commit() {
	local id
	id=$(git -C "$box_top" describe --always --dirty 2>/dev/null) || id=
	echo "${id:+commit }${id:-no commit known}"
}

fact() {
	printf '%s\t%s\n' "$1" "$2"
}

facts() {
	fact laneway "$("$LW_BUILD/lanewayd" --version | head -n 1), $(commit)"
	fact kernel "$(uname -r)"
	fact processors "$(nproc)"
	fact processor "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
	fact congestion "inner and outer: $CONGESTION"
	fact slow_path "${SLOW[*]}"
	fact wireguard_go "${wireguard_version}"
	fact system_calls "$([ $count_calls = 1 ] && echo 'counted by perf' || echo 'not counted: no perf')"
	fact seconds "$seconds"
	fact passes "$passes of $repeats"
	fact cut_short "$cut_short"
	fact measured_again_seconds "$spent_again"
	fact took_seconds "$(since_start)"
	fact load_before "$load_before"
	fact load_after "$(cut -d ' ' -f 1-3 /proc/loadavg)"
	awk '{ s += $1; if ($1 > m) m = $1 } END {
		s = NR ? s / NR : 0
		printf "others_busy_mean\t%.3f\nothers_busy_most\t%.3f\n", s, m
		printf "quiet\t%s\n", (s > 0.05 ? "no: other work took part of the processors, so these values say little" : "yes") }' \
		"$LW_TMP/others"
}

since_start() {
	echo $((SECONDS - began))
}

# pass NUMBER: all rows once
pass() {
	local n=0 row
	for row in "${rows[@]}"; do
		n=$((n + 1))
		if [ $(($(since_start) + seconds * 2 + 10)) -gt $((minutes * 60)) ]; then
			cut_short="after $minutes minutes, in pass $1"
			return
		fi
		say "[pass $1 of $repeats, row $n of ${#rows[@]}, $(since_start) s] $row"
		row "$row"
	done
}

began=$SECONDS load_before=$(cut -d ' ' -f 1-3 /proc/loadavg) count_calls=0 failed_rows=0 cut_short=no spent_again=0
if [ $full = 1 ]; then
	mapfile -t rows < <(full_rows | wanted)
else
	mapfile -t rows < <(default_rows | wanted)
fi
[ "${#rows[@]}" -gt 0 ] || usage_error "--only names no row"
for program in lanewayd laneway tests/bench/relay; do
	[ -x "$LW_BUILD/$program" ] || bail "$LW_BUILD/$program is not built"
done
find_peers
calls_can && count_calls=1
veth_path
laneway_keys bench
passes=0 longest=0
: >"$LW_TMP/others"
while [ $passes -lt "$repeats" ] && [ "$cut_short" = no ]; do
	at=$(($(since_start) - spent_again))
	if [ $((at + spent_again + longest)) -gt $((minutes * 60)) ]; then
		cut_short="pass $((passes + 1)) would end after $minutes minutes"
		break
	fi
	pass $((passes + 1)) >>"$LW_TMP/rows"
	passes=$((passes + 1))
	# without what was measured again: the next pass is not bound to
	at=$(($(since_start) - spent_again - at))
	[ $at -le $longest ] || longest=$at
done
awk -f "$bench/medians.awk" "$LW_TMP/rows" >"$LW_TMP/medians"
awk -f "$bench/figures.awk" "$LW_TMP/medians" >"$LW_TMP/figures"
# of what was not asked for, nothing is said
[ "${#only[@]}" = 0 ] || sed -i '/: not measured$/d' "$LW_TMP/figures"
facts >"$LW_TMP/facts"
if [ $json = 1 ]; then
	awk -f "$bench/json.awk" "$LW_TMP/facts" "$LW_TMP/medians" "$LW_TMP/figures"
else
	awk -F'\t' '{ printf "%s: %s\n", $1, $2 } END { print "" }' "$LW_TMP/facts"
	awk -f "$bench/table.awk" "$LW_TMP/medians" "$LW_TMP/figures"
	sed -n 's/^quiet\tno: /But: /p' "$LW_TMP/facts"
fi
[ $failed_rows = 0 ] || { say "$failed_rows rows failed" && exit 1; }
