# Facts (name, value), rows (the first has the names), and figures (what, measured, asked, reached),
# three files in this order: as JSON, or as tables for people.
BEGIN { FS = "\t" }

function text(v) {
	gsub(/\\/, "\\\\", v)
	gsub(/"/, "\\\"", v)
	return "\"" v "\""
}
function value(v) { return v ~ /^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$/ || v == "null" ? v : text(v) }
# pair NAME VALUE: of an object, which the first one begins
function pair(name, v, first) { return (first ? "{" : ",") text(name) ":" value(v) }

FNR == 1 { part++ }
part == 1 { facts = facts pair($1, $2, FNR == 1); lines = lines $1 ": " $2 "\n" }
part == 2 && FNR == 1 { n = NF; for (i = 1; i <= NF; i++) name[i] = $i }
part == 2 {
	for (i = 1; i <= n; i++) {
		cell[FNR, i] = $i == "null" ? "-" : $i
		if (length(cell[FNR, i]) > wide[i]) wide[i] = length(cell[FNR, i])
	}
	n_rows = FNR
}
part == 2 && FNR > 1 {
	rows = rows (FNR > 2 ? "," : "")
	for (i = 1; i <= n; i++) rows = rows pair(name[i], $i, i == 1)
	rows = rows "}"
}
part == 3 {
	figures = figures (FNR > 1 ? "," : "") pair("figure", $1, 1) pair("measured", $2) pair("asked", $3) \
		pair("reached", $4) "}"
	said = said sprintf("%-44s %12s  %-10s %s\n", $1, $2 == "null" ? "-" : $2, $3, $4)
	count[$4]++
}

END {
	if (form == "json") {
		printf "{\"machine\":%s},\"rows\":[%s],\"figures\":[%s]}\n", facts, rows, figures
		exit
	}
	print lines
	for (r = 1; r <= n_rows; r++) {
		for (i = 1; i <= n; i++) printf "%-" wide[i] "s%s", cell[r, i], (i < n ? "  " : "\n")
	}
	printf "\n%s%d reached, %d missed, %d open\n", said, count["yes"], count["no"], count["open"]
}
