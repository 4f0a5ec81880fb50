#!/bin/bash
# What bursts lose through a shallow queue, for each limit: tests/bench/run burst [--json] [SECONDS]
# shellcheck source=tests/scenario/box.sh
. "${BASH_SOURCE[0]%/*}/../scenario/box.sh"
# shellcheck source=tests/scenario/laneway.sh
. "${BASH_SOURCE[0]%/*}/../scenario/laneway.sh"
# shellcheck source=tests/scenario/shallow.sh
. "${BASH_SOURCE[0]%/*}/../scenario/shallow.sh"

json=0
[ "${1-}" != --json ] || { json=1 && shift; }
seconds=${1:-3}
shallow_make

# row BURST TRAFFIC: its figures, as a line or as an object
row() {
	if [ $json = 1 ]; then
		printf '%s{"traffic":"%s","burst":"%s","gbps":%s,"lost_per_million":%s,"limit_at_end":%s,"spaced":%s}' \
			"$comma" "$2" "$1" "$(awk "BEGIN { print $goodput_mbit / 1000 }")" \
			"$lost_per_million" "$limit" "$spaced"
		comma=,
	else
		printf '%-12s %-6s %8s %12s %8s %8s\n' "$2" "$1" "$goodput_mbit" "$lost_per_million" \
			"$limit" "$spaced"
	fi
}

comma=
if [ $json = 1 ]; then
	printf '{"machine":{"cpus":%s},"rows":[' "$(nproc)"
else
	echo "path: ${SHALLOW[*]}"
	printf '%-12s %-6s %8s %12s %8s %8s\n' traffic burst Mbit/s lost/million limit spaced
fi
for traffic in bursty_tcp bulk_tcp bursty_udp; do
	for burst in 63 32 16 8 auto; do
		through_shallow "$burst" "$traffic" "$seconds" 4 ||
			bail "$traffic, $burst: $(tail -n 3 "$LW_TMP/figures.json")"
		row "$burst" "$traffic"
	done
done
[ $json = 0 ] || echo ']}'
