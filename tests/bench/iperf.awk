# Reads what iperf3 -J printed, one file for each client, and prints, separated by tabs: Gbit/s and
# GB (10^9 bytes) that arrived, both directions together, and retransmits. Fails when a file has no
# result, or its flows ran with another congestion control than `congestion`.
FNR == 1 { section = ""; last = 0; files++ }
/^\t"end":/ { last = 1 }
/"sum_(sent|received)(_bidir_reverse)?":/ && last {
	section = $1
	gsub(/[":]/, "", section)
	next
}
/}/ { section = "" }
function value() {
	sub(/^[^:]*:[ \t]*/, "")
	sub(/,.*/, "")
	return $0 + 0
}
section ~ /received/ && /"bits_per_second":/ { gbps += value() / 1e9; arrived++ }
section ~ /received/ && /"bytes":/ { gb += value() / 1e9 }
section ~ /sent/ && /"retransmits":/ { retransmits += value() }
/"sender_tcp_congestion":/ && last {
	if (index($0, "\"" congestion "\"") == 0) wrong++
	named++
}
END {
	if (files == 0 || arrived < files || named < files || wrong || gb == 0) exit 1
	printf "%.6f\t%.6f\t%d\n", gbps, gb, retransmits
}
