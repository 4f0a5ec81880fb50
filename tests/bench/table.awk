# Tables for people, of files that medians.awk and figures.awk wrote, by their number of fields.
BEGIN { FS = "\t" }

function num(v, format) { return v == "null" ? "-" : sprintf(format, v) }
function thousands(v) { return v == "null" ? "-" : v >= 10000 ? sprintf("%.0fk", v / 1000) : sprintf("%.1fk", v / 1000) }

FNR == 1 && NF == 20 {
	printf "%-12s %-7s %-5s %-5s %-4s %5s %7s %7s %13s %14s %14s %10s %11s\n", "", "", "", "", "", "", "",
		"", "", "CPU-s/GB", "calls/GB", "retrans-", "ping ms"
	printf "%-12s %-7s %-5s %-5s %-4s %5s %7s %7s %13s %14s %14s %10s %11s\n", "tunnel", "offload",
		"outer", "path", "dir", "flows", "clients", "Gbit/s", "least-most", "client  server",
		"client  server", "mits/GB", "p50    p99"
}
NF == 20 && $8 > 0 {
	printf "%-12s %-7s %-5s %-5s %-4s %5d %7d %7s %13s %6s %7s %6s %7s %10s %5s %5s\n", $1, $2, $3, $4, $5,
		$6, $7, num($9, "%.3f"), sprintf("%.3f-%.3f", $10, $11), num($12, "%.2f"), num($13, "%.2f"),
		thousands($14), thousands($15), num($17, "%.1f"), num($18, "%.1f"), num($19, "%.1f")
}
NF == 20 && $20 != "" {
	printf "%-12s %-7s %-5s %-5s %-4s %5d %7d %s: %s\n", $1, $2, $3, $4, $5, $6, $7,
		($8 > 0 ? "of this, repeats are missing" : "not measured"), $20
}

FNR == 1 && NF == 7 {
	printf "\n%-44s %-16s %9s %16s %s\n", "figure", "", "measured", "asked", "reached"
}
NF == 7 {
	printf "%-44s %-16s %9s %16s %s%s\n", $1, $2, num($3, "%s"), $4 " " $5, $6, ($7 == "" ? "" : ": " $7)
	count[$6]++
}
END {
	if (count["yes"] + count["no"] + count["open"] > 0)
		printf "%d reached, %d missed, %d open\n", count["yes"], count["no"], count["open"]
}
