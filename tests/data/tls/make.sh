#!/bin/sh
# How the certificates beside this file were made (openssl 3.0). They are for tests only and valid
# until 2126; keys are checked in, so nothing may ever trust this CA.
set -eu
cd "$(dirname "$0")"
from=20240101000000Z
until=21260101000000Z
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

cat >"$tmp/ca.conf" <<END
[ca]
default_ca = here
[here]
dir = $tmp
database = $tmp/index
serial = $tmp/serial
new_certs_dir = $tmp
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
subjectAltName = DNS:server.test
authorityKeyIdentifier = keyid
END
: >"$tmp/index"
echo 1000 >"$tmp/serial"

p256() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1"; }

# sign NAME SUBJECT EXTENSIONS FROM UNTIL ISSUER: NAME.key is there, NAME.crt is made
sign() {
	openssl req -new -key "$1.key" -subj "/CN=$2" -out "$tmp/req"
	if [ "$6" = self ]; then
		by="-selfsign -keyfile $1.key"
	else
		by="-cert $6.crt -keyfile $6.key"
	fi
	# shellcheck disable=SC2086
	openssl ca -batch -notext -config "$tmp/ca.conf" -extensions "$3" -startdate "$4" \
		-enddate "$5" $by -in "$tmp/req" -out "$1.crt" 2>"$tmp/log" || { cat "$tmp/log"; exit 1; }
}

for name in ca other-ca intermediate server expired future chain; do
	p256 $name.key
done
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key
sign ca "Laneway test CA" root $from $until self
sign other-ca "Laneway other test CA" root $from $until self
sign intermediate "Laneway test intermediate" root $from $until ca
sign server server.test server $from $until ca
sign rsa server.test server $from $until ca
sign expired server.test server $from 20240201000000Z ca
sign future server.test server 21250101000000Z $until ca
sign chain server.test server $from $until intermediate
cat intermediate.crt >>chain.crt
rm -f intermediate.crt intermediate.key ca.key other-ca.key
