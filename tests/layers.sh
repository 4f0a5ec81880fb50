#!/bin/sh
# Fails when an include breaks the layering: who may include whom.
# base < wire, packet < tls < session < path < worker < server, client; module, conf and control
# stand beside worker, whose engine runs module instances and writes its part of a status. A module includes only <laneway/...>.
set -u
cd "${top_srcdir:-.}" || exit 1
bad=0

# allowed FOLDER: the folders of core that it may include
allowed() {
	case $1 in
	base) echo base ;;
	wire) echo base wire ;;
	packet) echo base packet ;;
	tls) echo base wire packet tls ;;
	session) echo base wire packet tls session ;;
	path) echo base wire packet tls session path ;;
	worker) echo base wire packet tls session path module control worker ;;
	module) echo base module ;;
	conf) echo base module conf ;;
	control) echo base control ;;
	server) echo base wire packet tls session path worker module conf control server ;;
	client) echo base wire packet tls session path worker module conf control client ;;
	ctl) echo base module control ctl ;;
	*) echo unknown ;;
	esac
}

for file in $(find core -name '*.[ch]' | sort); do
	folder=${file#core/}
	folder=${folder%%/*}
	ok=$(allowed "$folder")
	for inc in $(sed -n 's/^#[ \t]*include[ \t]*"\([a-z]*\)\/.*/\1/p' "$file" | sort -u); do
		case " $ok " in
		*" $inc "*) ;;
		*) echo "$file: core/$folder must not include \"$inc/\" (allowed: $ok)"; bad=1 ;;
		esac
	done
	if [ "$folder" != tls ] && grep -Hn '#[ 	]*include[ 	]*<wolfssl/' "$file"; then
		echo "$file: only core/tls may include wolfSSL"; bad=1
	fi
	if [ "$folder" != conf ] && grep -Hn '#[ 	]*include[ 	]*<yaml.h>' "$file"; then
		echo "$file: only core/conf may include libyaml"; bad=1
	fi
done

for file in $(find modules -name '*.[ch]' ! -name 'test_*' | sort); do
	if grep -Hn '#[ 	]*include[ 	]*"' "$file" | grep -v '"[a-z0-9_-]*\.h"'; then
		echo "$file: a module may include only <laneway/...> of this project"; bad=1
	fi
done

for file in include/laneway/*.h; do
	if grep -HnE '#[ 	]*include[ 	]*("|<(config|wolfssl|yaml|linux))|HAVE_|ENABLE_|config\.h' "$file"; then
		echo "$file: an installed header must not depend on how Laneway was built"; bad=1
	fi
done
[ "$bad" = 0 ] && echo "layers: ok"
exit $bad
