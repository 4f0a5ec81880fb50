#!/bin/sh
# Each installed header compiles alone, as C99, C11 and C++11, without a warning.
set -u
src=${top_srcdir:-.}
bad=0
warn='-Wall -Wextra -Wpedantic -Wundef -Werror -fsyntax-only'
for header in "$src"/include/laneway/*.h; do
	for std in c99 c11; do
		printf '#include <laneway/%s>\nextern int lw_unit;\n' "${header##*/}" |
			${CC:-cc} -std=$std $warn -I"$src/include" -x c - ||
			{ echo "$header: does not compile alone as $std"; bad=1; }
	done
	printf '#include <laneway/%s>\nextern int lw_unit;\n' "${header##*/}" |
		${CXX:-c++} -std=c++11 $warn -I"$src/include" -x c++ - ||
		{ echo "$header: does not compile alone as C++11"; bad=1; }
done
[ "$bad" = 0 ] && echo "headers: ok"
exit $bad
