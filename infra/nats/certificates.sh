#!/bin/sh
# Makes a certificate authority and one certificate for the names given, in a folder: certificates.sh FOLDER NAME...
# Give FOLDER/ca.crt to everybody, tls.crt and tls.key to the brokers, and keep ca.key away from all of them.
set -eu
umask 077
mkdir -p "$1" && cd "$1" && shift
names="IP:127.0.0.1,DNS:localhost"
for name in "$@"; do names="$names,DNS:$name"; done
curve="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
# shellcheck disable=SC2086
openssl req -x509 $curve -keyout ca.key -out ca.crt -days 3650 -subj /CN=wuxing-ca
# shellcheck disable=SC2086
openssl req $curve -keyout tls.key -out tls.csr -subj /CN=wuxing
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$names" > tls.ext
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out tls.crt -days 825 -extfile tls.ext
rm tls.csr tls.ext ca.srl
