# The repeats of each row of the bench become one row. Fields, separated by tabs, in:
#  1 tunnel 2 offload 3 transport 4 path 5 direction 6 streams 7 clients (what the row is)
#  8 Gbit/s 9 GB 10 retransmits 11 12 CPU-s of the client's and the server's end
# 13 14 their system calls 15 and the GB that went meanwhile 16 17 ping ms, median and p99
# 18 why there is nothing in 8 to 17, if so
# and out: the first seven, then
#  8 repeats that were measured 9 Gbit/s 10 its least 11 its most 12 13 CPU-s/GB
# 14 15 system calls/GB 16 retransmits 17 retransmits/GB 18 19 ping ms 20 why repeats are missing
# Values are medians; null: nobody measured it.
BEGIN { FS = OFS = "\t" }

# sorted LIST: the numbers of it, in v[1..n]; nulls are left out
function sorted(list, v,    n, word, i, j, k, t) {
	n = split(list, word, " ")
	k = 0
	for (i = 1; i <= n; i++)
		if (word[i] != "null") v[++k] = word[i] + 0
	for (i = 2; i <= k; i++)
		for (j = i; j > 1 && v[j] < v[j - 1]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
	return k
}

function median(list,    n, v) {
	n = sorted(list, v)
	if (n == 0) return "null"
	return number(n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2)
}

function least(list,    n, v) {
	n = sorted(list, v)
	return n == 0 ? "null" : number(v[1])
}

function most(list,    n, v) {
	n = sorted(list, v)
	return n == 0 ? "null" : number(v[n])
}

function number(v) { return sprintf(v >= 1000 ? "%.0f" : "%.6g", v) }

function per(v, gb) { return v == "null" || gb == "null" || gb + 0 == 0 ? "null" : v / gb }

{
	key = $1 OFS $2 OFS $3 OFS $4 OFS $5 OFS $6 OFS $7
	if (!(key in repeats)) { order[++rows] = key; repeats[key] = 0; why[key] = "" }
	if ($18 != "") { why[key] = $18; next }
	repeats[key]++
	gbps[key] = gbps[key] " " $8
	retr[key] = retr[key] " " $10
	retr_gb[key] = retr_gb[key] " " per($10, $9)
	cpu_c[key] = cpu_c[key] " " per($11, $9)
	cpu_s[key] = cpu_s[key] " " per($12, $9)
	calls_c[key] = calls_c[key] " " per($13, $15)
	calls_s[key] = calls_s[key] " " per($14, $15)
	p50[key] = p50[key] " " $16
	p99[key] = p99[key] " " $17
}

END {
	for (i = 1; i <= rows; i++) {
		k = order[i]
		print k, repeats[k], median(gbps[k]), least(gbps[k]), most(gbps[k]), median(cpu_c[k]),
			median(cpu_s[k]), median(calls_c[k]), median(calls_s[k]), median(retr[k]),
			median(retr_gb[k]), median(p50[k]), median(p99[k]), why[k]
	}
}
