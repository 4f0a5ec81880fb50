# What ping said becomes "median<TAB>p99" in ms, by nearest rank. A ping without an answer counts
# as 1000 ms: `sent` of them were sent.
match($0, /time=[0-9.]+ ms/) { v[++n] = substr($0, RSTART + 5, RLENGTH - 8) + 0 }
/ packets transmitted, / { sent = $1 }
function rank(p,    i) {
	i = int(p * sent)
	if (i < p * sent) i++
	return v[i < 1 ? 1 : i]
}
END {
	if (sent + 0 == 0 || n == 0) exit 1
	while (n < sent) v[++n] = 1000
	for (i = 2; i <= n; i++) {
		t = v[i]
		for (j = i; j > 1 && v[j - 1] > t; j--) v[j] = v[j - 1]
		v[j] = t
	}
	printf "%.1f\t%.1f\n", rank(0.5), rank(0.99)
}
