# Counts the cases in the log of one test program; `result` is what automake's .trs file says of
# it. Prints "passed failed skipped milliseconds", then a line for each skipped case and its reason.
# cmocka counts its cases itself; any other program is one case, and so is a program that failed
# without a failed case.
/^took [0-9]+ ms$/ { took = $2; next }
/^\[  PASSED  \] [0-9]+ test\(s\)/ { passed += $4; counted = 1; next }
/^\[  FAILED  \] [0-9]+ test\(s\)/ { failed += $4; counted = 1; next }
/^\[  SKIPPED \] [0-9]+ test\(s\)/ { skipped += $4; counted = 1; next }
# each skipped case is named twice: where it ran, after its reason, and in the list at the end
/^\[  SKIPPED \] / && !($4 in seen) { seen[$4] = 1; reasons = reasons $4 ": " last "\n" }
/^\[ RUN      \] / { last = "no reason given"; next }
NF { last = $0 }
END {
	if (result == "SKIP" && !counted) {
		skipped = 1
		reasons = last "\n"
	} else if (result == "PASS" && !counted)
		passed = 1
	else if (result != "PASS" && result != "SKIP" && !failed)
		failed = 1
	printf "%d %d %d %d\n%s", passed, failed, skipped, took, reasons
}
