# shellcheck shell=bash
# Sourced by many.sh and workers.sh, after measure.sh: facts of the machine, rows, figures to reach,
# and their medians, printed by many.awk.
# shellcheck disable=SC2154 # LW_TMP and LW_BUILD are box.sh's, bench the caller's

say() {
	printf '%s\n' "$*" >&2
}

fact() {
	printf '%s\t%s\n' "$1" "$2" >>"$LW_TMP/facts"
}

# machine_facts: first of all
machine_facts() {
	: >"$LW_TMP/facts"
	: >"$LW_TMP/figures"
	fact laneway "$("$LW_BUILD/lanewayd" --version | head -n 1), commit $(git -C "$box_top" describe --always --dirty 2>/dev/null)"
	fact kernel "$(uname -r)"
	fact processors "$(nproc)"
	fact processor "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
	fact load_before "$(cut -d ' ' -f 1-3 /proc/loadavg)"
}

# row VALUE...: of the columns that `columns` named
columns() {
	local IFS=$'\t'
	echo "$*" >"$LW_TMP/rows"
}
row() {
	local IFS=$'\t'
	echo "$*" >>"$LW_TMP/rows"
}

# figure WHAT MEASURED RELATION ASKED: RELATION is >= or <=; what was not measured is open
figure() {
	awk -v what="$1" -v m="$2" -v rel="$3" -v asked="$4" 'BEGIN {
		reached = m !~ /^-?[0-9]/ ? "open" : (rel == ">=" ? m + 0 >= asked + 0 : m + 0 <= asked + 0) ? "yes" : "no"
		printf "%s\t%s\t%s %s\t%s\n", what, m, rel, asked, reached }' >>"$LW_TMP/figures"
}

# middle: the median of numbers, one a line
middle() {
	sort -g | awk '{ v[NR] = $1 } END { if (NR == 0) print "null"
		else print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# median FILE FIELD
median() {
	cut -f "$2" "$LW_TMP/$1" | middle
}

# calc EXPRESSION [NAME=VALUE]...: a number by awk
calc() {
	local expression=$1 assign=() word
	shift
	for word in "$@"; do assign+=(-v "$word"); done
	awk "${assign[@]}" "BEGIN { printf \"%.6g\n\", $expression }"
}

# print_rows TICKS JSON: all of it, as a table or (1) as JSON; TICKS is what `ticks` said before
print_rows() {
	local busy form=table
	busy=$(others "$1")
	fact others_busy "$busy"
	fact quiet "$(awk -v b="$busy" 'BEGIN { print (b > 0.05 ? "no: other work took part of the processors" : "yes") }')"
	[ "$2" = 0 ] || form=json
	awk -v form=$form -f "$bench/many.awk" "$LW_TMP/facts" "$LW_TMP/rows" "$LW_TMP/figures"
}
