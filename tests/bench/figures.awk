# From the rows that medians.awk prints to the figures that Laneway is to reach, a line each, in
# fields separated by tabs: what, where, the measured value, at least or at most, the asked value,
# yes, no or open, and why it is open. Only rows of one flow and one client count.
BEGIN { FS = OFS = "\t" }

$6 == 1 && $7 == 1 {
	k = $1 " " $2 " " $3 " " $4 " " $5
	why[k] = $20 == "" ? "not measured" : $20
	gbps[k] = $9
	cpu[k, "client"] = $12
	cpu[k, "server"] = $13
	calls[k, "client"] = $14
	calls[k, "server"] = $15
	retransmits[k] = $17
	p99[k] = $19
}

function figure(what, where, value, kind, asked, reason) {
	if (value == "null")
		print what, where, "null", kind, asked, "open", reason
	else
		print what, where, sprintf("%.4g", value), kind, asked,
			((kind == "at least" ? value >= asked : value <= asked) ? "yes" : "no"), ""
}

# over A B: A / B, null where one is
function over(a, b) { return a == "" || a == "null" || b == "" || b == "null" || b == 0 ? "null" : a / b }

# The reason that a value of these rows is missing
function missing(key, value) {
	if (value != "" && value != "null") return ""
	return key ": " (key in why ? why[key] : "not measured")
}
function either(a, va, b, vb,    m) {
	m = missing(a, va)
	return m != "" ? m : missing(b, vb)
}
function one(v) { return v == "" ? "null" : v }

# A peer that is missing is the reason to be named, more than a row of ours.
function ratio_of_rates(what, a, b, dir, asked) {
	a = a " " dir
	b = b " " dir
	figure(what, dir, over(gbps[a], gbps[b]), "at least", asked, either(b, gbps[b], a, gbps[a]))
}

# V: a value of each end
function ratios_of_ends(what, v, a, b, dir, kind, asked,    e, at_a, at_b) {
	a = a " " dir
	b = b " " dir
	for (e = 1; e <= 2; e++) {
		at_a = v[a, ends[e]]
		at_b = v[b, ends[e]]
		figure(what, dir ", " ends[e], over(at_a, at_b), kind, asked, either(a, at_a, b, at_b))
	}
}

END {
	none = "laneway none udp veth"
	all = "laneway all udp veth"
	split("up down", dirs, " ")
	split("client server", ends, " ")
	for (d = 1; d <= 2; d++)
		ratios_of_ends("UDP, system calls per GB, none / all", calls, none, all, dirs[d], "at least", 20)
	for (d = 1; d <= 2; d++)
		ratio_of_rates("UDP, throughput, all / none", all, none, dirs[d], 3.5)
	for (d = 1; d <= 2; d++)
		ratios_of_ends("UDP, CPU-s per GB, all / none", cpu, all, none, dirs[d], "at most", 0.30)
	for (d = 1; d <= 2; d++)
		ratio_of_rates("UDP, throughput, all / wireguard-go", all, "wireguard-go all udp veth", dirs[d], 1.6)
	for (d = 1; d <= 2; d++)
		ratio_of_rates("TCP, throughput, all / none", "laneway all tcp veth",
			"laneway none tcp veth", dirs[d], 4)
	for (d = 1; d <= 2; d++)
		ratio_of_rates("TCP, throughput, all / stock TCP", "laneway all tcp veth",
			"stock none tcp veth", dirs[d], 6)
	a = "laneway all tcp slow down"
	n = "plain none none slow down"
	figure("TCP, ping p99 inside / the path's own queue", "down, slow path", over(p99[a], p99[n]),
		"at most", 2, either(a, p99[a], n, p99[n]))
	for (d = 1; d <= 2; d++) for (e = 1; e <= 2; e++) {
		a = "laneway all " (e == 1 ? "udp" : "tcp") " veth " dirs[d]
		figure((e == 1 ? "UDP" : "TCP") ", retransmits per GB, all", dirs[d], one(retransmits[a]),
			"at most", 10, missing(a, retransmits[a]))
	}
	for (d = 1; d <= 2; d++)
		ratio_of_rates("UDP, throughput, none / plain veth", none, "plain none none veth", dirs[d], 0.05)
	for (d = 1; d <= 2; d++) for (e = 1; e <= 2; e++) {
		n = none " " dirs[d]
		figure("UDP, CPU-s per GB, none", dirs[d] ", " ends[e], one(cpu[n, ends[e]]), "at most", 6,
			missing(n, cpu[n, ends[e]]))
	}
}
