# shellcheck shell=sh
# Sourced by build-aux/setup: the Debian mirrors that this machine's apt knows, and an apt state of
# our own in $work/apt for suite sid. The machine's own lists and sources stay as they are.
# shellcheck disable=SC2154 # work is the caller's

# mirrors: "URI KEYRING" of each source of the machine's apt that serves Debian itself; both forms
# of source files are read. Without a key named, Debian's archive keyring it is.
mirrors() {
	etc=${LW_APT_ETC:-/etc/apt}
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	suites="|sid|unstable|testing|stable|oldstable|$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release 2>/dev/null)|bookworm|trixie|forky|"
	{
		for file in "$etc"/sources.list "$etc"/sources.list.d/*.list; do
			[ -r "$file" ] && sed -n '/^[[:space:]]*deb\(-src\)\?[[:space:]]/p' "$file"
		done | one_line_sources
		for file in "$etc"/sources.list.d/*.sources; do
			[ -r "$file" ] && { cat "$file"; echo; }
		done | stanza_sources
	} | awk -F '\t' -v suites="$suites" -v keyring="$keyring" '
		# fields: URIs, suites, components, key
		{
			served = 0
			n = split($2, suite, " ")
			for (i = 1; i <= n; i++)
				if (index(suites, "|" suite[i] "|")) served = 1
			if (!served || index(" " $3 " ", " main ") == 0) next
			key = $4 ~ /^([\/].*|[0-9A-Fa-f]{16,}.*)$/ ? $4 : keyring
			n = split($1, uri, " ")
			for (i = 1; i <= n; i++)
				if (uri[i] !~ /^cdrom:/ && !seen[uri[i]]++) print uri[i] " " key
		}'
}

# "deb [options] URI suite component..." to URI, suite, components and key, separated by tabs
one_line_sources() {
	awk '{
		key = ""
		if (match($0, /\[[^]]*\]/)) {
			n = split(substr($0, RSTART + 1, RLENGTH - 2), option, " ")
			for (i = 1; i <= n; i++)
				if (tolower(option[i]) ~ /^signed-by=/) key = substr(option[i], 11)
			$0 = substr($0, 1, RSTART - 1) " " substr($0, RSTART + RLENGTH)
		}
		sub(/#.*/, "")
		components = ""
		for (i = 4; i <= NF; i++) components = components " " $i
		print $2 "\t" $3 "\t" components "\t" key
	}'
}

# deb822 stanzas to the same; comment lines may stand inside a stanza
stanza_sources() {
	awk '
		function done() {
			if (value["types"] ~ /deb/ && tolower(value["enabled"]) !~ /no|false/)
				print value["uris"] "\t" value["suites"] "\t" value["components"] "\t" value["signed-by"]
			split("", value)
			field = ""
		}
		/^#/ { next }
		/^[ \t]*$/ { done(); next }
		/^[ \t]/ { gsub(/^[ \t]+|[ \t]+$/, ""); value[field] = value[field] " " $0; next }
		{
			field = tolower(substr($0, 1, index($0, ":") - 1))
			text = substr($0, index($0, ":") + 1)
			gsub(/^[ \t]+|[ \t]+$/, "", text)
			value[field] = text
		}
		END { done() }'
}

# private_apt COMMAND...: apt-get or apt-cache with lists of its own in $work/apt. Suite sid may be
# past its Valid-Until on a mirror that is behind; signatures are checked all the same.
private_apt() {
	command=$1
	shift
	"$command" -q -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" \
		-o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root "$@" </dev/null
}

# sid_begin TYPE: an apt state with the source (deb-src) or the binary packages (deb) of suite sid
sid_begin() {
	command -v apt-get >/dev/null || return 1
	mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/download"
	mirrors | while read -r uri key; do
		case $key in
		/*) [ -r "$key" ] || key= ;;
		esac
		echo "$1 ${key:+[signed-by=$key] }$uri sid main"
	done >"$work/apt/sources.list"
	[ -s "$work/apt/sources.list" ]
}

# sid_get WHAT COMMAND...: what this command of apt-get leaves in $work/download; three tries
sid_get() {
	what=$1
	shift
	for try in 1 2 3; do
		say "$what from Debian's suite sid, try $try"
		private_apt apt-get update >&2 &&
			(cd "$work/download" && private_apt apt-get "$@" >&2) && return
	done
	return 1
}
