#!/bin/sh
# Makes a certificate authority, a certificate for the names given and one for the gateway: certificates.sh FOLDER NAME...
# Give FOLDER/ca.crt to everybody, tls.crt and tls.key to the brokers, gateway.crt and gateway.key to a gateway that others
# reach without a proxy, and keep ca.key away from all of them.
set -eu
umask 077
mkdir -p "$1" && cd "$1" && shift
names="IP:127.0.0.1,DNS:localhost"
for name in "$@"; do names="$names,DNS:$name"; done
curve="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
# shellcheck disable=SC2086
openssl req -x509 $curve -keyout ca.key -out ca.crt -days 3650 -subj /CN=wuxing-ca
sign() {  # sign FILE NAMES USAGE
    # shellcheck disable=SC2086
    openssl req $curve -keyout "$1.key" -out "$1.csr" -subj /CN=wuxing
    printf 'subjectAltName=%s\nextendedKeyUsage=%s\n' "$2" "$3" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$1.crt" -days 825 -extfile "$1.ext"
    rm "$1.csr" "$1.ext"
}
sign tls "$names" serverAuth,clientAuth
sign gateway DNS:gateway serverAuth
rm ca.srl
