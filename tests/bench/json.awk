# JSON of the machine's facts (two fields: name, value), of rows and of figures, in this order.
BEGIN { FS = "\t" }

function text(v) {
	gsub(/\\/, "\\\\", v)
	gsub(/"/, "\\\"", v)
	gsub(/[\001-\037]/, " ", v)
	return "\"" v "\""
}
function value(v) { return v ~ /^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$/ || v == "null" ? v : text(v) }
# section NAME FIRST LAST: ends the one before
function section(name) {
	if (part == name) { printf ","; return }
	if (part == "machine") printf "},"
	else if (part != "") printf "],"
	printf "\"%s\":%s", name, name == "machine" ? "{" : "["
	part = name
}
BEGIN { printf "{" }

NF == 2 { section("machine"); printf "%s:%s", text($1), value($2) }
NF == 20 {
	section("rows")
	# "udp-CIPHER" is Expresslane, "udp+CIPHER" and "tcp+CIPHER" name who seals the records
	cipher = $3 == "udp-null" ? "null" : $3 ~ /^udp-/ ? "expresslane" : $3 ~ /^udp/ ? "dtls" : "tls"
	engine = $3
	if (!sub(/^[a-z]*[-+]/, "", engine)) engine = "auto"
	printf "{\"tunnel\":%s,\"offload\":%s,\"transport\":%s,\"path\":%s,\"direction\":%s,", text($1),
		text($2), text($3), text($4), text($5)
	printf "\"streams\":%d,\"clients\":%d,\"workers\":1,", $6, $7
	printf "\"cipher\":%s,\"engine\":%s,\"congestion\":\"cubic\",", \
		$1 == "laneway" || $1 == "stock" ? text(cipher) : "null", \
		text($1 == "plain" ? "none" : $1 == "wireguard-go" ? "go" : $1 == "stock" ? "wolfssl" : engine)
	printf "\"repeats\":%d,\"gbps\":%s,\"gbps_least\":%s,\"gbps_most\":%s,", $8, $9, $10, $11
	printf "\"client_cpu_s_per_gb\":%s,\"server_cpu_s_per_gb\":%s,", $12, $13
	printf "\"client_syscalls_per_gb\":%s,\"server_syscalls_per_gb\":%s,", $14, $15
	printf "\"retransmits\":%s,\"retransmits_per_gb\":%s,", $16, $17
	printf "\"ping_p50_ms\":%s,\"ping_p99_ms\":%s,\"missing\":%s}", $18, $19, $20 == "" ? "null" : text($20)
}
NF == 7 {
	section("figures")
	printf "{\"figure\":%s,\"where\":%s,\"measured\":%s,\"asked\":%s,\"reached\":%s,\"why_open\":%s}",
		text($1), text($2), $3, text($4 " " $5), text($6), $7 == "" ? "null" : text($7)
}
END { print (part == "machine" ? "}" : part == "" ? "" : "]") "}" }
