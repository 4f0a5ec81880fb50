#!/bin/bash
# What the benchmarks of many clients make of what they measured: fixed facts, rows and figures, and
# the JSON and the table that are right by hand. No root, no network.
bench=$(cd "${BASH_SOURCE[0]%/*}/../bench" && pwd) || exit 1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0

# gives NAME EXPECTED ACTUAL
gives() {
	[ "$2" = "$3" ] && return
	echo "$1: not what was expected (<) but (>):"
	diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") | sed 's/^/  /'
	failed=1
}

printf 'kernel\t6.1 "x"\nprocessors\t2\n' >"$dir/facts"
printf 'kind\tpps\tkept\nhello\t100000\t0.93\nping\t5\tnull\n' >"$dir/rows"
printf 'kept, hello\t0.93\t>= 0.8\tyes\nkept, junk\tnull\t>= 0.8\topen\ngrowth\t-12\t<= 5\tyes\n' >"$dir/figures"
gives json "$(printf '%s' '{"machine":{"kernel":"6.1 \"x\"","processors":2},' \
	'"rows":[{"kind":"hello","pps":100000,"kept":0.93},{"kind":"ping","pps":5,"kept":null}],' \
	'"figures":[{"figure":"kept, hello","measured":0.93,"asked":">= 0.8","reached":"yes"},' \
	'{"figure":"kept, junk","measured":null,"asked":">= 0.8","reached":"open"},' \
	'{"figure":"growth","measured":-12,"asked":"<= 5","reached":"yes"}]}')" \
	"$(awk -v form=json -f "$bench/many.awk" "$dir/facts" "$dir/rows" "$dir/figures")"
gives table "$(
	cat <<-'TEXT'
	kernel: 6.1 "x"
	processors: 2

	kind pps kept
	hello 100000 0.93
	ping 5 -

	kept, hello 0.93 >= 0.8 yes
	kept, junk - >= 0.8 open
	growth -12 <= 5 yes
	2 reached, 0 missed, 1 open
	TEXT
)" "$(awk -v form=table -f "$bench/many.awk" "$dir/facts" "$dir/rows" "$dir/figures" | tr -s ' ' | sed 's/ $//')"

# the functions that need no box
eval "$(sed -n '/^figure() {/,/^}/p; /^middle() {/,/^}/p; /^calc() {/,/^}/p' "$bench/rows.sh")"
# shellcheck disable=SC2034 # figure() writes there
LW_TMP=$dir
: >"$dir/figures"
figure least 3000 '>=' 3000
figure most 1048577 '<=' 1048576
figure none null '>=' 1
figure below -4096 '<=' 1048576
gives figures "$(printf '%s\t%s\t%s\t%s\n' least 3000 '>= 3000' yes most 1048577 '<= 1048576' no \
	none null '>= 1' open below -4096 '<= 1048576' yes)" "$(cat "$dir/figures")"
gives middle-odd 5 "$(printf '%s\n' 9 5 1 | middle)"
gives middle-even 7 "$(printf '%s\n' 9 5 1 11 | middle)"
gives middle-none null "$(: | middle)"
gives calc 0.25 "$(calc '(b - a) / 2' a=1 b=1.5)"

[ $failed = 0 ] && echo "all as expected"
exit $failed
